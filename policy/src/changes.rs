//! What a run changed in its workspace: plain data, made by the launcher's diff, judged by the gate.
//!
//! Owns the words for a change, its line in `changes.jsonl`, and the digest that a verdict and a decision are
//! about. Content is not kept here: what the gate must know of it was found while it was read.

use std::path::Path;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::plan::Bytes;

pub use commits::{COMMITS, Commits, Hidden, Reference};

/// All of them, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeSet {
    /// One for each path that is not as it was.
    pub changes: Vec<Change>,
    /// What the diff could not take in; such a run is not promoted.
    pub left_out: Vec<LeftOut>,
    /// What became of the repository.
    pub commits: Option<Commits>,
}

/// One path that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Relative to the workspace.
    pub path: Bytes,
    /// Where it was before, if this is a file that moved with its content.
    pub from: Option<Bytes>,
    /// As it was, at `from` for a file that moved; none if it is new.
    pub before: Option<Node>,
    /// As it is; none if it is gone.
    pub after: Option<Node>,
    /// How much of a text changed.
    pub lines: Option<Lines>,
    /// What was found in it.
    pub findings: Vec<Finding>,
}

/// A thing in a tree, by all that tells it from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Bytes of a file.
    pub size: u64,
    /// Seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    /// SHA-256 of a file's content, where it was read.
    pub digest: Option<[u8; 32]>,
    /// SHA-256 over its extended attributes; none where it has none.
    pub attributes: Option<[u8; 32]>,
}

/// What a thing in a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A file of text.
    Text,
    /// A file of anything else.
    Binary,
    /// A directory.
    Directory,
    /// A symbolic link, and where it points.
    Symlink(Bytes),
    /// A FIFO.
    Fifo,
    /// A socket or a device.
    Special,
}

/// Lines of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// That are new.
    pub added: u64,
    /// That are gone.
    pub removed: u64,
}

/// Something in a change that the gate has an opinion on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line of the new file, from 1; none where it is about the file.
    pub line: Option<u64>,
    /// What.
    pub what: Found,
}

/// What can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An added line matches this blocked pattern (its index in the policy).
    Pattern(usize),
    /// A real value of this run.
    RealSecret {
        /// `s3`.
        id: String,
        /// The variable or field it stands in.
        name: String,
    },
    /// A synthetic of this run.
    Synthetic {
        /// `s3`.
        id: String,
        /// The variable or field it stands in.
        name: String,
    },
    /// An added line holds what has the form of a credential, and is none that this run knows.
    Credential {
        /// `github-token`.
        kind: String,
    },
    /// The first line names an interpreter.
    Shebang,
    /// Of a manifest other things are run than before; when, as the end of a sentence.
    RunsLater(&'static str),
    /// A text that is run, and of which the lines were not looked at.
    Unread,
}

/// A path that the diff could not take in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub path: Bytes,
    /// Why, in words.
    pub reason: String,
}

/// A change in one word, as `changes.jsonl` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It was not there.
    Created,
    /// Other content, or another kind of thing.
    Changed,
    /// It is not there any more.
    Deleted,
    /// The same content elsewhere.
    Renamed,
    /// Other permissions or attributes, the same content.
    Mode,
    /// Touched.
    Time,
}

impl ChangeKind {
    /// As `changes.jsonl` has it.
    pub const fn word(self) -> &'static str {
        match self {
            ChangeKind::Created => "created",
            ChangeKind::Changed => "changed",
            ChangeKind::Deleted => "deleted",
            ChangeKind::Renamed => "renamed",
            ChangeKind::Mode => "mode",
            ChangeKind::Time => "time",
        }
    }
}

impl NodeKind {
    /// As `changes.jsonl` has it.
    pub const fn word(&self) -> &'static str {
        match self {
            NodeKind::Text => "text",
            NodeKind::Binary => "binary",
            NodeKind::Directory => "directory",
            NodeKind::Symlink(_) => "symlink",
            NodeKind::Fifo => "fifo",
            NodeKind::Special => "special",
        }
    }

    /// Whether it is a regular file.
    pub const fn is_file(&self) -> bool {
        matches!(self, NodeKind::Text | NodeKind::Binary)
    }
}

