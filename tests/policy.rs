//! The policy as people meet it: layers that only tighten, mistakes shown where they are, the plan.

use crate::harness::probe::STATIC;
use crate::harness::{Ran, World, put, text};
use std::fs;

/// The line of stderr that names a place.
#[track_caller]
fn complains(ran: &Ran, place: &str, words: &[&str]) {
    let said = ran.said();
    assert!(said.contains(place), "stderr should name {place}\n{ran}");
    for word in words {
        assert!(said.contains(word), "stderr should say {word:?}\n{ran}");
    }
    assert!(ran.stdout.is_empty(), "nothing may have run\n{ran}");
    assert!(!said.contains("panicked"), "{ran}");
}

#[test]
fn the_policy_that_people_know_is_accepted() {
    let world = World::new();
    world.write(
        "sandbox-policy.yaml",
        "blocked_patterns:\n- \"rm -rf\"\n- \"git push\"\nrequire_human_review:\n- \"*.yml\"\n- \".github/**\"\n",
    );
    world.shield(["echo", "ran"]).run().expect_clean().expect_text("ran\n");
}

#[test]
fn a_wrong_key_is_shown_with_its_place_and_the_nearest_word() {
    let world = World::new();
    let path = world.write("sandbox-policy.yaml", "blocked_patterns: []\nsecrets:\n  mdoe: block\n");
    let ran = world.shield(["echo", "ran"]).run().expect_code(125);
    complains(
        &ran,
        &format!("{}:3:3", path.file_name().expect("a name").to_string_lossy()),
        &["mdoe", "`mode`"],
    );
}

#[test]
fn every_mistake_is_shown_at_once() {
    let world = World::new();
    world.write(
        "sandbox-policy.yaml",
        "sercets: block\nlimits:\n  timeout_seconds: soon\nfiles:\n  writes: overlya\n",
    );
    let ran = world.shield(["echo", "ran"]).run().expect_code(125);
    complains(&ran, "sandbox-policy.yaml:1:1", &["`secrets`"]);
    complains(&ran, "sandbox-policy.yaml:3:20", &["soon"]);
    complains(&ran, "sandbox-policy.yaml:5:11", &["`overlay`"]);
}

#[test]
fn a_broken_file_is_shown_with_its_place() {
    let world = World::new();
    for broken in ["secrets: [\n", "a: b: c\n", "- just\n- a list\n", "secrets: \"open\n", "\u{0}"] {
        world.write("sandbox-policy.yaml", broken);
        let ran = world.shield(["echo", "ran"]).run().expect_code(125);
        complains(&ran, "sandbox-policy.yaml:", &[]);
    }
    world.write("sandbox-policy.yaml", b"secrets: \xff\xfe\n");
    complains(&world.shield(["echo", "ran"]).run().expect_code(125), "sandbox-policy.yaml", &[]);
    world.write("sandbox-policy.yaml", "");
    world.shield(["echo", "ran"]).run().expect_code(0);
}

#[test]
fn a_policy_that_cannot_be_read_stops_the_run() {
    let world = World::new();
    let missing = world.home.join("no-such-policy.yaml");
    let ran =
        world.shield(["echo", "ran"]).with(["--policy".as_ref(), missing.as_os_str()]).run().expect_code(125);
    complains(&ran, "no-such-policy.yaml", &[]);
    let ran = world
        .shield(["echo", "ran"])
        .with(["--policy".as_ref(), world.home.as_os_str()])
        .run()
        .expect_code(125);
    complains(&ran, "home", &[]);
    if !rustix::process::geteuid().is_root() {
        put(&world.project.join("sandbox-policy.yaml"), b"secrets: block\n", 0o000);
        let ran = world.shield(["echo", "ran"]).run().expect_code(125);
        complains(&ran, "sandbox-policy.yaml", &[]);
    }
}

