//! Owns clone, exec and exit of the set-up child.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Which side of a clone this is.
#[derive(Debug)]
pub(crate) enum Cloned {
    /// The launcher.
    Parent {
        /// The child's pid here.
        pid: i32,
        /// Signals and waits without a race on the number.
        pidfd: OwnedFd,
    },
    /// The child, with a copy of the launcher's memory.
    Child,
}

/// Namespaces of the full tier: user first, so that the others belong to it.
pub(crate) const ALL_NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS) as u64;

/// `struct clone_args` of clone3(2), with what Linux 5.7 has (88 bytes).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}
const _: () = assert!(size_of::<CloneArgs>() == 88);
/// Its first version, which Linux 5.3 had: what is zero behind it need not be said.
const FIRST: usize = 64;
/// `CLONE_INTO_CGROUP` of linux/sched.h.
const INTO_GROUP: u64 = 0x2_0000_0000;

/// Forks into new namespaces, and into a control group where there is one.
///
/// # Errors
/// What clone3(2) gives: `EPERM` and `ENOSPC` where user namespaces are forbidden.
pub(crate) fn clone_into(namespaces: u64, group: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    let mut size = FIRST;
    if let Some(group) = group {
        args.flags |= INTO_GROUP;
        args.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
        size = size_of::<CloneArgs>();
    }
    // SAFETY: `args` is a clone_args of at least that size on this stack; without CLONE_VM the child has its own
    // copy of the memory, and the launcher has one thread here, so no lock is held by another.
    let mut result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) };
    if result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        // Container engines answer so, because a filter cannot look into clone3's arguments; the
        // older call takes the same flags, and the descriptor where the parent's tid would go.
        // It has no groups: the watch has to do.
        let flags = (args.flags & !INTO_GROUP) | args.exit_signal;
        // SAFETY: as above; a null stack means fork's; the third argument is `pidfd` on every
        // architecture that we build for, and the kernel stores one int there.
        result = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    }
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: with CLONE_PIDFD the kernel stored a new descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: i32::try_from(pid).unwrap_or(i32::MAX), pidfd })
        }
    }
}

/// NULL-terminated lists for exec, made before clone so that the child need not allocate.
#[derive(Debug)]
pub(crate) struct ExecList<'a> {
    pointers: Vec<*const libc::c_char>,
    _strings: std::marker::PhantomData<&'a CStr>,
}

impl<'a> ExecList<'a> {
    /// The list of these strings.
    pub(crate) fn new(strings: impl IntoIterator<Item = &'a CStr>) -> Self {
        let mut pointers: Vec<_> = strings.into_iter().map(CStr::as_ptr).collect();
        pointers.push(std::ptr::null());
        Self { pointers, _strings: std::marker::PhantomData }
    }
}

/// Replaces this process; returns only on failure.
pub(crate) fn execute(path: &CStr, argv: &ExecList<'_>, envp: &ExecList<'_>) -> io::Error {
    // SAFETY: the path and both lists are NUL/NULL-terminated and borrowed for the whole call.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), envp.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends the child without running the launcher's exit handlers.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: _exit takes no pointer and does not return.
    unsafe { libc::_exit(code) }
}
