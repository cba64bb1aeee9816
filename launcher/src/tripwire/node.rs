//! Owns the nodes of the mount: one for each mask, numbered as the plan has them.

use shieldrun_policy::audit::{Text, Treatment};
use shieldrun_policy::plan::{Cover, Mask, Plan, Tier};

use super::wire::Attributes;
use crate::history;
use crate::inventory::sockets;
use crate::plan::{network, ssh};

/// The root of the mount, which nobody but the set-up child ever sees.
pub(super) const ROOT: u64 = 1;
/// The number of the first mask's node.
const FIRST: u64 = 2;

/// What the mount shows.
#[derive(Debug)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    owner: (u32, u32),
    /// When the run began: the time of what has none of its own.
    made: (i64, i64),
}

/// A masked path.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) path: Text,
    pub(super) rule: Text,
    kind: Kind,
}

/// What stands there.
#[derive(Debug)]
pub(super) enum Kind {
    /// A file that nobody can open.
    BlockedFile,
    /// A directory that nobody can enter or list.
    BlockedDirectory,
    /// The file with synthetic values.
    Synthetic { content: Vec<u8>, mode: u32, modified: (i64, i64) },
}

/// Whether this mask, in a plan that has any worth it, is a node of the mount. The covers over sockets of the
/// host are not: what they stop is a connect, and no file is asked for; nor are those over git's objects, which
/// every command of git opens, nor what can be written to.
pub(crate) fn is_wired(plan: &Plan, mask: &Mask) -> bool {
    let hides_a_secret = |mask: &Mask| {
        ![sockets::RULE, network::RULE, network::TRUST, ssh::RULE, crate::plan::RECORDS_RULE]
            .contains(&mask.rule.as_str())
    };
    let is_plain = [sockets::RULE, history::RULE, network::RULE, network::TRUST, ssh::RULE]
        .contains(&mask.rule.as_str())
        || matches!(mask.cover, Cover::Host { .. } | Cover::Scratch { .. });
    plan.tier == Tier::Full && !is_plain && plan.masks.iter().any(hides_a_secret)
}

impl Nodes {
    /// The nodes of a plan. A mask that is no node of the mount has a number all the same.
    pub(crate) fn of(plan: &Plan, made: (i64, i64)) -> Self {
        let node = |mask: &Mask| Node {
            path: Text::from_bytes(&mask.at.0),
            rule: Text::from_bytes(mask.rule.as_bytes()),
            kind: match &mask.cover {
                // The last two are no nodes of the mount.
                Cover::BlockedFile | Cover::Host { .. } | Cover::Scratch { .. } => Kind::BlockedFile,
                Cover::BlockedDirectory => Kind::BlockedDirectory,
                Cover::Synthetic { content, mode, modified } => {
                    Kind::Synthetic { content: content.clone(), mode: *mode, modified: *modified }
                }
            },
        };
        Self { nodes: plan.masks.iter().map(node).collect(), owner: (plan.uid, plan.gid), made }
    }

    /// The node of this number, which is not the root's.
    pub(super) fn get(&self, number: u64) -> Option<&Node> {
        self.nodes.get(usize::try_from(number.checked_sub(FIRST)?).ok()?)
    }

    /// The number behind a name in the root: `m7` is the seventh mask's.
    pub(super) fn number(&self, name: &[u8]) -> Option<u64> {
        let index: u64 = std::str::from_utf8(name.strip_prefix(b"m")?).ok()?.parse().ok()?;
        let number = index.checked_add(FIRST)?;
        self.get(number).map(|_| number)
    }

    /// Their names in the root from the `offset`th on, each with its number.
    pub(super) fn names(&self, offset: u64) -> impl Iterator<Item = (String, u64)> {
        (offset..self.nodes.len() as u64).map(|index| (format!("m{index}"), index + FIRST))
    }

    /// What stat(2) shows: what a plain mask on a tmpfs shows.
    pub(super) fn attributes(&self, number: u64) -> Option<Attributes> {
        let directory = (libc::S_IFDIR, 40, 2, self.made);
        let (mode, size, links, modified) = match self.get(number).map(|node| &node.kind) {
            Some(Kind::BlockedFile) => (libc::S_IFREG, 0, 1, self.made),
            Some(Kind::BlockedDirectory) => directory,
            Some(Kind::Synthetic { content, mode, modified }) => {
                (libc::S_IFREG | mode, content.len() as u64, 1, *modified)
            }
            None if number == ROOT => (libc::S_IFDIR | 0o755, directory.1, directory.2, directory.3),
            None => return None,
        };
        Some(Attributes { node: number, size, mode, links, modified, owner: self.owner })
    }
}

impl Node {
    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What whoever opens it is given.
    pub(super) fn treatment(&self) -> Treatment {
        match self.kind {
            Kind::Synthetic { .. } => Treatment::Synthetic,
            Kind::BlockedFile | Kind::BlockedDirectory => Treatment::Block,
        }
    }
}
