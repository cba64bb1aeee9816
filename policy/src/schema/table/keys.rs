//! The keys themselves, each once, in the order in which people see them.

use super::super::words::{History, Isolation, NetworkMode, Review, SecretsMode, Writes};
use super::telling::{NOTIFY, TRACE};
use super::{Key, Kind, Order, Shape};
use crate::profiles;

/// All of them.
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
