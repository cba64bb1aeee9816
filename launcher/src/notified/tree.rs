//! Owns what is known of the processes that were seen to start a program, as long as they live: no more than
//! lives is remembered, however many come and go.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use shieldrun_policy::audit::{Process, Text};

use crate::sys::pidfd::{self, End};

/// The processes, by the number inside.
#[derive(Debug)]
pub(super) struct Tree {
    known: HashMap<u32, Known>,
    /// How many may be held at once: each is a descriptor.
    most: usize,
    /// Their descriptors.
    ends: OwnedFd,
}

/// A process that started a program.
#[derive(Debug)]
struct Known {
    host: u32,
    pidfd: OwnedFd,
    executable: Option<Text>,
    parent: Option<u32>,
    /// What the descriptor is being watched for.
    awaited: Awaited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// That it ends.
    End,
    /// That its parent has asked how it ended: only then the kernel says so to others.
    Reaped,
}

/// Ends that are asked for in one call.
const AT_ONCE: usize = 64;

impl Tree {
    /// One that holds so many at once.
    ///
    /// # Errors
    /// When there are no descriptors to be had.
    pub(super) fn of(most: usize) -> io::Result<Self> {
        Ok(Self { known: HashMap::new(), most, ends: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Holds on to a process that is about to start a program. `None` where it is gone or there are no more
    /// descriptors: then its end is not seen. The number here, else.
    pub(super) fn hold(&mut self, inside: u32, thread: u32) -> Option<u32> {
        if let Some(known) = self.known.get_mut(&inside) {
            // Asked anew: it may have got another since. One that has ended and whose number another has by now
            // has none.
            if let Some(parent) = pidfd::parent(known.pidfd.as_fd()).or_else(|| parent_by_proc(known.host)) {
                known.parent = Some(parent);
                return Some(known.host);
            }
        }
        if self.known.len() >= self.most {
            return None;
        }
        let (host, pidfd) = match pidfd::open(thread) {
            Ok(pidfd) => (thread, pidfd),
            // Not the thread that leads its process.
            Err(_) => {
                let host = leader(thread)?;
                (host, pidfd::open(host).ok()?)
            }
        };
        epoll::add(&self.ends, &pidfd, EventData::new_u64(u64::from(inside)), EventFlags::IN).ok()?;
        // Asked while it waits for us: afterwards it may be over in no time.
        let parent = pidfd::parent(pidfd.as_fd()).or_else(|| parent_by_proc(host));
        let known = Known { host, pidfd, executable: None, parent, awaited: Awaited::End };
        self.known.insert(inside, known);
        Some(host)
    }

    /// Which program it runs from now on.
    pub(super) fn runs(&mut self, inside: u32, executable: Option<Text>) {
        if let Some(known) = self.known.get_mut(&inside) {
            known.executable = executable;
        }
    }

    /// Its parent, as it was when it started its program.
    pub(super) fn parent(&self, inside: u32) -> Option<u32> {
        self.known.get(&inside)?.parent
    }

    /// What is known of it, for an event.
    pub(super) fn process(&self, inside: u32) -> Option<Process> {
        self.known.get(&inside).map(|known| known.process(inside))
    }

    /// The descriptor that becomes readable when one has ended.
    pub(super) fn ends(&self) -> BorrowedFd<'_> {
        self.ends.as_fd()
    }

    /// Those that have ended, and how, as far as it can be learnt by now.
    pub(super) fn ended(&mut self) -> Vec<(Process, Option<End>)> {
        let mut events = Vec::with_capacity(AT_ONCE);
        let mut ended = Vec::new();
        loop {
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.ends, room, Some(&Timespec::default())) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            for event in &events {
                let inside = u32::try_from(event.data.u64()).unwrap_or(0);
                ended.extend(self.one_ended(inside));
            }
            if events.len() < AT_ONCE {
                break;
            }
        }
        ended
    }

    /// Its descriptor speaks. Gives the process and its end when there is no more to be learnt.
    fn one_ended(&mut self, inside: u32) -> Option<(Process, Option<End>)> {
        let known = self.known.get_mut(&inside)?;
        let end = pidfd::end(known.pidfd.as_fd());
        if end.is_none() && known.awaited == Awaited::End && tells_of_reaping() {
            // A hang-up comes when it is reaped; it need not be asked for.
            let data = EventData::new_u64(u64::from(inside));
            if epoll::modify(&self.ends, &known.pidfd, data, EventFlags::empty()).is_ok() {
                known.awaited = Awaited::Reaped;
                return None;
            }
        }
        let known = self.known.remove(&inside)?;
        Some((known.process(inside), end))
    }

    /// Everybody has ended: those whose descriptor has not been asked yet.
    pub(super) fn all_ended(&mut self) -> Vec<(Process, Option<End>)> {
        let end = |(inside, known): (u32, Known)| (known.process(inside), pidfd::end(known.pidfd.as_fd()));
        self.known.drain().map(end).collect()
    }
}

impl Known {
    fn process(&self, inside: u32) -> Process {
        Process {
            pid: self.host,
            pid_inside: Some(inside),
            executable: self.executable.clone(),
            parent: self.parent,
            ..Process::default()
        }
    }
}

/// Whether the kernel keeps how a process ended, and hangs up when that can be asked: since Linux 6.15. It has
/// no other way to say so than its version: an older one answers the question, without what was asked.
fn tells_of_reaping() -> bool {
    use std::sync::OnceLock;
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| {
        let release = rustix::system::uname();
        let release = release.release().to_string_lossy();
        let mut numbers =
            release.split(|digit: char| !digit.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        version >= (6, 15)
    })
}

fn leader(thread: u32) -> Option<u32> {
    status_field(thread, "Tgid:")
}

fn parent_by_proc(pid: u32) -> Option<u32> {
    status_field(pid, "PPid:")
}

fn status_field(pid: u32, name: &str) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
