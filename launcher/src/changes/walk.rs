//! Walks the upper layer: what the kernel wrote down about a run's changes, path by path.
//!
//! Cost follows what changed: of the lower tree only those directories are listed that the run removed or put
//! another in the place of. A copy-up alone is no change; whether content differs is for who reads it.
//!
//! The marks are those of overlayfs with `userxattr` (overlayfs.rst of the kernel): a device 0/0 is a removal,
//! `user.overlay.opaque` on a directory hides the lower one ("y") or says that removals in it may be empty
//! files with `user.overlay.whiteout` ("x").

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, chmodat, fgetxattr, openat, statat};
use rustix::io::Errno;
use shieldrun_policy::changes::LeftOut;
use shieldrun_policy::plan::Bytes;

use crate::beneath::{Tree, is_absent, join};
use crate::closed::is_closed;

/// A path that the run touched, as both sides have it now.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) path: Vec<u8>,
    /// In the lower tree.
    pub(super) before: Option<Stat>,
    /// In what the run saw.
    pub(super) after: Option<Stat>,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) touched: Vec<Touched>,
    pub(super) left_out: Vec<LeftOut>,
    /// Directories that the run closed to their owner, and the permissions that they had.
    pub(super) opened: Vec<(Vec<u8>, Mode)>,
}

/// A directory of the upper layer that is still to be looked through.
struct Pending {
    path: Vec<u8>,
    /// Whether what the lower tree has here is visible where the upper layer has nothing.
    lower: Lower,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lower {
    Merged,
    /// There is a lower directory, and none of it is visible.
    Hidden,
    /// There is none.
    Absent,
}

/// A path may be this long: longer ones cannot be reached by one call.
const LONGEST: usize = 4000;

/// The tree above which nothing is a change of a file: git's own state, which goes over as git does.
fn is_gits_own(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b".git/") else { return false };
    let first = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
    !matches!(first, b"hooks" | b"config" | b"config.worktree" | b"info" | b"modules")
}

/// Walks. `masked` are paths that were covered inside: what the layers have there is not the run's.
pub(super) fn walk(
    lower: BorrowedFd<'_>,
    upper: BorrowedFd<'_>,
    masked: &HashSet<Vec<u8>>,
) -> io::Result<Walked> {
    let mut walk =
        Walk { lower: Tree::new(lower), upper: Tree::new(upper), masked, found: Walked::default() };
    let mut pending = vec![Pending { path: Vec::new(), lower: Lower::Merged }];
    while let Some(next) = pending.pop() {
        if let Err(error) = walk.directory(&next, &mut pending) {
            if next.path.is_empty() {
                return Err(error);
            }
            walk.left_out(&next.path, &error);
        }
    }
    walk.found.touched.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(walk.found)
}

struct Walk<'a> {
    lower: Tree<'a>,
    upper: Tree<'a>,
    masked: &'a HashSet<Vec<u8>>,
    found: Walked,
}

