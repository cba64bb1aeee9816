//! Wrappers in other languages: settings as JSON, the result as JSON, and a schema that says what is one.

use crate::harness::{PYTHON, World, binary, put, python_with_clients, text};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

const WRAPPER: &str = include_str!("wrapper/sandboxed_agent.py");
const USE: &str = include_str!("wrapper/use.py");
const JUDGE: &str = include_str!("wrapper/judge.py");

#[test]
fn a_wrapper_of_a_few_lines_runs_a_task_and_learns_everything() {
    let world = World::new();
    let at = world.beside("wrapper");
    put(&at.join("sandboxed_agent.py"), WRAPPER.as_bytes(), 0o644);
    let program = put(&at.join("use.py"), USE.as_bytes(), 0o644);
    let output = Command::new(PYTHON)
        .arg(program)
        .arg(binary())
        .current_dir(&world.project)
        .env_clear()
        .envs(world.environment.iter().cloned())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .expect("run the wrapper");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(world.seen_in(&output.stdout).is_empty(), "the result shows a real value");
    let got: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&got["stdout"], &got["code"]), (&json!("out\n"), &json!(5)), "{got:#}");
    assert!(text(&got, "/stderr").starts_with("err\n"), "{got:#}");
    let first = &got["first"];
    assert_eq!((&first["exit"]["code"], &first["verdict"]), (&json!(5), &json!("hold")), "{got:#}");
    assert_eq!(first["promoted"], json!(["made.txt"]), "{got:#}");
    assert_eq!(first["held"], json!([".github/workflows/a.yml"]), "{got:#}");
    let touched = first["secrets"]["touched"].as_array().cloned().unwrap_or_default();
    assert!(!touched.is_empty(), "{got:#}");
    assert_eq!((&got["slow_code"], &got["slow"]["exit"]["shieldrun"]), (&json!(124), &json!("timeout")));
    for (name, parts) in [
        ("unknown", ["`timeout`", "timeout_seconds"]),
        ("type", ["`limits.timeout_seconds`", "soon"]),
        ("word", ["`secrets.mode`", "synthetic"]),
        ("nested", ["`memry`", "`memory`"]),
    ] {
        let error = text(&got["errors"], &format!("/{name}"));
        assert!(parts.iter().all(|part| error.contains(part)), "{name}: {error}");
    }
}

#[test]
fn a_validator_and_shieldrun_are_of_one_mind_about_settings() {
    let Some(python) = python_with_clients() else { return };
    let world = World::new();
    let run = |arguments: &[&str]| {
        Command::new(binary())
            .args(arguments)
            .current_dir(&world.project)
            .env_clear()
            .envs(world.environment.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .expect("run shieldrun")
    };
    let schema: Value = serde_json::from_slice(&run(&["policy", "schema"]).stdout).expect("JSON");
    let values = [
        json!({}),
        json!({"timeout_seconds": 120, "network_policy": "none", "secrets_mode": "synthetic"}),
        json!({"blocked_patterns": ["a", {"pattern": "b", "in": ["command"]}], "require_human_review": ["*.yml"]}),
        json!({"secrets": "block", "network": {"mode": "none"}, "files": {"writes": "none"}}),
        json!({"limits": {"memory": "512MiB", "processes": 7, "timeout_seconds": "none"}}),
        json!({"trace": {"stdin": true, "stdio_size": "1MiB", "sinks": ["syslog", "unix:/run/a"]}}),
        json!({"notify": {"on": ["held", "leak"], "deadline_seconds": 2.5, "slack": {"webhook": "env:HOOK"}}}),
        json!({"notify": {"webhook": {"url": "https://h.example/x", "authorization": "file:~/.a"}}}),
        json!({"notify": {"linear": {"api_key": "file:/k", "team": "T"}, "command": ["/bin/true", "-x"]}}),
        json!({"timeout": 3}),
        json!({"timeout_seconds": "soon"}),
        json!({"timeout_seconds": 0}),
        json!({"secrets_mode": "synthetik"}),
        json!({"blocked_patterns": "rm"}),
        json!({"limits": {"memry": 1}}),
        json!({"limits": {"memory": "much"}}),
        json!({"limits": {"processes": 0}}),
        json!({"partial": "yes"}),
        json!({"trace": {"stdio_size": "none"}}),
        json!({"trace": {"sinks": ["kafka:x"]}}),
        json!({"notify": {"on": ["always"]}}),
        json!({"notify": {"deadline_seconds": "none"}}),
        json!({"notify": {"slack": {"webhook": "https://hooks.example/x"}}}),
        json!({"notify": {"webhook": {"url": "https://user@h.example/"}}}),
        json!({"notify": {"webhook": {"url": "env:not a name"}}}),
        json!({"notify": {"slack": "env:HOOK"}}),
        json!([]),
    ];
    let asked: Vec<_> = values.iter().map(|value| json!({"form": "config", "value": value})).collect();
    let mut child = Command::new(python)
        .args(["-c", JUDGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the validator");
    let body = json!({"schema": schema, "values": asked}).to_string();
    child.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("ask");
    let output = child.wait_with_output().expect("the validator's answer");
    assert!(output.status.success(), "the schema is none, or jsonschema is missing (ci/clients.txt)");
    let judged: Vec<bool> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(judged.len(), values.len());
    assert!(judged.contains(&true) && judged.contains(&false));
    for (value, valid) in values.iter().zip(judged) {
        let output = run(&["--config", &value.to_string(), "--dry-run", "--", "true"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), valid, "{value}\n{said}");
    }
}
