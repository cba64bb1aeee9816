//! Owns the removal of a directory and all beneath it, where some of it has no permission bits: the
//! kernel's work directory of an overlay has none, and a guest may leave directories that it closed.
//!
//! Never follows a link, never leaves the directory.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, chmodat, openat, unlinkat};
use rustix::io::Errno;

/// Removes `name` beneath `directory`, whatever it is. Nothing there is success.
///
/// Depth costs descriptors, one a level; a guest that nests deeper than the limit leaves the rest.
///
/// # Errors
/// The first thing that could not be removed; the rest is removed all the same.
pub(crate) fn remove(directory: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR) => return Ok(unlinkat(directory, name, AtFlags::empty())?),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let emptied = empty(&opened(directory, name)?);
    unlinkat(directory, name, AtFlags::REMOVEDIR)?;
    emptied
}

fn empty(directory: &OwnedFd) -> io::Result<()> {
    let mut result = Ok(());
    // Collected first: what a listing gives while its directory changes is not defined.
    let mut entries: Vec<(CString, FileType)> = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            entries.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    for (name, kind) in entries {
        let name: &CStr = &name;
        let removed = match kind {
            FileType::Directory | FileType::Unknown => remove(directory.as_fd(), name),
            _ => unlinkat(directory, name, AtFlags::empty()).map_err(io::Error::from),
        };
        result = result.and(removed);
    }
    result
}

/// Opens a directory, also one whose permission bits forbid it to its owner.
pub(super) fn opened(directory: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(directory, name, flags, Mode::empty());
    // Permission bits of a directory also decide whether what is in it can be removed.
    let opened = match open() {
        Err(Errno::ACCESS) => {
            // Not a link: removing it as a directory has said so, and only we write here now.
            chmodat(directory, name, Mode::RWXU, AtFlags::empty())?;
            open()?
        }
        other => other?,
    };
    let mode = rustix::fs::fstat(&opened)?.st_mode;
    if mode & 0o300 != 0o300 {
        rustix::fs::fchmod(&opened, Mode::RWXU)?;
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn closed_directories_go_and_what_links_point_at_stays() {
        let at = tempfile::tempdir().expect("a directory");
        let kept = at.path().join("kept");
        fs::create_dir(&kept).expect("a directory");
        fs::write(kept.join("file"), "x").expect("a file");
        let gone = at.path().join("gone");
        fs::create_dir_all(gone.join("a/b/c")).expect("directories");
        fs::write(gone.join("a/b/c/file"), "x").expect("a file");
        symlink(&kept, gone.join("a/link")).expect("a link");
        for closed in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(gone.join(closed), Permissions::from_mode(0o0)).expect("chmod");
        }
        let opened = fs::File::open(at.path()).expect("open");
        remove(opened.as_fd(), "gone").expect("remove");
        remove(opened.as_fd(), "gone").expect("nothing there is no failure");
        assert!(!gone.exists());
        assert!(kept.join("file").exists());
    }
}
