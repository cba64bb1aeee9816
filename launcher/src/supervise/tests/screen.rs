//! A terminal for the tests: a pseudo-terminal with a shell in front of it, as a person would have.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use super::launch::PATIENCE;

/// A shell with job control on a terminal of its own.
pub(super) struct Screen {
    master: Option<OwnedFd>,
    slave: OwnedFd,
    shell: Child,
    shown: String,
    /// Up to here `wait_for` has looked.
    seen: usize,
}

impl Screen {
    /// `aliases` are the launches that can be typed.
    pub(super) fn new(aliases: &[(&str, &str)]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pseudo-terminal");
        unlockpt(&master).expect("it is ours");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("its other end");
        rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK).expect("a flag");
        tcsetwinsize(&master, size(24, 80)).expect("a size");

        let startup = std::env::temp_dir().join(format!(
            "supervise-rc-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut text = String::from("PS1='> '; set +o history; bind 'set enable-bracketed-paste off'\n");
        for (name, words) in aliases {
            text.push_str(&format!("alias {name}={}\n", quoted(words)));
        }
        text.push_str("echo READY\n");
        std::fs::write(&startup, text).expect("room for it");

        let end = |fd: &OwnedFd| fd.try_clone().expect("a descriptor");
        let shell = Command::new("setsid")
            .args(["--ctty", "--wait", "bash", "--rcfile"])
            .arg(&startup)
            .arg("-i")
            .env("TERM", "dumb")
            .stdin(end(&slave))
            .stdout(end(&slave))
            .stderr(end(&slave))
            .process_group(0)
            .spawn()
            .expect("bash and setsid are everywhere");
        let mut screen = Self { master: Some(master), slave, shell, shown: String::new(), seen: 0 };
        screen.wait_for("READY");
        screen.wait_for("> ");
        let _ = std::fs::remove_file(startup);
        screen
    }

    /// Presses keys.
    pub(super) fn type_in(&mut self, keys: &str) {
        let mut keys = keys.as_bytes();
        let begun = Instant::now();
        while !keys.is_empty() {
            let master = self.master.as_ref().expect("not hung up");
            match rustix::io::write(master, keys) {
                Ok(count) => keys = &keys[count..],
                Err(rustix::io::Errno::AGAIN) => self.look(),
                Err(errno) => panic!("cannot type: {errno}"),
            }
            assert!(begun.elapsed() < PATIENCE, "the terminal takes no keys");
        }
    }

    /// Presses keys when the shell has surely started what it starts next: a Ctrl-C or Ctrl-Z between
    /// its fork and the exec is lost, natively too.
    pub(super) fn type_later(&mut self, keys: &str) {
        std::thread::sleep(std::time::Duration::from_millis(700));
        self.type_in(keys);
    }

    /// Waits until this shows, after what was waited for before; returns what came in between.
    pub(super) fn wait_for(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                let between = self.shown[self.seen..self.seen + at].to_owned();
                self.seen += at + text.len();
                return between;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{text:?} does not show; what shows is {:?}",
                &self.shown[self.seen..]
            );
            self.look();
        }
    }

    /// What has been shown and not been waited for.
    pub(super) fn rest(&self) -> &str {
        &self.shown[self.seen..]
    }

    pub(super) fn resize(&self, rows: u16, columns: u16) {
        let master = self.master.as_ref().expect("not hung up");
        tcsetwinsize(master, size(rows, columns)).expect("a size");
    }

    pub(super) fn modes(&self) -> Termios {
        tcgetattr(&self.slave).expect("a terminal has modes")
    }

    /// Whether keys come one by one and unseen.
    pub(super) fn is_raw(&self) -> bool {
        !self.modes().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Takes the terminal away.
    pub(super) fn hang_up(&mut self) {
        self.master = None;
    }

    pub(super) fn look(&mut self) {
        let Some(master) = &self.master else { return };
        let mut fds = [PollFd::from_borrowed_fd(master.as_fd(), PollFlags::IN)];
        let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        if poll(&mut fds, Some(&moment)).is_ok_and(|count| count > 0) {
            let mut buffer = [0; 65536];
            if let Ok(count) = rustix::io::read(master, &mut buffer) {
                self.shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.master = None;
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
