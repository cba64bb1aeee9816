//! The table of keys: every key that a policy knows, once.
//!
//! Parser, layers, JSON Schema, the example of `policy init` and `policy explain` all walk this table, so they
//! cannot drift from each other. Adding a key is one entry here, and a field of `Policy` that takes its value.

use super::words::{FileMode, History, Isolation, NetworkMode, Place, Review, SecretsMode, Word, Writes};
use crate::profiles;
use telling::{NOTIFY, TRACE};

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

mod telling;

/// The words of `in:`, for a pattern.
pub(crate) const PLACES: &[Word] = Place::WORDS;
/// The words of a file rule.
pub(crate) const FILE_MODES: &[Word] = FileMode::WORDS;

/// Every key, in the order in which people see them.
pub(crate) const KEYS: &[Key] = &[
    leaf!(
        "blocked_patterns",
        "blocked_patterns",
        Kind::Patterns,
        Order::Union,
        r#"["rm -rf", "git push", "re:curl .*[|] *sh"]"#,
        None,
        "Texts that stop a command, and refuse a change to a file that is run. Literal, or a regular expression after `re:`; `{pattern: \"…\", in: [command, source]}` says where it counts."
    ),
    leaf!(
        "require_human_review",
        "require_human_review",
        Kind::ReviewGlobs,
        Order::Union,
        r#"["*.yml", ".github/**"]"#,
        None,
        "Changes to these files wait for a person. Globs as in `.gitignore`."
    ),
    leaf!(
        "profile",
        "profile",
        Kind::Word { words: profiles::WORDS, default: profiles::AUTO },
        Order::LastWord,
        "auto",
        Some("--profile"),
        "Which agent this is: its settings, its sessions and its login are there, and its hosts where `network: allowlist` is your own choice. A project's file may choose `none`."
    ),
    leaf!(
        "partial",
        "partial",
        Kind::Flag { default: false },
        Order::False,
        "false",
        None,
        "Whether accepted files are promoted although others of the same run were refused."
    ),
    section!(
        "secrets",
        Some("secrets.mode"),
        "What becomes of real secrets.",
        &[
            leaf!(
                "mode",
                "secrets.mode",
                word!(SecretsMode),
                Order::LaterWord,
                "synthetic",
                Some("--secrets"),
                "What stands in the place of a real secret."
            ),
            ENV,
            leaf!(
                "files",
                "secrets.files",
                Kind::FileRules,
                Order::PerPath,
                r#"{"~/.config/tool/token": block, "config/local.env": synthetic}"#,
                None,
                "Files that hold secrets, beside those that are known: what each shows inside. Paths are absolute, under `~/`, or relative to the workspace."
            ),
            leaf!(
                "history",
                "secrets.history",
                word!(History),
                Order::LaterWord,
                "mask",
                None,
                "What becomes of real values in the repository's history."
            ),
            leaf!(
                "bindings",
                "secrets.bindings",
                Kind::Bindings,
                Order::Person,
                r#"{"DEPLOY_TOKEN": ["deploy.example.com", "*.example.org"]}"#,
                None,
                "With `broker`: the hosts where a secret is swapped in, beside those that its form tells. By the name of its variable, or of its field in a file. Not in a project's policy."
            ),
        ]
    ),
    section!(
        "files",
        None,
        "What of the host is there, and where writes go.",
        &[
            leaf!(
                "writes",
                "files.writes",
                word!(Writes),
                Order::LaterWord,
                "overlay",
                Some("--writes"),
                "Where writes to the workspace go."
            ),
            leaf!(
                "visible",
                "files.visible",
                Kind::Paths,
                Order::Grants,
                r#"["~/.config/git"]"#,
                None,
                "Paths of the home directory that are readable inside, beside the toolchains."
            ),
            leaf!(
                "persist",
                "files.persist",
                Kind::Paths,
                Order::Grants,
                r#"["~/.cache/pip"]"#,
                None,
                "Paths whose changes are kept from one run to the next."
            ),
        ]
    ),
    section!(
        "network",
        Some("network.mode"),
        "What the command can reach. One word, or a map.",
        &[
            leaf!(
                "mode",
                "network.mode",
                word!(NetworkMode),
                Order::LaterWord,
                "none",
                Some("--network"),
                "What the command can reach."
            ),
            leaf!(
                "allow",
                "network.allow",
                Kind::Hosts,
                Order::Grants,
                r#"["set:npm", "api.example.com", "*.example.org", "db.example.net:5432", "GET api.example.net/v1/**"]"#,
                Some("--allow"),
                "The hosts of the allowlist: `host`, `*.host`, `host:port` (without a port: 80 and 443), an address as a literal, methods and path for HTTP; `set:NAME` for npm, pypi, crates, github, openai, anthropic, google and others."
            ),
            leaf!(
                "resolve",
                "network.resolve",
                Kind::Resolve,
                Order::Person,
                r#"["api.example.com:443=127.0.0.1:8443"]"#,
                None,
                "Where a host of the allowlist really is, as with curl's `--resolve`: for test servers and split horizons. Not in a project's policy."
            ),
            leaf!(
                "passthrough",
                "network.passthrough",
                Kind::WholeHosts,
                Order::Grants,
                r#"["pinned.example.com"]"#,
                None,
                "With `secrets: broker`: hosts whose TLS is not looked into, because their clients know their certificate or show one of their own. No secret is swapped in there, and nothing is scanned."
            ),
        ]
    ),
    section!(
        "ssh",
        None,
        "What the keys of your ssh-agent may be used for. The keys stay there.",
        &[
            leaf!(
                "hosts",
                "ssh.hosts",
                Kind::WholeHosts,
                Order::Grants,
                r#"["git.example.com"]"#,
                Some("--ssh-agent"),
                "Hosts where they may log in, by the keys that your `known_hosts` has of them. `network.allow` needs the port as well: `git.example.com:22`."
            ),
            leaf!(
                "sign_commits",
                "ssh.sign_commits",
                Kind::Flag { default: false },
                Order::False,
                "false",
                None,
                "Whether they may sign commits and tags of git."
            ),
        ]
    ),
    section!(
        "limits",
        None,
        "Limits of a run; `none` takes one away.",
        &[
            leaf!(
                "timeout_seconds",
                "limits.timeout_seconds",
                Kind::Seconds,
                Order::Lower,
                "none",
                Some("--timeout"),
                "The run is stopped after this time."
            ),
            leaf!(
                "cpu_seconds",
                "limits.cpu_seconds",
                Kind::Seconds,
                Order::Lower,
                "none",
                None,
                "Processor time of one process."
            ),
            leaf!(
                "processes",
                "limits.processes",
                Kind::Count,
                Order::Lower,
                "none",
                None,
                "Processes and threads at one time."
            ),
            leaf!(
                "memory",
                "limits.memory",
                Kind::Size,
                Order::Lower,
                "none",
                None,
                "Memory, in bytes or as `512MiB`, `4GB`."
            ),
            leaf!(
                "file_size",
                "limits.file_size",
                Kind::Size,
                Order::Lower,
                "none",
                None,
                "The largest file that may be written."
            ),
            leaf!(
                "disk",
                "limits.disk",
                Kind::Size,
                Order::Lower,
                "none",
                None,
                "What a run may write to disk in all."
            ),
        ]
    ),
    section!(
        "gate",
        None,
        "How much a run may change before a person looks at it; `none` asks for nobody.",
        &[
            leaf!(
                "max_files",
                "gate.max_files",
                Kind::Count,
                Order::Lower,
                "none",
                None,
                "More changed files than this, and all of the run waits for a person."
            ),
            leaf!(
                "max_bytes",
                "gate.max_bytes",
                Kind::Size,
                Order::Lower,
                "none",
                None,
                "More bytes than this in all new and changed files, and all of the run waits for a person."
            ),
            leaf!(
                "max_file_bytes",
                "gate.max_file_bytes",
                Kind::Size,
                Order::Lower,
                "none",
                None,
                "A new or changed file larger than this waits for a person."
            ),
        ]
    ),
    TRACE,
    NOTIFY,
    section!(
        "isolation",
        Some("isolation.mode"),
        "How strong the walls are.",
        &[
            leaf!(
                "mode",
                "isolation.mode",
                word!(Isolation),
                Order::LaterWord,
                "full",
                Some("--isolation"),
                "How strong the walls must be."
            ),
            leaf!(
                "nested",
                "isolation.nested",
                Kind::Flag { default: false },
                Order::False,
                "false",
                None,
                "Whether an agent may build a sandbox of its own inside: namespaces, and mounts in them. What we mask stays masked."
            ),
        ]
    ),
    leaf!(
        "review",
        "review",
        word!(Review),
        Order::LaterWord,
        "auto",
        Some("--review"),
        "When a person looks at the changes."
    ),
];

const ENV: Key = Key {
    name: "env",
    path: "secrets.env",
    doc: "Variables of the environment, beside those that are recognised.",
    shape: Shape::Section {
        short: None,
        keys: &[
            leaf!(
                "mask",
                "secrets.env.mask",
                Kind::NameGlobs,
                Order::Union,
                r#"["MY_COMPANY_*"]"#,
                None,
                "Variables that are secret whatever they look like. Names with `*` and `?`."
            ),
            leaf!(
                "allow",
                "secrets.env.allow",
                Kind::NameGlobs,
                Order::Grants,
                r#"["PUBLIC_KEY_ID"]"#,
                None,
                "Variables that are no secret whatever they look like. `mask` wins over it."
            ),
        ],
    },
    example: "",
    option: None,
};

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
