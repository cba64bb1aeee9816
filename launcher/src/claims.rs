//! Owns the way from what the shim claims to events of the record.
//!
//! A thread of its own drains the ring while the command runs. It adds what the launcher knows (which
//! secret an index means, the host's number of a process) and sends the event to the one writer. What
//! comes out stays a claim: the provider is the shim, and nothing is decided by it.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use shieldrun_policy::audit::{
    Action, Destination, Event, Process, Provider, SecretRef, Text, Timestamp, Treatment,
};

use crate::audit::Sender;
use crate::notified::{Heard, Seen};
use crate::standby::Standby;
use crate::sys::pidns::host_pid;
use crate::sys::ring::{Address, Claim, Repeat, RepeatKind, Ring, Waker};

/// How long an ordinary claim may lie in the ring; the start of a process is told at once.
const DRAIN: Duration = Duration::from_millis(5);
/// How often repeats are told.
const REPEATS: Duration = Duration::from_secs(1);
/// More processes than this are not remembered at once: the oldest are forgotten.
const REMEMBERED: usize = 16_384;

/// What the indices of the guest table mean.
#[derive(Debug, Default)]
pub(crate) struct Meaning {
    /// Of variables.
    pub variables: Vec<SecretRef>,
    /// Of places.
    pub places: Vec<PlaceMeaning>,
}

/// What a masked path is.
#[derive(Debug)]
pub(crate) struct PlaceMeaning {
    /// `rule.name`.
    pub rule: String,
    /// What the guest is given.
    pub treatment: Treatment,
    /// As the record names it where only a repeat is known.
    pub path: Text,
    /// Whether the mask there tells of each touch itself: what the shim says of one is no other touch.
    pub witnessed: bool,
}

/// A secret that was touched, by whom and how often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Touch {
    /// Variable or rule.
    pub name: String,
    /// Kind of the secret, or `file`.
    pub kind: String,
    /// The executable, as it claims.
    pub by: String,
}

/// All that was claimed, in sum.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    /// Touches and their counts.
    pub touched: BTreeMap<Touch, u64>,
    /// Claims that the ring had no room for.
    pub dropped: u64,
    /// Records that no shim writes: something inside tampers with the ring.
    pub forged: u64,
}

/// The thread.
#[derive(Debug)]
pub(crate) struct Drain {
    thread: JoinHandle<Claimed>,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Drain {
    /// Starts draining. `init` is the pidfd of the first process inside.
    pub(crate) fn start(
        thread: Standby<Claimed>,
        ring: Ring,
        init: OwnedFd,
        meaning: Meaning,
        heard: Arc<Heard>,
        sender: Sender,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let waker = ring.waker();
        if heard.has_kernel() {
            ring.starts_are_told();
        }
        heard.all_until(Duration::ZERO);
        let mut reporter = Reporter {
            init,
            meaning,
            heard,
            sender,
            processes: HashMap::new(),
            claimed: Claimed::default(),
            clock: Clock::now(),
        };
        let stopped = Arc::clone(&stop);
        let thread = thread.begin(move || {
            let mut ring = ring;
            let mut told = Instant::now();
            loop {
                // Asked before draining: what was claimed before the end is drained after it.
                let last = stopped.load(Ordering::Acquire);
                let begun = monotonic();
                let is_all = ring.drain(&mut |claim| reporter.claim(claim));
                if ring.dropped() > 0 {
                    reporter.heard.lost();
                }
                if is_all {
                    reporter.heard.all_until(begun);
                }
                if last || told.elapsed() >= REPEATS {
                    ring.repeats(&mut |repeat| reporter.repeat(repeat));
                    told = Instant::now();
                }
                if last {
                    // One lap is not all, if the ring was full.
                    ring.drain(&mut |claim| reporter.claim(claim));
                    break;
                }
                if ring.wait(DRAIN).is_err() {
                    thread::sleep(DRAIN);
                }
            }
            reporter.claimed.dropped = ring.dropped();
            reporter.claimed.forged = ring.forged();
            reporter.claimed
        });
        Self { thread, stop, waker }
    }

    /// Ends it, after everything that is in the ring now.
    pub(crate) fn finish(self) -> Claimed {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        self.thread.join().unwrap_or_default()
    }
}

struct Reporter {
    init: OwnedFd,
    meaning: Meaning,
    /// Where the check of the two tiers on each other listens.
    heard: Arc<Heard>,
    sender: Sender,
    processes: HashMap<u32, Met>,
    claimed: Claimed,
    clock: Clock,
}

/// A process, and since when it runs the program that it is known by, by the monotonic clock.
struct Met {
    since: Duration,
    process: Process,
}

impl Reporter {
    fn claim(&mut self, claim: Claim) {
        let at = self.clock.at(claim.at());
        self.meet(claim.pid(), claim.at());
        match claim {
            Claim::Started { at: spoke, pid, ppid, executable, args, .. } => {
                let fact = self.heard.spoke(pid, spoke);
                self.started((spoke, at), pid, ppid, &executable, &args, fact);
            }
            Claim::EnvRead { pid, variable, .. } => self.variable_read(at, pid, variable, None),
            Claim::FileRead { pid, path, place, .. } => {
                self.touched(at, Action::SecretFileRead, pid, Some(&path), place, None);
            }
            Claim::FileDenied { pid, path, place, .. } => {
                self.touched(at, Action::SecretFileDenied, pid, Some(&path), place, None);
            }
            Claim::DirListed { pid, path, place, .. } => {
                self.touched(at, Action::SecretDirListed, pid, Some(&path), place, None);
            }
            // The kernel was asked for it, and that is on record as a fact.
            Claim::Connect { .. } if self.heard.has_kernel() => {}
            Claim::Connect { pid, address, .. } | Claim::Send { pid, address, .. } => {
                let destination = destination_of(&address);
                let event = self.event(at, Action::ConnectionAttempted, pid).destination(destination);
                self.sender.send(event);
            }
            Claim::Resolve { pid, name, .. } => {
                let domain = Text::from_bytes(&name);
                let destination = Destination {
                    domain: Some(domain.as_str().to_owned()),
                    address: Some(domain),
                    ..Destination::default()
                };
                let event = self.event(at, Action::ConnectionAttempted, pid).destination(destination);
                self.sender.send(event);
            }
            // The start that follows says more; an exec that fails changes nothing.
            Claim::Exec { .. } => {}
        }
    }

