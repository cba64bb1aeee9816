//! Where lines go: the run's record, which keeps everything it can, and live sinks, which delay nobody.
//!
//! A sink that fails stops no other. What it did not take is counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shieldrun_policy::schema::SinkName;

use super::Lost;
use super::relay::{self, Relay};

/// A live sink, as the command line named it.
#[derive(Debug)]
pub(crate) struct Sink {
    name: String,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Open(File),
    /// A FIFO opens only when its reader comes, which must not hold up the run.
    Fifo(PathBuf),
    /// A receiver that may be down, and the record to read from.
    Relay {
        to: SinkName,
        run_id: String,
        record: File,
    },
}

/// A sink that runs.
pub(super) enum Started {
    Live(Live),
    Relay(Relay),
}

impl Sink {
    /// `--events FILE`: appended to, made if it is not there.
    pub(crate) fn file(path: &Path) -> io::Result<Self> {
        let name = format!("`{}`", path.display());
        let is_fifo = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
        let target = if is_fifo {
            Target::Fifo(path.to_owned())
        } else {
            Target::Open(OpenOptions::new().append(true).create(true).mode(0o600).open(path)?)
        };
        Ok(Sink { name, target })
    }

    /// `--events fd:N`, the descriptor already taken over.
    pub(crate) fn descriptor(fd: OwnedFd, number: i32) -> Self {
        Sink { name: format!("descriptor {number}"), target: Target::Open(File::from(fd)) }
    }

    /// `--sink`: `record` is the log of the run, open for reading.
    pub(crate) fn relay(to: SinkName, run_id: &str, record: File) -> Self {
        Sink { name: to.to_string(), target: Target::Relay { to, run_id: run_id.to_owned(), record } }
    }

    /// Starts its thread.
    pub(super) fn start(self) -> io::Result<Started> {
        if let Target::Relay { to, run_id, record } = self.target {
            return Relay::start(self.name, relay::carrier(&to, &run_id), record).map(Started::Relay);
        }
        self.live().map(Started::Live)
    }

    fn live(self) -> io::Result<Live> {
        let (channel, queue) = unbounded();
        let (end, ended) = bounded::<()>(0);
        let state = Arc::new(LiveState::default());
        let shared = Arc::clone(&state);
        let target = self.target;
        std::thread::Builder::new().name("log-sink".to_owned()).spawn(move || {
            // Dropped when the thread ends, which is what `finish` waits for.
            let _end = end;
            if let Err(error) = deliver(target, &queue, &shared) {
                shared.fail(&error);
                // The queue goes on being emptied, or its memory would be held to the end.
                while let Ok(batch) = queue.recv() {
                    shared.waiting.fetch_sub(batch.bytes.len(), Ordering::Relaxed);
                }
            }
        })?;
        Ok(Live { name: self.name, channel, ended, state, offered: 0 })
    }
}

/// Lines that belong together.
struct Batch {
    bytes: Arc<[u8]>,
    lines: u64,
}

/// The side of a live sink that the log writer holds.
pub(super) struct Live {
    name: String,
    channel: Sender<Batch>,
    ended: Receiver<()>,
    state: Arc<LiveState>,
    offered: u64,
}

#[derive(Default)]
struct LiveState {
    waiting: AtomicUsize,
    delivered: AtomicU64,
    failed: AtomicBool,
    reason: std::sync::Mutex<Option<String>>,
}

impl LiveState {
    fn fail(&self, error: &io::Error) {
        self.failed.store(true, Ordering::Relaxed);
        if let Ok(mut reason) = self.reason.lock() {
            *reason = Some(error.to_string());
        }
    }
}

/// A reader this far behind gets no more until it has caught up.
const MOST_WAITING: usize = 8 << 20;

/// How long the end of a run waits for a reader that is behind.
const FAREWELL: Duration = Duration::from_secs(2);

