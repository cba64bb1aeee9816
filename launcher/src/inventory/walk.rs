//! Owns the one walk over the workspace: names of known secret files, inode numbers for hard links, and the
//! names of all files for whoever reads them afterwards.
//!
//! It reads directories only; no file is opened and no access time changes where the kernel lets us
//! say so. Names that matter are decided by a function of the name alone, so the cost is that of
//! `getdents64`. Links are not followed: what they lead to is resolved by whoever asked for the name.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

use super::path::join;
use crate::parallel;

/// What one walk found.
#[derive(Debug)]
pub(super) struct Walk<P> {
    /// Files, links and special files whose name the caller knows.
    pub named: Vec<(Vec<u8>, P)>,
    /// Directories that could not be read: their owner could open them inside.
    pub unreadable: Vec<Vec<u8>>,
    directories: Vec<Vec<u8>>,
    /// Every entry that is no directory; those of one directory stand together.
    entries: Vec<Entry>,
    /// Their names, one after the other.
    names: Vec<u8>,
}

/// An entry of a directory.
#[derive(Debug)]
struct Entry {
    inode: u64,
    /// Index of the directory.
    directory: u32,
    /// Where its name begins in `names`.
    name: u32,
    is_file: bool,
}

/// How far a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Into other mounts beneath the root too.
    AllMounts,
    /// This file system only.
    OneMount,
}

/// Fewer directories than this are read sooner than a thread is started.
const FEW: usize = 64;
/// Directories that one thread takes at a time.
const UNIT: usize = 16;

/// Walks everything beneath `root`, one level after the other, each level on all processors. `known` sees a name
/// and the name of its directory.
pub(super) fn walk<P: Send>(
    root: BorrowedFd<'_>,
    extent: Extent,
    known: impl Fn(&[u8], &[u8]) -> Option<P> + Sync,
) -> Walk<P> {
    let mut found = Walk::new();
    found.directories.push(Vec::new());
    let mut read = 0;
    while read < found.directories.len() {
        let level = found.directories.get(read..).unwrap_or_default();
        let next = AtomicUsize::new(0);
        let parts = parallel::on_all(level.len() >= FEW, || {
            let mut parts = Vec::new();
            let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
            loop {
                let at = next.fetch_add(UNIT, Ordering::Relaxed);
                let unit = level.get(at..level.len().min(at + UNIT)).unwrap_or_default();
                if unit.is_empty() {
                    return parts;
                }
                let mut part = Walk::new();
                for (path, index) in unit.iter().zip(read + at..) {
                    part.read(root, path, index, extent, &known, &mut buffer);
                }
                parts.push((at, part));
            }
        });
        read = found.directories.len();
        let mut parts: Vec<_> = parts.into_iter().flatten().collect();
        // The same order each time, whichever thread was first.
        parts.sort_unstable_by_key(|(at, _)| *at);
        parts.into_iter().for_each(|(_, part)| found.add(part));
    }
    found
}

impl<P> Walk<P> {
    const fn new() -> Self {
        Self {
            named: Vec::new(),
            unreadable: Vec::new(),
            directories: Vec::new(),
            entries: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Reads one directory, which has this index among all.
    fn read(
        &mut self,
        root: BorrowedFd<'_>,
        path: &[u8],
        index: usize,
        extent: Extent,
        known: impl Fn(&[u8], &[u8]) -> Option<P>,
        buffer: &mut [MaybeUninit<u8>],
    ) {
        let directory = match open_directory(root, path, extent) {
            Ok(directory) => directory,
            // Gone, or a link by now, or another mount that we were told to leave.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return,
            Err(_) => return self.unreadable.push(path.to_vec()),
        };
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let own_name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut entries = RawDir::new(&directory, buffer);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else {
                self.unreadable.push(path.to_vec());
                break;
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => kind_of(&directory, entry.file_name()),
                kind => kind,
            };
            if kind == FileType::Directory {
                self.directories.push(join(path, name));
                continue;
            }
            self.entries.push(Entry {
                inode: entry.ino(),
                directory: index,
                name: u32::try_from(self.names.len()).unwrap_or(u32::MAX),
                is_file: kind == FileType::RegularFile,
            });
            self.names.extend_from_slice(name);
            if let Some(what) = known(name, own_name) {
                self.named.push((join(path, name), what));
            }
        }
    }

    /// Adds what was found in other directories.
    fn add(&mut self, part: Self) {
        let names = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.named.extend(part.named);
        self.unreadable.extend(part.unreadable);
        self.directories.extend(part.directories);
        let moved = |entry: Entry| Entry { name: entry.name.saturating_add(names), ..entry };
        self.entries.extend(part.entries.into_iter().map(moved));
        self.names.extend(part.names);
    }
}

impl<P> Walk<P> {
    /// The directories, the root first and empty; each before those beneath it.
    pub(super) fn directories(&self) -> &[Vec<u8>] {
        &self.directories
    }

