//! Owns what becomes of what a run wrote to its layer: the stages diff, gate and promote of a live run.
//!
//! Whatever fails here, the record is closed all the same, and the layer stays in it: nothing is lost, and
//! nothing is promoted.

use std::collections::HashSet;
use std::io::BufWriter;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Dir, OFlags};
use shieldrun_policy::audit::{Action, Event, Provider, Text, Timestamp};
use shieldrun_policy::changes::ChangeSet;
use shieldrun_policy::exit::ExitCode;
use shieldrun_policy::gate::{self, Judged};
use shieldrun_policy::plan::Bytes;
use shieldrun_policy::schema::Review;
use shieldrun_policy::verdict::{Verdict, VerdictRecord};

use super::{Ended, Recording, Trial};
use crate::changes::{self, Eyes, Sides};
use crate::commits::{self, Repository};
use crate::deliver::{self, Delivered, Goods};
use crate::failure::Failure;
use crate::layers::Layers;
use crate::promote::{self, Conflict, Freshness};
use crate::record::{CHANGES, PATCH, VERDICT};
use crate::say;
use crate::spawn;
use crate::supervise::Exit;

/// What a run changed. None where it wrote to the real tree, or could write nothing.
pub(crate) struct Diffed {
    changes: Result<Option<ChangeSet>, Failure>,
}

/// What the gate said to it.
pub(crate) struct Gated {
    changes: Result<Option<(ChangeSet, VerdictRecord, Judged)>, Failure>,
}

/// What became of it.
#[derive(Default)]
pub(crate) struct Settled {
    pub(super) verdict: Option<VerdictRecord>,
    pub(super) promoted: Vec<String>,
    pub(super) conflicts: Vec<Conflict>,
    /// What the place that it was to go to cannot take.
    pub(super) left: Vec<(Bytes, &'static str)>,
    pub(super) failure: Option<Failure>,
    /// Who should have been told and was not, and why.
    pub(super) untold: Vec<String>,
}

impl Trial<'_> {
    /// Compares the layers, once nothing inside can write any more.
    pub(crate) fn diff(&self, ended: &Ended) -> Diffed {
        Diffed { changes: self.changes(ended) }
    }

    /// Judges what changed.
    pub(crate) fn gate(&self, diffed: Diffed, ended: &Ended, recording: &Recording) -> Gated {
        let judge = |set: ChangeSet| {
            let mut judged = gate::judge(&set, self.policy);
            if let Some(why) = stopped(ended.outcome.exit).filter(|_| self.policy.review != Review::Never) {
                judged.hold_all(why);
            }
            let verdict = judged.record(&set, self.directory.id(), self.policy.digest());
            self.directory.write_json(VERDICT, &verdict)?;
            self.say_verdicts(&verdict, recording);
            Ok((set, verdict, judged))
        };
        Gated { changes: diffed.changes.and_then(|set| set.map(judge).transpose()) }
    }

    /// Lets through what may go.
    pub(crate) fn promote(&self, gated: Gated, ended: &Ended, recording: &Recording) -> Settled {
        let (set, verdict, judged) = match gated.changes {
            Ok(Some(gated)) => gated,
            Ok(None) => return Settled::default(),
            Err(failure) => return Settled { failure: Some(failure), ..Settled::default() },
        };
        let mut settled = Settled { verdict: Some(verdict), ..Settled::default() };
        if judged.verdict == Verdict::Refuse && !self.policy.partial {
            return settled;
        }
        match self.let_through(&set, &judged, ended, recording) {
            Ok(delivered) => {
                settled.promoted = delivered.receipt.promoted.iter().map(Bytes::to_string).collect();
                settled.conflicts = delivered.receipt.conflicts;
                settled.left = delivered.left;
            }
            Err(failure) => settled.failure = Some(failure),
        }
        self.say_promoted(&settled, recording);
        settled
    }

