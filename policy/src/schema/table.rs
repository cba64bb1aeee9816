//! The table of keys: every key that a policy knows, once.
//!
//! Parser, layers, JSON Schema, the example of `policy init` and `policy explain` all walk this table, so they
//! cannot drift from each other. Adding a key is one entry in `keys`, and a field of `Policy` that takes its value.

use super::words::{FileMode, Place, Word};

/// One key of the policy.
#[derive(Debug)]
pub(crate) struct Key {
    /// The last part of the path: what is written in the file.
    pub(crate) name: &'static str,
    /// All parts, dotted. It identifies the key everywhere.
    pub(crate) path: &'static str,
    /// For people: what it does.
    pub(crate) doc: &'static str,
    pub(crate) shape: Shape,
    /// A value in YAML for the example file; the default where the default is worth showing.
    pub(crate) example: &'static str,
    /// The option that sets the same.
    pub(crate) option: Option<&'static str>,
}

#[derive(Debug)]
pub(crate) enum Shape {
    /// A map. A single word in its place is the value of its child `short`.
    Section {
        keys: &'static [Key],
        short: Option<&'static str>,
    },
    Leaf(Kind, Order),
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Word {
        words: &'static [Word],
        default: &'static str,
    },
    Flag {
        default: bool,
    },
    /// A length of time in seconds, or `none`. Kept in milliseconds.
    Seconds,
    /// A whole number, or `none`.
    Count,
    /// A number of bytes with or without a unit, or `none`.
    Size,
    /// Texts to look for: literal, `re:` or `{pattern:, in:}`.
    Patterns,
    /// Paths by git's rules.
    ReviewGlobs,
    /// Names of variables, with `*` and `?`.
    NameGlobs,
    /// Paths on the host.
    Paths,
    /// A map of paths to words of `FileMode`.
    FileRules,
    /// `host`, `*.host`, `host:port`, `GET host/path`, `set:NAME`.
    Hosts,
    /// A list of words.
    Words {
        words: &'static [Word],
        default: &'static [&'static str],
    },
    /// A length of time that there always is, in seconds. Kept in milliseconds.
    Within {
        default: u64,
    },
    /// A number of bytes that there always is.
    Budget {
        default: u64,
    },
    /// One text.
    Text,
    /// Where a secret is: `env:NAME` or `file:PATH`.
    Reference,
    /// A reference, or a URL that is no secret.
    Address,
    /// A program by its path, and its arguments.
    Command,
    /// Where events go beside the record.
    Sinks,
    /// `host:port=address:port`.
    Resolve,
    /// `host`, `*.host`.
    WholeHosts,
    /// A map of names of secrets to lists of whole hosts. An entry is one of each.
    Bindings,
}

/// What "stricter" means for a key: a project's file may only go that way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    /// Words further down their list are stricter.
    LaterWord,
    /// A smaller number is stricter; `none` is the loosest.
    Lower,
    /// `false` is stricter.
    False,
    /// `true` is stricter.
    True,
    /// Entries add protection: layers add up.
    Union,
    /// Entries grant something: people's layers add up, a project may only keep fewer.
    Grants,
    /// Each path by itself, a project's entry being "at least this".
    PerPath,
    /// Only the last word of the list is stricter.
    LastWord,
    /// Only a person sets it, and the last one who does has said it all.
    Person,
}

macro_rules! leaf {
    ($name:literal, $path:literal, $kind:expr, $order:expr, $example:literal, $option:expr, $doc:literal) => {
        Key {
            name: $name,
            path: $path,
            doc: $doc,
            shape: Shape::Leaf($kind, $order),
            example: $example,
            option: $option,
        }
    };
}

macro_rules! section {
    ($name:literal, $short:expr, $doc:literal, $keys:expr) => {
        Key {
            name: $name,
            path: $name,
            doc: $doc,
            shape: Shape::Section { keys: $keys, short: $short },
            example: "",
            option: None,
        }
    };
}

macro_rules! word {
    ($Name:ident) => {
        Kind::Word { words: $Name::WORDS, default: $Name::DEFAULT.word() }
    };
}

mod keys;
mod telling;

pub(crate) use keys::KEYS;

/// The words of `in:`, for a pattern.
pub(crate) const PLACES: &[Word] = Place::WORDS;
/// The words of a file rule.
pub(crate) const FILE_MODES: &[Word] = FileMode::WORDS;

/// Other names that `--config` takes, for wrappers that keep their settings flat.
pub(crate) const CONFIG_NAMES: &[(&str, &str)] = &[
    ("timeout_seconds", "limits.timeout_seconds"),
    ("network_policy", "network.mode"),
    ("secrets_mode", "secrets.mode"),
    ("writes", "files.writes"),
];

/// Every leaf, in table order.
pub(crate) fn leaves() -> Vec<&'static Key> {
    fn walk(keys: &'static [Key], out: &mut Vec<&'static Key>) {
        for key in keys {
            match &key.shape {
                Shape::Section { keys, .. } => walk(keys, out),
                Shape::Leaf(..) => out.push(key),
            }
        }
    }
    let mut out = Vec::new();
    walk(KEYS, &mut out);
    out
}

/// The leaf of a path.
pub(crate) fn leaf(path: &str) -> Option<&'static Key> {
    leaves().into_iter().find(|key| key.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_names_on_the_way() {
        fn walk(prefix: &str, keys: &'static [Key]) {
            for key in keys {
                let path =
                    if prefix.is_empty() { key.name.to_owned() } else { format!("{prefix}.{}", key.name) };
                assert_eq!(key.path, path);
                if let Shape::Section { keys, .. } = &key.shape {
                    walk(&path, keys);
                }
            }
        }
        walk("", KEYS);
    }

    #[test]
    fn short_forms_and_other_names_lead_to_leaves() {
        for key in KEYS {
            if let Shape::Section { short: Some(path), .. } = &key.shape {
                assert!(leaf(path).is_some(), "{path}");
            }
        }
        for (name, path) in CONFIG_NAMES {
            assert!(leaf(path).is_some(), "{path}");
            assert!(KEYS.iter().all(|key| key.name != *name), "{name} is ambiguous");
        }
    }
}
