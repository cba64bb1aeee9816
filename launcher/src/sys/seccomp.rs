//! Owns installing the filter of system calls, and the listener through which the kernel asks about those
//! that the filter has no answer to (seccomp_unotify(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use seccompiler::sock_filter;

use super::privileges::NoNewPrivs;

/// `struct sock_fprog` of seccomp(2).
#[repr(C)]
struct Program {
    length: libc::c_ushort,
    filter: *const sock_filter,
}

/// The kernel's end of the questions; there is one for a tree of processes.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

/// A system call that waits for a word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Names the question in its answer.
    pub(crate) id: u64,
    /// The thread, as this process numbers it.
    pub(crate) thread: u32,
    /// The call.
    pub(crate) number: i32,
    /// Its arguments: numbers, and addresses in the memory of whoever asks.
    pub(crate) arguments: [u64; 6],
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The kernel does the call as it stands. It reads the memory of whoever asks once more.
    Continue,
    /// The call fails with this errno.
    Fail(i32),
}

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of linux/seccomp.h: wake the other side where we run ourselves.
const SYNC_WAKE_UP: u64 = 1;

/// Installs a filter with a listener, for this process and all that come from it.
///
/// # Errors
/// `EBUSY` where another listener is above us already, `EINVAL` where the kernel has none.
pub(crate) fn install_with_listener(_: &NoNewPrivs, filter: &[sock_filter]) -> io::Result<OwnedFd> {
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Once we have taken a question, only death takes it back: no signal interrupts a call half-way.
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match install(filter, listener | killable) {
        // Before Linux 5.19.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(filter, listener),
        other => other,
    }
}

fn install(filter: &[sock_filter], flags: libc::c_ulong) -> io::Result<OwnedFd> {
    let length = libc::c_ushort::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = Program { length, filter: filter.as_ptr() };
    // SAFETY: the kernel copies `program` and the `length` instructions that it points to, all borrowed for
    // the call.
    let descriptor =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match i32::try_from(descriptor) {
        // SAFETY: with NEW_LISTENER the result is a new descriptor that nobody else owns.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Listener {
    /// Takes the listener over from the process that installed the filter.
    pub(crate) fn new(descriptor: OwnedFd) -> Self {
        let flags = SYNC_WAKE_UP;
        // Since Linux 6.6; before, a question costs a little more.
        // SAFETY: the descriptor is borrowed; the third argument is a number for this request.
        unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags) };
        Self(descriptor)
    }

    /// The next question. May wait, even for ever: poll first.
    ///
    /// # Errors
    /// `ENOENT` when whoever asked was killed meanwhile.
    pub(crate) fn next(&self) -> io::Result<Asked> {
        // SAFETY: a struct of integers; the kernel wants it zeroed.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: RECV writes one `seccomp_notif`, whose size is part of the request's number.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) };
        if done == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Asked { id: asked.id, thread: asked.pid, number: asked.data.nr, arguments: asked.data.args })
    }

    /// Whether the question still waits: what was read of its thread's memory before was that thread's.
    pub(crate) fn waits(&self, asked: &Asked) -> bool {
        let id = asked.id;
        // SAFETY: ID_VALID reads one u64, which lives on this stack.
        let done =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) };
        done == 0
    }

    /// Answers. Whoever was killed meanwhile needs no answer.
    pub(crate) fn answer(&self, asked: &Asked, word: Word) {
        let (error, flags) = match word {
            Word::Continue => (0, 1),
            Word::Fail(errno) => (-errno, 0),
        };
        let mut response = libc::seccomp_notif_resp { id: asked.id, val: 0, error, flags };
        // SAFETY: SEND reads one `seccomp_notif_resp`, which lives on this stack.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
