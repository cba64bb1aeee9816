//! A run's log for people: one event a line, with the time since the run began; then the same by subject.

use std::io::{self, BufRead, BufReader, Write};

use serde_json::Value as Json;
use shieldrun_policy::audit::Timestamp;

use super::past::{Past, plain};
use super::story::Story;
use super::{EVENTS, RecordError};

/// How a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TraceForm {
    /// A timeline.
    People,
    /// The lines as they are.
    Json,
}

/// Writes the trace of a run. A line that is damaged is shown as that, and the rest all the same.
pub(crate) fn trace(past: &Past, form: TraceForm, out: &mut impl Write) -> Result<(), RecordError> {
    let unreadable = |source: io::Error| RecordError::Read { path: past.path.join(EVENTS), source };
    let failed = |source: io::Error| RecordError::Output { source };
    let mut log = BufReader::with_capacity(256 << 10, past.log()?);
    if form == TraceForm::Json {
        loop {
            let bytes = log.fill_buf().map_err(unreadable)?;
            if bytes.is_empty() {
                return Ok(());
            }
            out.write_all(bytes).map_err(failed)?;
            let count = bytes.len();
            log.consume(count);
        }
    }
    let mut start = None;
    let mut line = Vec::new();
    let mut story = Story::default();
    loop {
        line.clear();
        if log.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return story.write(out).map_err(failed);
        }
        let row = match serde_json::from_slice::<Json>(&line) {
            Ok(event) => {
                story.take(&event);
                row(&event, &mut start)
            }
            Err(_) => "        ?  (a damaged line; see `--verify`)".to_owned(),
        };
        writeln!(out, "{row}").map_err(failed)?;
    }
}

fn row(event: &Json, start: &mut Option<Timestamp>) -> String {
    let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).map(plain);
    let at = text("/@timestamp").and_then(|at| at.parse::<Timestamp>().ok());
    let since = at.map_or(0, |at| at.micros() - start.get_or_insert(at).micros());
    let action = text("/event/action").unwrap_or_default();
    let mut row = format!("{:>9.3}  {action:<20}", since as f64 / 1e6);
    if let Some(pid) = event.pointer("/process/pid").and_then(Json::as_u64) {
        let program = text("/process/executable").unwrap_or_default();
        row.push_str(&format!(" {}[{pid}]", program.rsplit('/').next().unwrap_or_default()));
    }
    let args: Vec<String> = event
        .pointer("/process/args")
        .and_then(Json::as_array)
        .map(|args| args.iter().filter_map(Json::as_str).map(plain).collect())
        .unwrap_or_default();
    if matches!(action.as_str(), "run-started" | "process-started" | "command-blocked") && !args.is_empty() {
        row.push_str(&format!("  {}", args.join(" ")));
    }
    for (pointer, before) in [
        ("/file/path", ""),
        ("/file/target_path", "-> "),
        ("/destination/address", ""),
        ("/shieldrun/secret/name", ""),
        ("/shieldrun/syscall", ""),
        ("/shieldrun/limit", ""),
        ("/shieldrun/leak/place", "to "),
        ("/shieldrun/leak/encoding", "as "),
        ("/shieldrun/action", "given: "),
        ("/rule/name", "rule: "),
        ("/shieldrun/tier", "isolation: "),
        ("/user/name", "by "),
        ("/message", ""),
    ] {
        if let Some(text) = text(pointer) {
            row.push_str(&format!("  {before}{text}"));
        }
    }
    for (pointer, before) in [
        ("/destination/port", "port "),
        ("/process/exit_code", "exit "),
        ("/shieldrun/exit/code", "exit "),
        ("/shieldrun/signal", "signal "),
        ("/shieldrun/exit/signal", "signal "),
        ("/shieldrun/dropped/events", "lost: "),
    ] {
        if let Some(number) = event.pointer(pointer).and_then(Json::as_u64) {
            row.push_str(&format!("  {before}{number}"));
        }
    }
    if let Some(count) = event.pointer("/shieldrun/count").and_then(Json::as_u64).filter(|count| *count > 1) {
        row.push_str(&format!("  ×{count}"));
    }
    if text("/shieldrun/trust").as_deref() == Some("claim") {
        row.push_str("  (claim)");
    }
    row
}
