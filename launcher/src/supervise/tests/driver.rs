//! A launcher for the tests: everything of the real one that `supervise` touches, around the fake `init`.
//!
//! It runs in a process of its own (see `sys::fake_init`), configured by one variable, and leaves what
//! it found in a file.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::{Value, json};

use crate::stdio::{Stdio, Stream};
use crate::supervise::{Inspection, Leak, LeakScan, Limits, Observer, Running, supervise};
use crate::sys::fake_init::{Script, fork, ignore_sigpipe_as_the_runtime_does, play};
use crate::sys::signals::{InheritedSignals, Signals};

/// The variable: a JSON object with `argv`, and `timeout_ms`, `needle`, `result`.
pub(crate) const VARIABLE: &str = "SHIELDRUN_TEST_DRIVER";

/// Does nothing in an ordinary test process.
pub(crate) fn run_if_asked() {
    let Ok(text) = std::env::var(VARIABLE) else { return };
    let code = match serde_json::from_str(&text) {
        Ok(config) => drive(&config),
        Err(error) => {
            eprintln!("test driver: {error}");
            99
        }
    };
    std::process::exit(code);
}

fn drive(config: &Value) -> i32 {
    let inherited = InheritedSignals::capture();
    ignore_sigpipe_as_the_runtime_does();
    let outcome = prepare(config, inherited).and_then(|running| {
        let limits = Limits { timeout: config["timeout_ms"].as_u64().map(Duration::from_millis) };
        let needle = config["needle"].as_str().map(str::to_owned);
        let scanner = |_: Stream| -> Box<dyn LeakScan> {
            Box::new(Needle { needle: needle.clone().unwrap_or_default().into_bytes(), tail: Vec::new() })
        };
        let inspection = Inspection {
            scanner: needle.is_some().then_some(&scanner as &dyn Fn(Stream) -> Box<dyn LeakScan>),
            tee: None,
        };
        let mut notes = Notes::default();
        let outcome = supervise(running, limits, inspection, &mut notes)?;
        Ok((outcome, notes))
    });
    match outcome {
        Ok((outcome, notes)) => {
            if let Some(path) = config["result"].as_str() {
                let result = json!({
                    "exit": format!("{:?}", outcome.exit),
                    "leak": outcome.leak.as_ref().map(|(stream, leak)| json!([stream.to_string(), leak.id])),
                    "timed_out": outcome.timed_out,
                    "duration_ms": outcome.duration.as_millis() as u64,
                    "lost_output": outcome.lost_output.map(|(_, errno)| errno.raw_os_error()),
                    "signals": notes.signals,
                    "closed": notes.closed,
                });
                if std::fs::write(path, result.to_string()).is_err() {
                    return 99;
                }
            }
            outcome.exit.code()
        }
        Err(error) => {
            eprintln!("test driver: {error}");
            99
        }
    }
}

fn prepare(config: &Value, inherited: InheritedSignals) -> Result<Running, Box<dyn std::error::Error>> {
    let stdio = Stdio::inspect()?;
    let signals = Signals::block()?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let (master, slave) = if stdio.wants_pty() { pair()? } else { (None, None) };
    let argv = config["argv"].as_array().into_iter().flatten();
    let argv = argv.filter_map(Value::as_str).map(str::to_owned).collect();
    let Stdio { inside, outer } = stdio;
    let Some(pid) = fork()? else {
        drop((ours, master, outer, signals));
        play(Script { control: theirs, inside, pty: slave, argv, inherited });
    };
    drop((theirs, inside, slave));
    let init = pidfd_open(pid, PidfdFlags::empty())?;
    Ok(Running { control: ours, init, go: 0, stdio: outer, pty: master, spent: Vec::new(), signals })
}

fn pair() -> Result<(Option<OwnedFd>, Option<OwnedFd>), Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    Ok((Some(master), Some(slave)))
}

/// Remembers what it was told.
#[derive(Default)]
struct Notes {
    signals: Vec<i32>,
    closed: Vec<String>,
}

impl Observer for Notes {
    fn leak(&mut self, _: Stream, _: &Leak) {}

    fn timed_out(&mut self, _: Duration) {}

    fn signal(&mut self, signal: i32) {
        self.signals.push(signal);
    }

    fn output_closed(&mut self, stream: Stream, errno: Errno) {
        self.closed.push(format!("{stream} {}", errno.raw_os_error()));
    }
}

/// The simplest scan there is: one needle, with the tail that may be its beginning.
struct Needle {
    needle: Vec<u8>,
    tail: Vec<u8>,
}

impl LeakScan for Needle {
    fn feed(&mut self, chunk: &[u8]) -> Option<Leak> {
        let before = self.tail.len();
        let mut text = std::mem::take(&mut self.tail);
        text.extend_from_slice(chunk);
        if let Some(at) = text.windows(self.needle.len()).position(|window| window == self.needle) {
            return Some(Leak {
                id: "s1".into(),
                name: "TEST".into(),
                encoding: "raw",
                start_in_chunk: at.saturating_sub(before),
            });
        }
        let longest = (self.needle.len() - 1).min(text.len());
        let length = (0..=longest).rev().find(|length| self.needle.starts_with(&text[text.len() - length..]));
        self.tail = text.split_off(text.len() - length.unwrap_or(0));
        None
    }

    fn pending(&self) -> usize {
        if self.tail.len() < 6 { 0 } else { self.tail.len() }
    }
}
