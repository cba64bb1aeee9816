//! Owns the pass itself: who reads which file, and what is seen in one.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use shieldrun_policy::plan::Cover;
use shieldrun_secrets::{MAX_PARSE, Redacted, Redactor, SecretId};

use crate::cache::{Known, ReadAs, Tally};
use crate::inventory::path::join;
use crate::inventory::walk::{Extent, open_directory};
use crate::parallel;

/// Files of one directory that one thread takes at a time.
pub(super) const UNIT: usize = 256;
/// Fewer files than this are read sooner than a thread is started.
const FEW: usize = 4096;
/// Read at a time.
const CHUNK: usize = 256 * 1024;
/// Nor less than this.
const SMALLEST: usize = 4096;
/// A larger file is not read at each start: a few seconds are what a person waits.
const LARGEST: u64 = 4 << 30;

/// Some files of one directory.
pub(super) struct Unit<'a> {
    /// Below the root.
    pub directory: &'a [u8],
    pub names: &'a [&'a [u8]],
}

/// What the pass needs to know.
pub(super) struct Search<'a> {
    pub redactor: &'a Redactor<'a>,
    pub root: BorrowedFd<'a>,
    /// The root's path.
    pub at: &'a [u8],
    /// Paths that are covered already.
    pub covered: &'a BTreeSet<&'a [u8]>,
    /// What need not be read.
    pub known: &'a Known,
}

/// What one thread saw.
#[derive(Default)]
pub(super) struct Seen {
    /// Files with a real value.
    pub hits: Vec<Hit>,
    /// All others.
    pub tally: Tally,
}

/// A file that holds a real value, or may.
pub(super) struct Hit {
    /// Absolute.
    pub path: Vec<u8>,
    /// Whose value, where that is known.
    pub secret: Option<SecretId>,
    pub sight: Sight,
}

