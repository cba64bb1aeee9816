//! Changes that cannot go one without the other.
//!
//! What lies in a directory that a file gave way to needs the directory; a file in the place of a directory
//! needs all that was in it gone. The worse verdict holds for both.

use std::collections::HashMap;

use crate::changes::{Change, Node};
use crate::verdict::{Reason, Verdict};

/// Worsens verdicts until every change has what it needs.
pub(super) fn tie(changes: &[Change], verdicts: &mut [Verdict], reasons: &mut Vec<Reason>) {
    let gave_way = |change: &Change| match (&change.before, &change.after) {
        (Some(before), Some(after)) => before.is_directory() != after.is_directory(),
        _ => false,
    };
    let swapped: HashMap<&[u8], usize> = changes
        .iter()
        .enumerate()
        .filter(|(_, change)| gave_way(change))
        .map(|(index, change)| (change.path.0.as_slice(), index))
        .collect();
    if swapped.is_empty() {
        return;
    }
    // Two rounds: from what was in a directory up to it, then from it down to what is in the new one.
    for upwards in [true, false] {
        for (index, change) in changes.iter().enumerate() {
            for above in parents(&change.path.0) {
                let Some(&root) = swapped.get(above) else { continue };
                let needs_removal = changes.get(root).is_some_and(|root| is_directory(&root.before));
                let (from, to) = match (upwards, needs_removal) {
                    (true, true) => (index, root),
                    (false, false) => (root, index),
                    // A directory that stays a file's keeps what was in it, too.
                    (false, true) => (root, index),
                    (true, false) => continue,
                };
                let (Some(&given), Some(&own)) = (verdicts.get(from), verdicts.get(to)) else { continue };
                if given > own {
                    if let Some(verdict) = verdicts.get_mut(to) {
                        *verdict = given;
                    }
                    let (of, by) = (changes.get(to), changes.get(from));
                    if let (Some(of), Some(by)) = (of, by) {
                        reasons.push(Reason {
                            rule: "gate.tied".to_owned(),
                            pattern: None,
                            file: Some(of.path.to_string()),
                            line: None,
                            effect: given,
                            message: format!("cannot go without `{}`", by.path),
                        });
                    }
                }
            }
        }
    }
}

fn is_directory(node: &Option<Node>) -> bool {
    node.as_ref().is_some_and(Node::is_directory)
}

/// Every directory above a path, nearest last.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').filter_map(|(at, _)| path.get(..at))
}
