//! Somebody is told that a run waits: by Slack, Linear, a server or a program, whatever those answer; and a
//! notice that fails loses nothing.

use crate::harness::documented::missing_keys;
use crate::harness::made_up;
use crate::harness::server::Server;
use crate::harness::shield::Shield;
use crate::harness::{Ran, World, binary, put, text};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A change that waits for a person.
pub(crate) const HELD: &str = "mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml";

pub(crate) fn log(world: &World, name: &str) -> PathBuf {
    world.beside("servers").join(name)
}

/// A run with this `notify`.
pub(crate) fn told<'w>(world: &'w World, script: &str, notify: &Value) -> Shield<'w> {
    world.bash(script).with(["--config", &json!({"notify": notify}).to_string()])
}

fn run_of(ran: &Ran) -> String {
    text(&ran.record.result, "/run_id").to_owned()
}

/// The one event about a notice: outcome and message.
#[track_caller]
pub(crate) fn notified(ran: &Ran, whom: &str) -> (String, String) {
    let of = |e: &&&Value| text(e, "/rule/name") == format!("notify.{whom}");
    let events = ran.record.of("notified");
    let found: Vec<_> = events.iter().filter(of).collect();
    assert_eq!(found.len(), 1, "{ran}");
    (text(found[0], "/event/outcome").to_owned(), text(found[0], "/message").to_owned())
}

/// What the run left waits, and can be let through.
#[track_caller]
pub(crate) fn assert_held_and_approvable(world: &World, ran: &Ran) {
    assert_eq!(ran.record.result["held"], json!([".github/workflows/ci.yml"]), "{ran}");
    assert!(!world.project.join(".github/workflows/ci.yml").exists(), "{ran}");
    approve(world, &run_of(ran));
}

#[track_caller]
pub(crate) fn approve(world: &World, run: &str) {
    let output = Command::new(binary())
        .args(["approve", run])
        .current_dir(&world.project)
        .env_clear()
        .envs(world.environment.iter().cloned())
        .stdin(Stdio::null())
        .output()
        .expect("run shieldrun");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(world.project.join(".github/workflows/ci.yml").exists());
}

/// Nothing of the record holds this value.
fn assert_not_on_record(ran: &Ran, value: &str) {
    let record = PathBuf::from(text(&ran.record.result, "/record"));
    for entry in fs::read_dir(&record).expect("list the record").flatten() {
        if entry.path().is_file() {
            let bytes = fs::read(entry.path()).expect("read");
            let seen = memchr::memmem::find(&bytes, value.as_bytes()).is_some();
            assert!(!seen, "{:?} shows a secret of the notices", entry.path());
        }
    }
}

#[test]
fn slack_is_told_what_waits_and_how_to_let_it_through() {
    let mut world = World::new();
    let server = Server::answering(&log(&world, "slack"), ["200=ok"]);
    let url = server.url(&format!("/services/{}", made_up::word(24)));
    world.plant("the webhook", url.clone());
    // A name that no rule takes for a secret's.
    world.set("WHERE_TO", &url);
    let script = format!("{HELD}; echo \"inside: $WHERE_TO\"");
    let ran = told(&world, &script, &json!({"slack": {"webhook": "env:WHERE_TO"}})).run().expect_clean();
    assert_eq!(notified(&ran, "slack"), ("success".to_owned(), "held: told".to_owned()), "{ran}");
    let got = server.got();
    assert_eq!(got.len(), 1, "{ran}");
    assert!(text(&got[0], "/line").starts_with("POST /services/"), "{ran}");
    let body: Value = serde_json::from_str(text(&got[0], "/body")).expect("JSON");
    assert_eq!(text(&body, "/text"), "shieldrun: 1 file waits for review", "{ran}");
    let blocks = body["blocks"].to_string();
    for part in
        [&run_of(&ran), ".github/workflows/ci.yml", "shieldrun approve", "shieldrun review", "CI server"]
    {
        assert!(blocks.contains(part), "{part} is not in {blocks}");
    }
    assert_not_on_record(&ran, &url);
    assert!(!ran.text().contains(&url), "{ran}");
    assert_held_and_approvable(&world, &ran);
}

