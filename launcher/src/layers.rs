//! Owns the layers of a run's overlays on the host's side: what lies below and stays as it is, and what
//! the run wrote.
//!
//! The set-up child mounts them; here they are made, held open for the diff, and cleared away. The child
//! is given paths, because a directory can be a layer only if it was opened in the child's own mount
//! namespace; each path comes with the inode that must be found there, so that it is not trusted twice.

mod keep;
mod persist;
mod tree;

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::fs::{CWD, Dir, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, fstat, openat};

use shieldrun_policy::plan::{Bytes, Layer, Mount, Plan};

use crate::record::RunDir;

pub(crate) use persist::bring_back;
pub(crate) use tree::remove as remove_tree;

/// What a run wrote to the workspace, in its record; `c 0 0` is a deletion, `user.overlay.opaque` a
/// directory that hides the one below.
pub(crate) const UPPER: &str = "upper";
/// What it wrote to its private home, and to toolchains and caches in it: of use to the run alone.
const HOME: &str = "home";
const TOOLS: &str = "tools";
/// All that a run writes to.
pub(crate) const WRITTEN: [&str; 3] = [UPPER, HOME, TOOLS];
/// The kernel's own directory of each.
const WORK: [(&str, &str); 3] = [(UPPER, "upper.work"), (HOME, "home.work"), (TOOLS, "tools.work")];

/// The layers of the workspace: what the diff compares.
#[derive(Debug)]
pub(crate) struct Layers {
    /// The workspace as it is on the host.
    pub(crate) lower: OwnedFd,
    /// What the run wrote. With a layer in memory it is empty until the child has said where that is.
    pub(crate) upper: OwnedFd,
    place: Layer,
    path: PathBuf,
}

/// What the set-up child needs to make the overlays.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// The workspace's.
    pub(crate) workspace: Option<Pinned>,
    /// The home's.
    pub(crate) home: Option<PinnedHome>,
}

/// One overlay.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) lower: Directory,
    /// Absent where the layer is in memory.
    pub(crate) written: Option<Written>,
    /// What the root of the layer must look like: the guest sees it as the root of the overlay.
    pub(crate) root: Looks,
}

/// The private home: an overlay over nothing but what is put there, and one over the host's home, of
/// which the toolchains are shown.
#[derive(Debug)]
pub(crate) struct PinnedHome {
    pub(crate) own: Option<Written>,
    pub(crate) tools: Pinned,
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

/// Makes the layers that the plan asks for, in the run's record.
///
/// # Errors
/// When a directory cannot be read or the record cannot be written.
pub(crate) fn make(plan: &Plan, directory: &RunDir) -> Result<(Option<Layers>, Pins), LayersError> {
    let mut pins = Pins::default();
    let mut layers = None;
    for mount in &plan.mounts {
        match mount {
            Mount::Overlay { at, layer } if *at == plan.workspace => {
                let (lower, stat) = below(at)?;
                let (upper, written) = above(directory, UPPER, *layer, &Looks::of(&stat))?;
                pins.workspace = Some(pinned(at, &lower, &stat, written)?);
                let path = directory.path().join(UPPER);
                layers = Some(Layers { lower, upper, place: *layer, path });
            }
            Mount::Home { at, layer } => {
                let (lower, stat) = below(at)?;
                // It is nobody else's.
                let root = Looks { mode: Looks::of(&stat).mode & 0o700, ..Looks::of(&stat) };
                let (_, own) = above(directory, HOME, *layer, &root)?;
                let (_, tools) = above(directory, TOOLS, *layer, &root)?;
                pins.home =
                    Some(PinnedHome { own, tools: Pinned { root, ..pinned(at, &lower, &stat, tools)? } });
            }
            _ => {}
        }
    }
    Ok((layers, pins))
}

impl Layers {
    /// Where the layer is to be kept, if it is in memory and would be gone with the run.
    pub(crate) fn passing(&self) -> Option<&Path> {
        (self.place == Layer::Memory).then_some(self.path.as_path())
    }

