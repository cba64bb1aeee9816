//! Tables over whole texts: what is understood, and what is said about mistakes.

mod layers;
mod mutations;

use super::*;

const NAME: &str = "sandbox-policy.yaml";

fn source(layer: Layer, text: &str) -> Source {
    let name = match layer {
        Layer::User => "~/.config/shieldrun/policy.yaml",
        _ => NAME,
    };
    Source { name: name.to_owned(), text: text.as_bytes().to_vec(), layer }
}

fn user(text: &str) -> Result<Policy, Vec<Diagnostic>> {
    load(&[source(Layer::User, text)], &Overrides::default())
}

fn layered(user: &str, project: &str) -> Result<Policy, Vec<Diagnostic>> {
    load(&[source(Layer::Project, project), source(Layer::User, user)], &Overrides::default())
}

fn rendered(result: Result<Policy, Vec<Diagnostic>>) -> String {
    match result {
        Ok(policy) => policy.explain(),
        Err(diagnostics) => diagnostics.iter().map(Diagnostic::rendered).collect::<Vec<_>>().join("\n"),
    }
}

fn messages(result: Result<Policy, Vec<Diagnostic>>) -> Vec<String> {
    result.err().unwrap_or_default().iter().map(Diagnostic::to_string).collect()
}

#[test]
fn the_form_that_people_know_is_read_verbatim() {
    let text = "blocked_patterns:\n- \"rm -rf\"\n- \"git push\"\nrequire_human_review:\n- \"*.yml\"\n- \".github/**\"\n";
    let policy = layered("", text).expect("valid");
    let patterns: Vec<&str> = policy.blocked_patterns.iter().map(|pattern| pattern.text.as_str()).collect();
    assert_eq!(patterns, ["rm -rf", "git push"]);
    assert!(policy.blocked_patterns[1].is_in(b"git push origin main"));
    assert_eq!(policy.require_human_review[1].text, ".github/**");
}

