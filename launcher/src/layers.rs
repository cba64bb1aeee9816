//! Owns the layers of a run's overlay on the host's side: what lies below and stays as it is, and what
//! the run wrote.
//!
//! The set-up child mounts them; here they are made, held open for the diff, and cleared away. The child
//! is given paths, because a directory can be a layer only if it was opened in the child's own mount
//! namespace; each path comes with the inode that must be found there, so that it is not trusted twice.

mod tree;

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::fs::{CWD, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, fstat, openat};

use shieldrun_policy::plan::{Bytes, Layer, Mount, Plan};

use crate::record::RunDir;

/// What a run wrote, in its record; `c 0 0` is a deletion, `user.overlay.opaque` a directory that hides
/// the one below.
pub(crate) const UPPER: &str = "upper";
/// The kernel's own, of no use afterwards.
const WORK: &str = "work";

/// The layers of the workspace: what the diff compares.
#[derive(Debug)]
pub(crate) struct Layers {
    /// The workspace as it is on the host.
    #[expect(dead_code, reason = "the diff reads it")]
    pub(crate) lower: OwnedFd,
    /// What the run wrote. With a layer in memory it is empty until the child has said where that is.
    pub(crate) upper: OwnedFd,
    place: Layer,
    pinned: [Pinned; 1],
}

/// What the set-up child needs to make the overlay.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) lower: Directory,
    /// Absent where the layer is in memory.
    pub(crate) written: Option<Written>,
    /// What the root of the layer must look like: the guest sees it as the root of the workspace.
    pub(crate) root: Looks,
}

/// Upper and work of one overlay: on one file system, each used once.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) upper: Directory,
    pub(crate) work: Directory,
}

/// A directory by path and by what must be found there.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: CString,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// Owner, mode and times of a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
    pub(crate) times: (Timespec, Timespec),
}

/// Why there are no layers.
#[derive(Debug)]
pub(crate) struct LayersError {
    path: PathBuf,
    source: io::Error,
}

impl Layers {
    /// Those that the plan asks for, in the run's record.
    ///
    /// # Errors
    /// When the workspace cannot be read or the record cannot be written.
    pub(crate) fn make(plan: &Plan, directory: &RunDir) -> Result<Option<Self>, LayersError> {
        let overlay = plan.mounts.iter().find_map(|mount| match mount {
            Mount::Overlay { at, layer } if *at == plan.workspace => Some((at, *layer)),
            _ => None,
        });
        overlay.map(|(at, layer)| Self::over(at, layer, directory)).transpose()
    }

    fn over(at: &Bytes, place: Layer, directory: &RunDir) -> Result<Self, LayersError> {
        let below = Path::new(std::ffi::OsStr::from_bytes(&at.0));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| LayersError { path, source }
        };
        let lower = open(CWD, below).map_err(failed(below))?;
        let stat = fstat(&lower).map_err(io::Error::from).map_err(failed(below))?;
        let path = directory.path().join(UPPER);
        let upper = directory.create_directory(UPPER, 0o700).map_err(failed(&path))?;
        let root = Looks::of(&stat);
        let written = match place {
            Layer::Memory => None,
            Layer::Record => {
                root.put_on(&upper).map_err(failed(&path))?;
                let work = directory.create_directory(WORK, 0o700).map_err(failed(&path))?;
                Some(Written {
                    upper: Directory::of(&upper, &path).map_err(failed(&path))?,
                    work: Directory::of(&work, &directory.path().join(WORK)).map_err(failed(&path))?,
                })
            }
        };
        let pinned = Pinned { lower: Directory::of(&lower, below).map_err(failed(below))?, written, root };
        Ok(Self { lower, upper, place, pinned: [pinned] })
    }

    /// For the set-up child, in the order of the plan.
    pub(crate) fn pinned(&self) -> &[Pinned] {
        &self.pinned
    }

    /// Takes the layer that the child made in memory; it lives as long as this descriptor.
    pub(crate) fn adopt(&mut self, upper: Option<OwnedFd>) {
        if let (Layer::Memory, Some(upper)) = (self.place, upper) {
            self.upper = upper;
        }
    }

    /// Removes what is of no use once the run's namespaces are gone: the kernel's work directory, and
    /// the upper layer of a run that wrote nothing. Best effort: what stays is in the record's own
    /// directory, and `prune` takes it.
    pub(crate) fn tidy(&self, directory: &RunDir) {
        let _ = tree::remove(directory.as_fd(), WORK);
        let _ = rustix::fs::unlinkat(directory.as_fd(), UPPER, rustix::fs::AtFlags::REMOVEDIR);
    }
}

impl Directory {
    fn of(opened: &OwnedFd, path: &Path) -> io::Result<Self> {
        let stat = fstat(opened)?;
        Ok(Self { path: CString::new(path.as_os_str().as_bytes())?, device: stat.st_dev, inode: stat.st_ino })
    }
}

impl Looks {
    fn of(stat: &Stat) -> Self {
        let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        Self {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            times: (
                time(stat.st_atime, i64::try_from(stat.st_atime_nsec).unwrap_or(0)),
                time(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            ),
        }
    }

    /// Makes `directory` look so. An owner that we may not give stays ours.
    pub(crate) fn put_on(&self, directory: impl AsFd) -> io::Result<()> {
        let own = fstat(&directory)?;
        if (own.st_uid, own.st_gid) != (self.uid, self.gid) {
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            let _ = rustix::fs::fchown(&directory, Some(uid), Some(gid));
        }
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(self.mode))?;
        let times = Timestamps { last_access: self.times.0, last_modification: self.times.1 };
        rustix::fs::futimens(&directory, &times)?;
        Ok(())
    }
}

/// Where a layer beneath `record` can lie: the kernel refuses an upper layer on another overlay and on
/// what is not local.
pub(crate) fn place_for(record: &Path) -> Layer {
    const REFUSED: [u64; 11] = [
        0x794c_7630, // overlay: the root of a container
        0x6969,      // NFS
        0x6573_5546, // FUSE: no rename with a whiteout
        0x0102_1997, // 9p
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB 2
        0x00c3_6400, // Ceph
        0x5346_414f, // AFS
        0xf15f,      // eCryptfs
        0x4d44,      // FAT
        0x2011_bab0, // exFAT
    ];
    // In a dry run the directory is not there yet.
    let magic = record.ancestors().find_map(|path| rustix::fs::statfs(path).ok()).map(|stat| stat.f_type);
    match magic {
        Some(magic) if REFUSED.contains(&(u64::try_from(magic).unwrap_or(0) & 0xffff_ffff)) => Layer::Memory,
        _ => Layer::Record,
    }
}

fn open(at: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, path, flags, Mode::empty())?)
}

impl fmt::Display for LayersError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot make the layers of the workspace: `{}`", self.path.display())
    }
}

impl std::error::Error for LayersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