    /// Where what the run wrote is in its record; with a layer in memory it is not there.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the layer that the child made in memory; it lives as long as this descriptor.
    pub(crate) fn adopt(&mut self, upper: Option<OwnedFd>) {
        if let (Layer::Memory, Some(upper)) = (self.place, upper) {
            self.upper = upper;
        }
    }

    /// Brings a layer in memory to the record, once the run is over: it goes with the launcher, and what
    /// waits for a person must not.
    ///
    /// # Errors
    /// When all of it cannot be kept.
    pub(crate) fn keep(&mut self, directory: &RunDir) -> Result<(), LayersError> {
        if self.place == Layer::Memory {
            let path = directory.path().join(UPPER);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let kept = openat(directory, UPPER, flags, Mode::empty()).map_err(failed(&path))?;
            keep::keep(self.upper.as_fd(), kept.as_fd()).map_err(failed(&path))?;
            self.upper = kept;
            self.place = Layer::Record;
        }
        Ok(())
    }
}

/// Removes a record with all its layers.
///
/// # Errors
/// The first thing that could not be removed; the rest is removed all the same.
pub(crate) fn remove(directory: &RunDir) -> io::Result<()> {
    let above = directory.path().parent().unwrap_or(Path::new("/"));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = openat(CWD, above, flags, Mode::empty())?;
    tree::remove(above.as_fd(), directory.id())
}

/// Removes what a run wrote to its own home, once its namespaces are gone.
///
/// What is empty stays for `prune`, and so do the kernel's work directories: on a file system that
/// discards freed blocks at once, each removed directory costs milliseconds, which every run would pay.
/// Best effort: all of it lies in the record's own directory.
pub(crate) fn tidy(directory: &RunDir) {
    for name in [HOME, TOOLS] {
        if has_entries(directory, name).unwrap_or(false) {
            let _ = tree::remove(directory.as_fd(), name);
        }
    }
}

fn has_entries(directory: &RunDir, name: &str) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(directory, name, flags, Mode::empty())?;
    let mut entries = Dir::new(opened)?.filter_map(Result::ok);
    Ok(entries.any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b"..")))
}

/// Opens what lies below an overlay.
fn below(at: &Bytes) -> Result<(OwnedFd, Stat), LayersError> {
    let path = Path::new(OsStr::from_bytes(&at.0));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(CWD, path, flags, Mode::empty()).map_err(failed(path))?;
    let stat = fstat(&opened).map_err(failed(path))?;
    Ok((opened, stat))
}

fn pinned(at: &Bytes, lower: &OwnedFd, stat: &Stat, written: Option<Written>) -> Result<Pinned, LayersError> {
    let path = Path::new(OsStr::from_bytes(&at.0));
    let lower = Directory::of(lower, path).map_err(failed(path))?;
    Ok(Pinned { lower, written, root: Looks::of(stat) })
}

/// Makes the directory that an overlay writes to; with a layer in memory it is only where that is kept
/// afterwards.
fn above(
    directory: &RunDir,
    name: &'static str,
    layer: Layer,
    root: &Looks,
) -> Result<(OwnedFd, Option<Written>), LayersError> {
    let path = directory.path().join(name);
    let make = || {
        let upper = directory.create_directory(name, 0o700)?;
        if layer == Layer::Memory {
            return Ok((upper, None));
        }
        root.put_on(&upper)?;
        let work_name = WORK.iter().find(|(own, _)| *own == name).map_or(name, |(_, work)| work);
        let work = directory.create_directory(work_name, 0o700)?;
        let written = Written {
            upper: Directory::of(&upper, &path)?,
            work: Directory::of(&work, &directory.path().join(work_name))?,
        };
        Ok((upper, Some(written)))
    };
    make().map_err(failed::<io::Error>(&path))
}

fn failed<E: Into<io::Error>>(path: &Path) -> impl FnOnce(E) -> LayersError {
    let path = path.to_owned();
    move |error| LayersError { path, source: error.into() }
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

impl fmt::Display for LayersError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot make or keep the layers of the run: `{}`", self.path.display())
    }
}

impl std::error::Error for LayersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
