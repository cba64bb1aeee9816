//! Owns the check of the two tiers on each other: a program that the kernel saw start, and of which the
//! shim never spoke, ran without it.
//!
//! That is no breach: the kernel enforces what it does for every program alike. But what only the shim sees
//! (who reads which variable) is missing of it, and whoever reads the record should know. It is told only where
//! silence cannot be slowness: the ring is read up to a moment later, and the program is over or was not given
//! the preload.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::heard::Heard;
use super::program::Kind;
use shieldrun_policy::audit::{Process, Text};

/// How long a program may take to load the shim before anybody asks whether it was given one.
const GRACE: Duration = Duration::from_secs(1);
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
    /// What the process is an image of once it runs, where that is known.
    pub(super) image: Option<Text>,
    /// When it was seen that it cannot speak any more.
    pub(super) over: Option<Duration>,
}

/// Starts that are not checked yet.
#[derive(Debug, Default)]
pub(super) struct Starts {
    waiting: VecDeque<Start>,
    /// The number of the first that waits; each has the next.
    first: usize,
    /// The last start of each process that has one waiting, by its number.
    latest: HashMap<u32, usize>,
    /// Programs that said nothing yet and may do so, or of which not all may be heard, by their process.
    slow: HashMap<u32, Start>,
    /// When those, and what was heard, were last gone through.
    swept: Duration,
    told: BTreeMap<(String, &'static str), Told>,
}

/// A program that was told of, by the first process that ran it, and how many ran it since.
#[derive(Debug)]
struct Told {
    process: Process,
    again: u64,
}

/// Whether a process may load the shim yet.
pub(super) type MayLoad<'a> = dyn Fn(&Start) -> bool + 'a;

impl Start {
    /// By its number inside.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid_inside.unwrap_or(self.process.pid)
    }
}