impl Node {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    /// Whether both hold the same: text is text by a look at its beginning only, so that is not compared.
    fn holds_the_same(&self, other: &Node) -> bool {
        match (&self.kind, &other.kind) {
            (one, another) if one.is_file() && another.is_file() => {
                self.size == other.size && self.digest == other.digest
            }
            (one, another) => one == another,
        }
    }

    fn to_json(&self) -> Json {
        let mut map = Map::new();
        map.insert("type".to_owned(), Json::from(self.kind.word()));
        map.insert("mode".to_owned(), Json::from(format!("{:04o}", self.mode)));
        if self.kind.is_file() {
            map.insert("size".to_owned(), Json::from(self.size));
        }
        map.insert("modified".to_owned(), Json::from(format!("{}.{:09}", self.modified.0, self.modified.1)));
        if let Some(digest) = &self.digest {
            map.insert("sha256".to_owned(), Json::from(data_encoding::HEXLOWER.encode(digest)));
        }
        if let NodeKind::Symlink(target) = &self.kind {
            name("target", target, &mut map);
        }
        if let Some(attributes) = &self.attributes {
            map.insert("attributes".to_owned(), Json::from(data_encoding::HEXLOWER.encode(attributes)));
        }
        Json::Object(map)
    }

    fn feed(&self, hash: &mut Sha256) {
        part(hash, self.kind.word().as_bytes());
        part(hash, &self.mode.to_le_bytes());
        part(hash, &self.size.to_le_bytes());
        part(hash, self.digest.as_ref().map_or(&[][..], |digest| digest));
        part(hash, self.attributes.as_ref().map_or(&[][..], |digest| digest));
        if let NodeKind::Symlink(target) = &self.kind {
            part(hash, &target.0);
        }
    }
}

impl Change {
    /// In one word.
    pub fn kind(&self) -> ChangeKind {
        match (&self.before, &self.after) {
            (_, None) => ChangeKind::Deleted,
            (None, Some(_)) => ChangeKind::Created,
            (Some(_), Some(_)) if self.from.is_some() => ChangeKind::Renamed,
            (Some(before), Some(after)) if !before.holds_the_same(after) => ChangeKind::Changed,
            (Some(before), Some(after))
                if before.mode != after.mode || before.attributes != after.attributes =>
            {
                ChangeKind::Mode
            }
            (Some(_), Some(_)) => ChangeKind::Time,
        }
    }

    /// Whether it is about a directory alone: made, removed, or with other permissions.
    pub fn is_directory(&self) -> bool {
        let is = |node: &Option<Node>| node.as_ref().is_none_or(Node::is_directory);
        is(&self.before) && is(&self.after)
    }

    /// The path as globs take it.
    pub fn as_path(&self) -> &Path {
        as_path(&self.path)
    }

    /// One object of `changes.jsonl`.
    pub fn to_json(&self) -> Json {
        let node = |node: &Option<Node>| node.as_ref().map_or(Json::Null, Node::to_json);
        let mut map = Map::new();
        name("path", &self.path, &mut map);
        map.insert("change".to_owned(), Json::from(self.kind().word()));
        match &self.from {
            Some(from) => name("from", from, &mut map),
            None => drop(map.insert("from".to_owned(), Json::Null)),
        }
        map.insert("before".to_owned(), node(&self.before));
        map.insert("after".to_owned(), node(&self.after));
        let lines = self.lines.map(|lines| json!({"added": lines.added, "removed": lines.removed}));
        map.insert("lines".to_owned(), Json::from(lines));
        Json::Object(map)
    }
}

impl ChangeSet {
    /// `sha256:…` over everything that promoting would do: names, kinds, permissions, contents, and what they
    /// take the place of. Not over times: they are no change that a person decides on.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for change in &self.changes {
            part(&mut hash, &change.path.0);
            part(&mut hash, change.kind().word().as_bytes());
            part(&mut hash, change.from.as_ref().map_or(&[], |from| &from.0));
            for node in [&change.before, &change.after] {
                match node {
                    Some(node) => node.feed(&mut hash),
                    None => part(&mut hash, b"none"),
                }
            }
        }
        for left in &self.left_out {
            part(&mut hash, &left.path.0);
        }
        if let Some(commits) = &self.commits {
            part(&mut hash, commits.to_json().to_string().as_bytes());
        }
        format!("sha256:{}", data_encoding::HEXLOWER.encode(&hash.finalize()))
    }

    /// The lines of `changes.jsonl`.
    pub fn to_lines(&self) -> impl Iterator<Item = Json> {
        let left = |left: &LeftOut| {
            let mut map = Map::new();
            name("path", &left.path, &mut map);
            map.insert("left_out".to_owned(), Json::from(left.reason.as_str()));
            Json::Object(map)
        };
        let commits = self.commits.iter().map(Commits::to_json);
        self.changes.iter().map(Change::to_json).chain(self.left_out.iter().map(left)).chain(commits)
    }

    /// Whether nothing is other than it was.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.left_out.is_empty() && self.commits.is_none()
    }
}

