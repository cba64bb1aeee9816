//! One step of a promotion, there or back.
//!
//! It is one rename: a thing of the stage and a thing of the tree change places, or one goes where nothing is. What
//! came out is looked at afterwards: if it is not what was expected, they change places again, so what somebody wrote
//! meanwhile is never lost.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, openat, renameat_with, statat};
use rustix::io::Errno;
use shieldrun_policy::plan::Bytes;

use super::Conflict;
use super::apply::Stopped;
use super::journal::{Step, What};
use super::stage::{self, Stage};
use crate::beneath::Tree;
use crate::closed::is_directory;

/// Does a step, if it was not done.
pub(super) fn do_step(
    target: &mut Tree<'_>,
    stage: &Stage,
    number: usize,
    step: &Step,
) -> Result<(), Stopped> {
    let fail = |error: io::Error| failed(step, error);
    let name = stage::name(number);
    let staged = stage.stat(number).map_err(fail)?;
    match &step.what {
        What::Put { inode } => {
            // Not under this name any more: it is where it belongs, and what was there may be here.
            if staged.as_ref().is_none_or(|staged| staged.st_ino != *inode) {
                return Ok(());
            }
            let Some(expected) = &step.expected else {
                return place(target, stage, &name, step, RenameFlags::NOREPLACE);
            };
            match target.stat(&step.path).map_err(fail)? {
                // Not by the time of change: of a file with two names that changes when the first goes.
                Some(there) if expected.is_moved(&there) => {
                    place(target, stage, &name, step, RenameFlags::EXCHANGE)?;
                    came_out_right(target, stage, number, step, RenameFlags::EXCHANGE)
                }
                Some(_) => Err(conflict(step, "it was changed on the host meanwhile")),
                None => Err(conflict(step, "it was removed on the host meanwhile")),
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
pub(super) fn undo_step(
    target: &mut Tree<'_>,
    stage: &Stage,
    number: usize,
    step: &Step,
) -> Result<(), Stopped> {
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

fn conflict(step: &Step, why: &str) -> Stopped {
    Stopped::Conflict(Conflict { path: Bytes(step.path.clone()), why: why.to_owned() })
}
