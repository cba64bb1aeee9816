//! Owns bringing a layer from memory to the record, in the form in which the kernel writes layers.
//!
//! The record then lies on a file system that cannot be a layer, which may refuse a deletion's device too:
//! it is then written as the kernel's other form, an empty file with `user.overlay.whiteout` in a directory
//! whose `user.overlay.opaque` is "x".

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, SeekFrom as Sparse, Stat, Timespec, Timestamps, XattrFlags,
    chmodat, fchmod, fgetxattr, flistxattr, fsetxattr, futimens, linkat, makedev, mkdirat, mknodat, openat,
    readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::tree::opened;

const OPAQUE: &str = "user.overlay.opaque";
const WHITEOUT: &str = "user.overlay.whiteout";
/// Longer values of attributes than this no kernel keeps.
const LONGEST_VALUE: usize = 64 << 10;

/// Copies all that lies in `from` to `to`, which is empty.
///
/// # Errors
/// The first thing that could not be copied: half a layer would be another change than the run's.
pub(super) fn keep(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    Copier { links: HashMap::new() }.directory(from, to)
}

/// Copies one file or directory to another name, which is not there.
///
/// # Errors
/// As [`keep`].
pub(super) fn one(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, as_name: &[u8]) -> io::Result<()> {
    let mut copier = Copier { links: HashMap::new() };
    copier.entry(from, CString::new(name)?.as_c_str(), to, CString::new(as_name)?.as_c_str())
}

struct Copier {
    /// Files with more than one name, by inode: the first copy.
    links: HashMap<u64, OwnedFd>,
}