/// A name for people, and beside it the exact bytes where those are others.
fn name(key: &str, bytes: &Bytes, map: &mut Map<String, Json>) {
    let shown = bytes.to_string();
    if shown.as_bytes() != bytes.0 {
        map.insert(format!("{key}_raw"), Json::from(data_encoding::BASE64.encode(&bytes.0)));
    }
    map.insert(key.to_owned(), Json::from(shown));
}

/// A path as globs take it.
pub fn as_path(path: &Bytes) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(&path.0))
}

/// With its length first, so that no two lists of parts are the same bytes.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

mod commits;
mod reading;

#[cfg(test)]
mod tests {
    use super::*;

    fn node(kind: NodeKind, content: &str) -> Node {
        Node {
            kind,
            mode: 0o644,
            size: content.len() as u64,
            modified: (7, 0),
            digest: Some(Sha256::digest(content).into()),
            attributes: None,
        }
    }

    fn change(before: Option<Node>, after: Option<Node>) -> Change {
        Change { path: Bytes(b"a".to_vec()), from: None, before, after, lines: None, findings: Vec::new() }
    }

    #[test]
    fn kinds_follow_from_before_and_after() {
        let text = || Some(node(NodeKind::Text, "one"));
        let with = |edit: fn(&mut Node)| {
            let mut node = node(NodeKind::Text, "one");
            edit(&mut node);
            Some(node)
        };
        for (before, after, expected) in [
            (None, text(), ChangeKind::Created),
            (text(), None, ChangeKind::Deleted),
            (text(), Some(node(NodeKind::Text, "two")), ChangeKind::Changed),
            (text(), with(|node| node.kind = NodeKind::Directory), ChangeKind::Changed),
            (text(), with(|node| node.mode = 0o755), ChangeKind::Mode),
            (text(), with(|node| node.attributes = Some([1; 32])), ChangeKind::Mode),
            (text(), with(|node| node.modified = (8, 0)), ChangeKind::Time),
        ] {
            let change = change(before, after);
            assert_eq!(change.kind(), expected, "{change:?}");
        }
    }

    #[test]
    fn the_digest_is_over_all_but_times() {
        let set = |after: Node| ChangeSet {
            changes: vec![change(None, Some(after))],
            left_out: Vec::new(),
            commits: None,
        };
        let plain = set(node(NodeKind::Text, "one")).digest();
        let mut other = node(NodeKind::Text, "one");
        other.modified = (99, 1);
        assert_eq!(set(other.clone()).digest(), plain);
        other.mode = 0o600;
        assert_ne!(set(other).digest(), plain);
        assert_ne!(set(node(NodeKind::Text, "two")).digest(), plain);
        assert_ne!(set(node(NodeKind::Symlink(Bytes(b"one".to_vec())), "one")).digest(), plain);
        assert_ne!(ChangeSet::default().digest(), plain);
    }

    #[test]
    fn names_that_are_no_text_are_kept_exactly() {
        let mut change = change(None, Some(node(NodeKind::Text, "x")));
        change.path = Bytes(b"caf\xe9\n".to_vec());
        let line = change.to_json();
        assert_eq!(line["path"], "caf\\xe9\\n");
        assert_eq!(line["path_raw"], data_encoding::BASE64.encode(b"caf\xe9\n"));
        let set = ChangeSet { changes: vec![change], left_out: Vec::new(), commits: None };
        let lines: Vec<_> = set.to_lines().collect();
        assert_eq!(ChangeSet::from_lines(lines), Some(set));
    }
}
