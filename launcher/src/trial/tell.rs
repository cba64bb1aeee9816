//! Owns the notices of a run: whether there is something to tell, what, and what becomes of it on record.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shieldrun_policy::audit::{Action, Outcome, Text};
use shieldrun_policy::schema::Notice;
use shieldrun_policy::verdict::{Reason, Verdict};

use super::settle::Settled;
use super::{Ended, Recording, Trial, event};
use crate::notify::{self, MOST, Message, Surroundings, Told};

impl Trial<'_> {
    /// Tells whom the policy names. Whatever comes of it, what the run left is settled already.
    pub(crate) fn notify(&self, mut settled: Settled, ended: &Ended, recording: &Recording) -> Settled {
        let Some(notice) = self.notice(&settled, ended) else { return settled };
        let message = self.message(notice, &settled, ended);
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let redactor = self.inventory.registry.redactor();
        let writable = self.writable(home.as_deref());
        let around = Surroundings { home: home.as_deref(), writable: &writable };
        for told in notify::tell(&self.policy.notify, &message, &redactor, &around) {
            recording.sender.send(on_record(notice, &told));
            if let Err(why) = told.outcome {
                settled.untold.push(format!("{} was not told: {why}", told.whom));
            }
        }
        settled
    }

    /// The gravest thing that somebody wants to be told of.
    fn notice(&self, settled: &Settled, ended: &Ended) -> Option<Notice> {
        let verdict = settled.verdict.as_ref().map(|verdict| verdict.verdict);
        let happened = [
            (Notice::Leak, !ended.watcher.leaks.is_empty()),
            (Notice::Refused, verdict == Some(Verdict::Refuse)),
            (Notice::Held, !settled.held().is_empty()),
        ];
        happened
            .into_iter()
            .find(|(notice, happened)| *happened && self.policy.notify.wants(*notice))
            .map(|(notice, _)| notice)
    }

    fn message(&self, notice: Notice, settled: &Settled, ended: &Ended) -> Message {
        let run = self.directory.id();
        let held = settled.held();
        let verdict = settled.verdict.as_ref();
        let refused = verdict.map(|verdict| verdict.refused.clone()).unwrap_or_default();
        let mut reasons: Vec<Reason> = verdict
            .map(|verdict| verdict.reasons.iter().filter(|r| r.effect != Verdict::Accept).cloned().collect())
            .unwrap_or_default();
        reasons.extend(settled.conflicts.iter().map(|conflict| Reason {
            rule: "promotion".to_owned(),
            pattern: None,
            file: Some(conflict.path.to_string()),
            line: None,
            effect: Verdict::Hold,
            message: conflict.why.to_string(),
        }));
        let (reason_count, held_count, refused_count) = (reasons.len(), held.len(), refused.len());
        let first = |files: Vec<String>| files.into_iter().take(MOST).collect();
        reasons.truncate(MOST);
        Message {
            version: 1,
            event: notice.word(),
            summary: Message::sentence(notice, held_count, refused_count),
            run_id: run.to_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            workspace: self.plan.workspace.to_string(),
            command: self.plan.command.iter().map(ToString::to_string).collect(),
            verdict: verdict.map(|verdict| verdict.verdict),
            reasons,
            reason_count,
            held: first(held),
            held_count,
            refused: first(refused),
            refused_count,
            leaks: ended.watcher.leaks.clone(),
            review: format!("shieldrun review {run}"),
            approve: (held_count > 0).then(|| format!("shieldrun approve {run}")),
            record: self.directory.path().display().to_string(),
        }
    }

    /// Where the command could write, or could have before.
    fn writable(&self, home: Option<&Path>) -> Vec<PathBuf> {
        let workspace = PathBuf::from(std::ffi::OsStr::from_bytes(&self.plan.workspace.0));
        let kept = self.policy.files.persist.iter().filter_map(|path| match path.strip_prefix("~/") {
            Some(rest) => home.map(|home| home.join(rest)),
            None => Some(workspace.join(path)),
        });
        std::iter::once(workspace.clone()).chain(kept).collect()
    }
}

fn on_record(notice: Notice, told: &Told) -> shieldrun_policy::audit::Event {
    let (outcome, message) = match &told.outcome {
        Ok(1) => (Outcome::Success, format!("{}: told", notice.word())),
        Ok(attempt) => (Outcome::Success, format!("{}: told, at attempt {attempt}", notice.word())),
        Err(why) => (Outcome::Failure, format!("{}: not told: {why}", notice.word())),
    };
    event(Action::Notified)
        .rule(format!("notify.{}", told.whom))
        .outcome(outcome)
        .duration(told.took)
        .message(Text::from_bytes(message.as_bytes()))
}
