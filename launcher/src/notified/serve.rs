//! Owns the loop: take a question, learn what it is about, answer, tell the log.
//!
//! What must be learnt while the caller waits is learnt before the answer, and no more than that; the rest is
//! done while the kernel carries the call out.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use shieldrun_policy::audit::{Action, Event, Outcome, Process, Provider, Text, Timestamp};

use super::call::{Command, From, address};
use super::heard::Heard;
use super::program::{Found, Kind, Kinds};
use super::tree::Tree;
use super::unhooked::{Start, Starts};
use super::{Blocked, Told};
use crate::audit::Sender;
use crate::claims::destination_of;
use crate::network::Callers;
use crate::procfs;
use crate::spawn::{BLOCKED_COMMAND, denial};
use crate::sys::pidfd::End;
use crate::sys::pidns::{first_pid, inner_pid, namespace_of};
use crate::sys::ring::Address;
use crate::sys::seccomp::{Asked, Listener, Word};

/// The thread's state.
pub(super) struct Server {
    listener: Listener,
    stop: OwnedFd,
    /// When a question was last asked, and the ends of processes last looked at, by the monotonic clock.
    asked: Duration,
    looked: Duration,
    /// Nobody is left who could ask.
    deserted: bool,
    init: OwnedFd,
    /// Its number inside: it is ours, and no program of the guest's.
    first: u32,
    /// The guest's pid namespace.
    namespace: OwnedFd,
    /// The guest's `/`.
    root: OwnedFd,
    blocked: Blocked,
    heard: Arc<Heard>,
    /// Who is told of a caller, where connections lead somewhere.
    callers: Option<Arc<Callers>>,
    sender: Sender,
    tree: Tree,
    kinds: Kinds,
    starts: Starts,
    told: Told,
    named: Named,
}

/// How many starts the record names; more are counted. A loop that starts programs for hours would fill the disk.
#[derive(Debug, Default)]
struct Named {
    starts: u64,
    more: u64,
    first: Option<Timestamp>,
}

const NAMED: u64 = 100_000;

/// What there is to do.
struct Ready {
    listener: PollFlags,
    stop: bool,
    ends: bool,
}

/// For so long after a question nobody waits for the ends of processes: programs are started in bursts, and a
/// wake-up of ours for the end of each, and one more when its parent has asked for it, would cost the burst more
/// than the answers do. By then most have been asked for, and how they ended is known at the first look.
const BURST: Duration = Duration::from_millis(5);

/// A script's interpreter can be a script; the kernel goes no further.
const SCRIPTS: usize = 4;

impl Server {
    pub(super) fn new(
        listener: Listener,
        stop: &OwnedFd,
        init: &OwnedFd,
        blocked: Blocked,
        heard: Arc<Heard>,
        sender: Sender,
        held: usize,
    ) -> io::Result<Self> {
        let init = init.try_clone()?;
        let pid = first_pid(init.as_fd()).ok_or(io::ErrorKind::NotFound)?;
        let root = openat(CWD, format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let namespace = namespace_of(init.as_fd())?;
        let first = inner_pid(namespace.as_fd(), pid).unwrap_or(pid);
        Ok(Self {
            first,
            listener,
            stop: stop.try_clone()?,
            asked: Duration::ZERO,
            looked: Duration::ZERO,
            deserted: false,
            init,
            namespace,
            root,
            blocked,
            heard,
            callers: None,
            sender,
            tree: Tree::of(held)?,
            kinds: Kinds::default(),
            starts: Starts::default(),
            told: Told::default(),
            named: Named::default(),
        })
    }

    /// The same, telling `callers` who connects.
    pub(super) fn telling(self, callers: Option<Arc<Callers>>) -> Self {
        Self { callers, ..self }
    }

    /// Until it is told to stop.
    pub(super) fn run(mut self) -> Told {
        loop {
            let now = monotonic();
            let ready = match self.wait(now) {
                Ok(ready) => ready,
                Err(Errno::INTR) => continue,
                // Without a way to wait there is nothing to be done but to end: calls then fail.
                Err(_) => break,
            };
            if ready.listener.contains(PollFlags::IN) {
                self.question();
            } else if !ready.listener.is_empty() {
                // Nobody is left who could ask.
                self.deserted = true;
            }
            if ready.stop {
                break;
            }
            let now = monotonic();
            if ready.ends || now.saturating_sub(self.looked) >= BURST {
                self.looked = now;
                for (process, end) in self.tree.ended() {
                    self.exited(process, end);
                }
                self.check(Some(now));
            }
        }
        for (process, end) in self.tree.all_ended() {
            self.exited(process, end);
        }
        self.check(None);
        if let Some(first) = self.named.first {
            let last = Timestamp::from(SystemTime::now());
            let event = Event::new(last, Action::ProcessStarted, Provider::Kernel)
                .message("of more programs than the record names");
            self.sender.send(event.repeated(self.named.more, first, last));
        }
        self.told
    }

    fn wait(&self, now: Duration) -> Result<Ready, Errno> {
        let burst = (self.asked + BURST).saturating_sub(now);
        // What is due is looked at no more often than that.
        let look = (self.looked + BURST).saturating_sub(now);
        let due = self.starts.due(now).map(|due| due.max(look));
        let wait = if burst.is_zero() { due } else { Some(due.map_or(burst, |due| due.min(burst))) };
        let wait = wait.map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        let mut fds = [
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&self.stop, PollFlags::IN),
            PollFd::from_borrowed_fd(self.tree.ends(), PollFlags::IN),
        ];
        let (first, last) = (usize::from(self.deserted), if burst.is_zero() { 3 } else { 2 });
        poll(fds.get_mut(first..last).unwrap_or_default(), wait.as_ref())?;
        let [listener, stop, ends] = fds.map(|fd| fd.revents());
        Ok(Ready { listener, stop: !stop.is_empty(), ends: !ends.is_empty() })
    }

