//! Owns the directory of what is kept between runs, so that the next one reads only what changed:
//! `$XDG_CACHE_HOME/shieldrun`, else `~/.cache/shieldrun`.
//!
//! Nothing in it is a secret, nor can one be told from it: names and contents are keyed with a key that lies
//! there for its owner alone, and nothing inside sees the directory. Losing it costs time and nothing else, so
//! whatever fails here is no error: the work is then done again.

mod known;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;
use sha2::Sha256;
use shieldrun_policy::plan::{Bytes, Cover, Mask};
use shieldrun_secrets::RunKey;

use crate::host::{Host, random_key};

pub(crate) use known::{Known, ReadAs, Tally};

/// The name of the key's file.
const KEY: &str = "key";
/// How the names of marks begin: in these workspaces the search adds something.
const ADDS: &str = "adds-";
/// So many workspaces are marked.
const MOST_MARKS: usize = 1024;

/// The directory, or the place where it will be once there is something worth keeping.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    /// `None` until the first file is put.
    directory: Option<OwnedFd>,
    key: [u8; 32],
}

impl Cache {
    /// Opens it, where there is a home for one.
    pub(crate) fn open(host: &Host) -> Option<Self> {
        let caches = host.path_variable("XDG_CACHE_HOME");
        let path = caches.or_else(|| Some(host.home.as_ref()?.join(".cache")))?.join("shieldrun");
        match open_directory(&path) {
            Ok(directory) => {
                let key = read_key(&directory)?;
                Some(Self { path, directory: Some(directory), key })
            }
            Err(Errno::NOENT) => Some(Self { path, directory: None, key: random_key().ok()? }),
            Err(_) => None,
        }
    }

