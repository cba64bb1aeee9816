//! Promotion: what was accepted of a run goes into the real tree, whole or not at all.
//!
//! Staged first, beside the tree; then a list of renames, written down before the first of them. Cut off at any
//! moment, the journal says how far it came, and the next `shieldrun` finishes it. Nothing of the user's is
//! overwritten: what changed since the run began is a conflict, and what is replaced is kept for an undo.

mod apply;
mod aside;
mod halt;
mod journal;
mod keep;
mod layer;
mod plan;
mod recover;
mod stage;
mod staging;
mod step;
mod undo;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use shieldrun_policy::changes::{Change, Node};
use shieldrun_policy::plan::Bytes;

use crate::beneath::Tree;
use crate::closed;
use apply::{Stopped, Work};
use journal::{Direction, Journal, State, Way};
use plan::{Ours, Planned, Planning};
use stage::Stage;
use staging::stage_all;

pub(crate) use layer::keep_layer;
pub(crate) use plan::select;
pub(crate) use recover::recover;
pub(crate) use stage::open_closed;
pub(crate) use undo::undo;

/// Where to, and what goes on record.
pub(crate) struct Destination<'a> {
    pub(crate) run_id: &'a str,
    /// The run's directory, opened, and its path.
    pub(crate) record: BorrowedFd<'a>,
    pub(crate) record_path: &'a Path,
    /// The real tree, opened, and its canonical path.
    pub(crate) target: BorrowedFd<'a>,
    pub(crate) target_path: &'a Path,
    pub(crate) form: Form,
}

/// What the target is to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The tree that it began with.
    Tree,
    /// A directory for what it changed, and nothing else of the tree.
    Files,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Receipt {
    /// Paths that are in the real tree now as the run had them.
    pub(crate) promoted: Vec<Bytes>,
    /// What stood against it; then nothing was promoted.
    pub(crate) conflicts: Vec<Conflict>,
}

/// Something of the user's that is not as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) path: Bytes,
    pub(crate) why: String,
}

/// Why nothing was promoted.
#[derive(Debug)]
pub(crate) enum PromoteError {
    /// The record takes no journal.
    Record(io::Error),
    /// The tree cannot be looked at.
    Target(io::Error),
    /// Something cannot be put beside the tree.
    Stage { path: Bytes, source: io::Error },
    /// A step failed; those before it were taken back.
    Step { path: Bytes, source: io::Error },
    /// What is in the layer is not what was judged.
    Another(Bytes),
    /// What was replaced is not there any more.
    Kept(io::Error),
}

/// Whether the layer was read by this very process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    JustRead,
    /// Each file must still be what was judged: who knows what became of it.
    Earlier,
}

/// Promotes these changes. `since` is when the run began: what is newer in the tree is the user's.
///
/// # Errors
/// When the kernel refuses a step, or a file of the layer is another by now; then the tree is as it was.
pub(crate) fn promote(
    to: &Destination<'_>,
    upper: BorrowedFd<'_>,
    changes: &[&Change],
    since: SystemTime,
    freshness: Freshness,
) -> Result<Receipt, PromoteError> {
    if changes.is_empty() {
        return Ok(Receipt::default());
    }
    // Two runs of one tree promote one after the other.
    flock(to.target, FlockOperation::LockExclusive).map_err(|errno| PromoteError::Target(errno.into()))?;
    let locked = promote_locked(to, upper, changes, since, freshness);
    let _ = flock(to.target, FlockOperation::Unlock);
    locked
}

/// Every path that a promotion of this run put into this tree, or took out of it, and no undo took back.
///
/// # Errors
/// When a journal cannot be read.
pub(crate) fn promoted(to: &Destination<'_>) -> io::Result<HashSet<Vec<u8>>> {
    let journals = Journal::read_all(to.record)?;
    let numbers = undo::pending(&journals);
    let own = numbers.iter().filter_map(|number| journals.get(*number as usize - 1));
    let own = own.filter(|journal| journal.target == to.target_path.as_os_str().as_bytes());
    Ok(own.flat_map(|journal| &journal.steps).map(|step| step.path.clone()).collect())
}

