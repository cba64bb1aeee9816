//! Owns what the two tiers say of the starts of programs: the kernel, which asks us, and the shim, whose ring a
//! thread of its own reads. Both come when they come: neither may be taken for silent because its reader is slow.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shieldrun_policy::audit::Process;

use super::unhooked::Start;

/// What was said of starts, shared with the thread that reads the ring.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When each process spoke of its start, by the number inside.
    spoke: HashMap<u32, Vec<Duration>>,
    /// What the kernel saw each process start, the last of it at the end.
    seen: HashMap<u32, Vec<Seen>>,
    /// All that was said before is heard; none where nobody reads the ring.
    until: Option<Duration>,
    /// Claims were lost: who is not heard of may have spoken all the same.
    lost: bool,
    kernel: bool,
}

/// A program that the kernel saw a process start.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// By the monotonic clock.
    pub(crate) at: Duration,
    /// As much of it as a claim of its own would say: its arguments only where they are short.
    pub(crate) process: Process,
}

/// The right to tell of a start, taken before the program runs: the shim in it may speak before all is known.
#[must_use]
pub(super) struct Telling<'a>(MutexGuard<'a, State>);

/// What is heard is the guest's word: so many processes are remembered, and so many starts of one.
pub(super) const REMEMBERED: usize = 16_384;
const STARTS: usize = 4;
/// Arguments of more bytes are not remembered.
const ARGUMENTS: usize = 1024;

impl Heard {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-done in it, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process says that it starts. What the kernel said of the same start, if it did.
    pub(crate) fn spoke(&self, pid: u32, at: Duration) -> Option<Seen> {
        let mut state = self.state();
        if state.spoke.len() >= REMEMBERED {
            state.spoke.clear();
            state.lost = true;
        }
        push(state.spoke.entry(pid).or_default(), at);
        state.seen_at(pid, at).cloned()
    }

    /// The program that a process ran at this moment, where the kernel saw it start since another.
    pub(crate) fn fact(&self, pid: u32, since: Duration, at: Duration) -> Option<Seen> {
        self.state().seen_at(pid, at).filter(|seen| seen.at > since).cloned()
    }

    /// Whether the kernel asks us at all.
    pub(crate) fn has_kernel(&self) -> bool {
        self.state().kernel
    }

    /// The kernel asks us from now on.
    pub(super) fn with_kernel(&self) {
        self.state().kernel = true;
    }

    /// Claims were lost on their way.
    pub(crate) fn lost(&self) {
        self.state().lost = true;
    }

    /// Whether they were.
    pub(super) fn has_lost(&self) -> bool {
        self.state().lost
    }

    /// Everything that was said before this moment is heard.
    pub(crate) fn all_until(&self, at: Duration) {
        self.state().until = Some(at);
    }

    /// Up to when silence is silence.
    pub(super) fn until(&self) -> Duration {
        self.state().until.unwrap_or(Duration::MAX)
    }

    /// Makes everybody who asks wait for what is about to be told of a start.
    pub(super) fn telling(&self) -> Telling<'_> {
        Telling(self.state())
    }

    pub(super) fn has_spoken(&self, start: &Start) -> bool {
        let here = |at: &Duration| *at >= start.at && start.until.is_none_or(|until| *at < until);
        self.state().spoke.get(&start.pid()).is_some_and(|starts| starts.iter().any(here))
    }

    /// Forgets what nobody will ask about: what was said before, but for the programs of these processes.
    pub(super) fn forget(&self, before: Duration, keep: impl Fn(u32) -> bool) {
        let mut state = self.state();
        let is_new = |at: Option<&Duration>| at.is_some_and(|at| *at >= before);
        state.spoke.retain(|_, starts| is_new(starts.last()));
        state.seen.retain(|pid, seen| is_new(seen.last().map(|seen| &seen.at)) || keep(*pid));
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        let state = self.state();
        (state.spoke.len(), state.seen.len())
    }
}

impl State {
    fn seen_at(&self, pid: u32, at: Duration) -> Option<&Seen> {
        self.seen.get(&pid)?.iter().rfind(|seen| seen.at <= at)
    }
}

impl Telling<'_> {
    /// The kernel saw this process start its program.
    pub(super) fn seen(mut self, at: Duration, process: &Process) {
        let Some(pid) = process.pid_inside else { return };
        let mut process = Process { working_directory: None, ..process.clone() };
        if process.args.iter().map(|word| word.as_str().len()).sum::<usize>() > ARGUMENTS {
            process.args.clear();
        }
        if self.0.seen.len() >= REMEMBERED {
            self.0.seen.clear();
        }
        push(self.0.seen.entry(pid).or_default(), Seen { at, process });
    }
}

/// The first goes where there are too many.
fn push<T>(starts: &mut Vec<T>, start: T) {
    if starts.len() >= STARTS {
        starts.remove(0);
    }
    starts.push(start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_says_is_of_the_program_that_it_ran_then() {
        let heard = Heard::default();
        let at = Duration::from_millis;
        for (ran, since) in [("/bin/sh", 1000), ("/bin/cat", 1010)] {
            let process =
                Process { pid: 7, pid_inside: Some(2), executable: Some(ran.into()), ..Process::default() };
            heard.telling().seen(at(since), &process);
        }
        let name = |seen: Option<Seen>| {
            seen.and_then(|seen| seen.process.executable).map(|text| text.as_str().to_owned())
        };
        // However late it is heard.
        assert_eq!(name(heard.spoke(2, at(1001))).as_deref(), Some("/bin/sh"));
        assert_eq!(name(heard.spoke(2, at(1011))).as_deref(), Some("/bin/cat"));
        assert_eq!(name(heard.spoke(2, at(999))), None);
        assert_eq!(name(heard.spoke(3, at(1011))), None);
        // One whose introduction was lost.
        assert_eq!(name(heard.fact(2, at(1000), at(1011))).as_deref(), Some("/bin/cat"));
        assert_eq!(name(heard.fact(2, at(1010), at(1011))), None);
    }
}