#[test]
fn a_policy_that_is_no_file_does_not_hang_the_run() {
    let world = World::new();
    let path = world.project.join("sandbox-policy.yaml");
    let status = std::process::Command::new("mkfifo").arg(&path).status().expect("run mkfifo");
    assert!(status.success());
    complains(&world.shield(["echo", "ran"]).run().expect_code(125), "sandbox-policy.yaml", &[]);
}

#[test]
fn a_project_may_tighten() {
    let world = World::new();
    world.write("sandbox-policy.yaml", "secrets: block\n");
    let script = format!("{} cat .env; echo [$GITHUB_TOKEN]", world.probe(&STATIC).display());
    world.bash(&script).run().expect_clean().expect_text("BLOCKED EACCES\n[]\n");
}

#[test]
fn a_project_may_not_loosen() {
    let world = World::new();
    for (policy, place) in [
        ("secrets:\n  env:\n    allow: [GITHUB_TOKEN]\n", "3:"),
        ("secrets:\n  files:\n    .env: allow\n", "3:"),
        ("network: open\n", "1:"),
        ("isolation: preload\n", "1:"),
    ] {
        world.write("sandbox-policy.yaml", policy);
        let ran = world.bash("echo $GITHUB_TOKEN; cat .env").run();
        ran.assert_nothing_real();
        // Refused with its place, or held to the stricter word and said so.
        assert!(ran.said().contains(&format!("sandbox-policy.yaml:{place}")), "{policy}\n{ran}");
    }
}

#[test]
fn the_user_may_loosen_with_the_same_words() {
    let world = World::new();
    let policy = put(
        &world.home.join("mine.yaml"),
        b"secrets:\n  env:\n    allow: [GREETING_TOKEN]\n  files:\n    plain.env: allow\n",
        0o600,
    );
    let value = crate::harness::made_up::custom();
    let ran = world
        .bash("echo $GREETING_TOKEN")
        .set("GREETING_TOKEN", value.clone())
        .with(["--policy".as_ref(), policy.as_os_str()])
        .run();
    ran.expect_clean().expect_text(&format!("{value}\n"));
}

#[test]
fn variables_that_the_policy_names_are_masked() {
    let mut world = World::new();
    let value = world.plant("CORP_SETTING", "An-Unremarkable-Setting-4711");
    world.set("CORP_SETTING", value);
    world.write("sandbox-policy.yaml", "secrets:\n  env:\n    mask: [\"CORP_*\"]\n");
    let ran = world.shield(["printenv", "CORP_SETTING"]).run().expect_clean();
    assert_eq!(ran.stdout.len(), "An-Unremarkable-Setting-4711".len() + 1, "{ran}");
}

#[test]
fn files_that_the_policy_names_are_masked() {
    let mut world = World::new();
    let value = world.plant("config/secret.ini", crate::harness::made_up::custom());
    world.write("config/secret.ini", format!("[app]\napi_token = {value}\n"));
    world.write("sandbox-policy.yaml", "secrets:\n  files:\n    config/secret.ini: block\n");
    let script = format!("{} cat config/secret.ini", world.probe(&STATIC).display());
    world.bash(&script).run().expect_clean().expect_text("BLOCKED EACCES\n");
}

#[test]
fn a_private_key_may_be_synthetic_and_is_a_key() {
    let mut world = World::new();
    let key = fs::read_to_string(world.home.join(".ssh/id_ed25519")).expect("read");
    put(&world.project.join("deploy_key"), key.as_bytes(), 0o600);
    world.plant("deploy_key", key.lines().nth(2).unwrap_or_default());
    world.write("sandbox-policy.yaml", "secrets:\n  files:\n    deploy_key: synthetic\n");
    let native = world.native(["ssh-keygen", "-y", "-P", "", "-f", "deploy_key"]);
    assert!(native.starts_with(b"ssh-ed25519 "));
    let ran = world.shield(["ssh-keygen", "-y", "-P", "", "-f", "deploy_key"]).run().expect_clean();
    assert!(ran.text().starts_with("ssh-ed25519 ") && ran.stdout != native, "{ran}");
}

