//! Layers on top of each other: what each key becomes, and who may move it which way.
//!
//! A project's file came with the code that is to be contained, so it may only tighten. Each key has an order
//! of strictness in the table; here that order is applied, once for all keys.

use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, SourceText};
use super::document::Span;
use super::read::{Setting, without_repeats};
use super::table::{Key, Kind, Order, Shape, leaves};
use super::value::{Item, Layer, Origin, Value};
use super::words::{Word, shown};
use crate::glob::NameGlob;
use crate::network;

/// A key and what it has become.
#[derive(Debug, Clone)]
pub(crate) struct Effective {
    pub(crate) key: &'static Key,
    pub(crate) kind: Kind,
    pub(crate) order: Order,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// What holds when nobody says anything: every key, in table order.
pub(crate) fn built_in() -> Vec<Effective> {
    leaves()
        .into_iter()
        .filter_map(|key| {
            let Shape::Leaf(kind, order) = key.shape else { return None };
            let value = match kind {
                Kind::Word { default, .. } => Value::Word(default),
                Kind::Flag { default } => Value::Flag(default),
                Kind::Seconds | Kind::Count | Kind::Size => Value::Limit(None),
                Kind::Within { default } | Kind::Budget { default } => Value::Limit(Some(default)),
                Kind::Words { default, .. } => {
                    Value::Items(default.iter().map(|word| Item::built_in(word)).collect())
                }
                Kind::Text | Kind::Reference | Kind::Address => Value::Text(None),
                _ => Value::Items(Vec::new()),
            };
            Some(Effective { key, kind, order, value, origin: Origin::built_in() })
        })
        .collect()
}

/// Lays the settings of one source on top. `source` is there for a file, whose lines a mistake points at.
pub(crate) fn lay(
    base: &mut [Effective],
    settings: Vec<Setting>,
    source: Option<&SourceText<'_>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for setting in settings {
        let Some(under) = base.iter_mut().find(|under| under.key.path == setting.key.path) else { continue };
        if setting.origin.layer == Layer::Project {
            let mut say = |span: Span, message: String| {
                diagnostics.push(match source {
                    Some(source) => source.diagnostic(span, message),
                    None => Diagnostic::without_place(setting.origin.file.clone(), message),
                });
            };
            tighten(under, &setting, &mut say);
        } else {
            replace(under, setting);
        }
    }
}

/// Keys that are of no use without another.
const PAIRS: &[(&str, &str)] = &[
    ("notify.linear.api_key", "notify.linear.team"),
    ("notify.linear.team", "notify.linear.api_key"),
    ("notify.linear.url", "notify.linear.api_key"),
    ("notify.webhook.authorization", "notify.webhook.url"),
];

/// Says which keys miss another. Half a setting would be dropped in silence.
pub(crate) fn find_halves(all: &[Effective], diagnostics: &mut Vec<Diagnostic>) {
    let find = |path: &str| all.iter().find(|setting| setting.key.path == path);
    let is_set = |setting: &Effective| setting.value != Value::Text(None);
    for (here, missing) in PAIRS {
        let (Some(here), Some(missing)) = (find(here), find(missing)) else { continue };
        if is_set(here) && !is_set(missing) {
            diagnostics.push(Diagnostic::without_place(
                here.origin.file.clone(),
                format!("`{}` needs `{}` beside it", here.key.path, missing.key.path),
            ));
        }
    }
}

/// A person's layer: words and numbers are replaced, lists add up.
fn replace(under: &mut Effective, setting: Setting) {
    match (&mut under.value, setting.value) {
        (Value::Items(items), Value::Items(new)) if under.order == Order::PerPath => {
            // A person's word about a path settles it, earlier words about the same path included.
            items.retain(|item| !new.iter().any(|by| by.text == item.text));
            items.extend(new);
            under.origin = setting.origin;
        }
        (Value::Items(items), Value::Items(new)) if under.order != Order::Person => {
            items.extend(new);
            *items = without_repeats(std::mem::take(items));
            under.origin = setting.origin;
        }
        (value, new) => {
            *value = new;
            under.origin = setting.origin;
        }
    }
}

/// A project's layer: what is stricter is taken, what is looser is said.
fn tighten(under: &mut Effective, setting: &Setting, say: &mut dyn FnMut(Span, String)) {
    let path = under.key.path;
    let stricter = match (under.order, &under.value, &setting.value) {
        (Order::Person, ..) => {
            say(
                setting.span,
                format!("`{path}` is for people: only your own policy or the command line sets it"),
            );
            return;
        }
        (Order::LaterWord, Value::Word(old), Value::Word(new)) => {
            rank(under.kind, new) >= rank(under.kind, old)
        }
        (Order::LastWord, Value::Word(old), Value::Word(new)) => {
            old == new || rank(under.kind, new) == last(under.kind)
        }
        (Order::Lower, Value::Limit(old), Value::Limit(new)) => {
            new.unwrap_or(u64::MAX) <= old.unwrap_or(u64::MAX)
        }
        (Order::False, Value::Flag(old), Value::Flag(new)) => *old || !*new,
        (Order::True, Value::Flag(old), Value::Flag(new)) => !*old || *new,
        (_, Value::Items(_), Value::Items(new)) => {
            tighten_items(under, new, setting, say);
            return;
        }
        // A value of another kind than its key's cannot come from the reader.
        _ => return,
    };
    if stricter {
        // The same value again is no news: whoever set it first stays named.
        if under.value != setting.value {
            under.value = setting.value.clone();
            under.origin = setting.origin.clone();
        }
        return;
    }
    let remedy = match (under.key.option, &setting.value) {
        (Some(option), Value::Limit(None)) => format!("or with `{option}` on the command line"),
        (Some(option), value) => format!("or with `{option} {}`", plain(under.kind, value)),
        (None, _) => "or with `--config`".to_owned(),
    };
    say(
        setting.span,
        format!(
            "`{path}: {}` loosens `{}` ({}); a project's policy may only tighten: set it in your own policy, {remedy}",
            plain(under.kind, &setting.value),
            plain(under.kind, &under.value),
            under.origin
        ),
    );
}