    fn changes(&self, ended: &Ended) -> Result<Option<ChangeSet>, Failure> {
        let Some(layers) = &ended.layers else { return Ok(None) };
        // Dead is not yet gone: until its namespaces are torn down somebody inside may still write.
        spawn::collect(&ended.init);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |error: std::io::Error| Failure::doing("cannot read what the run wrote", error);
        let listed = rustix::fs::openat(&layers.upper, ".", flags, rustix::fs::Mode::empty())
            .and_then(Dir::new)
            .map_err(|errno| failed(errno.into()))?;
        let is_name = |entry: &rustix::io::Result<rustix::fs::DirEntry>| {
            entry.as_ref().map_or(true, |entry| !matches!(entry.file_name().to_bytes(), b"." | b".."))
        };
        if !listed.into_iter().any(|entry| is_name(&entry)) {
            return Ok(Some(ChangeSet::default()));
        }
        let workspace = [self.plan.workspace.0.as_slice(), b"/"].concat();
        let masked: HashSet<Vec<u8>> = self
            .plan
            .masks
            .iter()
            .filter_map(|mask| mask.at.0.strip_prefix(workspace.as_slice()).map(<[u8]>::to_vec))
            .collect();
        let eyes = Eyes::new(&self.inventory.registry, &self.policy.blocked_patterns);
        let sides = Sides { lower: layers.lower.as_fd(), upper: layers.upper.as_fd(), masked };
        let patch = BufWriter::new(self.directory.create_file(PATCH)?);
        let failed = |error| Failure::new(error, None);
        let mut set = changes::take(&sides, &eyes, patch).map_err(failed)?;
        if let Some(kept) = layers.passing() {
            let kept = std::fs::File::open(kept).map_err(failed_to_keep)?;
            promote::keep_layer(layers.upper.as_fd(), kept.as_fd()).map_err(failed_to_keep)?;
        }
        match commits::look(&self.repository(layers), &eyes, &set) {
            Ok(commits) => set.commits = commits,
            // The files are not worse for it.
            Err(error) => say::warning(Failure::new(error, None).chain()),
        }
        changes::list(&set, BufWriter::new(self.directory.create_file(CHANGES)?)).map_err(failed)?;
        Ok(Some(set))
    }

    fn repository<'a>(&'a self, layers: &'a Layers) -> Repository<'a> {
        Repository {
            lower: layers.lower.as_fd(),
            upper: layers.upper.as_fd(),
            workspace: self.workspace(),
            layer: layers.path(),
            record: self.directory.path(),
            run_id: self.directory.id(),
        }
    }

    fn let_through(
        &self,
        set: &ChangeSet,
        judged: &Judged,
        ended: &Ended,
        recording: &Recording,
    ) -> Result<Delivered, Failure> {
        let Some(layers) = &ended.layers else { return Ok(Delivered::default()) };
        let accepted = |index: usize| judged.verdicts.get(index) == Some(&Verdict::Accept);
        let going = promote::select(set, |index, _| accepted(index));
        let goods = Goods {
            run_id: self.directory.id(),
            record: self.directory.as_fd(),
            record_path: self.directory.path(),
            workspace: layers.lower.as_fd(),
            workspace_path: self.workspace(),
            upper: layers.upper.as_fd(),
            layer: layers.path(),
            since: began(&recording.record.started_at),
            base: recording.record.promote_base.as_deref(),
            freshness: Freshness::JustRead,
            command: &recording.record.command,
        };
        let commits = set.commits.as_ref().filter(|_| judged.commits == Some(Verdict::Accept));
        let mut delivered = goods.deliver(self.place, &going, commits)?;
        // The files are where they belong all the same.
        match delivered.commits.take() {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => say::warning("you staged something meanwhile: your index is as you left it"),
            Some(Err(error)) => say::warning(Failure::new(error, None).chain()),
        }
        Ok(delivered)
    }

    fn say_verdicts(&self, verdict: &VerdictRecord, recording: &Recording) {
        for event in verdict_events(verdict, &self.plan.workspace) {
            recording.sender.send(event);
        }
    }

