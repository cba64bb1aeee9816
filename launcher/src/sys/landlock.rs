//! Owns Landlock: its version, and a ruleset from its making to its entry into force.
//!
//! Plain system calls, because the set-up child makes them, and it does not allocate. The numbers are
//! those of `linux/landlock.h`; see landlock(7) for what each came with.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::privileges::NoNewPrivs;

/// Rights over files, as bits.
pub(crate) mod access {
    pub(crate) const EXECUTE: u64 = 1 << 0;
    pub(crate) const WRITE_FILE: u64 = 1 << 1;
    pub(crate) const READ_FILE: u64 = 1 << 2;
    pub(crate) const READ_DIR: u64 = 1 << 3;
    /// Making, removing: all of the first version that change a directory.
    pub(crate) const CHANGE_DIR: u64 = 0x1ff0;
    /// Moving and linking between directories (ABI 2).
    pub(crate) const REFER: u64 = 1 << 13;
    /// truncate(2) (ABI 3).
    pub(crate) const TRUNCATE: u64 = 1 << 14;
    /// Commands to devices (ABI 5).
    pub(crate) const IOCTL_DEV: u64 = 1 << 15;
    /// What makes sense for a file that is no directory.
    pub(crate) const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
}

/// What a domain cannot reach outside itself (ABI 6).
pub(crate) mod scope {
    pub(crate) const ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;
    pub(crate) const SIGNAL: u64 = 1 << 1;
}

/// `struct landlock_ruleset_attr`, as of ABI 6; an older kernel takes it while the tail is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handled {
    pub(crate) fs: u64,
    /// TCP by port (ABI 4). Never handled: where there is a network namespace it is the wall, and where
    /// there is none no socket is made at all.
    pub(crate) net: u64,
    pub(crate) scoped: u64,
}
const _: () = assert!(size_of::<Handled>() == 24);

/// `struct landlock_path_beneath_attr`, which the kernel has packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}
const _: () = assert!(size_of::<PathBeneath>() == 12);

/// A ruleset that is not in force yet.
#[derive(Debug)]
pub(crate) struct Ruleset(OwnedFd);

/// The version of Landlock's interface, or `None` where it is missing or switched off.
pub(crate) fn abi() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel wants a null attribute of size 0 and gives a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

impl Handled {
    /// What of this the kernel has: a right that it does not know would make it refuse the whole.
    pub(crate) fn within(self, abi: u32) -> Self {
        let newest = |since: u32, bits: u64| if abi >= since { bits } else { 0 };
        let fs =
            0x1fff | newest(2, access::REFER) | newest(3, access::TRUNCATE) | newest(5, access::IOCTL_DEV);
        Self { fs: self.fs & fs, net: 0, scoped: newest(6, self.scoped) }
    }
}

impl Ruleset {
    /// A ruleset that forbids all that it handles.
    ///
    /// # Errors
    /// `EOPNOTSUPP` and `ENOSYS` where there is no Landlock, `EINVAL` for rights this kernel has not.
    pub(crate) fn new(handled: &Handled) -> io::Result<Self> {
        // SAFETY: the attribute lives for the call, and its size is given.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                std::ptr::from_ref(handled),
                size_of::<Handled>(),
                0,
            )
        };
        let number = i32::try_from(result).ok().filter(|number| *number >= 0);
        let number = number.ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the kernel made this descriptor just now, and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    /// Allows these rights at a file or directory and all beneath it.
    ///
    /// # Errors
    /// `EINVAL` for a right that is not handled, or that a file cannot have.
    pub(crate) fn allow(&self, path: BorrowedFd<'_>, allowed: u64) -> io::Result<()> {
        const PATH_BENEATH: libc::c_int = 1;
        let rule = PathBeneath { allowed, parent: path.as_raw_fd() };
        // SAFETY: the rule lives for the call and has the layout of its kind.
        let result = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, self.0.as_raw_fd(), PATH_BENEATH, &raw const rule, 0)
        };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Puts it in force for this process and all that come from it, for good.
    ///
    /// # Errors
    /// `E2BIG` at the sixteenth layer.
    pub(crate) fn enforce(self, _: &NoNewPrivs) -> io::Result<()> {
        // SAFETY: takes a descriptor and flags.
        let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_is_asked_for_what_it_has() {
        let wanted = Handled { fs: u64::MAX, net: 0, scoped: scope::SIGNAL };
        assert_eq!(wanted.within(1), Handled { fs: 0x1fff, net: 0, scoped: 0 });
        assert_eq!(wanted.within(2).fs, 0x1fff | access::REFER);
        assert_eq!(wanted.within(5).scoped, 0);
        assert_eq!(wanted.within(7).scoped, scope::SIGNAL);
    }
}
