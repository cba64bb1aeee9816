//! Owns the words for what a run does not give, as they stand in its record.

use shieldrun_policy::plan::{Layer, Mount, Nesting, Plan, Tier};

use crate::spawn::Ready;
use crate::sys::landlock;

/// What is missing where the kernel gives no FUSE mount.
pub(super) const SILENT_MASKS: &str = "no `/dev/fuse`: an attempt on a masked file is denied or given synthetics all the same, \
     but one by a program that the shim does not reach is not reported";

/// What is missing where the filter has no listener.
pub(super) const NOBODY_ASKED: &str = "without namespaces: executed programs, attempted connections and denied system calls are \
     not on record as facts";
pub(super) const NO_LISTENER: &str = "another seccomp listener is above this run: executed programs, attempted connections and \
     denied system calls are not on record as facts";

/// What this run does not give, as far as the plan tells.
pub(super) fn gaps(plan: &Plan) -> Vec<String> {
    match plan.tier {
        Tier::Full => {}
        Tier::Landlock => return without_namespaces(landlock::abi().unwrap_or(0)),
        Tier::Preload => {
            return vec![
                "no namespaces: files, network and other processes are as on the host".to_owned(),
                "the repository's history is as on the host".to_owned(),
                "secret files are refused by the preload shim only: static programs and raw system calls read them".to_owned(),
            ];
        }
    }
    let mut gaps = Vec::new();
    if landlock::abi().is_none() {
        gaps.push("no Landlock: the namespaces are the only wall".to_owned());
    }
    if plan.nesting == Nesting::Allowed {
        gaps.push("sandboxes inside are allowed, which Landlock's rules for files would forbid".to_owned());
    }
    if plan.home().is_none() {
        gaps.push("no private home: the workspace holds the home directory, or there is none".to_owned());
    }
    let in_memory = |mount: &Mount| {
        matches!(
            mount,
            Mount::Overlay { layer: Layer::Memory, .. } | Mount::Home { layer: Layer::Memory, .. }
        )
    };
    if plan.mounts.iter().any(in_memory) {
        gaps.push(
            "the record lies on a file system that cannot hold a layer: what the run wrote was kept in memory"
                .to_owned(),
        );
    }
    gaps
}

/// The same, as far as it showed only when the walls stood.
pub(super) fn late_gap(ready: &Ready) -> Option<String> {
    let shared = "no overlay can be over the home (something is mounted in it, or the record cannot hold a layer): toolchains and caches are read-only";
    ready.tools_are_shared.then(|| shared.to_owned())
}

/// What Landlock of this version leaves open where it is the only wall.
fn without_namespaces(abi: u32) -> Vec<String> {
    let mut gaps = vec![
        "no namespaces: processes, names and times of files are seen as on the host, and modes, owners and times of your own files can be changed",
        "masked files are refused, never synthetic; a file made directly beside one cannot be read again",
        "the host's `/tmp` and `/run` are out of reach; `TMPDIR` is the run's own",
        "no sockets but pairs: neither network nor local services",
    ];
    if abi < 3 {
        gaps.push("Landlock before ABI 3: files can be cut short");
    }
    if abi < 5 {
        gaps.push("Landlock before ABI 5: commands to devices are not restricted");
    }
    if abi < 6 {
        gaps.push("Landlock before ABI 6: your other processes can be signalled");
    }
    gaps.into_iter().map(str::to_owned).collect()
}
