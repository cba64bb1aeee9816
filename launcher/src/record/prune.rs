//! Removes records of runs that were: by age, by number, by size on disk.
//!
//! Never that of a run that goes on, nor of one whose promotion was cut off, nor, unless it is asked for, one that
//! holds work which nobody has decided on. A record that goes is renamed first, so that a removal that is cut off
//! leaves no half of one, and the next removal finds the rest.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, flock, openat, renameat_with,
    statat,
};
use ulid::Ulid;

use super::past::names;
use super::{Past, RecordError, VERDICT};
use crate::layers::{self, UPPER};

/// Which go. None of them: none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    pub(crate) older_than: Option<Duration>,
    /// Beyond so many the oldest go.
    pub(crate) most: Option<usize>,
    /// Beyond so many bytes of all the oldest go.
    pub(crate) max_size: Option<u64>,
    /// The newest, which stay whatever the others say.
    pub(crate) newest: usize,
    pub(crate) held: Held,
}

/// What becomes of a run with undecided work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Held {
    #[default]
    Stays,
    Goes,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// Runs, and what they took on disk.
    pub(crate) removed: Vec<(String, u64)>,
    /// Runs that were to go and do not, and why.
    pub(crate) spared: Vec<(String, &'static str)>,
    /// Runs of which something is left.
    pub(crate) failed: Vec<(String, io::Error)>,
    pub(crate) left: usize,
    pub(crate) left_bytes: u64,
}

impl Pruned {
    pub(crate) fn freed(&self) -> u64 {
        self.removed.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// A record on its way out.
const GOING: &str = ".going-";

/// Removes.
///
/// # Errors
/// When the runs cannot be listed.
pub(crate) fn prune(
    runs: &Path,
    bounds: &Bounds,
    now: SystemTime,
    dry_run: bool,
) -> Result<Pruned, RecordError> {
    let mut pruned = Pruned::default();
    let names = names(runs)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let above = match openat(CWD, runs, flags, Mode::empty()) {
        Ok(above) => above,
        Err(rustix::io::Errno::NOENT) => return Ok(pruned),
        Err(errno) => return Err(RecordError::Read { path: runs.to_owned(), source: errno.into() }),
    };
    if !dry_run {
        finish(above.as_fd(), &mut pruned);
    }
    for (index, id) in names.into_iter().enumerate() {
        let Ok(past) = Past::open(runs, id) else { continue };
        let bytes = on_disk(past.directory.as_fd());
        let goes = index >= bounds.newest
            && (bounds.older_than.is_some_and(|most| age(&past.id, now) > most)
                || bounds.most.is_some_and(|most| pruned.left >= most)
                || bounds.max_size.is_some_and(|most| pruned.left_bytes.saturating_add(bytes) > most));
        let spared = if goes { why_not(runs, &past, bounds.held) } else { None };
        if !goes || spared.is_some() {
            pruned.left += 1;
            pruned.left_bytes = pruned.left_bytes.saturating_add(bytes);
            pruned.spared.extend(spared.map(|why| (past.id.clone(), why)));
            continue;
        }
        if dry_run {
            pruned.removed.push((past.id.clone(), bytes));
            continue;
        }
        match remove(above.as_fd(), &past.id) {
            Ok(()) => pruned.removed.push((past.id.clone(), bytes)),
            Err(error) => pruned.failed.push((past.id.clone(), error)),
        }
    }
    Ok(pruned)
}

/// Why a record stays. Its lock is held from here on, until the directory is closed: nobody decides on it
/// meanwhile.
fn why_not(runs: &Path, past: &Past, held: Held) -> Option<&'static str> {
    if flock(&past.directory, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Some("it goes on, or somebody works with its record");
    }
    let cut_off = runs.parent().is_some_and(|state| state.join("unfinished").join(&past.id).exists());
    if cut_off {
        return Some("its promotion was cut off and could not be finished yet");
    }
    if held == Held::Goes {
        return None;
    }
    match past.record() {
        Ok(record) if record.ended_at.is_some() => {
            let waits = record.result.is_some_and(|result| !result.held.is_empty());
            waits.then_some("it holds work that nobody has decided on (`--force-held` removes it)")
        }
        // One that was cut short has no verdict over what it wrote.
        _ if statat(&past.directory, VERDICT, AtFlags::SYMLINK_NOFOLLOW).is_err() && has_written(past) => {
            Some("it was cut short, and what it wrote was never judged (`--force-held` removes it)")
        }
        _ => None,
    }
}

fn has_written(past: &Past) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(upper) = openat(&past.directory, UPPER, flags, Mode::empty()) else { return false };
    let is_entry = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
        entry.is_ok_and(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."))
    };
    Dir::read_from(&upper).is_ok_and(|mut entries| entries.any(is_entry))
}

fn age(id: &str, now: SystemTime) -> Duration {
    let millis = id.parse::<Ulid>().map_or(0, |ulid| ulid.timestamp_ms());
    now.duration_since(UNIX_EPOCH + Duration::from_millis(millis)).unwrap_or_default()
}

fn remove(above: BorrowedFd<'_>, id: &str) -> io::Result<()> {
    let going = format!("{GOING}{id}");
    renameat_with(above, id, above, going.as_str(), RenameFlags::NOREPLACE)?;
    layers::remove_tree(above, going.as_str())
}

/// What a removal that was cut off left.
fn finish(above: BorrowedFd<'_>, pruned: &mut Pruned) {
    let Ok(entries) = Dir::read_from(above) else { return };
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned)).collect();
    for name in names.iter().filter(|name| name.starts_with(GOING)) {
        if let Err(error) = layers::remove_tree(above, name.as_str()) {
            pruned.failed.push((name.clone(), error));
        }
    }
}

/// What a directory takes on disk. Nothing is changed for it: what is closed to us counts as empty.
fn on_disk(directory: BorrowedFd<'_>) -> u64 {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut total = 0u64;
    let Ok(entries) = Dir::read_from(directory) else { return 0 };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        total = total.saturating_add(u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512));
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && let Ok(inner) = openat(directory, name, flags, Mode::empty())
        {
            total = total.saturating_add(on_disk(inner.as_fd()));
        }
    }
    total
}
