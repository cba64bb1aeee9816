//! Approve, reject, undo: the decision is written down first, then done.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::time::SystemTime;

use shieldrun_policy::audit::{Action, Event, Provider};
use shieldrun_policy::changes::{COMMITS, Change};
use shieldrun_policy::plan::Bytes;
use shieldrun_policy::verdict::{Answer, Decision, PromoteTo, Verdict};

use super::{Standing, Standings, Waiting, is_named, part, verdict_now};
use crate::commits::{self, Repository};
use crate::deliver::{self, Delivered, Goods, PlaceArguments};
use crate::failure::Failure;
use crate::layers::UPPER;
use crate::promote::{self, Conflict, Freshness};
use crate::record::{Late, VERDICT, time};
use crate::say;
use crate::trial::began;

/// What a person wants.
#[derive(Default)]
pub(crate) struct Request {
    /// None for all that waits.
    pub(crate) files: Vec<String>,
    pub(crate) comment: Option<String>,
    /// Hunks of the one file, from 1; empty for all.
    pub(crate) hunks: Vec<usize>,
    /// Where what may go goes, if it was said; else where the run was told to.
    pub(crate) place: PlaceArguments,
}

/// What came of it.
pub(crate) struct Decided {
    /// Over which files.
    pub(crate) files: Vec<String>,
    pub(crate) promoted: Vec<String>,
    pub(crate) conflicts: Vec<Conflict>,
    /// Where it went, if not to the workspace.
    pub(crate) place: Option<PromoteTo>,
    /// What cannot go there.
    pub(crate) left: Vec<(Bytes, &'static str)>,
    /// Files that still wait.
    pub(crate) waiting: usize,
}

/// Lets files through, and promotes all that may go by now.
///
/// # Errors
/// When a file is none of the run's, was refused, or cannot be promoted.
pub(crate) fn approve(late: Late, request: &Request) -> Result<Decided, Failure> {
    let mut waiting = Waiting::open(late)?;
    let place = waiting.place(request)?;
    let mut files = waiting.named(request)?;
    let refused = waiting.verdict.verdict == Verdict::Refuse;
    let partial = waiting.run.policy.get("partial").and_then(serde_json::Value::as_bool) == Some(true);
    if refused && !partial && request.files.is_empty() {
        return Err(Failure::plain(
            "the policy refused some files of this run, so nothing of it goes by itself",
        )
        .with_hint("name the files that may go: `shieldrun approve RUN FILE…`"));
    }
    let all_refused: HashSet<&String> = waiting.verdict.refused.iter().collect();
    if let Some(file) = files.iter().find(|file| all_refused.contains(file)) {
        return Err(Failure::plain(format!("`{file}` was refused by the policy and cannot be approved"))
            .with_hint("the reasons: `shieldrun review RUN`"));
    }
    if !request.hunks.is_empty() {
        return approve_part(waiting, &files, request, place);
    }
    // A decision over what goes anyway is none.
    let stands = Standings::new(&waiting.verdict);
    files.retain(|file| stands.of(file) != Standing::Goes || (refused && !partial));
    if !files.is_empty() {
        waiting.decide(Answer::Approve, files.clone(), request)?;
    }
    let only = (refused && !partial).then_some(files.as_slice());
    let delivered = waiting.promote(only, place.as_ref())?;
    waiting.conclude(delivered, files, place)
}

/// Lets some hunks of one file through; the rest of it stays in the run.
fn approve_part(
    mut waiting: Waiting,
    files: &[String],
    request: &Request,
    place: Option<PromoteTo>,
) -> Result<Decided, Failure> {
    let [file] = files else {
        return Err(Failure::plain("`--hunks` is about one file, and needs its name"));
    };
    if Standings::new(&waiting.verdict).of(file) == Standing::Stays {
        return Err(Failure::plain(format!("`{file}` was decided on already")));
    }
    let change = waiting.set.changes.iter().find(|change| change.path.to_string() == *file);
    let change = change.ok_or_else(|| Failure::plain("commits have no hunks: they go as a whole"))?;
    let change = part::make(&waiting, change, &request.hunks)?;
    waiting.decide(Answer::Approve, vec![file.clone()], request)?;
    let layer = waiting.late.path().join(part::PART);
    let made = waiting.beneath(part::PART)?;
    let delivered = waiting.goods(&made, &layer).deliver(place.as_ref(), &[&change], None)?;
    waiting.conclude(delivered, vec![file.clone()], place)
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
    let place = waiting.run.promote_to.clone();
    let delivered = if waiting.verdict.verdict == Verdict::Refuse {
        Delivered::default()
    } else {
        waiting.promote(None, place.as_ref())?
    };
    waiting.conclude(delivered, files, place)
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
    if receipt.conflicts.is_empty()
        && let Some(name) = commits::branch_back(&waiting.repository(&upper, &layer))
            .map_err(|error| Failure::new(error, None))?
    {
        receipt.promoted.push(Bytes(format!("the branch {name}").into_bytes()));
    }
    let mut events = waiting.conflict_events(&receipt.conflicts);
    if !receipt.promoted.is_empty() {
        events.push(waiting.event(Action::Undone).message(format!("{} paths", receipt.promoted.len())));
    }
    let files: Vec<String> = receipt.promoted.iter().map(ToString::to_string).collect();
    waiting.late.add(&events, |run| {
        if let Some(result) = run.result.as_mut().filter(|_| !files.is_empty()) {
            result.promoted.clear();
            result.promoted_to = None;
        }
    })?;
    let conflicts = receipt.conflicts;
    Ok(Decided { files, promoted: Vec::new(), conflicts, place: None, left: Vec::new(), waiting: 0 })
}

impl Waiting {
    /// The files that are meant, as the record writes them.
    fn named(&self, request: &Request) -> Result<Vec<String>, Failure> {
        if request.files.is_empty() {
            let stands = Standings::new(&self.verdict);
            let waits = |file: &&String| stands.of(file) == Standing::Waits;
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
        let numbers: Vec<String> = request.hunks.iter().map(usize::to_string).collect();
        let part = if numbers.is_empty() { String::new() } else { format!(" hunks {}", numbers.join(", ")) };
        let by = who();
        let comment = request.comment.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
        let decided = self.event(Action::ReviewDecided).message(format!("{word}{part}{comment}"));
        let of_file = |file: &String| decided.clone().file(format!("{}/{file}", self.run.workspace));
        let events: Vec<Event> = files.iter().map(of_file).collect();
        self.verdict.decisions.push(Decision {
            by,
            at: time(SystemTime::now()),
            decision,
            files,
            hunks: request.hunks.clone(),
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

    /// Where what may go goes.
    fn place(&self, request: &Request) -> Result<Option<PromoteTo>, Failure> {
        if request.place.is_named() {
            return request.place.resolve(&self.target_path, self.late.path());
        }
        Ok(self.run.promote_to.clone())
    }

    fn goods<'a>(&'a self, upper: &'a std::os::fd::OwnedFd, layer: &'a std::path::Path) -> Goods<'a> {
        Goods {
            run_id: self.late.id(),
            record: self.late.as_fd(),
            record_path: self.late.path(),
            workspace: self.target.as_fd(),
            workspace_path: &self.target_path,
            upper: upper.as_fd(),
            layer,
            since: began(&self.run.started_at),
            base: self.run.promote_base.as_deref(),
            freshness: Freshness::Earlier,
            command: &self.run.command,
        }
    }

    fn promote(&self, only: Option<&[String]>, place: Option<&PromoteTo>) -> Result<Delivered, Failure> {
        let stands = Standings::new(&self.verdict);
        let only: Option<HashSet<&str>> = only.map(|only| only.iter().map(String::as_str).collect());
        let is_meant = |file: &str| only.as_ref().is_none_or(|only| only.contains(file));
        let goes = |change: &Change| {
            stands.of_change(change) == Standing::Goes
                && (change.is_directory() || is_meant(&change.path.to_string()))
        };
        let going = promote::select(&self.set, |_, change| goes(change));
        let upper = self.upper()?;
        let layer = self.late.path().join(UPPER);
        let goods = self.goods(&upper, &layer);
        let may_go = stands.of(COMMITS) == Standing::Goes && is_meant(COMMITS);
        let mut delivered = goods.deliver(place, &going, self.set.commits.as_ref().filter(|_| may_go))?;
        if let Some(carried) = delivered.commits.take() {
            if !carried.map_err(|error| Failure::new(error, None))? {
                say::warning("you staged something meanwhile: your index is as you left it");
            }
            delivered.receipt.promoted.push(Bytes(COMMITS.as_bytes().to_vec()));
        }
        Ok(delivered)
    }

    fn conclude(
        &self,
        delivered: Delivered,
        files: Vec<String>,
        place: Option<PromoteTo>,
    ) -> Result<Decided, Failure> {
        let Delivered { receipt, left, commit, .. } = delivered;
        let mut events = self.conflict_events(&receipt.conflicts);
        let promoted: Vec<String> = receipt.promoted.iter().map(ToString::to_string).collect();
        if !promoted.is_empty() {
            let to = place.as_ref().map(|place| format!(", to {}", deliver::name(Some(place))));
            let to = to.unwrap_or_default();
            let at = commit.map(|id| format!(" at {id}")).unwrap_or_default();
            let message = format!("{} of the run's files{to}{at}", promoted.len());
            events.push(self.event(Action::Promoted).message(message));
        }
        let stands = Standings::new(&self.verdict);
        let waits = |file: &&String| stands.of(file) == Standing::Waits;
        let held: Vec<String> = self.verdict.held.iter().filter(waits).cloned().collect();
        let waiting = held.len();
        self.late.add(&events, |run| {
            if let Some(result) = &mut run.result {
                result.verdict = Some(verdict_now(&self.verdict));
                result.held = held;
                result.promoted.extend(promoted.iter().cloned());
                result.promoted.sort();
                result.promoted.dedup();
                if !promoted.is_empty() {
                    result.promoted_to.clone_from(&place);
                }
            }
        })?;
        Ok(Decided { files, promoted, conflicts: receipt.conflicts, place, left, waiting })
    }

    fn conflict_events(&self, conflicts: &[Conflict]) -> Vec<Event> {
        let one = |conflict: &Conflict| {
            self.event(Action::PromotionConflict)
                .file(format!("{}/{}", self.run.workspace, conflict.path))
                .message(conflict.why.as_str())
        };
        conflicts.iter().map(one).collect()
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