#[test]
fn every_key_reaches_its_field() {
    let text = r#"
blocked_patterns: ["a", {pattern: "re:b+", in: [source, command]}, {pattern: c, in: prose}]
require_human_review: ["*.yml", "!keep.yml"]
profile: none
partial: true
secrets:
  mode: block
  env: {mask: ["A_*"], allow: ["B"]}
  files: {"~/.x/key": allow, "/abs": block, "rel/file": synthetic}
  history: allow
  bindings: {TOKEN: [t.example, "*.u.example"], KEY: ["K.example"]}
files: {writes: direct, visible: ["~/.v"], persist: ["~/.p"]}
network: {mode: allowlist, allow: ["h.example", "*.i.example:443"], resolve: ["h.example:443=127.0.0.1:8443"], passthrough: ["p.example"]}
ssh: {hosts: ["Git.example", "*.g.example"], sign_commits: true}
limits: {timeout_seconds: 1.5, cpu_seconds: 10, processes: 7, memory: 512MiB, file_size: 1GB, disk: 2G}
gate: {max_files: 500, max_bytes: 64MiB, max_file_bytes: 8MiB}
trace: {stdin: true, stdio_size: 1MiB, sinks: [syslog, "otlp:http://127.0.0.1:4318/"], retention: {max_days: 30, max_runs: 200, max_size: 1GiB}}
notify:
  on: [refused, leak]
  deadline_seconds: 2.5
  slack: {webhook: "env:HOOK"}
  linear: {api_key: "file:~/.linear", team: T1, url: "http://127.0.0.1/graphql"}
  webhook: {url: "https://h.example/x", authorization: "env:HOOK_AUTHORIZATION"}
  command: [/bin/tell, "--now"]
isolation: {mode: preload, nested: true}
review: always
"#;
    let policy = user(text).expect("valid");
    assert_eq!(policy.blocked_patterns[1].places, [Place::Command, Place::Source]);
    assert_eq!(policy.blocked_patterns[2].places, [Place::Prose]);
    assert_eq!(policy.require_human_review.len(), 2);
    assert_eq!(policy.profile, None);
    assert!(policy.partial);
    assert_eq!(policy.secrets.mode, SecretsMode::Block);
    assert_eq!(policy.secrets.env_rule(b"A_1"), EnvRule::Mask);
    assert_eq!(policy.secrets.env_rule(b"B"), EnvRule::Allow);
    assert_eq!(policy.secrets.env_rule(b"C"), EnvRule::Detect);
    assert_eq!(policy.secrets.files[0].mode, FileMode::Allow);
    assert_eq!(policy.secrets.history, History::Allow);
    assert_eq!(policy.files.writes, Writes::Direct);
    assert_eq!((policy.files.visible[0].as_str(), policy.files.persist[0].as_str()), ("~/.v", "~/.p"));
    assert_eq!(policy.network.mode, NetworkMode::Allowlist);
    assert_eq!(policy.network.allow, ["h.example", "*.i.example:443"]);
    assert_eq!(policy.network.resolve, ["h.example:443=127.0.0.1:8443"]);
    assert_eq!(policy.network.passthrough, ["p.example"]);
    let bindings: Vec<_> =
        policy.secrets.bindings.iter().map(|bound| (bound.secret.as_str(), bound.host.as_str())).collect();
    assert_eq!(bindings, [("TOKEN", "t.example"), ("TOKEN", "*.u.example"), ("KEY", "k.example")]);
    assert_eq!(policy.ssh.hosts, ["git.example", "*.g.example"]);
    assert!(policy.ssh.sign_commits);
    let expected = Limits {
        timeout: Some(std::time::Duration::from_millis(1500)),
        cpu: Some(std::time::Duration::from_secs(10)),
        processes: Some(7),
        memory: Some(512 << 20),
        file_size: Some(1_000_000_000),
        disk: Some(2 << 30),
    };
    assert_eq!(policy.limits, expected);
    assert!(policy.trace.stdin);
    let retention = Retention { days: Some(30), runs: Some(200), size: Some(1 << 30) };
    assert_eq!(policy.trace.retention, retention);
    let gate = GateLimits { files: Some(500), bytes: Some(64 << 20), file_bytes: Some(8 << 20) };
    assert_eq!(policy.gate, gate);
    assert_eq!(policy.trace.stdio_size, 1 << 20);
    let sinks: Vec<_> = policy.trace.sinks.iter().map(ToString::to_string).collect();
    assert_eq!(sinks, ["syslog:/dev/log", "otlp:http://127.0.0.1:4318"]);
    let notify = &policy.notify;
    assert_eq!(notify.on, [Notice::Refused, Notice::Leak]);
    assert_eq!(notify.deadline, std::time::Duration::from_millis(2500));
    assert_eq!(notify.slack, Some(Reference::Variable("HOOK".to_owned())));
    let linear = notify.linear.as_ref().expect("set");
    assert_eq!((linear.team.as_str(), linear.url.is_some()), ("T1", true));
    assert!(notify.webhook.as_ref().is_some_and(|webhook| webhook.authorization.is_some()));
    assert_eq!(notify.command, ["/bin/tell", "--now"]);
    assert_eq!((policy.isolation, policy.review), (Isolation::Preload, Review::Always));
    assert!(policy.nested);
    // No leaf of the table is left at its default, so none is without a field.
    for setting in &policy.settings {
        assert_ne!(setting.origin.layer, Layer::BuiltIn, "{} is not in this test", setting.key.path);
    }
}

#[test]
fn short_forms_set_the_mode() {
    let policy = user("network: open\nsecrets: block\n").expect("valid");
    assert_eq!((policy.network.mode, policy.secrets.mode), (NetworkMode::Open, SecretsMode::Block));
}

#[test]
fn empty_texts_are_the_defaults() {
    let default = Policy::built_in();
    for text in
        ["", "\n\n", "# nothing\n", "---\n", "null\n", "{}\n", "\u{feff}", "secrets:\nblocked_patterns:\n"]
    {
        assert_eq!(user(text).expect(text).digest(), default.digest(), "{text:?}");
    }
}

#[test]
fn the_example_says_what_the_defaults_say_and_its_lines_are_valid() {
    let example = example();
    assert_eq!(user(&example).expect("valid").digest(), Policy::built_in().digest());
    let uncommented: String = example
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| !line.trim_start().starts_with('#') && line.contains(": ") | line.ends_with(':'))
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_lowercase()))
        .map(|line| format!("{line}\n"))
        .collect();
    let policy = user(&uncommented).unwrap_or_else(|_| panic!("{}", rendered(user(&uncommented))));
    for setting in &policy.settings {
        assert_eq!(setting.origin.layer, Layer::User, "{} is not in the example", setting.key.path);
    }
    insta::assert_snapshot!("example", example);
}

#[test]
fn every_mistake_is_told_in_one_run() {
    let text = r#"blocked_patterns: ["re:(", "ok", 404, "", {patern: x}, {pattern: y, in: sorce}]
require_human_review: "*.yml"
sercets: {mode: block}
secrets:
  mode: blocked
  env: {mask: ["A[0]"], allow: TOKEN}
  files: {"../up": block, "~/x": hide}
  timeout_seconds: 3
partial: yes
files:
- writes
network: {mode: none, mode: open, allow: ["https://x.example/", "a b"]}
limits: {timeout_seconds: soon, memory: 0, processes: 1.5, disk: 1 parsec}
isolation: [full]
review: Auto
colour: red
secrets: {}
"#;
    insta::assert_snapshot!("every_mistake", rendered(user(text)));
}

