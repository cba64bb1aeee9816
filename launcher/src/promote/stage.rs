//! The stage: a directory beside what is to be changed, on the same file system, where everything that is to go
//! into the tree is made complete first.
//!
//! All that takes room is done here, so a full disk is met before the tree is touched; what is left is renames.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
    chmodat, chownat, fchmod, fchown, fsetxattr, fstat, futimens, mkdirat, mknodat, openat, removexattr,
    setxattr, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::journal::{Attribute, Properties};
use crate::beneath::{Spot, Tree};
use crate::changes::attributes::{self, Attributes};
use crate::changes::extents;
use crate::closed::{by_descriptor, handle, while_readable};

/// The directory of staged things. Each is named by the number of its step, in directories that stay small.
pub(crate) struct Stage {
    pub(crate) directory: OwnedFd,
}

/// Files up to this size are read at once.
const SMALL: u64 = 1 << 20;

/// How many are in one directory.
const EACH: usize = 256;

/// What a copy is to be like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Its permissions, if not those of the thing.
    pub(crate) mode: Option<u32>,
    /// Whether the digest of what is written is wanted.
    pub(crate) hashed: bool,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) inode: u64,
    /// Of what was written, where that was wanted and is known without another look.
    pub(crate) digest: Option<[u8; 32]>,
}

/// The name of a staged thing.
pub(crate) fn name(number: usize) -> String {
    format!("{}/{number}", number / EACH)
}

impl Stage {
    /// Makes the directory, for so many things.
    pub(crate) fn create(target: &mut Tree<'_>, path: &[u8], count: usize) -> io::Result<Self> {
        let spot = target.spot(path)?;
        mkdirat(spot.directory, spot.name.as_slice(), Mode::RWXU)?;
        // An access list that the directory above hands down is not for this one, nor for what is made in it.
        let stage = Self::at(&spot)?;
        for name in ["system.posix_acl_default", "system.posix_acl_access"] {
            let _ = rustix::fs::fremovexattr(&stage.directory, name);
        }
        make_directories(stage.directory.as_fd(), count)?;
        Ok(stage)
    }

    /// The one that is there.
    pub(crate) fn open(target: &mut Tree<'_>, path: &[u8]) -> io::Result<Self> {
        Self::at(&target.spot(path)?)
    }

    fn at(spot: &Spot<'_>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { directory: openat(spot.directory, spot.name.as_slice(), flags, Mode::empty())? })
    }

    /// A staged file, for reading.
    pub(crate) fn file(&self, number: usize) -> io::Result<File> {
        let name = name(number).into_bytes();
        let spot = Spot { directory: self.directory.as_fd(), name };
        let stat = spot.stat()?.ok_or(Errno::NOENT)?;
        open_closed(&spot, &stat)
    }

    /// What is staged under a number.
    pub(crate) fn stat(&self, number: usize) -> io::Result<Option<Stat>> {
        self.stat_name(&name(number))
    }

