//! Owns the check of the two tiers on each other: a program that the kernel saw start, and of which the
//! shim never spoke, ran without it.
//!
//! That is no breach: the kernel enforces what it does for every program alike. But what only the shim sees
//! (who reads which variable) is missing of it, and whoever reads the record should know.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::program::Kind;
use shieldrun_policy::audit::Process;

/// What the shim said of starts, shared with the thread that reads its ring.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When each process spoke of its start, by the number inside.
    spoke: HashMap<u32, Vec<Duration>>,
    /// Whom the kernel saw start a program.
    seen: HashMap<u32, Seen>,
    /// Claims were lost: who is not heard of may have spoken all the same.
    lost: bool,
    kernel: bool,
}

/// A process that the kernel saw start a program.
#[derive(Debug)]
struct Seen {
    at: Duration,
    /// As much of it as a claim of its own would say: its arguments only where they are short.
    process: Process,
}

/// The right to tell of a start, taken before the program runs: the shim in it may speak before all is known.
#[must_use]
pub(super) struct Telling<'a>(MutexGuard<'a, State>);

/// How long a program may take to load the shim: a loaded machine is slow.
const GRACE: Duration = Duration::from_secs(1);
/// What is heard is the guest's word: so many processes are remembered, and so many starts of one.
const REMEMBERED: usize = 16_384;
const STARTS: usize = 8;
/// Arguments of more bytes are not remembered.
const ARGUMENTS: usize = 1024;
/// Starts that wait for their check; more than these are not checked.
const WAITING: usize = 16_384;
/// Programs that are told apart.
const TOLD_APART: usize = 1024;

/// A start that waits for its check.
#[derive(Debug)]
pub(super) struct Start {
    /// By the monotonic clock.
    pub(super) at: Duration,
    /// When the same process started the next program, if it did: what is heard later speaks of that one.
    pub(super) until: Option<Duration>,
    pub(super) kind: Kind,
    pub(super) process: Process,
}

/// Starts that are not checked yet.
#[derive(Debug, Default)]
pub(super) struct Starts {
    waiting: VecDeque<Start>,
    /// The number of the first that waits; each has the next.
    first: usize,
    /// The last start of each process that has one waiting, by its number.
    latest: HashMap<u32, usize>,
    /// When what was heard was last gone through.
    swept: Duration,
    told: BTreeMap<(String, &'static str), Told>,
}

/// A program that was told of, by the first process that ran it, and how many ran it since.
#[derive(Debug)]
struct Told {
    process: Process,
    again: u64,
}

impl Heard {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-done in it, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process says that it starts. Whether the kernel said so too, and more.
    pub(crate) fn spoke(&self, pid: u32, at: Duration) -> bool {
        let mut state = self.state();
        if state.spoke.len() >= REMEMBERED {
            state.spoke.clear();
            state.lost = true;
        }
        let starts = state.spoke.entry(pid).or_default();
        if starts.len() >= STARTS {
            starts.remove(0);
        }
        starts.push(at);
        state.seen.get(&pid).is_some_and(|seen| seen.at <= at)
    }

    /// What the kernel showed of a process that started a program a moment ago. It may be over by now.
    pub(crate) fn fact(&self, pid: u32) -> Option<Process> {
        self.state().seen.get(&pid).map(|seen| seen.process.clone())
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

    /// Makes everybody who asks wait for what is about to be told of a start.
    pub(super) fn telling(&self) -> Telling<'_> {
        Telling(self.state())
    }

    fn has_spoken(&self, start: &Start) -> bool {
        let state = self.state();
        let here = |at: &Duration| *at >= start.at && start.until.is_none_or(|until| *at < until);
        state.spoke.get(&start.pid()).is_some_and(|starts| starts.iter().any(here))
    }

    /// Forgets what nobody will ask about.
    fn forget(&self, before: Duration) {
        let mut state = self.state();
        state.spoke.retain(|_, starts| starts.last().is_some_and(|at| *at >= before));
        state.seen.retain(|_, seen| seen.at >= before);
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
        self.0.seen.insert(pid, Seen { at, process });
    }
}

impl Start {
    fn pid(&self) -> u32 {
        self.process.pid_inside.unwrap_or(self.process.pid)
    }
}

impl Starts {
    /// A program was started.
    pub(super) fn add(&mut self, start: Start) {
        let pid = start.pid();
        let before = self.latest.get(&pid).and_then(|number| number.checked_sub(self.first));
        if let Some(before) = before.and_then(|at| self.waiting.get_mut(at)) {
            before.until.get_or_insert(start.at);
        }
        if self.waiting.len() < WAITING {
            self.latest.insert(pid, self.first.wrapping_add(self.waiting.len()));
            self.waiting.push_back(start);
        }
    }

    /// The next one that has waited long enough; the next one at all, at the end.
    fn ripe(&mut self, now: Option<Duration>) -> Option<Start> {
        let start = self.waiting.pop_front_if(|start| now.is_none_or(|now| now >= start.at + GRACE))?;
        if self.latest.get(&start.pid()) == Some(&self.first) {
            self.latest.remove(&start.pid());
        }
        self.first = self.first.wrapping_add(1);
        Some(start)
    }