/// What of a file can be shown.
pub(super) enum Sight {
    /// The same text with synthetic values.
    Shown(Cover),
    /// Nothing, and why.
    Blocked(&'static str),
}

/// What was seen in one file.
enum Verdict {
    /// And the number to remember it by, once it has settled.
    Clean(Option<u64>),
    /// Nobody here can read it, or it is no file any more.
    Nothing,
    Holds(Option<SecretId>, Sight),
}

impl Search<'_> {
    /// Looks at every file.
    pub(super) fn run(&self, units: &[Unit<'_>]) -> Seen {
        let files: usize = units.iter().map(|unit| unit.names.len()).sum();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut seen = Seen::default();
            // Made when the first file is read: mostly none is.
            let mut buffer = Vec::new();
            while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.look_at(unit, &mut buffer, &mut seen);
            }
            seen
        };
        let mut all = Seen::default();
        for seen in parallel::on_all(files >= FEW, work) {
            all.hits.extend(seen.hits);
            all.tally.add(seen.tally);
        }
        // The same order each time, whoever was first.
        all.hits.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        all
    }

    fn look_at(&self, unit: &Unit<'_>, buffer: &mut Vec<u8>, seen: &mut Seen) {
        // A directory that cannot be read was found by the walk, and is blocked.
        let Ok(directory) = open_directory(self.root, unit.directory, Extent::AllMounts) else { return };
        let at = join(self.at, unit.directory);
        let covered = self.covered_in(&at);
        for name in unit.names {
            if covered.contains(name) {
                continue;
            }
            match self.verdict(directory.as_fd(), name, buffer, &mut seen.tally) {
                Verdict::Nothing => {}
                Verdict::Clean(number) => seen.tally.clean.extend(number),
                Verdict::Holds(secret, sight) => seen.hits.push(Hit { path: join(&at, name), secret, sight }),
            }
        }
    }

    /// The names in one directory that are covered, which is mostly none.
    fn covered_in(&self, at: &[u8]) -> Vec<&[u8]> {
        let beneath = [at, b"/"].concat();
        let behind = self.covered.range::<[u8], _>((Bound::Included(beneath.as_slice()), Bound::Unbounded));
        let names = behind.map_while(|path| path.strip_prefix(beneath.as_slice()));
        // Those further down are for their own directory.
        names.filter(|name| !name.contains(&b'/')).collect()
    }

    fn verdict(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        buffer: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Verdict {
        let blocked = |reason| Verdict::Holds(None, Sight::Blocked(reason));
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Verdict::Nothing,
            Err(_) => return blocked("cannot be looked at"),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Verdict::Nothing;
        }
        if stat.st_size == 0 {
            return Verdict::Clean(None);
        }
        let number = self.known.number(&stat, ReadAs::File);
        if number.is_some_and(|number| self.known.has(number)) {
            return Verdict::Clean(number);
        }
        let file = match open_file(directory, name) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP) => return Verdict::Nothing,
            // Its owner could give himself the right inside.
            Err(Errno::ACCESS) if stat.st_uid != rustix::process::geteuid().as_raw() => {
                return Verdict::Nothing;
            }
            Err(_) => return blocked("cannot be read"),
        };
        if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > LARGEST {
            return blocked("too large to be searched for secrets");
        }
        tally.files += 1;
        tally.bytes += u64::try_from(stat.st_size).unwrap_or(0);
        // No larger than the file and the end behind it: a fresh page costs more than to read a small file.
        let size = usize::try_from(stat.st_size).map_or(CHUNK, |size| (size + 1).clamp(SMALLEST, CHUNK));
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        match self.first_hit(&file, buffer) {
            // Another file may have come to stand at this name since the first look.
            Ok(None) => Verdict::Clean(number.filter(|_| {
                rustix::fs::fstat(&file).is_ok_and(|now| self.known.number(&now, ReadAs::File) == number)
            })),
            Ok(Some(secret)) => Verdict::Holds(Some(secret), self.sight(&file, &stat)),
            Err(_) => blocked("cannot be read"),
        }
    }

    /// Reads the file up to the first real value.
    fn first_hit(&self, file: &OwnedFd, buffer: &mut [u8]) -> Result<Option<SecretId>, Errno> {
        let scanner = self.redactor.scanner();
        let mut state = scanner.stream();
        loop {
            match rustix::io::read(file, &mut *buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    if let Some(hit) = state.feed(scanner, buffer.get(..count).unwrap_or_default()) {
                        return Ok(Some(hit.id));
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn sight(&self, file: &OwnedFd, stat: &Stat) -> Sight {
        if usize::try_from(stat.st_size).map_or(true, |size| size > MAX_PARSE) {
            return Sight::Blocked("the value of a secret is in it, and it is too large to be shown without");
        }
        let Ok(content) = whole(file) else { return Sight::Blocked("cannot be read") };
        if !is_text(&content) {
            return Sight::Blocked("the value of a secret is in it, and it is no text");
        }
        match self.redactor.redact(&content) {
            Redacted::Shown { bytes, .. } => Sight::Shown(Cover::Synthetic {
                content: bytes,
                mode: stat.st_mode & 0o7777,
                modified: (stat.st_mtime, stat.st_mtime_nsec.cast_signed()),
            }),
            // Untouched: it was written to between two looks.
            Redacted::Untouched | Redacted::Unshowable(_) => {
                Sight::Blocked("the value of a secret is in it, in a form that has no synthetic")
            }
        }
    }
}

/// Opens a file to read it, without touching its access time where it is ours.
fn open_file(directory: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(directory, name, flags, Mode::empty()),
        other => other,
    }
}

/// All of a file, from its beginning.
fn whole(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while content.len() <= MAX_PARSE {
        match rustix::io::pread(file, &mut chunk, content.len() as u64) {
            Ok(0) => return Ok(content),
            Ok(count) => content.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::FBIG)
}

/// Text has no control characters but those of layout and colour. Anything else may carry a checksum or a
/// length, which other bytes would break.
pub(crate) fn is_text(content: &[u8]) -> bool {
    !content.iter().any(|byte| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x08 | 0x0c | 0x1b))
}
