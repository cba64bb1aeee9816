//! Fills the stage: everything that goes into the tree is made there first, on all processors where it is much.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{AtFlags, FileType, Stat, linkat};
use rustix::io::Errno;
use shieldrun_policy::plan::Bytes;

use super::PromoteError;
use super::apply::Work;
use super::halt;
use super::journal::{Attribute, What};
use super::plan::Planned;
use super::stage::{self, How, Stage};
use crate::beneath::{Spot, Tree};
use crate::changes::digest_of;
use crate::closed::{self, while_readable};
use crate::parallel;

/// Fewer things are made faster than another thread.
const FEW: usize = 256;
/// A thread takes so many neighbours at once: they lie in the same directories.
const UNIT: usize = 64;

/// What became of a step's thing.
enum Staged {
    Made {
        inode: u64,
    },
    /// A file of several names, which stay names of one file.
    Named(Stat),
    Attributes(Vec<Attribute>),
}

/// Makes everything that goes into the tree. The layer is the run's, and the run is over: what it closed is opened to be
/// read, and closed again.
pub(super) fn stage_all(
    stage: &Stage,
    planned: &[Planned],
    sources: BorrowedFd<'_>,
    work: &mut Work<'_>,
) -> Result<(), PromoteError> {
    let mut tree = Tree::new(sources);
    let from = planned.iter().filter_map(|planned| planned.source.as_deref());
    let failed = |source: io::Error| PromoteError::Stage { path: Bytes(b".".to_vec()), source };
    let opened = closed::open_all(&mut tree, &closed::leading_to(from), |_| Ok(())).map_err(failed)?;
    let staged = on_all(stage, planned, sources)
        .and_then(|staged| note(staged.into_iter().flatten(), stage, planned, &mut tree, work));
    closed::close_all(&mut tree, opened).map_err(failed)?;
    staged
}

type Part = Vec<(usize, Staged)>;

fn on_all(stage: &Stage, planned: &[Planned], sources: BorrowedFd<'_>) -> Result<Vec<Part>, PromoteError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let take = || {
        let mut tree = Tree::new(sources);
        let mut made = Part::new();
        while !stop.load(Ordering::Relaxed) {
            let first = next.fetch_add(UNIT, Ordering::Relaxed);
            let numbers = first..planned.len().min(first.saturating_add(UNIT));
            if numbers.is_empty() {
                break;
            }
            for number in numbers {
                let Some(planned) = planned.get(number) else { break };
                match one(stage, number, planned, &mut tree) {
                    Ok(Some(staged)) => made.push((number, staged)),
                    Ok(None) => {}
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        }
        Ok(made)
    };
    parallel::on_all(planned.len() >= FEW, take).into_iter().collect()
}

/// Writes into the journal what was made, and makes further names of one file.
fn note(
    staged: impl Iterator<Item = (usize, Staged)>,
    stage: &Stage,
    planned: &[Planned],
    sources: &mut Tree<'_>,
    work: &mut Work<'_>,
) -> Result<(), PromoteError> {
    let mut first_names: HashMap<(u64, u64), usize> = HashMap::new();
    for (number, staged) in staged {
        let (Some(planned), Some(step)) = (planned.get(number), work.journal.steps.get_mut(number)) else {
            continue;
        };
        match staged {
            Staged::Made { inode } => step.what = What::Put { inode },
            Staged::Attributes(attributes) => {
                if let What::Set { after, .. } = &mut step.what {
                    after.attributes = attributes;
                }
            }
            Staged::Named(stat) => {
                let first = *first_names.entry((stat.st_dev, stat.st_ino)).or_insert(number);
                let inode = if first == number {
                    make(stage, number, planned, &source(planned, sources)?, &stat)?
                } else {
                    name_again(stage, first, number).map_err(|error| failed(planned, error))?
                };
                step.what = What::Put { inode };
                halt::point();
            }
        }
    }
    Ok(())
}

fn one(
    stage: &Stage,
    number: usize,
    planned: &Planned,
    sources: &mut Tree<'_>,
) -> Result<Option<Staged>, PromoteError> {
    if planned.source.is_none() {
        return Ok(None);
    }
    let fail = |error: io::Error| failed(planned, error);
    let spot = source(planned, sources)?;
    let stat = spot.stat().map_err(fail)?.ok_or_else(|| fail(Errno::NOENT.into()))?;
    if planned.step.is_set() {
        let properties = while_readable(&spot, &stat, || stage::properties(&spot, &stat)).map_err(fail)?;
        return Ok(Some(Staged::Attributes(properties.attributes)));
    }
    if stat.st_nlink > 1 && is_file(&stat) {
        return Ok(Some(Staged::Named(stat)));
    }
    let inode = make(stage, number, planned, &spot, &stat)?;
    halt::point();
    Ok(Some(Staged::Made { inode }))
}

fn source<'tree>(planned: &Planned, sources: &'tree mut Tree<'_>) -> Result<Spot<'tree>, PromoteError> {
    let path = planned.source.as_deref().unwrap_or_default();
    sources.spot(path).map_err(|error| failed(planned, error))
}

/// Makes one, and sees that a file is what was judged.
fn make(
    stage: &Stage,
    number: usize,
    planned: &Planned,
    spot: &Spot<'_>,
    stat: &Stat,
) -> Result<u64, PromoteError> {
    let fail = |error: io::Error| failed(planned, error);
    let wanted = planned.digest.filter(|_| is_file(stat));
    let how = How { mode: planned.mode, hashed: wanted.is_some() };
    let name = stage::name(number);
    let made = stage::copy(spot, stat, how, stage.directory.as_fd(), name.as_bytes()).map_err(fail)?;
    if let Some(wanted) = wanted {
        let own = match made.digest {
            Some(digest) => digest,
            None => stage.file(number).and_then(digest_of).map_err(fail)?,
        };
        if own != wanted {
            return Err(PromoteError::Another(Bytes(planned.step.path.clone())));
        }
    }
    Ok(made.inode)
}

fn name_again(stage: &Stage, first: usize, number: usize) -> io::Result<u64> {
    linkat(&stage.directory, stage::name(first), &stage.directory, stage::name(number), AtFlags::empty())?;
    Ok(stage.stat(number)?.ok_or(Errno::NOENT)?.st_ino)
}

fn failed(planned: &Planned, source: io::Error) -> PromoteError {
    PromoteError::Stage { path: Bytes(planned.step.path.clone()), source }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}