#[test]
fn syntax_mistakes_are_told_with_what_else_is_wrong() {
    let texts = [
        ("star", "require_human_review:\n- *.yml\n- **/x\nreviw: auto\nblocked_patterns: [*, \"ok\"]\n"),
        ("tabs", "secrets:\n\tmode: block\nfiles:\n  writes: overlai\n"),
        ("unclosed", "sercets: x\nnetwork: [a, b\n"),
        ("unclosed_quote", "reviw: auto\nisolation: \"full\n"),
        ("indent", "secrets:\n    mode: block\n  history: mask\n"),
        ("alias", "a: &x [1]\nblocked_patterns: *x\n"),
        ("tag", "review: !!str auto\n"),
        ("documents", "review: auto\n---\nreview: never\n"),
        ("duplicate", "review: auto\nreview: never\n"),
        ("colon", "blocked_patterns:\n- curl: http\n- echo \"a: b\"\n- do: it\n"),
        ("not_a_map", "- a\n- b\n"),
        ("plain_text", "just text\n"),
        ("complex_key", "? [a]\n: b\n{a: b}: c\n"),
    ];
    for (name, text) in texts {
        insta::assert_snapshot!(format!("syntax_{name}"), rendered(user(text)));
    }
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let load_bytes = |text: &[u8]| {
        let source = Source { name: "p\u{1b}.yaml".to_owned(), text: text.to_vec(), layer: Layer::User };
        messages(load(&[source], &Overrides::default()))
    };
    assert_eq!(
        load_bytes(b"review: auto\nfiles: caf\xe9\n"),
        ["p\u{fffd}.yaml:2:11: byte 0xe9 is not UTF-8; save the file as UTF-8"]
    );
    assert!(load_bytes(b"\xff\xfer\0e\0")[0].contains("UTF-16"));
    assert!(load_bytes(&vec![b'a'; 10 << 20])[0].contains("1024 KiB"));
}

#[test]
fn deep_and_wide_texts_neither_crash_nor_hang() {
    for text in [
        "[".repeat(900_000),
        "{a: ".repeat(200_000),
        "- ".repeat(400_000),
        "a:\n".to_owned() + &(1..1200).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>(),
        "'".repeat(1_000_000),
        "x".repeat(1_000_000),
        "? ".repeat(300_000),
        "&a ".repeat(300_000),
        "*a ".repeat(300_000),
        "k: v\n".repeat(150_000),
        "\t- *a\n".repeat(150_000),
    ] {
        let result = user(&text);
        assert!(result.is_err(), "{}", &text[..20]);
    }
}

#[test]
fn config_takes_flat_names_and_every_key() {
    let text = br#"{"timeout_seconds": 120, "network_policy": "none", "secrets_mode": "synthetic",
        "writes": "direct", "limits": {"memory": "1GiB"}, "blocked_patterns": ["x", {"pattern": "y", "in": "prose"}]}"#;
    let policy = load(&[], &overrides_from_json("--config", text).expect("valid")).expect("valid");
    assert_eq!(policy.limits.timeout, Some(std::time::Duration::from_secs(120)));
    assert_eq!(policy.limits.memory, Some(1 << 30));
    assert_eq!(policy.files.writes, Writes::Direct);
    assert_eq!(policy.blocked_patterns.len(), 2);
    assert!(overrides_from_json("--config", b"").is_ok());
}

#[test]
fn mistakes_in_config_name_the_key_and_its_place() {
    let texts: [(&str, &[u8]); 8] = [
        ("unknown", b"{\"timeout\": 3,\n \"secret_mode\": \"block\", \"limits\": {\"memry\": 1}}"),
        ("types", b"{\"timeout_seconds\": \"soon\", \"network_policy\": 7, \"blocked_patterns\": \"x\"}"),
        ("twice", b"{\"timeout_seconds\": 1, \"limits\": {\"timeout_seconds\": 2}, \"review\": \"auto\", \"review\": \"auto\"}"),
        ("syntax", b"{\"timeout_seconds\": 3,}"),
        ("cut", b"{\"timeout_seconds\""),
        ("list", b"[1]"),
        ("surrogate", b"{\"review\": \"\\ud800\", \"\\udfff\": 1}"),
        ("not_utf8", b"{\"review\": \"\xff\"}"),
    ];
    for (name, text) in texts {
        let diagnostics = overrides_from_json("--config", text).expect_err(name);
        let rendered: Vec<_> = diagnostics.iter().map(Diagnostic::rendered).collect();
        insta::assert_snapshot!(format!("config_{name}"), rendered.join("\n"));
    }
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert!(overrides_from_json("--config", deep.as_bytes()).is_err());
    let deep = format!("{{\"notify\": {}1{}}}", "{\"a\":".repeat(60), "}".repeat(60));
    assert!(overrides_from_json("--config", deep.as_bytes()).is_err());
}

