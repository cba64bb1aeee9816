//! The journal of a promotion: what is to be done, written down before any of it is.
//!
//! Owns its form and its place in the run's record. Whoever finds one that is not finished can finish it, or
//! take it back, without anything but the journal and the trees.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::SystemTime;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use crate::closed::Closed;
use crate::record::{read_at, replace_at};

/// `promotion-N.json`. A run has one for each time that something of it was promoted or taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub(crate) run_id: String,
    pub(crate) direction: Direction,
    /// The number of the promotion that this takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<u32>,
    pub(crate) state: State,
    /// The real tree, as a path from the root of the file system.
    #[serde(with = "bytes")]
    pub(crate) target: Vec<u8>,
    /// The directory of staged things, relative to the target.
    #[serde(with = "bytes")]
    pub(crate) stage: Vec<u8>,
    /// Directories of the tree that are closed to their owner, and open while it lasts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ways: Vec<Way>,
    pub(crate) steps: Vec<Step>,
}

/// There, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Promote,
    Undo,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// What is there is being looked at; of the tree only closed directories were opened.
    Looking,
    /// Things are being staged; nothing else of the tree is touched.
    Staging,
    /// Everything is staged; steps are being done.
    Applying,
    /// A step could not be done; those that were are being taken back.
    Reverting,
    /// All steps are done; what was replaced is being put away.
    Keeping,
    /// Over, all of it done.
    Done,
    /// Over, nothing of it done.
    Reverted,
}

/// A directory of the tree that was closed to its owner, and the permissions that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Way {
    #[serde(with = "bytes")]
    pub(crate) path: Vec<u8>,
    pub(crate) inode: u64,
    pub(crate) mode: u32,
}

/// One step: at one path one thing takes the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    #[serde(with = "bytes")]
    pub(crate) path: Vec<u8>,
    pub(crate) what: What,
    /// What must be there now, and is what comes back by an undo; none if nothing may be.
    pub(crate) expected: Option<Identity>,
    /// What was there when all was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Identity>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// The staged thing, of this inode, goes there.
    Put { inode: u64 },
    /// What is there goes away.
    Remove,
    /// What is there gets other permissions, times or attributes.
    Set { before: Properties, after: Properties },
}

/// What can be changed of a thing without another in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Properties {
    pub(crate) mode: u32,
    /// None for a directory, whose time is that of its entries.
    pub(crate) modified: Option<(i64, i64)>,
    pub(crate) attributes: Vec<Attribute>,
}

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attribute {
    #[serde(with = "bytes")]
    pub(crate) name: Vec<u8>,
    #[serde(with = "bytes")]
    pub(crate) value: Vec<u8>,
}

/// A thing in a tree, told from every other that has been there, and from itself before and after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) inode: u64,
    pub(crate) mode: u32,
    pub(crate) size: i64,
    pub(crate) modified: (i64, i64),
    pub(crate) changed: (i64, i64),
}

impl Way {
    pub(crate) fn of(closed: &Closed) -> Self {
        Self { path: closed.path.clone(), inode: closed.inode, mode: closed.mode }
    }
}

impl Step {
    /// Whether it leaves the thing that is there, and comes last.
    pub(crate) fn is_set(&self) -> bool {
        matches!(self.what, What::Set { .. })
    }
}

/// A journal's name in the record.
fn name(number: u32) -> String {
    format!("promotion-{number}.json")
}

impl Identity {
    pub(crate) fn of(stat: &Stat) -> Self {
        let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or_default();
        Self {
            inode: stat.st_ino,
            mode: stat.st_mode,
            size: stat.st_size,
            modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }

    /// Whether it is the same thing, moved at most: a rename changes the time of change, and nothing else.
    /// A directory's size and time are those of its entries.
    pub(crate) fn is_moved(&self, stat: &Stat) -> bool {
        let now = Self::of(stat);
        let directory = stat.st_mode & 0o170_000 == 0o040_000;
        self.inode == now.inode
            && self.mode == now.mode
            && (directory || (self.size == now.size && self.modified == now.modified))
    }

    /// Whether nothing at all happened to it.
    pub(crate) fn is_untouched(&self, stat: &Stat) -> bool {
        let directory = stat.st_mode & 0o170_000 == 0o040_000;
        self.is_moved(stat) && (directory || self.changed == Self::of(stat).changed)
    }

    /// Whether it was last changed at this time or later.
    pub(crate) fn is_newer_than(&self, time: SystemTime) -> bool {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.changed >= (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
    }
}

impl Journal {
    /// Reads all of a record, in order; the first is number 1.
    pub(crate) fn read_all(record: BorrowedFd<'_>) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for number in 1.. {
            match read_at(record, &name(number)) {
                Ok(bytes) => all.push(serde_json::from_slice(&bytes)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Writes it, whole or not at all.
    pub(crate) fn write(&self, record: BorrowedFd<'_>, number: u32) -> io::Result<()> {
        replace_at(record, &name(number), self)
    }

    /// The permissions that directories had before they were opened.
    pub(crate) fn closed(&self) -> HashMap<Vec<u8>, u32> {
        self.ways.iter().map(|way| (way.path.clone(), way.mode)).collect()
    }

    /// Directories of the tree that this closes, or has to have open, from the root down.
    pub(crate) fn may_be_closed(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut closed: BTreeMap<&[u8], u64> =
            self.ways.iter().map(|way| (way.path.as_slice(), way.inode)).collect();
        let mut made = HashSet::new();
        for step in &self.steps {
            let What::Set { before, after } = &step.what else { continue };
            if before.mode & after.mode & 0o700 == 0o700 {
                continue;
            }
            match &step.expected {
                Some(expected) => drop(closed.insert(&step.path, expected.inode)),
                None => drop(made.insert(step.path.as_slice())),
            }
        }
        for step in self.steps.iter().filter(|step| made.contains(step.path.as_slice())) {
            if let What::Put { inode } = step.what {
                closed.insert(&step.path, inode);
            }
        }
        closed.into_iter()
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Reverted)
    }
}

/// Bytes as base64: names need not be text.
mod bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        data_encoding::BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}