    fn question(&mut self) {
        // An error is a caller that was killed meanwhile.
        let Ok(asked) = self.listener.next() else { return };
        self.asked = monotonic();
        match i64::from(asked.number) {
            libc::SYS_execve | libc::SYS_execveat => self.command(&asked),
            libc::SYS_connect => self.connection(&asked),
            _ => self.denied(&asked),
        }
    }

    fn command(&mut self, asked: &Asked) {
        let (at, now) = (self.asked, SystemTime::now());
        let inside = inner_pid(self.namespace.as_fd(), asked.thread).unwrap_or(0);
        if inside == self.first {
            return self.listener.answer(asked, Word::Continue);
        }
        let command = match Command::read(asked) {
            Ok(command) => command,
            Err(error) => return self.unreadable(asked, now, &error),
        };
        if let Some(pattern) = self.pattern(&command) {
            return self.block(asked, now.into(), &command, &pattern);
        }
        let here = working_directory(asked.thread);
        let path = absolute(&command, asked.thread, here.as_deref());
        let found = match &path {
            Some(path) => Found::at(&self.root, asked.thread, path),
            None => Found::Unsure,
        };
        if matches!(found, Found::Missing) || !self.listener.waits(asked) {
            return self.listener.answer(asked, Word::Continue);
        }
        let host = self.tree.hold(inside, asked.thread).unwrap_or(asked.thread);
        // Asked for while the caller waits: a short run may be over before we run again, and once its mounts are gone a
        // path begins where the mount was.
        let real_path = if let Found::Program(program) = &found { program.real_path() } else { None };
        let executable = real_path.or_else(|| path.as_deref().map(Text::from_bytes));
        let heard = Arc::clone(&self.heard);
        let telling = heard.telling();
        self.listener.answer(asked, Word::Continue);

        self.tree.runs(inside, executable.clone());
        let process = Process {
            pid: host,
            pid_inside: Some(inside),
            executable,
            args: command.args.iter().map(|word| Text::from_bytes(word)).collect(),
            parent: self.tree.parent(inside),
            ..Process::default()
        };
        telling.seen(at, &process);
        let kind = if let Found::Program(program) = &found { self.kinds.of(program) } else { Kind::Unknown };
        let (kind, interpreter) = self.loaded(asked.thread, kind);
        let bare = Process { args: Vec::new(), ..process.clone() };
        // Of a script it is an interpreter.
        let image = if interpreter.is_none() { process.executable.clone() } else { None };
        self.starts.add(Start { at, until: None, kind, process: bare, image, over: None });
        if !self.named.one_more(now.into()) {
            return;
        }
        let working_directory = here.as_deref().map(Text::from_bytes);
        let event = Event::new(now, Action::ProcessStarted, Provider::Kernel)
            .process(Process { working_directory, ..process });
        self.sender.send(match interpreter {
            Some(interpreter) => event.message(Text::from_bytes(&[b"a script for ", &*interpreter].concat())),
            None => event,
        });
    }

    /// As a rule the kernel cannot read it either, and then the call fails. But a program that its user may
    /// execute and not read hides its memory from us, and not from the kernel.
    fn unreadable(&self, asked: &Asked, now: SystemTime, error: &io::Error) {
        if error.raw_os_error() == Some(libc::EPERM) && self.listener.waits(asked) {
            let event = Event::new(now, Action::ProcessStarted, Provider::Kernel).outcome(Outcome::Unknown);
            let unknown = Process { args: Vec::new(), executable: None, ..self.look(asked.thread) };
            self.sender
                .send(event.process(unknown).message("of a program whose caller cannot be looked into"));
        }
        self.listener.answer(asked, Word::Continue);
    }

    /// What a script is loaded by, and its interpreter's name.
    fn loaded(&mut self, thread: u32, mut kind: Kind) -> (Kind, Option<Vec<u8>>) {
        let mut interpreter = None;
        for _ in 0..SCRIPTS {
            let Kind::Script(path) = kind else { break };
            kind = match Found::at(&self.root, thread, &path) {
                Found::Program(program) => self.kinds.of(&program),
                Found::Missing | Found::Unsure => Kind::Unknown,
            };
            interpreter.get_or_insert(path);
        }
        (kind, interpreter)
    }

