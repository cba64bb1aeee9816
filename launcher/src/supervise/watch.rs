//! The loop: one thread, one poll(2), a closed set of events.
//!
//! Owns what each event means for the run. Who has the keyboard is asked of [`Job`]; bytes are moved
//! by threads of which only the end, or a leak, is heard here.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::job::Job;
use super::latch::{Done, Latch, Mailbox, Note, Sendbox, poll_until};
use super::pump::{Flow, Gates};
use super::{Exit, Leak, Observer, Outcome, SuperviseError};
use crate::stdio::Stream;
use crate::sys::control::{Message, SIZE, tag};
use crate::sys::signals::{InheritedSignals, Origin, Received, Signals};

/// Between SIGTERM and SIGKILL when time is up.
const GRACE: Duration = Duration::from_secs(2);
/// How long `init` may take to end what is left.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long an output that the outside does not take may keep us, once the tree was ended by force.
const GIVE_UP: Duration = Duration::from_millis(500);

/// How long a stop waits for output that the outside does not take.
const SETTLE: Duration = Duration::from_millis(300);

/// Everything that can happen.
enum Event {
    Control(Message),
    ControlClosed,
    Signal(Received),
    Note(Note),
    Typed,
    Room,
    InitGone,
}

/// `init`, which does not outlive this value, unless it said itself that it goes.
pub(super) struct Init {
    pub(super) pidfd: OwnedFd,
    pub(super) is_gone: bool,
}

impl Init {
    fn kill(&self) {
        if !self.is_gone {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
    }

    /// It said that nothing is left and that it goes: whoever made it collects it.
    fn let_go(&mut self) {
        self.is_gone = true;
    }

    fn reap(&mut self) {
        // ECHILD if somebody else did: it is gone either way.
        let _ = retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED));
        self.is_gone = true;
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if !self.is_gone {
            self.kill();
            self.reap();
        }
    }
}

/// One run, as far as it has come.
pub(super) struct Watch<'a> {
    pub(super) control: Option<OwnedFd>,
    pub(super) init: Init,
    pub(super) signals: Signals,
    pub(super) mailbox: Mailbox,
    /// Kept so that the channel never looks closed.
    pub(super) _sender: Sendbox,
    pub(super) gates: Gates,
    /// The command has ended: nobody reads stdin any more.
    pub(super) ended: Latch,
    pub(super) job: Job,
    pub(super) flows: Vec<Flow>,
    /// The streams whose thread is not done.
    pub(super) open: Vec<Stream>,
    pub(super) limit: Option<Duration>,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) interval: Option<Duration>,
    pub(super) begun: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) tick: Option<Instant>,
    pub(super) kill: Option<Instant>,
    pub(super) give_up: Option<Instant>,
    pub(super) exit: Option<Exit>,
    /// A signal that would have ended the command, had it not ended already.
    pub(super) interrupted: Option<i32>,
    pub(super) leak: Option<(Stream, Leak)>,
    pub(super) timed_out: bool,
    pub(super) lost_output: Option<(Stream, Errno)>,
}

