//! Runs the built `shieldrun` in a world and keeps everything that came out of it.
//!
//! Owns the time limit: no test waits longer than its run may take. It judges nothing but what every
//! run must keep to, which is that no planted value is seen anywhere.

use super::record::Record;
use super::world::{Planted, World};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Long enough for a slow machine, short enough that a hang is a failure and not a mystery.
const LIMIT: Duration = Duration::from_secs(60);

/// A run being prepared.
pub(crate) struct Shield<'w> {
    world: &'w World,
    before: Vec<OsString>,
    options: Vec<OsString>,
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    stdin: Vec<u8>,
    limit: Duration,
    record: PathBuf,
}

/// A run that has ended.
pub(crate) struct Ran {
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) record: Record,
    planted: Vec<Planted>,
}

/// A run that goes on. Ended with its launcher when dropped.
pub(crate) struct Running {
    child: Child,
    command: String,
    stdout: mpsc::Receiver<Vec<u8>>,
    stderr: mpsc::Receiver<Vec<u8>>,
    so_far: Vec<u8>,
    deadline: Instant,
    record: PathBuf,
    planted: Vec<Planted>,
}

impl World {
    /// `shieldrun -- COMMAND…` in the project, with the events and the result kept.
    pub(crate) fn shield<I, S>(&self, command: I) -> Shield<'_>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let record = self.beside("records").join(RUNS.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir_all(&record).expect("make a directory for the record");
        Shield {
            world: self,
            before: Vec::new(),
            options: Vec::new(),
            command: command.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            environment: self.environment.clone(),
            directory: self.project.clone(),
            stdin: Vec::new(),
            limit: LIMIT,
            record,
        }
    }

    /// The same command without shieldrun: its stdout. The twin of a denial.
    pub(crate) fn native<I, S>(&self, command: I) -> Vec<u8>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let words: Vec<OsString> = command.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Command::new("timeout")
            .args(["--kill-after=5", "60"])
            .args(&words)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.project)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("start {words:?}: {error}"))
            .stdout
    }

    /// `shieldrun -- bash -c SCRIPT`, the most common run here.
    pub(crate) fn bash(&self, script: &str) -> Shield<'_> {
        self.shield(["bash", "-c", script])
    }
}

