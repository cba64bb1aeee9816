//! Approve, reject, undo: the decision is written down first, then done.

use std::os::fd::AsFd;
use std::time::SystemTime;

use shieldrun_policy::audit::{Action, Event, Provider};
use shieldrun_policy::changes::{COMMITS, Change};
use shieldrun_policy::plan::Bytes;
use shieldrun_policy::verdict::{Answer, Decision, Verdict};

use super::{Standing, Waiting, is_named, standing, standings, verdict_now};
use crate::commits::{self, Repository};
use crate::failure::Failure;
use crate::layers::UPPER;
use crate::promote::{self, Conflict, Receipt};
use crate::record::{Late, VERDICT, time};
use crate::say;
use crate::trial::began;

/// What a person wants.
pub(crate) struct Request {
    /// None for all that waits.
    pub(crate) files: Vec<String>,
    pub(crate) comment: Option<String>,
}

/// What came of it.
pub(crate) struct Decided {
    /// Over which files.
    pub(crate) files: Vec<String>,
    pub(crate) promoted: Vec<String>,
    pub(crate) conflicts: Vec<Conflict>,
    /// Files that still wait.
    pub(crate) waiting: usize,
}

/// Lets files through, and promotes all that may go by now.
///
/// # Errors
/// When a file is none of the run's, was refused, or cannot be promoted.
pub(crate) fn approve(late: Late, request: &Request) -> Result<Decided, Failure> {
    let mut waiting = Waiting::open(late)?;
    let mut files = waiting.named(request)?;
    let refused = waiting.verdict.verdict == Verdict::Refuse;
    let partial = waiting.run.policy.get("partial").and_then(serde_json::Value::as_bool) == Some(true);
    if refused && !partial && request.files.is_empty() {
        return Err(Failure::plain(
            "the policy refused some files of this run, so nothing of it goes by itself",
        )
        .with_hint("name the files that may go: `shieldrun approve RUN FILE…`"));
    }
    let is_refused = |file: &String| waiting.verdict.refused.contains(file);
    if let Some(file) = files.iter().find(|file| is_refused(file)) {
        return Err(Failure::plain(format!("`{file}` was refused by the policy and cannot be approved"))
            .with_hint("the reasons: `shieldrun review RUN`"));
    }
    // A decision over what goes anyway is none.
    files.retain(|file| standing(&waiting.verdict, file) != Standing::Goes || (refused && !partial));
    if !files.is_empty() {
        waiting.decide(Answer::Approve, files.clone(), request)?;
    }
    let only = (refused && !partial).then_some(files.as_slice());
    let receipt = waiting.promote(only)?;
    waiting.conclude(&receipt, files)
}

/// Leaves files in the run, for good; what else may go by now goes.
///
/// # Errors
/// When a file is none of the run's.
pub(crate) fn reject(late: Late, request: &Request) -> Result<Decided, Failure> {
    let mut waiting = Waiting::open(late)?;
    let files = waiting.named(request)?;
    if !files.is_empty() {
        waiting.decide(Answer::Reject, files.clone(), request)?;
    }
    let receipt = if waiting.verdict.verdict == Verdict::Refuse {
        Receipt::default()
    } else {
        waiting.promote(None)?
    };
    waiting.conclude(&receipt, files)
}

/// Takes back what was promoted of a run.
///
/// # Errors
/// When the tree cannot be changed.
pub(crate) fn take_back(late: Late) -> Result<Decided, Failure> {
    let waiting = Waiting::open(late)?;
    let (upper, layer) = (waiting.upper()?, waiting.late.path().join(UPPER));
    commits::check_back(&waiting.repository(&upper, &layer)).map_err(|error| Failure::new(error, None))?;
    let mut receipt = promote::undo(&waiting.destination()).map_err(|error| Failure::new(error, None))?;
    if receipt.conflicts.is_empty()
        && commits::take_back(&waiting.repository(&upper, &layer))
            .map_err(|error| Failure::new(error, None))?
    {
        receipt.promoted.push(Bytes(COMMITS.as_bytes().to_vec()));
    }
    let mut events = waiting.conflict_events(&receipt);
    if !receipt.promoted.is_empty() {
        events.push(waiting.event(Action::Undone).message(format!("{} paths", receipt.promoted.len())));
    }
    let files: Vec<String> = receipt.promoted.iter().map(ToString::to_string).collect();
    waiting.late.add(&events, |run| {
        if let Some(result) = run.result.as_mut().filter(|_| !files.is_empty()) {
            result.promoted.clear();
        }
    })?;
    Ok(Decided { files, promoted: Vec::new(), conflicts: receipt.conflicts, waiting: 0 })
}

