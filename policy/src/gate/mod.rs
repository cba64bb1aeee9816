//! The gate: from what a run changed and what the policy says to accept, hold or refuse, with reasons.
//!
//! Owns the rules and how they add up. It reads no file: what a line holds was found by the diff, which had it
//! in its hands. What follows from a verdict is the launcher's.

mod amount;
mod commits;
mod later;
mod manifest;
mod tied;
mod usage;

use crate::changes::{COMMITS, Change, ChangeKind, ChangeSet, Found};
use crate::glob::Meaning;
use crate::pattern::Pattern;
use crate::plan::Bytes;
use crate::schema::{Place, Policy, Review};
use crate::verdict::{Reason, Verdict, VerdictRecord};

pub use manifest::{may_run, runs_otherwise};
pub use usage::is_run;

/// What becomes of each change, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Of the run as a whole.
    pub verdict: Verdict,
    /// Of each change, in the order of the set.
    pub verdicts: Vec<Verdict>,
    /// Of the commits, where there are any.
    pub commits: Option<Verdict>,
    /// Every reason; those that lead to nothing are notes.
    pub reasons: Vec<Reason>,
}

/// Judges.
pub fn judge(set: &ChangeSet, policy: &Policy) -> Judged {
    let mut verdicts = Vec::with_capacity(set.changes.len());
    let mut reasons = Vec::new();
    for change in &set.changes {
        let from = reasons.len();
        reasons_for(change, policy, &mut reasons);
        let worst = reasons.iter().skip(from).map(|reason| reason.effect).max();
        verdicts.push(worst.unwrap_or(Verdict::Accept));
    }
    tied::tie(&set.changes, &mut verdicts, &mut reasons);
    amount::judge(&set.changes, policy, &mut verdicts, &mut reasons);
    for left in &set.left_out {
        reasons.push(Reason {
            rule: "gate.complete".to_owned(),
            pattern: None,
            file: Some(left.path.to_string()),
            line: None,
            effect: Verdict::Refuse,
            message: left.reason.clone(),
        });
    }
    let commits =
        set.commits.as_ref().map(|commits| commits::judge(commits, policy, &verdicts, &mut reasons));
    let left_out = if set.left_out.is_empty() { Verdict::Accept } else { Verdict::Refuse };
    let verdict = verdicts.iter().copied().chain([left_out]).chain(commits).max().unwrap_or(Verdict::Accept);
    Judged { verdict, verdicts, commits, reasons }
}

impl Judged {
    /// Holds what would be accepted, for a reason that is the run's and no file's.
    pub fn hold_all(&mut self, why: &str) {
        let accepted =
            self.verdicts.iter_mut().chain(&mut self.commits).filter(|verdict| **verdict == Verdict::Accept);
        let mut any = false;
        accepted.for_each(|verdict| {
            *verdict = Verdict::Hold;
            any = true;
        });
        if any {
            self.verdict = self.verdict.max(Verdict::Hold);
            self.reasons.push(Reason {
                rule: "gate.run".to_owned(),
                pattern: None,
                file: None,
                line: None,
                effect: Verdict::Hold,
                message: why.to_owned(),
            });
        }
    }

    /// As `verdict.json` has it. Directories go with what is in them, and are named only where they wait themselves.
    pub fn record(&self, set: &ChangeSet, run_id: &str, policy_digest: &str) -> VerdictRecord {
        let of = |wanted: Verdict| {
            self.changes(set, wanted)
                .filter(|change| !change.is_directory() || wanted == Verdict::Hold)
                .map(|change| change.path.to_string())
                .chain((self.commits == Some(wanted)).then(|| COMMITS.to_owned()))
                .collect()
        };
        let mut refused: Vec<String> = of(Verdict::Refuse);
        refused.extend(set.left_out.iter().map(|left| left.path.to_string()));
        VerdictRecord {
            run_id: run_id.to_owned(),
            verdict: self.verdict,
            policy_digest: policy_digest.to_owned(),
            changes_digest: set.digest(),
            reasons: self.reasons.clone(),
            accepted: of(Verdict::Accept),
            held: of(Verdict::Hold),
            refused,
            decisions: Vec::new(),
        }
    }

    /// The changes with this verdict.
    pub fn changes<'a>(&'a self, set: &'a ChangeSet, wanted: Verdict) -> impl Iterator<Item = &'a Change> {
        set.changes
            .iter()
            .zip(&self.verdicts)
            .filter(move |(_, verdict)| **verdict == wanted)
            .map(|(change, _)| change)
    }
}

