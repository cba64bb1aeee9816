//! A receiver of events that may be down: it is sent the lines of the record as it can take them.
//!
//! Owns the thread of one such receiver and its place in the record. The record is the spool: nothing is kept
//! in memory, nobody waits, and a receiver that comes back gets everything from where it was. What it has not
//! taken at the end of the run is counted.

mod datagram;
mod otel;
mod otlp;
mod stream;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shieldrun_policy::schema::SinkName;

use super::Lost;

/// How one kind of receiver takes lines.
pub(super) trait Carrier: Send {
    /// Sends from the front of these whole lines what goes, within a time. After an error the same lines are
    /// sent again, so a receiver may see a line twice and tells so by its number.
    fn carry(&mut self, lines: &[u8], within: Duration) -> Result<Carried, Trouble>;
}

/// What was taken off the front.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) bytes: usize,
    /// Lines that the receiver will never take.
    pub(super) refused: u64,
}

/// Why nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// It asked to be left alone for so long.
    pub(super) pause: Option<Duration>,
    /// Nobody is there, so the end of a run does not wait for a second attempt.
    pub(super) is_absent: bool,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
        let is_absent = matches!(error.kind(), ConnectionRefused | NotFound | PermissionDenied);
        Trouble { why: error.to_string(), pause: None, is_absent }
    }
}

/// One receiver, as the log writer holds it.
pub(super) struct Relay {
    name: String,
    shared: Arc<Shared>,
}

/// What both threads know.
#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
    /// Lines that are done with.
    done: AtomicU64,
    refused: AtomicU64,
    closing: AtomicBool,
}

#[derive(Default)]
struct Progress {
    /// Lines of the record that are there.
    written: u64,
    /// Until when the thread may go on after the end.
    until: Option<Instant>,
    /// The last attempt found nobody.
    is_down: bool,
    /// Attempts so far.
    attempts: u64,
    why: Option<String>,
    /// It was waited for, in vain: not twice.
    was_given_up: bool,
    is_over: bool,
}

/// So much is sent at once.
const BATCH: usize = 128 << 10;
/// One line is not longer (see the chain).
const LONGEST: usize = 32 << 20;
/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// One attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How long the end of a run waits for a receiver that takes lines, but is behind.
const FAREWELL: Duration = Duration::from_secs(2);

/// How such a receiver is reached.
pub(super) fn carrier(name: &SinkName, run_id: &str) -> Box<dyn Carrier> {
    match name {
        SinkName::Unix(path) => Box::new(stream::Stream::new(path.clone())),
        SinkName::Syslog(path) => Box::new(datagram::Datagram::syslog(path.clone())),
        SinkName::Journald(path) => Box::new(datagram::Datagram::journald(path.clone(), run_id)),
        SinkName::Otlp(base) => Box::new(otlp::Otlp::new(base)),
    }
}

