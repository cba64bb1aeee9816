//! Owns getting through what is closed to its owner: a directory without all of `rwx`, a file that may not be read.
//!
//! Root passes those. Anybody else opens them as their owner for as long as it takes, and closes them again. In a layer
//! nothing else is needed: what the run gave for permissions is in the list of its changes. Whoever does it in the
//! user's tree writes it down first.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, chmodat, fstat, openat};
use rustix::io::Errno;

use crate::beneath::{Spot, Tree, above};

/// A directory that was closed, and the permissions that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) path: Vec<u8>,
    pub(crate) inode: u64,
    pub(crate) mode: u32,
}

/// Opens these directories where they are closed, from the root down, and says which were. What is behind a closed
/// one is seen once that is open, so it takes as many rounds as closed ones lie within each other. `note` hears of
/// each round before it is done.
///
/// # Errors
/// What the kernel gives for a directory that is somebody else's, and what `note` gives.
pub(crate) fn open_all(
    tree: &mut Tree<'_>,
    wanted: &BTreeSet<Vec<u8>>,
    mut note: impl FnMut(&[Closed]) -> io::Result<()>,
) -> io::Result<Vec<Closed>> {
    let mut opened = Vec::new();
    let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
    loop {
        let mut closed = Vec::new();
        for path in wanted.iter().filter(|path| !known.contains(*path)) {
            match tree.stat(path) {
                Ok(Some(stat)) if is_closed(&stat) => {
                    let mode = stat.st_mode & 0o7777;
                    closed.push(Closed { path: path.clone(), inode: stat.st_ino, mode });
                }
                Ok(_) => {}
                // Behind one that is closed.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::ACCESS) => {}
                Err(error) => return Err(error),
            }
        }
        if closed.is_empty() {
            return Ok(opened);
        }
        note(&closed)?;
        for one in &closed {
            open(tree, &one.path, one.inode)?;
            known.insert(one.path.clone());
        }
        opened.extend(closed);
    }
}

/// The directories above these paths.
pub(crate) fn leading_to<'a>(paths: impl Iterator<Item = &'a [u8]>) -> BTreeSet<Vec<u8>> {
    let mut wanted: BTreeSet<Vec<u8>> = BTreeSet::new();
    for path in paths {
        // Nearest first: where one is known, those above it are.
        for above in above(path).rev() {
            if wanted.contains(above) {
                break;
            }
            wanted.insert(above.to_vec());
        }
    }
    wanted
}

/// Opens one, if it is the one that is meant, and closed.
///
/// # Errors
/// What the kernel gives.
pub(crate) fn open(tree: &mut Tree<'_>, path: &[u8], inode: u64) -> io::Result<()> {
    match tree.stat(path)?.filter(|stat| stat.st_ino == inode).filter(is_closed) {
        Some(stat) => permit(&tree.spot(path)?, inode, stat.st_mode | 0o700),
        None => Ok(()),
    }
}

/// Closes one again, if it is the one that was opened.
///
/// # Errors
/// What the kernel gives.
pub(crate) fn close(tree: &mut Tree<'_>, path: &[u8], inode: u64, mode: u32) -> io::Result<()> {
    match tree.stat(path)?.filter(|stat| stat.st_ino == inode) {
        Some(stat) if stat.st_mode & 0o7777 != mode => permit(&tree.spot(path)?, inode, mode),
        _ => Ok(()),
    }
}

/// Closes all, deepest first.
///
/// # Errors
/// What the kernel gives.
pub(crate) fn close_all(tree: &mut Tree<'_>, mut opened: Vec<Closed>) -> io::Result<()> {
    opened.sort_by(|one, other| other.path.cmp(&one.path));
    opened.iter().try_for_each(|one| close(tree, &one.path, one.inode, one.mode))
}

/// Whether it is a directory of ours that lacks what its owner needs to work in it.
pub(crate) fn is_closed(stat: &Stat) -> bool {
    is_directory(stat.st_mode) && stat.st_mode & 0o700 != 0o700 && is_ours(stat)
}

/// Whether these are the type and permissions of a directory.
pub(crate) fn is_directory(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::Directory
}

/// Does something with a file or directory of ours while its owner may read it. Its attributes need that for as long as
/// they are read, whoever holds it open.
///
/// # Errors
/// What the kernel gives, or what is done.
pub(crate) fn while_readable<T>(
    spot: &Spot<'_>,
    stat: &Stat,
    act: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let can_be = matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory);
    if stat.st_mode & 0o400 != 0 || !can_be || !is_ours(stat) {
        return act();
    }
    permit(spot, stat.st_ino, stat.st_mode | 0o400)?;
    let done = act();
    permit(spot, stat.st_ino, stat.st_mode)?;
    done
}

/// Gives what is at a spot other permissions, if it is still this very thing.
///
/// # Errors
/// What the kernel gives; `ESTALE` for another thing.
pub(crate) fn permit(spot: &Spot<'_>, inode: u64, mode: u32) -> io::Result<()> {
    let thing = handle(spot)?;
    if fstat(&thing)?.st_ino != inode {
        return Err(Errno::STALE.into());
    }
    Ok(chmodat(CWD, by_descriptor(&thing), Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())?)
}

/// The thing itself, whatever it is and whoever may read it.
///
/// # Errors
/// What openat(2) gives.
pub(crate) fn handle(spot: &Spot<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(spot.directory, spot.name.as_slice(), flags, Mode::empty())?)
}

/// The kernel's own name for an open thing: a link cannot come in between, and it need not be readable.
pub(crate) fn by_descriptor(thing: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", thing.as_raw_fd())
}

fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw()
}
