//! Owns the overlays: host directories that look writable while what is written goes to a layer of the run.
//!
//! Runs in the set-up child: nothing is allocated. Made detached, before the view of the file system is
//! built: layers are cloned with the mount flags of that moment (an upper layer must not be read-only),
//! and `/proc/self/fd`, by which the kernel is told of them, must still be the host's, which knows this
//! process. A path would have to be escaped, and would be resolved a second time.
//!
//! `userxattr`: an unprivileged overlay keeps its marks in `user.overlay.*`; it also means that renaming
//! a directory which exists below gives EXDEV, as between file systems, and `mv` copies.
//! `volatile`: without it the last umount writes out the whole file system of the layer, hundreds of
//! milliseconds on a busy machine; what is promoted is synced by the promotion.
//! `xino=off`: inode numbers stay those of the host, so `git status` re-reads nothing.
//! `index=off`: a second name of a file below stays as it is when the first is written, and the layer
//! alone says what changed.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::layers::{Directory, Pinned, Written};

/// An overlay that is not attached yet.
pub(super) struct Made {
    pub(super) tree: OwnedFd,
    /// The upper layer, where it is in memory and only we can name it.
    pub(super) upper: Option<OwnedFd>,
}

/// Mounts one, detached. `size` bounds a layer in memory.
pub(super) fn make(pinned: &Pinned, size: &CStr) -> io::Result<Made> {
    let lower = open_pinned(&pinned.lower)?;
    match &pinned.written {
        Some(written) => {
            let (upper, work) = open(written)?;
            Ok(Made { tree: mount(&lower, &upper, &work)?, upper: None })
        }
        None => in_memory(pinned, &lower, size),
    }
}

/// The layer's two directories.
pub(super) fn open(written: &Written) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok((open_pinned(&written.upper)?, open_pinned(&written.work)?))
}

/// An empty file system in memory, detached.
pub(super) fn memory(size: &CStr) -> io::Result<OwnedFd> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), c"mode", c"0700")?;
    fsconfig_set_string(context.as_fd(), c"size", size)?;
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, restricted())?)
}

/// A layer must be attached while the overlay is made: it is, for that moment, on top of the directory
/// that it will be a layer of. The overlay keeps it alive, and so does the launcher's descriptor.
fn in_memory(pinned: &Pinned, lower: &OwnedFd, size: &CStr) -> io::Result<Made> {
    let at = pinned.lower.path.as_c_str();
    let memory = memory(size)?;
    move_mount(memory.as_fd(), c"", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    let directory = |name: &CStr| {
        rustix::fs::mkdirat(&memory, name, Mode::RWXU)?;
        Ok::<_, io::Error>(openat(&memory, name, directory_flags() | OFlags::RDONLY, Mode::empty())?)
    };
    let (upper, work) = (directory(c"upper")?, directory(c"work")?);
    pinned.root.put_on(&upper)?;
    let tree = mount(lower, &upper, &work)?;
    rustix::mount::unmount(at, UnmountFlags::DETACH)?;
    Ok(Made { tree, upper: Some(upper) })
}

/// The overlay of these three, detached.
pub(super) fn mount(lower: &OwnedFd, upper: &OwnedFd, work: &OwnedFd) -> io::Result<OwnedFd> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    for (key, layer) in [(c"lowerdir", lower), (c"upperdir", upper), (c"workdir", work)] {
        let mut name = [0; 32];
        fsconfig_set_string(context, key, name_of(layer, &mut name)?)?;
    }
    fsconfig_set_flag(context, c"userxattr")?;
    fsconfig_set_flag(context, c"volatile")?;
    fsconfig_set_string(context, c"xino", c"off")?;
    fsconfig_set_string(context, c"index", c"off")?;
    fsconfig_create(context)?;
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, restricted())?)
}

/// `/proc/self/fd/N`, on the caller's stack.
fn name_of<'a>(descriptor: &OwnedFd, buffer: &'a mut [u8; 32]) -> io::Result<&'a CStr> {
    const PREFIX: &[u8] = b"/proc/self/fd/";
    let number = rustix::path::DecInt::new(descriptor.as_raw_fd());
    for (to, from) in buffer.iter_mut().zip(PREFIX.iter().chain(number.as_bytes())) {
        *to = *from;
    }
    CStr::from_bytes_until_nul(buffer).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The directory that the launcher holds, found in this mount namespace; `ESTALE` when another one stands
/// there by now.
fn open_pinned(directory: &Directory) -> io::Result<OwnedFd> {
    let opened = openat(CWD, directory.path.as_c_str(), directory_flags() | OFlags::PATH, Mode::empty())?;
    let stat = fstat(&opened)?;
    if (stat.st_dev, stat.st_ino) != (directory.device, directory.inode) {
        return Err(rustix::io::Errno::STALE.into());
    }
    Ok(opened)
}

fn directory_flags() -> OFlags {
    OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn restricted() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV
}
