//! A tree into settings, by the table: every key known, every value of its kind, every mistake told.
//!
//! Owns what one source says by itself. Whether a layer may say it is decided in `layer`.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, SourceText};
use super::document::{Entry, Node, NodeValue, Scalar, Span};
use super::table::{CONFIG_NAMES, FILE_MODES, KEYS, Key, Kind, PLACES, Shape, leaf};
use super::value::{Item, Layer, Origin, Value};
use super::words::{Place, Word, nearest, one_of, shown, unknown_word};
use crate::glob::{NameGlob, PathGlob};
use crate::pattern::Pattern;

/// What one source says about one key.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) key: &'static Key,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    pub(crate) span: Span,
}

/// A policy file, or the contents of `--config`, which know some keys by a flat name as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    File,
    Config,
}

/// Reads the whole tree.
pub(crate) fn settings(
    source: &SourceText<'_>,
    layer: Layer,
    form: Form,
    root: &Node,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Setting> {
    let mut reader = Reader { source, layer, form, diagnostics, out: Vec::new() };
    match &root.value {
        NodeValue::Map(entries) => reader.section("", KEYS, entries),
        NodeValue::Faulty => {}
        _ if root.is_null() => {}
        _ => {
            let found = root.kind();
            reader.say(root.span, format!("expected a map of keys such as `secrets:`, found {found}"));
        }
    }
    reader.out
}

struct Reader<'a, 'd> {
    source: &'a SourceText<'a>,
    layer: Layer,
    form: Form,
    diagnostics: &'d mut Vec<Diagnostic>,
    out: Vec<Setting>,
}

impl Reader<'_, '_> {
    fn say(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(self.source.diagnostic(span, message));
    }

    fn origin(&self, span: Span) -> Origin {
        Origin {
            layer: self.layer,
            file: self.source.name.to_owned(),
            position: Some((span.line, span.column)),
        }
    }

    fn section(&mut self, path: &str, keys: &'static [Key], entries: &[Entry]) {
        for entry in entries {
            if let Some(key) = keys.iter().find(|key| key.name == entry.key) {
                self.key(key, entry);
            } else if let Some(key) = self.other_name(path, &entry.key) {
                self.key(key, entry);
            } else {
                self.unknown(path, keys, entry);
            }
        }
    }

    fn other_name(&self, path: &str, name: &str) -> Option<&'static Key> {
        if self.form != Form::Config || !path.is_empty() {
            return None;
        }
        let (_, path) = CONFIG_NAMES.iter().find(|(flat, _)| *flat == name)?;
        leaf(path)
    }

    fn unknown(&mut self, path: &str, keys: &'static [Key], entry: &Entry) {
        let mut names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        if self.form == Form::Config && path.is_empty() {
            names.extend(CONFIG_NAMES.iter().map(|(name, _)| *name));
        }
        let inside = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        let found = shown(&entry.key);
        let message = if let Some(name) = nearest(&entry.key, &names) {
            format!("unknown key `{found}`{inside}; did you mean `{name}`?")
        } else if let Some(key) = elsewhere(&entry.key) {
            format!("unknown key `{found}`{inside}; it belongs at `{key}`")
        } else {
            format!("unknown key `{found}`{inside}; expected {}", one_of(&names))
        };
        self.say(entry.key_span, message);
    }

    fn key(&mut self, key: &'static Key, entry: &Entry) {
        let node = &entry.value;
        match (&key.shape, &node.value) {
            (_, NodeValue::Faulty) => {}
            (Shape::Section { keys, .. }, NodeValue::Map(entries)) => self.section(key.path, keys, entries),
            // A key whose lines are all commented out says nothing.
            (Shape::Section { .. }, _) if node.is_null() => {}
            (Shape::Section { short: Some(path), .. }, NodeValue::Scalar(..)) => {
                if let Some(key) = leaf(path) {
                    self.leaf(key, entry);
                }
            }
            (Shape::Section { .. }, _) => {
                let message = format!("`{}` is a map of keys, found {}", key.path, node.kind());
                self.say(node.span, message);
            }
            (Shape::Leaf(..), _) => self.leaf(key, entry),
        }
    }

    fn leaf(&mut self, key: &'static Key, entry: &Entry) {
        let node = &entry.value;
        let Shape::Leaf(kind, _) = key.shape else { return };
        let many = matches!(
            kind,
            Kind::Patterns
                | Kind::ReviewGlobs
                | Kind::NameGlobs
                | Kind::Paths
                | Kind::FileRules
                | Kind::Hosts
                | Kind::Tree
        );
        if many && node.is_null() {
            return;
        }
        let value = match kind {
            Kind::Word { words, .. } => self.word(key.path, words, node).map(Value::Word),
            Kind::Flag { .. } => self.flag(key.path, node).map(Value::Flag),
            Kind::Seconds | Kind::Count | Kind::Size => self.limit(key.path, kind, node).map(Value::Limit),
            Kind::FileRules => self.file_rules(key.path, node).map(Value::Items),
            Kind::Tree => self.tree(key.path, node).map(Value::Tree),
            Kind::Patterns | Kind::ReviewGlobs | Kind::NameGlobs | Kind::Paths | Kind::Hosts => {
                self.items(key.path, kind, node).map(Value::Items)
            }
        };
        let Some(value) = value else { return };
        if let Some(earlier) = self.out.iter().find(|setting| setting.key.path == key.path) {
            let message = format!("`{}` again; line {} sets it already", key.path, earlier.span.line);
            self.say(entry.key_span, message);
            return;
        }
        let origin = self.origin(entry.key_span);
        self.out.push(Setting { key, value, origin, span: node.span });
    }

    fn word(&mut self, path: &str, words: &'static [Word], node: &Node) -> Option<&'static str> {
        let NodeValue::Scalar(text, _) = &node.value else {
            let list: Vec<&str> = words.iter().map(|word| word.word).collect();
            let message = format!("`{path}` is {}, found {}", one_of(&list), node.kind());
            self.say(node.span, message);
            return None;
        };
        match words.iter().find(|word| word.word == text) {
            Some(word) => Some(word.word),
            None => {
                self.say(node.span, format!("`{path}`: {}", unknown_word(text, words)));
                None
            }
        }
    }

    fn flag(&mut self, path: &str, node: &Node) -> Option<bool> {
        if let Some(Scalar::Flag(flag)) = node.scalar() {
            return Some(flag);
        }
        let meant = match &node.value {
            NodeValue::Scalar(text, _) => match text.to_lowercase().as_str() {
                "yes" | "on" | "y" | "true" | "1" => "; write `true`",
                "no" | "off" | "n" | "false" | "0" => "; write `false`",
                _ => "",
            },
            _ => "",
        };
        let message = format!("`{path}` is `true` or `false`, found {}{meant}", node.kind());
        self.say(node.span, message);
        None
    }

    fn limit(&mut self, path: &str, kind: Kind, node: &Node) -> Option<Option<u64>> {
        let (what, read): (_, fn(&str) -> Option<u64>) = match kind {
            Kind::Seconds => ("a number of seconds above 0", milliseconds),
            Kind::Size => ("a number of bytes such as `512MiB`", bytes),
            _ => ("a whole number above 0", count),
        };
        if let NodeValue::Scalar(text, _) = &node.value {
            if text == "none" {
                return Some(None);
            }
            if let Some(limit) = read(text) {
                return Some(Some(limit));
            }
        }
        self.say(node.span, format!("`{path}` is {what}, or `none`; found {}", node.kind()));
        None
    }

    fn tree(&mut self, path: &str, node: &Node) -> Option<Json> {
        if matches!(node.value, NodeValue::Map(_)) {
            return Some(node.to_json());
        }
        self.say(node.span, format!("`{path}` is a map, found {}", node.kind()));
        None
    }

    fn items(&mut self, path: &str, kind: Kind, node: &Node) -> Option<Vec<Item>> {
        let NodeValue::List(nodes) = &node.value else {
            let how = match self.form {
                Form::File => "write one entry a line after `- `",
                Form::Config => "put it in `[…]`",
            };
            self.say(node.span, format!("`{path}` is a list, found {}; {how}", node.kind()));
            return None;
        };
        Some(nodes.iter().filter_map(|node| self.item(path, kind, node)).collect())
    }

    fn item(&mut self, path: &str, kind: Kind, node: &Node) -> Option<Item> {
        let (node, places) = match (&node.value, kind) {
            (NodeValue::Faulty, _) => return None,
            (NodeValue::Map(entries), Kind::Patterns) => self.pattern_map(path, node, entries)?,
            _ => (node, Vec::new()),
        };
        let Some(Scalar::Text(text)) = node.scalar() else {
            let hint = match node.value {
                NodeValue::Map(_) => "; put text with `: ` in it in quotes",
                NodeValue::Scalar(..) if !node.is_null() => "; put it in quotes",
                _ => "",
            };
            self.say(node.span, format!("an entry of `{path}` is text, found {}{hint}", node.kind()));
            return None;
        };
        if let Err(reason) = check(kind, text) {
            let which = if text.is_empty() { String::new() } else { format!("`{}`: ", shown(text)) };
            self.say(node.span, format!("`{path}`: {which}{reason}"));
            return None;
        }
        let origin = self.origin(node.span);
        Some(Item { text: text.to_owned(), word: None, places, origin, span: node.span })
    }

    /// `{pattern: …, in: …}`.
    fn pattern_map<'n>(
        &mut self,
        path: &str,
        whole: &Node,
        entries: &'n [Entry],
    ) -> Option<(&'n Node, Vec<&'static str>)> {
        let mut pattern = None;
        let mut places = Vec::new();
        let before = self.diagnostics.len();
        let text_with_colon = !entries.iter().any(|entry| nearest(&entry.key, &["pattern", "in"]).is_some());
        if text_with_colon {
            let message =
                format!("an entry of `{path}` is text, found a map; put text with `: ` in it in quotes");
            self.say(whole.span, message);
            return None;
        }
        for entry in entries {
            match (entry.key.as_str(), &entry.value.value) {
                ("pattern", _) => pattern = Some(&entry.value),
                ("in", NodeValue::List(nodes)) => {
                    places.extend(nodes.iter().filter_map(|node| self.word("in", PLACES, node)));
                }
                ("in", _) => places.extend(self.word("in", PLACES, &entry.value)),
                (other, _) => {
                    let message = match nearest(other, &["pattern", "in"]) {
                        Some(name) => format!("unknown key `{}`; did you mean `{name}`?", shown(other)),
                        None => format!("unknown key `{}`; expected `pattern` or `in`", shown(other)),
                    };
                    self.say(entry.key_span, message);
                }
            }
        }
        if pattern.is_none() && self.diagnostics.len() == before {
            self.say(whole.span, "this entry has no `pattern`");
        }
        // The order in which places are named means nothing, and the digest should not see it.
        places.sort_by_key(|word| Place::from_word(word));
        places.dedup();
        pattern.map(|node| (node, places))
    }

    fn file_rules(&mut self, path: &str, node: &Node) -> Option<Vec<Item>> {
        let NodeValue::Map(entries) = &node.value else {
            let message = format!("`{path}` is a map of paths to modes, found {}", node.kind());
            self.say(node.span, message);
            return None;
        };
        let mut items = Vec::new();
        for entry in entries {
            let word = self.word(path, FILE_MODES, &entry.value);
            if let Err(reason) = check(Kind::Paths, &entry.key) {
                self.say(entry.key_span, format!("`{path}`: `{}`: {reason}", shown(&entry.key)));
                continue;
            }
            if let Some(word) = word {
                let origin = self.origin(entry.key_span);
                items.push(Item {
                    text: entry.key.clone(),
                    word: Some(word),
                    places: Vec::new(),
                    origin,
                    span: entry.key_span,
                });
            }
        }
        Some(items)
    }
}

