//! Runs that were: finding one by its name, listing all, checking one's log.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use serde::Serialize;
use shieldrun_policy::verdict::{ResultExit, RunResult};
use ulid::Ulid;

use super::{EVENTS, RUN, RecordError, RunRecord, read_at};
use crate::audit;

/// A run that was found.
#[derive(Debug)]
pub(crate) struct Past {
    pub(super) directory: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) id: String,
}

/// Whether a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its launcher lives.
    Running,
    /// It came to its end.
    Ended,
    /// Its launcher died.
    Interrupted,
}

/// One line of `shieldrun runs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Listed {
    #[serde(flatten)]
    pub(crate) result: RunResult,
    pub(crate) state: State,
    pub(crate) started_at: String,
}

/// Finds a run by its name, the unique beginning of it in either case, or `last`.
pub(crate) fn find(runs: &Path, wanted: &str) -> Result<Past, RecordError> {
    let names = names(runs)?;
    let no_run = || RecordError::NoRun { wanted: wanted.to_owned(), path: runs.to_owned() };
    let id = if wanted == "last" {
        names.into_iter().next().ok_or_else(|| RecordError::NoRuns { path: runs.to_owned() })?
    } else {
        let prefix = wanted.to_ascii_uppercase();
        let mut found: Vec<String> =
            names.into_iter().filter(|name| !prefix.is_empty() && name.starts_with(&prefix)).collect();
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => only,
            (Some(last), false) => {
                found.push(last);
                return Err(RecordError::Ambiguous { wanted: wanted.to_owned(), found });
            }
            (None, _) => return Err(no_run()),
        }
    };
    Past::open(runs, id)
}

/// Every run, newest first. A record that cannot be read is listed as far as its name tells.
pub(crate) fn list(runs: &Path) -> Result<Vec<Listed>, RecordError> {
    let mut listed = Vec::new();
    for id in names(runs)? {
        // One that is removed meanwhile is no error.
        if let Ok(past) = Past::open(runs, id) {
            listed.push(past.listed());
        }
    }
    Ok(listed)
}

/// Writes the list for people, or one object a line.
pub(crate) fn print_list(listed: &[Listed], json: bool, out: &mut impl Write) -> Result<(), RecordError> {
    let failed = |source: io::Error| RecordError::Output { source };
    if json {
        for line in listed {
            let text = serde_json::to_string(line).map_err(|error| failed(error.into()))?;
            writeln!(out, "{text}").map_err(failed)?;
        }
        return Ok(());
    }
    if listed.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{:<26}  {:<19}  {:>9}  {:<11}  {:<7}  COMMAND",
        "RUN", "STARTED (UTC)", "SECONDS", "ENDED", "VERDICT"
    )
    .map_err(failed)?;
    for line in listed {
        writeln!(out, "{}", line.row()).map_err(failed)?;
    }
    Ok(())
}

/// Checks the chain of a run's log, and that its end is there. The inner error names the first broken line.
pub(crate) fn verify(past: &Past) -> Result<Result<audit::Verified, audit::Broken>, RecordError> {
    let path = past.path.join(EVENTS);
    let log = past.log()?;
    let verified = match audit::verify(&past.id, BufReader::with_capacity(256 << 10, log)) {
        Ok(Ok(verified)) => verified,
        Ok(Err(broken)) => return Ok(Err(broken)),
        Err(source) => return Err(RecordError::Read { path, source }),
    };
    let broken = |reason: &str| audit::Broken { line: verified.lines + 1, reason: reason.to_owned() };
    let record = past.record()?;
    Ok(match record.events {
        // An addition that was cut off may be there whole.
        Some(_) if record.adding.is_some_and(|adding| adding.events.last_hash == verified.last_hash) => {
            Ok(verified)
        }
        Some(end) if end.last_hash != verified.last_hash => Err(broken(
            "the log goes on here by its run's record: the end is missing, or the last line was changed",
        )),
        Some(_) => Ok(verified),
        // Of a run that did not end no end can be missed.
        None => Ok(verified),
    })
}

