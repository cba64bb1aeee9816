//! Owns the thread that is asked: the filter of system calls has no answer of its own to an exec, a connect and
//! what is denied, and the kernel keeps the caller waiting for ours.
//!
//! What is learnt so is a fact: the tree of executed programs with their arguments, attempted connections,
//! denied calls. The policy's `blocked_patterns` are compared here too, as a guard rail: a command is read from
//! memory that its own process can write, so one that means to get past will. Nothing of the wall rests on it.
//!
//! The other check of the two tiers on each other lives here as well: [`heard`] and [`unhooked`].

mod call;
mod heard;
mod program;
mod serve;
mod tree;
mod unhooked;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use shieldrun_policy::audit::Action;
use shieldrun_policy::pattern::Pattern;
use shieldrun_policy::schema::{Place, Policy};
use shieldrun_policy::verdict::Denied;

use crate::audit::Sender;
use crate::network::Callers;
use crate::standby::Standby;
use crate::sys::seccomp::Listener;

pub(crate) use heard::{Heard, Seen};

/// What commands may not hold.
#[derive(Debug)]
pub(crate) struct Blocked(Vec<Pattern>);

/// The thread.
#[derive(Debug)]
pub(crate) struct Notified {
    thread: JoinHandle<Told>,
    stop: OwnedFd,
}

/// What was denied, each thing once, with how often.
#[derive(Debug, Default)]
pub(crate) struct Told {
    denied: BTreeMap<(&'static str, String, Option<String>), u64>,
}

/// More different denials than this are not told apart in the result; the record has them all.
const TOLD: usize = 1000;
/// More of a command than this is not in the result.
const LONGEST: usize = 1000;

impl Blocked {
    /// Those of a policy that count for commands: a pattern that names no place counts for them too.
    pub(crate) fn of(policy: &Policy) -> Self {
        let counts =
            |pattern: &&Pattern| pattern.places.is_empty() || pattern.places.contains(&Place::Command);
        Self(policy.blocked_patterns.iter().filter(counts).cloned().collect())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pattern that blocks this line.
    fn first(&self, line: &[u8]) -> Option<&Pattern> {
        self.0.iter().find(|pattern| pattern.is_in(line))
    }
}

impl Notified {
    /// Answers the listener's questions. `init` is the pidfd of the first process inside; it waits itself until
    /// this runs.
    ///
    /// # Errors
    /// When there are no descriptors to be had.
    pub(crate) fn serve(
        thread: Standby<Told>,
        listener: OwnedFd,
        init: &OwnedFd,
        blocked: Blocked,
        heard: Arc<Heard>,
        callers: Option<Arc<Callers>>,
        sender: Sender,
    ) -> io::Result<Self> {
        let held = raise_limit();
        heard.with_kernel();
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let listener = Listener::new(listener);
        let server =
            serve::Server::new(listener, &stop, init, blocked, heard, sender, held)?.telling(callers);
        Ok(Self { thread: thread.begin(move || server.run()), stop })
    }

    /// Ends it. Everybody inside has ended: nobody asks any more.
    pub(crate) fn finish(self) -> Told {
        // Fails only when the counter is full, and then it is set.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        self.thread.join().unwrap_or_default()
    }
}

/// Each process that is watched for its end is a descriptor: makes room, and says for how many. What runs inside
/// was started before, and has the limit that the user gave it.
fn raise_limit() -> usize {
    const WANTED: u64 = 20_000;
    /// For all else that the launcher opens.
    const OWN: u64 = 256;
    let own = getrlimit(Resource::Nofile);
    let raised = own.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    let mut current = own.current.unwrap_or(WANTED);
    if current < raised {
        let limit = Rlimit { current: Some(raised), maximum: own.maximum };
        // Not to be had: then fewer ends are seen.
        current = setrlimit(Resource::Nofile, limit).map_or(current, |()| raised);
    }
    usize::try_from(current.min(WANTED).saturating_sub(OWN)).unwrap_or(0)
}

impl Told {
    fn add(&mut self, action: &'static str, what: &str, rule: Option<String>) {
        let what = what.chars().take(LONGEST).collect();
        let denial = (action, what, rule);
        if self.denied.len() < TOLD || self.denied.contains_key(&denial) {
            *self.denied.entry(denial).or_default() += 1;
        }
    }

    /// The commands that a pattern of the policy stopped, and how often each.
    pub(crate) fn blocked(&self) -> impl Iterator<Item = (&str, u64)> {
        let word = Action::CommandBlocked.word();
        self.denied
            .iter()
            .filter(move |((action, _, _), _)| *action == word)
            .map(|((_, what, _), count)| (what.as_str(), *count))
    }

    /// For the result.
    pub(crate) fn denied(&self) -> Vec<Denied> {
        let denied = |(action, what, rule): &(&'static str, String, Option<String>)| Denied {
            action: (*action).to_owned(),
            what: what.clone(),
            rule: rule.clone(),
        };
        self.denied.keys().map(denied).collect()
    }
}
