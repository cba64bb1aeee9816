//! Owns the guest's directory, with shim, table, ring and covers, and putting each cover in its place.
//!
//! Runs in the set-up child, as `steps` does: nothing is allocated.
#![expect(
    clippy::result_large_err,
    reason = "a failure carries its path by value: nothing may be allocated here"
)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::mount::{MountFlags, MoveMountFlags};

use super::prepared::{MaskStep, Prepared};
use super::report::{Failure, Place, send_tripwire};
use super::steps::{attach, clone_tree, create, write_all};
use super::{agent, tripwire};
use crate::guest;
use crate::sys::mount::{self, Change, Reach};

use shieldrun_policy::plan::Cover;

/// The guest's directory.
pub(super) struct GuestMount {
    pub(super) ring: OwnedFd,
    /// The socket of the ssh-agent, where there is one.
    pub(super) agent: Option<OwnedFd>,
    /// Whether the masks that tell are mounted in it.
    pub(super) wired: bool,
}

/// The directory of shim, table, ring and covers. All but the ring is read-only once filled, and a
/// bind of a read-only mount is read-only too, so the covers need no flag of their own.
///
/// The masks that tell are mounted here too. Their device goes to the launcher at once, which is asked for
/// each node when it is put in its place, and is kept by nobody else: with the launcher the connection ends.
pub(super) fn mount(
    prepared: &Prepared<'_>,
    control: BorrowedFd<'_>,
    device: Option<OwnedFd>,
) -> Result<GuestMount, Failure> {
    fn failed<E: Into<io::Error>>(path: &CStr) -> impl FnOnce(E) -> Failure {
        Place::Guest.failed_at(path)
    }
    rustix::fs::mkdir(guest::DIRECTORY_C, Mode::from_raw_mode(0o755)).map_err(failed(guest::DIRECTORY_C))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount(c"tmpfs", guest::DIRECTORY_C, c"tmpfs", flags, prepared.guest_options.as_c_str())
        .map_err(failed(guest::DIRECTORY_C))?;
    let files: [(&'static CStr, &[u8], u32); 3] = [
        (guest::SHIM_PATH, guest::SHIM, 0o555),
        (guest::TABLE_PATH, prepared.table, 0o444),
        (guest::INIT_PATH, guest::INIT, 0o555),
    ];
    for (path, content, mode) in files {
        let file = create(path, Mode::from_raw_mode(mode)).map_err(failed(path))?;
        write_all(&file, content).map_err(failed(path))?;
    }
    let device = device.filter(|device| tripwire::mount(prepared, device).is_ok());
    if let Some(device) = &device {
        send_tripwire(control, device).map_err(failed(guest::TRIPWIRE_C))?;
    }
    let wired = device.is_some();
    for mask in prepared.masks.iter().filter(|mask| !wired || mask.node.is_none()) {
        make_cover(mask).map_err(Place::Guest.failed_at(&mask.source))?;
        if matches!(mask.cover, Cover::Scratch { .. }) {
            let tree = clone_tree(CWD, &mask.source).map_err(Place::Guest.failed_at(&mask.source))?;
            mask.tree.replace(Some(tree));
        }
    }
    let agent = prepared.ssh_agent.map(agent::make).transpose().map_err(failed(guest::AGENT_PATH))?;
    // Closed again at once: a mount with a file open for writing cannot be made read-only.
    drop(create(guest::RING_PATH, Mode::from_raw_mode(0o600)).map_err(failed(guest::RING_PATH))?);
    let writable = clone_tree(CWD, guest::RING_PATH).map_err(failed(guest::RING_PATH))?;
    mount::change(CWD, guest::DIRECTORY_C, Change::ReadOnly, Reach::One)
        .map_err(failed(guest::DIRECTORY_C))?;
    attach(&writable, guest::RING_PATH).map_err(failed(guest::RING_PATH))?;
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let ring = rustix::fs::open(guest::RING_PATH, flags, Mode::empty()).map_err(failed(guest::RING_PATH))?;
    Ok(GuestMount { ring, agent, wired })
}

fn make_cover(mask: &MaskStep<'_>) -> io::Result<()> {
    match mask.cover {
        Cover::Host { .. } => {}
        Cover::BlockedFile => drop(create(&mask.source, Mode::empty())?),
        Cover::BlockedDirectory => rustix::fs::mkdir(mask.source.as_c_str(), Mode::empty())?,
        Cover::Synthetic { content, mode, modified } | Cover::Scratch { content, mode, modified } => {
            let file = create(&mask.source, Mode::RUSR | Mode::WUSR)?;
            write_all(&file, content)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(*mode))?;
            let time = Timespec { tv_sec: modified.0, tv_nsec: modified.1 };
            rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
        }
    }
    Ok(())
}

/// Puts the cover of a mask where the guest would find the secret file.
pub(super) fn put(mask: &MaskStep<'_>, wired: bool) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS;
    let target = match rustix::fs::openat2(CWD, mask.at.as_c_str(), flags, Mode::empty(), resolve) {
        Err(rustix::io::Errno::NOENT) if mask.may_vanish => return Ok(()),
        other => other?,
    };
    let source = match mask.tree.take() {
        Some(tree) => {
            if matches!(mask.cover, Cover::Host { .. }) {
                mount::change(tree.as_fd(), c"", Change::ReadOnly, Reach::Tree)?;
            }
            tree
        }
        None => clone_tree(CWD, mask.source(wired))?,
    };
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(source.as_fd(), c"", target.as_fd(), c"", both)?;
    Ok(())
}