impl Past {
    pub(super) fn open(runs: &Path, id: String) -> Result<Self, RecordError> {
        let path = runs.join(&id);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty())
            .map_err(|errno| RecordError::Read { path: path.clone(), source: errno.into() })?;
        Ok(Past { directory, path, id })
    }

    /// Its `run.json`.
    pub(crate) fn record(&self) -> Result<RunRecord, RecordError> {
        let path = || self.path.join(RUN);
        let bytes = read_at(self.directory.as_fd(), RUN)
            .map_err(|source| RecordError::Read { path: path(), source })?;
        serde_json::from_slice(&bytes).map_err(|source| RecordError::Damaged { path: path(), source })
    }

    /// Its log, from the first line.
    pub(super) fn log(&self) -> Result<File, RecordError> {
        self.file(EVENTS)
    }

    /// A file of it, to be read.
    pub(crate) fn file(&self, name: &str) -> Result<File, RecordError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.directory, name, flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| RecordError::Read { path: self.path.join(name), source: errno.into() })
    }

    /// Whether its launcher lives, ended it, or died: the launcher holds a lock that the kernel takes away.
    pub(crate) fn state(&self) -> State {
        if flock(&self.directory, FlockOperation::NonBlockingLockShared).is_err() {
            return State::Running;
        }
        let _ = flock(&self.directory, FlockOperation::Unlock);
        match self.record() {
            Ok(record) if record.ended_at.is_some() => State::Ended,
            _ => State::Interrupted,
        }
    }

    fn listed(&self) -> Listed {
        let record = self.record().ok();
        let started_at =
            record.as_ref().map_or_else(|| time_in(&self.id), |record| record.started_at.clone());
        let result = record.as_ref().and_then(|record| record.result.clone()).unwrap_or_else(|| RunResult {
            run_id: self.id.clone(),
            command: record.as_ref().map(|record| record.command.clone()).unwrap_or_default(),
            exit: ResultExit::default(),
            duration_seconds: 0.0,
            isolation: record.as_ref().map(|record| record.isolation.clone()).unwrap_or_default(),
            verdict: None,
            promoted: Vec::new(),
            promoted_to: None,
            held: Vec::new(),
            refused: Vec::new(),
            secrets: None,
            denied: None,
            leaks: Vec::new(),
            record: self.path.display().to_string(),
        });
        Listed { result: result.brief(), state: self.state(), started_at }
    }
}

impl Listed {
    fn row(&self) -> String {
        let result = &self.result;
        let ended = match (self.state, &result.exit.shieldrun, result.exit.signal, result.exit.code) {
            (State::Running, ..) => "running".to_owned(),
            (State::Interrupted, ..) => "interrupted".to_owned(),
            (_, Some(cause), ..) => plain(cause),
            (_, None, Some(signal), _) => format!("signal {signal}"),
            (_, None, None, Some(code)) => format!("exit {code}"),
            (_, None, None, None) => "-".to_owned(),
        };
        let verdict = result.verdict.map_or("-", |verdict| match verdict {
            shieldrun_policy::verdict::Verdict::Accept => "accept",
            shieldrun_policy::verdict::Verdict::Hold => "hold",
            shieldrun_policy::verdict::Verdict::Refuse => "refuse",
        });
        let seconds = if self.state == State::Ended {
            format!("{:.2}", result.duration_seconds)
        } else {
            "-".to_owned()
        };
        let started = plain(self.started_at.get(..19).unwrap_or(&self.started_at)).replace('T', " ");
        let mut row =
            format!("{:<26}  {started:<19}  {seconds:>9}  {ended:<11}  {verdict:<7} ", plain(&result.run_id));
        for word in &result.command {
            let _ = write!(row, " {}", plain(word));
        }
        const MOST: usize = 200;
        match row.char_indices().nth(MOST) {
            Some((at, _)) => format!("{}…", row.get(..at).unwrap_or_default()),
            None => row,
        }
    }
}

/// Text from a record on a terminal: nothing in it may move the cursor.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Names of all runs, newest first: a ULID sorts by time.
pub(super) fn names(runs: &Path) -> Result<Vec<String>, RecordError> {
    let failed = |source: io::Error| RecordError::Read { path: runs.to_owned(), source };
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if let Some(name) = name.to_str().filter(|name| is_run(name)) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

/// Only names that we could have given.
fn is_run(name: &str) -> bool {
    name.parse::<Ulid>().is_ok_and(|ulid| ulid.to_string() == name)
}

/// When a run began, by its name.
fn time_in(id: &str) -> String {
    let millis = id.parse::<Ulid>().map_or(0, |ulid| ulid.timestamp_ms());
    super::time(UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(SystemTime::UNIX_EPOCH))
}