    /// Makes what is missing. Of two runs that start at once the first one's key counts, and the other does
    /// without a cache.
    ///
    /// # Errors
    /// What mkdir(2) and open(2) give.
    fn establish(&mut self) -> std::io::Result<&OwnedFd> {
        use std::os::unix::fs::DirBuilderExt;
        if self.directory.is_none() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
            let directory = open_directory(&self.path)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&directory, KEY, flags, Mode::RUSR | Mode::WUSR)?;
            File::from(file).write_all(&self.key)?;
            self.directory = Some(directory);
        }
        self.directory.as_ref().ok_or_else(|| Errno::NOENT.into())
    }

    /// Nothing inside sees it: who knows the key can try values.
    pub(crate) fn mask(&self) -> Option<Mask> {
        self.directory.as_ref()?;
        let at = self.path.canonicalize().ok()?.into_os_string().into_vec();
        Some(Mask {
            at: Bytes(at),
            cover: Cover::BlockedDirectory,
            rule: "shieldrun.cache".to_owned(),
            reason: "what shieldrun keeps between runs".to_owned(),
        })
    }

    /// A key for tags of values.
    pub(crate) fn tag_key(&self) -> RunKey {
        RunKey::from_bytes(self.mac(&[b"tags"]))
    }

    /// A keyed digest.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Opens a file of it.
    pub(crate) fn file(&self, name: &str) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.directory.as_ref()?, name, flags, Mode::empty()).ok().map(File::from)
    }

    /// The path of a file of it that is there, and is not to be thrown out soon.
    pub(crate) fn kept(&self, name: &str) -> Option<Vec<u8>> {
        Self::touch(&self.file(name)?);
        let path = self.path.canonicalize().ok()?.join(name);
        Some(path.into_os_string().into_vec())
    }

    /// The key of runs in a workspace whose history is shown with the values that it gave.
    pub(crate) fn run_key(&self, workspace: &[u8]) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        self.file(&self.run_key_name(workspace))?.read_exact(&mut key).ok()?;
        Some(key)
    }

    /// Keeps one.
    ///
    /// # Errors
    /// What the system gives.
    pub(crate) fn keep_run_key(&mut self, workspace: &[u8], key: &[u8; 32]) -> std::io::Result<()> {
        let name = self.run_key_name(workspace);
        self.put(&name, |file| file.write_all(key))
    }

    fn run_key_name(&self, workspace: &[u8]) -> String {
        let digest = self.mac(&[b"run key", workspace]);
        format!("run-{}", data_encoding::HEXLOWER.encode(digest.get(..12).unwrap_or_default()))
    }

    /// Whether it is there, and so is masked.
    pub(crate) fn is_there(&self) -> bool {
        self.directory.is_some()
    }

    /// Whether the last search of a workspace found a real value where none was expected.
    pub(crate) fn search_adds(&self, workspace: &[u8]) -> bool {
        self.file(&self.adds_name(workspace)).is_some()
    }

    /// Remembers it. Where that fails, the next run begins twice; no more than that.
    pub(crate) fn remember_whether_search_adds(&mut self, workspace: &[u8], adds: bool) {
        let name = self.adds_name(workspace);
        match (adds, self.file(&name)) {
            (true, Some(mark)) => Self::touch(&mark),
            (true, None) if self.put(&name, |_| Ok(())).is_ok() => self.prune(ADDS, MOST_MARKS),
            (true, None) | (false, None) => {}
            (false, Some(_)) => {
                if let Some(directory) = &self.directory {
                    let _ = rustix::fs::unlinkat(directory, name.as_str(), AtFlags::empty());
                }
            }
        }
    }

    fn adds_name(&self, workspace: &[u8]) -> String {
        let digest = self.mac(&[b"adds", workspace]);
        format!("{ADDS}{}", data_encoding::HEXLOWER.encode(digest.get(..12).unwrap_or_default()))
    }

    /// Names in it that begin so.
    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        let Some(Ok(entries)) = self.directory.as_ref().map(Dir::read_from) else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| name.starts_with(prefix))
            .collect()
    }

    /// Writes a file, whole or not at all: `write` fills it.
    ///
    /// # Errors
    /// What the system gives; the caller then does without.
    pub(crate) fn put(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let suffix = data_encoding::HEXLOWER.encode(random_key()?.get(..8).unwrap_or_default());
        let temporary = format!("new-{suffix}");
        let directory = self.establish()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(directory, &temporary, flags, Mode::RUSR | Mode::WUSR)?);
        let written =
            write(&mut file).and_then(|()| Ok(rustix::fs::renameat(directory, &temporary, directory, name)?));
        if written.is_err() {
            let _ = rustix::fs::unlinkat(directory, &temporary, AtFlags::empty());
        }
        written
    }

    /// Removes the oldest of the files that begin so, beyond how many are kept.
    pub(crate) fn prune(&self, prefix: &str, kept: usize) {
        let Some(directory) = &self.directory else { return };
        let age = |name: &String| {
            rustix::fs::statat(directory, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                .map_or(0, |stat| stat.st_mtime)
        };
        let mut names = self.names(prefix);
        names.retain(|name| !name.starts_with('.') && name != KEY);
        names.sort_by_cached_key(age);
        for name in names.iter().rev().skip(kept) {
            let _ = rustix::fs::unlinkat(directory, name.as_str(), AtFlags::empty());
        }
    }

    /// Says that a file was of use, so that it is not the oldest.
    pub(crate) fn touch(file: &File) {
        use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = rustix::fs::futimens(file, &Timestamps { last_access: now, last_modification: now });
    }
}

/// A directory of ours that nobody else can write or read.
fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&directory)?;
    let others = Mode::from_raw_mode(stat.st_mode) & (Mode::RWXG | Mode::RWXO);
    let private = stat.st_uid == rustix::process::geteuid().as_raw() && others.is_empty();
    if private { Ok(directory) } else { Err(Errno::PERM) }
}

fn read_key(directory: &OwnedFd) -> Option<[u8; 32]> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut key = [0; 32];
    let file = rustix::fs::openat(directory, KEY, flags, Mode::empty()).ok()?;
    File::from(file).read_exact(&mut key).ok()?;
    Some(key)
}
