//! Owns bringing back to the host's home what the policy keeps from run to run and no mount could: a file
//! that programs replace by renaming, and what was not there before.
//!
//! What lies in the run's layer is the guest's work: it is reached beneath descriptors and through no
//! link, and only files and directories come back. Each comes whole, by a rename.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with};
use rustix::io::Errno;

use shieldrun_policy::plan::Bytes;

use super::{HOME, keep, tree};
use crate::beneath::{Spot, Tree, split};
use crate::record::RunDir;

/// Brings back what changed of `kept`, paths of the home at `home`; gives those that could not be.
pub(crate) fn bring_back(directory: &RunDir, home: &Path, kept: &[Bytes]) -> Vec<(Bytes, io::Error)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(directory, HOME, flags | OFlags::NOFOLLOW, Mode::empty())
        .and_then(|from| Ok((from, openat(CWD, home, flags | OFlags::NOFOLLOW, Mode::empty())?)));
    let (from, to): (OwnedFd, OwnedFd) = match opened {
        Ok(both) => both,
        Err(error) => return kept.iter().map(|path| (path.clone(), error.into())).collect(),
    };
    let above = home.as_os_str().as_encoded_bytes();
    let one = |path: &Bytes| {
        let relative = path.0.strip_prefix(above)?.strip_prefix(b"/")?;
        let error = bring_one(from.as_fd(), to.as_fd(), relative, directory.id()).err()?;
        Some((path.clone(), error))
    };
    kept.iter().filter_map(one).collect()
}

fn bring_one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &[u8], id: &str) -> io::Result<()> {
    let (mut source, mut target) = (Tree::new(from), Tree::new(to));
    let Some(stat) = source.stat(path)? else { return Ok(()) };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        // Removed inside (a device says so), or no longer what it was.
        return Ok(());
    }
    make_parents(to, split(path).0)?;
    let place = target.spot(path)?;
    if let Some(there) = place.stat()? {
        // A directory that the host made meanwhile is not replaced, nor is a link followed.
        if kind == FileType::Directory || FileType::from_raw_mode(there.st_mode) != FileType::RegularFile {
            return Err(Errno::EXIST.into());
        }
    }
    let beside = [b".", place.name.as_slice(), b".", id.as_bytes()].concat();
    let found = source.spot(path)?;
    let brought = keep::one(found.directory, &found.name, place.directory, &beside)
        .and_then(|()| put_in_place(&place, &beside, kind));
    if brought.is_err() {
        let _ = tree::remove(place.directory, beside.as_slice());
    }
    brought
}

fn put_in_place(place: &Spot<'_>, beside: &[u8], kind: FileType) -> io::Result<()> {
    let name = place.name.as_slice();
    match kind {
        FileType::Directory => {
            renameat_with(place.directory, beside, place.directory, name, RenameFlags::NOREPLACE)?;
        }
        _ => renameat(place.directory, beside, place.directory, name)?,
    }
    Ok(())
}

fn make_parents(home: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in ends.chain((!path.is_empty()).then_some(path.len())) {
        let mut tree = Tree::new(home);
        let spot = tree.spot(path.get(..end).unwrap_or_default())?;
        match mkdirat(spot.directory, spot.name.as_slice(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
