//! What stands against a promotion, shown three-way: what the host made of a file since the run began, and what the
//! run made of it.
//!
//! What both began with is kept nowhere: it is the run's file with the recorded patch taken back, and counts only if
//! it is exactly what the list of changes says was there.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::UNIX_EPOCH;

use serde::Serialize;
use sha2::{Digest, Sha256};
use shieldrun_policy::changes::{Change, Node};

use super::Waiting;
use super::hunks::{hunks, reverse};
use crate::beneath::Tree;
use crate::changes::{patch_header, sections, unified};
use crate::promote::open_closed;
use crate::trial::began;

/// One file that both changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ThreeWay {
    pub(crate) path: String,
    /// In words.
    pub(crate) why: &'static str,
    /// From what both began with to what is there now; none where that is no text or was not kept.
    pub(crate) host: Option<String>,
    /// From the same to what the run made.
    pub(crate) run: Option<String>,
}

/// Files larger than this are named only.
const MOST: u64 = 4 << 20;

/// All files that may still go and that the host has changed. What is unchanged costs one look at its times.
pub(crate) fn conflicts(waiting: &Waiting, patch: &[u8], upper: &impl AsFd) -> Vec<ThreeWay> {
    let since = began(&waiting.run.started_at).duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), u64::from(since.subsec_nanos()));
    let already = crate::promote::promoted(&waiting.destination()).unwrap_or_default();
    let stands = super::Standings::new(&waiting.verdict);
    let mut host = Tree::new(waiting.target.as_fd());
    let mut layer = Tree::new(upper.as_fd());
    let mut by_head = None;
    let mut found = Vec::new();
    let open = |change: &&Change| {
        !change.is_directory()
            && stands.of_change(change) != super::Standing::Stays
            && !already.contains(&change.path.0)
            && change.from.is_none()
    };
    for change in waiting.set.changes.iter().filter(open) {
        let Ok(there) = host.stat(&change.path.0) else { continue };
        let why = match (&change.before, &there) {
            (None, Some(_)) => "it was made on the host, too",
            (Some(_), None) if change.after.is_some() => "it was removed on the host since the run began",
            (Some(_), Some(stat)) if (stat.st_ctime, stat.st_ctime_nsec) >= since => {
                "it was changed on the host since the run began"
            }
            _ => continue,
        };
        let theirs = read(&mut host, change);
        let is = |node: &Option<Node>, bytes: &Option<Vec<u8>>| {
            let digest = bytes.as_ref().map(|bytes| -> [u8; 32] { Sha256::digest(bytes).into() });
            digest.is_some() && node.as_ref().and_then(|node| node.digest) == digest
        };
        // Written anew with the same in it, or the same as the run's.
        if is(&change.before, &theirs) || is(&change.after, &theirs) {
            continue;
        }
        let ours = change.after.as_ref().and_then(|_| read(&mut layer, change)).unwrap_or_default();
        let parts = by_head.get_or_insert_with(|| sections(patch));
        let section = parts.get(patch_header(change).as_slice()).and_then(|ranges| ranges.first());
        let section = section.and_then(|range| patch.get(range.clone())).unwrap_or_default();
        let base = match &change.before {
            None => Some(Vec::new()),
            Some(_) => hunks(section).and_then(|hunks| reverse(&ours, &hunks)),
        };
        let base = base.filter(|base| change.before.is_none() || is(&change.before, &Some(base.clone())));
        let text = |side: Option<&Vec<u8>>| {
            let (base, side) = (base.as_ref()?, side?);
            Some(String::from_utf8_lossy(&unified(base, side)).into_owned())
        };
        found.push(ThreeWay {
            path: change.path.to_string(),
            why,
            host: text(theirs.as_ref().or(there.is_none().then_some(&Vec::new()))),
            run: text(Some(&ours)),
        });
    }
    found
}

fn read(tree: &mut Tree<'_>, change: &Change) -> Option<Vec<u8>> {
    let spot = tree.spot(&change.path.0).ok()?;
    let stat = spot.stat().ok()??;
    let mut bytes = Vec::new();
    open_closed(&spot, &stat).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    (!bytes.iter().take(8000).any(|byte| *byte == 0)).then_some(bytes)
}