/// The full path of a key that stands at the wrong level.
fn elsewhere(name: &str) -> Option<&'static str> {
    fn find(keys: &'static [Key], name: &str) -> Option<&'static str> {
        keys.iter().find_map(|key| match &key.shape {
            _ if key.name == name => Some(key.path),
            Shape::Section { keys, .. } => find(keys, name),
            Shape::Leaf(..) => None,
        })
    }
    find(KEYS, name)
}

/// Whether one entry of a list is of its kind.
fn check(kind: Kind, text: &str) -> Result<(), String> {
    match kind {
        Kind::Patterns => Pattern::new(text, Vec::new()).map(drop),
        Kind::ReviewGlobs => PathGlob::new(text).map(drop).map_err(|error| error.to_string()),
        Kind::NameGlobs => NameGlob::new(text).map(drop).map_err(|error| error.to_string()),
        Kind::Paths => path(text),
        Kind::Hosts => host(text),
        _ => Ok(()),
    }
}

fn path(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("an empty path names nothing".to_owned());
    }
    if text.contains('\0') {
        return Err("a path has no NUL in it".to_owned());
    }
    if text.split('/').any(|part| part == "..") {
        return Err("`..` makes it unclear which file is meant; write the path out".to_owned());
    }
    if text.starts_with('~') && !text.starts_with("~/") && text != "~" {
        return Err("only `~/` is read, not the home of another user".to_owned());
    }
    Ok(())
}

