//! What a run did to the workspace's repository, and carrying it over as git does: by a fetch, a transaction of
//! references, an index made anew. No file of the run's `.git` becomes a file of the user's.
//!
//! Git reads what the run wrote with hooks off and no configuration but its own defaults.

mod branch;
mod carry;
mod git;
mod look;
mod references;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

pub(crate) use branch::{Load, branch, branch_back, check_branch, head};
pub(crate) use carry::{carry, check_back, take_back};
pub(crate) use look::look;

/// The repository on both sides, by descriptors and by the paths that git is given.
pub(crate) struct Repository<'a> {
    pub(crate) lower: BorrowedFd<'a>,
    pub(crate) upper: BorrowedFd<'a>,
    /// The user's workspace.
    pub(crate) workspace: &'a Path,
    /// The layer of the run.
    pub(crate) layer: &'a Path,
    /// The run's record, where git gets a directory of its own.
    pub(crate) record: &'a Path,
    pub(crate) run_id: &'a str,
}

/// Why commits do not go over.
#[derive(Debug)]
pub(crate) enum CommitsError {
    /// There is no git.
    NoGit(io::Error),
    /// Git says no.
    Git { what: &'static str, said: String },
    /// Something cannot be read or written.
    Io { what: &'static str, source: io::Error },
    /// A reference is another by now.
    Moved { name: String },
    /// There is no repository for a branch.
    NoRepository,
    /// No name for a branch.
    NoBranch(String),
    /// There is such a branch, and it is not this run's.
    Taken(String),
    /// Somebody works on it.
    CheckedOut(String),
    /// The run left references in a form that is not read here.
    Form(&'static str),
}

impl CommitsError {
    fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

impl fmt::Display for CommitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitsError::NoGit(_) => f.write_str("cannot run git to carry the commits of the run over"),
            CommitsError::Git { what, said } => write!(f, "git cannot {what}: {}", said.trim()),
            CommitsError::Io { what, .. } => write!(f, "cannot {what}"),
            CommitsError::Moved { name } => {
                write!(f, "`{name}` was moved on the host since the run began; the commits stay in the run")
            }
            CommitsError::NoRepository => {
                f.write_str("the workspace is no git repository, so there is no branch to promote to")
            }
            CommitsError::NoBranch(name) => write!(f, "`{name}` is no name for a branch"),
            CommitsError::Taken(name) => {
                write!(f, "the branch `{name}` is there already; promote to one with another name")
            }
            CommitsError::CheckedOut(name) => {
                write!(f, "the branch `{name}` is checked out; promote to one with another name")
            }
            CommitsError::Form(what) => {
                write!(f, "the run's repository has {what}; its commits stay in the run")
            }
        }
    }
}

impl std::error::Error for CommitsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CommitsError::NoGit(source) | CommitsError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
