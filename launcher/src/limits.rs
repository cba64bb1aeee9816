//! Owns how far a run may go: what the policy sets, what holds where it sets nothing, and which of it the
//! kernel keeps and which a watch.
//!
//! The kernel keeps what one process may do (processor time, size of a file) and, a little above the
//! limit, how many processes there are, so that the machine goes on while the watch ends the run. Where the host
//! gives a control group, the kernel keeps the memory of a run as well. The
//! watch is the supervisor's own tick: it looks at the run four times a second and costs a run that is
//! shorter than that nothing.

mod group;
mod usage;

use std::fmt;
use std::io;
use std::time::Duration;

use shieldrun_policy::plan::{Bounds, Plan, Tier};
use shieldrun_policy::schema::{Layer, Policy};

use crate::sys::processors;

pub(crate) use group::{Group, can_be_had as group_can_be_had};
pub(crate) use usage::Meter;

/// Between two looks.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);

/// Processes and threads of a run for which nobody set a limit, and so many more for each processor. A
/// build does not come near; a fork bomb is there in a moment.
const PROCESSES: u64 = 4096;
const PROCESSES_PER_CPU: u64 = 256;

/// What a run leaves free on the file system of its record, at least.
const KEEP_FREE: u64 = 1 << 30;

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Its key in the policy.
    pub(crate) key: &'static str,
    /// What was allowed.
    pub(crate) allowed: u64,
    /// What was found.
    pub(crate) used: u64,
}

/// What holds for a run.
pub(crate) fn bounds(policy: &Policy, tier: Tier) -> Bounds {
    let limits = &policy.limits;
    let nobody_set = |key: &str| is_built_in(policy, key);
    let counted = tier.has_namespaces();
    let mut bounds = Bounds {
        processes: limits.processes.filter(|_| counted),
        memory: limits.memory.filter(|_| counted),
        file_size: limits.file_size,
        disk: limits.disk.filter(|_| counted),
        keep_free: None,
        // The kernel counts whole seconds.
        cpu_seconds: limits.cpu.map(|cpu| cpu.as_secs_f64().ceil() as u64),
    };
    if counted && nobody_set("limits.processes") {
        let cpus = processors::count() as u64;
        bounds.processes = Some(PROCESSES + PROCESSES_PER_CPU * cpus);
    }
    if counted && nobody_set("limits.disk") {
        bounds.keep_free = Some(KEEP_FREE);
    }
    bounds
}

/// Whether nobody set it.
fn is_built_in(policy: &Policy, key: &str) -> bool {
    policy.origin(key).is_none_or(|origin| origin.layer == Layer::BuiltIn)
}

/// What the kernel is asked to hold, above the limit for the watch to see it passed.
pub(crate) fn ceiling(processes: u64) -> u64 {
    processes.saturating_add(processes / 8).saturating_add(8)
}

/// Starts the watch over a run whose walls stand; `None` where there is nothing to watch.
///
/// # Errors
/// When there are no more descriptors.
pub(crate) fn watch(plan: &Plan, init: i32, record: &crate::record::RunDir) -> io::Result<Option<Meter>> {
    let bounds = &plan.bounds;
    let watched = [bounds.processes, bounds.memory, bounds.disk, bounds.keep_free];
    if watched.iter().all(Option::is_none) {
        return Ok(None);
    }
    Meter::new(bounds, init, record).map(Some)
}

impl fmt::Display for Reached {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, allowed, used } = self;
        match *key {
            "limits.processes" => write!(out, "`{key}`: {used} processes and threads, {allowed} allowed"),
            "limits.disk" if *allowed == 0 => {
                write!(out, "`{key}`: the disk is nearly full, and this run wrote {} MiB of it", used >> 20)
            }
            _ => write!(out, "`{key}`: {} MiB used, {} MiB allowed", used >> 20, allowed >> 20),
        }
    }
}
