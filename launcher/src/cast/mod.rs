//! `stdio.cast`: what the run printed and, where the policy says so, what it read, with its times (asciicast v3).
//!
//! Owns the file. It gets only what passed the leak scan, and looks once more: a value that left in two halves
//! is not put together here, and what was typed no scan has seen. Above its size it only counts, so that a
//! run which prints gigabytes pays for the first few megabytes.

mod calm;
mod hold;
mod replay;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use shieldrun_secrets::Scanner;

use crate::stdio::Stream;
use crate::supervise::Tee;
use hold::Hold;

pub(crate) use replay::{Pace, replay};

/// The file's name in a record.
pub(crate) const CAST: &str = "stdio.cast";

/// What is written is on disk after this time, if anything more comes.
const FLUSH: Duration = Duration::from_secs(1);

/// The recording of a run.
pub(crate) struct Cast {
    /// None where there is nothing to look for.
    scanner: Option<Arc<Scanner>>,
    records_input: bool,
    /// Bytes that may still be recorded.
    left: AtomicU64,
    /// Bytes that came when nothing was left.
    beyond: AtomicU64,
    state: Mutex<State>,
}

struct State {
    out: BufWriter<File>,
    title: String,
    begun: Instant,
    /// Of the last event, since the beginning.
    last: Duration,
    flushed: Duration,
    has_header: bool,
    size: (u16, u16),
    holds: [Hold; 5],
    failed: Option<io::Error>,
    ended: bool,
}

/// How a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What is held back is the end of the output.
    Whole,
    /// What is held back is the beginning of a real value.
    Leak,
}

impl Cast {
    /// Into this file, at most so many bytes of what is printed. `title` is the command, without a real value.
    pub(crate) fn new(
        file: File,
        title: String,
        scanner: Option<Arc<Scanner>>,
        size: u64,
        records_input: bool,
    ) -> Self {
        Self {
            scanner,
            records_input,
            left: AtomicU64::new(size),
            beyond: AtomicU64::new(0),
            state: Mutex::new(State {
                out: BufWriter::with_capacity(64 << 10, file),
                title,
                begun: Instant::now(),
                last: Duration::ZERO,
                flushed: Duration::ZERO,
                has_header: false,
                size: (80, 24),
                holds: Default::default(),
                failed: None,
                ended: false,
            }),
        }
    }

    /// Writes what was held back, and how it ended.
    ///
    /// # Errors
    /// When the file did not take everything.
    pub(crate) fn finish(&self, end: End, code: u8) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return Ok(());
        }
        for stream in STREAMS {
            let rest = state.holds[place(stream)].rest();
            if end == End::Whole {
                state.put(stream, &rest);
            }
        }
        let beyond = self.beyond.load(Ordering::Relaxed);
        if beyond > 0 {
            state.event("m", &format!("{beyond} more bytes were not recorded (trace.stdio_size)"));
        }
        if end == End::Leak {
            state.event("m", "stopped: a real secret was about to leave");
        }
        state.event("x", &code.to_string());
        state.ended = true;
        let flushed = state.out.flush();
        match state.failed.take() {
            Some(error) => Err(error),
            None => flushed,
        }
    }
}

impl Tee for Cast {
    fn bytes(&self, stream: Stream, bytes: &[u8]) {
        if is_input(stream) && !self.records_input {
            return;
        }
        let count = bytes.len() as u64;
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left > 0).then(|| left.saturating_sub(count))
        });
        let room = taken.unwrap_or(0).min(count);
        if room < count {
            self.beyond.fetch_add(count - room, Ordering::Relaxed);
        }
        let Some(bytes) =
            usize::try_from(room).ok().filter(|room| *room > 0).and_then(|room| bytes.get(..room))
        else {
            return;
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended || state.failed.is_some() {
            return;
        }
        match &self.scanner {
            Some(scanner) => {
                let shown = state.holds[place(stream)].pass(scanner, bytes);
                state.put(stream, &shown);
            }
            None => state.put(stream, bytes),
        }
    }

    fn resized(&self, columns: u16, rows: u16) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended || (columns, rows) == state.size || columns == 0 || rows == 0 {
            return;
        }
        state.size = (columns, rows);
        if state.has_header {
            state.event("r", &format!("{columns}x{rows}"));
        }
    }
}

impl State {
    fn put(&mut self, stream: Stream, bytes: &[u8]) {
        let text = self.holds[place(stream)].text(bytes, is_pipe(stream));
        if !text.is_empty() {
            self.event(if is_input(stream) { "i" } else { "o" }, &text);
        }
    }

    /// One line. Times are since the event before, so what is rounded off must not add up.
    fn event(&mut self, code: &str, data: &str) {
        if let Err(error) = self.try_event(code, data) {
            self.failed.get_or_insert(error);
        }
    }

    fn try_event(&mut self, code: &str, data: &str) -> io::Result<()> {
        if !self.has_header {
            self.has_header = true;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let began = now.saturating_sub(self.begun.elapsed()).as_secs();
            let term = std::env::var("TERM").unwrap_or_default();
            let (columns, rows) = self.size;
            let mut header = json!({
                "version": 3,
                "term": {"cols": columns, "rows": rows},
                "timestamp": began,
                "command": self.title,
            });
            if !term.is_empty() {
                header["term"]["type"] = json!(term);
            }
            writeln!(self.out, "{header}")?;
        }
        let now = Duration::from_micros(u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        let since = now.saturating_sub(self.last);
        self.last = now;
        write!(self.out, "[{}.{:06}, \"{code}\", ", since.as_secs(), since.subsec_micros())?;
        serde_json::to_writer(&mut self.out, data)?;
        self.out.write_all(b"]\n")?;
        if now.saturating_sub(self.flushed) >= FLUSH {
            self.flushed = now;
            self.out.flush()?;
        }
        Ok(())
    }
}

const STREAMS: [Stream; 5] =
    [Stream::Stdin, Stream::Stdout, Stream::Stderr, Stream::Terminal, Stream::Keyboard];

fn place(stream: Stream) -> usize {
    match stream {
        Stream::Stdin => 0,
        Stream::Stdout => 1,
        Stream::Stderr => 2,
        Stream::Terminal => 3,
        Stream::Keyboard => 4,
    }
}

fn is_input(stream: Stream) -> bool {
    matches!(stream, Stream::Stdin | Stream::Keyboard)
}

/// A terminal has turned line feeds into what terminals take; a pipe has not, and players are terminals.
fn is_pipe(stream: Stream) -> bool {
    matches!(stream, Stream::Stdout | Stream::Stderr)
}

#[cfg(test)]
mod tests;