fn tighten_items(under: &mut Effective, new: &[Item], setting: &Setting, say: &mut dyn FnMut(Span, String)) {
    let path = under.key.path;
    let kind = under.kind;
    let Value::Items(items) = &mut under.value else { return };
    match under.order {
        Order::Grants => {
            let mut granted = Vec::new();
            for item in new {
                if items.iter().any(|old| covers(kind, &old.text, &item.text)) {
                    granted.push(item.clone());
                } else {
                    say(
                        item.span,
                        format!(
                            "`{path}` grants `{}`, which no other layer grants; a project's policy may only \
                             tighten: grant it in your own policy or with `--config`",
                            shown(&item.text)
                        ),
                    );
                }
            }
            *items = without_repeats(granted);
            under.origin = setting.origin.clone();
        }
        Order::PerPath => {
            for item in new {
                let loosened = items.iter().find(|old| {
                    covers(Kind::Paths, &old.text, &item.text) && rank_file(old.word) > rank_file(item.word)
                });
                let word = item.word.unwrap_or_default();
                if let Some(old) = loosened {
                    let old_word = old.word.unwrap_or_default();
                    say(
                        item.span,
                        format!(
                            "`{path}`: `{}: {word}` loosens `{}: {old_word}` ({}); a project's policy may only \
                             tighten",
                            shown(&item.text),
                            shown(&old.text),
                            old.origin
                        ),
                    );
                } else if rank_file(item.word) == Some(0) {
                    say(
                        item.span,
                        format!(
                            "`{path}`: `{}: {word}` would show a real file; only your own policy or `--config` \
                             may do that",
                            shown(&item.text)
                        ),
                    );
                } else {
                    items.push(item.clone());
                    under.origin = setting.origin.clone();
                }
            }
        }
        _ => {
            for item in new {
                if kind == Kind::ReviewGlobs && item.text.starts_with('!') {
                    say(
                        item.span,
                        format!(
                            "`{path}`: `{}` takes files out of review; only your own policy or `--config` may \
                             do that",
                            shown(&item.text)
                        ),
                    );
                } else {
                    items.push(item.clone());
                    under.origin = setting.origin.clone();
                }
            }
            *items = without_repeats(std::mem::take(items));
        }
    }
}

fn rank(kind: Kind, word: &str) -> Option<usize> {
    let Kind::Word { words, .. } = kind else { return None };
    place_of(words, word)
}

fn last(kind: Kind) -> Option<usize> {
    let Kind::Word { words, .. } = kind else { return None };
    words.len().checked_sub(1)
}

fn rank_file(word: Option<&str>) -> Option<usize> {
    place_of(super::table::FILE_MODES, word?)
}

fn place_of(words: &[Word], word: &str) -> Option<usize> {
    words.iter().position(|known| known.word == word)
}

/// Whether what is granted as `old` includes `new`.
fn covers(kind: Kind, old: &str, new: &str) -> bool {
    if old == new {
        return true;
    }
    match kind {
        Kind::Paths => new.strip_prefix(old.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/')),
        Kind::NameGlobs => {
            !new.contains(['*', '?']) && NameGlob::new(old).is_ok_and(|glob| glob.matches(new.as_bytes()))
        }
        Kind::Hosts | Kind::WholeHosts => network::covers(old, new),
        _ => false,
    }
}

/// A value as it would be written in a file, on one line.
pub(crate) fn plain(kind: Kind, value: &Value) -> String {
    match value {
        Value::Word(word) => (*word).to_owned(),
        Value::Flag(flag) => flag.to_string(),
        Value::Limit(None) => "none".to_owned(),
        Value::Limit(Some(limit)) => match kind {
            Kind::Seconds | Kind::Within { .. } => seconds(*limit),
            Kind::Size | Kind::Budget { .. } => size(*limit),
            _ => limit.to_string(),
        },
        Value::Items(items) => {
            let items: Vec<String> = items.iter().map(plain_item).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Text(None) => "null".to_owned(),
        Value::Text(Some(text)) => quoted(text),
    }
}

/// One entry as it would be written in a file.
pub(crate) fn plain_item(item: &Item) -> String {
    let text = quoted(&item.text);
    match (item.word, item.places.as_slice()) {
        (Some(word), _) => format!("{text}: {word}"),
        (None, []) => text,
        (None, places) => format!("{{pattern: {text}, in: [{}]}}", places.join(", ")),
    }
}

/// JSON's quotes are YAML's too, and leave no control character.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// Milliseconds as seconds, without a needless fraction.
pub(crate) fn seconds(milliseconds: u64) -> String {
    match milliseconds % 1000 {
        0 => (milliseconds / 1000).to_string(),
        rest => format!("{}.{rest:03}", milliseconds / 1000).trim_end_matches('0').to_owned(),
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    UNITS
        .iter()
        .find(|(unit, _)| bytes.is_multiple_of(*unit))
        .map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}
