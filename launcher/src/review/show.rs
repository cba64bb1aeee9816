//! What waits, for people and for programs, without a screen.

use std::io::{self, Write};

use serde_json::json;
use shieldrun_policy::changes::COMMITS;
use shieldrun_policy::verdict::{Reason, Verdict};

use super::threeway::{ThreeWay, conflicts};
use super::writers::{ran, writers};
use super::{Review, Standing, Standings, Waiting};
use crate::failure::Failure;
use crate::record::{EVENTS, Late, PATCH};

/// Prints the verdict, its reasons and the patch; or all of it as one JSON object.
///
/// # Errors
/// When the record cannot be read.
pub(crate) fn show(late: Late, as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let waiting = Waiting::open(late)?;
    let patch = waiting.late.bytes(PATCH)?;
    let conflicts = against(&waiting, &patch);
    let printed = if as_json {
        let changes: Vec<_> = waiting.set.to_lines().collect();
        let object = json!({
            "verdict": waiting.verdict,
            "changes": changes,
            "conflicts": conflicts,
            "ran_when_last_written": ran_then(&waiting)
                .into_iter()
                .map(|(file, commands)| (file, serde_json::Value::from(commands)))
                .collect::<serde_json::Map<_, _>>(),
            "patch": String::from_utf8_lossy(&patch),
        });
        writeln!(out, "{object}")
    } else {
        people(&waiting, &patch, &conflicts, out)
    };
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::doing("cannot print the review", error))
        }
        _ => Ok(()),
    }
}

/// The same for a full screen. The record is not held while a person looks: others may decide meanwhile.
///
/// # Errors
/// When the record cannot be read.
pub(crate) fn screen(late: Late) -> Result<Review, Failure> {
    let waiting = Waiting::open(late)?;
    let patch = waiting.late.bytes(PATCH)?;
    let conflicts = against(&waiting, &patch);
    let title = format!(
        "{}  {}  in {}",
        waiting.verdict.run_id,
        waiting.run.command.join(" "),
        waiting.run.workspace
    );
    let ran = ran_then(&waiting);
    Ok(Review::new(title, &waiting.verdict, &waiting.set, patch, &conflicts).with_commands(&ran))
}

/// What the host changed meanwhile. Where nothing is to go to the workspace, nothing stands against it.
fn against(waiting: &Waiting, patch: &[u8]) -> Vec<ThreeWay> {
    match waiting.upper() {
        Ok(upper) if waiting.run.promote_to.is_none() => conflicts(waiting, patch, &upper),
        _ => Vec::new(),
    }
}

/// For each file the commands that ran when it was last written.
fn ran_then(waiting: &Waiting) -> Vec<(String, Vec<String>)> {
    // A log that cannot be read whole says nothing here; `trace` says why.
    let ran = waiting.late.bytes(EVENTS).map(|log| ran(&log)).unwrap_or_default();
    let files = waiting.set.changes.iter().filter(|change| !change.is_directory());
    files
        .map(|change| {
            let commands = writers(&ran, change).into_iter().map(str::to_owned).collect();
            (change.path.to_string(), commands)
        })
        .filter(|(_, commands): &(String, Vec<String>)| !commands.is_empty())
        .collect()
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Goes => "goes ",
        Standing::Waits => "WAITS",
        Standing::Stays => "stays",
    }
}

fn people(waiting: &Waiting, patch: &[u8], conflicts: &[ThreeWay], out: &mut impl Write) -> io::Result<()> {
    let verdict = &waiting.verdict;
    let stands = Standings::new(verdict);
    writeln!(out, "run       {}", verdict.run_id)?;
    writeln!(out, "command   {}", waiting.run.command.join(" "))?;
    writeln!(out, "workspace {}", waiting.run.workspace)?;
    writeln!(out, "digest    {}", verdict.changes_digest)?;
    for reason in verdict.reasons.iter().filter(|reason| reason.file.is_none()) {
        writeln!(out, "          {}", reason.message)?;
    }
    for change in waiting.set.changes.iter().filter(|change| !change.is_directory()) {
        let file = change.path.to_string();
        let word = word(stands.of(&file));
        let lines =
            change.lines.map(|lines| format!(" +{} -{}", lines.added, lines.removed)).unwrap_or_default();
        writeln!(out, "{word}  {:<8} {file}{lines}", change.kind().word())?;
        let own = |reason: &&Reason| reason.file.as_ref() == Some(&file);
        for reason in verdict.reasons.iter().filter(own) {
            let line = reason.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let effect = if reason.effect == Verdict::Accept { " (a note)" } else { "" };
            writeln!(out, "         {line}{} [{}]{effect}", reason.message, reason.rule)?;
        }
    }
    if let Some(commits) = &waiting.set.commits {
        let word = word(stands.of(COMMITS));
        let moved: Vec<&str> = commits.references.iter().map(|reference| reference.name.as_str()).collect();
        writeln!(out, "{word}  commits  {COMMITS}: {} new, on {}", commits.count, moved.join(", "))?;
        for reason in verdict.reasons.iter().filter(|reason| reason.file.as_deref() == Some(COMMITS)) {
            writeln!(out, "         {} [{}]", reason.message, reason.rule)?;
        }
    }
    for left in &waiting.set.left_out {
        writeln!(out, "stays  left out {}: {}", left.path, left.reason)?;
    }
    for decision in &verdict.decisions {
        let word = format!("{:?}", decision.decision).to_lowercase();
        let comment = decision.comment.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
        writeln!(
            out,
            "{word} by {} at {} over {} files{comment}",
            decision.by,
            decision.at,
            decision.files.len()
        )?;
    }
    writeln!(out)?;
    for conflict in conflicts {
        writeln!(out, "{}: {}", conflict.path, conflict.why)?;
        let sides = [("you", &conflict.host), ("the run", &conflict.run)];
        for (name, text) in sides {
            writeln!(out, "what {name} changed:")?;
            lines(text.as_deref().unwrap_or("(no text, or not kept)"), out)?;
        }
        writeln!(out)?;
    }
    lines(&String::from_utf8_lossy(patch), out)
}

/// Nothing in them may move the terminal.
fn lines(text: &str, out: &mut impl Write) -> io::Result<()> {
    for line in text.lines() {
        let plain: String =
            line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        writeln!(out, "{plain}")?;
    }
    Ok(())
}
