//! What a run left on record, and whether it keeps to the contract of the record.
//!
//! Reads with serde_json and SHA-256 only: nothing of shieldrun's own crates, which are under test.

use super::documented::{missing_keys, missing_of_event};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::Path;

/// `--events` and `--result` of one run.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) event_bytes: Vec<u8>,
    pub(crate) result_bytes: Vec<u8>,
    pub(crate) events: Vec<Value>,
    pub(crate) result: Value,
}

impl Record {
    /// Reads what there is: a run that never started has neither file.
    pub(crate) fn read(directory: &Path) -> Self {
        let event_bytes = fs::read(directory.join("events")).unwrap_or_default();
        let result_bytes = fs::read(directory.join("result")).unwrap_or_default();
        let events = event_bytes
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect::<Vec<Value>>();
        let result = serde_json::from_slice(&result_bytes).unwrap_or(Value::Null);
        for event in &events {
            let missing = missing_of_event(event);
            assert!(missing.is_empty(), "not in launcher/docs/record.md: {missing:?} of {event}");
        }
        let missing = missing_keys("--result FILE", &result, "");
        assert!(missing.is_empty(), "not in launcher/docs/record.md: {missing:?} of {result}");
        Record { event_bytes, result_bytes, events, result }
    }

    /// All events of an action.
    pub(crate) fn of(&self, action: &str) -> Vec<&Value> {
        self.events.iter().filter(|e| text(e, "/event/action") == action).collect()
    }

    /// The environment reads of one variable.
    pub(crate) fn reads_of(&self, name: &str) -> Vec<&Value> {
        self.of("secret-env-read").into_iter().filter(|e| text(e, "/shieldrun/secret/name") == name).collect()
    }

    /// Whether an attempt on a path was reported, under any of the file actions.
    pub(crate) fn touched(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.events.iter().any(|event| {
            text(event, "/event/action").starts_with("secret-file-") && text(event, "/file/path") == path
        })
    }

    /// How many events one line stands for.
    pub(crate) fn count(event: &Value) -> u64 {
        event.pointer("/shieldrun/count").and_then(Value::as_u64).unwrap_or(1)
    }

    /// Every way in which the lines break the contract.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut previous: Option<&[u8]> = None;
        let mut sequence = None;
        let whole = self.event_bytes.strip_suffix(b"\n");
        if whole.is_none() {
            faults.push("the last line has no end".to_owned());
        }
        for line in whole.unwrap_or_default().split(|&byte| byte == b'\n') {
            let Ok(event) = serde_json::from_slice::<Value>(line) else {
                faults.push(format!("not JSON: {}", String::from_utf8_lossy(line)));
                continue;
            };
            let mut wrong = |what: &str| faults.push(format!("{what}: {}", String::from_utf8_lossy(line)));
            let link = previous.map_or_else(|| digest(text(&event, "/shieldrun/run_id").as_bytes()), digest);
            if text(&event, "/shieldrun/prev_hash") != link {
                wrong("the chain is broken here");
            }
            let number = event.pointer("/event/sequence").and_then(Value::as_u64);
            if number.is_none() || sequence.is_some_and(|before| number <= Some(before)) {
                wrong("event.sequence does not rise");
            }
            sequence = number.or(sequence);
            for fault in ecs_faults(&event) {
                wrong(fault);
            }
            previous = Some(line);
        }
        faults
    }
}

/// A string field, or nothing.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn ecs_faults(event: &Value) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let provider = text(event, "/event/provider");
    let trust = text(event, "/shieldrun/trust");
    let stamp = text(event, "/@timestamp");
    let list =
        |pointer: &str| event.pointer(pointer).is_some_and(|v| v.as_array().is_some_and(|a| !a.is_empty()));
    for (holds, fault) in [
        (
            stamp.len() == 27 && stamp.ends_with('Z') && stamp.as_bytes()[10] == b'T',
            "@timestamp has another form",
        ),
        (text(event, "/ecs/version").starts_with("8."), "ecs.version is missing"),
        (!text(event, "/event/kind").is_empty(), "event.kind is missing"),
        (list("/event/category"), "event.category is no list"),
        (list("/event/type"), "event.type is no list"),
        (!text(event, "/event/action").is_empty(), "event.action is missing"),
        (
            ["success", "failure", "unknown"].contains(&text(event, "/event/outcome")),
            "event.outcome is none of the three",
        ),
        (
            ["launcher", "kernel", "tripwire", "egress", "gate", "review", "shim"].contains(&provider),
            "event.provider is unknown",
        ),
        (
            trust == if provider == "shim" { "claim" } else { "fact" },
            "trust does not follow from the provider",
        ),
        (!text(event, "/shieldrun/run_id").is_empty(), "shieldrun.run_id is missing"),
    ] {
        if !holds {
            faults.push(fault);
        }
    }
    faults
}

fn digest(bytes: &[u8]) -> String {
    super::made_up::hex(&Sha256::digest(bytes))
}