fn promote_locked(
    to: &Destination<'_>,
    upper: BorrowedFd<'_>,
    changes: &[&Change],
    since: SystemTime,
    freshness: Freshness,
) -> Result<Receipt, PromoteError> {
    let journals = Journal::read_all(to.record).map_err(PromoteError::Record)?;
    let ours = undo::given_back(&journals, to.target_path.as_os_str().as_bytes());
    let mut work = Work::begin(to, Direction::Promote, None, journals.len() as u32 + 1);
    let planned = prepare(to, &mut work, changes, since, &ours);
    if planned.as_ref().map_or(true, Planning::is_nothing) {
        give_up(to, &mut work)?;
    }
    let mut planning = planned?;
    if freshness == Freshness::JustRead {
        planning.steps.iter_mut().for_each(|planned| planned.digest = None);
    }
    if !planning.conflicts.is_empty() {
        return Ok(Receipt { promoted: Vec::new(), conflicts: planning.conflicts });
    }
    let is_there = |change: &&&Change| match to.form {
        Form::Tree => !change.is_directory(),
        Form::Files => !change.is_directory() && change.after.is_some(),
    };
    let promoted: Vec<Bytes> = changes.iter().filter(is_there).map(|change| change.path.clone()).collect();
    if planning.steps.is_empty() {
        return Ok(Receipt { promoted, conflicts: Vec::new() });
    }
    match carry_out(to, work, planning.steps, upper)? {
        None => Ok(Receipt { promoted, conflicts: Vec::new() }),
        Some(conflict) => Ok(Receipt { promoted: Vec::new(), conflicts: vec![conflict] }),
    }
}

/// Plans, with what is closed on the way opened.
fn prepare(
    to: &Destination<'_>,
    work: &mut Work<'_>,
    changes: &[&Change],
    since: SystemTime,
    ours: &Ours,
) -> Result<Planning, PromoteError> {
    let paths = changes.iter().flat_map(|change| change.from.iter().chain([&change.path]));
    let mut wanted = closed::leading_to(paths.map(|path| path.0.as_slice()));
    // One that goes is looked into first.
    let goes = |change: &&&Change| {
        let stays = change.from.is_none() && change.after.as_ref().is_some_and(Node::is_directory);
        change.before.as_ref().is_some_and(Node::is_directory) && !stays
    };
    let gone = changes.iter().filter(goes).map(|change| change.from.as_ref().unwrap_or(&change.path));
    wanted.extend(gone.map(|path| path.0.clone()));
    open_ways(to, work, &wanted)?;
    let planned = match to.form {
        Form::Tree => plan::plan(changes, &mut work.target, since, ours, &work.journal.closed()),
        Form::Files => aside::plan(changes, &mut work.target),
    };
    planned.map_err(PromoteError::Target)
}

/// Opens what is closed among these directories of the tree, and writes that down first.
fn open_ways(
    to: &Destination<'_>,
    work: &mut Work<'_>,
    wanted: &BTreeSet<Vec<u8>>,
) -> Result<(), PromoteError> {
    let Work { journal, target, number, .. } = work;
    let opened = closed::open_all(target, wanted, |closed| {
        Marker::set(to.record_path)?;
        halt::point();
        journal.ways.extend(closed.iter().map(Way::of));
        journal.write(to.record, *number)?;
        halt::point();
        Ok(())
    });
    opened.map(drop).map_err(PromoteError::Target)
}

/// Ends one that came no further than looking.
fn give_up(to: &Destination<'_>, work: &mut Work<'_>) -> Result<(), PromoteError> {
    if work.journal.ways.is_empty() {
        return Ok(());
    }
    work.finish().map_err(PromoteError::from)?;
    Marker::of(to.record_path).map_err(PromoteError::Record)?.clear();
    Ok(())
}