    /// The same, by its name.
    pub(super) fn stat_name(&self, name: &str) -> io::Result<Option<Stat>> {
        match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Makes the directories that so many things are named in. Twice does no harm.
pub(super) fn make_directories(stage: BorrowedFd<'_>, count: usize) -> io::Result<()> {
    for number in 0..count.div_ceil(EACH) {
        match mkdirat(stage, number.to_string(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Copies one thing, and all that belongs to it, to a new name. A directory comes alone, without what is in it.
pub(crate) fn copy(
    from: &Spot<'_>,
    stat: &Stat,
    how: How,
    to: BorrowedFd<'_>,
    name: &[u8],
) -> io::Result<Made> {
    while_readable(from, stat, || copy_readable(from, stat, how, to, name))
}

fn copy_readable(
    from: &Spot<'_>,
    stat: &Stat,
    how: How,
    to: BorrowedFd<'_>,
    name: &[u8],
) -> io::Result<Made> {
    let mode = Mode::from_raw_mode(how.mode.unwrap_or(stat.st_mode) & 0o7777);
    let modified =
        Timespec { tv_sec: stat.st_mtime, tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default() };
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: omit, last_modification: modified };
    let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let mut source = from.file()?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            // Mostly it has its permissions with that; nobody but its owner gets into the directory of the stage.
            let at_first = mode.intersection(Mode::RWXU | Mode::RWXG | Mode::RWXO) | Mode::RUSR | Mode::WUSR;
            let mut file = File::from(openat(to, name, flags, at_first)?);
            let size = u64::try_from(stat.st_size).unwrap_or_default();
            let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
            let mut digest = None;
            if size <= SMALL {
                // Shared blocks are not worth a second reading.
                let content = read_small(&source, size)?;
                digest = how.hashed.then(|| Sha256::digest(&content).into());
                file.write_all(&content)?;
            } else if blocks.saturating_mul(512) < size {
                extents::copy(&mut source, &mut file, size)?;
            } else {
                // Where the file system can, the blocks are shared.
                io::copy(&mut source, &mut file)?;
            }
            let made = fstat(&file)?;
            let given = own(&made, stat, || fchown(&file, Some(user), Some(group)))?;
            let attributes = attributes::read(&source)?;
            for (name, value) in &attributes {
                fsetxattr(&file, name.as_slice(), value, XattrFlags::empty())?;
            }
            // An owner or an access list given to it may have changed them.
            if given || !attributes.is_empty() || Mode::from_raw_mode(made.st_mode & 0o7777) != mode {
                fchmod(&file, mode)?;
            }
            futimens(&file, &times)?;
            Ok(Made { inode: made.st_ino, digest })
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from.directory, from.name.as_slice(), Vec::new())?;
            symlinkat(target.as_c_str(), to, name)?;
            utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
            made_at(to, name)
        }
        FileType::Directory => {
            mkdirat(to, name, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = openat(to, name, flags, Mode::empty())?;
            let made = fstat(&directory)?;
            own(&made, stat, || fchown(&directory, Some(user), Some(group)))?;
            let old = openat(from.directory, from.name.as_slice(), flags, Mode::empty());
            for (name, value) in old.map_or_else(|_| Ok(Attributes::new()), attributes::read)? {
                fsetxattr(&directory, name.as_slice(), &value, XattrFlags::empty())?;
            }
            // Whoever fills it must be able to; one that is closed to its owner is closed at the end.
            fchmod(&directory, mode | Mode::RWXU)?;
            Ok(Made { inode: made.st_ino, digest: None })
        }
        FileType::Fifo => {
            mknodat(to, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            own(&stat_of(to, name)?, stat, || {
                chownat(to, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
            })?;
            chmodat(to, name, mode, AtFlags::empty())?;
            utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
            made_at(to, name)
        }
        _ => Err(Errno::INVAL.into()),
    }
}

/// Reads a file of this size: mostly in one call, as what reads short of more than a file has is at its end.
fn read_small(file: &File, size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or_default();
    let mut content = vec![0; size + 1];
    let mut filled = 0;
    loop {
        let rest = content.get_mut(filled..).unwrap_or_default();
        let asked = rest.len();
        let count = match rustix::io::read(file, rest) {
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        filled += count;
        if count == 0 || (filled == size && count < asked) {
            content.truncate(filled);
            return Ok(content);
        }
        // It grew meanwhile.
        if filled == content.len() {
            content.resize(content.len() * 2, 0);
        }
    }
}

/// Gives it its owner, where that is another one, and says whether it was.
fn own(made: &Stat, wanted: &Stat, give: impl FnOnce() -> rustix::io::Result<()>) -> io::Result<bool> {
    if (made.st_uid, made.st_gid) == (wanted.st_uid, wanted.st_gid) {
        return Ok(false);
    }
    match give() {
        // Whoever may not give things away keeps them: the run's own files are the user's anyway.
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

fn made_at(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Made> {
    Ok(Made { inode: stat_of(directory, name)?.st_ino, digest: None })
}

fn stat_of(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Stat> {
    Ok(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Permissions, time and attributes of what is at a spot.
pub(crate) fn properties(spot: &Spot<'_>, stat: &Stat) -> io::Result<Properties> {
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let file = handle(spot)?;
    let attributes = readable(&file).map_or_else(|_| Ok(Attributes::new()), attributes::read)?;
    Ok(Properties {
        mode: stat.st_mode & 0o7777,
        modified: (!directory)
            .then(|| (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default())),
        attributes: attributes.into_iter().map(|(name, value)| Attribute { name, value }).collect(),
    })
}

/// Sets them. Doing it twice is as doing it once.
pub(crate) fn set(spot: &Spot<'_>, before: &Properties, after: &Properties) -> io::Result<()> {
    let file = handle(spot)?;
    let path = by_descriptor(&file);
    let mode = fstat(&file)?.st_mode;
    let is_link = FileType::from_raw_mode(mode) == FileType::Symlink;
    // What was only touched has all but its time.
    let differs = mode & 0o7777 != after.mode || before.attributes != after.attributes;
    if !is_link && differs {
        if before.attributes != after.attributes && mode & 0o600 != 0o600 {
            // Attributes are written like content.
            chmodat(CWD, &path, Mode::from_raw_mode((after.mode & 0o7777) | 0o600), AtFlags::empty())?;
        }
        for old in &before.attributes {
            if !after.attributes.iter().any(|new| new.name == old.name) {
                match removexattr(&path, old.name.as_slice()) {
                    Ok(()) | Err(Errno::NODATA) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        for new in after.attributes.iter().filter(|new| !before.attributes.contains(new)) {
            setxattr(&path, new.name.as_slice(), &new.value, XattrFlags::empty())?;
        }
        chmodat(CWD, &path, Mode::from_raw_mode(after.mode), AtFlags::empty())?;
    }
    if let Some((seconds, nanos)) = after.modified {
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times =
            Timestamps { last_access: omit, last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos } };
        utimensat(spot.directory, spot.name.as_slice(), &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn readable(file: &OwnedFd) -> io::Result<OwnedFd> {
    let kind = FileType::from_raw_mode(fstat(file)?.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Err(Errno::INVAL.into());
    }
    let path = by_descriptor(file);
    Ok(openat(CWD, &path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}

/// Removes a directory and all that is in it, beneath descriptors.
pub(crate) fn remove(above: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(above, name, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(unlinkat(above, name, AtFlags::empty())?),
        Err(Errno::ACCESS) => {
            chmodat(above, name, Mode::RWXU, AtFlags::empty())?;
            openat(above, name, flags, Mode::empty())?
        }
        Err(errno) => return Err(errno.into()),
    };
    let names: Vec<Vec<u8>> = Dir::read_from(&directory)?
        .map(|entry| entry.map(|entry| entry.file_name().to_bytes().to_vec()))
        .collect::<Result<_, _>>()?;
    for inner in names.iter().filter(|name| !matches!(name.as_slice(), b"." | b"..")) {
        match unlinkat(&directory, inner.as_slice(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Staged directories hold nothing: steps put things into the tree, not into each other.
            Err(Errno::ISDIR | Errno::PERM) => remove(directory.as_fd(), inner)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(unlinkat(above, name, AtFlags::REMOVEDIR)?)
}

/// Opens a file of ours for reading, also one that is closed to its owner.
pub(crate) fn open_closed(spot: &Spot<'_>, stat: &Stat) -> io::Result<File> {
    while_readable(spot, stat, || spot.file())
}
