//! From changes to steps: what is done at which path, in an order in which each finds what it needs.
//!
//! First all that goes, deepest first; then all that comes, from the root down; permissions of directories last.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::SystemTime;

use rustix::fs::Stat;
use shieldrun_policy::changes::{Change, ChangeKind, ChangeSet, Node, NodeKind};
use shieldrun_policy::plan::Bytes;

use super::Conflict;
use super::journal::{Identity, Properties, Step, What};
use super::stage::properties;
use crate::beneath::{Tree, split};
use crate::changes::{Owner, digest, stat_kind};

/// A step, and where what it puts comes from.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) step: Step,
    /// The path in the layer of the run, for a step that puts.
    pub(super) source: Option<Vec<u8>>,
    /// What it must hold, if it is a file.
    pub(super) digest: Option<[u8; 32]>,
    /// The permissions that it gets, whatever the source has by now: that may have been opened to be read.
    pub(super) mode: Option<u32>,
}

/// Things that an undo put back: newer than the run, and not the user's doing.
pub(super) type Ours = HashMap<Vec<u8>, Identity>;

/// The steps, and what stands against them.
#[derive(Debug, Default)]
pub(super) struct Planning {
    pub(super) steps: Vec<Planned>,
    pub(super) conflicts: Vec<Conflict>,
    /// Directories that are not there yet: nothing in them is, and nobody is asked. Somebody may make one meanwhile;
    /// what comes there is put where nothing is, or not at all.
    missing: HashSet<Vec<u8>>,
}

/// What goes with the changes that may go: directories follow what is in them.
pub(crate) fn select(set: &ChangeSet, may_go: impl Fn(usize, &Change) -> bool) -> Vec<&Change> {
    let chosen: Vec<bool> =
        set.changes.iter().enumerate().map(|(index, change)| may_go(index, change)).collect();
    let above = |path: &[u8]| -> Vec<Vec<u8>> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        slashes.filter_map(|(at, _)| path.get(..at).map(<[u8]>::to_vec)).collect()
    };
    // Directories that something to be made is in; those that something is to be made in at all; and those in
    // which something stays that was there.
    let (mut wanted, mut filled, mut kept) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (change, chosen) in set.changes.iter().zip(&chosen).filter(|(change, _)| !is_made_directory(change)) {
        if change.after.is_some() {
            filled.extend(above(&change.path.0));
            if *chosen {
                wanted.extend(above(&change.path.0));
            }
        }
        if !*chosen && change.before.is_some() {
            kept.extend(above(&change.from.as_ref().unwrap_or(&change.path).0));
        }
    }
    // A made directory that stays keeps empty ones in it.
    let staying: HashSet<&[u8]> = set
        .changes
        .iter()
        .zip(&chosen)
        .filter(|(change, _)| is_made_directory(change) && !wanted.contains(&change.path.0))
        .filter(|(change, chosen)| !**chosen || filled.contains(&change.path.0))
        .map(|(change, _)| change.path.0.as_slice())
        .collect();
    let in_staying = |path: &[u8]| above(path).iter().any(|above| staying.contains(above.as_slice()));
    let goes = |change: &Change, chosen: bool| {
        let path = &change.path.0;
        match (&change.before, &change.after) {
            (None, Some(after)) if after.is_directory() => {
                wanted.contains(path) || (chosen && !filled.contains(path) && !in_staying(path))
            }
            (Some(before), None) if before.is_directory() => chosen && !kept.contains(path),
            _ => chosen,
        }
    };
    set.changes
        .iter()
        .zip(&chosen)
        .filter(|(change, chosen)| goes(change, **chosen))
        .map(|(change, _)| change)
        .collect()
}

/// What the run began with.
struct Base<'a> {
    since: SystemTime,
    ours: &'a Ours,
    /// Directories that are open only now, and their own permissions.
    ways: &'a HashMap<Vec<u8>, u32>,
}

