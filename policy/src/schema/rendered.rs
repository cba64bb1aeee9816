//! The policy of a run as JSON, and the digest of that.

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::effective::{RuleForce, file_rule};
use super::layer::{Effective, seconds};
use super::table::Kind;
use super::value::{Item, Value};

/// The values as a tree, in table order.
pub(super) fn nested(settings: &[Effective]) -> Json {
    let mut root = Map::new();
    for setting in settings {
        let mut at = &mut root;
        let mut parts = setting.key.path.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                at.insert(part.to_owned(), json(setting));
                break;
            }
            let below = at.entry(part).or_insert_with(|| Json::Object(Map::new()));
            match below {
                Json::Object(map) => at = map,
                // A leaf is never above another: the table's test says so.
                _ => break,
            }
        }
    }
    Json::Object(root)
}

fn json(setting: &Effective) -> Json {
    match &setting.value {
        Value::Word(word) => Json::from(*word),
        Value::Flag(flag) => Json::from(*flag),
        Value::Limit(None) => Json::from("none"),
        Value::Limit(Some(limit)) if is_time(setting.kind) && !limit.is_multiple_of(1000) => {
            seconds(*limit).parse::<f64>().map_or(Json::Null, Json::from)
        }
        Value::Limit(Some(limit)) if is_time(setting.kind) => Json::from(limit / 1000),
        Value::Limit(Some(limit)) => Json::from(*limit),
        Value::Items(items) => Json::Array(items.iter().map(item_json).collect()),
        Value::Text(text) => text.as_deref().map_or(Json::Null, Json::from),
    }
}

fn is_time(kind: Kind) -> bool {
    matches!(kind, Kind::Seconds | Kind::Within { .. })
}

fn item_json(item: &Item) -> Json {
    let mut map = Map::new();
    if let Some(rule) = file_rule(item) {
        map.insert("path".to_owned(), Json::from(rule.path));
        map.insert("mode".to_owned(), Json::from(rule.mode.word()));
        map.insert("at_least".to_owned(), Json::from(rule.force != RuleForce::Exactly));
        return Json::Object(map);
    }
    if item.places.is_empty() {
        return Json::from(item.text.as_str());
    }
    map.insert("pattern".to_owned(), Json::from(item.text.as_str()));
    map.insert("in".to_owned(), Json::from(item.places.clone()));
    Json::Object(map)
}

/// What tells two policies apart.
pub(super) fn digest(settings: &[Effective]) -> String {
    let mut text = String::new();
    canonical(&nested(settings), &mut text);
    let hash = Sha256::digest(text.as_bytes());
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&hash))
}

/// JSON with sorted keys and no white space: the same values are the same bytes, whatever order
/// `serde_json` keeps its maps in (another crate's feature decides that). Depth is bounded by the reader.
fn canonical(value: &Json, out: &mut String) {
    match value {
        Json::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push(':');
                canonical(map.get(key).unwrap_or(&Json::Null), out);
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