    fn say_promoted(&self, settled: &Settled, recording: &Recording) {
        let Some(verdict) = &settled.verdict else { return };
        for conflict in &settled.conflicts {
            recording.sender.send(
                Event::new(SystemTime::now(), Action::PromotionConflict, Provider::Launcher)
                    .file(path_of(&self.plan.workspace, &conflict.path.to_string()))
                    .message(conflict.why.as_str()),
            );
        }
        if !settled.promoted.is_empty() {
            let count = settled.promoted.len();
            recording.sender.send(
                Event::new(SystemTime::now(), Action::Promoted, Provider::Launcher)
                    .file(Text::from_bytes(&self.plan.workspace.0))
                    .changes_digest(verdict.changes_digest.as_str())
                    .message(match self.place {
                        None => format!("{count} of the run's files"),
                        place => format!("{count} of the run's files, to {}", deliver::name(place)),
                    }),
            );
        }
    }
}

fn failed_to_keep(error: std::io::Error) -> Failure {
    Failure::doing("cannot keep what the run wrote in its record", error)
}

/// One event for each file and reason.
fn verdict_events(verdict: &VerdictRecord, workspace: &Bytes) -> Vec<Event> {
    let mut events = Vec::new();
    let now = SystemTime::now();
    for reason in &verdict.reasons {
        let action = match reason.effect {
            Verdict::Accept => continue,
            Verdict::Hold => Action::ChangeHeld,
            Verdict::Refuse => Action::ChangeRefused,
        };
        let mut event = Event::new(now, action, Provider::Gate)
            .rule(reason.rule.as_str())
            .message(reason.message.as_str());
        if let Some(file) = &reason.file {
            event = event.file(path_of(workspace, file));
        }
        events.push(event);
    }
    for file in &verdict.accepted {
        events.push(Event::new(now, Action::ChangeAccepted, Provider::Gate).file(path_of(workspace, file)));
    }
    events
}

fn path_of(workspace: &Bytes, file: &str) -> String {
    format!("{workspace}/{file}")
}

/// When a run began, as its record says.
pub(crate) fn began(started_at: &str) -> SystemTime {
    let micros = started_at.parse::<Timestamp>().map_or(0, Timestamp::micros);
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// Why a run that was cut short is not let through without a word.
fn stopped(exit: Exit) -> Option<&'static str> {
    match exit {
        Exit::Leak => Some("the run was stopped: a real secret was about to leave"),
        Exit::TimedOut => Some("the run was stopped at its time limit, perhaps in the middle of something"),
        Exit::InitLost | Exit::SetupFailed(..) => Some("the run did not come to its end"),
        Exit::Code(_) | Exit::Signal(_) | Exit::NotExecuted(_) => None,
    }
}

impl Settled {
    /// The exit code: what the gate and the promotion say comes before what the command said, and after what
    /// stopped the run.
    pub(super) fn code(&self, command: ExitCode, fail_on_hold: bool) -> ExitCode {
        let is_the_commands = matches!(
            command,
            ExitCode::Command(_) | ExitCode::Signal(_) | ExitCode::NotExecutable | ExitCode::NotFound
        );
        if !is_the_commands {
            return command;
        }
        let verdict = self.verdict.as_ref().map(|verdict| verdict.verdict);
        if self.failure.is_some() {
            ExitCode::Setup
        } else if verdict == Some(Verdict::Refuse) {
            ExitCode::Refused
        } else if fail_on_hold && (verdict == Some(Verdict::Hold) || !self.conflicts.is_empty()) {
            ExitCode::Held
        } else {
            command
        }
    }

    /// Files that wait: for a person's word, or for a conflict to be resolved.
    pub(super) fn held(&self) -> Vec<String> {
        let Some(verdict) = &self.verdict else { return Vec::new() };
        let mut held = verdict.held.clone();
        if self.promoted.is_empty() && verdict.verdict != Verdict::Refuse && self.is_stuck() {
            held.extend(verdict.accepted.iter().cloned());
            held.sort();
        }
        held
    }

    fn is_stuck(&self) -> bool {
        !self.conflicts.is_empty() || self.failure.is_some()
    }
}