fn host(text: &str) -> Result<(), String> {
    if text.contains("://") || text.contains('/') {
        return Err("write the host alone, without scheme and path".to_owned());
    }
    let (name, port) = match text.rsplit_once(':') {
        // More than one colon without brackets is an IPv6 address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    if let Some(port) = port
        && port.parse::<u16>().map_or(true, |number| number == 0)
    {
        return Err("a port is a number from 1 to 65535".to_owned());
    }
    let name = name.strip_prefix("*.").unwrap_or(name);
    let address = name.trim_matches(['[', ']']);
    if address.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    if name.contains('*') {
        return Err("`*` stands only at the front, as `*.example.org`".to_owned());
    }
    let part_is_good = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if name.is_empty() || name.len() > 253 || !name.trim_end_matches('.').split('.').all(part_is_good) {
        return Err("this is no host name; write it in ASCII, as `host`, `*.host` or `host:port`".to_owned());
    }
    Ok(())
}

/// Seconds, whole or with a fraction, as milliseconds.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.parse().ok()?;
    // A century; beyond it the sum with a clock could overflow.
    (seconds > 0.0 && seconds <= 3.2e9).then(|| ((seconds * 1000.0).round() as u64).max(1))
}

fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number > 0)
}

/// `512`, `512K`, `512KiB` (powers of 1024), `512KB` (powers of 1000).
fn bytes(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let power = match unit.chars().next() {
        None => 0,
        Some('b') if unit == "b" => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some(_) => return None,
    };
    let base: u64 = match unit.get(1..).unwrap_or("") {
        "" | "ib" => 1024,
        "b" => 1000,
        _ => return None,
    };
    let factor = base.checked_pow(power)?;
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor).filter(|size| *size > 0),
        Err(_) if power > 0 => {
            let size = number.parse::<f64>().ok()? * factor as f64;
            (1.0..9e18).contains(&size).then_some(size as u64)
        }
        Err(_) => None,
    }
}

