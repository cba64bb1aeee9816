//! Owns what happens to descriptor numbers just before exec.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Puts `descriptor` at `number`, open across exec, also where it is there already.
///
/// # Errors
/// What dup2(2) gives.
pub(crate) fn place(descriptor: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    if descriptor.as_raw_fd() == number {
        return set_close_on_exec(number, false);
    }
    // SAFETY: integers only; `number` is ours to overwrite: this process is about to exec.
    match unsafe { libc::dup2(descriptor.as_raw_fd(), number) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets or clears close-on-exec.
///
/// # Errors
/// `EBADF` when `number` is not open.
pub(crate) fn set_close_on_exec(number: RawFd, on: bool) -> io::Result<()> {
    let flags = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: integers only.
    match unsafe { libc::fcntl(number, libc::F_SETFD, flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Marks every descriptor from `first` up close-on-exec, in one call.
///
/// # Errors
/// `EINVAL` before Linux 5.11.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: integers only.
    match unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Takes a descriptor that was handed to this process by number: a copy, so that nothing is closed
/// that somebody else here owns; close-on-exec.
///
/// # Errors
/// `EBADF` when `number` is not open.
pub(crate) fn take_over(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: integers only.
    match unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: a descriptor that was made just now and that nobody else owns.
        copy => Ok(unsafe { OwnedFd::from_raw_fd(copy) }),
    }
}