    /// The regular files of each directory that has entries, and the directory's index.
    pub(super) fn files(&self) -> Vec<(usize, Vec<&[u8]>)> {
        let mut after = self.entries.iter().map(|entry| entry.name as usize).skip(1);
        let mut listed: Vec<(usize, Vec<&[u8]>)> = Vec::new();
        for entry in &self.entries {
            let end = after.next().unwrap_or(self.names.len());
            let name = self.names.get(entry.name as usize..end).unwrap_or_default();
            let directory = entry.directory as usize;
            match listed.last_mut() {
                _ if !entry.is_file => {}
                Some((last, names)) if *last == directory => names.push(name),
                _ => listed.push((directory, vec![name])),
            }
        }
        listed
    }

    /// Paths below the root whose directory entry has this inode number. Reads again only the
    /// directories that hold one.
    pub(super) fn names_of(&self, root: BorrowedFd<'_>, inode: u64) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
        let mut last = None;
        for index in self.entries.iter().filter(|entry| entry.inode == inode).map(|entry| entry.directory) {
            if last.replace(index) == Some(index) {
                continue;
            }
            let Some(path) = self.directories.get(index as usize) else { continue };
            let Ok(directory) = open_directory(root, path, Extent::AllMounts) else { continue };
            let mut entries = RawDir::new(&directory, &mut buffer);
            while let Some(Ok(entry)) = entries.next() {
                if entry.ino() == inode {
                    names.push(join(path, entry.file_name().to_bytes()));
                }
            }
        }
        names
    }
}

/// Opens a directory to read it, without touching its access time where it is ours.
///
/// # Errors
/// What openat2(2) gives.
pub(super) fn open_directory(root: BorrowedFd<'_>, path: &[u8], extent: Extent) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b".".as_slice() } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    if extent == Extent::OneMount {
        resolve |= ResolveFlags::NO_XDEV;
    }
    match rustix::fs::openat2(root, path, flags | OFlags::NOATIME, Mode::empty(), resolve) {
        Err(Errno::PERM) => rustix::fs::openat2(root, path, flags, Mode::empty(), resolve),
        other => other,
    }
}

fn kind_of(directory: &OwnedFd, name: &CStr) -> FileType {
    rustix::fs::statat(directory.as_fd(), name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
}

/// Opens the root of a walk.
///
/// # Errors
/// What open(2) gives.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_on_many_processors_misses_nothing_and_keeps_its_order() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        for directory in 0..300 {
            let path = root.path().join(format!("{}/{directory}", directory % 10));
            std::fs::create_dir_all(&path)?;
            std::fs::write(path.join("plain"), "")?;
            std::fs::write(path.join(format!("known-{directory}")), "")?;
        }
        let opened = open_root(root.path())?;
        let look =
            || walk(opened.as_fd(), Extent::AllMounts, |name, _| name.starts_with(b"known").then_some(()));
        let (first, second) = (look(), look());
        assert_eq!(first.named.len(), 300);
        assert_eq!(first.directories(), second.directories());
        assert_eq!(first.files(), second.files());
        let mut files = 0;
        for (index, names) in first.files() {
            let directory =
                first.directories().get(index).map(|path| String::from_utf8_lossy(path).into_owned());
            let number = directory.unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
            assert!(
                names.contains(&format!("known-{number}").as_bytes()) && names.contains(&b"plain".as_slice())
            );
            files += names.len();
        }
        assert_eq!(files, 600);
        Ok(())
    }
}
