//! Owns what a person is told of a run's changes: what waits, what was refused, what stands against it. That
//! all is well only at a terminal, in one line.

use std::io::IsTerminal;

use shieldrun_policy::verdict::{Reason, Verdict, VerdictRecord};

use super::Trial;
use super::settle::Settled;
use crate::deliver;
use crate::say;

/// So many files are named, the rest is counted.
const MOST: usize = 10;

/// Says it.
pub(super) fn say(trial: &Trial<'_>, settled: &Settled) {
    let run = trial.directory.id();
    if let Some(failure) = &settled.failure {
        let _ = failure.say();
        say::line(format_args!("nothing was promoted; `shieldrun approve {run}` tries again"));
    }
    let Some(verdict) = &settled.verdict else { return };
    if !verdict.refused.is_empty() {
        let promoted = if settled.promoted.is_empty() {
            "nothing of the run was promoted"
        } else {
            "they stay in the run"
        };
        say::line(format_args!("{} refused by policy; {promoted}:", files(verdict.refused.len())));
        name(verdict, &verdict.refused, Verdict::Refuse);
    }
    if !settled.conflicts.is_empty() {
        say::line(format_args!(
            "{} changed on the host meanwhile; nothing was promoted:",
            files(settled.conflicts.len())
        ));
        for conflict in settled.conflicts.iter().take(MOST) {
            say::line(format_args!("  {}: {}", conflict.path, conflict.why));
        }
        rest(settled.conflicts.len());
        say::line(format_args!(
            "hint: `shieldrun approve {run}` once they are as they were, or leave them out: `shieldrun reject {run} FILE`"
        ));
    }
    if !verdict.held.is_empty() {
        say::line(format_args!("{} for a person: shieldrun review {run}", wait(verdict.held.len())));
        name(verdict, &verdict.held, Verdict::Hold);
    }
    if !trial.arguments.quiet && std::io::stderr().is_terminal() && !settled.promoted.is_empty() {
        let place =
            trial.place.map(|place| format!(" in {}", deliver::name(Some(place)))).unwrap_or_default();
        say::line(format_args!(
            "{} changed{place}; to take it back: shieldrun undo {run}",
            files(settled.promoted.len())
        ));
    }
    if !settled.left.is_empty() {
        say::line(format_args!("{} not in {}:", files(settled.left.len()), deliver::name(trial.place)));
        for (path, why) in settled.left.iter().take(MOST) {
            say::line(format_args!("  {path}: {why}"));
        }
        rest(settled.left.len());
    }
}

fn files(count: usize) -> String {
    format!("{count} file{}", if count == 1 { "" } else { "s" })
}

fn wait(count: usize) -> String {
    format!("{} wait{}", files(count), if count == 1 { "s" } else { "" })
}

fn name(verdict: &VerdictRecord, listed: &[String], effect: Verdict) {
    for file in listed.iter().take(MOST) {
        let of =
            |reason: &&Reason| reason.effect == effect && reason.file.as_ref().is_none_or(|own| own == file);
        let reason = verdict.reasons.iter().find(of);
        let line = reason.and_then(|reason| reason.line).map(|line| format!(":{line}")).unwrap_or_default();
        let why = reason.map(|reason| reason.message.as_str()).unwrap_or_default();
        say::line(format_args!("  {file}{line}: {why}"));
    }
    rest(listed.len());
}

fn rest(count: usize) {
    if count > MOST {
        say::line(format_args!("  and {} more", count - MOST));
    }
}