impl Waiting {
    /// The files that are meant, as the record writes them.
    fn named(&self, request: &Request) -> Result<Vec<String>, Failure> {
        if request.files.is_empty() {
            let waits = |file: &&String| standing(&self.verdict, file) == Standing::Waits;
            return Ok(self.verdict.held.iter().filter(waits).cloned().collect());
        }
        let find = |wanted: &String| {
            if wanted == COMMITS && self.set.commits.is_some() {
                return Ok(COMMITS.to_owned());
            }
            let files = self.set.changes.iter().filter(|change| !change.is_directory());
            let mut found = files.filter(|change| is_named(change, wanted));
            found.next().map(|change| change.path.to_string()).ok_or_else(|| {
                Failure::plain(format!("`{wanted}` is none of the files that the run changed"))
                    .with_hint("see `shieldrun review RUN`; paths are relative to the workspace")
            })
        };
        request.files.iter().map(find).collect()
    }

    fn decide(&mut self, decision: Answer, files: Vec<String>, request: &Request) -> Result<(), Failure> {
        let word = match decision {
            Answer::Approve => "approve",
            Answer::Reject => "reject",
        };
        let by = who();
        let events: Vec<Event> = files
            .iter()
            .map(|file| {
                let comment = request.comment.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
                self.event(Action::ReviewDecided)
                    .file(format!("{}/{file}", self.run.workspace))
                    .message(format!("{word}{comment}"))
            })
            .collect();
        self.verdict.decisions.push(Decision {
            by,
            at: time(SystemTime::now()),
            decision,
            files,
            comment: request.comment.clone(),
            changes_digest: self.verdict.changes_digest.clone(),
        });
        // On record before it is done, and never done without being on record.
        self.late.add(&events, |_| ())?;
        self.late.write(VERDICT, &self.verdict)?;
        Ok(())
    }

    fn repository<'a>(
        &'a self,
        upper: &'a std::os::fd::OwnedFd,
        layer: &'a std::path::Path,
    ) -> Repository<'a> {
        Repository {
            lower: self.target.as_fd(),
            upper: upper.as_fd(),
            workspace: &self.target_path,
            layer,
            record: self.late.path(),
            run_id: self.late.id(),
        }
    }

    fn promote(&self, only: Option<&[String]>) -> Result<Receipt, Failure> {
        let already = promote::promoted(self.late.as_fd())
            .map_err(|error| Failure::doing("cannot read what was promoted before", error))?;
        let stands = standings(&self.verdict);
        let goes = |change: &Change| {
            stands(change) == Standing::Goes
                && only.is_none_or(|only| change.is_directory() || only.contains(&change.path.to_string()))
        };
        let selected = promote::select(&self.set, |_, change| goes(change));
        let selected: Vec<&Change> =
            selected.into_iter().filter(|change| !already.contains(&change.path.0)).collect();
        let upper = self.upper()?;
        let since = began(&self.run.started_at);
        let mut receipt = promote::promote_checked(&self.destination(), upper.as_fd(), &selected, since)
            .map_err(|error| Failure::new(error, Some("what the run wrote is kept in its record")))?;
        let may_go = standing(&self.verdict, COMMITS) == Standing::Goes
            && only.is_none_or(|only| only.iter().any(|own| own == COMMITS))
            && receipt.conflicts.is_empty();
        if let Some(commits) = self.set.commits.as_ref().filter(|_| may_go) {
            let layer = self.late.path().join(UPPER);
            let carried = commits::carry(&self.repository(&upper, &layer), commits, since);
            if !carried.map_err(|error| Failure::new(error, None))? {
                say::warning("you staged something meanwhile: your index is as you left it");
            }
            receipt.promoted.push(Bytes(COMMITS.as_bytes().to_vec()));
        }
        Ok(receipt)
    }

    fn conclude(&self, receipt: &Receipt, files: Vec<String>) -> Result<Decided, Failure> {
        let mut events = self.conflict_events(receipt);
        let promoted: Vec<String> = receipt.promoted.iter().map(ToString::to_string).collect();
        if !promoted.is_empty() {
            events
                .push(self.event(Action::Promoted).message(format!("{} of the run's files", promoted.len())));
        }
        let held: Vec<String> = self
            .verdict
            .held
            .iter()
            .filter(|file| standing(&self.verdict, file) == Standing::Waits)
            .cloned()
            .collect();
        let waiting = held.len();
        self.late.add(&events, |run| {
            if let Some(result) = &mut run.result {
                result.verdict = Some(verdict_now(&self.verdict));
                result.held = held;
                result.promoted.extend(promoted.iter().cloned());
                result.promoted.sort();
                result.promoted.dedup();
            }
        })?;
        Ok(Decided { files, promoted, conflicts: receipt.conflicts.clone(), waiting })
    }

    fn conflict_events(&self, receipt: &Receipt) -> Vec<Event> {
        let one = |conflict: &Conflict| {
            self.event(Action::PromotionConflict)
                .file(format!("{}/{}", self.run.workspace, conflict.path))
                .message(conflict.why.as_str())
        };
        receipt.conflicts.iter().map(one).collect()
    }

    fn event(&self, action: Action) -> Event {
        Event::new(SystemTime::now(), action, Provider::Review)
            .user(who())
            .changes_digest(self.verdict.changes_digest.as_str())
    }
}

/// `user@host`, as far as the environment tells.
fn who() -> String {
    let user =
        ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname();
    format!("{user}@{}", host.nodename().to_string_lossy())
}