impl Live {
    /// Queues lines; never waits.
    pub(super) fn offer(&mut self, bytes: &Arc<[u8]>, lines: u64) {
        self.offered += lines;
        if self.state.failed.load(Ordering::Relaxed) {
            return;
        }
        if self.state.waiting.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len() > MOST_WAITING {
            self.state.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
            return;
        }
        // The thread ends only after this side is gone.
        let _ = self.channel.send(Batch { bytes: Arc::clone(bytes), lines });
    }

    /// Waits for the last lines, within bounds; says what was lost.
    pub(super) fn finish(self) -> Option<Lost> {
        drop(self.channel);
        let _ = self.ended.recv_timeout(FAREWELL);
        let lines = self.offered - self.state.delivered.load(Ordering::Relaxed).min(self.offered);
        if lines == 0 {
            return None;
        }
        let reason = self.state.reason.lock().ok().and_then(|mut reason| reason.take());
        Some(Lost {
            sink: self.name,
            lines,
            reason: reason.unwrap_or_else(|| "its reader was too slow".to_owned()),
        })
    }
}

fn deliver(target: Target, queue: &Receiver<Batch>, state: &LiveState) -> io::Result<()> {
    let mut file = match target {
        Target::Open(file) => file,
        Target::Fifo(path) => OpenOptions::new().write(true).open(path)?,
        // It has a thread of its own kind.
        Target::Relay { .. } => return Ok(()),
    };
    while let Ok(batch) = queue.recv() {
        write_all(&mut file, &batch.bytes)?;
        state.waiting.fetch_sub(batch.bytes.len(), Ordering::Relaxed);
        state.delivered.fetch_add(batch.lines, Ordering::Relaxed);
    }
    Ok(())
}

/// Like `write_all`, and waits where the descriptor does not block: whoever gave it to us may have set that,
/// and it is theirs to set.
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(file, PollFlags::OUT)];
                match poll(&mut fds, None::<&Timespec>) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The run's own file.
pub(super) struct Record {
    file: File,
    /// Bytes that the disk did not take yet.
    pending: Vec<u8>,
    /// Bytes of the file that end with a whole line, and all bytes of it.
    whole: u64,
    written: u64,
    lost: u64,
    reason: Option<String>,
}

/// What is kept for a disk that is full, in the hope that it will not stay so.
const MOST_PENDING: usize = 4 << 20;

impl Record {
    pub(super) fn new(file: File) -> Self {
        Record { file, pending: Vec::new(), whole: 0, written: 0, lost: 0, reason: None }
    }

    /// Writes lines, or keeps them, or counts them as lost.
    pub(super) fn write(&mut self, bytes: &[u8], lines: u64) {
        if !self.retry() && self.pending.len() + bytes.len() > MOST_PENDING {
            self.lost += lines;
            return;
        }
        if self.pending.is_empty() {
            let written = self.put(bytes);
            self.pending.extend_from_slice(bytes.get(written..).unwrap_or_default());
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// Whether lines are waiting for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Tries again what the disk did not take; whether nothing is left.
    pub(super) fn retry(&mut self) -> bool {
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            let written = self.put(&pending);
            self.pending = pending;
            self.pending.drain(..written);
        }
        self.pending.is_empty()
    }

    /// Lines lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Leaves whole lines only; says what was lost.
    pub(super) fn finish(mut self) -> Option<Lost> {
        if !self.retry() {
            self.lost += self.pending.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        if self.whole < self.written {
            // Cutting needs no space. If even that fails, `verify` names the line.
            let _ = self.file.set_len(self.whole);
        }
        let reason = self.reason.unwrap_or_default();
        (self.lost > 0).then(|| Lost { sink: "the run record".to_owned(), lines: self.lost, reason })
    }

    /// Writes as much as goes.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(self.file.as_fd(), rest) {
                Ok(0) => break,
                Ok(written) => {
                    let part = rest.get(..written).unwrap_or(rest);
                    if let Some(end) = part.iter().rposition(|byte| *byte == b'\n') {
                        self.whole = self.written + end as u64 + 1;
                    }
                    self.written += written as u64;
                    done += written;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => {
                    self.reason = Some(io::Error::from(errno).to_string());
                    break;
                }
            }
        }
        done
    }
}
