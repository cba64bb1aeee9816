//! The JSON Schema of a policy file and of `--config`, from the table that the reader walks.

use serde_json::{Map, Value as Json, json};

use super::table::{CONFIG_NAMES, FILE_MODES, KEYS, Key, Kind, PLACES, Shape, leaf};
use super::words::Word;

/// The schema, draft 2020-12. It describes a policy file; `$defs/config` is the object that `--config` takes,
/// which has the same keys and some flat ones.
pub fn json_schema() -> Json {
    let properties = properties(KEYS);
    let mut config = properties.clone();
    for (name, path) in CONFIG_NAMES {
        if let Some(key) = leaf(path) {
            config.insert((*name).to_owned(), schema_of(key));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sandbox-policy.yaml",
        "description": "What a run of shieldrun may do.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": properties,
        "$defs": {
            "config": {
                "description": "What `--config` takes.",
                "type": "object",
                "additionalProperties": false,
                "properties": config,
            }
        }
    })
}

fn properties(keys: &'static [Key]) -> Map<String, Json> {
    keys.iter().map(|key| (key.name.to_owned(), schema_of(key))).collect()
}

fn schema_of(key: &'static Key) -> Json {
    let mut schema = match &key.shape {
        Shape::Leaf(kind, _) => leaf_schema(*kind),
        Shape::Section { keys, short } => {
            let map = json!({
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": properties(keys),
            });
            match short.and_then(leaf) {
                Some(short) => json!({"oneOf": [schema_of(short), map]}),
                None => map,
            }
        }
    };
    if let Json::Object(map) = &mut schema {
        map.insert("description".to_owned(), Json::from(key.doc));
    }
    schema
}

fn leaf_schema(kind: Kind) -> Json {
    match kind {
        Kind::Word { words, default } => json!({"enum": spelled(words), "default": default}),
        Kind::Flag { default } => json!({"type": "boolean", "default": default}),
        Kind::Seconds => json!({"oneOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "none"}]}),
        Kind::Count => json!({"oneOf": [{"type": "integer", "minimum": 1}, {"const": "none"}]}),
        Kind::Size => json!({"oneOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": "^([0-9.]+ ?([bB]|[kKmMgGtT]([iI]?[bB])?)?|none)$"},
        ]}),
        Kind::Patterns => json!({"type": ["array", "null"], "items": {"oneOf": [
            {"type": "string", "minLength": 1},
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["pattern"],
                "properties": {
                    "pattern": {"type": "string", "minLength": 1},
                    "in": {"oneOf": [
                        {"enum": spelled(PLACES)},
                        {"type": "array", "items": {"enum": spelled(PLACES)}},
                    ]},
                },
            },
        ]}}),
        Kind::ReviewGlobs
        | Kind::NameGlobs
        | Kind::Paths
        | Kind::Hosts
        | Kind::Resolve
        | Kind::WholeHosts => {
            json!({"type": ["array", "null"], "items": {"type": "string", "minLength": 1}})
        }
        Kind::FileRules => {
            json!({"type": ["object", "null"], "additionalProperties": {"enum": spelled(FILE_MODES)}})
        }
        Kind::Bindings => json!({"type": ["object", "null"], "additionalProperties": {
            "type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1},
        }}),
        Kind::Words { words, default } => {
            json!({"type": ["array", "null"], "items": {"enum": spelled(words)}, "default": default})
        }
        Kind::Within { default } => {
            json!({"type": "number", "exclusiveMinimum": 0, "default": default as f64 / 1000.0})
        }
        Kind::Budget { default } => json!({"oneOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": "^[0-9.]+ ?([bB]|[kKmMgGtT]([iI]?[bB])?)?$"},
        ], "default": default}),
        Kind::Text => json!({"type": ["string", "null"], "minLength": 1}),
        Kind::Reference => json!({"type": ["string", "null"], "pattern": REFERENCE}),
        Kind::Address => {
            json!({"type": ["string", "null"], "pattern": format!("{REFERENCE}|^https?://[^@?#]+$")})
        }
        Kind::Command => json!({"type": ["array", "null"], "items": {"type": "string"}}),
        Kind::Sinks => json!({"type": ["array", "null"], "items": {
            "type": "string",
            "pattern": "^(unix:.+|(syslog|journald)(:.+)?|otlp:https?://.+)$",
        }}),
    }
}

const REFERENCE: &str = "^env:[A-Za-z_][A-Za-z0-9_]*$|^file:(/|~/).+$";

fn spelled(words: &[Word]) -> Vec<&'static str> {
    words.iter().map(|word| word.word).collect()
}
