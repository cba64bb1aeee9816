//! Which commands ran when a file was last written, as far as the record tells.
//!
//! That a command was executed, and when it ended, are facts. That it wrote the file is not: the kernel is not asked
//! about writes, and whoever writes can set a file's time. So this is a help for whoever reads, and decides nothing.

use std::collections::HashMap;

use serde_json::Value as Json;
use shieldrun_policy::audit::Timestamp;
use shieldrun_policy::changes::Change;

/// A command, from its execution to its end, in microseconds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    from: i64,
    to: i64,
    command: String,
}

/// The kernel stamps files by a clock that ticks this slowly.
const TICK: i64 = 10_000;
/// So many are named, the youngest first.
const MOST: usize = 3;

/// All commands of a run, from its log.
pub(crate) fn ran(log: &[u8]) -> Vec<Ran> {
    let (began, ended) = (memchr_of(b"\"process-started\""), memchr_of(b"\"process-exited\""));
    let mut found: Vec<Ran> = Vec::new();
    let mut alive: HashMap<u64, usize> = HashMap::new();
    for line in log.split(|byte| *byte == b'\n') {
        let (begins, ends) = (began.find(line).is_some(), ended.find(line).is_some());
        if !begins && !ends {
            continue;
        }
        let Ok(event) = serde_json::from_slice::<Json>(line) else { continue };
        let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let Ok(at) = text("/@timestamp").parse::<Timestamp>().map(Timestamp::micros) else { continue };
        let Some(pid) = event.pointer("/process/pid").and_then(Json::as_u64) else { continue };
        // A process that executes another program ends as the one it was.
        if let Some(own) = alive.remove(&pid).and_then(|own| found.get_mut(own)) {
            own.to = at;
        }
        if text("/event/action") != "process-started" {
            continue;
        }
        let words = event.pointer("/process/args").and_then(Json::as_array);
        let words: Vec<&str> = words.into_iter().flatten().filter_map(Json::as_str).collect();
        let command = if words.is_empty() { text("/process/executable").to_owned() } else { words.join(" ") };
        alive.insert(pid, found.len());
        found.push(Ran { from: at, to: i64::MAX, command });
    }
    found
}

/// Those that ran when a file was last written.
pub(crate) fn writers<'a>(ran: &'a [Ran], change: &Change) -> Vec<&'a str> {
    let Some(after) = &change.after else { return Vec::new() };
    let at = after.modified.0.saturating_mul(1_000_000).saturating_add(after.modified.1 / 1000);
    let then = ran.iter().rev().filter(|one| one.from <= at.saturating_add(TICK) && at <= one.to);
    then.take(MOST).map(|one| one.command.as_str()).collect()
}

fn memchr_of(needle: &'static [u8]) -> memchr::memmem::Finder<'static> {
    memchr::memmem::Finder::new(needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shieldrun_policy::changes::{Node, NodeKind};
    use shieldrun_policy::plan::Bytes;

    #[test]
    fn who_ran_then_is_named_and_who_had_ended_is_not() {
        let line = |second: u32, action: &str, pid: u32, words: &[&str]| {
            let args = serde_json::json!(words);
            format!(
                "{{\"@timestamp\":\"2026-11-24T15:04:{second:02}.000000Z\",\"event\":{{\"action\":\"{action}\"}},\"process\":{{\"pid\":{pid},\"args\":{args}}}}}\n"
            )
        };
        let log = [
            line(1, "process-started", 5, &["bash", "agent.sh"]),
            line(2, "process-started", 6, &["make", "all"]),
            line(4, "process-exited", 6, &[]),
            line(5, "process-started", 7, &["sed", "-i"]),
            "damaged \"process-started\"\n".to_owned(),
        ]
        .concat();
        let ran = ran(log.as_bytes());
        let base = "2026-11-24T15:04:00.000000Z".parse::<Timestamp>().expect("a time").micros() / 1_000_000;
        let at = |second: i64| {
            let node = Node {
                kind: NodeKind::Text,
                mode: 0o644,
                size: 0,
                modified: (base + second, 0),
                digest: None,
                attributes: None,
            };
            let path = Bytes(b"a".to_vec());
            Change { path, from: None, before: None, after: Some(node), lines: None, findings: Vec::new() }
        };
        assert_eq!(writers(&ran, &at(3)), ["make all", "bash agent.sh"]);
        assert_eq!(writers(&ran, &at(6)), ["sed -i", "bash agent.sh"]);
        assert_eq!(writers(&ran, &at(0)), [""; 0]);
    }
}
