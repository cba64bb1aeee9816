//! Owns what a pidfd tells of its process beyond its end: parent and exit status, where the kernel says.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What became of a process that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It exited with this code.
    Code(u8),
    /// A signal ended it.
    Signal(u8),
}

/// `PIDFD_INFO_PID` and `PIDFD_INFO_EXIT` of linux/pidfd.h.
const WITH_PID: u64 = 1;
const WITH_EXIT: u64 = 1 << 3;

/// Opens the process of this number.
///
/// # Errors
/// `EINVAL` for a thread that leads no process, `ESRCH`, `EMFILE`.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match i32::try_from(descriptor) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The parent's number here; `None` before Linux 6.13, or when the process has ended.
pub(crate) fn parent(pidfd: BorrowedFd<'_>) -> Option<u32> {
    let info = info(pidfd, WITH_PID)?;
    (info.mask & WITH_PID != 0).then_some(info.ppid)
}

/// How it ended; `None` before Linux 6.15, or as long as its parent has not asked.
pub(crate) fn end(pidfd: BorrowedFd<'_>) -> Option<End> {
    let info = info(pidfd, WITH_EXIT)?;
    if info.mask & WITH_EXIT == 0 {
        return None;
    }
    let [status, code, ..] = info.exit_code.to_le_bytes();
    Some(match status & 0x7f {
        0 => End::Code(code),
        signal => End::Signal(signal),
    })
}

fn info(pidfd: BorrowedFd<'_>, mask: u64) -> Option<libc::pidfd_info> {
    // SAFETY: a struct of integers.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = mask;
    // SAFETY: the request writes at most as many bytes as its number says, which is the struct's size.
    let done = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) };
    (done == 0).then_some(info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::process::Command;

    #[test]
    fn the_end_of_a_child_is_told_where_the_kernel_tells_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "read x; exit 7"]).stdin(std::process::Stdio::piped());
        let mut child = command.spawn().expect("a child");
        let pidfd = open(child.id()).expect("a pidfd");
        if let Some(parent) = parent(pidfd.as_fd()) {
            assert_eq!(parent, std::process::id());
        }
        assert_eq!(end(pidfd.as_fd()), None);
        drop(child.stdin.take());
        child.wait().expect("wait");
        assert!(matches!(end(pidfd.as_fd()), None | Some(End::Code(7))));
        assert!(open(u32::MAX >> 1).is_err());
    }
}
