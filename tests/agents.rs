//! Real agents at a model of loopback: they work as they always do, with a synthetic key, and their model sees the real
//! key in its header and nothing else that is real.
//!
//! `ci/agents.sh` runs more of them, and each by itself as well; these are the quick ones.

use crate::harness::made_up;
use crate::harness::server::Server;
use crate::harness::shield::Shield;
use crate::harness::{Ran, World, put, skip, text};

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An agent of Python imports for a while where many tests run at a time.
const LIMIT: Duration = Duration::from_secs(180);
/// What the model asks for.
const COMMAND: &str = "cat .env; env; cat ~/.aws/credentials; echo done > task.txt";
const TASK: &str = "Write the word done into the file task.txt.";
const HOSTS: [&str; 3] = ["api.anthropic.com", "api.openai.com", "platform.claude.com"];

/// A world, and the models.
struct Models {
    world: World,
    server: Server,
    directory: PathBuf,
}

impl Models {
    fn new() -> Self {
        let world = World::new();
        let directory = world.beside("models");
        let server = Server::of_models(&directory, COMMAND);
        Self { world, server, directory }
    }

    /// The agent, with the allowlist that a person chose and nothing listed on it: that is the profile's.
    fn shield(&self, command: &[&str]) -> Shield<'_> {
        let at = |host: &&str| format!("{host}:443=127.0.0.1:{}", self.server.said);
        let resolve: Vec<_> = HOSTS.iter().map(at).collect();
        let config = json!({"network": {"resolve": resolve}}).to_string();
        let options = ["--network", "allowlist", "--secrets", "broker", "--config", &config];
        self.world
            .shield(command)
            .at_most(LIMIT)
            .with(options)
            .set("SSL_CERT_FILE", self.directory.join("ca.pem"))
    }

    /// What every run of an agent has to keep to: `place` is what it names itself with, in `header` at `host`.
    #[track_caller]
    fn assert_it_worked(&self, ran: &Ran, place: &str, header: &str, host: &str) {
        ran.assert_nothing_real();
        assert_eq!(self.task(), "done\n", "{ran}");
        let asked = self.server.got();
        let key = self.world.real(place);
        let at_model = |request: &&Value| text(request, &format!("/headers/{header}")).contains(key);
        assert!(asked.iter().filter(at_model).count() > 1, "the key is at its model: {ran}");
        assert!(asked.iter().any(|request| text(request, "/body").contains("DATABASE_PASSWORD")), "{ran}");
        for mut request in asked {
            if text(&request, &format!("/headers/{header}")).contains(key) {
                assert_eq!(text(&request, "/headers/host"), host, "{ran}");
                request["headers"][header] = Value::Null;
            }
            let seen = self.world.seen_in(request.to_string().as_bytes());
            assert!(seen.is_empty(), "{seen:?} at {}: {ran}", text(&request, "/path"));
        }
        let swapped = ran.record.of("secret-swapped");
        assert!(swapped.iter().all(|event| text(event, "/destination/domain") == host), "{ran}");
        assert!(!ran.said().contains(&format!("not reached: `{host}")), "{ran}");
    }

    /// A login of Claude that holds until then, in place of a key.
    fn log_in(&mut self, until: u64) -> PathBuf {
        self.world.environment.retain(|(name, _)| name != "ANTHROPIC_API_KEY");
        let login = json!({"claudeAiOauth": {
            "accessToken": self.world.plant("login", made_up::anthropic_of("oat01")),
            "refreshToken": self.world.plant("refresh", made_up::anthropic_of("ort01")),
            "expiresAt": until, "scopes": ["user:inference", "user:profile"], "subscriptionType": "max",
        }});
        put(&self.world.home.join(".claude/.credentials.json"), login.to_string().as_bytes(), 0o600)
    }

    fn task(&self) -> String {
        fs::read_to_string(self.world.project.join("task.txt")).unwrap_or_default()
    }
}

/// An installed agent, if `ci/agents.sh install` did.
fn installed(path: &str) -> Option<String> {
    let agents = std::env::var_os("SHIELDRUN_TEST_AGENTS");
    if agents.is_none() {
        skip("no agents: SHIELDRUN_TEST_AGENTS is not set (ci/test.sh sets it)");
    }
    let path = PathBuf::from(agents?).join(path);
    assert!(path.exists(), "{} is not installed", path.display());
    Some(path.to_string_lossy().into_owned())
}

fn claude() -> Option<String> {
    installed("claude/node_modules/.bin/claude")
}