    /// How long until the next check.
    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        self.waiting.front().map(|start| (start.at + GRACE).saturating_sub(now))
    }

    /// Checks what has waited long enough; everything, at the end. `tell` gets each program once and why the
    /// shim was not in it, and at the end how many more there were.
    pub(super) fn check(&mut self, now: Option<Duration>, heard: &Heard, tell: &mut Tell<'_>) {
        while let Some(start) = self.ripe(now) {
            if heard.has_spoken(&start) {
                continue;
            }
            let reason = reason(&start.kind).filter(|reason| *reason != CLEARED || !heard.state().lost);
            if let Some(reason) = reason {
                self.tell(start.process, reason, tell);
            }
        }
        match now {
            // Not at every event: it goes through all that was heard.
            Some(now) if now.saturating_sub(self.swept) >= GRACE => {
                self.swept = now;
                heard.forget(now.saturating_sub(GRACE * 2));
            }
            Some(_) => {}
            None => {
                for ((_, reason), Told { process, again }) in std::mem::take(&mut self.told) {
                    if again > 0 {
                        tell(process, reason, again);
                    }
                }
            }
        }
    }

    fn tell(&mut self, process: Process, reason: &'static str, tell: &mut Tell<'_>) {
        let program = process.executable.as_ref().map_or("", |text| text.as_str()).to_owned();
        let key = (program, reason);
        if let Some(told) = self.told.get_mut(&key) {
            told.again += 1;
        } else if self.told.len() < TOLD_APART {
            tell(process.clone(), reason, 1);
            self.told.insert(key, Told { process, again: 0 });
        }
    }
}

/// Told of a process, why the shim was not in it, and for how many it stands.
pub(super) type Tell<'a> = dyn FnMut(Process, &'static str, u64) + 'a;

const CLEARED: &str = "dynamic, but its preload was cleared, or it ended before it could load it";

/// Why the shim is not in such a program; `None` where nothing follows from its silence.
fn reason(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Static => Some("static: there is no loader that a preload could go by"),
        Kind::OtherLoader(name) if name.contains("musl") => Some("musl: the shim is for glibc"),
        Kind::OtherLoader(_) => Some("another loader than that of glibc"),
        Kind::OtherMachine => Some("for another machine"),
        Kind::Dynamic => Some(CLEARED),
        // The kernel starts its interpreter, which is looked at in its place; see `serve`.
        Kind::Script(_) | Kind::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(pid: u32, at: u64, kind: Kind) -> Start {
        let process =
            Process { pid, pid_inside: Some(pid), executable: Some("/bin/x".into()), ..Process::default() };
        Start { at: Duration::from_millis(at), until: None, kind, process }
    }

    fn told(starts: &mut Starts, now: Option<u64>, heard: &Heard) -> Vec<(u32, u64)> {
        let mut told = Vec::new();
        starts.check(now.map(Duration::from_millis), heard, &mut |process, _, count| {
            told.push((process.pid, count));
        });
        told
    }

    #[test]
    fn who_spoke_is_hooked_and_who_did_not_is_told_once() {
        let (mut starts, heard) = (Starts::default(), Heard::default());
        for (pid, at) in [(2, 1000), (3, 1010), (4, 1020), (5, 1030)] {
            starts.add(start(pid, at, Kind::Dynamic));
        }
        heard.spoke(2, Duration::from_millis(1001));
        // Before its exec: that was another program.
        heard.spoke(3, Duration::from_millis(1009));
        assert_eq!(told(&mut starts, Some(1900), &heard), []);
        assert_eq!(told(&mut starts, Some(2015), &heard), [(3, 1)]);
        assert_eq!(told(&mut starts, None, &heard), [(3, 2)]);
    }

    #[test]
    fn a_chain_of_programs_is_told_apart() {
        let (mut starts, heard) = (Starts::default(), Heard::default());
        starts.add(start(2, 1000, Kind::Static));
        starts.add(start(2, 1005, Kind::Dynamic));
        heard.spoke(2, Duration::from_millis(1006));
        assert_eq!(told(&mut starts, None, &heard), [(2, 1)]);
    }

    #[test]
    fn silence_means_nothing_where_claims_were_lost() {
        let (mut starts, heard) = (Starts::default(), Heard::default());
        heard.lost();
        starts.add(start(2, 1000, Kind::Dynamic));
        starts.add(start(3, 1000, Kind::Static));
        assert_eq!(told(&mut starts, None, &heard), [(3, 1)]);
    }

    #[test]
    fn memory_is_bounded_whatever_is_said() {
        let (mut starts, heard) = (Starts::default(), Heard::default());
        for pid in 0..40_000 {
            heard.spoke(pid, Duration::from_secs(1));
            heard.telling().seen(Duration::from_secs(1), &start(pid, 1000, Kind::Static).process);
            starts.add(start(pid, 1000, Kind::Static));
        }
        let state = heard.state();
        assert!(state.spoke.len() <= REMEMBERED && state.seen.len() <= REMEMBERED);
        assert!(starts.waiting.len() <= WAITING && starts.latest.len() <= WAITING);
    }
}
