//! How much a run changed: what a person can look over in a minute goes by the other rules, more than the policy
//! says waits, whatever is in it.

use crate::changes::{Change, ChangeKind};
use crate::schema::{GateLimits, Policy, Review};
use crate::verdict::{Reason, Verdict};

pub(super) const FILE_BYTES: &str = "gate.max_file_bytes";

/// Why one file waits for its size alone.
pub(super) fn too_large(change: &Change, limits: &GateLimits) -> Option<String> {
    let most = limits.file_bytes?;
    let size = bytes(change);
    (size > most).then(|| format!("{size} bytes, and the policy lets files up to {most} go by themselves"))
}

/// Holds all that would go where it is more than the policy says. What was refused stays refused.
pub(super) fn judge(
    changes: &[Change],
    policy: &Policy,
    verdicts: &mut [Verdict],
    reasons: &mut Vec<Reason>,
) {
    let counted = || changes.iter().filter(|change| counts(change));
    let (count, total) = (counted().count() as u64, counted().map(bytes).fold(0, u64::saturating_add));
    let limits = &policy.gate;
    let over = |most: Option<u64>, amount: u64| most.filter(|most| amount > *most);
    let said = [
        over(limits.files, count).map(|most| {
            ("gate.max_files", format!("{count} files changed, and the policy lets {most} go by themselves"))
        }),
        over(limits.bytes, total).map(|most| {
            ("gate.max_bytes", format!("{total} bytes changed, and the policy lets {most} go by themselves"))
        }),
    ];
    // Where nobody is asked it is a note, as every other hold is.
    let effect = if policy.review == Review::Never { Verdict::Accept } else { Verdict::Hold };
    for (rule, message) in said.into_iter().flatten() {
        let rule = rule.to_owned();
        reasons.push(Reason { rule, pattern: None, file: None, line: None, effect, message });
        verdicts.iter_mut().for_each(|verdict| *verdict = (*verdict).max(effect));
    }
}

/// A directory goes with its files, and a touch is no change.
fn counts(change: &Change) -> bool {
    !change.is_directory() && change.kind() != ChangeKind::Time
}

fn bytes(change: &Change) -> u64 {
    change.after.as_ref().filter(|node| node.kind.is_file()).map_or(0, |node| node.size)
}