    fn pattern(&self, command: &Command) -> Option<String> {
        let pattern = command.lines().iter().find_map(|line| self.blocked.first(line))?;
        Some(pattern.text.clone())
    }

    fn block(&mut self, asked: &Asked, now: Timestamp, command: &Command, pattern: &str) {
        const RULE: &str = "blocked_patterns";
        let process = Process {
            executable: Some(Text::from_bytes(&command.path)),
            args: command.args.iter().map(|word| Text::from_bytes(word)).collect(),
            ..self.look(asked.thread)
        };
        if !self.listener.waits(asked) {
            return;
        }
        let [line, _] = command.lines();
        let what = Text::from_bytes(&line);
        self.told.add(Action::CommandBlocked.word(), what.as_str(), Some(RULE.to_owned()));
        self.sender.send(
            Event::new(now, Action::CommandBlocked, Provider::Kernel)
                .process(process)
                .rule(RULE)
                .message(format!("matches `{pattern}`")),
        );
        self.listener.answer(asked, Word::Fail(BLOCKED_COMMAND));
    }

    fn connection(&mut self, asked: &Asked) {
        let now = SystemTime::now();
        let address = address(asked).filter(|_| self.listener.waits(asked));
        if let Some(address) = address {
            let inside = inner_pid(self.namespace.as_fd(), asked.thread).unwrap_or(0);
            let process = self.tree.process(inside).unwrap_or_else(|| self.look(asked.thread));
            if let Some(callers) = &self.callers {
                let [descriptor, ..] = asked.arguments;
                callers.asks(asked.thread, descriptor, process.pid);
                if let Address::Inet(to) = address {
                    callers.approaches(to, process.pid);
                }
            }
            let event = Event::new(now, Action::ConnectionAttempted, Provider::Kernel);
            self.sender.send(event.process(process).destination(destination_of(&address)));
        }
        self.listener.answer(asked, Word::Continue);
    }

    fn denied(&mut self, asked: &Asked) {
        // Whatever the filter asks about and is not in the table is refused all the same.
        let (name, errno) = denial(asked.number).unwrap_or(("unknown", libc::EPERM));
        let process = self.look(asked.thread);
        if self.listener.waits(asked) {
            self.told.add(Action::SyscallDenied.word(), name, None);
            let event = Event::new(SystemTime::now(), Action::SyscallDenied, Provider::Kernel);
            self.sender.send(event.process(process).syscall(name));
        }
        self.listener.answer(asked, Word::Fail(errno));
    }

    fn exited(&self, process: Process, end: Option<End>) {
        if self.named.more > 0 {
            return;
        }
        let exit_code = match end {
            Some(End::Code(code)) => Some(i32::from(code)),
            _ => None,
        };
        let process = Process { exit_code, ..process };
        let event = Event::new(SystemTime::now(), Action::ProcessExited, Provider::Kernel).process(process);
        self.sender.send(match end {
            Some(End::Signal(signal)) => event.signal(signal),
            _ => event,
        });
    }

    fn check(&mut self, now: Option<Duration>) {
        let sender = &self.sender;
        let may_load = |start: &Start| procfs::may_load_shim(&start.process, start.image.as_ref());
        self.starts.check(now, &self.heard, &may_load, &mut |process, reason, count| {
            let present = Timestamp::from(SystemTime::now());
            let event = Event::new(present, Action::ProcessUnhooked, Provider::Kernel)
                .process(process)
                .message(reason);
            sender.send(if count > 1 { event.repeated(count, present, present) } else { event });
        });
    }

    /// Who asks. It waits, so it is there, unless it was killed.
    fn look(&self, thread: u32) -> Process {
        procfs::look(thread, self.init.as_fd()).unwrap_or(Process { pid: thread, ..Process::default() })
    }
}

impl Named {
    /// Whether this one is named.
    fn one_more(&mut self, now: Timestamp) -> bool {
        if self.starts < NAMED {
            self.starts += 1;
            return true;
        }
        self.more += 1;
        self.first.get_or_insert(now);
        false
    }
}

fn working_directory(thread: u32) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    Some(fs::read_link(format!("/proc/{thread}/cwd")).ok()?.into_os_string().into_vec())
}

/// The path of the program; `None` where it cannot be said.
fn absolute(command: &Command, thread: u32, here: Option<&[u8]>) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    if command.path.starts_with(b"/") {
        return Some(command.path.clone());
    }
    let mut path = match command.from {
        From::Here => here?.to_vec(),
        From::Descriptor(number) => {
            fs::read_link(format!("/proc/{thread}/fd/{number}")).ok()?.into_os_string().into_vec()
        }
    };
    // What has no place in the tree any more (deleted, in memory) has no path that could be looked for.
    if !path.starts_with(b"/") || path.ends_with(b" (deleted)") {
        return None;
    }
    if !command.path.is_empty() {
        path.push(b'/');
        path.extend_from_slice(&command.path);
    }
    Some(path)
}

fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
