//! What a run did to the repository itself: commits on branches, which go over as git carries them.

use serde_json::{Value as Json, json};

/// How the file that stands for all of it is called, in a verdict and in a decision.
pub const COMMITS: &str = ".git";

/// References that are not as they were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commits {
    /// Sorted by name.
    pub references: Vec<Reference>,
    /// What `HEAD` says now (`ref: refs/heads/x`, or an id), where that is another.
    pub head: Option<(String, String)>,
    /// Commits that are new.
    pub count: u64,
    /// Files in them that wait or are refused, with the reason: what no file of the tree shows any more.
    pub hidden: Vec<Hidden>,
}

/// One reference, before and after; none where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `refs/heads/main`.
    pub name: String,
    /// The id it had.
    pub old: Option<String>,
    /// The id it has.
    pub new: Option<String>,
}

/// A version of a file that a new commit holds and the tree does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The change from nothing to it, with what was found in it.
    pub change: super::Change,
}

impl Commits {
    pub(super) fn to_json(&self) -> Json {
        let one = |reference: &Reference| json!({"name": reference.name, "old": reference.old, "new": reference.new});
        let references: Vec<Json> = self.references.iter().map(one).collect();
        let head = self.head.as_ref().map(|(old, new)| json!({"old": old, "new": new}));
        json!({"path": COMMITS, "commits": self.count, "references": references, "head": head})
    }

    pub(super) fn from_json(line: &Json) -> Option<Self> {
        let text = |value: &Json, key: &str| value.get(key).and_then(Json::as_str).map(str::to_owned);
        let one = |value: &Json| {
            Some(Reference { name: text(value, "name")?, old: text(value, "old"), new: text(value, "new") })
        };
        let head = match line.get("head") {
            None | Some(Json::Null) => None,
            Some(head) => Some((text(head, "old")?, text(head, "new")?)),
        };
        Some(Commits {
            references: line.get("references")?.as_array()?.iter().map(one).collect::<Option<_>>()?,
            head,
            count: line.get("commits")?.as_u64()?,
            hidden: Vec::new(),
        })
    }
}