impl Copier {
    fn directory(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
        let names: io::Result<Vec<_>> =
            Dir::read_from(from)?.map(|entry| Ok(entry?.file_name().to_owned())).collect();
        for name in names? {
            if !matches!(name.to_bytes(), b"." | b"..") {
                self.entry(from, &name, to, &name)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: BorrowedFd<'_>, own: &CStr, to: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let stat = statat(from, own, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                mkdirat(to, name, Mode::RWXU)?;
                // Opening it may give it the bits that it lacks; what it had is in `stat`.
                let (source, target) = (opened(from, own)?, opened(to, name)?);
                self.directory(source.as_fd(), target.as_fd())?;
                copy_attributes(source.as_fd(), target.as_fd())?;
                finish(&target, &stat)
            }
            FileType::RegularFile => self.file(from, own, to, name, &stat),
            FileType::Symlink => {
                symlinkat(readlinkat(from, own, Vec::new())?.as_c_str(), to, name)?;
                Ok(utimensat(to, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?)
            }
            FileType::CharacterDevice => removal(to, name),
            FileType::Fifo => Ok(mknodat(to, name, FileType::Fifo, mode(&stat), 0)?),
            // A socket is of no use to anybody without who listens at it.
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        own: &CStr,
        to: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
    ) -> io::Result<()> {
        if let Some(first) = self.links.get(&stat.st_ino) {
            let first = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(first));
            return Ok(linkat(CWD, first, to, name, AtFlags::SYMLINK_FOLLOW)?);
        }
        let mut source = File::from(readable(from, own)?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut target = File::from(openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
        copy_content(&mut source, &mut target, u64::try_from(stat.st_size).unwrap_or(0))?;
        copy_attributes(source.as_fd(), target.as_fd())?;
        finish(&target, stat)?;
        if stat.st_nlink > 1 {
            self.links.insert(stat.st_ino, target.into());
        }
        Ok(())
    }
}

fn readable(from: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(from, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // A file, says the look before; and only we are here now.
            chmodat(from, name, Mode::RUSR, AtFlags::empty())?;
            Ok(openat(from, name, flags, Mode::empty())?)
        }
        other => Ok(other?),
    }
}

/// Data only: holes stay holes.
fn copy_content(source: &mut File, target: &mut File, length: u64) -> io::Result<()> {
    let mut at = 0;
    while at < length {
        let begin = match rustix::fs::seek(&source, Sparse::Data(at)) {
            Err(Errno::NXIO) => break,
            other => other?,
        };
        let end = rustix::fs::seek(&source, Sparse::Hole(begin))?;
        source.seek(SeekFrom::Start(begin))?;
        target.seek(SeekFrom::Start(begin))?;
        io::copy(&mut source.by_ref().take(end.saturating_sub(begin)), target)?;
        at = end;
    }
    target.set_len(length)
}

fn copy_attributes(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let mut names = vec![0u8; LONGEST_VALUE];
    let length = match flistxattr(source, &mut names[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        other => other?,
    };
    names.truncate(length);
    for name in
        names.split_inclusive(|&byte| byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok())
    {
        // The others are the system's own, or the kernel's notes about this one overlay.
        let name_bytes = name.to_bytes();
        let is_note = name_bytes.starts_with(b"user.overlay.") && name_bytes != OPAQUE.as_bytes();
        if name_bytes.starts_with(b"user.") && !is_note {
            let mut value = vec![0u8; LONGEST_VALUE];
            let length = fgetxattr(source, name, &mut value[..])?;
            value.truncate(length);
            fsetxattr(target, name, &value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

fn removal(to: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match mknodat(to, name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0)) {
        Ok(()) => return Ok(()),
        Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(to, name, flags, Mode::RUSR)?;
    fsetxattr(&file, WHITEOUT, b"y", XattrFlags::empty())?;
    // A directory that hides all that is below gets its own mark afterwards, over this one.
    Ok(fsetxattr(to, OPAQUE, b"x", XattrFlags::empty())?)
}

fn finish(target: impl AsFd, stat: &Stat) -> io::Result<()> {
    fchmod(&target, mode(stat))?;
    Ok(futimens(&target, &times(stat))?)
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps {
        last_access: time(stat.st_atime, i64::try_from(stat.st_atime_nsec).unwrap_or(0)),
        last_modification: time(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_layer_is_the_same_afterwards() {
        let at = tempfile::tempdir().expect("a directory");
        let (from, to) = (at.path().join("from"), at.path().join("to"));
        fs::create_dir_all(from.join("a/closed")).expect("directories");
        fs::create_dir(&to).expect("a directory");
        fs::write(from.join("a/file"), "content").expect("a file");
        fs::hard_link(from.join("a/file"), from.join("second")).expect("a link");
        symlink("a/file", from.join("link")).expect("a link");
        let holes = File::create(from.join("holes")).expect("a file");
        holes.set_len(64 << 20).expect("a hole");
        fs::write(from.join("a/closed/inner"), "inner").expect("a file");
        fs::set_permissions(from.join("a/closed/inner"), fs::Permissions::from_mode(0o0)).expect("chmod");
        fs::set_permissions(from.join("a/closed"), fs::Permissions::from_mode(0o0)).expect("chmod");
        let opened_from = File::open(&from).expect("open");
        mknodat(&opened_from, "gone", FileType::CharacterDevice, Mode::empty(), 0).expect("a removal");
        let has_attributes =
            fsetxattr(File::open(from.join("a")).expect("open"), OPAQUE, b"y", XattrFlags::empty()).is_ok();

        keep(opened_from.as_fd(), File::open(&to).expect("open").as_fd()).expect("copied");

        let meta = |name: &str| fs::symlink_metadata(to.join(name)).expect(name);
        assert_eq!(fs::read(to.join("second")).expect("read"), b"content");
        assert_eq!(meta("second").ino(), meta("a/file").ino());
        assert_eq!(fs::read_link(to.join("link")).expect("a link").to_str(), Some("a/file"));
        assert_eq!((meta("holes").size(), meta("holes").blocks() < 128), (64 << 20, true));
        assert_eq!(meta("a/closed").mode() & 0o777, 0);
        assert_eq!((meta("gone").mode() & libc::S_IFMT, meta("gone").rdev()), (libc::S_IFCHR, 0));
        let mut value = [0; 8];
        let opaque = fgetxattr(File::open(to.join("a")).expect("open"), OPAQUE, &mut value[..]);
        assert_eq!(opaque.is_ok(), has_attributes);
    }
}
