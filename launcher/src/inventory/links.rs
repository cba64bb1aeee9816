//! Owns hard links: a secret file with a second name is masked at each of its names, or nothing starts.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, Stat};

use super::InventoryError;
use super::candidates::Name;
use super::mounts::MountTable;
use super::path::{as_path, join};
use super::walk::{Extent, Walk, open_root, walk};
use shieldrun_policy::plan::Bytes;

/// One file on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
}

impl Identity {
    /// What stat(2) says.
    #[allow(clippy::useless_conversion, reason = "the count is 32 bits wide on other machines")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino, links: stat.st_nlink.into() }
    }
}

/// Every other name of the file at `path`. The workspace's walk is asked first; only a name that is
/// still missing then costs a walk over the rest of the file system.
///
/// # Errors
/// When names are missing after that.
pub(super) fn other_names(
    path: &[u8],
    identity: Identity,
    workspace: &Walk<Name>,
    root: &[u8],
    mounts: &MountTable,
) -> Result<Vec<Vec<u8>>, InventoryError> {
    let mut names = vec![path.to_vec()];
    if let Ok(opened) = open_root(as_path(root)) {
        for name in workspace.names_of(opened.as_fd(), identity.inode) {
            keep(&mut names, join(root, &name), identity);
        }
    }
    let count = |names: &[Vec<u8>]| {
        // Two mounts may show one entry under two names, which must not stand in for a missing one.
        let mut entries: Vec<_> = names.iter().map(|name| mounts.within(name)).collect();
        entries.sort_unstable();
        entries.dedup();
        entries.len() as u64
    };
    let mut closed_to_us = true;
    if count(&names) < identity.links {
        for at in mounts.same_file_system(path) {
            let Ok(opened) = open_root(as_path(&at)) else { continue };
            let whole = walk(opened.as_fd(), Extent::OneMount, |_, _| None::<()>);
            for name in whole.names_of(opened.as_fd(), identity.inode) {
                keep(&mut names, join(&at, &name), identity);
            }
            closed_to_us &= whole.unreadable.iter().all(|directory| !ours(&join(&at, directory)));
        }
    }
    let found = count(&names);
    // What is still missing lies in a directory that this user can neither read nor open up, so
    // nothing inside can reach it either; anything else is not to be explained away.
    if found < identity.links && !closed_to_us {
        return Err(InventoryError::HardLinks { path: Bytes(path.to_vec()), found, links: identity.links });
    }
    names.retain(|name| name != path);
    Ok(names)
}

fn ours(directory: &[u8]) -> bool {
    rustix::fs::statat(CWD, as_path(directory), AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| stat.st_uid == rustix::process::geteuid().as_raw())
}

fn keep(names: &mut Vec<Vec<u8>>, name: Vec<u8>, identity: Identity) {
    let same = rustix::fs::statat(CWD, as_path(&name), AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| stat.st_dev == identity.device && stat.st_ino == identity.inode);
    if same && !names.contains(&name) {
        names.push(name);
    }
}
