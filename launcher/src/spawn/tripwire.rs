//! Owns making the FUSE mount of the masks that tell, in the set-up child; see `crate::tripwire` for who
//! serves it.
//!
//! The device must be opened in the namespace that mounts, says the kernel, and before the host's `/dev` is
//! covered. Where it cannot be opened or mounted, the masks are plain ones: as strong, but silent. The mount
//! goes away again once its nodes lie over the secret paths, so that nothing inside ever sees its root.

use std::ffi::{CStr, CString};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::mount::{MountFlags, UnmountFlags};

use super::prepared::{MaskStep, Prepared};
use crate::guest;

/// The options of mount(2) but for the descriptor, whose number is not known before.
pub(super) fn options(uid: u32, gid: u32) -> Vec<u8> {
    format!("rootmode=40000,user_id={uid},group_id={gid},fd=").into_bytes()
}

/// The path of a mask's node.
pub(super) fn node_path(index: usize) -> Result<CString, std::ffi::NulError> {
    CString::new(format!("{}/m{index}", guest::TRIPWIRE))
}

/// The device, if there is a use for it and this host gives it.
pub(super) fn open(prepared: &Prepared<'_>) -> Option<OwnedFd> {
    prepared.masks.iter().any(|mask| mask.node.is_some()).then_some(())?;
    rustix::fs::open(c"/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Mounts it in the guest's directory. Nothing is asked of the mount before somebody serves it.
pub(super) fn mount(prepared: &Prepared<'_>, device: &OwnedFd) -> io::Result<()> {
    let mut room = [0u8; 128];
    let mut cursor = io::Cursor::new(room.as_mut_slice());
    cursor.write_all(&prepared.tripwire_options)?;
    write!(cursor, "{}\0", device.as_raw_fd())?;
    let options = CStr::from_bytes_until_nul(&room).map_err(|_| io::ErrorKind::InvalidInput)?;
    rustix::fs::mkdir(guest::TRIPWIRE_C, Mode::from_raw_mode(0o755))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    Ok(rustix::mount::mount(c"fuse", guest::TRIPWIRE_C, c"fuse", flags, options)?)
}

/// Asks for all names at once, where each would cost two switches to the launcher and back. What cannot be
/// listed is found by its name all the same.
pub(super) fn meet_the_nodes() {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = rustix::fs::open(guest::TRIPWIRE_C, flags, Mode::empty()) else { return };
    let mut room = [MaybeUninit::uninit(); 8192];
    let mut names = RawDir::new(root, &mut room);
    while names.next().is_some_and(|name| name.is_ok()) {}
}

/// Takes the mount out of sight; the covers that were cloned from it stay.
pub(super) fn hide() -> io::Result<()> {
    Ok(rustix::mount::unmount(guest::TRIPWIRE_C, UnmountFlags::DETACH)?)
}

impl MaskStep<'_> {
    /// What is put over the path.
    pub(super) fn source(&self, wired: bool) -> &CStr {
        match &self.node {
            Some(node) if wired => node,
            _ => &self.source,
        }
    }
}