impl Starts {
    /// A program was started.
    pub(super) fn add(&mut self, start: Start) {
        let pid = start.pid();
        let before = self.latest.get(&pid).and_then(|number| number.checked_sub(self.first));
        let before = before.and_then(|at| self.waiting.get_mut(at));
        if let Some(before) = before.or_else(|| self.slow.get_mut(&pid)) {
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
        let front = self.waiting.front().map(|start| start.at + GRACE);
        let slow = (!self.slow.is_empty()).then_some(self.swept + GRACE);
        front.into_iter().chain(slow).min().map(|due| due.saturating_sub(now))
    }

    /// Checks what has waited long enough; everything, at the end. `tell` gets each program once and why the
    /// shim was not in it, and at the end how many more there were.
    pub(super) fn check(
        &mut self,
        now: Option<Duration>,
        heard: &Heard,
        may_load: &MayLoad<'_>,
        tell: &mut Tell<'_>,
    ) {
        // What is not heard yet was perhaps said all the same.
        let silent_until = now.map(|now| now.min(heard.until()));
        while let Some(start) = self.ripe(silent_until) {
            self.judge(start, now, heard, may_load, tell);
        }
        match now {
            // Not at every event: it goes through all that was heard.
            Some(instant) if instant.saturating_sub(self.swept) >= GRACE => {
                self.swept = instant;
                for (_, start) in std::mem::take(&mut self.slow) {
                    self.judge(start, now, heard, may_load, tell);
                }
                let first = self.waiting.front().map_or(instant, |start| start.at);
                let before = instant.saturating_sub(GRACE * 2).min(first);
                heard.forget(before, |pid| self.slow.contains_key(&pid));
            }
            Some(_) => {}
            None => {
                for (_, start) in std::mem::take(&mut self.slow) {
                    self.judge(start, None, heard, may_load, tell);
                }
                for ((_, reason), Told { process, again }) in std::mem::take(&mut self.told) {
                    if again > 0 {
                        tell(process, reason, again);
                    }
                }
            }
        }
    }

    fn judge(
        &mut self,
        mut start: Start,
        now: Option<Duration>,
        heard: &Heard,
        may_load: &MayLoad<'_>,
        tell: &mut Tell<'_>,
    ) {
        if heard.has_spoken(&start) {
            return;
        }
        let Some(reason) = reason(&start.kind).filter(|reason| *reason != CLEARED || !heard.has_lost())
        else {
            return;
        };
        if let (CLEARED, Some(now)) = (reason, now) {
            if start.over.is_none() && (start.until.is_some() || !may_load(&start)) {
                start.over = start.until.or(Some(now));
            }
            // Its last word may lie in the ring.
            if start.over.is_none_or(|over| heard.until() < over) {
                if self.slow.len() < WAITING {
                    self.slow.insert(start.pid(), start);
                }
                return;
            }
        }
        self.tell(start.process, reason, tell);
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
    use super::super::heard::REMEMBERED;
    use super::*;

    fn start(pid: u32, at: u64, kind: Kind) -> Start {
        let process =
            Process { pid, pid_inside: Some(pid), executable: Some("/bin/x".into()), ..Process::default() };
        Start { at: millis(at), until: None, kind, process, image: None, over: None }
    }

    fn millis(at: u64) -> Duration {
        Duration::from_millis(at)
    }

    fn told(starts: &mut Starts, now: Option<u64>, heard: &Heard) -> Vec<(u32, u64)> {
        told_while(starts, now, heard, &[])
    }

    /// While these processes may load it yet.
    fn told_while(starts: &mut Starts, now: Option<u64>, heard: &Heard, slow: &[u32]) -> Vec<(u32, u64)> {
        let mut told = Vec::new();
        let may_load = |start: &Start| slow.contains(&start.pid());
        starts.check(now.map(millis), heard, &may_load, &mut |process, _, count| {
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
        heard.spoke(2, millis(1001));
        // Before its exec: that was another program.
        heard.spoke(3, millis(1009));
        assert_eq!(told(&mut starts, Some(1900), &heard), []);
        assert_eq!(told(&mut starts, Some(2015), &heard), [(3, 1)]);
        assert_eq!(told(&mut starts, None, &heard), [(3, 2)]);
    }

    #[test]
    fn a_chain_of_programs_is_told_apart() {
        let (mut starts, heard) = (Starts::default(), Heard::default());
        starts.add(start(2, 1000, Kind::Static));
        starts.add(start(2, 1005, Kind::Dynamic));
        heard.spoke(2, millis(1006));
        assert_eq!(told(&mut starts, None, &heard), [(2, 1)]);
    }

    #[test]
    fn nobody_is_silent_before_the_ring_is_read_so_far() {
        let (mut starts, heard) = (Starts::default(), Heard::default());
        starts.add(start(2, 1000, Kind::Dynamic));
        starts.add(start(3, 1000, Kind::Dynamic));
        heard.all_until(millis(1500));
        assert_eq!(told(&mut starts, Some(9000), &heard), []);
        heard.spoke(2, millis(1001));
        heard.all_until(millis(9000));
        // Both are over by now; what they said last is heard a moment later.
        assert_eq!(told(&mut starts, Some(9100), &heard), []);
        heard.all_until(millis(9200));
        assert_eq!(told(&mut starts, Some(9300), &heard), []);
        assert_eq!(told(&mut starts, Some(10_200), &heard), [(3, 1)]);
    }

    #[test]
    fn a_slow_program_is_not_a_silent_one() {
        let (mut starts, heard) = (Starts::default(), Heard::default());
        for pid in [2, 3, 4] {
            starts.add(start(pid, 1000, Kind::Dynamic));
        }
        let slow = [2, 3, 4];
        assert_eq!(told_while(&mut starts, Some(5000), &heard, &slow), []);
        heard.spoke(2, millis(5100));
        // The next program of the same process speaks for itself only.
        starts.add(start(3, 6000, Kind::Dynamic));
        heard.spoke(3, millis(6001));
        assert_eq!(told_while(&mut starts, Some(6500), &heard, &slow), [(3, 1)]);
        assert_eq!(told_while(&mut starts, Some(8000), &heard, &slow), []);
        // One more of the same program, which was silent to its end.
        assert_eq!(told_while(&mut starts, None, &heard, &slow), [(3, 1)]);
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
            starts.add(start(pid, 1000, Kind::Dynamic));
        }
        let (spoke, seen) = heard.sizes();
        assert!(spoke <= REMEMBERED && seen <= REMEMBERED);
        assert!(starts.waiting.len() <= WAITING && starts.latest.len() <= WAITING);
    }
}
