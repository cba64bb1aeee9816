//! Keeps what was replaced, in the run's record, for an undo.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with};
use rustix::io::Errno;
use shieldrun_policy::plan::Bytes;

use super::apply::{Stopped, Work};
use super::halt;
use super::stage::{self, How, Stage};
use crate::beneath::Tree;

/// Where the things that a promotion replaced are, in the record.
pub(super) fn name(number: u32) -> String {
    format!("replaced-{number}")
}

/// Moves the stage, which by now holds what was in the tree, into the record: as it is where the file system is
/// the same, else as a copy. Twice does no harm.
pub(super) fn put_away(work: &mut Work<'_>) -> Result<(), Stopped> {
    let name = name(work.number);
    let failed = |error: io::Error| Stopped::Failed { path: Bytes(name.clone().into_bytes()), error };
    let path = work.journal.stage.clone();
    let spot = match work.target.spot(&path).and_then(|spot| Ok(spot.stat()?.map(|_| spot))) {
        Ok(Some(spot)) => spot,
        // It was moved before the promotion was cut off.
        Ok(None) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let flags = RenameFlags::NOREPLACE;
    match renameat_with(spot.directory, spot.name.as_slice(), work.record, name.as_str(), flags) {
        Ok(()) => {
            halt::point();
            return Ok(());
        }
        // Another file system, or a copy that was begun.
        Err(Errno::XDEV | Errno::EXIST | Errno::NOTEMPTY) => {}
        Err(errno) => return Err(failed(errno.into())),
    }
    let stage = work.stage()?;
    copy(&stage, work, &name).map_err(failed)
}

fn copy(stage: &Stage, work: &Work<'_>, name: &str) -> io::Result<()> {
    match mkdirat(work.record, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let kept = openat(work.record, name, flags, Mode::empty())?;
    stage::make_directories(kept.as_fd(), work.journal.steps.len())?;
    let mut from = Tree::new(stage.directory.as_fd());
    for number in 0..work.journal.steps.len() {
        let Some(stat) = stage.stat(number)? else { continue };
        let own = stage::name(number);
        // One that was begun is begun again.
        stage::remove(kept.as_fd(), own.as_bytes())?;
        let spot = from.spot(own.as_bytes())?;
        stage::copy(&spot, &stat, How::default(), kept.as_fd(), own.as_bytes())?;
        halt::point();
    }
    Ok(())
}

/// The things that a promotion replaced.
pub(super) fn open(record: std::os::fd::BorrowedFd<'_>, number: u32) -> io::Result<Stage> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Stage { directory: openat(record, name(number), flags, Mode::empty())? })
}
