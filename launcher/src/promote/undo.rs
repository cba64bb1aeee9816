//! Takes back what was promoted of a run: a promotion the other way round, with the same care.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use shieldrun_policy::plan::Bytes;

use super::journal::{Direction, Identity, Journal, State, Step, What};
use super::plan::{Ours, Planned, order};
use super::{Conflict, Destination, PromoteError, Receipt, carry_out, keep, stage};
use crate::beneath::Tree;

/// Takes back all promotions of a run that were not taken back yet, the last first. A path that is not as the
/// promotion left it stands against it, and then nothing is taken back.
///
/// # Errors
/// When the kernel refuses a step; then the tree is as it was.
pub(crate) fn undo(to: &Destination<'_>) -> Result<Receipt, PromoteError> {
    let numbers = pending(&Journal::read_all(to.record).map_err(PromoteError::Record)?);
    let mut receipt = Receipt::default();
    for number in numbers.into_iter().rev() {
        let journals = Journal::read_all(to.record).map_err(PromoteError::Record)?;
        let Some(journal) = journals.get(number as usize - 1) else { continue };
        let path = Path::new(std::ffi::OsStr::from_bytes(&journal.target));
        let opened;
        // Not everything went to the workspace.
        let target = if path == to.target_path {
            to.target
        } else {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(CWD, path, flags, Mode::empty()) {
                Ok(directory) => opened = directory,
                // Whoever removed a directory took back what was in it.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(PromoteError::Target(errno.into())),
            }
            opened.as_fd()
        };
        flock(target, FlockOperation::LockExclusive).map_err(|errno| PromoteError::Target(errno.into()))?;
        let there = Destination { target, target_path: path, ..*to };
        let one = undo_one(&there, number, journal);
        let _ = flock(target, FlockOperation::Unlock);
        let one = one?;
        if !one.conflicts.is_empty() {
            return Ok(Receipt { promoted: receipt.promoted, conflicts: one.conflicts });
        }
        receipt.promoted.extend(one.promoted);
    }
    Ok(receipt)
}

/// How many promotions there are to take back.
pub(crate) fn pending(journals: &[Journal]) -> Vec<u32> {
    let undone: Vec<u32> = journals
        .iter()
        .filter(|journal| journal.state == State::Done)
        .filter_map(|journal| journal.undoes)
        .collect();
    (1..)
        .zip(journals)
        .filter(|(number, journal)| {
            journal.direction == Direction::Promote
                && journal.state == State::Done
                && !undone.contains(number)
        })
        .map(|(number, _)| number)
        .collect()
}

/// What undos put back into a tree, as they left it.
pub(super) fn given_back(journals: &[Journal], target: &[u8]) -> Ours {
    let undos = journals.iter().filter(|j| j.direction == Direction::Undo && j.state == State::Done);
    let undos = undos.filter(|journal| journal.target == target);
    let steps = undos.flat_map(|journal| &journal.steps);
    steps.filter_map(|step| Some((step.path.clone(), step.result?))).collect()
}

fn undo_one(to: &Destination<'_>, number: u32, journal: &Journal) -> Result<Receipt, PromoteError> {
    let mut target = Tree::new(to.target);
    let mut conflicts = Vec::new();
    let mut planned = Vec::new();
    for (index, step) in journal.steps.iter().enumerate() {
        let there = target.stat(&step.path).map_err(PromoteError::Target)?;
        let as_left = match (&step.result, &there) {
            (Some(left), Some(there)) => left.is_untouched(there),
            (None, None) => true,
            // Another step of the same promotion may have put something there.
            _ => false,
        };
        if !as_left {
            conflicts.push(Conflict {
                path: Bytes(step.path.clone()),
                why: "it was changed since it was promoted".to_owned(),
            });
            continue;
        }
        planned.extend(reverse(index, step, there.as_ref().map(Identity::of)));
    }
    if !conflicts.is_empty() {
        return Ok(Receipt { promoted: Vec::new(), conflicts });
    }
    order(&mut planned);
    let kept = keep::open(to.record, number).map_err(PromoteError::Kept)?;
    let paths = journal.steps.iter().map(|step| Bytes(step.path.clone())).collect();
    let sources = Tree::new(kept.directory.as_fd());
    match carry_out(to, Direction::Undo, Some(number), planned, sources)? {
        None => Ok(Receipt { promoted: paths, conflicts: Vec::new() }),
        Some(conflict) => Ok(Receipt { promoted: Vec::new(), conflicts: vec![conflict] }),
    }
}

/// The step that takes this one back.
fn reverse(index: usize, step: &Step, there: Option<Identity>) -> Option<Planned> {
    let source = Some(stage::name(index).into_bytes());
    let with = |what: What, expected: Option<Identity>, source: Option<Vec<u8>>| Planned {
        step: Step { path: step.path.clone(), what, expected, result: None },
        source,
        digest: None,
    };
    match (&step.what, &step.expected) {
        (What::Put { .. }, None) => Some(with(What::Remove, there, None)),
        (What::Put { .. }, Some(_)) => Some(with(What::Put { inode: 0 }, there, source)),
        (What::Remove, _) => Some(with(What::Put { inode: 0 }, None, source)),
        // Permissions of what goes away again are nobody's concern.
        (What::Set { .. }, None) => None,
        (What::Set { before, after }, Some(_)) => {
            Some(with(What::Set { before: after.clone(), after: before.clone() }, there, None))
        }
    }
}
