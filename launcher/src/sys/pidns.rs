//! Turns a pid of the guest's namespace into the host's, while the process lives.
//!
//! The kernel answers this itself from 6.11 on (`NS_GET_TGID_FROM_PIDNS`, see ioctl_nsfs(2)); before, `/proc` is
//! searched. The answer is only as good as the question: a pid that comes from a claim names some process of the
//! guest, not necessarily the one that spoke.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::linux::fs::MetadataExt;

/// `_IOR(0xb7, 7, int)`; takes the pid itself, not a pointer.
const NS_GET_TGID_FROM_PIDNS: libc::Ioctl = 0x8004_b707_u32 as libc::Ioctl;
/// `_IOR(0xb7, 9, int)`; the other way round.
const NS_GET_TGID_IN_PIDNS: libc::Ioctl = 0x8004_b709_u32 as libc::Ioctl;
/// `_IO(0xff, 5)`: the pid namespace of a pidfd's process.
const PIDFD_GET_PID_NAMESPACE: libc::Ioctl = 0xff05;

/// The host's pid of process `inner` of the namespace: that of the pidfd's process, or the one of a namespace file.
pub(crate) fn host_pid(init_pidfd_or_pidns: BorrowedFd<'_>, inner: u32) -> Option<u32> {
    let inner = i32::try_from(inner).ok().filter(|pid| *pid > 0)?;
    match translate(init_pidfd_or_pidns, inner) {
        Ok(pid) => Some(pid),
        // No such process, says a kernel that can.
        Err(libc::ESRCH) => None,
        Err(_) => {
            let namespace = namespace_of(init_pidfd_or_pidns).ok();
            match namespace.as_ref().map(|namespace| translate(namespace.as_fd(), inner)) {
                Some(Ok(pid)) => Some(pid),
                Some(Err(libc::ESRCH)) => None,
                _ => search(namespace.as_ref().map_or(init_pidfd_or_pidns, AsFd::as_fd), inner),
            }
        }
    }
}

/// The number inside of the process that thread `thread` belongs to. `namespace` is that of the guest, by
/// [`namespace_of`].
pub(crate) fn inner_pid(namespace: BorrowedFd<'_>, thread: u32) -> Option<u32> {
    // SAFETY: the descriptor is borrowed for the call, which takes a number and touches no memory of ours.
    let pid =
        unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_TGID_IN_PIDNS, libc::c_ulong::from(thread)) };
    match u32::try_from(pid) {
        Ok(pid) if pid > 0 => Some(pid),
        _ => {
            let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
            // Of a thread the innermost number is its own; its process's stands in a line of its own.
            let numbers = status.lines().find_map(|line| line.strip_prefix("NStgid:"))?;
            numbers.split_whitespace().next_back()?.parse().ok()
        }
    }
}

fn translate(namespace: BorrowedFd<'_>, inner: i32) -> Result<u32, i32> {
    // SAFETY: the descriptor is borrowed for the call, which takes a number and touches no memory of ours.
    let pid =
        unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_TGID_FROM_PIDNS, libc::c_long::from(inner)) };
    match u32::try_from(pid) {
        Ok(0) => Err(libc::ESRCH),
        Ok(pid) => Ok(pid),
        Err(_) => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

/// The number here of a pidfd's process.
pub(crate) fn first_pid(pidfd: BorrowedFd<'_>) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse::<u32>().ok())
}

/// The namespace of a pidfd's process: asked of the kernel, else by way of the pid that `fdinfo` shows.
pub(crate) fn namespace_of(pidfd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is borrowed for the call, which takes no argument.
    let namespace = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_PID_NAMESPACE, 0) };
    if namespace >= 0 {
        // SAFETY: the kernel has just made this descriptor for us.
        return Ok(unsafe { OwnedFd::from_raw_fd(namespace) });
    }
    let pid = first_pid(pidfd).ok_or(io::ErrorKind::NotFound)?;
    Ok(fs::File::open(format!("/proc/{pid}/ns/pid"))?.into())
}

/// Looks through `/proc` for a process of this namespace whose innermost pid is `inner`.
fn search(namespace: BorrowedFd<'_>, inner: i32) -> Option<u32> {
    let file = fs::File::from(namespace.try_clone_to_owned().ok()?);
    let wanted = file.metadata().ok()?.st_ino();
    let processes = fs::read_dir("/proc").ok()?;
    processes.filter_map(Result::ok).find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let innermost = innermost_pid(&status)?;
        let here = fs::metadata(process.path().join("ns/pid")).ok()?.st_ino();
        (innermost == inner && here == wanted).then_some(pid)
    })
}

fn innermost_pid(status: &str) -> Option<i32> {
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    pids.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_namespace_maps_to_itself() {
        let namespace = fs::File::open("/proc/self/ns/pid").expect("own namespace");
        let me = std::process::id();
        assert_eq!(host_pid(namespace.as_fd(), me), Some(me));
        assert_eq!(inner_pid(namespace.as_fd(), me), Some(me));
        assert_eq!(inner_pid(namespace.as_fd(), u32::MAX), None);
        assert_eq!(search(namespace.as_fd(), i32::try_from(me).expect("a pid")), Some(me));
    }

    #[test]
    fn a_pidfd_stands_for_its_namespace() {
        let me = std::process::id();
        // SAFETY: takes numbers only.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, me, 0) };
        let pidfd = i32::try_from(pidfd).expect("a descriptor");
        assert!(pidfd >= 0);
        // SAFETY: just opened, and nobody else's.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        assert_eq!(host_pid(pidfd.as_fd(), me), Some(me));
    }

    #[test]
    fn nobody_is_nobody() {
        let namespace = fs::File::open("/proc/self/ns/pid").expect("own namespace");
        for pid in [0, u32::MAX, 4_194_305] {
            assert_eq!(host_pid(namespace.as_fd(), pid), None);
            assert_eq!(search(namespace.as_fd(), i32::try_from(pid).unwrap_or(-1)), None);
        }
    }

    #[test]
    fn the_innermost_pid_is_the_last() {
        assert_eq!(innermost_pid("Name:\tx\nNSpid:\t4200\t17\t3\n"), Some(3));
        assert_eq!(innermost_pid("NSpid:\t42\n"), Some(42));
        assert_eq!(innermost_pid("Name:\tx\n"), None);
    }
}