/// Entries that are written twice in one source count once.
pub(crate) fn without_repeats(items: Vec<Item>) -> Vec<Item> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert((item.text.clone(), item.places.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, expected) in [
            ("1", Some(1)),
            ("512", Some(512)),
            ("512B", Some(512)),
            ("1k", Some(1024)),
            ("512MiB", Some(512 << 20)),
            ("2 GB", Some(2_000_000_000)),
            ("1.5G", Some(3 << 29)),
            ("0", None),
            ("-1", None),
            ("", None),
            ("12 parsecs", None),
            ("99999999999T", None),
            ("1.5", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn seconds_are_positive_and_finite() {
        for (text, expected) in [
            ("120", Some(120_000)),
            ("0.5", Some(500)),
            ("1e3", Some(1_000_000)),
            ("0.0001", Some(1)),
            ("0", None),
            ("-3", None),
            ("inf", None),
            ("NaN", None),
            ("1e300", None),
            ("soon", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        for good in
            ["example.com", "*.example.com", "db.internal:5432", "10.0.0.1", "[::1]:80", "::1", "a_b.c", "x."]
        {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "https://example.com",
            "example.com/x",
            "a..b",
            "*",
            "a.*.b",
            "caf\u{e9}.fr",
            "h:0",
            "h:99999",
            "a b",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
