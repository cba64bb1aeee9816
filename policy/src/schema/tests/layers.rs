//! Who may loosen what, and who has the last word.

use super::*;

#[test]
fn a_project_may_only_tighten() {
    // user, project, what the project is told; empty where it may.
    let table = [
        ("", "secrets: block", ""),
        ("", "secrets: synthetic", ""),
        ("", "secrets: broker", "`secrets.mode: broker` loosens `synthetic` (built in)"),
        ("secrets: broker", "secrets: broker", ""),
        ("secrets: broker", "secrets: synthetic", ""),
        ("", "secrets: {bindings: {T: [h.example]}}", "`secrets.bindings` is for people"),
        ("network: {passthrough: [h.example]}", "network: {passthrough: [h.example]}", ""),
        ("", "network: {passthrough: [h.example]}", "`network.passthrough` grants `h.example`"),
        ("secrets: block", "secrets: synthetic", "`secrets.mode: synthetic` loosens `block` (user, "),
        ("", "secrets: {history: allow}", "`secrets.history: allow` loosens `mask`"),
        ("", "secrets: {history: block}", ""),
        ("", "secrets: {env: {mask: [X]}}", ""),
        ("", "secrets: {env: {allow: [X]}}", "`secrets.env.allow` grants `X`"),
        ("secrets: {env: {allow: [\"X*\", Y]}}", "secrets: {env: {allow: [XY]}}", ""),
        ("", "secrets: {files: {a: block, b: synthetic}}", ""),
        ("", "secrets: {files: {a: allow}}", "would show a real file"),
        (
            "secrets: {files: {\"~/.aws\": block}}",
            "secrets: {files: {\"~/.aws/x\": synthetic}}",
            "loosens `~/.aws: block`",
        ),
        ("", "files: {writes: none}", ""),
        ("", "files: {writes: direct}", "`files.writes: direct` loosens `overlay`"),
        ("files: {writes: overlay}", "files: {writes: direct}", "`files.writes: direct` loosens `overlay`"),
        ("", "files: {visible: [\"~/.x\"]}", "`files.visible` grants `~/.x`"),
        ("files: {visible: [\"~/.x\"]}", "files: {visible: [\"~/.x/y\"]}", ""),
        ("", "files: {persist: [\"~/.x\"]}", "`files.persist` grants `~/.x`"),
        ("", "network: open", "or with `--network open`"),
        ("network: open", "network: {mode: allowlist, allow: []}", ""),
        ("network: {mode: allowlist, allow: [\"*.a.example\"]}", "network: {allow: [x.a.example]}", ""),
        (
            "network: {mode: allowlist, allow: [\"*.a.example\"]}",
            "network: {allow: [a.example]}",
            "grants `a.example`",
        ),
        ("network: {allow: [a.example]}", "network: {allow: [\"a.example:443\"]}", ""),
        ("network: {allow: [\"a.example:443\"]}", "network: {allow: [a.example]}", "grants `a.example`"),
        (
            "network: {allow: [a.example]}",
            "network: {allow: [\"a.example:5432\"]}",
            "grants `a.example:5432`",
        ),
        ("network: {allow: [\"set:npm\"]}", "network: {allow: [registry.npmjs.org]}", ""),
        ("network: {allow: [a.example]}", "network: {allow: [\"GET a.example/v1/**\"]}", ""),
        ("network: {allow: [\"GET a.example\"]}", "network: {allow: [a.example]}", "grants `a.example`"),
        ("", "network: {resolve: [\"a.example:443=127.0.0.1:1\"]}", "`network.resolve` is for people"),
        ("", "limits: {timeout_seconds: 5}", ""),
        ("limits: {timeout_seconds: 5}", "limits: {timeout_seconds: 5}", ""),
        (
            "limits: {timeout_seconds: 5}",
            "limits: {timeout_seconds: 6}",
            "`limits.timeout_seconds: 6` loosens `5`",
        ),
        ("limits: {memory: 1G}", "limits: {memory: none}", "`limits.memory: none` loosens `1GiB`"),
        ("", "limits: {memory: none}", ""),
        ("", "partial: true", "`partial: true` loosens `false`"),
        ("partial: true", "partial: false", ""),
        ("", "trace: {stdin: true}", ""),
        ("trace: {stdin: true}", "trace: {stdin: false}", "`trace.stdin: false` loosens `true`"),
        ("", "gate: {max_files: 5}", ""),
        ("gate: {max_files: 5}", "gate: {max_files: 6}", "`gate.max_files: 6` loosens `5`"),
        ("gate: {max_bytes: 1K}", "gate: {max_bytes: none}", "`gate.max_bytes: none` loosens `1KiB`"),
        ("", "trace: {retention: {max_days: 1}}", "`trace.retention.max_days` is for people"),
        ("", "notify: {command: [/x]}", "`notify.command` is for people"),
        ("", "notify: {webhook: {url: \"https://h.example\"}}", "`notify.webhook.url` is for people"),
        ("", "notify: {deadline_seconds: 1}", "`notify.deadline_seconds` is for people"),
        ("", "trace: {sinks: [syslog]}", "`trace.sinks` is for people"),
        ("", "trace: {stdio_size: 1}", "`trace.stdio_size` is for people"),
        ("", "isolation: preload", "`isolation.mode: preload` loosens `full`"),
        ("", "isolation: {nested: true}", "`isolation.nested: true` loosens `false`"),
        ("", "review: always", ""),
        ("", "review: never", "`review: never` loosens `auto`"),
        ("", "blocked_patterns: [x]", ""),
        ("", "require_human_review: [x]", ""),
        ("require_human_review: [x]", "require_human_review: [\"!x\"]", "takes files out of review"),
    ];
    for (user, project, expected) in table {
        let messages = messages(layered(user, project));
        if expected.is_empty() {
            assert_eq!(messages, [""; 0], "{user:?} + {project:?}");
        } else {
            assert_eq!(messages.len(), 1, "{user:?} + {project:?}: {messages:?}");
            assert!(messages[0].contains(expected), "{user:?} + {project:?}: {messages:?}");
            assert!(messages[0].starts_with("sandbox-policy.yaml:1:"), "{messages:?}");
        }
        // The same line from a person is never refused.
        let as_person = layered(&format!("{user}\n"), "");
        assert!(as_person.is_ok() && self::user(project).is_ok(), "{project:?}");
    }
}

