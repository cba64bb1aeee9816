//! Commits go when all that they hold may go: a file that waits is in them too, and so is what they held for a
//! while and no file of the tree shows any more.

use super::reasons_for;
use crate::changes::{COMMITS, Commits};
use crate::schema::{Policy, Review};
use crate::verdict::{Reason, Verdict};

/// Judges them, after the files.
pub(super) fn judge(
    commits: &Commits,
    policy: &Policy,
    files: &[Verdict],
    reasons: &mut Vec<Reason>,
) -> Verdict {
    let mut own = Vec::new();
    let mut say = |effect: Verdict, rule: &str, message: String| {
        own.push(Reason {
            rule: rule.to_owned(),
            pattern: None,
            file: Some(COMMITS.to_owned()),
            line: None,
            effect,
            message,
        });
    };
    let worst = files.iter().copied().max().unwrap_or(Verdict::Accept);
    if worst != Verdict::Accept {
        let what = if worst == Verdict::Hold { "wait" } else { "were refused" };
        say(worst, "gate.commits", format!("the commits of the run can hold files that {what}"));
    }
    if policy.review == Review::Always {
        say(Verdict::Hold, "review", "every change waits for a person".to_owned());
    }
    for hidden in &commits.hidden {
        let mut found = Vec::new();
        reasons_for(&hidden.change, policy, &mut found);
        for reason in found.into_iter().filter(|reason| reason.effect != Verdict::Accept) {
            let line = reason.line.map(|line| format!(":{line}")).unwrap_or_default();
            let message = format!("a commit holds `{}`{line}: {}", hidden.change.path, reason.message);
            own.push(Reason { file: Some(COMMITS.to_owned()), message, ..reason });
        }
    }
    let verdict = own.iter().map(|reason| reason.effect).max().unwrap_or(Verdict::Accept);
    reasons.append(&mut own);
    verdict
}
