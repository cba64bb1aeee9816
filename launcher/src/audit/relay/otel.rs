//! An event in OpenTelemetry's words: a log record with the names of the semantic conventions, where there are
//! any, and of the Elastic Common Schema or our own, where there are none.

use serde_json::{Map, Value as Json, json};
use shieldrun_policy::audit::Timestamp;

use super::datagram::severity;

/// Names of the event's fields that are other names there.
const RENAMED: &[(&str, &str)] = &[
    ("process.executable", "process.executable.path"),
    ("process.args", "process.command_args"),
    ("process.parent.pid", "process.parent_pid"),
    ("process.exit_code", "process.exit.code"),
    ("destination.ip", "network.peer.address"),
    ("file.target_path", "file.symbolic_link.target_path"),
];

/// The record of one event.
pub(super) fn log_record(event: &Json) -> Json {
    let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str);
    let at = text("/@timestamp").and_then(|at| at.parse::<Timestamp>().ok()).map_or(0, |at| at.micros());
    let nanos = format!("{}000", at.max(0));
    let (number, word) = match severity(event) {
        1 => (17, "ERROR"),
        4 => (13, "WARN"),
        _ => (9, "INFO"),
    };
    let action = text("/event/action").unwrap_or("unknown");
    let mut attributes = Vec::new();
    if let Json::Object(fields) = event {
        flatten("", fields, &mut attributes);
    }
    json!({
        "timeUnixNano": nanos,
        "observedTimeUnixNano": nanos,
        "severityNumber": number,
        "severityText": word,
        "eventName": format!("shieldrun.{action}"),
        "body": {"stringValue": text("/message").unwrap_or(action)},
        "attributes": attributes,
    })
}

fn flatten(prefix: &str, fields: &Map<String, Json>, out: &mut Vec<Json>) {
    for (name, value) in fields {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            // These are fields of the record itself.
            _ if matches!(path.as_str(), "@timestamp" | "message" | "ecs") => {}
            Json::Object(fields) => flatten(&path, fields, out),
            value => {
                let name = RENAMED.iter().find(|(ours, _)| *ours == path).map_or(path.as_str(), |(_, n)| n);
                out.push(json!({"key": name, "value": any_value(value)}));
            }
        }
    }
}

fn any_value(value: &Json) -> Json {
    match value {
        Json::String(text) => json!({"stringValue": text}),
        Json::Bool(flag) => json!({"boolValue": flag}),
        Json::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Json::Number(number) => json!({"intValue": number.to_string()}),
        Json::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Json::Object(fields) => {
            let mut values = Vec::new();
            flatten("", fields, &mut values);
            json!({"kvlistValue": {"values": values}})
        }
        Json::Null => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_are_those_of_the_conventions() {
        let event = json!({
            "@timestamp": "2026-11-24T15:04:05.123456Z", "ecs": {"version": "8.17"}, "message": "m",
            "event": {"kind": "alert", "action": "leak-stopped", "category": ["file"], "sequence": 3},
            "process": {"pid": 7, "executable": "/bin/x", "args": ["x", "y"], "parent": {"pid": 5}},
            "shieldrun": {"trust": "fact", "ancestors": [{"pid": 5}]},
        });
        let record = log_record(&event);
        assert_eq!(record["timeUnixNano"], "1795532645123456000");
        assert_eq!(
            (&record["severityNumber"], &record["eventName"]),
            (&json!(17), &json!("shieldrun.leak-stopped"))
        );
        assert_eq!(record["body"]["stringValue"], "m");
        let find = |key: &str| {
            let attributes = record["attributes"].as_array().expect("a list");
            attributes.iter().find(|a| a["key"] == key).map(|a| a["value"].clone())
        };
        assert_eq!(find("process.pid"), Some(json!({"intValue": "7"})));
        assert_eq!(find("process.executable.path"), Some(json!({"stringValue": "/bin/x"})));
        assert_eq!(find("process.parent_pid"), Some(json!({"intValue": "5"})));
        assert_eq!(
            find("process.command_args"),
            Some(json!({"arrayValue": {"values": [{"stringValue": "x"}, {"stringValue": "y"}]}}))
        );
        assert_eq!(find("shieldrun.trust"), Some(json!({"stringValue": "fact"})));
        assert!(find("@timestamp").is_none() && find("ecs.version").is_none());
    }
}