    fn repeat(&mut self, repeat: Repeat) {
        let now = self.clock.present();
        let count = Some(repeat.count);
        match repeat.kind {
            RepeatKind::EnvRead => self.variable_read(now, repeat.pid, repeat.index, count),
            RepeatKind::FileRead => {
                self.touched(now, Action::SecretFileRead, repeat.pid, None, repeat.index, count);
            }
            RepeatKind::FileDenied => {
                self.touched(now, Action::SecretFileDenied, repeat.pid, None, repeat.index, count);
            }
            RepeatKind::DirListed => {
                self.touched(now, Action::SecretDirListed, repeat.pid, None, repeat.index, count);
            }
            RepeatKind::Send => {}
        }
    }

    /// `fact`: what the kernel said of the same; then it is not said twice.
    fn started(
        &mut self,
        (since, at): (Duration, Timestamp),
        pid: u32,
        ppid: u32,
        executable: &[u8],
        args: &[Vec<u8>],
        fact: Option<Seen>,
    ) {
        if self.processes.len() >= REMEMBERED {
            self.processes.clear();
        }
        let is_told = fact.is_some();
        let claimed = (!executable.is_empty()).then(|| Text::from_bytes(executable));
        let mut process = match fact {
            // It may be short, and over by now.
            Some(fact) => fact.process,
            None => Process { pid: host_pid(self.init.as_fd(), pid).unwrap_or(pid), ..Process::default() },
        };
        process.pid_inside = Some(pid);
        process.executable = process.executable.or(claimed);
        if process.args.is_empty() {
            process.args = args.iter().map(|word| Text::from_bytes(word)).collect();
        }
        process.parent =
            process.parent.or_else(|| self.processes.get(&ppid).map(|parent| parent.process.pid));
        self.processes.insert(pid, Met { since, process });
        if !is_told {
            let event = self.event(at, Action::ProcessStarted, pid);
            self.sender.send(event);
        }
    }

    /// A process that is slow to introduce itself may lose its place in the ring, on a loaded machine. What it says
    /// next is told with the program that the kernel saw it start, and not with none, or the one before.
    fn meet(&mut self, pid: u32, at: Duration) {
        let known = self.processes.get(&pid).map_or(Duration::ZERO, |met| met.since);
        let Some(Seen { at: since, process }) = self.heard.fact(pid, known, at) else { return };
        if self.processes.len() >= REMEMBERED {
            self.processes.clear();
        }
        self.processes.insert(pid, Met { since, process: Process { pid_inside: Some(pid), ..process } });
    }

