//! The forms of `verdict.json` and of `--result`: plain data, in the order of the record's contract.
//!
//! Who fills them in (gate, review, launcher) is not here.

use serde::{Deserialize, Serialize};

/// What becomes of the changes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// They are promoted.
    Accept,
    /// They wait for a person.
    Hold,
    /// They stay in the run.
    Refuse,
}

/// Why a file is held or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The key of the policy, or the gate's own rule.
    pub rule: String,
    /// The entry of that key, where it has entries.
    pub pattern: Option<String>,
    /// The file, relative to the workspace.
    pub file: Option<String>,
    /// The line in the new file, from 1.
    pub line: Option<u64>,
    /// What it leads to.
    pub effect: Verdict,
    /// For people.
    pub message: String,
}

/// `approve` or `reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To be promoted.
    Approve,
    /// To stay.
    Reject,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// `user@host`.
    pub by: String,
    /// RFC 3339.
    pub at: String,
    /// What.
    pub decision: Answer,
    /// Over which files.
    pub files: Vec<String>,
    /// Over which hunks of the one file, from 1; empty for all of it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hunks: Vec<usize>,
    /// In their words.
    pub comment: Option<String>,
    /// Over which changes, exactly.
    pub changes_digest: String,
}

impl Decision {
    /// Whether it is over a part of a file.
    pub fn is_part(&self) -> bool {
        !self.hunks.is_empty()
    }
}

/// The whole of `verdict.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// The run.
    pub run_id: String,
    /// In one word.
    pub verdict: Verdict,
    /// The policy it follows from.
    pub policy_digest: String,
    /// The changes it is about.
    pub changes_digest: String,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Files that go.
    pub accepted: Vec<String>,
    /// Files that wait.
    pub held: Vec<String>,
    /// Files that stay.
    pub refused: Vec<String>,
    /// What people decided since.
    pub decisions: Vec<Decision>,
}

/// Where accepted changes go, if not to the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromoteTo {
    /// A directory, by its path from the root: `--promote-to`.
    Directory(String),
    /// A branch of the workspace's repository: `--promote-to-branch`.
    Branch(String),
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResultExit {
    /// The code that the parent got.
    pub code: Option<u8>,
    /// The signal the command died of.
    pub signal: Option<u8>,
    /// The cause, when the code is ours: `leak`, `refused`, `held`, `timeout`, `setup`.
    pub shieldrun: Option<String>,
}

/// A secret that was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// The variable or field.
    pub name: String,
    /// The kind of credential.
    pub kind: String,
    /// The program that did it, where it is known.
    pub by: Option<String>,
    /// How often.
    pub count: u64,
}

/// Secrets of a run, in numbers and names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResultSecrets {
    /// How many stood in the way of the command and were replaced or blocked.
    pub replaced: u64,
    /// Those that something asked for.
    pub touched: Vec<Touched>,
}

/// Something that was not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// `event.action` of the event.
    pub action: String,
    /// The command, path or host.
    pub what: String,
    /// The rule.
    pub rule: Option<String>,
}

/// A real value that was about to leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeakRecord {
    /// The variable or field.
    pub name: String,
    /// The kind of credential.
    pub kind: String,
    /// `stdout`, `stderr`, a host, a file.
    pub place: String,
    /// `raw`, `base64`, …
    pub encoding: String,
}

/// The whole of `--result`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The run.
    pub run_id: String,
    /// argv, without real secrets.
    pub command: Vec<String>,
    /// How it ended.
    pub exit: ResultExit,
    /// How long it took.
    pub duration_seconds: f64,
    /// `full` or `preload`.
    pub isolation: String,
    /// What becomes of the changes; none where there was no gate.
    pub verdict: Option<Verdict>,
    /// Files that reached the real tree, or the place in `promoted_to`.
    pub promoted: Vec<String>,
    /// Where they went, if not to the workspace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub promoted_to: Option<PromoteTo>,
    /// Files that wait.
    pub held: Vec<String>,
    /// Files that stay.
    pub refused: Vec<String>,
    /// Secrets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secrets: Option<ResultSecrets>,
    /// What was not allowed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub denied: Option<Vec<Denied>>,
    /// What was about to leave.
    pub leaks: Vec<LeakRecord>,
    /// The path of the run record.
    pub record: String,
}

impl RunResult {
    /// The short form of `shieldrun runs --json`: without `secrets` and `denied`.
    pub fn brief(mut self) -> Self {
        self.secrets = None;
        self.denied = None;
        self
    }
}
