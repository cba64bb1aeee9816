//! What is told, in the forms that receivers take. The JSON form is documented and stays as it is.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value as Json, json};
use shieldrun_policy::schema::Notice;
use shieldrun_policy::verdict::{LeakRecord, Reason, Verdict};
use shieldrun_secrets::Redactor;

use super::text::{code, painted};

/// So many reasons and files are named; the counts say how many there are.
pub(crate) const MOST: usize = 20;

/// One notice: the body for webhooks and commands, as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Message {
    /// The version of this form.
    pub(crate) version: u32,
    /// `held`, `refused` or `leak`.
    pub(crate) event: &'static str,
    /// In one sentence.
    pub(crate) summary: String,
    pub(crate) run_id: String,
    /// Where it ran.
    pub(crate) host: String,
    pub(crate) workspace: String,
    /// argv, without real secrets.
    pub(crate) command: Vec<String>,
    pub(crate) verdict: Option<Verdict>,
    /// Why, at most twenty; and how many there are.
    pub(crate) reasons: Vec<Reason>,
    pub(crate) reason_count: usize,
    /// Files that wait, at most twenty; and how many there are.
    pub(crate) held: Vec<String>,
    pub(crate) held_count: usize,
    /// Files that were refused, in the same way.
    pub(crate) refused: Vec<String>,
    pub(crate) refused_count: usize,
    /// What was about to leave.
    pub(crate) leaks: Vec<LeakRecord>,
    /// What to type to look at it.
    pub(crate) review: String,
    /// What to type to let it through; none where nothing can be.
    pub(crate) approve: Option<String>,
    /// The path of the run record on that host.
    pub(crate) record: String,
}

impl Message {
    /// What happened, in one sentence.
    pub(crate) fn sentence(notice: Notice, held: usize, refused: usize) -> String {
        let files = |count: usize, verb: &str, verbs: &str| match count {
            1 => format!("1 file {verb}"),
            count => format!("{count} files {verbs}"),
        };
        match notice {
            Notice::Held => format!("{} for review", files(held, "waits", "wait")),
            Notice::Refused => format!("{} refused by policy", files(refused, "was", "were")),
            Notice::Leak => "a run was stopped: a real secret was about to leave".to_owned(),
        }
    }

    /// No real value in any of its texts.
    pub(super) fn painted(mut self, redactor: &Redactor<'_>) -> Self {
        let paint = |text: &mut String| *text = painted(redactor, text);
        paint(&mut self.summary);
        paint(&mut self.workspace);
        paint(&mut self.record);
        self.command.iter_mut().chain(&mut self.held).chain(&mut self.refused).for_each(paint);
        for reason in &mut self.reasons {
            paint(&mut reason.message);
            paint(&mut reason.rule);
            reason.pattern.iter_mut().chain(&mut reason.file).for_each(paint);
        }
        for leak in &mut self.leaks {
            paint(&mut leak.name);
            paint(&mut leak.place);
        }
        self
    }

    /// The whole of it.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of them: there is no way for this to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Why, one line each, in a form of the receiver's.
    pub(super) fn reason_lines(&self, code: fn(&str) -> String) -> Vec<String> {
        let mut lines: Vec<String> = self
            .reasons
            .iter()
            .map(|reason| {
                let mut line = String::new();
                if let Some(file) = &reason.file {
                    let place = reason.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
                    let _ = write!(line, "{}: ", code(&place));
                }
                let _ = write!(line, "{} ({})", code(&reason.message), code(&reason.rule));
                line
            })
            .collect();
        if self.reason_count > self.reasons.len() {
            lines.push(format!("and {} more", self.reason_count - self.reasons.len()));
        }
        lines
    }
}

/// A GraphQL request that makes an issue.
pub(super) fn linear(message: &Message, team: &str) -> Vec<u8> {
    const MUTATION: &str = "mutation Notice($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { identifier } } }";
    let body = json!({
        "query": MUTATION,
        "variables": {"input": {
            "teamId": team,
            "title": format!("shieldrun: {} ({})", message.summary, message.run_id),
            "description": markdown(message),
        }},
    });
    body.to_string().into_bytes()
}

/// Names come from the guest: all of them are code spans, in which nothing has a meaning.
fn markdown(message: &Message) -> String {
    let mut out = format!("{}.\n\n", message.summary);
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "- {name}: {value}");
    };
    row("run", code(&message.run_id));
    row("host", code(&message.host));
    row("workspace", code(&message.workspace));
    row("command", code(&message.command.join(" ")));
    if let Some(verdict) = message.verdict {
        row("verdict", Json::to_string(&json!(verdict)).trim_matches('"').to_owned());
    }
    for leak in &message.leaks {
        row("secret", format!("{} ({}) to {}", code(&leak.name), code(&leak.encoding), code(&leak.place)));
    }
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(out, "\n{title}:\n\n");
            lines.iter().for_each(|line| {
                let _ = writeln!(out, "- {line}");
            });
        }
    };
    list("Why", message.reason_lines(code));
    list("Waiting", files(&message.held, message.held_count));
    list("Refused", files(&message.refused, message.refused_count));
    let _ = write!(out, "\nLook at it: {}\n", code(&message.review));
    if let Some(approve) = &message.approve {
        let _ = writeln!(out, "Let it through: {}", code(approve));
    }
    out
}

fn files(named: &[String], count: usize) -> Vec<String> {
    let mut lines: Vec<String> = named.iter().map(|file| code(file)).collect();
    if count > named.len() {
        lines.push(format!("and {} more", count - named.len()));
    }
    lines
}
