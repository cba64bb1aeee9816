//! The record of a run: a directory of its own, named by a ULID, for its owner alone.
//!
//! Owns the directory, its name, `run.json`, and what the commands over past runs read. The log in it is
//! written by `audit`; the layers, changes and verdict by those who make them.
//!
//! The directory is opened once; everything in it is reached beneath its descriptor.

mod error;
mod late;
mod past;
mod prune;
mod remedy;
mod story;
mod timeline;
mod whole;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, mkdirat, openat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use shieldrun_policy::audit::Timestamp;
use shieldrun_policy::verdict::{PromoteTo, RunResult};
use ulid::Ulid;

pub(crate) use error::RecordError;
pub(crate) use late::Late;
pub(crate) use past::{Past, find, list, print_list, verify};
pub(crate) use prune::{Bounds, Held, Pruned, prune};
pub(crate) use timeline::{TraceForm, trace};
pub(crate) use whole::{replace_at, write_result};

/// The log.
pub(crate) const EVENTS: &str = "events.jsonl";
/// What the run was.
const RUN: &str = "run.json";
/// What it changed, one object a line.
pub(crate) const CHANGES: &str = "changes.jsonl";
/// The same for `git apply`.
pub(crate) const PATCH: &str = "changes.patch";
/// What becomes of it.
pub(crate) const VERDICT: &str = "verdict.json";

/// The directory of a run that is being made. Held, it is locked: that is how others see that the run lives.
#[derive(Debug)]
pub(crate) struct RunDir {
    directory: OwnedFd,
    path: PathBuf,
    id: String,
}

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    pub(crate) run_id: String,
    /// argv; real secrets are replaced by whoever fills this in.
    pub(crate) command: Vec<String>,
    pub(crate) workspace: String,
    pub(crate) policy_digest: String,
    /// The values of the policy, so that the digest can be understood later.
    pub(crate) policy: serde_json::Value,
    /// `full` or `preload`.
    pub(crate) isolation: String,
    /// Protections that the host could not give and the policy did not insist on.
    pub(crate) gaps: Vec<String>,
    pub(crate) shieldrun: String,
    pub(crate) host: HostRecord,
    pub(crate) started_at: String,
    /// Where accepted changes were to go, if not to the workspace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) promote_to: Option<PromoteTo>,
    /// The commit that it began with, where a branch was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) promote_base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) events: Option<EventsRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) result: Option<RunResult>,
    /// What is being added; there only if that was cut off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) adding: Option<Adding>,
}

/// The end of the log as it will be, written down before it is: a kill in between leaves no broken chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Adding {
    /// Bytes of the log before.
    pub(crate) length: u64,
    pub(crate) events: EventsRecord,
    pub(crate) result: Option<RunResult>,
}

/// The host, as far as it explains a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostRecord {
    pub(crate) kernel: String,
    pub(crate) machine: String,
    pub(crate) uid: u32,
}

/// The end of the log. Its last hash is what a log with a cut end does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventsRecord {
    pub(crate) lines: u64,
    pub(crate) dropped: u64,
    pub(crate) last_hash: String,
}

impl HostRecord {
    /// Asks the kernel.
    pub(crate) fn here() -> Self {
        let uname = rustix::system::uname();
        HostRecord {
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
            machine: uname.machine().to_string_lossy().into_owned(),
            uid: rustix::process::getuid().as_raw(),
        }
    }
}

/// `$XDG_STATE_HOME/shieldrun/runs`, by default beneath `~/.local/state`.
///
/// A relative `XDG_STATE_HOME` is ignored, as the XDG base directory specification asks.
pub(crate) fn runs_dir(xdg_state_home: Option<&OsStr>, home: Option<&OsStr>) -> Result<PathBuf, RecordError> {
    let absolute = |path: &OsStr| {
        let path = PathBuf::from(path);
        path.is_absolute().then_some(path)
    };
    let state = xdg_state_home
        .and_then(absolute)
        .or_else(|| home.and_then(absolute).map(|home| home.join(".local/state")))
        .ok_or(RecordError::NoHome)?;
    Ok(state.join("shieldrun/runs"))
}

impl RunDir {
    /// Makes the directory of a new run beneath `runs`, which is made too if need be.
    pub(crate) fn create(runs: &Path, now: SystemTime) -> Result<Self, RecordError> {
        let refused = |source: io::Error| RecordError::Create { path: runs.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(runs).map_err(refused)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = openat(CWD, runs, flags, Mode::empty()).map_err(|errno| refused(errno.into()))?;
        let stat = rustix::fs::fstat(&above).map_err(|errno| refused(errno.into()))?;
        let euid = rustix::process::geteuid().as_raw();
        let others = Mode::from_raw_mode(stat.st_mode) & (Mode::WGRP | Mode::WOTH);
        if (stat.st_uid != euid && euid != 0) || !others.is_empty() {
            return Err(RecordError::NotPrivate { path: runs.to_owned() });
        }
        let millis = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let id = Ulid::from_parts(u64::try_from(millis).unwrap_or(u64::MAX), random().map_err(refused)?)
            .to_string();
        // The random part has 80 bits: that the name is there already does not happen, so no second try.
        mkdirat(&above, id.as_str(), Mode::RWXU).map_err(|errno| refused(errno.into()))?;
        let directory = openat(&above, id.as_str(), flags | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| refused(errno.into()))?;
        flock(&directory, FlockOperation::NonBlockingLockExclusive).map_err(|errno| refused(errno.into()))?;
        Ok(RunDir { directory, path: runs.join(&id), id })
    }

    /// The directory itself.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// The name of the run.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// For people and for the result; not to be opened again.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new file in it, for its owner alone.
    pub(crate) fn create_file(&self, name: &str) -> Result<File, RecordError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|errno| RecordError::Write { path: self.path.join(name), source: errno.into() })
    }

    /// A file of it once more, to be read.
    pub(crate) fn open_file(&self, name: &str) -> Result<File, RecordError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.directory, name, flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| RecordError::Read { path: self.path.join(name), source: errno.into() })
    }

    /// A new directory in it.
    pub(crate) fn create_directory(&self, name: &str, mode: u32) -> io::Result<OwnedFd> {
        mkdirat(&self.directory, name, Mode::from_raw_mode(mode))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.directory, name, flags, Mode::empty())?)
    }

    /// Writes `run.json`, whole or not at all: once when the run begins, once when it is over.
    pub(crate) fn write_run(&self, record: &RunRecord) -> Result<(), RecordError> {
        self.write_json(RUN, record)
    }

    /// Writes a file of JSON, whole or not at all.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), RecordError> {
        whole::replace_at(self.directory.as_fd(), name, value)
            .map_err(|source| RecordError::Write { path: self.path.join(name), source })
    }
}

impl AsFd for RunDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// RFC 3339, as everywhere in the record.
pub(crate) fn time(at: SystemTime) -> String {
    Timestamp::from(at).to_string()
}

fn random() -> io::Result<u128> {
    let mut bytes = [0u8; 16];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(u128::from_ne_bytes(bytes))
}

/// A record's own file, read whole within bounds: it lies in the owner's home, and who knows what became of it.
pub(crate) fn read_at(directory: BorrowedFd<'_>, name: &str) -> io::Result<Vec<u8>> {
    const MOST: u64 = 64 << 20;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(directory, name, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any record"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