impl Base<'_> {
    fn is_newer(&self, path: &[u8], identity: &Identity, there: &Stat) -> bool {
        identity.is_newer_than(self.since) && !self.ours.get(path).is_some_and(|own| own.is_untouched(there))
    }
}

fn is_made_directory(change: &Change) -> bool {
    change.before.is_none() && change.after.as_ref().is_some_and(Node::is_directory)
}

/// Plans. A thing of the user's that is not as it was when the run began stands against it.
pub(super) fn plan(
    changes: &[&Change],
    target: &mut Tree<'_>,
    since: SystemTime,
    ours: &Ours,
    ways: &HashMap<Vec<u8>, u32>,
) -> io::Result<Planning> {
    let mut planning = Planning::default();
    let base = Base { since, ours, ways };
    for change in changes {
        one(change, target, &base, &mut planning)?;
    }
    order(&mut planning.steps);
    Ok(planning)
}

/// Brings steps into their order.
pub(super) fn order(steps: &mut [Planned]) {
    let rank = |step: &Step| match step.what {
        What::Remove => 0,
        What::Put { .. } => 1,
        What::Set { .. } => 2,
    };
    steps.sort_by(|one, other| {
        let (one, other) = (&one.step, &other.step);
        rank(one).cmp(&rank(other)).then_with(|| match one.what {
            What::Put { .. } => one.path.cmp(&other.path),
            What::Remove | What::Set { .. } => other.path.cmp(&one.path),
        })
    });
}

fn one(change: &Change, target: &mut Tree<'_>, base: &Base<'_>, planning: &mut Planning) -> io::Result<()> {
    if let Some(from) = &change.from {
        removal(from, change.before.as_ref(), target, base, planning)?;
    }
    let path = &change.path;
    let there = planning.look(&path.0, target)?;
    let before = change.before.as_ref().filter(|_| change.from.is_none());
    match (before, &change.after) {
        (_, None) => return removal(path, before, target, base, planning),
        (None, Some(after)) => match there {
            None => put(path, None, after, planning),
            Some(there) if is_already(&there, after, path, target)? => {}
            Some(_) => planning.against(path, "it was made on the host, too, and is another"),
        },
        (Some(before), Some(after)) => {
            let Some(there) = there else {
                planning.against(path, "it was removed on the host since the run began");
                return Ok(());
            };
            let identity = Identity::of(&there);
            // Inside, another name of the file kept what it had; and it may lie outside the tree.
            let has_names = stat_kind(&there) == "file" && there.st_nlink > 1;
            let in_place = matches!(change.kind(), ChangeKind::Mode | ChangeKind::Time) && !has_names;
            if stat_kind(&there) != kind(before) {
                planning.against(path, "it became something else on the host since the run began");
            } else if !before.is_directory() && base.is_newer(&path.0, &identity, &there) {
                if !is_already(&there, after, path, target)? {
                    planning.against(path, "it was changed on the host since the run began");
                }
            } else if in_place {
                let mut before = properties(&target.spot(&path.0)?, &there)?;
                if let Some(mode) = base.ways.get(&path.0) {
                    before.mode = *mode;
                }
                set(path, identity, before, after, planning);
            } else {
                put(path, Some(identity), after, planning);
            }
        }
    }
    Ok(())
}

fn removal(
    path: &Bytes,
    before: Option<&Node>,
    target: &mut Tree<'_>,
    base: &Base<'_>,
    planning: &mut Planning,
) -> io::Result<()> {
    // Gone there, too: nothing is left to do.
    let Some(there) = target.stat(&path.0)? else { return Ok(()) };
    let identity = Identity::of(&there);
    let directory = before.is_some_and(Node::is_directory);
    if before.is_some_and(|before| kind(before) != stat_kind(&there)) {
        planning.against(path, "it became something else on the host since the run began");
    } else if !directory && base.is_newer(&path.0, &identity, &there) {
        planning.against(path, "it was changed on the host since the run began, and the run removed it");
    } else {
        let step = Step { path: path.0.clone(), what: What::Remove, expected: Some(identity), result: None };
        planning.steps.push(Planned { step, source: None, digest: None, mode: None });
    }
    Ok(())
}

