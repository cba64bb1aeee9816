//! One stream out: read, scan, write. A thread each.
//!
//! Owns what may leave and when. A chunk goes out only after the scan has seen all of it; bytes that
//! may be the beginning of a real value wait a moment for what follows. What happens to the command
//! when something was found is the loop's affair.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::{Errno, ioctl_fionread, retry_on_intr};

use super::latch::{Done, Latch, Note, Sendbox, wait_for};
use super::{LeakScan, Tee};
use crate::stdio::Stream;
use crate::sys::terminal::adds_carriage_returns;

/// How long a possible beginning of a secret is held back when nothing follows.
const HOLD: Duration = Duration::from_millis(100);
/// How long the inside may keep a stream open once `init` is gone.
const LINGER: Duration = Duration::from_millis(500);
/// How long to look away from a terminal that no process inside has open.
const NOBODY_THERE: Duration = Duration::from_millis(20);
/// Small enough to stay in a core's cache from read to scan to write (measured: 64 KiB moves half as much
/// again as 256), and far less than the pipe, so the command goes on meanwhile.
const CHUNK: usize = 64 << 10;

/// What all pumps of a run share.
#[derive(Clone, Debug)]
pub(super) struct Gates {
    /// Nothing may leave any more.
    pub(super) sealed: Arc<AtomicBool>,
    /// `init` is gone, and with it all that it could end.
    pub(super) gone: Latch,
}

/// A look at a pump from outside, which does not keep its pipe open.
#[derive(Debug)]
pub(super) struct Flow {
    from: Weak<OwnedFd>,
    idle: Arc<AtomicBool>,
}

impl Flow {
    /// Whether everything that the command has written has left us, or waits for what may follow.
    pub(super) fn is_quiet(&self) -> bool {
        let Some(from) = self.from.upgrade() else { return true };
        let nothing_waits = wait_for([(from.as_fd(), PollFlags::IN)], Some(Instant::now()))
            .is_ok_and(|[ready]| !ready.contains(PollFlags::IN));
        // Asked in this order: what was there is read by a pump that says it is not idle before.
        nothing_waits && self.idle.load(Ordering::SeqCst)
    }
}

/// Where the inside's end leads.
#[derive(Debug)]
pub(super) enum Inside {
    /// A pipe: its end of file is the end.
    Pipe(Arc<OwnedFd>),
    /// The inner terminal's master. It answers `EIO` while no process has the terminal open, which may
    /// be for a while only.
    Pty(Arc<OwnedFd>),
}

/// One stream out.
pub(super) struct Pump {
    pub(super) stream: Stream,
    pub(super) from: Inside,
    pub(super) to: OwnedFd,
    pub(super) scan: Option<Box<dyn LeakScan>>,
    pub(super) tee: Option<Arc<dyn Tee>>,
    pub(super) gates: Gates,
    pub(super) notes: Sendbox,
    /// It waits, and holds nothing that it could write.
    pub(super) idle: Arc<AtomicBool>,
}

/// What to do next.
enum Next {
    Read,
    /// Nothing came while bytes were held back.
    Flush,
    Look,
    End(Done),
}

impl Pump {
    pub(super) fn flow(&self) -> Flow {
        let (Inside::Pipe(from) | Inside::Pty(from)) = &self.from;
        Flow { from: Arc::downgrade(from), idle: Arc::clone(&self.idle) }
    }

    /// Until the stream ends. Dropping `self` at the end closes the inside's pipe, so a command that
    /// goes on writing gets SIGPIPE, as it would without us.
    pub(super) fn run(self) {
        let idle = Arc::clone(&self.idle);
        let mut state = State { buffer: vec![0; CHUNK], held: 0, linger: None, pump: self };
        let done = Report { stream: state.pump.stream, notes: state.pump.notes.clone(), done: None };
        let why = state.pass();
        drop(state);
        idle.store(true, Ordering::SeqCst);
        done.because(why);
    }
}