#[test]
fn linear_gets_an_issue_and_its_errors_are_errors() {
    let made = r#"200={"data":{"issueCreate":{"success":true,"issue":{"identifier":"T-1"}}}}"#;
    let limited = r#"400={"errors":[{"message":"m","extensions":{"code":"RATELIMITED"}}]}"#;
    let wrong = r#"200={"errors":[{"message":"no such team"}],"data":null}"#;
    for (steps, outcome) in [(vec![limited, made], "success"), (vec![wrong], "failure")] {
        let mut world = World::new();
        let server = Server::answering(&log(&world, "linear"), &steps);
        let key = world.plant("the API key", made_up::custom());
        world.set("PLACE", &key);
        let linear = json!({"api_key": "env:PLACE", "team": "team-1", "url": server.url("/graphql")});
        let notify = json!({"linear": linear, "deadline_seconds": 20});
        let ran = told(&world, &format!("{HELD}; echo $PLACE"), &notify).run().expect_clean();
        let (found, message) = notified(&ran, "linear");
        assert_eq!(found, outcome, "{ran}");
        assert_eq!(message.contains("no such team"), outcome == "failure", "{message}");
        let got = server.got();
        assert_eq!(got.len(), steps.len(), "{ran}");
        assert_eq!(text(&got[0], "/headers/authorization"), key);
        let body: Value = serde_json::from_str(text(&got[0], "/body")).expect("JSON");
        assert!(text(&body, "/query").contains("issueCreate"));
        let input = &body["variables"]["input"];
        assert_eq!(input["teamId"], "team-1");
        let description = text(input, "/description");
        assert!(
            description.contains(".github/workflows/ci.yml") && description.contains("shieldrun approve")
        );
        assert_not_on_record(&ran, &key);
    }
}

#[test]
fn a_webhook_gets_the_documented_form_and_its_secret_is_a_file() {
    let world = World::new();
    let server = Server::answering(&log(&world, "hook"), ["204"]);
    let authorization = format!("Bearer {}", made_up::custom());
    put(&world.home.join(".config/hook"), format!("{authorization}\n").as_bytes(), 0o644);
    let webhook = json!({"url": server.url("/h"), "authorization": "file:~/.config/hook"});
    let notify = json!({"webhook": webhook, "deadline_seconds": 20});
    let script = format!("{HELD}; cat ~/.config/hook; ls .github");
    let ran = told(&world, &script, &notify).run().expect_clean();
    assert!(!ran.text().contains(&authorization) && ran.text().contains("workflows"), "{ran}");
    let got = server.got();
    assert_eq!(text(&got[0], "/headers/authorization"), authorization, "{ran}");
    assert_eq!(text(&got[0], "/headers/content-type"), "application/json");
    let body: Value = serde_json::from_str(text(&got[0], "/body")).expect("JSON");
    assert_eq!((&body["version"], &body["event"]), (&json!(1), &json!("held")));
    assert_eq!(missing_keys("Notices", &body, ""), [""; 0], "{body}");
    // The twin: what the document does not name is found.
    assert_eq!(missing_keys("Notices", &json!({"held": [], "made_up": 1}), ""), ["made_up"]);
    assert_eq!(body["run_id"], run_of(&ran));
    assert_eq!(body["workspace"], world.project.display().to_string());
    assert_eq!((&body["verdict"], &body["held_count"]), (&json!("hold"), &json!(1)));
    assert_eq!(body["held"], json!([".github/workflows/ci.yml"]));
    assert_eq!(body["reasons"][0]["file"], ".github/workflows/ci.yml");
    assert_eq!(body["approve"], format!("shieldrun approve {}", run_of(&ran)));
    assert_not_on_record(&ran, &authorization);
}

/// A program of the person's that keeps what it is told.
fn program(world: &World, at: &Path, body: &str) -> PathBuf {
    let _ = world;
    put(at, format!("#!/bin/sh\n{body}\n").as_bytes(), 0o755)
}