/// Stages, writes down, does. A conflict comes back as a value: then all of it was taken back.
fn carry_out(
    to: &Destination<'_>,
    mut work: Work<'_>,
    planned: Vec<Planned>,
    sources: BorrowedFd<'_>,
) -> Result<Option<Conflict>, PromoteError> {
    let stage_path = work.journal.stage.clone();
    work.journal.state = State::Staging;
    work.journal.steps = planned.iter().map(|planned| planned.step.clone()).collect();
    // Whoever comes after a kill looks here first.
    let marker = Marker::set(to.record_path).map_err(PromoteError::Record)?;
    halt::point();
    work.journal.write(to.record, work.number).map_err(PromoteError::Record)?;
    halt::point();
    let staged = Stage::create(&mut work.target, &stage_path, planned.len())
        .map_err(|source| PromoteError::Stage { path: Bytes(stage_path.clone()), source })
        .and_then(|stage| stage_all(&stage, &planned, sources, &mut work));
    let done = match staged {
        Ok(()) => work.turn(State::Applying).and_then(|()| work.finish()),
        Err(error) => {
            // Nothing of the tree was touched.
            return match work.finish() {
                Ok(()) => {
                    marker.clear();
                    Err(error)
                }
                Err(_) => Err(error),
            };
        }
    };
    if work.journal.is_over() {
        marker.clear();
    }
    match done {
        Ok(()) => Ok(None),
        Err(Stopped::Conflict(conflict)) => Ok(Some(conflict)),
        Err(other) => Err(other.into()),
    }
}

/// In `.git` where there is one, so that nobody's `git status` shows it; else beside what is promoted.
fn stage_path(to: &Destination<'_>, number: u32) -> Vec<u8> {
    let name = format!(".shieldrun-{}-{number}", to.run_id);
    let git = Tree::new(to.target).directory(b".git");
    let same = |git: &OwnedFd| {
        let device = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).map(|stat| stat.st_dev).ok();
        device(git.as_fd()) == device(to.target)
    };
    let prefix = if git.is_ok_and(|git| same(&git)) { ".git/" } else { "" };
    format!("{prefix}{name}").into_bytes()
}

/// A file that says that a run's promotion is under way.
struct Marker {
    path: PathBuf,
}

impl Marker {
    fn of(record: &Path) -> io::Result<Self> {
        let path = unfinished(record).zip(record.file_name()).map(|(directory, name)| directory.join(name));
        Ok(Self { path: path.ok_or(io::ErrorKind::InvalidInput)? })
    }

    fn set(record: &Path) -> io::Result<Self> {
        let marker = Self::of(record)?;
        if let Some(directory) = marker.path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&marker.path, b"")?;
        Ok(marker)
    }

    fn clear(&self) {
        // One that stays costs a look at a journal that is over.
        let _ = fs::remove_file(&self.path);
    }
}

/// Where markers are: beside the directory of all runs.
fn unfinished(record: &Path) -> Option<PathBuf> {
    Some(record.parent()?.parent()?.join("unfinished"))
}

impl From<Stopped> for PromoteError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            // Whoever asks looks for one first.
            Stopped::Conflict(Conflict { path, why }) => {
                PromoteError::Step { path, source: io::Error::other(why) }
            }
            Stopped::Failed { path, error } => PromoteError::Step { path, source: error },
            Stopped::Record(error) => PromoteError::Record(error),
        }
    }
}

impl fmt::Display for PromoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PromoteError::Record(_) => {
                f.write_str("cannot write the journal of the promotion; nothing was promoted")
            }
            PromoteError::Target(_) => f.write_str("cannot look at the tree that is to be changed"),
            PromoteError::Stage { path, .. } => {
                write!(f, "cannot prepare `{path}` beside the tree; nothing was promoted")
            }
            PromoteError::Step { path, .. } => {
                write!(f, "cannot change `{path}`; what was done before it was taken back")
            }
            PromoteError::Another(path) => {
                write!(f, "`{path}` in the run's record is not what was judged; nothing was promoted")
            }
            PromoteError::Kept(_) => f.write_str("cannot read what the promotion replaced"),
        }
    }
}

impl std::error::Error for PromoteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PromoteError::Record(source)
            | PromoteError::Target(source)
            | PromoteError::Stage { source, .. }
            | PromoteError::Step { source, .. }
            | PromoteError::Kept(source) => Some(source),
            PromoteError::Another(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
