//! Keeps a layer that was in memory: what waits for a person must outlive the run.
//!
//! Files, links, directories and FIFOs are copied; marks of removals are not, as the list of changes has those.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::stage::{self, open_closed};
use crate::beneath::{Spot, Tree, join};

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
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            let source = if is_file { Some(open_closed(&spot, &stat)?) } else { None };
            stage::copy(&spot, &stat, source, target.as_fd(), name)?;
        }
    }
    Ok(())
}
