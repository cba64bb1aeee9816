//! Whether what a run wrote is in the document that describes it. Every run of the suite is held to that.

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../launcher/docs/record.md");

/// The fields of an event, and its action, that the document does not name.
pub(crate) fn missing_of_event(event: &Value) -> Vec<String> {
    let section = section("Events");
    let mut missing = Vec::new();
    fields(event, String::new(), &mut |field| {
        let field = if field.starts_with("shieldrun.raw.") { "shieldrun.raw.FIELD" } else { field };
        if !section.contains(&format!("`{field}`")) {
            missing.push(field.to_owned());
        }
    });
    let action = event.pointer("/event/action").and_then(Value::as_str).unwrap_or_default();
    if !section.contains(&format!("`{action}`")) {
        missing.push(format!("the action {action}"));
    }
    missing
}

/// The keys of an object, at any depth, that a section does not name. What is beneath `free` is somebody else's form.
pub(crate) fn missing_keys(title: &str, value: &Value, free: &str) -> Vec<String> {
    let section = section(title);
    let mut missing = Vec::new();
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    if !section.contains(&format!("`{key}`")) {
                        missing.push(key.clone());
                    }
                    if key != free {
                        left.push(inner);
                    }
                }
            }
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    missing
}

fn section(title: &str) -> &'static str {
    let mut sections = DOCUMENT.split("\n## ");
    let found =
        sections.find(|section| section.lines().next().is_some_and(|line| line.replace('`', "") == title));
    found.unwrap_or_else(|| panic!("the document has no section {title}"))
}

fn fields(value: &Value, path: String, each: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                fields(inner, path, each);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| fields(item, format!("{path}[]"), each));
        }
        _ => each(&path),
    }
}
