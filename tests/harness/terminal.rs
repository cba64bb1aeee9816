//! A terminal with somebody at it: types, resizes, waits for what is shown.

use super::shield::Shield;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// A process on a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    /// Gone once somebody has hung up.
    master: Option<File>,
    shown: mpsc::Receiver<Vec<u8>>,
    /// All that was shown since it began.
    pub(crate) screen: Vec<u8>,
    /// How much of it earlier waits have used up.
    used: usize,
}

impl Shield<'_> {
    /// Runs it as the only program of a new terminal of 24 rows and 80 columns.
    pub(crate) fn on_terminal(self, directory: &std::path::Path) -> Terminal {
        let words = self.words();
        Terminal::open(&words, self.environment(), directory)
    }
}

impl Terminal {
    /// Any command on a new terminal, as its controlling one.
    pub(crate) fn open(
        words: &[OsString],
        environment: &[(OsString, OsString)],
        directory: &std::path::Path,
    ) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("open a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("unlock the terminal");
        tcsetwinsize(&master, window(24, 80)).expect("set the size");
        let name = ptsname(&master, Vec::new()).expect("the terminal's name");
        let end = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(rustix::fs::OFlags::NOCTTY.bits() as i32)
                .open(std::ffi::OsStr::from_bytes(name.to_bytes()))
                .expect("open the terminal's other end")
        };
        // setsid makes it the controlling terminal; a child of ours is no group leader, so it does not fork.
        let child = Command::new("setsid")
            .arg("--ctty")
            .args(words)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("TERM", "xterm-256color")
            .current_dir(directory)
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("start setsid");
        let master = File::from(master);
        let mut reader = master.try_clone().expect("a second handle of the terminal");
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the last process on it is an error (EIO) here, not an end of file.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { child, master: Some(master), shown, screen: Vec::new(), used: 0 }
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        let master = self.master.as_mut().expect("the terminal is open");
        master.write_all(keys.as_bytes()).expect("type");
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let master = self.master.as_ref().expect("the terminal is open");
        tcsetwinsize(master, window(rows, columns)).expect("resize the terminal");
    }

    /// Takes the terminal away, as a closed window does.
    pub(crate) fn hang_up(&mut self) {
        // The reading thread holds a second handle: it ends with the hang-up of the other side only.
        self.master = None;
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(pid, rustix::process::Signal::HUP).expect("hang up");
    }

    /// Waits until `text` is shown, after what earlier waits have seen.
    #[track_caller]
    pub(crate) fn await_text(&mut self, text: &str) {
        let limit = Instant::now() + LIMIT;
        loop {
            if let Some(at) = memchr::memmem::find(&self.screen[self.used..], text.as_bytes()) {
                self.used += at + text.len();
                return;
            }
            let left = limit.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.screen.extend(bytes),
                Err(_) => panic!("`{text}` was never shown\n--- screen\n{}", self.text()),
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen).into_owned()
    }

    /// Waits for the end of the first process and of what it shows.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let limit = Instant::now() + LIMIT;
        loop {
            // Somebody has to read, else the program blocks on a full terminal.
            while let Ok(bytes) = self.shown.recv_timeout(Duration::from_millis(5)) {
                self.screen.extend(bytes);
            }
            if let Some(status) = self.child.try_wait().expect("wait for the terminal's program") {
                while let Ok(bytes) = self.shown.recv_timeout(Duration::from_millis(200)) {
                    self.screen.extend(bytes);
                }
                return status;
            }
            assert!(Instant::now() < limit, "the program did not end\n--- screen\n{}", self.text());
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn window(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
