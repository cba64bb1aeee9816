//! What can go wrong with records, and what a person can do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A record that cannot be made, found or read.
#[derive(Debug)]
pub(crate) enum RecordError {
    NoHome,
    Create { path: PathBuf, source: io::Error },
    NotPrivate { path: PathBuf },
    Write { path: PathBuf, source: io::Error },
    Read { path: PathBuf, source: io::Error },
    Damaged { path: PathBuf, source: serde_json::Error },
    NoRun { wanted: String, path: PathBuf },
    NoRuns { path: PathBuf },
    Ambiguous { wanted: String, found: Vec<String> },
    Running { id: String },
    Broken { path: PathBuf, line: u64, reason: String },
    Result { path: PathBuf, source: io::Error },
    Output { source: io::Error },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::NoHome => {
                f.write_str("there is no directory for the records of runs: HOME is not set")
            }
            RecordError::Create { path, .. } => {
                write!(f, "cannot make a directory for this run's record in `{}`", path.display())
            }
            RecordError::NotPrivate { path } => {
                write!(f, "the records in `{}` could be changed by other users", path.display())
            }
            RecordError::Write { path, .. } => write!(f, "cannot write `{}`", path.display()),
            RecordError::Read { path, .. } => write!(f, "cannot read `{}`", path.display()),
            RecordError::Damaged { path, .. } => write!(f, "`{}` is damaged", path.display()),
            RecordError::NoRun { wanted, path } => {
                write!(f, "there is no run `{}` in `{}`", wanted.escape_debug(), path.display())
            }
            RecordError::NoRuns { path } => write!(f, "there are no runs in `{}`", path.display()),
            RecordError::Ambiguous { wanted, found } => {
                write!(f, "`{wanted}` could be {} runs: {}", found.len(), list(found))
            }
            RecordError::Running { id } => {
                write!(f, "run `{id}` is not over, or somebody else decides over it at this moment")
            }
            RecordError::Broken { path, line, reason } => {
                write!(f, "`{}` is broken at line {line}: {reason}", path.display())
            }
            RecordError::Result { path, .. } => write!(f, "cannot write the result to `{}`", path.display()),
            RecordError::Output { .. } => f.write_str("cannot write the output"),
        }
    }
}

impl Error for RecordError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RecordError::Create { source, .. }
            | RecordError::Write { source, .. }
            | RecordError::Read { source, .. }
            | RecordError::Result { source, .. }
            | RecordError::Output { source } => Some(source),
            RecordError::Damaged { source, .. } => Some(source),
            RecordError::NoHome
            | RecordError::NotPrivate { .. }
            | RecordError::NoRun { .. }
            | RecordError::NoRuns { .. }
            | RecordError::Running { .. }
            | RecordError::Broken { .. }
            | RecordError::Ambiguous { .. } => None,
        }
    }
}

impl RecordError {
    /// The next step, where one is known.
    pub(crate) fn hint(&self) -> Option<String> {
        let elsewhere = "set XDG_STATE_HOME to a directory that you can write";
        match self {
            RecordError::NoHome => Some(format!("set HOME, or {elsewhere}")),
            RecordError::Create { source, .. } | RecordError::Write { source, .. } => {
                Some(match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        "the disk is full: make room, or set XDG_STATE_HOME to another one".to_owned()
                    }
                    io::ErrorKind::ReadOnlyFilesystem => format!("the file system is read-only: {elsewhere}"),
                    io::ErrorKind::PermissionDenied => format!("check who owns it, or {elsewhere}"),
                    io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                        format!("a file stands where a directory should be: move it, or {elsewhere}")
                    }
                    _ => elsewhere.to_owned(),
                })
            }
            RecordError::NotPrivate { path } => Some(format!(
                "make it yours alone: `chown $USER` and `chmod 700` on `{}`, or {elsewhere}",
                path.display()
            )),
            RecordError::NoRun { .. } | RecordError::Ambiguous { .. } => Some(
                "see `shieldrun runs`; a run may be named by the beginning of its name, or `last`".to_owned(),
            ),
            RecordError::Result { .. } => Some("name another file after `--result`".to_owned()),
            _ => None,
        }
    }
}

fn list(names: &[String]) -> String {
    const MOST: usize = 5;
    let mut shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    if names.len() > MOST {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}