impl Walk<'_> {
    fn directory(&mut self, here: &Pending, pending: &mut Vec<Pending>) -> io::Result<()> {
        let upper = self.readable(&here.path)?;
        let lower = match here.lower {
            Lower::Absent => None,
            Lower::Merged | Lower::Hidden => match self.lower.directory(&here.path) {
                Ok(directory) => Some(directory),
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error),
            },
        };
        let mark = xattr(&upper, "user.overlay.opaque");
        let hidden = here.lower == Lower::Hidden || mark.as_deref() == Some(b"y");
        let empty_files_remove = mark.as_deref() == Some(b"x");
        let mut seen = HashSet::new();
        for entry in Dir::read_from(&upper)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if hidden {
                seen.insert(name.to_vec());
            }
            let path = join(&here.path, name);
            if self.masked.contains(&path) || is_gits_own(&path) {
                continue;
            }
            if path.len() > LONGEST {
                self.left_out(&path, &Errno::NAMETOOLONG.into());
                continue;
            }
            let after = statat(&upper, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let before = match &lower {
                Some(lower) => match statat(lower, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => Some(stat),
                    Err(Errno::NOENT) => None,
                    Err(errno) => return Err(errno.into()),
                },
                None => None,
            };
            let removes = is_device(&after)
                || (empty_files_remove && is_empty_file(&after) && marks_removal(&upper, name));
            let after = (!removes).then_some(after);
            self.entry(path, before, after, hidden, pending);
        }
        if let (true, Some(lower)) = (hidden, &lower) {
            self.rest_of(lower, &here.path, &seen)?;
        }
        Ok(())
    }

    /// One name, with what both sides have.
    fn entry(
        &mut self,
        path: Vec<u8>,
        before: Option<Stat>,
        after: Option<Stat>,
        hidden: bool,
        pending: &mut Vec<Pending>,
    ) {
        let (was_directory, is_directory) =
            (before.as_ref().is_some_and(is_directory), after.as_ref().is_some_and(is_directory));
        if is_directory {
            let lower = match (was_directory, hidden) {
                (false, _) => Lower::Absent,
                (true, true) => Lower::Hidden,
                (true, false) => Lower::Merged,
            };
            pending.push(Pending { path: path.clone(), lower });
        } else if was_directory {
            self.removed_below(&path);
        }
        if before.is_some() || after.is_some() {
            self.found.touched.push(Touched { path, before, after });
        }
    }

    /// What an opaque directory hides.
    fn rest_of(&mut self, lower: &OwnedFd, path: &[u8], seen: &HashSet<Vec<u8>>) -> io::Result<()> {
        for entry in Dir::read_from(lower)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let path = join(path, name);
            if name == b"." || name == b".." || seen.contains(name) {
                continue;
            }
            if self.masked.contains(&path) || is_gits_own(&path) {
                continue;
            }
            let before = statat(lower, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if is_directory(&before) {
                self.removed_below(&path);
            }
            self.found.touched.push(Touched { path, before: Some(before), after: None });
        }
        Ok(())
    }

    /// Everything that was in a directory which is none any more.
    fn removed_below(&mut self, path: &[u8]) {
        let mut pending = vec![path.to_vec()];
        while let Some(path) = pending.pop() {
            let listed = self
                .lower
                .directory(&path)
                .and_then(|directory| self.rest_of_one(&directory, &path, &mut pending));
            if let Err(error) = listed {
                self.left_out(&path, &error);
            }
        }
    }

    fn rest_of_one(&mut self, lower: &OwnedFd, path: &[u8], pending: &mut Vec<Vec<u8>>) -> io::Result<()> {
        for entry in Dir::read_from(lower)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let path = join(path, name);
            if name == b"." || name == b".." || self.masked.contains(&path) || is_gits_own(&path) {
                continue;
            }
            let before = statat(lower, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if is_directory(&before) {
                pending.push(path.clone());
            }
            self.found.touched.push(Touched { path, before: Some(before), after: None });
        }
        Ok(())
    }

    /// Opens a directory of the upper layer. One that the run closed to its owner is opened for as long as the
    /// diff lasts: the layer is the run's, the run is over, and what is in it is reached by its path.
    fn readable(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        if path.is_empty() {
            return self.upper.directory(path);
        }
        let spot = self.upper.spot(path)?;
        if let Some(stat) = spot.stat()?.filter(is_closed) {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
            chmodat(spot.directory, spot.name.as_slice(), mode | Mode::RWXU, AtFlags::empty())?;
            self.found.opened.push((path.to_vec(), mode));
        }
        self.upper.directory(path)
    }

    fn left_out(&mut self, path: &[u8], error: &io::Error) {
        self.found
            .left_out
            .push(LeftOut { path: Bytes(path.to_vec()), reason: format!("it could not be read: {error}") });
    }
}

/// An extended attribute of an open file, if it has a short one of this name.
fn xattr(file: impl AsFd, name: &str) -> Option<Vec<u8>> {
    let mut value = [0u8; 64];
    let length = fgetxattr(file, name, &mut value[..]).ok()?;
    value.get(..length).map(<[u8]>::to_vec)
}

fn marks_removal(directory: &OwnedFd, name: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(directory, OsStr::from_bytes(name), flags, Mode::empty())
        .is_ok_and(|file| fgetxattr(&file, "user.overlay.whiteout", &mut [0u8; 8][..]).is_ok())
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    file_type(stat) == FileType::Directory
}

fn is_device(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn is_empty_file(stat: &Stat) -> bool {
    file_type(stat) == FileType::RegularFile && stat.st_size == 0
}
