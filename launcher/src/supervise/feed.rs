//! stdin: from outside to the command, and not a byte more than it reads. A thread of its own.
//!
//! A process that takes what it does not use would break `while read line; do shieldrun -- …; done`.
//! So nothing is taken from outside until the command has read it: a pipe is looked at with tee(2), a
//! socket with MSG_PEEK, a file at a position of our own. Whether the command has read is seen at our
//! pipe: it holds one page, and has room again when that page is empty.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::{Errno, ioctl_fionread, retry_on_intr};
use rustix::net::RecvFlags;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, tee};

use super::Tee;
use super::latch::{Done, Latch, Sendbox, wait_for};
use super::pump::Report;
use crate::stdio::{Input, InputKind, Stream};

/// What is moved at once where a seek undoes it, or to a command that reads and reads.
const CHUNK: usize = 64 << 10;
/// What is moved at once elsewhere; also what a pipe takes whole or not at all (PIPE_BUF).
const PAGE: usize = 4096;
/// So much in pages makes a command that reads and reads.
const STREAK: usize = 256 << 10;
/// Pauses between looks at what such a command has left.
const SHORTEST: Duration = Duration::from_micros(10);
const LONGEST: Duration = Duration::from_millis(20);

/// Feeds the command's stdin.
pub(super) struct Feed {
    pub(super) input: Input,
    pub(super) tee: Option<Arc<dyn Tee>>,
    /// The command has ended.
    pub(super) ended: Latch,
    pub(super) notes: Sendbox,
}

/// How to look without taking.
enum Look {
    /// Reading at a position does not move the file's own. Where we began, and how much was sent.
    At {
        start: u64,
        sent: u64,
    },
    /// Through a pipe of ours, so that no page of the outer pipe is shared with the inside.
    Copy {
        read: OwnedFd,
        write: OwnedFd,
    },
    Peek,
    /// There is no looking: what was read is taken.
    Take,
}

impl Feed {
    /// Until the outside has no more, the command wants no more, or it ended.
    pub(super) fn run(self) {
        let report = Report { stream: Stream::Stdin, notes: self.notes.clone(), done: None };
        let why = match self.pass() {
            Ok(()) => Done::Finished,
            Err(errno) => Done::Refused(errno),
        };
        report.because(why);
    }

    fn pass(self) -> Result<(), Errno> {
        let Input { from, to, kind } = self.input;
        let mut look = Look::new(kind, &from, &to)?;
        let mut pace = Pace::new();
        let mut buffer = vec![0; CHUNK];
        // Looked at and sent, not yet taken.
        let mut ahead = 0;
        loop {
            let wants_more = if look.is_exact() {
                pace.wait_until_read(&to, ahead, &self.ended)?
            } else {
                has_room(&to, &self.ended)?
            };
            if !wants_more {
                return look.give_back(&from, ahead, unread(&to), &mut buffer);
            }
            look.take(&from, ahead, &mut buffer)?;
            ahead = 0;

            let [data, refused, over] = wait_for(
                [
                    (from.as_fd(), PollFlags::IN),
                    (to.as_fd(), PollFlags::empty()),
                    (self.ended.as_fd(), PollFlags::IN),
                ],
                None,
            )?;
            if over.contains(PollFlags::IN) || refused.contains(PollFlags::ERR) {
                return look.give_back(&from, 0, unread(&to), &mut buffer);
            }
            if data.is_empty() {
                continue;
            }
            let window = if kind == InputKind::Seekable { CHUNK } else { pace.window };
            let seen = match look.look(&from, &mut buffer[..window]) {
                Ok(0) => break,
                Ok(seen) => seen,
                // Somebody else took it first.
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            };
            let bytes = buffer.get(..seen).unwrap_or_default();
            let sent = match rustix::io::write(&to, bytes) {
                Ok(sent) => sent,
                Err(Errno::AGAIN | Errno::INTR) => 0,
                // The command closed its end just now.
                Err(_) => return look.give_back(&from, 0, unread(&to), &mut buffer),
            };
            if let (Some(tee), false) = (&self.tee, sent == 0) {
                tee.bytes(Stream::Stdin, bytes.get(..sent).unwrap_or_default());
            }
            look.sent(sent);
            ahead = sent;
        }
        look.end(&from, to, &self.ended)
    }
}

/// How much is sent ahead at once to a command whose reading must be seen exactly.
///
/// One page is enough for the kernel to tell us when it was read: the pipe is full before and empty
/// after. But it costs two switches a page. To a command that reads and reads we send more, and then
/// have to look again and again whether all was read; as soon as it stops reading, the page is back.
struct Pace {
    window: usize,
    /// Sent since the window last changed.
    streak: usize,
}

impl Pace {
    fn new() -> Self {
        Self { window: PAGE, streak: 0 }
    }

    /// Waits until the command has read everything we sent. False if it never will.
    fn wait_until_read(&mut self, to: &OwnedFd, sent: usize, ended: &Latch) -> Result<bool, Errno> {
        if !has_room(to, ended)? {
            return Ok(false);
        }
        self.streak += sent;
        if self.window == PAGE {
            if self.streak >= STREAK && fcntl_setpipe_size(to, CHUNK).is_ok() {
                *self = Self { window: CHUNK, streak: 0 };
            }
            return Ok(true);
        }
        let mut pause = SHORTEST;
        while unread(to) > 0 {
            let until = Instant::now() + pause;
            if has_closed(to, ended, until)? {
                return Ok(false);
            }
            pause = (pause * 2).min(LONGEST);
        }
        if pause == LONGEST && fcntl_setpipe_size(to, PAGE).is_ok() {
            *self = Self::new();
        }
        Ok(true)
    }
}

