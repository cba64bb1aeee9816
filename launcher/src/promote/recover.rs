//! Finishes what was cut off: the first thing that the next `shieldrun` does.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};

use super::Marker;
use super::apply::{Stopped, Work};
use super::journal::{Direction, Journal, State};

/// One that was finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) run_id: String,
    /// In words: what became of it.
    pub(crate) what: String,
}

/// Looks whether any promotion into any tree was cut off, and finishes it. Where nothing was, this is one failed
/// call. One that lives is waited for: it holds a lock on its tree.
pub(crate) fn recover(runs: &Path) -> Vec<Recovered> {
    let Some(markers) = runs.parent().map(|state| state.join("unfinished")) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(markers) else { return Vec::new() };
    let mut recovered = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(run_id) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        else {
            continue;
        };
        match one(&runs.join(run_id)) {
            Ok(what) => {
                if let Some(what) = what {
                    recovered.push(Recovered { run_id: run_id.to_owned(), what });
                }
            }
            Err(error) => recovered.push(Recovered {
                run_id: run_id.to_owned(),
                what: format!("its promotion was cut off and cannot be finished: {error}"),
            }),
        }
    }
    recovered
}

fn one(record_path: &Path) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(record) = openat(CWD, record_path, flags, Mode::empty()) else {
        // A record that was removed has nothing to finish.
        if let Some((directory, name)) = super::unfinished(record_path).zip(record_path.file_name()) {
            let _ = fs::remove_file(directory.join(name));
        }
        return Ok(None);
    };
    let last = |record: &std::os::fd::OwnedFd| -> io::Result<Option<(u32, Journal)>> {
        let mut journals = Journal::read_all(record.as_fd())?;
        let number = journals.len() as u32;
        Ok(journals.pop().map(|journal| (number, journal)))
    };
    let marker = Marker::of(record_path)?;
    let Some((_, journal)) = last(&record)? else {
        marker.clear();
        return Ok(None);
    };
    let path = Path::new(std::ffi::OsStr::from_bytes(&journal.target));
    let target = openat(CWD, path, flags, Mode::empty())?;
    flock(&target, FlockOperation::LockExclusive)?;
    // Now that nobody is at work in the tree: how far is it?
    let Some((number, journal)) = last(&record)?.filter(|(_, journal)| !journal.is_over()) else {
        marker.clear();
        return Ok(None);
    };
    let direction = journal.direction;
    let mut work = Work::again(journal, number, record.as_fd(), target.as_fd());
    let finished = work.finish();
    if work.journal.is_over() {
        marker.clear();
    }
    let noun = match direction {
        Direction::Promote => "promotion",
        Direction::Undo => "undo",
    };
    match finished {
        Ok(()) if work.journal.state == State::Done => {
            Ok(Some(format!("its {noun} was cut off and is finished now")))
        }
        Ok(()) => Ok(Some(format!("its {noun} was cut off before it began; nothing was changed"))),
        Err(Stopped::Conflict(conflict)) => Ok(Some(format!(
            "its {noun} was cut off and was taken back: `{}`: {}",
            conflict.path, conflict.why
        ))),
        Err(Stopped::Failed { error, .. } | Stopped::Record(error)) => Err(error),
    }
}
