//! From a started `init` to the command's end: one loop over a closed set of events.
//!
//! This file owns what goes in and what comes out. It begins in [`start`]; the loop is in [`watch`], the terminal's side of job
//! control in [`job`], the threads that move bytes in [`pump`] (out) and [`feed`] (in). Starting the
//! tree, printing and the record are not ours: whoever calls gets an [`Outcome`] and an [`Observer`].

mod feed;
mod job;
mod latch;
mod pump;
mod start;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::stdio::{Outer, Stream};
use crate::sys::signals::Signals;

pub(crate) use start::supervise;

/// A tree that was set up and waits for `GO`.
#[derive(Debug)]
pub(crate) struct Running {
    /// Our end of the control socket.
    pub(crate) control: OwnedFd,
    /// The pidfd of `init`.
    pub(crate) init: OwnedFd,
    /// The flags for `GO`; whether the command gets the keyboard is added here.
    pub(crate) go: i32,
    /// Where its bytes come from and go to.
    pub(crate) stdio: Outer,
    /// The master of the inner terminal.
    pub(crate) pty: Option<OwnedFd>,
    /// What nobody needs once the command runs.
    pub(crate) spent: Vec<OwnedFd>,
    /// Blocked since before clone.
    pub(crate) signals: Signals,
}

/// How far the command may go.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Wall-clock time.
    pub(crate) timeout: Option<Duration>,
}

/// A real secret in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leak {
    /// The registry's id of the secret.
    pub(crate) id: String,
    /// Its name, for a person.
    pub(crate) name: String,
    /// In which form it was seen.
    pub(crate) encoding: &'static str,
    /// The bytes of the chunk before this one were clean. 0 if it began in an earlier chunk.
    pub(crate) start_in_chunk: usize,
}

/// Looks for real secrets in one stream.
pub(crate) trait LeakScan: Send {
    /// The next bytes of the stream.
    fn feed(&mut self, chunk: &[u8]) -> Option<Leak>;
    /// How many of the last bytes may be the beginning of a real value. They are held back a moment.
    fn pending(&self) -> usize;
}

/// Gets a copy of what passes, after the scan: what was withheld is not seen here either.
pub(crate) trait Tee: Send + Sync {
    /// Bytes that went by. May be called from several threads; the caller waits for it.
    fn bytes(&self, stream: Stream, bytes: &[u8]);
    /// The terminal's size, at start and at every change.
    fn resized(&self, columns: u16, rows: u16) {
        let _ = (columns, rows);
    }
}

/// Several who get it, each in turn.
pub(crate) struct Each(pub(crate) Vec<Arc<dyn Tee>>);

impl Tee for Each {
    fn bytes(&self, stream: Stream, bytes: &[u8]) {
        self.0.iter().for_each(|tee| tee.bytes(stream, bytes));
    }

    fn resized(&self, columns: u16, rows: u16) {
        self.0.iter().for_each(|tee| tee.resized(columns, rows));
    }
}

/// What is done with the bytes on their way.
#[derive(Default)]
pub(crate) struct Inspection<'a> {
    /// A fresh scanner for each stream that leaves, if there is anything to look for.
    pub(crate) scanner: Option<&'a dyn Fn(Stream) -> Box<dyn LeakScan>>,
    /// The record's copy.
    pub(crate) tee: Option<Arc<dyn Tee>>,
}

/// Is told what happens, in the loop's thread and at once. The terminal may be raw meanwhile: print
/// afterwards, from the [`Outcome`].
pub(crate) trait Observer {
    /// The command runs; its pid inside.
    fn started(&mut self, pid: i32) {
        let _ = pid;
    }
    /// A real secret was about to leave on this stream; the tree is dead by now or about to be.
    fn leak(&mut self, stream: Stream, leak: &Leak);
    /// Time is up: SIGTERM was sent.
    fn timed_out(&mut self, limit: Duration);
    /// A signal was passed on.
    fn signal(&mut self, signal: i32) {
        let _ = signal;
    }
    /// The outside took no more: the stream was closed. `EPIPE` is a reader that left, which is usual.
    fn output_closed(&mut self, stream: Stream, errno: Errno) {
        let _ = (stream, errno);
    }
    /// Called every [`Observer::interval`], and once more at the end: for draining what has no descriptor.
    fn tick(&mut self) {}
    /// How often [`Observer::tick`] is wanted.
    fn interval(&self) -> Option<Duration> {
        None
    }
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Why, and with which exit code.
    pub(crate) exit: Exit,
    /// From `GO` to the end.
    pub(crate) duration: Duration,
    /// The secret that was about to leave.
    pub(crate) leak: Option<(Stream, Leak)>,
    /// Whether the time limit ended it.
    pub(crate) timed_out: bool,
    /// Output that the outside refused for another reason than a reader that left: it is lost.
    pub(crate) lost_output: Option<(Stream, Errno)>,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command exited.
    Code(i32),
    /// The command was killed.
    Signal(i32),
    /// The command could not be executed.
    NotExecuted(Errno),
    /// Set-up failed after all: step and errno.
    SetupFailed(i32, Errno),
    /// Time was up.
    TimedOut,
    /// A real secret was about to leave.
    Leak,
    /// `init` ended without a word.
    InitLost,
}

impl Exit {
    /// The launcher's exit code, as far as the command's end decides it.
    #[cfg(test)]
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
            Self::NotExecuted(Errno::NOENT | Errno::NOTDIR) => 127,
            Self::NotExecuted(_) => 126,
            Self::SetupFailed(..) | Self::InitLost => 125,
            Self::TimedOut => 124,
            Self::Leak => 120,
        }
    }
}

/// What kept us from supervising. The tree is dead by the time it is returned.
#[derive(Debug)]
pub(crate) enum SuperviseError {
    /// No descriptor to wait on.
    Prepare(Errno),
    /// No thread for this stream.
    Thread(Stream, io::Error),
    /// Waiting for events failed.
    Wait(Errno),
    /// Signals could not be read.
    Signals(io::Error),
}

impl fmt::Display for SuperviseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare(_) => write!(f, "cannot prepare to watch the command"),
            Self::Thread(stream, _) => write!(f, "cannot start a thread for the command's {stream}"),
            Self::Wait(_) => write!(f, "cannot wait for the command"),
            Self::Signals(_) => write!(f, "cannot receive signals"),
        }
    }
}

impl std::error::Error for SuperviseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Prepare(errno) | Self::Wait(errno) => Some(errno),
            Self::Thread(_, error) | Self::Signals(error) => Some(error),
        }
    }
}
