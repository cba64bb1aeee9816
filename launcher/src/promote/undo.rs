//! Takes back what was promoted of a run: a promotion the other way round, with the same care.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use shieldrun_policy::plan::Bytes;

use super::apply::Work;
use super::journal::{Direction, Identity, Journal, State, Step, What};
use super::plan::{Ours, Planned, Planning, closing, order};
use super::{Destination, PromoteError, Receipt, carry_out, give_up, keep, open_ways, stage};
use crate::closed;

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
        let one = undo_one(&there, number, journal, journals.len() as u32 + 1);
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

fn undo_one(
    to: &Destination<'_>,
    number: u32,
    journal: &Journal,
    next: u32,
) -> Result<Receipt, PromoteError> {
    let mut work = Work::begin(to, Direction::Undo, Some(number), next);
    let prepared = prepare(to, &mut work, journal);
    let kept = keep::open(to.record, number).map_err(PromoteError::Kept);
    if kept.is_err() || prepared.as_ref().map_or(true, Planning::is_nothing) {
        give_up(to, &mut work)?;
    }
    let (planning, kept) = (prepared?, kept?);
    if !planning.conflicts.is_empty() {
        return Ok(Receipt { promoted: Vec::new(), conflicts: planning.conflicts });
    }
    let paths = journal.steps.iter().map(|step| Bytes(step.path.clone())).collect();
    match carry_out(to, work, planning.steps, kept.directory.as_fd())? {
        None => Ok(Receipt { promoted: paths, conflicts: Vec::new() }),
        Some(conflict) => Ok(Receipt { promoted: Vec::new(), conflicts: vec![conflict] }),
    }
}

/// Plans the way back. What is closed is opened, as it was for the way there.
fn prepare(to: &Destination<'_>, work: &mut Work<'_>, journal: &Journal) -> Result<Planning, PromoteError> {
    let mut wanted = closed::leading_to(journal.steps.iter().map(|step| step.path.as_slice()));
    let is_directory = |step: &&Step| step.result.is_some_and(|left| closed::is_directory(left.mode));
    wanted.extend(journal.steps.iter().filter(is_directory).map(|step| step.path.clone()));
    open_ways(to, work, &wanted)?;
    let (now_open, was_closed) = (work.journal.closed(), journal.closed());
    let mut planning = Planning::default();
    for (index, step) in journal.steps.iter().enumerate() {
        let there = work.target.stat(&step.path).map_err(PromoteError::Target)?;
        let own = there.map(|mut stat| {
            if let Some(mode) = now_open.get(&step.path) {
                stat.st_mode = stat.st_mode & !0o7777 | mode;
            }
            stat
        });
        let as_left = match (&step.result, &own) {
            (Some(left), Some(own)) => left.is_untouched(own),
            (None, None) => true,
            // Another step of the same promotion may have put something there.
            _ => false,
        };
        if !as_left {
            planning.against(&Bytes(step.path.clone()), "it was changed since it was promoted");
            continue;
        }
        let mode = was_closed.get(&step.path).copied();
        planning.steps.extend(reverse(index, step, there.as_ref().map(Identity::of), mode));
    }
    order(&mut planning.steps);
    Ok(planning)
}

/// The steps that take this one back. `mode` is what its directory had before it was opened.
fn reverse(index: usize, step: &Step, there: Option<Identity>, mode: Option<u32>) -> Vec<Planned> {
    let mode = mode.or(step.expected.map(|expected| expected.mode & 0o7777));
    let with = |what: What, expected: Option<Identity>, source: Option<Vec<u8>>| Planned {
        step: Step { path: step.path.clone(), what, expected, result: None },
        source,
        digest: None,
        mode,
    };
    let kept = |there: Option<Identity>| {
        let source = Some(stage::name(index).into_bytes());
        let directory = step.expected.is_some_and(|kept| closed::is_directory(kept.mode));
        let closing = mode.filter(|_| directory).and_then(|mode| closing(&step.path, mode));
        [with(What::Put { inode: 0 }, there, source)].into_iter().chain(closing).collect()
    };
    match (&step.what, &step.expected) {
        (What::Put { .. }, None) => vec![with(What::Remove, there, None)],
        (What::Put { .. }, Some(_)) => kept(there),
        (What::Remove, _) => kept(None),
        // Permissions of what goes away again are nobody's concern.
        (What::Set { .. }, None) => Vec::new(),
        (What::Set { before, after }, Some(_)) => {
            vec![with(What::Set { before: after.clone(), after: before.clone() }, there, None)]
        }
    }
}