fn reasons_for(change: &Change, policy: &Policy, out: &mut Vec<Reason>) {
    let file = change.path.to_string();
    let mut say = |rule: &str, pattern: Option<&str>, line: Option<u64>, effect: Verdict, message: String| {
        // Where nobody is asked, what would wait for a person goes on, with its reason on record.
        let effect =
            if effect == Verdict::Hold && policy.review == Review::Never { Verdict::Accept } else { effect };
        out.push(Reason {
            rule: rule.to_owned(),
            pattern: pattern.map(str::to_owned),
            file: Some(file.clone()),
            line,
            effect,
            message,
        });
    };
    if policy.review == Review::Always {
        say("review", None, None, Verdict::Hold, "every change waits for a person".to_owned());
    }
    // Beside its time nothing of it is other than it was.
    if change.kind() == ChangeKind::Time {
        return;
    }
    for finding in &change.findings {
        found(finding.line, &finding.what, change, policy, &mut say);
    }
    if change.is_directory() {
        special_bits(change, &mut say);
        return;
    }
    let globs = &policy.require_human_review;
    let matched = |path: &Bytes| {
        // By git's rules the last word counts, exceptions included.
        let path = crate::changes::as_path(path);
        let last = globs.iter().rfind(|glob| glob.glob.matches(path))?;
        (last.glob.meaning() == Meaning::Matches).then_some(last)
    };
    if let Some(glob) = matched(&change.path).or_else(|| change.from.as_ref().and_then(matched)) {
        let message = format!("`{}` waits for a person", glob.text);
        say("require_human_review", Some(&glob.text), None, Verdict::Hold, message);
    }
    let Some(after) = &change.after else { return };
    if let Some(when) = later::when(&change.path.0, after) {
        say("gate.runs_later", None, None, Verdict::Hold, format!("runs on your machine when {when}"));
    }
    if usage::leads_out(&change.path.0, after) {
        let message = "a link that leads out of the workspace".to_owned();
        say("gate.links", None, None, Verdict::Hold, message);
    }
    if after.kind == crate::changes::NodeKind::Special {
        say("gate.kinds", None, None, Verdict::Refuse, "a socket or a device is not promoted".to_owned());
    }
    if let Some(message) = amount::too_large(change, &policy.gate) {
        say(amount::FILE_BYTES, None, None, Verdict::Hold, message);
    }
    special_bits(change, &mut say);
}

fn special_bits(change: &Change, say: &mut impl FnMut(&str, Option<&str>, Option<u64>, Verdict, String)) {
    let bits = |node: &Option<crate::changes::Node>| {
        // On a directory setgid only says whose group new files get.
        node.as_ref().map_or(0, |node| node.mode & if node.is_directory() { 0o4000 } else { 0o6000 })
    };
    if bits(&change.after) & !bits(&change.before) != 0 {
        let message = "runs with the rights of its owner or group: setuid or setgid was set".to_owned();
        say("gate.modes", None, None, Verdict::Hold, message);
    }
}

fn found(
    line: Option<u64>,
    what: &Found,
    change: &Change,
    policy: &Policy,
    say: &mut impl FnMut(&str, Option<&str>, Option<u64>, Verdict, String),
) {
    match what {
        Found::Pattern(index) => {
            let Some(pattern) = policy.blocked_patterns.get(*index) else { return };
            let (effect, message) = blocked(pattern, usage::of(change));
            say("blocked_patterns", Some(&pattern.text), line, effect, message.to_owned());
        }
        Found::RealSecret { id, name } => {
            let message = format!("the real value of `{name}` ({id})");
            say("secrets", None, line, Verdict::Refuse, message);
        }
        Found::Synthetic { id, name } => {
            let message = format!("this is a placeholder, which stood for `{name}` ({id}) in the run only");
            say("secrets", None, line, Verdict::Refuse, message);
        }
        Found::Credential { kind } => {
            say("secrets", None, line, Verdict::Hold, format!("this has the form of a {kind}"));
        }
        Found::RunsLater(when) => {
            say("gate.runs_later", None, line, Verdict::Hold, format!("runs on your machine when {when}"));
        }
        Found::Unread => {
            let message = "a text that is run, too large to be looked at line by line".to_owned();
            say("gate.unread", None, line, Verdict::Hold, message);
        }
        Found::Shebang => {}
    }
}

/// Without `in:` a pattern refuses what is run and is a note elsewhere.
fn blocked(pattern: &Pattern, used: Place) -> (Verdict, &'static str) {
    let counts =
        if pattern.places.is_empty() { used == Place::Scripts } else { pattern.places.contains(&used) };
    match (counts, used) {
        (true, Place::Scripts) => (Verdict::Refuse, "a blocked pattern in a file that is run"),
        (true, _) => (Verdict::Refuse, "a blocked pattern where the policy says that it counts"),
        (false, _) => (Verdict::Accept, "a blocked pattern in a file that is not run: a note"),
    }
}

#[cfg(test)]
mod tests;
