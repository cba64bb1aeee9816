//! Owns the private home: a directory of the run's own, with the toolchains of the host's in it.
//!
//! Runs in the set-up child: nothing is allocated. Two overlays at most, whatever is shown, because each
//! costs as much as twenty binds: one takes what is written to the home, the other lies over the whole of
//! the host's home, is never attached for longer than it takes to clone the shown directories out of it,
//! and takes what is written to them.
//!
//! Since Linux 6.15 nothing need be attached to be a layer or to be cloned from. That is tried first: a
//! mount that is taken away again waits for every processor.
#![expect(
    clippy::result_large_err,
    reason = "a failure carries its path by value: nothing may be allocated here"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};

use super::overlay;
use super::prepared::HomeStep;
use super::report::{Failure, Place};
use super::skeleton::Point;
use super::steps::{clone_tree, write_all};
use crate::sys::mount::{self, Change, Reach};

/// Whether what is written to toolchains has a place to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tools {
    /// An overlay.
    Writable,
    /// Something is mounted in the host's home, and then the kernel allows no overlay over it.
    ReadOnly,
}

/// What was made.
pub(super) struct Made {
    pub(super) tools: Tools,
    /// What the home and the toolchains were made of: see [`super::report::Handed`].
    pub(super) spent: [Option<OwnedFd>; 2],
}

/// Gives the home and then each of its toolchains to `put`, detached.
pub(super) fn make(
    step: &HomeStep<'_>,
    size: &CString,
    put: &mut dyn FnMut(OwnedFd) -> Result<(), Failure>,
) -> Result<Made, Failure> {
    let (home, skeleton) = own(step, size).map_err(Place::Home.failed_at(&step.at))?;
    put(home)?;
    if step.tools.is_empty() {
        return Ok(Made { tools: Tools::Writable, spent: [skeleton, None] });
    }
    let above = match overlay::make(&step.pinned.tools, size) {
        Ok(made) => Some(made.tree),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => None,
        Err(error) => return Err(Place::Overlay.failed_at(&step.at)(error)),
    };
    let tools = if above.is_some() { Tools::Writable } else { Tools::ReadOnly };
    let mut attached = false;
    for at in &step.tools {
        let detached = above.as_ref().filter(|_| !attached).zip(beneath(&step.at, at));
        let tree = match detached.map(|(tree, at)| clone_tree(tree.as_fd(), at)) {
            Some(Ok(tree)) => tree,
            Some(Err(_)) | None => {
                if let Some(above) = above.as_ref().filter(|_| !attached) {
                    attach_for_a_moment(above, step).map_err(Place::Home.failed_at(&step.at))?;
                    attached = true;
                }
                clone_tree(CWD, at).map_err(Place::Home.failed_at(at))?
            }
        };
        let change = match tools {
            Tools::Writable => Change::Restricted,
            Tools::ReadOnly => Change::ReadOnly,
        };
        mount::change(tree.as_fd(), c"", change, Reach::Tree).map_err(Place::Home.failed_at(at))?;
        put(tree)?;
    }
    if attached {
        unmount(step.at.as_c_str(), UnmountFlags::DETACH).map_err(Place::Home.failed_at(&step.at))?;
    }
    Ok(Made { tools, spent: [skeleton, above.filter(|_| !attached)] })
}

/// The home itself: mount points, copies and links in memory, and above them the layer on disk, where
/// caches of hundreds of megabytes can go. Second the former by itself, where it is still detached.
fn own(step: &HomeStep<'_>, size: &CString) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let skeleton = overlay::memory(size)?;
    // What fsmount gives is good for names beneath it only.
    let root = rustix::fs::openat(&skeleton, c".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    step.pinned.tools.root.put_on(&root)?;
    drop(root);
    for point in &step.points {
        put(&skeleton, point)?;
    }
    let Some(written) = &step.pinned.own else { return Ok((skeleton, None)) };
    // Opened before the skeleton lies over a home that the record may be in.
    let (upper, work) = overlay::open(written)?;
    if let Ok(made) = overlay::mount(&skeleton, &upper, &work) {
        return Ok((made, Some(skeleton)));
    }
    attach_for_a_moment(&skeleton, step)?;
    let made = match overlay::mount(&skeleton, &upper, &work) {
        // The record's file system cannot hold a layer after all: then what is in memory is the home.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => clone_tree(CWD, &step.at)?,
        other => other?,
    };
    unmount(step.at.as_c_str(), UnmountFlags::DETACH)?;
    Ok((made, None))
}

/// The part of a path that lies beneath a directory.
fn beneath<'a>(directory: &CStr, path: &'a CStr) -> Option<&'a CStr> {
    let rest = path.to_bytes_with_nul().strip_prefix(directory.to_bytes())?.strip_prefix(b"/")?;
    CStr::from_bytes_with_nul(rest).ok()
}

/// A layer, or what is cloned from, must be attached somewhere.
fn attach_for_a_moment(tree: &OwnedFd, step: &HomeStep<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(tree.as_fd(), c"", CWD, step.at.as_c_str(), flags)?)
}

fn put(skeleton: &OwnedFd, point: &Point<'_>) -> io::Result<()> {
    match point {
        Point::Directory(at) => rustix::fs::mkdirat(skeleton, at.as_c_str(), Mode::RWXU)?,
        Point::Link { at, target } => {
            rustix::fs::symlinkat(target.as_c_str(), skeleton, at.as_c_str())?;
        }
        Point::File { at, content, mode } => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(skeleton, at.as_c_str(), flags, Mode::RUSR)?;
            write_all(&file, content)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(*mode))?;
        }
    }
    Ok(())
}
