//! JSON into the same tree, for `--config`.
//!
//! The grammar is `serde_json`'s. It tells no places for values, but lends each as a slice of the text, and
//! where a slice lies in the text is its place.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::diagnostic::{Diagnostic, SourceText};
use super::document::{Entry, MOST_DEPTH, Node, NodeValue, Quoting, Span};
use super::yaml::without_duplicates;

/// What was understood, and every mistake.
pub(crate) fn parse(source: &SourceText<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    if source.text.trim().is_empty() {
        return None;
    }
    match serde_json::from_str::<&RawValue>(source.text) {
        Ok(raw) => Some(node(source, raw.get(), 0, diagnostics)),
        Err(error) => {
            let span = Span::new(error.line().max(1), error.column().max(1), 1);
            let message = error.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text);
            diagnostics.push(source.diagnostic(span, format!("not JSON: {message}")));
            None
        }
    }
}

/// `raw` is a whole value: the grammar has accepted it.
fn node(source: &SourceText<'_>, raw: &str, depth: usize, diagnostics: &mut Vec<Diagnostic>) -> Node {
    let span = place(source, raw);
    let faulty = Node { span, value: NodeValue::Faulty };
    let nested = raw.starts_with(['{', '[']);
    if nested && depth >= MOST_DEPTH {
        diagnostics.push(source.diagnostic(span, format!("nested deeper than {MOST_DEPTH} levels")));
        return faulty;
    }
    let value = match raw.as_bytes().first() {
        Some(b'{') => match serde_json::from_str::<RawMap<'_>>(raw) {
            Ok(RawMap(entries)) => {
                let entries = entries
                    .into_iter()
                    .filter_map(|(key, value)| {
                        let key_span = place(source, key.get());
                        let value = node(source, value.get(), depth + 1, diagnostics);
                        match serde_json::from_str(key.get()) {
                            Ok(key) => Some(Entry { key, key_span, value }),
                            Err(_) => {
                                diagnostics.push(source.diagnostic(key_span, NOT_UNICODE));
                                None
                            }
                        }
                    })
                    .collect();
                NodeValue::Map(without_duplicates(source, entries, diagnostics))
            }
            Err(_) => return unreadable(source, faulty, diagnostics),
        },
        Some(b'[') => match serde_json::from_str::<RawList<'_>>(raw) {
            Ok(RawList(items)) => NodeValue::List(
                items.into_iter().map(|item| node(source, item.get(), depth + 1, diagnostics)).collect(),
            ),
            Err(_) => return unreadable(source, faulty, diagnostics),
        },
        Some(b'"') => match serde_json::from_str::<String>(raw) {
            Ok(text) => NodeValue::Scalar(text, Quoting::Quoted),
            Err(_) => return unreadable(source, faulty, diagnostics),
        },
        _ => NodeValue::Scalar(raw.to_owned(), Quoting::Bare),
    };
    Node { span, value }
}

/// A lone surrogate: JSON's grammar allows it, text cannot hold it.
const NOT_UNICODE: &str = "not JSON: an escape that is half a character";

fn unreadable(source: &SourceText<'_>, faulty: Node, diagnostics: &mut Vec<Diagnostic>) -> Node {
    diagnostics.push(source.diagnostic(faulty.span, NOT_UNICODE));
    faulty
}

fn place(source: &SourceText<'_>, part: &str) -> Span {
    let start = (part.as_ptr() as usize).saturating_sub(source.text.as_ptr() as usize);
    source.span(start, start + part.len())
}

struct RawMap<'a>(Vec<(&'a RawValue, &'a RawValue)>);
struct RawList<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for RawMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = RawMap<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMap<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(RawMap(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = RawList<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawList<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(RawList(items))
            }
        }
        deserializer.deserialize_seq(Items)
    }
}