impl Relay {
    /// Starts its thread. `record` is the log, open for reading.
    pub(super) fn start(name: String, carrier: Box<dyn Carrier>, record: File) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("log-relay".to_owned()).spawn(move || {
            let mut runner = Runner { carrier, record, at: 0, lines: 0, shared: theirs };
            runner.run();
            runner.shared.lock().is_over = true;
            runner.shared.changed.notify_all();
        })?;
        Ok(Relay { name, shared })
    }

    /// There are so many lines now. Never waits.
    pub(super) fn written(&self, lines: u64) {
        self.shared.lock().written = lines;
        self.shared.changed.notify_all();
    }

    /// Waits until it has taken the lines so far: a short while if it takes any, one attempt if it is down.
    /// How many it has not.
    pub(super) fn settle(&self) -> u64 {
        let mut progress = self.shared.lock();
        let until = Instant::now() + if progress.was_given_up { Duration::ZERO } else { FAREWELL };
        let attempts = progress.attempts;
        progress.until = Some(until);
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        loop {
            let missing = progress.written.saturating_sub(self.shared.done.load(Ordering::Relaxed));
            let gave_up = progress.is_down && progress.attempts > attempts;
            let left = until.saturating_duration_since(Instant::now());
            if missing == 0 || gave_up || progress.is_over || left.is_zero() {
                progress.was_given_up = missing > 0;
                return missing + self.shared.refused.load(Ordering::Relaxed);
            }
            progress =
                self.shared.changed.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The name that counts of it go by.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The last lines; says what was lost.
    pub(super) fn finish(self) -> Option<Lost> {
        let lines = self.settle();
        let mut progress = self.shared.lock();
        progress.until = Some(Instant::now());
        self.shared.changed.notify_all();
        let reason = progress.why.take().unwrap_or_else(|| "it was too slow".to_owned());
        (lines > 0).then(|| Lost { sink: self.name.clone(), lines, reason })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Runner {
    carrier: Box<dyn Carrier>,
    record: File,
    /// Where the next line begins.
    at: u64,
    /// Lines before it.
    lines: u64,
    shared: Arc<Shared>,
}

impl Runner {
    fn run(&mut self) {
        let mut pause = PAUSES.0;
        while let Some(within) = self.wait_for_lines() {
            let sent = self.read().map_err(Trouble::from).and_then(|lines| {
                let carried = self.carrier.carry(&lines, within)?;
                let count =
                    lines.get(..carried.bytes).unwrap_or(&lines).iter().filter(|b| **b == b'\n').count();
                Ok((carried, count as u64))
            });
            let mut progress = self.shared.lock();
            progress.attempts += 1;
            match sent {
                Ok((carried, count)) => {
                    self.at += carried.bytes as u64;
                    self.lines += count;
                    self.shared.done.store(self.lines, Ordering::Relaxed);
                    self.shared.refused.fetch_add(carried.refused, Ordering::Relaxed);
                    if carried.refused > 0 {
                        progress.why = Some("it refused them".to_owned());
                    }
                    progress.is_down = false;
                    pause = PAUSES.0;
                    self.shared.changed.notify_all();
                }
                Err(trouble) => {
                    progress.is_down = trouble.is_absent;
                    progress.why = Some(trouble.why);
                    self.shared.changed.notify_all();
                    let until =
                        Instant::now() + trouble.pause.unwrap_or(pause).min(Duration::from_secs(3600));
                    pause = (pause * 2).min(PAUSES.1);
                    let was_closing = self.shared.closing.load(Ordering::Relaxed);
                    // The end of the run is worth one more attempt.
                    while self.shared.closing.load(Ordering::Relaxed) == was_closing {
                        let left = until.saturating_duration_since(Instant::now());
                        if left.is_zero() || progress.until.is_some_and(|end| Instant::now() >= end) {
                            break;
                        }
                        progress = self
                            .shared
                            .changed
                            .wait_timeout(progress, left)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0;
                    }
                }
            }
        }
    }

    /// Waits until there is a line to send; how long that may take. None at the end.
    fn wait_for_lines(&self) -> Option<Duration> {
        let mut progress = self.shared.lock();
        loop {
            let left = match progress.until {
                Some(until) => until.saturating_duration_since(Instant::now()),
                None => ATTEMPT,
            };
            if left.is_zero() {
                return None;
            }
            if progress.written > self.lines {
                return Some(left.min(ATTEMPT));
            }
            let waited = self.shared.changed.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next whole lines.
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut size = BATCH;
        loop {
            let mut lines = vec![0; size];
            let read = self.record.read_at(&mut lines, self.at)?;
            lines.truncate(read);
            match lines.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => {
                    lines.truncate(end + 1);
                    return Ok(lines);
                }
                None if read == size && size < LONGEST => size *= 4,
                // A full disk: the line is not there yet.
                None => return Err(io::Error::new(io::ErrorKind::WouldBlock, "the record has no more")),
            }
        }
    }
}

#[cfg(test)]
mod tests;