/// Waits for room in the pipe: true. False if the command wants no more.
fn has_room(to: &OwnedFd, ended: &Latch) -> Result<bool, Errno> {
    let [room, over] = wait_for([(to.as_fd(), PollFlags::OUT), (ended.as_fd(), PollFlags::IN)], None)?;
    Ok(!over.contains(PollFlags::IN) && !room.contains(PollFlags::ERR))
}

/// Waits until then, or until the command wants no more: true.
fn has_closed(to: &OwnedFd, ended: &Latch, until: Instant) -> Result<bool, Errno> {
    let [closed, over] =
        wait_for([(to.as_fd(), PollFlags::empty()), (ended.as_fd(), PollFlags::IN)], Some(until))?;
    Ok(over.contains(PollFlags::IN) || closed.contains(PollFlags::ERR))
}

impl Look {
    fn new(kind: InputKind, from: &OwnedFd, to: &OwnedFd) -> Result<Self, Errno> {
        Ok(match kind {
            InputKind::Seekable => match rustix::fs::tell(from) {
                Ok(start) => Self::At { start, sent: 0 },
                Err(_) => Self::Take,
            },
            // Without a one-page pipe "room" would not mean "empty".
            InputKind::Pipe if fcntl_getpipe_size(to).is_ok_and(is_one_page) => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                Self::Copy { read, write }
            }
            InputKind::Socket if fcntl_getpipe_size(to).is_ok_and(is_one_page) => Self::Peek,
            InputKind::Pipe | InputKind::Socket | InputKind::Stream => Self::Take,
        })
    }

    /// The next bytes; 0 at the end.
    fn look(&mut self, from: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::At { start, sent } => {
                retry_on_intr(|| rustix::io::pread(from, &mut *buffer, *start + *sent))
            }
            Self::Copy { read, write } => {
                let seen = retry_on_intr(|| tee(from, &*write, buffer.len(), SpliceFlags::NONBLOCK))?;
                let mut filled = 0;
                while filled < seen {
                    match retry_on_intr(|| rustix::io::read(&*read, &mut buffer[filled..seen]))? {
                        0 => return Err(Errno::IO),
                        more => filled += more,
                    }
                }
                Ok(seen)
            }
            Self::Peek => {
                let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
                retry_on_intr(|| rustix::net::recv(from, &mut *buffer, flags)).map(|(read, _)| read)
            }
            Self::Take => retry_on_intr(|| rustix::io::read(from, &mut *buffer)),
        }
    }

    /// Whether what was read is known to the byte at any time.
    fn is_exact(&self) -> bool {
        matches!(self, Self::Copy { .. } | Self::Peek)
    }

    fn sent(&mut self, count: usize) {
        if let Self::At { sent, .. } = self {
            *sent += count as u64;
        }
    }

    /// Takes from outside what the command has read by now.
    fn take(&mut self, from: &OwnedFd, mut count: usize, sink: &mut [u8]) -> Result<(), Errno> {
        while count > 0 {
            let room = count.min(sink.len());
            let sink = &mut sink[..room];
            let taken = match self {
                Self::At { .. } | Self::Take => return Ok(()),
                Self::Copy { .. } => retry_on_intr(|| rustix::io::read(from, &mut *sink))?,
                Self::Peek => retry_on_intr(|| rustix::net::recv(from, &mut *sink, RecvFlags::DONTWAIT))?.0,
            };
            if taken == 0 {
                break;
            }
            count -= taken.min(count);
        }
        Ok(())
    }

    /// The command reads no more: leaves the outside as if it had read there itself.
    fn give_back(
        &mut self,
        from: &OwnedFd,
        ahead: usize,
        unread: usize,
        sink: &mut [u8],
    ) -> Result<(), Errno> {
        match self {
            Self::At { start, sent } => {
                let place = *start + sent.saturating_sub(unread as u64);
                rustix::fs::seek(from, SeekFrom::Start(place)).map(|_| ())
            }
            _ => self.take(from, ahead.saturating_sub(unread), sink),
        }
    }

    /// The outside has no more. What the command leaves unread of a file is known at its end only, and
    /// our end of the pipe must be closed before, so the count is taken at the other one.
    fn end(mut self, from: &OwnedFd, to: OwnedFd, ended: &Latch) -> Result<(), Errno> {
        if !matches!(self, Self::At { .. }) {
            return Ok(());
        }
        let path = format!("/proc/self/fd/{}", to.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let other = rustix::fs::open(path, flags, Mode::empty());
        drop(to);
        wait_for([(ended.as_fd(), PollFlags::IN)], None)?;
        self.give_back(from, 0, other.map_or(0, |other| unread(&other)), &mut [])
    }
}

fn unread(pipe: &OwnedFd) -> usize {
    ioctl_fionread(pipe).ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

fn is_one_page(size: usize) -> bool {
    size == rustix::param::page_size()
}
