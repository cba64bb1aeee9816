//! How the threads and the loop tell each other things: a latch that stays set, and a mailbox that
//! wakes a poll(2). No bytes of the command pass here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, retry_on_intr};

use super::Leak;
use crate::stdio::Stream;

/// Something that happens once. Its descriptor is readable from then on.
#[derive(Clone, Debug)]
pub(super) struct Latch(Arc<OwnedFd>);

impl Latch {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    pub(super) fn set(&self) {
        // Fails only when the counter is full, and then it is set.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Latch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What a thread has to say.
#[derive(Debug)]
pub(super) enum Note {
    /// A real secret; the thread has sealed all output.
    Leak(Stream, Leak),
    /// The thread is done with its stream.
    Done(Stream, Done),
}

/// Why a thread is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Everything was moved, or the command wants no more.
    Finished,
    /// The outside takes no more.
    Refused(Errno),
}

/// The threads' end of the mailbox.
#[derive(Clone, Debug)]
pub(super) struct Sendbox {
    notes: Sender<Note>,
    wake: Latch,
}

/// The loop's end.
#[derive(Debug)]
pub(super) struct Mailbox {
    notes: Receiver<Note>,
    wake: Latch,
}

pub(super) fn mailbox() -> Result<(Sendbox, Mailbox), Errno> {
    let (sender, receiver) = unbounded();
    let wake = Latch::new()?;
    Ok((Sendbox { notes: sender, wake: wake.clone() }, Mailbox { notes: receiver, wake }))
}

impl Sendbox {
    pub(super) fn send(&self, note: Note) {
        // The loop may have given us up and gone.
        if self.notes.send(note).is_ok() {
            self.wake.set();
        }
    }
}

impl Mailbox {
    /// All that has come in. The wake-up is taken back first, so that none gets lost in between.
    pub(super) fn take(&self) -> impl Iterator<Item = Note> + '_ {
        let _ = rustix::io::read(&*self.wake.0, &mut [0_u8; 8]);
        self.notes.try_iter()
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// What poll(2) found on each of the descriptors, in their order; all empty when time ran out.
pub(super) fn wait_for<const N: usize>(
    fds: [(BorrowedFd<'_>, PollFlags); N],
    until: Option<Instant>,
) -> Result<[PollFlags; N], Errno> {
    let mut polled = fds.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
    poll_until(&mut polled, until)?;
    Ok(polled.map(|fd| fd.revents()))
}

/// poll(2) with a point in time instead of a span.
pub(super) fn poll_until(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<(), Errno> {
    retry_on_intr(|| {
        let left = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        poll(fds, left.as_ref())
    })?;
    Ok(())
}

fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: span.subsec_nanos().into(),
    }
}