#[test]
fn no_project_loosens_a_word_or_a_number_in_any_combination() {
    for (path, words) in [
        ("secrets.mode", SecretsMode::WORDS),
        ("secrets.history", History::WORDS),
        ("files.writes", Writes::WORDS),
        ("network.mode", NetworkMode::WORDS),
        ("isolation.mode", Isolation::WORDS),
        ("review", Review::WORDS),
    ] {
        let line = |word: &str| match path.split_once('.') {
            Some((section, key)) => format!("{section}: {{{key}: {word}}}"),
            None => format!("{path}: {word}"),
        };
        for (old_rank, old) in words.iter().enumerate() {
            for (new_rank, new) in words.iter().enumerate() {
                let result = layered(&line(old.word), &line(new.word));
                assert_eq!(result.is_ok(), new_rank >= old_rank, "{path}: {} -> {}", old.word, new.word);
            }
        }
    }
}

#[test]
fn the_command_line_has_the_last_word() {
    let mut overrides =
        overrides_from_json("--config", br#"{"secrets_mode": "broker", "timeout_seconds": 9}"#)
            .expect("valid");
    overrides.secrets = Some(SecretsMode::Synthetic);
    overrides.network = Some(NetworkMode::Open);
    let sources = [source(Layer::Project, "secrets: block\nnetwork: none\nlimits: {timeout_seconds: 5}\n")];
    let policy = load(&sources, &overrides).expect("valid");
    assert_eq!(policy.secrets.mode, SecretsMode::Synthetic);
    assert_eq!(policy.network.mode, NetworkMode::Open);
    assert_eq!(policy.limits.timeout, Some(std::time::Duration::from_secs(9)));
    assert_eq!(
        policy.origin("secrets.mode").map(ToString::to_string).as_deref(),
        Some("command line, --secrets")
    );
    assert_eq!(
        policy.origin("limits.timeout_seconds").map(ToString::to_string).as_deref(),
        Some("command line, --config:1:28")
    );
}

#[test]
fn lists_add_up_over_the_layers_and_name_their_origin() {
    let policy = layered(
        "blocked_patterns: [a, b]\nsecrets: {env: {mask: [M]}}\n",
        "blocked_patterns:\n- b\n- c\nrequire_human_review: ['*.yml']\nsecrets:\n  files: {x.env: synthetic}\n",
    )
    .expect("valid");
    insta::assert_snapshot!("explain", policy.explain());
}

#[test]
fn file_rules_of_a_person_settle_and_of_a_project_are_a_least() {
    use std::path::Path;
    let policy = layered(
        "secrets: {files: {\"~/.aws\": block, \"~/.aws/config\": allow, tool.conf: synthetic}}\n",
        "secrets: {files: {\"~/.ssh/known_hosts\": synthetic, sub/x: block}}\n",
    )
    .expect("valid");
    let mode = |path: &str, own| {
        policy.secrets.file_mode(Path::new(path), Path::new("/home/u"), Path::new("/home/u/proj"), own)
    };
    for (path, own, expected) in [
        ("/home/u/.aws/credentials", Some(FileMode::Synthetic), Some(FileMode::Block)),
        ("/home/u/.aws/config", Some(FileMode::Synthetic), Some(FileMode::Allow)),
        ("/home/u/proj/tool.conf", None, Some(FileMode::Synthetic)),
        ("/home/u/.ssh/known_hosts", Some(FileMode::Block), Some(FileMode::Block)),
        ("/home/u/.ssh/known_hosts", None, Some(FileMode::Synthetic)),
        ("/home/u/proj/sub/x", Some(FileMode::Synthetic), Some(FileMode::Block)),
        ("/home/u/proj/other", None, None),
        ("/home/u/.awsome", None, None),
    ] {
        assert_eq!(mode(path, own), expected, "{path}");
    }
}