#[test]
fn a_command_gets_the_notice_outside_and_one_from_the_workspace_is_not_run() {
    let world = World::new();
    let (tools, kept) = (world.beside("tools"), world.beside("told").join("notice"));
    let good = program(&world, &tools.join("tell"), &format!("cat > {}; test $# = 1", kept.display()));
    let ran = told(&world, HELD, &json!({"command": [good, "--now"]})).run().expect_clean();
    assert_eq!(notified(&ran, "command").0, "success", "{ran}");
    let body: Value = serde_json::from_slice(&fs::read(&kept).expect("told")).expect("JSON");
    assert_eq!(body["run_id"], run_of(&ran));
    fs::remove_file(&kept).expect("remove");

    let bad = program(&world, &tools.join("fail"), "exit 9");
    let ran = told(&world, HELD, &json!({"command": [bad]})).run().expect_clean();
    assert!(notified(&ran, "command").1.contains("exit code 9"), "{ran}");
    let slow = program(&world, &tools.join("hang"), "sleep 3000 & wait");
    let ran = told(&world, HELD, &json!({"command": [slow], "deadline_seconds": 1})).run().expect_clean();
    assert!(notified(&ran, "command").1.contains("was killed"), "{ran}");

    let theirs = program(&world, &world.project.join("tell"), &format!("cat > {}", kept.display()));
    let link = tools.join("link");
    std::os::unix::fs::symlink(&theirs, &link).expect("link");
    for path in [&theirs, &link] {
        let ran = told(&world, HELD, &json!({"command": [path]})).run().expect_clean();
        assert!(notified(&ran, "command").1.contains("where the command writes"), "{ran}");
        assert!(!kept.exists(), "a file of the workspace was run outside\n{ran}");
    }
}

#[test]
fn a_project_makes_the_launcher_call_nobody() {
    let world = World::new();
    let server = Server::answering(&log(&world, "hook"), ["200"]);
    let policy = format!("notify: {{webhook: {{url: \"{}\"}}}}\n", server.url("/h"));
    world.write("sandbox-policy.yaml", &policy);
    let ran = world.bash(HELD).run().expect_code(125);
    assert!(ran.said().contains("`notify.webhook.url` is for people"), "{ran}");
    assert!(server.got().is_empty(), "{ran}");
    // The twin: the same words are the person's own in their own policy.
    fs::remove_file(world.project.join("sandbox-policy.yaml")).expect("remove");
    put(&world.home.join(".config/shieldrun/sandbox-policy.yaml"), policy.as_bytes(), 0o644);
    let ran = world.bash(HELD).run().expect_clean();
    assert_eq!(notified(&ran, "webhook").0, "success", "{ran}");
    assert_eq!(server.got().len(), 1, "{ran}");
}

#[test]
fn each_is_told_of_what_they_asked_for_and_of_nothing_else() {
    let refused = "printf '#!/bin/sh\\ngit %s\\n' push > go.sh; chmod +x go.sh";
    for (on, script, expected) in [
        (json!(["held"]), "echo x > plain.txt", None),
        (json!(["held"]), refused, None),
        (json!(["refused"]), HELD, None),
        (json!(["refused", "held"]), refused, Some("refused")),
        (json!(["leak", "held"]), "cat", Some("leak")),
        (json!([]), HELD, None),
    ] {
        let world = World::new();
        let server = Server::answering(&log(&world, "hook"), ["200"]);
        let notify = json!({"on": on, "webhook": {"url": server.url("/h")}});
        let config = json!({"notify": notify, "blocked_patterns": ["git push"]}).to_string();
        let leaked = world.real("GITHUB_TOKEN").to_owned();
        let ran = world.bash(script).with(["--config", &config]).stdin(leaked.as_bytes()).run();
        ran.assert_nothing_real();
        let got = server.got();
        assert_eq!(got.len(), usize::from(expected.is_some()), "{on} {script}\n{ran}");
        if let Some(event) = expected {
            let body: Value = serde_json::from_str(text(&got[0], "/body")).expect("JSON");
            assert_eq!(body["event"], event, "{ran}");
            assert_eq!(missing_keys("Notices", &body, ""), [""; 0], "{body}");
            assert_eq!(ran.code(), Some(if event == "leak" { 120 } else { 121 }), "{ran}");
            if event == "leak" {
                assert_eq!(body["leaks"][0]["name"], "GITHUB_TOKEN", "{ran}");
            }
            assert!(!text(&got[0], "/body").contains(&leaked));
        }
    }
}