impl Watch<'_> {
    pub(super) fn run(mut self) -> Result<Outcome, SuperviseError> {
        while !self.is_over() {
            for event in self.wait()? {
                self.handle(event);
            }
            self.look_at_clock();
        }
        self.observer.tick();
        self.job.restore();
        let ended = self.exit.unwrap_or(Exit::InitLost);
        let exit = match (&self.leak, self.timed_out, self.interrupted) {
            (Some(_), ..) => Exit::Leak,
            (None, true, _) => Exit::TimedOut,
            (None, false, Some(signal)) => Exit::Signal(signal),
            (None, false, None) => ended,
        };
        Ok(Outcome {
            exit,
            duration: self.begun.elapsed(),
            leak: self.leak.take(),
            timed_out: self.timed_out,
            lost_output: self.lost_output,
        })
    }

    fn is_over(&self) -> bool {
        let given_up = self.interrupted.is_some() || self.give_up.is_some_and(|at| Instant::now() >= at);
        self.init.is_gone && (self.open.is_empty() || given_up)
    }

    fn wait(&mut self) -> Result<Vec<Event>, SuperviseError> {
        /// Which descriptor is which.
        #[derive(Clone, Copy)]
        enum From {
            Control,
            Signals,
            Mailbox,
            Init,
            Keyboard,
            Master,
        }
        let give_up = self.give_up.filter(|_| self.init.is_gone);
        let until = [self.deadline, self.kill, give_up, self.tick].into_iter().flatten().min();
        let mut froms = Vec::with_capacity(6);
        let mut fds = Vec::with_capacity(6);
        let mut add = |from, fd, flags| {
            froms.push(from);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        // Signals first: one that waits beside the command's last words came before them, as far as anybody
        // outside can tell.
        add(From::Signals, self.signals.as_fd(), PollFlags::IN);
        if let Some(control) = &self.control {
            add(From::Control, control.as_fd(), PollFlags::IN);
        }
        add(From::Mailbox, self.mailbox.as_fd(), PollFlags::IN);
        if !self.init.is_gone {
            add(From::Init, self.init.pidfd.as_fd(), PollFlags::IN);
        }
        if let Some(keyboard) = self.job.keyboard() {
            add(From::Keyboard, keyboard, PollFlags::IN);
        }
        if let Some(master) = self.job.backlog() {
            add(From::Master, master, PollFlags::OUT);
        }
        poll_until(&mut fds, until).map_err(SuperviseError::Wait)?;
        let ready: Vec<From> =
            fds.iter().zip(froms).filter(|(fd, _)| !fd.revents().is_empty()).map(|(_, from)| from).collect();

        let mut events = Vec::new();
        for from in ready {
            match from {
                From::Control => self.hear(&mut events),
                From::Signals => {
                    while let Some(received) = self.signals.next().map_err(SuperviseError::Signals)? {
                        events.push(Event::Signal(received));
                    }
                }
                From::Mailbox => events.extend(self.mailbox.take().map(Event::Note)),
                From::Init => {
                    // Its last words were sent before it ended.
                    self.hear(&mut events);
                    events.push(Event::InitGone);
                }
                From::Keyboard => events.push(Event::Typed),
                From::Master => events.push(Event::Room),
            }
        }
        Ok(events)
    }

    /// Everything that waits on the control socket.
    fn hear(&self, events: &mut Vec<Event>) {
        let Some(control) = &self.control else { return };
        loop {
            let mut bytes = [0; SIZE];
            match retry_on_intr(|| rustix::net::recv(control, &mut bytes, RecvFlags::DONTWAIT)) {
                Err(Errno::AGAIN) => return,
                Ok((0, _)) | Err(_) => {
                    events.push(Event::ControlClosed);
                    return;
                }
                Ok((count, _)) => {
                    events.extend(bytes.get(..count).and_then(Message::decode).map(Event::Control));
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Control(message) => self.heard(message),
            Event::ControlClosed => {
                self.control = None;
                self.note_end(None);
            }
            Event::Signal(received) => self.signalled(received),
            Event::Note(note) => self.noted(note),
            Event::Typed => self.job.read_keyboard(),
            Event::Room => self.job.pass_typed(),
            Event::InitGone => {
                self.init.reap();
                self.inside_is_empty();
            }
        }
    }

    /// Nothing inside lives any more: what is in the pipes now is all there is.
    fn inside_is_empty(&mut self) {
        self.note_end(None);
        self.gates.gone.set();
        self.kill = None;
        if self.leak.is_some() || self.timed_out {
            self.give_up = Some(Instant::now() + GIVE_UP);
        }
    }

    fn heard(&mut self, message: Message) {
        let value = message.value;
        match message.tag {
            tag::STARTED => self.observer.started(value),
            // What is to die need not be followed into its sleep.
            tag::STOPPED if self.timed_out || self.leak.is_some() => {}
            tag::STOPPED => {
                self.settle();
                let answer = self.job.stopped(value, self.deadline);
                self.say(answer.tag, answer.value);
            }
            tag::CONTINUED => self.job.continued(),
            tag::EXITED => {
                self.job.keep_modes();
                self.note_end(Some(Exit::Code(value)));
            }
            tag::KILLED => self.note_end(Some(Exit::Signal(value))),
            tag::EXEC_FAILED => {
                self.exit.get_or_insert(Exit::NotExecuted(Errno::from_raw_os_error(value)));
            }
            tag::SETUP_FAILED => {
                let errno = Errno::from_raw_os_error(value & 0xffff);
                self.note_end(Some(Exit::SetupFailed(value >> 16, errno)));
            }
            tag::ALONE => {
                self.init.let_go();
                self.inside_is_empty();
            }
            // A word of a newer `init` would be a word of another binary: ours come in one.
            _ => {}
        }
    }

    /// Stopping us stops the pumps too: what the command wrote before it stopped goes first.
    fn settle(&self) {
        let patience = Instant::now() + SETTLE;
        while Instant::now() < patience && !self.flows.iter().all(Flow::is_quiet) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The command has ended, as far as we know by this word. The first word counts.
    fn note_end(&mut self, exit: Option<Exit>) {
        if let Some(exit) = exit {
            self.exit.get_or_insert(exit);
        }
        self.ended.set();
        // What nobody has read yet of a terminal survives the end of its session.
        self.kill.get_or_insert(Instant::now() + LAST_WORDS);
    }

    fn noted(&mut self, note: Note) {
        match note {
            Note::Leak(stream, leak) => {
                if self.leak.is_none() {
                    self.init.kill();
                    self.observer.leak(stream, &leak);
                    self.leak = Some((stream, leak));
                    if self.init.is_gone {
                        self.give_up = Some(Instant::now() + GIVE_UP);
                    }
                }
            }
            Note::Done(stream, done) => {
                self.open.retain(|open| *open != stream);
                if let (Done::Refused(errno), true) = (done, stream != Stream::Stdin) {
                    self.observer.output_closed(stream, errno);
                    if errno != Errno::PIPE {
                        self.lost_output.get_or_insert((stream, errno));
                    }
                }
                if stream == Stream::Terminal {
                    self.job.hang_up();
                }
            }
        }
    }

    fn signalled(&mut self, received: Received) {
        let signal = received.number;
        let origin = received.origin();
        if origin == Origin::Child {
            return;
        }
        if self.init.is_gone {
            // Natively the command would still be there, waiting for its reader, and die of it.
            if ends_a_process(signal) {
                self.interrupted = Some(signal);
            }
            return;
        }
        match signal {
            // The kernel tells the inside itself when the size of its terminal changes.
            libc::SIGWINCH if self.job.resize() && origin == Origin::Terminal => return,
            libc::SIGCONT => {
                if let Some(answer) = self.job.wake_up() {
                    self.say(answer.tag, answer.value);
                    return;
                }
            }
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => self.job.pass_on_stop(),
            _ => {}
        }
        self.observer.signal(signal);
        match origin {
            Origin::Terminal => self.say(tag::SIGNAL_GROUP, signal),
            Origin::Process | Origin::Child => self.say(tag::SIGNAL_PROCESS, signal),
        }
    }

    fn look_at_clock(&mut self) {
        let now = Instant::now();
        let passed = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if passed(self.tick) {
            self.observer.tick();
            self.tick = self.interval.map(|interval| now + interval);
        }
        if passed(self.deadline) {
            self.deadline = None;
            self.time_is_up(now);
        }
        if passed(self.kill) {
            self.kill = None;
            self.init.kill();
        }
    }

    fn time_is_up(&mut self, now: Instant) {
        if self.leak.is_some() {
            return;
        }
        self.timed_out = true;
        self.observer.timed_out(self.limit.unwrap_or_default());
        if self.init.is_gone {
            // The command kept the limit; its reader did not.
            self.give_up = Some(now + GIVE_UP);
            return;
        }
        // A stopped process gets its SIGTERM only when it runs.
        self.say(tag::SIGNAL_GROUP, libc::SIGTERM);
        self.say(tag::SIGNAL_GROUP, libc::SIGCONT);
        self.kill = Some(now + GRACE);
    }

    pub(super) fn say(&self, tag: u32, value: i32) {
        let Some(control) = &self.control else { return };
        let bytes = Message { tag, value }.encode();
        // An `init` that is gone shows at its pidfd; one that does not listen is not worth waiting for.
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let _ = retry_on_intr(|| rustix::net::send(control, &bytes, flags));
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // Threads that we gave up must not write behind the back of whoever comes next.
        self.gates.sealed.store(true, Ordering::SeqCst);
    }
}

/// Whether a signal ends a process that has arranged nothing and inherited nothing.
fn ends_a_process(signal: i32) -> bool {
    let harmless = [
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ];
    !harmless.contains(&signal) && !InheritedSignals::capture().ignores(signal)
}
