//! One step of a promotion, there or back.
//!
//! It is one rename: a thing of the stage and a thing of the tree change places, or one goes where nothing is. What
//! came out is looked at afterwards: if it is not what was expected, they change places again, so what somebody wrote
//! meanwhile is never lost.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, Stat, openat, renameat_with, statat};
use rustix::io::Errno;
use shieldrun_policy::plan::Bytes;

use super::Conflict;
use super::apply::Stopped;
use super::journal::{Properties, Step, What};
use super::stage::{self, Stage};
use crate::beneath::Tree;
use crate::closed::is_directory;

/// Whether steps may have been done already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    /// None was: nobody has to look first.
    First,
    /// After one that was cut off, nobody knows where.
    Again,
}

/// A step, and both places that it is about.
pub(super) struct At<'a, 'tree> {
    target: &'a mut Tree<'tree>,
    stage: &'a Stage,
    /// Of the staged thing.
    name: String,
    step: &'a Step,
}

impl<'a, 'tree> At<'a, 'tree> {
    pub(super) fn new(target: &'a mut Tree<'tree>, stage: &'a Stage, number: usize, step: &'a Step) -> Self {
        Self { target, stage, name: stage::name(number), step }
    }

    /// Does it, if it was not done.
    pub(super) fn go(mut self, go: Go) -> Result<(), Stopped> {
        let step = self.step;
        match &step.what {
            What::Put { inode } => {
                // Not under this name any more: it is where it belongs, and what was there may be here.
                if go == Go::Again && self.staged()?.is_none_or(|staged| staged.st_ino != *inode) {
                    return Ok(());
                }
                let Some(expected) = &step.expected else {
                    return self.place(RenameFlags::NOREPLACE);
                };
                match self.there()? {
                    // Not by the time of change: of a file with two names that changes when the first goes.
                    Some(there) if expected.is_moved(&there) => {
                        self.place(RenameFlags::EXCHANGE)?;
                        self.came_out_right(RenameFlags::EXCHANGE)
                    }
                    Some(_) => Err(self.conflict("it was changed on the host meanwhile")),
                    None => Err(self.conflict("it was removed on the host meanwhile")),
                }
            }
            What::Remove => {
                if go == Go::Again && self.staged()?.is_some() {
                    return Ok(());
                }
                match (&step.expected, self.there()?) {
                    (Some(expected), Some(there)) if expected.is_moved(&there) => {
                        self.take_out()?;
                        self.came_out_right(RenameFlags::NOREPLACE)
                    }
                    (_, Some(_)) => Err(self.conflict("it was changed on the host meanwhile")),
                    (_, None) => Err(self.conflict("it was removed on the host meanwhile")),
                }
            }
            What::Set { before, after } => {
                let there = self.there()?;
                match there.filter(|there| self.is_expected(there)) {
                    Some(_) => self.set(before, after),
                    None => Err(self.conflict("it was replaced on the host meanwhile")),
                }
            }
        }
    }

    /// Takes it back, if it was done.
    pub(super) fn back(mut self) -> Result<(), Stopped> {
        let step = self.step;
        match &step.what {
            What::Put { inode } => {
                let staged = self.staged()?;
                if staged.as_ref().is_some_and(|staged| staged.st_ino == *inode) {
                    return Ok(());
                }
                if self.there()?.is_none_or(|there| there.st_ino != *inode) {
                    // Somebody took ours away meanwhile: theirs is the last word, and the old one stays staged.
                    return Ok(());
                }
                match staged {
                    Some(_) => self.put_in(RenameFlags::EXCHANGE)?.map_err(|errno| self.fail(errno)),
                    None => self.take_out(),
                }
            }
            What::Remove => match self.staged()? {
                None => Ok(()),
                Some(_) => match self.put_in(RenameFlags::NOREPLACE)? {
                    // Somebody made one there meanwhile: the old one is not put over it.
                    Ok(()) | Err(Errno::EXIST) => Ok(()),
                    Err(errno) => Err(self.fail(errno)),
                },
            },
            What::Set { before, after } => {
                let there = self.there()?;
                match there.filter(|there| self.is_expected(there)) {
                    Some(_) => self.set(after, before),
                    None => Ok(()),
                }
            }
        }
    }

    /// What is in the stage under its name.
    fn staged(&self) -> Result<Option<Stat>, Stopped> {
        self.stage.stat_name(&self.name).map_err(|error| failed(self.step, error))
    }

    /// What is in the tree at its path.
    fn there(&mut self) -> Result<Option<Stat>, Stopped> {
        self.target.stat(&self.step.path).map_err(|error| failed(self.step, error))
    }

    fn is_expected(&self, there: &Stat) -> bool {
        self.step.expected.as_ref().is_none_or(|expected| expected.inode == there.st_ino)
    }

    fn set(&mut self, before: &Properties, after: &Properties) -> Result<(), Stopped> {
        let spot = self.target.spot(&self.step.path).map_err(|error| failed(self.step, error))?;
        stage::set(&spot, before, after).map_err(|error| failed(self.step, error))
    }

    /// From the stage into the tree. The inner error is the rename's.
    fn put_in(&mut self, flags: RenameFlags) -> Result<rustix::io::Result<()>, Stopped> {
        let spot = self.target.spot(&self.step.path).map_err(|error| failed(self.step, error))?;
        let (stage, name) = (&self.stage.directory, self.name.as_str());
        Ok(renameat_with(stage, name, spot.directory, spot.name.as_slice(), flags))
    }

    /// From the tree into the stage, where nothing is.
    fn take_out(&mut self) -> Result<(), Stopped> {
        let spot = self.target.spot(&self.step.path).map_err(|error| failed(self.step, error))?;
        let (stage, name) = (&self.stage.directory, self.name.as_str());
        renameat_with(spot.directory, spot.name.as_slice(), stage, name, RenameFlags::NOREPLACE)
            .map_err(|errno| failed(self.step, errno.into()))
    }

    fn place(&mut self, flags: RenameFlags) -> Result<(), Stopped> {
        match self.put_in(flags)? {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(self.conflict("it was made on the host meanwhile")),
            Err(Errno::NOENT) => Err(self.conflict("it was removed on the host meanwhile")),
            Err(errno) => Err(self.fail(errno)),
        }
    }

    /// Looks at what came out of the tree; what is not as expected goes back at once.
    fn came_out_right(&mut self, flags: RenameFlags) -> Result<(), Stopped> {
        let out = self.staged()?;
        let expected = self.step.expected.as_ref();
        let right = out.as_ref().is_some_and(|out| expected.is_some_and(|expected| expected.is_moved(out)));
        let empty = || is_empty(self.stage, &self.name).map_err(|error| failed(self.step, error));
        let why = if !right {
            "it was changed on the host meanwhile"
        } else if out.is_some_and(|out| is_directory(out.st_mode)) && !empty()? {
            "something was put into it on the host meanwhile"
        } else {
            return Ok(());
        };
        self.put_in(flags)?.map_err(|errno| self.fail(errno))?;
        Err(self.conflict(why))
    }

    fn fail(&self, errno: Errno) -> Stopped {
        failed(self.step, errno.into())
    }

    fn conflict(&self, why: &str) -> Stopped {
        Stopped::Conflict(Conflict { path: Bytes(self.step.path.clone()), why: why.to_owned() })
    }
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

pub(super) fn failed(step: &Step, error: io::Error) -> Stopped {
    Stopped::Failed { path: Bytes(step.path.clone()), error }
}