#[test]
fn digest_depends_on_values_alone() {
    let base = user("secrets: block\nlimits: {memory: 1GiB}\n").expect("valid");
    let same =
        layered("limits:\n  memory: 1073741824 # a comment\n", "secrets:\n  mode: block\n").expect("valid");
    let other = user("secrets: block\nlimits: {memory: 2GiB}\n").expect("valid");
    assert_eq!(base.digest(), same.digest());
    assert_ne!(base.digest(), other.digest());
    assert_eq!(base.digest().len(), "sha256:".len() + 64);
    // Known, so that a change of the form is seen: records name policies by it.
    insta::assert_snapshot!("digest", Policy::built_in().digest());
}

#[test]
fn a_secret_in_the_place_of_a_reference_is_refused_and_not_shown() {
    for text in [
        "notify: {slack: {webhook: \"https://hooks.example/sOmEvAlUe\"}}",
        "notify: {linear: {api_key: sOmEvAlUe, team: t}}",
        "notify: {webhook: {url: \"https://u:sOmEvAlUe@h.example/\"}}",
        "notify: {webhook: {url: \"https://h.example/\", authorization: Bearer sOmEvAlUe}}",
    ] {
        let said = rendered(user(text));
        assert!(said.contains("env:NAME") && !said.contains("sOmEvAlUe"), "{text}\n{said}");
    }
}

#[test]
fn what_the_launcher_uses_itself_is_secret_inside() {
    use std::path::Path;
    let text = "notify: {slack: {webhook: env:PLAIN_NAME}, webhook: {url: file:/etc/hook}}\n\
                secrets: {env: {allow: [PLAIN_NAME]}, files: {/etc/hook: allow}}";
    let policy = user(text).expect("valid");
    assert_eq!(policy.secrets.env_rule(b"PLAIN_NAME"), EnvRule::Mask);
    let mode = policy.secrets.file_mode(Path::new("/etc/hook"), Path::new("/h"), Path::new("/w"), None);
    assert_eq!(mode, Some(FileMode::Block));
}

#[test]
fn notices_need_all_their_parts_and_a_program_that_is_beyond_doubt() {
    for (text, expected) in [
        ("notify: {linear: {api_key: env:K}}", "`notify.linear.api_key` needs `notify.linear.team`"),
        ("notify: {linear: {team: t}}", "`notify.linear.team` needs `notify.linear.api_key`"),
        ("notify: {webhook: {authorization: env:K}}", "needs `notify.webhook.url`"),
        ("notify: {command: [tell]}", "write the program's absolute path"),
        ("notify: {command: [./tell]}", "write the program's absolute path"),
        ("notify: {on: [helt]}", "did you mean `held`"),
        ("notify: {deadline_seconds: none}", "a number of seconds above 0; found"),
        ("trace: {sinks: [kafka]}", "`unix:PATH`"),
    ] {
        let said = rendered(user(text));
        assert!(said.contains(expected), "{text}\n{said}");
    }
    let twice = load(
        &[source(Layer::User, "notify: {command: [/a, b], on: [leak]}")],
        &overrides_from_json("--config", b"{\"notify\": {\"command\": [\"/c\"]}}").expect("valid"),
    )
    .expect("valid");
    assert_eq!(twice.notify.command, ["/c"], "two commands do not become one");
}

#[test]
fn the_schema_has_every_key_of_the_table() {
    let schema = json_schema();
    for key in table::leaves() {
        let mut at = &schema;
        for part in key.path.split('.') {
            // A section with a short form is one of two.
            let map = at.get("oneOf").and_then(|forms| forms.get(1)).unwrap_or(at);
            at = &map["properties"][part];
        }
        assert!(at.is_object(), "{}", key.path);
        assert_eq!(at["description"], key.doc, "{}", key.path);
    }
    assert!(schema["$defs"]["config"]["properties"]["network_policy"]["enum"].is_array());
    insta::assert_snapshot!("schema", serde_json::to_string_pretty(&schema).expect("JSON"));
}
