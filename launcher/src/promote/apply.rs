//! Goes through a journal, there or back, from wherever it was cut off.
//!
//! Owns the order: what is closed is opened first, steps come then, and permissions last. A step itself is `step`'s.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use shieldrun_policy::plan::Bytes;

use super::halt;
use super::journal::{Direction, Identity, Journal, State, Step, Way, What};
use super::stage::{self, Stage};
use super::step::{At, Go, failed};
use super::{Conflict, Destination, keep};
use crate::beneath::Tree;
use crate::closed;

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
    pub(super) go: Go,
}

impl<'a> Work<'a> {
    /// One that begins: nothing of it is written down yet.
    pub(super) fn begin(
        to: &Destination<'a>,
        direction: Direction,
        undoes: Option<u32>,
        number: u32,
    ) -> Self {
        let journal = Journal {
            run_id: to.run_id.to_owned(),
            direction,
            undoes,
            state: State::Looking,
            target: to.target_path.as_os_str().as_bytes().to_vec(),
            stage: super::stage_path(to, number),
            ways: Vec::new(),
            steps: Vec::new(),
        };
        Self { journal, number, record: to.record, target: Tree::new(to.target), go: Go::First }
    }

    /// One that was cut off.
    pub(super) fn again(
        journal: Journal,
        number: u32,
        record: BorrowedFd<'a>,
        target: BorrowedFd<'a>,
    ) -> Self {
        Self { journal, number, record, target: Tree::new(target), go: Go::Again }
    }

    /// Goes on until it is over, one way or the other. The error says why it was taken back.
    pub(super) fn finish(&mut self) -> Result<(), Stopped> {
        let mut stopped = None;
        loop {
            match self.journal.state {
                State::Looking => {
                    self.close_ways()?;
                    self.turn(State::Reverted)?;
                }
                State::Staging => {
                    self.remove_stage()?;
                    self.close_ways()?;
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
        self.reopen()?;
        for (number, step) in self.journal.steps.iter().enumerate().filter(|(_, step)| !step.is_set()) {
            At::new(&mut self.target, &stage, number, step).go(self.go)?;
            halt::point();
        }
        // As all of it stands now, so that an undo sees what was changed after it.
        for step in &mut self.journal.steps {
            let there = self.target.stat(&step.path).map_err(|error| failed(step, error))?;
            step.result = there.as_ref().map(Identity::of);
        }
        let mut set: HashMap<Vec<u8>, Option<Identity>> = HashMap::new();
        for end in ends(&self.journal) {
            match end {
                End::Set(number, step) => {
                    At::new(&mut self.target, &stage, number, step).go(self.go)?;
                    let there = self.target.stat(&step.path).map_err(|error| failed(step, error))?;
                    set.insert(step.path.clone(), there.as_ref().map(Identity::of));
                }
                End::Close(way) => close(&mut self.target, way)?,
            }
            halt::point();
        }
        for step in &mut self.journal.steps {
            if let Some(there) = set.get(&step.path) {
                step.result = *there;
            }
        }
        Ok(())
    }

    fn backward(&mut self) -> Result<(), Stopped> {
        let stage = self.stage()?;
        self.reopen()?;
        let steps = self.journal.steps.iter().enumerate();
        for (number, step) in steps.rev().filter(|(_, step)| !step.is_set()) {
            At::new(&mut self.target, &stage, number, step).back()?;
            halt::point();
        }
        for end in ends(&self.journal) {
            match end {
                End::Set(number, step) => At::new(&mut self.target, &stage, number, step).back()?,
                End::Close(way) => close(&mut self.target, way)?,
            }
            halt::point();
        }
        Ok(())
    }

    /// Opens what a promotion that was cut off may have closed already.
    fn reopen(&mut self) -> Result<(), Stopped> {
        for (path, inode) in self.journal.may_be_closed() {
            closed::open(&mut self.target, path, inode)
                .map_err(|error| Stopped::Failed { path: Bytes(path.to_vec()), error })?;
            halt::point();
        }
        Ok(())
    }

    /// Closes what was opened, before any step was done.
    fn close_ways(&mut self) -> Result<(), Stopped> {
        let mut ways: Vec<&Way> = self.journal.ways.iter().collect();
        ways.sort_by(|one, other| one.path.cmp(&other.path));
        // Cut off here, it may have closed one that leads to others.
        for way in &ways {
            closed::open(&mut self.target, &way.path, way.inode)
                .map_err(|error| Stopped::Failed { path: Bytes(way.path.clone()), error })?;
        }
        for way in ways.into_iter().rev() {
            close(&mut self.target, way)?;
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

/// What comes last, deepest first: nothing is done any more behind what it closes.
enum End<'a> {
    Set(usize, &'a Step),
    Close(&'a Way),
}

fn ends(journal: &Journal) -> Vec<End<'_>> {
    let set = journal.steps.iter().enumerate().filter(|(_, step)| step.is_set());
    let set: Vec<(&[u8], End<'_>)> =
        set.map(|(number, step)| (step.path.as_slice(), End::Set(number, step))).collect();
    // A directory that gets other permissions gets those, and not first its old ones.
    let of_steps: HashSet<&[u8]> = set.iter().map(|(path, _)| *path).collect();
    let ways = journal.ways.iter().filter(|way| !of_steps.contains(way.path.as_slice()));
    let ways = ways.map(|way| (way.path.as_slice(), End::Close(way))).collect::<Vec<_>>();
    let mut all: Vec<(&[u8], End<'_>)> = set.into_iter().chain(ways).collect();
    all.sort_by(|(one, _), (other, _)| other.cmp(one));
    all.into_iter().map(|(_, end)| end).collect()
}

fn close(target: &mut Tree<'_>, way: &Way) -> Result<(), Stopped> {
    closed::close(target, &way.path, way.inode, way.mode)
        .map_err(|error| Stopped::Failed { path: Bytes(way.path.clone()), error })
}