#[test]
fn settings_may_come_as_json() {
    let world = World::new();
    let ran = world.bash("echo begun; sleep 60").with(["--config", r#"{"timeout_seconds": 1}"#]).run();
    ran.expect_code(124).expect_text("begun\n");
    let config = r#"{"timeout_seconds": 120, "network_policy": "none", "secrets_mode": "block"}"#;
    world.bash("echo [$GITHUB_TOKEN]").with(["--config", config]).run().expect_clean().expect_text("[]\n");
    let file = put(&world.home.join("config.json"), config.as_bytes(), 0o600);
    let at = format!("@{}", file.display());
    world.bash("echo [$GITHUB_TOKEN]").with(["--config", &at]).run().expect_clean().expect_text("[]\n");
}

#[test]
fn mistakes_in_json_are_shown() {
    let world = World::new();
    for (config, word) in [
        (r#"{"timeout_secs": 1}"#, "timeout_seconds"),
        (r#"{"secrets_mode": "blok"}"#, "block"),
        (r#"{"timeout_seconds": "#, "config"),
        ("[]", "config"),
        ("@/no/such/file.json", "/no/such/file.json"),
    ] {
        let ran = world.shield(["echo", "ran"]).with(["--config", config]).run().expect_code(125);
        complains(&ran, word, &[]);
    }
}

#[test]
fn options_win_over_the_config() {
    let world = World::new();
    let ran = world.bash("echo [$GITHUB_TOKEN]").with([
        "--config",
        r#"{"secrets_mode": "block"}"#,
        "--secrets",
        "synthetic",
    ]);
    let ran = ran.run().expect_clean();
    assert!(ran.text().starts_with("[ghp_"), "{ran}");
}

#[test]
fn a_wrong_option_is_refused() {
    let world = World::new();
    for option in ["--secrets=none", "--netwrok=none", "--isolation=half", "--keep-fd=x", "--no-such-option"]
    {
        let ran = world.shield(["echo", "ran"]).with([option]).run().expect_code(125);
        complains(&ran, "shieldrun:", &[]);
    }
    let ran = world.shield(Vec::<&str>::new()).run().expect_code(125);
    complains(&ran, "shieldrun:", &[]);
}

#[test]
fn what_cannot_be_had_is_refused_and_not_ignored() {
    let world = World::new();
    for option in ["--secrets=broker", "--isolation=landlock --network=open"] {
        let ran = world.shield(["echo", "ran"]).with(option.split(' ')).run().expect_code(125);
        complains(&ran, "shieldrun:", &[]);
    }
}

#[test]
fn a_dry_run_shows_the_plan_and_runs_nothing() {
    let world = World::new();
    let ran = world.bash("echo x > made").with(["--dry-run"]).run().expect_clean();
    assert!(!world.project.join("made").exists());
    let plan = ran.text();
    let env = world.project.join(".env").display().to_string();
    for word in ["GITHUB_TOKEN", &env, ".ssh", "/proc", "/tmp"] {
        assert!(plan.contains(word), "the plan should name {word}\n{ran}");
    }
    let ran = world.bash("true").with(["--dry-run", "--json"]).run().expect_clean();
    assert!(
        serde_json::from_slice::<serde_json::Value>(&ran.stdout).is_ok_and(|plan| plan.is_object()),
        "{ran}"
    );
}

#[test]
fn the_run_says_which_policy_it_had() {
    let world = World::new();
    let digest = |world: &World| {
        let ran = world.shield(["true"]).run().expect_clean();
        let started = ran.record.of("run-started");
        let event = started.first().unwrap_or_else(|| panic!("{ran}"));
        text(event, "/shieldrun/policy_digest").to_owned()
    };
    let plain = digest(&world);
    assert!(plain.starts_with("sha256:"), "{plain}");
    assert_eq!(plain, digest(&world));
    world.write("sandbox-policy.yaml", "secrets: block\n");
    assert_ne!(plain, digest(&world));
}
