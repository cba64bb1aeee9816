//! The diff: from the layers of a run to what it changed.
//!
//! Owns reading both sides and writing `changes.jsonl` and `changes.patch`; judging is the gate's, and nothing
//! here changes the user's tree. Both layers are reached beneath descriptors, never through a link.

pub(crate) mod attributes;
mod binary;
mod content;
pub(crate) mod extents;
mod eyes;
#[cfg(test)]
pub(crate) mod fixture;
mod patch;
#[cfg(test)]
pub(crate) mod random;
mod rename;
pub(crate) mod text;
mod walk;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Stat, chmodat};
use shieldrun_policy::changes::{Change, ChangeKind, ChangeSet, Finding, Found, LeftOut, Node, NodeKind};
use shieldrun_policy::gate;
use shieldrun_policy::plan::Bytes;

use crate::beneath::Tree;
pub(crate) use content::{Owner, digest, digest_of, stat_kind};
use content::{Pieces, Side, Whole};
pub(crate) use eyes::Eyes;
use patch::Patch;
pub(crate) use patch::{patch_header, sections, unified};
use text::TextDiff;
use walk::{Touched, Walked};

/// Both sides of a run's workspace, once the run is over.
pub(crate) struct Sides<'fd> {
    /// The user's tree.
    pub(crate) lower: BorrowedFd<'fd>,
    /// The layer of the run.
    pub(crate) upper: BorrowedFd<'fd>,
    /// Paths, relative to the workspace, that were covered inside.
    pub(crate) masked: HashSet<Vec<u8>>,
}

/// Why there is no diff.
#[derive(Debug)]
pub(crate) enum ChangesError {
    /// A layer cannot be read.
    Layers(io::Error),
    /// The record takes no more.
    Record(io::Error),
}

/// Takes the diff, and writes what `git apply` takes to `patch`.
///
/// # Errors
/// When the layers cannot be read or the record cannot be written. A single path that cannot be read is left
/// out, with its reason, and then the gate lets nothing through.
pub(crate) fn take(sides: &Sides<'_>, eyes: &Eyes<'_>, patch: impl Write) -> Result<ChangeSet, ChangesError> {
    let mut walked = walk::walk(sides.lower, sides.upper, &sides.masked).map_err(ChangesError::Layers)?;
    let taken = read_all(sides, eyes, &mut walked, Patch::new(patch));
    // Deepest first: the way to a closed directory leads through the one above.
    for (path, mode) in walked.opened.iter().rev() {
        let mut upper = Tree::new(sides.upper);
        let closed = upper
            .spot(path)
            .and_then(|spot| Ok(chmodat(spot.directory, spot.name.as_slice(), *mode, AtFlags::empty())?));
        closed.map_err(ChangesError::Layers)?;
    }
    let set = taken?;
    Ok(set)
}

fn read_all<W: Write>(
    sides: &Sides<'_>,
    eyes: &Eyes<'_>,
    walked: &mut Walked,
    mut patch: Patch<W>,
) -> Result<ChangeSet, ChangesError> {
    let mut reader = Reader {
        lower: Tree::new(sides.lower),
        upper: Tree::new(sides.upper),
        eyes,
        pieces: Pieces::new(),
        linked: HashMap::new(),
    };
    let moved = rename::find(&mut reader.lower, &mut reader.upper, &walked.touched);
    let mut set =
        ChangeSet { changes: Vec::new(), left_out: std::mem::take(&mut walked.left_out), commits: None };
    for (index, touched) in walked.touched.iter().enumerate() {
        if moved.is_source(index) {
            continue;
        }
        let from = moved.source_of(index).and_then(|index| walked.touched.get(index));
        match reader.change(touched, from) {
            Ok(None) => {}
            Ok(Some(read)) => {
                patch.add(&read, eyes).map_err(ChangesError::Record)?;
                set.changes.push(read.change);
            }
            Err(Unread::Failed(error)) => set.left_out.push(LeftOut {
                path: Bytes(touched.path.clone()),
                reason: format!("it could not be read: {error}"),
            }),
            Err(Unread::Named { id, name }) => set.left_out.push(LeftOut {
                path: Bytes(format!("a name that holds {id}").into_bytes()),
                reason: format!("the name of a file holds the real value of `{name}` ({id})"),
            }),
        }
    }
    patch.finish().map_err(ChangesError::Record)?;
    Ok(set)
}

/// A change, and what both sides hold.
struct Read {
    change: Change,
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
}

enum Unread {
    Failed(io::Error),
    Named { id: String, name: String },
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Unread::Failed(error)
    }
}

