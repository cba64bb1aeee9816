//! Decisions over what a run left waiting: who, when, over which changes; and what follows from them.
//!
//! A decision is over the changes with one digest. Before anything is promoted the record is checked against it,
//! and each file of the layer against its own: what goes is what was seen.

mod decide;
mod hunks;
mod part;
mod screen;
mod show;
mod threeway;
mod writers;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde_json::Value as Json;
use shieldrun_policy::changes::{Change, ChangeSet};
use shieldrun_policy::verdict::{Answer, Decision, Verdict, VerdictRecord};

use crate::failure::Failure;
use crate::layers::UPPER;
use crate::promote::{Destination, Form};
use crate::record::{CHANGES, Late, RunRecord, VERDICT};

pub(crate) use decide::{Decided, Request, approve, reject, take_back};
pub(crate) use screen::{Marks, Review};
pub(crate) use show::{screen, show};

/// A run with changes, its record locked.
pub(crate) struct Waiting {
    late: Late,
    run: RunRecord,
    verdict: VerdictRecord,
    set: ChangeSet,
    target: std::os::fd::OwnedFd,
    target_path: PathBuf,
}

/// How a file of a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The gate let it through, or a person did.
    Goes,
    /// It waits.
    Waits,
    /// The gate refused it, or a person did.
    Stays,
}

impl Waiting {
    /// Opens what a run left, and checks that it is what its verdict is about.
    fn open(late: Late) -> Result<Self, Failure> {
        let run = late.run()?;
        let verdict: VerdictRecord = late.read(VERDICT)?;
        let lines: Vec<Json> = late.read_lines(CHANGES)?;
        let set = ChangeSet::from_lines(lines).filter(|set| set.digest() == verdict.changes_digest);
        let set =
            set.ok_or_else(|| Failure::plain("the record of the changes is not the one that was judged"))?;
        let target_path = PathBuf::from(&run.workspace);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(CWD, &target_path, flags, Mode::empty()).map_err(|errno| {
            Failure::doing(
                format!("cannot open the workspace `{}`", run.workspace),
                std::io::Error::from(errno),
            )
        })?;
        Ok(Self { late, run, verdict, set, target, target_path })
    }

    fn destination(&self) -> Destination<'_> {
        use std::os::fd::AsFd;
        Destination {
            run_id: self.late.id(),
            record: self.late.as_fd(),
            record_path: self.late.path(),
            target: self.target.as_fd(),
            target_path: &self.target_path,
            form: Form::Tree,
        }
    }

    fn upper(&self) -> Result<std::os::fd::OwnedFd, Failure> {
        self.beneath(UPPER)
    }

    fn beneath(&self, name: &str) -> Result<std::os::fd::OwnedFd, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(self.late.as_fd(), name, flags, Mode::empty())
            .map_err(|errno| Failure::doing("cannot open what the run wrote", std::io::Error::from(errno)))
    }
}

/// How each file stands, the last decision over it counting.
pub(crate) fn standing(verdict: &VerdictRecord, file: &str) -> Standing {
    let decided =
        verdict.decisions.iter().rev().find(|decision| decision.files.iter().any(|own| own == file));
    if decided.is_some_and(Decision::is_part) {
        // The part went; the rest of it does not.
        return Standing::Stays;
    }
    match decided.map(|decision| decision.decision) {
        Some(Answer::Approve) => Standing::Goes,
        Some(Answer::Reject) => Standing::Stays,
        None if verdict.accepted.iter().any(|own| own == file) => Standing::Goes,
        None if verdict.held.iter().any(|own| own == file) => Standing::Waits,
        None => Standing::Stays,
    }
}

/// The same for all, fast.
pub(crate) fn standings(verdict: &VerdictRecord) -> impl Fn(&Change) -> Standing {
    let names = |files: &[String]| files.iter().cloned().collect::<HashSet<String>>();
    let (mut goes, mut waits) = (names(&verdict.accepted), names(&verdict.held));
    for decision in &verdict.decisions {
        for file in &decision.files {
            waits.remove(file);
            match decision.decision {
                Answer::Approve if !decision.is_part() => drop(goes.insert(file.clone())),
                Answer::Approve | Answer::Reject => drop(goes.remove(file)),
            }
        }
    }
    move |change| {
        let file = change.path.to_string();
        if waits.contains(&file) {
            Standing::Waits
            // Directories go with what is in them.
        } else if change.is_directory() || goes.contains(&file) {
            Standing::Goes
        } else {
            Standing::Stays
        }
    }
}

/// One word for what the whole comes to.
pub(crate) fn verdict_now(verdict: &VerdictRecord) -> Verdict {
    let waits = verdict.held.iter().any(|file| standing(verdict, file) == Standing::Waits);
    match verdict.verdict {
        Verdict::Hold if !waits => Verdict::Accept,
        other => other,
    }
}

/// Whether two paths are one file's.
pub(crate) fn is_named(change: &Change, wanted: &str) -> bool {
    change.path.to_string() == wanted
        || Path::new(wanted).strip_prefix("./").is_ok_and(|path| path == change.as_path())
}