pub(super) fn put(path: &Bytes, expected: Option<Identity>, after: &Node, planning: &mut Planning) {
    // The inode is known once it is staged.
    let step = Step { path: path.0.clone(), what: What::Put { inode: 0 }, expected, result: None };
    let mode = Some(after.mode);
    let is_new = step.expected.is_none();
    planning.steps.push(Planned { step, source: Some(path.0.clone()), digest: after.digest, mode });
    if after.is_directory() {
        if is_new {
            planning.is_missing(&path.0);
        }
        planning.steps.extend(closing(&path.0, after.mode));
    }
}

/// The step that closes a made directory to its owner: it stays open until it is filled.
pub(super) fn closing(path: &[u8], mode: u32) -> Option<Planned> {
    if mode & 0o700 == 0o700 {
        return None;
    }
    let open = Properties { mode: mode | 0o700, modified: None, attributes: Vec::new() };
    let closed = Properties { mode, ..open.clone() };
    let what = What::Set { before: open, after: closed };
    let step = Step { path: path.to_vec(), what, expected: None, result: None };
    Some(Planned { step, source: None, digest: None, mode: None })
}

/// `after` names permissions and time; attributes are the layer's and filled in when it is staged.
fn set(path: &Bytes, expected: Identity, before: Properties, after: &Node, planning: &mut Planning) {
    let modified = before.modified.map(|_| after.modified);
    let after = Properties { mode: after.mode, modified, attributes: Vec::new() };
    let step = Step {
        path: path.0.clone(),
        what: What::Set { before, after },
        expected: Some(expected),
        result: None,
    };
    planning.steps.push(Planned { step, source: Some(path.0.clone()), digest: None, mode: None });
}

/// Whether the user's tree has just what the run would put there.
pub(super) fn is_already(
    there: &Stat,
    after: &Node,
    path: &Bytes,
    target: &mut Tree<'_>,
) -> io::Result<bool> {
    if stat_kind(there) != kind(after) {
        return Ok(false);
    }
    Ok(match &after.kind {
        NodeKind::Directory => true,
        NodeKind::Text | NodeKind::Binary => {
            u64::try_from(there.st_size).ok() == Some(after.size)
                && there.st_mode & 0o7777 == after.mode
                && after.digest.is_some()
                && digest(target, &path.0, there, Owner::User).ok() == after.digest
        }
        NodeKind::Symlink(link) => {
            let spot = target.spot(&path.0)?;
            rustix::fs::readlinkat(spot.directory, spot.name.as_slice(), Vec::new())?.to_bytes() == link.0
        }
        NodeKind::Fifo => there.st_mode & 0o7777 == after.mode,
        NodeKind::Special => false,
    })
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Text | NodeKind::Binary => "file",
        NodeKind::Directory => "directory",
        NodeKind::Symlink(_) => "symlink",
        NodeKind::Fifo => "fifo",
        NodeKind::Special => "special",
    }
}

impl Planning {
    /// Whether nothing is to be done by it.
    pub(super) fn is_nothing(&self) -> bool {
        self.steps.is_empty() || !self.conflicts.is_empty()
    }

    /// What is there, without a look into a directory that is not.
    pub(super) fn look(&self, path: &[u8], target: &mut Tree<'_>) -> io::Result<Option<Stat>> {
        if self.missing.contains(split(path).0) { Ok(None) } else { target.stat(path) }
    }

    pub(super) fn is_missing(&mut self, directory: &[u8]) {
        self.missing.insert(directory.to_vec());
    }

    pub(super) fn against(&mut self, path: &Bytes, why: &str) {
        self.conflicts.push(Conflict { path: path.clone(), why: why.to_owned() });
    }
}
