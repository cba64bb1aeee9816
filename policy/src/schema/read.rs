//! A tree into settings, by the table: every key known, every value of its kind, every mistake told.
//!
//! Owns what one source says by itself. Whether a layer may say it is decided in `layer`.

use std::collections::HashSet;

use super::diagnostic::{Diagnostic, SourceText};
use super::document::{Entry, Node, NodeValue, Scalar, Span};
use super::entry::check;
use super::quantity::{bytes, count, milliseconds};
use super::table::{CONFIG_NAMES, FILE_MODES, KEYS, Key, Kind, PLACES, Shape, leaf};
use super::value::{Item, Layer, Origin, Value};
use super::words::{Place, Word, nearest, one_of, shown, unknown_word};

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
        let may_be_empty = matches!(
            kind,
            Kind::Patterns
                | Kind::ReviewGlobs
                | Kind::NameGlobs
                | Kind::Paths
                | Kind::FileRules
                | Kind::Hosts
                | Kind::Words { .. }
                | Kind::Command
                | Kind::Sinks
                | Kind::Text
                | Kind::Reference
                | Kind::Address
                | Kind::Resolve
                | Kind::WholeHosts
                | Kind::Bindings
        );
        if may_be_empty && node.is_null() {
            return;
        }
        let value = match kind {
            Kind::Word { words, .. } => self.word(key.path, words, node).map(Value::Word),
            Kind::Flag { .. } => self.flag(key.path, node).map(Value::Flag),
            Kind::Seconds | Kind::Count | Kind::Size | Kind::Within { .. } | Kind::Budget { .. } => {
                self.limit(key.path, kind, node).map(Value::Limit)
            }
            Kind::FileRules => self.file_rules(key.path, node).map(Value::Items),
            Kind::Bindings => self.bindings(key.path, node).map(Value::Items),
            Kind::Text | Kind::Reference | Kind::Address => {
                self.text(key.path, kind, node).map(|text| Value::Text(Some(text)))
            }
            Kind::Command => self.command(key.path, node).map(Value::Items),
            Kind::Patterns
            | Kind::ReviewGlobs
            | Kind::NameGlobs
            | Kind::Paths
            | Kind::Hosts
            | Kind::Words { .. }
            | Kind::Resolve
            | Kind::WholeHosts
            | Kind::Sinks => self.items(key.path, kind, node).map(Value::Items),
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
            Kind::Seconds | Kind::Within { .. } => ("a number of seconds above 0", milliseconds),
            Kind::Size | Kind::Budget { .. } => ("a number of bytes such as `512MiB`", bytes),
            _ => ("a whole number above 0", count),
        };
        let may_be_none = !matches!(kind, Kind::Within { .. } | Kind::Budget { .. });
        if let NodeValue::Scalar(text, _) = &node.value {
            if text == "none" && may_be_none {
                return Some(None);
            }
            if let Some(limit) = read(text) {
                return Some(Some(limit));
            }
        }
        let or = if may_be_none { ", or `none`" } else { "" };
        self.say(node.span, format!("`{path}` is {what}{or}; found {}", node.kind()));
        None
    }

    fn text(&mut self, path: &str, kind: Kind, node: &Node) -> Option<String> {
        let Some(Scalar::Text(text)) = node.scalar() else {
            self.say(node.span, format!("`{path}` is text, found {}; put it in quotes", node.kind()));
            return None;
        };
        match check(kind, text) {
            Ok(()) => Some(text.to_owned()),
            Err(reason) => {
                // Not what was found: it may be the very secret that does not belong here.
                let diagnostic = self.source.diagnostic(node.span, format!("`{path}`: {reason}"));
                self.diagnostics.push(diagnostic.without_excerpt());
                None
            }
        }
    }

    /// The program first: where it is must be beyond doubt.
    fn command(&mut self, path: &str, node: &Node) -> Option<Vec<Item>> {
        let words = self.items(path, Kind::Command, node)?;
        let program = words.first().map_or("", |word| word.text.as_str());
        if !words.is_empty() && !program.starts_with('/') && !program.starts_with("~/") {
            let found = shown(program);
            self.say(
                node.span,
                format!("`{path}`: `{found}` is searched for nowhere; write the program's absolute path"),
            );
            return None;
        }
        Some(words)
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

    /// A map of names to hosts: an entry for each host, `NAME=host`.
    fn bindings(&mut self, path: &str, node: &Node) -> Option<Vec<Item>> {
        let NodeValue::Map(entries) = &node.value else {
            let message = format!("`{path}` is a map of secrets to lists of hosts, found {}", node.kind());
            self.say(node.span, message);
            return None;
        };
        let mut items = Vec::new();
        for entry in entries {
            let NodeValue::List(hosts) = &entry.value.value else {
                let found = entry.value.kind();
                let message = format!("`{path}`: `{}` has a list of hosts, found {found}", shown(&entry.key));
                self.say(entry.value.span, message);
                continue;
            };
            for host in hosts {
                let text = match &host.value {
                    NodeValue::Scalar(text, _) => format!("{}={text}", entry.key),
                    _ => {
                        self.say(host.span, format!("`{path}`: a host is text, found {}", host.kind()));
                        continue;
                    }
                };
                if let Err(reason) = check(Kind::Bindings, &text) {
                    self.say(host.span, format!("`{path}`: `{}`: {reason}", shown(&entry.key)));
                    continue;
                }
                let origin = self.origin(host.span);
                items.push(Item { text, word: None, places: Vec::new(), origin, span: host.span });
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

/// Entries that are written twice in one source count once.
pub(crate) fn without_repeats(items: Vec<Item>) -> Vec<Item> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert((item.text.clone(), item.places.clone()))).collect()
}
