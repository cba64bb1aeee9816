//! Takes back what was promoted of a run: a promotion the other way round, with the same care.

use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, flock};
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
    flock(to.target, FlockOperation::LockExclusive).map_err(|errno| PromoteError::Target(errno.into()))?;
    let undone = undo_locked(to);
    let _ = flock(to.target, FlockOperation::Unlock);
    undone
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

/// What undos put back into the tree, as they left it.
pub(super) fn given_back(journals: &[Journal]) -> Ours {
    let undos = journals.iter().filter(|j| j.direction == Direction::Undo && j.state == State::Done);
    let steps = undos.flat_map(|journal| &journal.steps);
    steps.filter_map(|step| Some((step.path.clone(), step.result?))).collect()
}

fn undo_locked(to: &Destination<'_>) -> Result<Receipt, PromoteError> {
    let journals = Journal::read_all(to.record).map_err(PromoteError::Record)?;
    let mut receipt = Receipt::default();
    for number in pending(&journals).into_iter().rev() {
        let Some(journal) = journals.get(number as usize - 1) else { continue };
        let one = undo_one(to, number, journal)?;
        if !one.conflicts.is_empty() {
            return Ok(Receipt { promoted: receipt.promoted, conflicts: one.conflicts });
        }
        receipt.promoted.extend(one.promoted);
    }
    Ok(receipt)
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