impl<'w> Shield<'w> {
    /// Options of shieldrun itself, before `--`.
    pub(crate) fn with<I: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = I>) -> Self {
        self.options.extend(options.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// A program and its arguments that start shieldrun.
    pub(crate) fn started_by<I: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = I>) -> Self {
        self.before.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    pub(crate) fn set(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    pub(crate) fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    pub(crate) fn at_most(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The whole command line, for those who start it in their own way.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = self.before.clone();
        words.push(binary().into_os_string());
        words.extend(["--events".into(), self.record.join("events").into_os_string()]);
        words.extend(["--result".into(), self.record.join("result").into_os_string()]);
        words.extend(self.options.iter().cloned());
        words.push("--".into());
        words.extend(self.command.iter().cloned());
        words
    }

    pub(crate) fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    pub(crate) fn record_directory(&self) -> &Path {
        &self.record
    }

    /// Starts it, stdin open.
    pub(crate) fn start(self) -> Running {
        let words = self.words();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {:?}: {error}", words[0]));
        Running {
            stdout: pump(child.stdout.take().expect("a piped stdout")),
            stderr: pump(child.stderr.take().expect("a piped stderr")),
            child,
            command: words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
            so_far: Vec::new(),
            deadline: Instant::now() + self.limit,
            record: self.record,
            planted: self.world.planted.clone(),
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Ran {
        let input = std::mem::take(&mut self.stdin);
        let mut running = self.start();
        let mut pipe = running.child.stdin.take().expect("a piped stdin");
        // A command may end without reading: a broken pipe is no fault here.
        let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
        let ran = running.wait();
        drop(writer);
        ran
    }
}

impl Running {
    /// The launcher's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the command's stdin.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("stdin is still open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("write to the command");
    }

    /// Waits until stdout has shown `text`.
    pub(crate) fn await_text(&mut self, text: &str) {
        while memchr::memmem::find(&self.so_far, text.as_bytes()).is_none() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.stdout.recv_timeout(left) {
                Ok(bytes) => self.so_far.extend(bytes),
                Err(_) => {
                    self.end();
                    let ran = self.collect();
                    panic!("`{text}` was never printed\n{ran}");
                }
            }
        }
    }

    /// Sends a signal to the launcher.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("signal the launcher");
    }

    /// Closes stdin and waits for the end.
    pub(crate) fn wait(&mut self) -> Ran {
        drop(self.child.stdin.take());
        self.wait_with_stdin_open()
    }

    pub(crate) fn wait_with_stdin_open(&mut self) -> Ran {
        loop {
            if self.child.try_wait().expect("wait for shieldrun").is_some() {
                return self.collect();
            }
            if Instant::now() > self.deadline {
                self.end();
                let ran = self.collect();
                panic!("the run did not end in time and was killed\n{ran}");
            }
            match self.stdout.recv_timeout(Duration::from_millis(5)) {
                Ok(bytes) => self.so_far.extend(bytes),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn end(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// What is left in the pipes, the record, the status. Whoever still holds a pipe open after the
    /// launcher's end is an orphan: it is given a little time, then that is a failure.
    fn collect(&mut self) -> Ran {
        let status = self.child.wait().expect("the launcher has ended");
        let mut stderr = Vec::new();
        let limit = Instant::now() + Duration::from_secs(10);
        for (pipe, into) in [(&self.stdout, &mut self.so_far), (&self.stderr, &mut stderr)] {
            loop {
                match pipe.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                    Ok(bytes) => into.extend(bytes),
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        panic!("somebody holds stdout or stderr after the end of {}", self.command)
                    }
                }
            }
        }
        Ran {
            command: self.command.clone(),
            status,
            stdout: std::mem::take(&mut self.so_far),
            stderr,
            record: Record::read(&self.record),
            planted: self.planted.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Ran {
    /// The exit code; a launcher that a signal ended has none.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert!(self.code() == Some(code), "exit code {code} was expected\n{self}");
        self
    }

    /// Asserts that it ended well and that nothing planted is to be seen.
    #[track_caller]
    pub(crate) fn expect_clean(self) -> Self {
        let ran = self.expect_code(0);
        ran.assert_nothing_real();
        ran
    }

    /// No planted value in stdout, stderr, events or result.
    #[track_caller]
    pub(crate) fn assert_nothing_real(&self) {
        for (what, bytes) in [
            ("stdout", &self.stdout),
            ("stderr", &self.stderr),
            ("the events", &self.record.event_bytes),
            ("the result", &self.record.result_bytes),
        ] {
            let seen: Vec<_> = self.places_in(bytes);
            assert!(seen.is_empty(), "{what} shows the real value of {seen:?}\n{self}");
        }
    }

    fn places_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let found = |p: &&Planted| memchr::memmem::find(bytes, p.value.as_bytes()).is_some();
        self.planted.iter().filter(found).map(|p| p.place).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Asserts that stdout is exactly this.
    #[track_caller]
    pub(crate) fn expect_text(self, text: &str) -> Self {
        assert!(self.text() == text, "stdout should be {text:?}\n{self}");
        self
    }

    /// A shell's view: 128+N for a launcher that a signal ended.
    pub(crate) fn shell_code(&self) -> i32 {
        self.status.code().or(self.status.signal().map(|s| 128 + s)).unwrap_or(-1)
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |bytes: &[u8]| {
            let mut text = String::from_utf8_lossy(bytes).into_owned();
            for planted in &self.planted {
                text = text.replace(&planted.value, &format!("«{}»", planted.place));
            }
            match text.char_indices().nth(6000) {
                Some((end, _)) => format!("{}… ({} bytes)", &text[..end], bytes.len()),
                None => text,
            }
        };
        writeln!(f, "--- command\n{}", shown(self.command.as_bytes()))?;
        writeln!(f, "--- {}", self.status)?;
        writeln!(f, "--- stdout\n{}", shown(&self.stdout))?;
        writeln!(f, "--- stderr\n{}", shown(&self.stderr))?;
        writeln!(f, "--- events\n{}", shown(&self.record.event_bytes))?;
        writeln!(f, "--- result\n{}", shown(&self.record.result_bytes))
    }
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("SHIELDRUN_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_shieldrun")), PathBuf::from)
}

/// Reads a pipe to its end in a thread of its own.
fn pump(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count) = pipe.read(&mut buffer) {
            if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}