#[test]
fn names_from_inside_are_no_markup_and_hold_no_secret() {
    let world = World::new();
    let server = Server::answering(&log(&world, "hook"), ["200"]);
    let secret = world.real("NPM_TOKEN").to_owned();
    let notify = json!({"slack": {"webhook": "file:~/.config/slack"}, "webhook": {"url": server.url("/h")}});
    put(&world.home.join(".config/slack"), server.url("/s").as_bytes(), 0o600);
    // The value comes in by stdin, where it may: only its way out is closed.
    let script = "mkdir -p .github/workflows; read -r name; \
                  touch \".github/workflows/<!channel>\\`&_x.yml\" \".github/workflows/$name.yml\"";
    let config = json!({"notify": notify}).to_string();
    let ran = world.bash(script).with(["--config", &config]).stdin(format!("{secret}\n").into_bytes()).run();
    let bodies: String = server.got().iter().map(|entry| text(entry, "/body").to_owned()).collect();
    assert!(!bodies.is_empty(), "{ran}");
    assert!(!bodies.contains(&secret), "a notice shows a real value");
    let slack = server.got().into_iter().find(|e| text(e, "/line").starts_with("POST /s"));
    let slack: Value = serde_json::from_str(text(&slack.expect("told"), "/body")).expect("JSON");
    let blocks = slack["blocks"].to_string();
    assert!(!blocks.contains("<!channel>") && blocks.contains("&lt;!channel&gt;"), "{blocks}");
}

#[test]
fn what_is_not_there_is_said_and_the_run_goes_on() {
    let world = World::new();
    let ran = told(&world, HELD, &json!({"slack": {"webhook": "env:NOT_SET"}})).run().expect_clean();
    assert!(ran.said().contains("`env:NOT_SET` is not set"), "{ran}");
    assert_eq!(notified(&ran, "slack").0, "failure", "{ran}");
    assert_held_and_approvable(&world, &ran);
}

#[test]
fn a_server_is_trusted_as_the_host_trusts_it() {
    let mut world = World::new();
    let at = world.beside("tls");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=made up", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(at.join("key"))
        .arg("-out")
        .arg(at.join("certificate"))
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|status| status.success()), "openssl makes a certificate");
    let words =
        ["--tls".into(), at.join("certificate").into_os_string(), at.join("key").into(), "200".into()];
    let server = Server::answering::<std::ffi::OsString>(&log(&world, "tls"), words);
    let url = format!("https://127.0.0.1:{}/h", server.said);
    let notify = json!({"webhook": {"url": url}, "deadline_seconds": 5});
    let ran = told(&world, HELD, &notify).run().expect_clean();
    let (outcome, message) = notified(&ran, "webhook");
    // On a busy machine the last attempt is cut off by the deadline, and that is what is said then.
    let why = ["no trusted connection", "no answer in time"];
    assert!(outcome == "failure" && why.iter().any(|why| message.contains(why)), "{message}");
    assert!(server.got().is_empty(), "{ran}");
    world.set("SSL_CERT_FILE", at.join("certificate"));
    let ran = told(&world, HELD, &notify).run().expect_clean();
    assert_eq!(notified(&ran, "webhook").0, "success", "{ran}");
    assert_eq!(server.got().len(), 1, "{ran}");
}

#[test]
fn the_proxy_of_the_environment_is_used() {
    let mut world = World::new();
    let server = Server::answering(&log(&world, "proxy"), ["200"]);
    world.set("http_proxy", server.url(""));
    world.set("https_proxy", server.url(""));
    let notify = json!({"webhook": {"url": "http://notice.invalid/h"}, "deadline_seconds": 10});
    let ran = told(&world, HELD, &notify).run().expect_clean();
    assert_eq!(notified(&ran, "webhook").0, "success", "{ran}");
    let lines: Vec<_> = server.got().iter().map(|entry| text(entry, "/line").to_owned()).collect();
    assert!(lines.iter().any(|line| line.contains("notice.invalid")), "{lines:?}");
}
