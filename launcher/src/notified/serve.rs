//! Owns the loop: take a question, learn what it is about, answer, tell the log.
//!
//! What must be learnt while the caller waits is learnt before the answer, and no more than that; the rest is
//! done while the kernel carries the call out.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fs::{CWD, Mode, OFlags, openat};

use shieldrun_policy::audit::{Action, Event, Outcome, Process, Provider, Text, Timestamp};

use super::call::{Command, From, address};
use super::program::{Found, Kind, Kinds};
use super::tree::Tree;
use super::unhooked::{Heard, Start, Starts};
use super::{Blocked, Told};
use crate::audit::Sender;
use crate::claims::destination_of;
use crate::network::Callers;
use crate::procfs;
use crate::spawn::{BLOCKED_COMMAND, denial};
use crate::sys::pidfd::End;
use crate::sys::pidns::{first_pid, inner_pid, namespace_of};
use crate::sys::seccomp::{Asked, Listener, Word};

/// The thread's state.
pub(super) struct Server {
    listener: Listener,
    epoll: OwnedFd,
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

/// What an event of the loop is about; else it is a process by its number inside.
const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;

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
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, stop, EventData::new_u64(STOP), EventFlags::IN)?;
        let init = init.try_clone()?;
        let pid = first_pid(init.as_fd()).ok_or(io::ErrorKind::NotFound)?;
        let root = openat(CWD, format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let namespace = namespace_of(init.as_fd())?;
        let first = inner_pid(namespace.as_fd(), pid).unwrap_or(pid);
        Ok(Self {
            first,
            listener,
            epoll,
            init,
            namespace,
            root,
            blocked,
            heard,
            callers: None,
            sender,
            tree: Tree::of(held),
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
        let mut events = Vec::with_capacity(64);
        'serving: loop {
            let wait = self.starts.due(monotonic()).map(|wait| Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            });
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Without a way to wait there is nothing to be done but to end: calls then fail.
                Err(_) => break,
            }
            for event in &events {
                let epoll::Event { flags, data, .. } = *event;
                match data.u64() {
                    LISTENER if flags.contains(EventFlags::IN) => self.question(),
                    // Nobody is left who could ask.
                    LISTENER => drop(epoll::delete(&self.epoll, &self.listener)),
                    STOP => break 'serving,
                    inside => self.ended(u32::try_from(inside).unwrap_or(0)),
                }
            }
            self.check(Some(monotonic()));
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

    fn question(&mut self) {
        // An error is a caller that was killed meanwhile.
        let Ok(asked) = self.listener.next() else { return };
        match i64::from(asked.number) {
            libc::SYS_execve | libc::SYS_execveat => self.command(&asked),
            libc::SYS_connect => self.connection(&asked),
            _ => self.denied(&asked),
        }
    }

    fn command(&mut self, asked: &Asked) {
        let (at, now) = (monotonic(), SystemTime::now());
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
        let host = self.tree.hold(&self.epoll, inside, asked.thread).unwrap_or(asked.thread);
        self.heard.seen(inside, at);
        self.listener.answer(asked, Word::Continue);

        let (executable, kind) = match found {
            Found::Program(program) => (program.real_path(), self.kinds.of(&program)),
            _ => (None, Kind::Unknown),
        };
        let executable = executable.or_else(|| path.as_deref().map(Text::from_bytes));
        self.tree.runs(inside, executable.clone());
        let known = self.tree.process(inside).unwrap_or_default();
        let process = Process { pid: host, pid_inside: Some(inside), executable, ..known };
        let (kind, interpreter) = self.loaded(asked.thread, kind);
        self.starts.add(Start { at, until: None, kind, process: process.clone() });
        if !self.named.one_more(now.into()) {
            return;
        }
        let event = Event::new(now, Action::ProcessStarted, Provider::Kernel).process(Process {
            args: command.args.iter().map(|word| Text::from_bytes(word)).collect(),
            working_directory: here.as_deref().map(Text::from_bytes),
            ..process
        });
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

    fn ended(&mut self, inside: u32) {
        if let Some((process, end)) = self.tree.ended(&self.epoll, inside) {
            self.exited(process, end);
        }
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
        self.starts.check(now, &self.heard, &mut |process, reason, count| {
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
