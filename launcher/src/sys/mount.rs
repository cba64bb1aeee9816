//! Owns `mount_setattr`, which `rustix` has no form of.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct mount_attr` of mount_setattr(2), first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}
const _: () = assert!(size_of::<MountAttr>() == 32);

/// One change of mount attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// No mount or unmount here is seen elsewhere, nor the other way round.
    Private,
    /// Read-only, no setuid.
    ReadOnly,
    /// No setuid, no devices; still writable.
    Restricted,
}

/// How far a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This mount alone.
    One,
    /// This mount and all beneath it.
    Tree,
}

/// Changes the mount that `path` (beneath `directory`; empty for the descriptor itself) is the root of.
///
/// # Errors
/// `EPERM` where a flag is locked, `ENOSYS` before Linux 5.12.
pub(crate) fn change(directory: BorrowedFd<'_>, path: &CStr, change: Change, reach: Reach) -> io::Result<()> {
    let attributes = match change {
        Change::Private => MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() },
        Change::ReadOnly => {
            MountAttr { set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID, ..MountAttr::default() }
        }
        Change::Restricted => {
            MountAttr { set: libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV, ..MountAttr::default() }
        }
    };
    let mut flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    if reach == Reach::Tree {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is NUL-terminated and `attributes` lives on this stack for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