#[test]
fn claude_works_with_a_synthetic_key() {
    let Some(claude) = claude() else { return };
    let models = Models::new();
    let ran = models.shield(&[&claude, "-p", TASK, "--dangerously-skip-permissions"]).run().expect_code(0);
    assert!(ran.text().contains("All done."), "{ran}");
    models.assert_it_worked(&ran, "ANTHROPIC_API_KEY", "x-api-key", "api.anthropic.com");
}

#[test]
fn claude_works_with_a_synthetic_login() {
    let Some(claude) = claude() else { return };
    let mut models = Models::new();
    let login = models.log_in(4_102_444_800_000);
    let before = fs::read(&login).expect("the login");
    let ran = models.shield(&[&claude, "-p", TASK, "--dangerously-skip-permissions"]).run().expect_code(0);
    models.assert_it_worked(&ran, "login", "authorization", "api.anthropic.com");
    assert_eq!(fs::read(&login).expect("the login"), before, "as it was");
}

#[test]
fn a_login_that_claude_renews_comes_home() {
    let Some(claude) = claude() else { return };
    let mut models = Models::new();
    let login = models.log_in(1_700_000_000_000);
    let ran = models.shield(&[&claude, "-p", TASK, "--dangerously-skip-permissions"]).run().expect_code(0);
    ran.assert_nothing_real();
    assert_eq!(models.task(), "done\n", "{ran}");
    let asked = models.server.got();
    let renewed = asked.iter().find(|said| text(said, "/method") == "ANSWER").expect("it renewed its login");
    let (access, refresh) = (text(renewed, "/body/access_token"), text(renewed, "/body/refresh_token"));
    let with_it = |said: &&Value| text(said, "/headers/authorization") == format!("Bearer {access}");
    assert!(
        asked.iter().filter(with_it).any(|said| text(said, "/path").starts_with("/v1/messages")),
        "{ran}"
    );
    assert_eq!(asked.iter().filter(|said| text(said, "/method") == "ANSWER").count(), 1, "once: {ran}");
    let now = fs::read_to_string(&login).expect("the login");
    assert!(now.contains(access) && now.contains(refresh), "{ran}");
    let everything = format!("{ran}");
    assert!(!everything.contains(access) && !everything.contains(refresh), "it was seen inside");
    assert!(!ran.record.of("secret-renewed").is_empty(), "{ran}");
}

