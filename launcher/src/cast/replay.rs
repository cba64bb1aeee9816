//! Plays a recording on a terminal, at its own pace, and leaves the terminal as it was.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{QueueSelector, tcflush};
use serde_json::Value as Json;

use super::calm::Calm;
use crate::sys::terminal::Terminal;

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Twice as fast is 2.
    pub(crate) speed: f64,
    /// No pause is longer than this, before `speed` counts.
    pub(crate) idle_limit: Option<Duration>,
}

/// An event's line is not longer: what is read at once, each byte an escape of six.
const LONGEST: u64 = 8 << 20;

impl Pace {
    fn of(self, interval: f64) -> Duration {
        let interval = if interval.is_finite() { interval.clamp(0.0, 1e6) } else { 0.0 };
        let interval = self.idle_limit.map_or(interval, |limit| interval.min(limit.as_secs_f64()));
        Duration::try_from_secs_f64(interval / self.speed.max(0.001)).unwrap_or_default()
    }
}

/// Plays it on standard output, which is a terminal; `q` or Ctrl-C ends it.
///
/// # Errors
/// When the recording cannot be read or is none, or the terminal is gone.
pub(crate) fn replay(cast: File, pace: Pace) -> io::Result<()> {
    let mut lines = BufReader::new(cast);
    let header: Json = match line(&mut lines)? {
        Some(text) => serde_json::from_slice(&text)?,
        None => return Err(no_recording()),
    };
    if header.get("version").and_then(Json::as_u64) != Some(3) {
        return Err(no_recording());
    }
    let stdout = io::stdout();
    let mut terminal = Terminal::new(stdout.as_fd())?;
    terminal.enter_raw()?;
    let mut screen = Screen { terminal, calm: Calm::default() };
    while let Some(text) = line(&mut lines)? {
        if text.first() == Some(&b'#') || text.is_empty() {
            continue;
        }
        // The last line of a run that was killed is there in part.
        let Ok((interval, code, data)) = serde_json::from_slice::<(f64, String, String)>(&text) else {
            break;
        };
        if screen.wait(pace.of(interval))? == Key::Quit {
            break;
        }
        if code == "o" {
            let shown = screen.calm.pass(&data);
            screen.show(&shown)?;
        }
    }
    Ok(())
}

/// One line without its end, within bounds.
fn line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    let read = from.take(LONGEST).read_until(b'\n', &mut text)?;
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok((read > 0).then_some(text))
}

fn no_recording() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no recording of a terminal (asciicast v3)")
}

#[derive(PartialEq, Eq)]
enum Key {
    None,
    Quit,
}

/// The terminal while it plays. Dropped, on any path, it is put back.
struct Screen {
    terminal: Terminal,
    calm: Calm,
}

impl Screen {
    fn show(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Waits, and takes what is typed meanwhile: it is not for the shell.
    fn wait(&self, pause: Duration) -> io::Result<Key> {
        let until = std::time::Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(Key::None),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            let mut typed = [0; 256];
            match rustix::io::read(&self.terminal, &mut typed) {
                Ok(0) => return Ok(Key::Quit),
                Ok(count) if typed[..count].iter().any(|key| matches!(key, b'q' | 3 | 4)) => {
                    return Ok(Key::Quit);
                }
                Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whatever the recording left: colours, character set, wrapping, the cursor, margins, the other screen.
        let mut end = String::from("\x0f\x1b(B\x1b[0m\x1b[4l\x1b[?6l\x1b[?7h\x1b[?25h\x1b[?2026l");
        if self.calm.has_margins {
            end.push_str("\x1b7\x1b[r\x1b8");
        }
        if self.calm.is_elsewhere {
            end.push_str("\x1b[?1049l");
        }
        end.push_str("\r\n");
        let _ = self.show(&end);
        let _ = tcflush(&self.terminal, QueueSelector::IFlush);
    }
}
