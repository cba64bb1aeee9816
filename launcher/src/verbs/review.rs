//! `review`, `approve`, `reject`, `undo`.

use std::io::IsTerminal;
use std::process::ExitCode;

use crate::deliver;
use crate::failure::Failure;
use crate::record::{self, Late};
use crate::review::{self, Decided, Marks, Request};
use crate::say;

/// `approve` and `reject`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Approve,
    Reject,
}

pub(super) fn show(run: &str, json: bool) -> Result<ExitCode, Failure> {
    if !json && std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return on_screen(run);
    }
    review::show(locked(run)?, json, &mut std::io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

fn on_screen(run: &str) -> Result<ExitCode, Failure> {
    let screen = review::screen(locked(run)?)?;
    let marks = screen.run().map_err(|error| Failure::doing("cannot show the review", error))?;
    let Some(Marks { approve, reject, parts, comment }) = marks else { return Ok(ExitCode::SUCCESS) };
    // Rejected first: what stays must not go with the rest.
    let mut code = ExitCode::SUCCESS;
    for (answer, files) in [(Answer::Reject, reject), (Answer::Approve, approve)] {
        if !files.is_empty() {
            code = decide(answer, run, &Request { files, comment: comment.clone(), ..Request::default() })?;
        }
    }
    for (file, hunks) in parts {
        let request = Request { files: vec![file], hunks, comment: comment.clone(), ..Request::default() };
        code = decide(Answer::Approve, run, &request)?;
    }
    Ok(code)
}

pub(super) fn decide(answer: Answer, run: &str, request: &Request) -> Result<ExitCode, Failure> {
    let late = locked(run)?;
    let decided = match answer {
        Answer::Approve => review::approve(late, request)?,
        Answer::Reject => review::reject(late, request)?,
    };
    let word = if answer == Answer::Approve { "approved" } else { "rejected" };
    say::line(format_args!("{word}: {}", list(&decided.files)));
    if !decided.promoted.is_empty() {
        let place = deliver::name(decided.place.as_ref());
        say::line(format_args!("now in {place}: {}", list(&decided.promoted)));
    }
    for (path, why) in &decided.left {
        say::line(format_args!("{path}: {why}"));
    }
    if decided.waiting > 0 {
        say::line(format_args!("still waiting: {}", decided.waiting));
    }
    Ok(conflicts(&decided))
}

pub(super) fn undo(run: &str) -> Result<ExitCode, Failure> {
    let decided = review::take_back(locked(run)?)?;
    match (decided.files.is_empty(), decided.conflicts.is_empty()) {
        (true, true) => say::line("nothing of this run is in your tree"),
        (false, _) => say::line(format_args!("taken back: {}", list(&decided.files))),
        (true, false) => {}
    }
    Ok(conflicts(&decided))
}

/// A conflict is no success: what was asked for was not done.
fn conflicts(decided: &Decided) -> ExitCode {
    if decided.conflicts.is_empty() {
        return ExitCode::SUCCESS;
    }
    say::line("nothing was changed, because of what changed on the host:");
    for conflict in &decided.conflicts {
        say::line(format_args!("  {}: {}", conflict.path, conflict.why));
    }
    ExitCode::FAILURE
}

fn list(files: &[String]) -> String {
    const MOST: usize = 8;
    match files.len() {
        0 => "nothing".to_owned(),
        count if count <= MOST => files.join(", "),
        count => format!(
            "{} and {} more",
            files.iter().take(MOST).cloned().collect::<Vec<_>>().join(", "),
            count - MOST
        ),
    }
}

fn locked(run: &str) -> Result<Late, Failure> {
    let runs = super::runs()?;
    super::finish_what_was_cut_off(&runs);
    Ok(Late::lock(record::find(&runs, run)?)?)
}