#[test]
fn mini_swe_agent_works_with_a_synthetic_key() {
    let Some(python) = installed("mini-swe-agent/bin/python") else { return };
    let mini = Path::new(&python).with_file_name("mini").to_string_lossy().into_owned();
    let models = Models::new();
    let command = [&python, &mini, "-y", "--exit-immediately", "-m", "openai/gpt-4o", "-t", TASK];
    let ran = models
        .shield(&command)
        .set("MSWEA_CONFIGURED", "true")
        .set("MSWEA_COST_TRACKING", "ignore_errors")
        .set("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .run()
        .expect_code(0);
    models.assert_it_worked(&ran, "OPENAI_API_KEY", "authorization", "api.openai.com");
}

#[test]
fn without_a_profile_the_model_is_not_reached() {
    let Some(claude) = claude() else { return };
    let models = Models::new();
    let shield = models.shield(&[&claude, "-p", TASK, "--dangerously-skip-permissions"]);
    let ran = shield.with(["--profile", "none", "--timeout", "20"]).run();
    assert_ne!(ran.code(), Some(0), "{ran}");
    ran.assert_nothing_real();
    assert!(!ran.record.of("name-denied").is_empty(), "{ran}");
    assert!(models.server.got().is_empty(), "{ran}");
    assert_eq!(models.task(), "");
}

/// A program of an agent's name that says what it finds.
fn stand_in(world: &World, name: &str, script: &str) -> String {
    let program = put(&world.beside("bin").join(name), format!("#!/bin/sh\n{script}\n").as_bytes(), 0o755);
    program.to_string_lossy().into_owned()
}

#[test]
fn a_profile_shows_settings_and_no_other_agents() {
    let world = World::new();
    put(&world.home.join(".claude/CLAUDE.md"), b"be brief\n", 0o644);
    put(&world.home.join(".codex/AGENTS.md"), b"be long\n", 0o644);
    put(&world.home.join(".claude/history.jsonl"), b"{}\n", 0o644);
    let script = "cat ~/.claude/CLAUDE.md; ls -A ~/.claude ~/.codex; echo IS_SANDBOX=$IS_SANDBOX";
    let claude = stand_in(&world, "claude", script);
    let ran = world.shield([&claude]).run();
    assert!(ran.text().contains("be brief\n"), "{ran}");
    assert!(ran.text().contains("IS_SANDBOX=1\n"), "{ran}");
    assert!(!ran.text().contains("AGENTS.md") && !ran.text().contains("history"), "{ran}");
    let ran = world.shield([&claude]).with(["--profile=codex"]).run();
    assert!(ran.text().contains("AGENTS.md") && ran.text().contains("IS_SANDBOX=\n"), "{ran}");
    let ran = world.shield([&claude]).with(["--profile=none"]).set("IS_SANDBOX", "mine").run();
    assert!(!ran.text().contains("be brief") && ran.text().contains("IS_SANDBOX=mine\n"), "{ran}");
}

#[test]
fn a_login_is_the_agents_own_to_rewrite_and_the_hosts_stays() {
    let mut models = Models::new();
    let login = models.log_in(4_102_444_800_000);
    let before = fs::read_to_string(&login).expect("the login");
    let script = "cat ~/.claude/.credentials.json; stat -c ' %a' ~/.claude/.credentials.json; cd ~/.claude; \
        echo new > x && mv x .credentials.json && cat .credentials.json";
    let claude = stand_in(&models.world, "claude", script);
    for (visible, rewritten) in [(false, true), (true, false)] {
        // What a person made visible is the host's, and its login is masked there.
        let config =
            json!({"files": {"visible": if visible { vec!["~/.claude"] } else { vec![] }}}).to_string();
        let ran = models.world.shield([&claude]).with(["--config", &config]).run();
        ran.assert_nothing_real();
        assert!(ran.text().contains("sk-ant-oat01-"), "{ran}");
        assert!(ran.text().contains(" 600\n"), "{ran}");
        assert_eq!(ran.text().ends_with("new\n"), rewritten, "{ran}");
        assert_eq!(fs::read_to_string(&login).expect("the login"), before, "{ran}");
    }
}

#[test]
fn sessions_of_this_project_are_kept_and_those_of_others_are_not_there() {
    let world = World::new();
    let folded = |path: &Path| path.to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let own = world.home.join(".claude/projects").join(folded(&world.project));
    put(&own.join("old.jsonl"), b"{}\n", 0o644);
    put(&world.home.join(".claude/projects/-other/old.jsonl"), b"{}\n", 0o644);
    let script = format!("ls ~/.claude/projects; echo new > {}/new.jsonl", own.display());
    let ran = world.shield([&stand_in(&world, "claude", &script)]).run().expect_clean();
    assert!(ran.text().starts_with('-') && !ran.text().contains("-other"), "{ran}");
    assert_eq!(fs::read_to_string(own.join("new.jsonl")).expect("kept"), "new\n", "{ran}");
}

#[test]
fn a_person_at_a_terminal_is_told_of_the_profile() {
    let world = World::new();
    let claude = stand_in(&world, "claude", "echo ran");
    for (options, told) in [(vec![], true), (vec!["-q"], false), (vec!["--profile=none"], false)] {
        let mut terminal = world.shield([&claude]).with(options).on_terminal(&world.project);
        terminal.await_text("ran");
        assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.text());
        let shown = terminal.text();
        assert_eq!(shown.contains("Claude Code: its settings are there"), told, "{shown}");
    }
    // One that brings a sandbox of its own cannot build it.
    let codex = stand_in(&world, "codex", "echo ran");
    let nested = ["--config", r#"{"isolation": {"nested": true}}"#];
    for (options, told) in [(vec![], true), (nested.to_vec(), false)] {
        let mut terminal = world.shield([&codex]).with(options).on_terminal(&world.project);
        terminal.await_text("ran");
        terminal.wait();
        assert_eq!(terminal.text().contains("--sandbox danger-full-access"), told, "{}", terminal.text());
    }
    // Elsewhere stderr is the command's.
    let ran = world.shield([&claude]).run().expect_clean();
    assert_eq!(ran.said(), "");
}

#[test]
fn the_profile_is_in_the_plan_and_a_project_chooses_none_or_nothing() {
    let world = World::new();
    let claude = stand_in(&world, "claude", "true");
    let ran = world.shield([&claude]).with(["--dry-run"]).run().expect_clean();
    assert!(ran.text().contains("profile            claude (Claude Code)\n"), "{ran}");
    world.write("sandbox-policy.yaml", "profile: none\n");
    let ran = world.shield([&claude]).with(["--dry-run"]).run().expect_clean();
    assert!(!ran.text().contains("profile"), "{ran}");
    world.write("sandbox-policy.yaml", "profile: codex\n");
    let ran = world.shield([&claude]).run().expect_code(125);
    assert!(ran.said().contains("`profile: codex` loosens"), "{ran}");
}
