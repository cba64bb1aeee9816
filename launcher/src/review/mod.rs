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

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde_json::Value as Json;
use shieldrun_policy::changes::{Change, ChangeSet};
use shieldrun_policy::verdict::{Answer, Verdict, VerdictRecord};

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
pub(crate) struct Standings<'a>(HashMap<&'a str, Standing>);

impl<'a> Standings<'a> {
    pub(crate) fn new(verdict: &'a VerdictRecord) -> Self {
        let held = verdict.held.iter().map(|file| (file.as_str(), Standing::Waits));
        let accepted = verdict.accepted.iter().map(|file| (file.as_str(), Standing::Goes));
        let mut stands: HashMap<&str, Standing> = held.chain(accepted).collect();
        for decision in &verdict.decisions {
            let standing = match decision.decision {
                Answer::Approve if !decision.is_part() => Standing::Goes,
                // Of a part that went the rest does not.
                Answer::Approve | Answer::Reject => Standing::Stays,
            };
            stands.extend(decision.files.iter().map(|file| (file.as_str(), standing)));
        }
        Self(stands)
    }

    /// A file, as the record writes its name.
    pub(crate) fn of(&self, file: &str) -> Standing {
        self.0.get(file).copied().unwrap_or(Standing::Stays)
    }

    /// A change; directories go with what is in them.
    pub(crate) fn of_change(&self, change: &Change) -> Standing {
        match self.of(&change.path.to_string()) {
            Standing::Stays if change.is_directory() => Standing::Goes,
            standing => standing,
        }
    }
}

/// One word for what the whole comes to.
pub(crate) fn verdict_now(verdict: &VerdictRecord) -> Verdict {
    let stands = Standings::new(verdict);
    let waits = verdict.held.iter().any(|file| stands.of(file) == Standing::Waits);
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
