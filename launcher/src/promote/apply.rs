//! Does the steps of a journal, or takes them back, from wherever it was cut off.
//!
//! Each step is one rename: a thing of the stage and a thing of the tree change places, or one goes where
//! nothing is. What came out is looked at afterwards: if it is not what was expected, they change places again,
//! so what somebody wrote meanwhile is never lost.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, openat, renameat_with, statat};
use rustix::io::Errno;
use shieldrun_policy::plan::Bytes;

use super::halt;
use super::journal::{Journal, State, Step, What};
use super::stage::{self, Stage};
use super::{Conflict, keep};
use crate::beneath::Tree;

/// Why it stopped.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The tree is not as expected.
    Conflict(Conflict),
    /// A system call failed.
    Failed { path: Bytes, error: io::Error },
    /// The journal cannot be written.
    Record(io::Error),
}

/// A journal at work: its number, the record that it lies in, and the tree.
pub(super) struct Work<'a> {
    pub(super) journal: Journal,
    pub(super) number: u32,
    pub(super) record: BorrowedFd<'a>,
    pub(super) target: Tree<'a>,
}

impl Work<'_> {
    /// Goes on until it is over, one way or the other. The error says why it was taken back.
    pub(super) fn finish(&mut self) -> Result<(), Stopped> {
        let mut stopped = None;
        loop {
            match self.journal.state {
                State::Staging => {
                    self.remove_stage()?;
                    self.turn(State::Reverted)?;
                }
                State::Applying => match self.forward() {
                    Ok(()) => self.turn(State::Keeping)?,
                    Err(Stopped::Record(error)) => return Err(Stopped::Record(error)),
                    Err(why) => {
                        stopped = Some(why);
                        self.turn(State::Reverting)?;
                    }
                },
                State::Reverting => {
                    self.backward()?;
                    if self.has_what_is_the_users()? {
                        keep::put_away(self)?;
                    }
                    self.remove_stage()?;
                    self.turn(State::Reverted)?;
                }
                State::Keeping => {
                    // Also what an undo took out of the tree: moved it costs nothing, removed a call for each
                    // file, and nobody has to be sure.
                    keep::put_away(self)?;
                    self.remove_stage()?;
                    self.turn(State::Done)?;
                }
                State::Done | State::Reverted => return stopped.map_or(Ok(()), Err),
            }
        }
    }

    /// Writes down how far it is.
    pub(super) fn turn(&mut self, state: State) -> Result<(), Stopped> {
        halt::point();
        self.journal.state = state;
        let written = self.journal.write(self.record, self.number).map_err(Stopped::Record);
        halt::point();
        written
    }

    fn forward(&mut self) -> Result<(), Stopped> {
        let stage = self.stage()?;
        for number in 0..self.journal.steps.len() {
            let Some(step) = self.journal.steps.get(number) else { break };
            do_step(&mut self.target, &stage, number, step)?;
            halt::point();
        }
        // As all of it stands now, so that an undo sees what was changed after it.
        for step in &mut self.journal.steps {
            let there = self.target.stat(&step.path).map_err(|error| failed(step, error))?;
            step.result = there.as_ref().map(super::journal::Identity::of);
        }
        Ok(())
    }

    fn backward(&mut self) -> Result<(), Stopped> {
        let stage = self.stage()?;
        for number in (0..self.journal.steps.len()).rev() {
            let Some(step) = self.journal.steps.get(number) else { break };
            undo_step(&mut self.target, &stage, number, step)?;
            halt::point();
        }
        Ok(())
    }

    /// Whether the stage still holds what was in the tree: where somebody put another thing meanwhile.
    fn has_what_is_the_users(&mut self) -> Result<bool, Stopped> {
        let stage = self.stage()?;
        for (number, step) in self.journal.steps.iter().enumerate() {
            let staged = stage.stat(number).map_err(|error| failed(step, error))?;
            let ours = match &step.what {
                What::Put { inode } => staged.as_ref().is_none_or(|staged| staged.st_ino == *inode),
                What::Remove => staged.is_none(),
                What::Set { .. } => true,
            };
            if !ours {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn stage(&mut self) -> Result<Stage, Stopped> {
        Stage::open(&mut self.target, &self.journal.stage)
            .map_err(|error| Stopped::Failed { path: Bytes(self.journal.stage.clone()), error })
    }

    fn remove_stage(&mut self) -> Result<(), Stopped> {
        halt::point();
        let name = self.journal.stage.clone();
        let removed = match self.target.spot(&name) {
            Ok(spot) => stage::remove(spot.directory, &spot.name),
            Err(error) => Err(error),
        };
        halt::point();
        removed.map_err(|error| Stopped::Failed { path: Bytes(name), error })
    }
}

fn failed(step: &Step, error: io::Error) -> Stopped {
    Stopped::Failed { path: Bytes(step.path.clone()), error }
}

fn conflict(step: &Step, why: &str) -> Stopped {
    Stopped::Conflict(Conflict { path: Bytes(step.path.clone()), why: why.to_owned() })
}

fn do_step(target: &mut Tree<'_>, stage: &Stage, number: usize, step: &Step) -> Result<(), Stopped> {
    let fail = |error: io::Error| failed(step, error);
    let name = stage::name(number);
    let staged = stage.stat(number).map_err(fail)?;
    match &step.what {
        What::Put { inode } => {
            // Not under this name any more: it is where it belongs, and what was there may be here.
            if staged.as_ref().is_none_or(|staged| staged.st_ino != *inode) {
                return Ok(());
            }
            let there = target.stat(&step.path).map_err(fail)?;
            match (&step.expected, there) {
                (None, _) => place(target, stage, &name, step, RenameFlags::NOREPLACE),
                // Not by the time of change: of a file with two names that changes when the first goes.
                (Some(expected), Some(there)) if expected.is_moved(&there) => {
                    place(target, stage, &name, step, RenameFlags::EXCHANGE)?;
                    came_out_right(target, stage, number, step, RenameFlags::EXCHANGE)
                }
                (Some(_), Some(_)) => Err(conflict(step, "it was changed on the host meanwhile")),
                (Some(_), None) => Err(conflict(step, "it was removed on the host meanwhile")),
            }
        }
        What::Remove => {
            if staged.is_some() {
                return Ok(());
            }
            let there = target.stat(&step.path).map_err(fail)?;
            match (&step.expected, there) {
                (Some(expected), Some(there)) if expected.is_moved(&there) => {
                    let spot = target.spot(&step.path).map_err(fail)?;
                    let moved = renameat_with(
                        spot.directory,
                        spot.name.as_slice(),
                        &stage.directory,
                        name.as_str(),
                        RenameFlags::NOREPLACE,
                    );
                    moved.map_err(|errno| fail(errno.into()))?;
                    came_out_right(target, stage, number, step, RenameFlags::NOREPLACE)
                }
                (_, Some(_)) => Err(conflict(step, "it was changed on the host meanwhile")),
                (_, None) => Err(conflict(step, "it was removed on the host meanwhile")),
            }
        }
        What::Set { before, after } => {
            let there = target.stat(&step.path).map_err(fail)?;
            let same = |there: &rustix::fs::Stat| {
                step.expected.as_ref().is_none_or(|expected| expected.inode == there.st_ino)
            };
            match there.filter(same) {
                Some(_) => stage::set(&target.spot(&step.path).map_err(fail)?, before, after).map_err(fail),
                None => Err(conflict(step, "it was replaced on the host meanwhile")),
            }
        }
    }
}

fn place(
    target: &mut Tree<'_>,
    stage: &Stage,
    name: &str,
    step: &Step,
    flags: RenameFlags,
) -> Result<(), Stopped> {
    let spot = target.spot(&step.path).map_err(|error| failed(step, error))?;
    match renameat_with(&stage.directory, name, spot.directory, spot.name.as_slice(), flags) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(conflict(step, "it was made on the host meanwhile")),
        Err(Errno::NOENT) => Err(conflict(step, "it was removed on the host meanwhile")),
        Err(errno) => Err(failed(step, errno.into())),
    }
}

/// Looks at what came out of the tree; what is not as expected goes back at once.
fn came_out_right(
    target: &mut Tree<'_>,
    stage: &Stage,
    number: usize,
    step: &Step,
    flags: RenameFlags,
) -> Result<(), Stopped> {
    let fail = |error: io::Error| failed(step, error);
    let name = stage::name(number);
    let out = stage.stat(number).map_err(fail)?;
    let expected = step.expected.as_ref();
    let right = out.as_ref().is_some_and(|out| expected.is_some_and(|expected| expected.is_moved(out)));
    let why = if !right {
        "it was changed on the host meanwhile"
    } else if out.is_some_and(|out| is_directory(out.st_mode)) && !is_empty(stage, &name).map_err(fail)? {
        "something was put into it on the host meanwhile"
    } else {
        return Ok(());
    };
    let spot = target.spot(&step.path).map_err(fail)?;
    renameat_with(&stage.directory, name.as_str(), spot.directory, spot.name.as_slice(), flags)
        .map_err(|errno| fail(errno.into()))?;
    Err(conflict(step, why))
}

/// Takes a step back, if it was done.
fn undo_step(target: &mut Tree<'_>, stage: &Stage, number: usize, step: &Step) -> Result<(), Stopped> {
    let fail = |error: io::Error| failed(step, error);
    let name = stage::name(number);
    let staged = stage.stat(number).map_err(fail)?;
    match &step.what {
        What::Put { inode } => {
            if staged.as_ref().is_some_and(|staged| staged.st_ino == *inode) {
                return Ok(());
            }
            let spot = target.spot(&step.path).map_err(fail)?;
            let there = spot.stat().map_err(fail)?;
            if there.is_none_or(|there| there.st_ino != *inode) {
                // Somebody took ours away meanwhile: theirs is the last word, and the old one stays staged.
                return Ok(());
            }
            let moved = if staged.is_some() {
                renameat_with(
                    &stage.directory,
                    name.as_str(),
                    spot.directory,
                    spot.name.as_slice(),
                    RenameFlags::EXCHANGE,
                )
            } else {
                renameat_with(
                    spot.directory,
                    spot.name.as_slice(),
                    &stage.directory,
                    name.as_str(),
                    RenameFlags::NOREPLACE,
                )
            };
            moved.map_err(|errno| fail(errno.into()))
        }
        What::Remove => {
            if staged.is_none() {
                return Ok(());
            }
            let spot = target.spot(&step.path).map_err(fail)?;
            match renameat_with(
                &stage.directory,
                name.as_str(),
                spot.directory,
                spot.name.as_slice(),
                RenameFlags::NOREPLACE,
            ) {
                // Somebody made one there meanwhile: the old one is not put over it.
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(fail(errno.into())),
            }
        }
        What::Set { before, after } => {
            let Some(there) = target.stat(&step.path).map_err(fail)? else { return Ok(()) };
            if step.expected.as_ref().is_some_and(|expected| expected.inode != there.st_ino) {
                return Ok(());
            }
            stage::set(&target.spot(&step.path).map_err(fail)?, after, before).map_err(fail)
        }
    }
}

fn is_directory(mode: u32) -> bool {
    mode & 0o170_000 == 0o040_000
}

fn is_empty(stage: &Stage, name: &str) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(stage.directory.as_fd(), name, flags, Mode::empty()) {
        Ok(directory) => directory,
        // It cannot be looked into: then it has as many links as its directories, and no other word.
        Err(Errno::ACCESS) => {
            return Ok(statat(&stage.directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_nlink <= 2);
        }
        Err(errno) => return Err(errno.into()),
    };
    for entry in Dir::read_from(&directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}
