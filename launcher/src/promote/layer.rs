//! Keeps a layer that was in memory: what waits for a person must outlive the run.
//!
//! Files, links, directories and FIFOs are copied; marks of removals are not, as the list of changes has those.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::stage::{self, How};
use crate::beneath::{Spot, Tree, join};
use crate::closed;

/// Copies a layer into an empty directory.
///
/// # Errors
/// When something of it cannot be read, or there is no room.
pub(crate) fn keep_layer(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let (from, to) = (Tree::new(from), Tree::new(to));
    let mut pending = vec![Vec::new()];
    while let Some(path) = pending.pop() {
        let (source, target) = (from.directory(&path)?, to.directory(&path)?);
        for entry in Dir::read_from(&source)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let stat = statat(&source, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let spot = Spot { directory: source.as_fd(), name: name.to_vec() };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::CharacterDevice | FileType::Socket | FileType::BlockDevice => continue,
                FileType::Directory => pending.push(join(&path, name)),
                _ => {}
            }
            stage::copy(&spot, &stat, How::default(), target.as_fd(), name)?;
            if closed::is_closed(&stat) {
                // What is copied stays open: the list of changes has its permissions, and the layer goes.
                closed::permit(&spot, stat.st_ino, stat.st_mode | 0o700)?;
            }
        }
    }
    Ok(())
}
