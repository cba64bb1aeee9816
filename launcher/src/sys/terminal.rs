//! The terminal outside: raw mode with its way back, window size, who is in the foreground.
//!
//! Nothing here decides when to do it: that is job control, in `supervise`. No `unsafe` is needed; the
//! file is in `sys` because it is the one place that changes a state which outlives the launcher.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, Termios, Winsize, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr, tcsetwinsize,
};

/// The user's terminal. Dropping it, on any path, puts the modes back that it had.
#[derive(Debug)]
pub(crate) struct Terminal {
    fd: OwnedFd,
    /// The modes to put back, while we hold the terminal raw.
    saved: Option<Termios>,
}

impl Terminal {
    /// Over a descriptor of its own, for reading the keyboard without blocking.
    ///
    /// `O_NONBLOCK` is a flag of the open file, which is shared with the shell, so it must not be set
    /// on the descriptor that we inherited: the terminal is opened once more. `/dev/tty` goes first
    /// because after `su` the device itself may be somebody else's.
    pub(crate) fn new(tty: BorrowedFd<'_>) -> Result<Self, Errno> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let controlling = tcgetpgrp(tty).is_ok();
        let fd =
            if controlling { rustix::fs::open("/dev/tty", flags, Mode::empty()) } else { Err(Errno::NXIO) }
                .or_else(|_| {
                    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&tty));
                    rustix::fs::open(path, flags, Mode::empty())
                })
                .or_else(|_| rustix::io::fcntl_dupfd_cloexec(tty, 3))?;
        Ok(Self { fd, saved: None })
    }

    /// Whether we may read it and change it. A terminal that does not control us knows no groups and
    /// refuses nobody.
    pub(crate) fn is_foreground(&self) -> bool {
        tcgetpgrp(&self.fd).map_or(true, |group| group == getpgrp())
    }

    /// Whether we hold it raw.
    pub(crate) fn is_raw(&self) -> bool {
        self.saved.is_some()
    }

    /// Makes it raw, if we are in the foreground; bytes already typed stay. Somebody else (the shell,
    /// while we were stopped) may have had the terminal meanwhile: then his modes are the ones to put
    /// back.
    pub(crate) fn enter_raw(&mut self) -> Result<(), Errno> {
        if !self.is_foreground() {
            return Ok(());
        }
        let now = tcgetattr(&self.fd)?;
        let ours = self.saved.as_ref().map(raw);
        if ours.is_some_and(|ours| same_modes(&ours, &now)) {
            return Ok(());
        }
        tcsetattr(&self.fd, OptionalActions::Now, &raw(&now))?;
        self.saved = Some(now);
        Ok(())
    }

    /// Puts the modes back. Not from the background: whoever is in front has set his own by now.
    pub(crate) fn restore(&mut self) {
        if let Some(saved) = self.saved.take()
            && self.is_foreground()
        {
            let _ = tcsetattr(&self.fd, OptionalActions::Now, &saved);
        }
    }

    /// Lets go of a terminal that is no longer ours to restore.
    pub(crate) fn forget(&mut self) {
        self.saved = None;
    }

    /// What is put back at the end: `stty` run inside means the user's terminal.
    pub(crate) fn set_final(&mut self, modes: Termios) {
        if self.saved.is_some() {
            self.saved = Some(modes);
        }
    }

    /// The modes to start the inner terminal with.
    pub(crate) fn modes(&self) -> Result<Termios, Errno> {
        match &self.saved {
            Some(saved) => Ok(saved.clone()),
            None => tcgetattr(&self.fd),
        }
    }

    /// Gives the inner terminal our size, and says what it is; the kernel sends SIGWINCH inside if it changed.
    pub(crate) fn copy_size(&self, master: BorrowedFd<'_>) -> Result<Winsize, Errno> {
        let size = tcgetwinsize(&self.fd)?;
        tcsetwinsize(master, size)?;
        Ok(size)
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Whether a terminal (of a master: the other end) turns a line feed into carriage return and line feed.
pub(crate) fn adds_carriage_returns(terminal: impl AsFd) -> bool {
    tcgetattr(terminal)
        .is_ok_and(|modes| modes.output_modes.contains(OutputModes::OPOST | OutputModes::ONLCR))
}

fn raw(modes: &Termios) -> Termios {
    let mut raw = modes.clone();
    raw.make_raw();
    raw
}

/// Whether two sets of modes are the same for a person: flags and keys, not speeds.
pub(crate) fn same_modes(one: &Termios, other: &Termios) -> bool {
    // PENDIN and FLUSHO are the driver's own notes.
    let ours = LocalModes::all().difference(LocalModes::PENDIN | LocalModes::FLUSHO);
    one.input_modes == other.input_modes
        && one.output_modes == other.output_modes
        && one.control_modes == other.control_modes
        && one.local_modes.intersection(ours) == other.local_modes.intersection(ours)
        && format!("{:?}", one.special_codes) == format!("{:?}", other.special_codes)
}