    fn variable_read(&mut self, at: Timestamp, pid: u32, variable: u32, repeated: Option<u64>) {
        // An index that the table does not have was not written by our shim.
        let Some(secret) = self.meaning.variables.get(variable as usize).cloned() else { return };
        self.count(pid, secret.name.clone(), secret.kind.to_string(), repeated);
        let event = self.event(at, Action::SecretEnvRead, pid).secret(secret).treatment(Treatment::Synthetic);
        self.send_repeated(event, at, repeated);
    }

    fn touched(
        &mut self,
        at: Timestamp,
        action: Action,
        pid: u32,
        path: Option<&[u8]>,
        place: u32,
        repeated: Option<u64>,
    ) {
        let Some(meaning) = self.meaning.places.get(place as usize) else { return };
        let (rule, treatment, witnessed) = (meaning.rule.clone(), meaning.treatment, meaning.witnessed);
        let path = path.map_or_else(|| meaning.path.clone(), Text::from_bytes);
        if !witnessed {
            self.count(pid, path.as_str().to_owned(), "file".to_owned(), repeated);
        }
        let event = self.event(at, action, pid).file(path).rule(rule).treatment(treatment);
        self.send_repeated(event, at, repeated);
    }

    fn send_repeated(&self, event: Event, at: Timestamp, repeated: Option<u64>) {
        self.sender.send(match repeated {
            Some(count) => event.repeated(count, at, at),
            None => event,
        });
    }

    fn count(&mut self, pid: u32, name: String, kind: String, repeated: Option<u64>) {
        let by = self.process(pid).executable.map_or_else(String::new, |text| text.as_str().to_owned());
        *self.claimed.touched.entry(Touch { name, kind, by }).or_default() += repeated.unwrap_or(1);
    }

    fn event(&mut self, at: Timestamp, action: Action, pid: u32) -> Event {
        Event::new(at, action, Provider::Shim).process(self.process(pid))
    }

    /// What is known of a process. The host's number is asked for once, while it lives; where it ended
    /// before we came, the number inside is all there is.
    fn process(&mut self, pid: u32) -> Process {
        let init = self.init.as_fd();
        let unknown = || {
            let pid = host_pid(init, pid).unwrap_or(pid);
            Met { since: Duration::ZERO, process: Process { pid, ..Process::default() } }
        };
        let met = self.processes.entry(pid).or_insert_with(unknown);
        Process { pid_inside: Some(pid), ..met.process.clone() }
    }
}

pub(crate) fn destination_of(address: &Address) -> Destination {
    match address {
        Address::Inet(socket) => Destination {
            address: Some(Text::from_bytes(socket.to_string().as_bytes())),
            ip: Some(socket.ip()),
            port: Some(socket.port()),
            ..Destination::default()
        },
        Address::Unix(path) => {
            Destination { address: Some(Text::from_bytes(path)), ..Destination::default() }
        }
        Address::Other(family) => Destination {
            address: Some(Text::from_bytes(format!("address family {family}").as_bytes())),
            ..Destination::default()
        },
    }
}

/// `CLOCK_MONOTONIC` of the guest to the time of day: one offset for the whole run.
#[derive(Clone, Copy)]
struct Clock {
    /// Microseconds since the epoch at monotonic zero.
    zero: i64,
}

impl Clock {
    fn now() -> Self {
        let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let realtime = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let micros = |time: rustix::time::Timespec| time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
        Self { zero: micros(realtime) - micros(monotonic) }
    }

    fn at(self, monotonic: Duration) -> Timestamp {
        // A claim of the far future is a forged one; it is told with the present time.
        let present = self.present();
        let claimed =
            i64::try_from(monotonic.as_micros()).ok().and_then(|micros| self.zero.checked_add(micros));
        match claimed {
            Some(micros) if micros <= present.micros() => Timestamp::from_micros(micros),
            _ => present,
        }
    }

    fn present(self) -> Timestamp {
        let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Timestamp::from_micros(self.zero + monotonic.tv_sec * 1_000_000 + monotonic.tv_nsec / 1_000)
    }
}

fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