struct Reader<'a> {
    lower: Tree<'a>,
    upper: Tree<'a>,
    eyes: &'a Eyes<'a>,
    pieces: Pieces,
    /// Large files with several names, by their inode: build tools link what they made to another place.
    linked: HashMap<(Owner, u64, u64), (Node, Vec<Finding>)>,
}

impl Reader<'_> {
    /// One side of a path.
    fn side(&mut self, path: &[u8], stat: &Stat, owner: Owner, whole: Whole) -> io::Result<Side> {
        let inode = (owner, stat.st_dev, stat.st_ino);
        let is_shared = stat.st_nlink > 1 && walk::file_type(stat) == FileType::RegularFile;
        if let Some((node, found)) = self.linked.get(&inode).filter(|_| is_shared && !gate::is_run(path)) {
            return Ok(Side { node: node.clone(), content: None, found: found.clone() });
        }
        let (tree, eyes) = match owner {
            Owner::Run => (&mut self.upper, Some(self.eyes)),
            Owner::User => (&mut self.lower, None),
        };
        let side = content::read(tree, path, stat, (owner, whole), eyes, &mut self.pieces)?;
        // One that was not read whole, or could not be, is asked for again.
        if is_shared && side.content.is_none() && side.node.digest.is_some() {
            self.linked.insert(inode, (side.node.clone(), side.found.clone()));
        }
        Ok(side)
    }

    /// Reads both sides of a path; nothing where they are the same.
    fn change(&mut self, touched: &Touched, from: Option<&Touched>) -> Result<Option<Read>, Unread> {
        let source = from.unwrap_or(touched);
        let old = match &source.before {
            Some(stat) => {
                let whole = what_is_asked(stat, touched.after.as_ref());
                Some(self.side(&source.path, stat, Owner::User, whole)?)
            }
            None => None,
        };
        let new = match &touched.after {
            Some(stat) => Some(self.side(&touched.path, stat, Owner::Run, Whole::Always)?),
            None => None,
        };
        if let (None, Some(old), Some(new)) = (from, &old, &new)
            && is_no_change(old, new)
        {
            return Ok(None);
        }
        if new.is_some()
            && let Some((id, name)) = self.eyes.real_in(&touched.path)
        {
            return Err(Unread::Named { id, name });
        }
        let mut change = Change {
            path: Bytes(touched.path.clone()),
            from: from.map(|from| Bytes(from.path.clone())),
            before: old.as_ref().map(|side| side.node.clone()),
            after: new.as_ref().map(|side| side.node.clone()),
            lines: None,
            findings: Vec::new(),
        };
        let (old, new) = (old.and_then(|side| side.content), new.map(|side| (side.content, side.found)));
        let (new, found) = new.unwrap_or_default();
        compare(self.eyes, &mut change, old.as_deref(), new.as_deref(), found);
        Ok(Some(Read { change, old, new }))
    }
}

/// Of what is gone, or has another size now, no more is asked than a patch shows.
fn what_is_asked(before: &Stat, after: Option<&Stat>) -> Whole {
    match after {
        Some(after) if after.st_size == before.st_size => Whole::Always,
        _ => Whole::UnlessLarge,
    }
}

/// Lines, and what is found in those that were added.
fn compare(
    eyes: &Eyes<'_>,
    change: &mut Change,
    old: Option<&[u8]>,
    new: Option<&[u8]>,
    found: Vec<Finding>,
) {
    let old_kind = change.before.as_ref().map(|node| &node.kind);
    let new_kind = change.after.as_ref().map(|node| &node.kind);
    let was_file = old_kind.is_some_and(NodeKind::is_file);
    let old = if becomes_run(change) {
        // Not a line of it is new, but all of them begin to be run.
        None
    } else if matches!(change.kind(), ChangeKind::Created | ChangeKind::Changed | ChangeKind::Deleted) {
        old.filter(|_| was_file)
    } else {
        // What was there before and only moved, or was only touched, is not the run's to answer for.
        return;
    };
    change.findings = found;
    let old_text = old.filter(|_| old_kind == Some(&NodeKind::Text)).unwrap_or_default();
    let Some(new) = new.filter(|_| new_kind.is_some_and(NodeKind::is_file)) else {
        if new_kind.is_none() && old_kind == Some(&NodeKind::Text) {
            change.lines = Some(TextDiff::new(old_text, b"").counts());
        }
        not_looked_at(change);
        return;
    };
    if new.starts_with(b"#!") {
        change.findings.push(Finding { line: Some(1), what: Found::Shebang });
    }
    if let Some(when) = gate::runs_otherwise(&change.path.0, old, new) {
        change.findings.push(Finding { line: None, what: Found::RunsLater(when) });
    }
    let is_text = new_kind == Some(&NodeKind::Text);
    // A NUL in a script hides it from git, not from the shell.
    if !is_text && !new.starts_with(b"#!") && !gate::is_run(&change.path.0) {
        return;
    }
    let diff = TextDiff::new(old_text, new);
    if is_text && (!was_file || old_kind == Some(&NodeKind::Text)) {
        change.lines = Some(diff.counts());
    }
    let added: Vec<(u64, &[u8])> = diff.added().collect();
    change.findings.extend(eyes.patterns(added.iter().copied()));
    if is_text {
        change.findings.extend(eyes.credentials(&added));
    }
}

