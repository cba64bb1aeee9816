//! Owns reaching a path in a tree: beneath a directory's descriptor, never through a symbolic link.
//!
//! Each path is resolved by the kernel in one call (openat2(2)), so that nobody can put a link in between.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat, openat2, statat};
use rustix::io::Errno;

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// A tree. Asks for neighbours are cheap: the directory last reached stays open.
pub(crate) struct Tree<'fd> {
    root: BorrowedFd<'fd>,
    last: Option<(Vec<u8>, OwnedFd)>,
}

/// A directory, and the name of a thing in it.
pub(crate) struct Spot<'tree> {
    pub(crate) directory: BorrowedFd<'tree>,
    pub(crate) name: Vec<u8>,
}

impl<'fd> Tree<'fd> {
    /// The tree beneath this directory.
    pub(crate) fn new(root: BorrowedFd<'fd>) -> Self {
        Self { root, last: None }
    }

    /// A directory of the tree; empty for the root.
    ///
    /// # Errors
    /// What openat2(2) gives: `ELOOP` for a link on the way, `EXDEV` for a way out.
    pub(crate) fn directory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        open(self.root, if path.is_empty() { b"." } else { path }, flags)
    }

    /// Where a path is, in the directory above it.
    ///
    /// # Errors
    /// As [`Tree::directory`].
    pub(crate) fn spot(&mut self, path: &[u8]) -> io::Result<Spot<'_>> {
        let (above, name) = split(path);
        if name.is_empty() || name == b"." || name == b".." {
            return Err(Errno::INVAL.into());
        }
        let kept = self.last.as_ref().is_some_and(|(path, _)| path == above);
        if !kept {
            // Forgotten first: an error must not leave the wrong one behind.
            self.last = None;
            self.last = Some((above.to_vec(), self.directory(above)?));
        }
        let (_, directory) = self.last.as_ref().ok_or(Errno::NOENT)?;
        Ok(Spot { directory: directory.as_fd(), name: name.to_vec() })
    }

    /// What is there, links not followed; none if nothing is, or if what is above it is no directory.
    ///
    /// # Errors
    /// What the kernel gives for a directory that cannot be entered.
    pub(crate) fn stat(&mut self, path: &[u8]) -> io::Result<Option<Stat>> {
        match self.spot(path) {
            Ok(spot) => spot.stat(),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A file, for reading.
    ///
    /// # Errors
    /// What openat2(2) gives.
    pub(crate) fn file(&mut self, path: &[u8]) -> io::Result<File> {
        self.spot(path)?.file()
    }
}

impl Spot<'_> {
    /// What is there, links not followed.
    ///
    /// # Errors
    /// What fstatat(2) gives but `ENOENT`.
    pub(crate) fn stat(&self) -> io::Result<Option<Stat>> {
        match statat(self.directory, self.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The file there, for reading; a FIFO does not block.
    ///
    /// # Errors
    /// What openat2(2) gives.
    pub(crate) fn file(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        open(self.directory, &self.name, flags).map(File::from)
    }
}

fn open(from: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    loop {
        match openat2(from, path, flags, Mode::empty(), RESOLVE) {
            Ok(descriptor) => return Ok(descriptor),
            // Somebody renamed something on the way meanwhile, and the kernel cannot tell what.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The directory above, and the name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

/// The directories above a path, from the root down.
pub(crate) fn above(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').filter_map(|(at, _)| path.get(..at))
}

/// A path beneath a directory.
pub(crate) fn join(above: &[u8], name: &[u8]) -> Vec<u8> {
    if above.is_empty() {
        return name.to_vec();
    }
    [above, b"/", name].concat()
}

/// Whether the error says that there is nothing at a path: it, or a directory above it, is not there, or that is
/// no directory. A link above counts as no directory.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}