/// Says that a thread is done, also when it panics: the loop must never wait for it in vain.
pub(super) struct Report {
    pub(super) stream: Stream,
    pub(super) notes: Sendbox,
    pub(super) done: Option<Done>,
}

impl Report {
    pub(super) fn because(mut self, why: Done) {
        self.done = Some(why);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let why = self.done.unwrap_or(Done::Refused(Errno::CANCELED));
        self.notes.send(Note::Done(self.stream, why));
    }
}

struct State {
    pump: Pump,
    /// The first `held` bytes were read and scanned, and wait.
    buffer: Vec<u8>,
    held: usize,
    linger: Option<Instant>,
}

impl State {
    fn pass(&mut self) -> Done {
        loop {
            let step = match self.next() {
                Ok(Next::Read) => self.read(),
                Ok(Next::Flush) => self.release(self.held),
                Ok(Next::Look) => Ok(()),
                Ok(Next::End(done)) => Err(done),
                Err(errno) => Err(Done::Refused(errno)),
            };
            if let Err(done) = step {
                return match self.release(self.held) {
                    Err(refused @ Done::Refused(_)) if done == Done::Finished => refused,
                    _ => done,
                };
            }
        }
    }

    fn next(&mut self) -> Result<Next, Errno> {
        let is_pty = matches!(self.pump.from, Inside::Pty(_));
        // The latch is left out once it was seen: it would wake us for ever.
        let gone = if self.linger.is_some() { PollFlags::empty() } else { PollFlags::IN };
        let hold = (self.held > 0).then(|| Instant::now() + HOLD);
        let until = [hold, self.linger].into_iter().flatten().min();
        let (Inside::Pipe(from) | Inside::Pty(from)) = &self.pump.from;
        let from = from.as_fd();
        self.pump.idle.store(true, Ordering::SeqCst);
        let ready = wait_for(
            [
                (from, PollFlags::IN),
                // Nothing asked: a reader that left shows by itself.
                (self.pump.to.as_fd(), PollFlags::empty()),
                (self.pump.gates.gone.as_fd(), gone),
            ],
            until,
        );
        self.pump.idle.store(false, Ordering::SeqCst);
        let [from, to, gone] = ready?;
        if to.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Ok(Next::End(Done::Refused(Errno::PIPE)));
        }
        if gone.contains(PollFlags::IN) {
            self.linger = Some(Instant::now() + LINGER);
        }
        if from.contains(PollFlags::IN) {
            if self.linger.is_some_and(|linger| Instant::now() >= linger) {
                return Ok(Next::End(self.last_look()));
            }
            return Ok(Next::Read);
        }
        if from.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Ok(if is_pty { self.nobody_there()? } else { Next::Read });
        }
        if self.linger.is_some_and(|linger| Instant::now() >= linger) {
            return Ok(Next::End(Done::Finished));
        }
        Ok(if hold.is_some() { Next::Flush } else { Next::Look })
    }

    /// A process that outlived `init` writes and writes: what is there now is all that still goes.
    fn last_look(&mut self) -> Done {
        let (Inside::Pipe(from) | Inside::Pty(from)) = &self.pump.from;
        let mut left = usize::try_from(ioctl_fionread(&**from).unwrap_or(0)).unwrap_or(0);
        while left > 0 {
            let before = left;
            match self.read_at_most(left) {
                Ok(read) => left = left.saturating_sub(read),
                Err(done) => return done,
            }
            if left == before {
                break;
            }
        }
        Done::Finished
    }

    fn nobody_there(&mut self) -> Result<Next, Errno> {
        if self.linger.is_some() {
            return Ok(Next::End(Done::Finished));
        }
        if self.held > 0 {
            return Ok(Next::Flush);
        }
        wait_for([(self.pump.gates.gone.as_fd(), PollFlags::IN)], Some(Instant::now() + NOBODY_THERE))?;
        Ok(Next::Look)
    }

    fn read(&mut self) -> Result<(), Done> {
        self.read_at_most(usize::MAX).map(|_| ())
    }

    /// Reads once and passes on what may go.
    fn read_at_most(&mut self, limit: usize) -> Result<usize, Done> {
        // Room is made if a scanner ever holds back nearly a whole buffer.
        if self.buffer.len() - self.held < CHUNK / 2 {
            self.buffer.resize(self.held + CHUNK, 0);
        }
        let (_, free) = self.buffer.split_at_mut(self.held);
        let room = free.len().min(limit);
        let chunk = &mut free[..room];
        let (Inside::Pipe(from) | Inside::Pty(from)) = &self.pump.from;
        let read = retry_on_intr(|| rustix::io::read(&**from, &mut *chunk));
        let read = match (read, &self.pump.from) {
            (Ok(0), _) => return Err(Done::Finished),
            (Ok(read), _) => read,
            (Err(Errno::AGAIN), _) | (Err(Errno::IO), Inside::Pty(_)) => return Ok(0),
            (Err(errno), _) => return Err(Done::Refused(errno)),
        };
        let total = self.held + read;
        let mut holding = 0;
        if let Some(scan) = &mut self.pump.scan {
            if let Some(leak) = scan.feed(&self.buffer[self.held..total]) {
                return Err(self.found(leak, read));
            }
            holding = scan.pending().min(total);
        }
        self.held = total;
        self.release(total - holding)?;
        Ok(read)
    }

    /// Everything stops here. The loop is told before the clean bytes go, for they may have to wait.
    fn found(&mut self, leak: super::Leak, read: usize) -> Done {
        let was_sealed = self.pump.gates.sealed.swap(true, Ordering::SeqCst);
        // What was held may be the leak's beginning unless this chunk has clean bytes of its own.
        let start = leak.start_in_chunk.min(read);
        let clean = if start > 0 { self.held + start } else { 0 };
        self.held = 0;
        self.pump.notes.send(Note::Leak(self.pump.stream, leak));
        if !was_sealed {
            let clean = self.buffer.get(..clean).unwrap_or_default();
            let _ = write_all(&self.pump.to, clean);
            if let (Some(tee), false) = (&self.pump.tee, clean.is_empty()) {
                tee.bytes(self.pump.stream, clean);
            }
        }
        Done::Finished
    }

    /// Writes the first `count` of the held bytes and keeps the rest.
    fn release(&mut self, count: usize) -> Result<(), Done> {
        if count == 0 {
            return Ok(());
        }
        if self.pump.gates.sealed.load(Ordering::SeqCst) {
            self.held = 0;
            return Err(Done::Finished);
        }
        let bytes = &self.buffer[..count];
        let written = match &self.pump.from {
            Inside::Pty(master) if doubles_carriage_returns(master, &self.pump.to) => {
                write_all(&self.pump.to, &without_carriage_returns(bytes))
            }
            _ => write_all(&self.pump.to, bytes),
        };
        if let (Some(tee), Ok(())) = (&self.pump.tee, written) {
            tee.bytes(self.pump.stream, bytes);
        }
        self.buffer.copy_within(count..self.held, 0);
        self.held -= count;
        written.map_err(|errno| {
            self.held = 0;
            Done::Refused(errno)
        })
    }
}

/// In a pipeline the user's terminal stays as it was, and then both terminals would turn a line feed
/// into two bytes.
fn doubles_carriage_returns(master: &OwnedFd, screen: &OwnedFd) -> bool {
    adds_carriage_returns(screen) && adds_carriage_returns(master)
}

fn without_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().peekable();
    while let Some(&byte) = rest.next() {
        if byte != b'\r' || rest.peek() != Some(&&b'\n') {
            kept.push(byte);
        }
    }
    kept
}

/// All of it, however slow the reader and whatever its flags: another process may have made the open
/// file non-blocking.
pub(super) fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                wait_for([(to.as_fd(), PollFlags::OUT)], None)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