/// A file that is in no tree, as a change from nothing to it: a version that a commit holds.
pub(crate) fn created(path: &[u8], mode: u32, content: &[u8], eyes: &Eyes<'_>) -> Change {
    let kind = match mode {
        0o120_000 => NodeKind::Symlink(Bytes(content.to_vec())),
        _ if text::is_text(content) => NodeKind::Text,
        _ => NodeKind::Binary,
    };
    let node = Node {
        kind,
        mode: mode & 0o777,
        size: content.len() as u64,
        modified: (0, 0),
        digest: None,
        attributes: None,
    };
    let mut change = Change {
        path: Bytes(path.to_vec()),
        from: None,
        before: None,
        after: Some(node),
        lines: None,
        findings: Vec::new(),
    };
    let mut look = eyes.look();
    look.feed(content);
    compare(eyes, &mut change, None, Some(content), look.finish());
    change
}

/// Whether it is about a secret that this run knows.
pub(crate) fn is_secret(found: &Found) -> bool {
    matches!(found, Found::RealSecret { .. } | Found::Synthetic { .. })
}

/// Writes one object a line.
///
/// # Errors
/// When the record takes no more.
pub(crate) fn list(set: &ChangeSet, mut out: impl Write) -> Result<(), ChangesError> {
    for line in set.to_lines() {
        serde_json::to_writer(&mut out, &line).map_err(|error| ChangesError::Record(error.into()))?;
        out.write_all(b"\n").map_err(ChangesError::Record)?;
    }
    out.flush().map_err(ChangesError::Record)
}

/// A file that is too large for its lines to be compared: where they would have counted, a person looks.
fn not_looked_at(change: &mut Change) {
    let Some(node) = change.after.as_ref().filter(|node| node.kind.is_file()) else { return };
    if let Some(when) = gate::may_run(&change.path.0) {
        change.findings.push(Finding { line: None, what: Found::RunsLater(when) });
    }
    if gate::is_run(&change.path.0) || (node.kind == NodeKind::Text && is_executable(node)) {
        change.findings.push(Finding { line: None, what: Found::Unread });
    }
}

/// Whether a file that was there is run from now on: by another name, or because it became executable.
fn becomes_run(change: &Change) -> bool {
    let executable = |node: &Option<Node>| node.as_ref().is_some_and(is_executable);
    match change.kind() {
        ChangeKind::Renamed => {
            // A manifest is run where it lies.
            gate::may_run(&change.path.0).is_some()
                || (gate::is_run(&change.path.0)
                    && !change.from.as_ref().is_some_and(|from| gate::is_run(&from.0)))
        }
        ChangeKind::Mode => executable(&change.after) && !executable(&change.before),
        _ => false,
    }
}

fn is_executable(node: &Node) -> bool {
    node.kind.is_file() && node.mode & 0o111 != 0
}

/// Whether the copy in the layer is as what it was copied from. A content that could not be read never is.
fn is_no_change(old: &Side, new: &Side) -> bool {
    let (one, other) = (&old.node, &new.node);
    if one.kind.is_file() && one.digest.is_none() {
        return false;
    }
    // The time of a directory is when something in it came or went, and those are changes themselves.
    one == other
        || (one.is_directory()
            && other.is_directory()
            && one.mode == other.mode
            && one.attributes == other.attributes)
}

impl fmt::Display for ChangesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChangesError::Layers(_) => "cannot read what the run changed",
            ChangesError::Record(_) => "cannot write what the run changed to its record",
        })
    }
}

impl std::error::Error for ChangesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ChangesError::Layers(source) | ChangesError::Record(source) => Some(source),
        }
    }
}

#[cfg(test)]
mod tests;
