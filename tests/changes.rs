//! What a run changes reaches the real tree as the policy lets it: at once, after a person's word, or not at all.

use crate::harness::{Ran, World, binary, put, text};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A verb of shieldrun in a world, outside any run.
pub(crate) fn verb(world: &World, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .current_dir(&world.project)
        .env_clear()
        .envs(world.environment.iter().cloned())
        .stdin(Stdio::null())
        .output()
        .expect("run shieldrun")
}

#[track_caller]
pub(crate) fn said(output: &Output, code: i32) -> String {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

pub(crate) fn git(world: &World, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(&world.project)
        .env_clear()
        .env("HOME", &world.home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .output()
        .expect("run git");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) fn listed(ran: &Ran, key: &str) -> Vec<String> {
    let list = ran.record.result[key].as_array().cloned().unwrap_or_default();
    let mut list: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    list.sort();
    list
}

pub(crate) fn content(world: &World, path: &str) -> Option<String> {
    fs::read_to_string(world.project.join(path)).ok()
}

/// A project without files that are masked beside the workspace's own, committed whole.
pub(crate) fn world() -> World {
    let world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.write(&format!("{name}.txt"), format!("{name}\n"));
    }
    world.write(".gitignore", ".env*\n");
    git(&world, &["add", "--all", "."]);
    git(&world, &["commit", "--quiet", "--message", "second"]);
    world
}

/// Edits three files, adds a workflow, removes a file, pushes, writes a hook, commits. The push is written in two
/// halves, since the command line that holds this script is looked through as well.
const AGENT: &str = "set -e\nfor f in a b c; do echo more >> $f.txt; done\n\
    mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml\nrm d.txt\n\
    git pu''sh --quiet ../remote.git main || echo not pushed\n\
    printf '#!/bin/sh\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit\n\
    git add --all .; git commit --quiet --no-verify --message work";

#[test]
fn plain_changes_go_and_what_runs_later_waits_until_it_is_approved() {
    let world = world();
    world.write("sandbox-policy.yaml", "blocked_patterns: [\"git push\"]\n");
    git(&world, &["add", "--all", "."]);
    git(&world, &["commit", "--quiet", "--message", "policy"]);
    let remote = world.project.with_file_name("remote.git");
    git(&world, &["init", "--quiet", "--bare", "../remote.git"]);
    let before = git(&world, &["rev-parse", "HEAD"]);
    let ran = world.bash(AGENT).run().expect_code(0);
    ran.assert_nothing_real();
    assert_eq!(listed(&ran, "promoted"), ["a.txt", "b.txt", "c.txt", "d.txt"], "{ran}");
    assert_eq!(listed(&ran, "held"), [".git", ".git/hooks/pre-commit", ".github/workflows/ci.yml"], "{ran}");
    assert_eq!(ran.record.result["verdict"], "hold", "{ran}");
    assert!(ran.said().contains("runs on your machine when"), "{ran}");
    // The push: blocked, on record with its rule, said, and nothing of it arrived.
    assert_eq!(ran.text(), "not pushed\n", "{ran}");
    let blocked = ran.record.of("command-blocked");
    assert!(blocked.iter().any(|event| text(event, "/rule/name").contains("blocked_patterns")), "{ran}");
    let denied = ran.record.result["denied"].to_string();
    assert!(denied.contains(concat!("git pu", "sh")) && denied.contains("command-blocked"), "{denied}");
    assert!(ran.said().contains("by `blocked_patterns`"), "{ran}");
    let refs =
        Command::new("git").arg("--git-dir").arg(&remote).arg("for-each-ref").output().expect("run git");
    assert_eq!((refs.status.success(), refs.stdout.as_slice()), (true, &b""[..]));
    // Each reason by itself, as the record's contract has it.
    let verdict: Value = {
        let path = Path::new(text(&ran.record.result, "/record")).join("verdict.json");
        serde_json::from_slice(&fs::read(path).expect("a verdict")).expect("JSON")
    };
    for file in [".github/workflows/ci.yml", ".git/hooks/pre-commit"] {
        let reasons = verdict["reasons"].as_array().cloned().unwrap_or_default();
        let own = reasons.iter().find(|reason| reason["file"] == file).expect(file);
        assert_eq!((text(own, "/effect"), text(own, "/rule")), ("hold", "gate.runs_later"), "{own}");
        assert!(text(own, "/message").starts_with("runs on your machine when"), "{own}");
    }
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\nmore\n"));
    assert!(!world.project.join("d.txt").exists());
    assert!(!world.project.join(".github").exists() && !world.project.join(".git/hooks/pre-commit").exists());
    assert_eq!(git(&world, &["rev-parse", "HEAD"]), before, "the commit waits too");
    assert!(ran.record.faults().is_empty(), "{:?}", ran.record.faults());
    for (action, path) in [("change-accepted", "a.txt"), ("change-held", ".github/workflows/ci.yml")] {
        let path = world.project.join(path).display().to_string();
        assert!(
            ran.record.of(action).iter().any(|event| text(event, "/file/path") == path),
            "{action} {ran}"
        );
    }

    said(&verb(&world, &["approve", "last", "--comment", "seen"]), 0);
    assert_eq!(content(&world, ".github/workflows/ci.yml").as_deref(), Some("on: push\n"));
    assert_eq!(content(&world, ".git/hooks/pre-commit").as_deref(), Some("#!/bin/sh\n"));
    assert_eq!(git(&world, &["log", "--format=%s", "-1"]), "work");
    assert_eq!(git(&world, &["rev-parse", "HEAD~1"]), before);
    assert_eq!(git(&world, &["status", "--porcelain"]), "", "tree, index and commit are one");
    let committed = git(&world, &["diff", "--name-status", "--no-renames", "HEAD~1", "HEAD"]);
    let expected = "A\t.github/workflows/ci.yml\nM\ta.txt\nM\tb.txt\nM\tc.txt\nD\td.txt";
    assert_eq!(committed, expected, "the commit is what was approved, and nothing else");
    assert!(said(&verb(&world, &["trace", "last", "--verify"]), 0).contains("chained"));
    let trace = said(&verb(&world, &["trace", "last"]), 0);
    assert!(trace.contains("review-decided") && trace.contains("seen"), "{trace}");

    said(&verb(&world, &["undo", "last"]), 0);
    assert_eq!(git(&world, &["rev-parse", "HEAD"]), before);
    assert_eq!(git(&world, &["status", "--porcelain"]), "");
    assert_eq!(content(&world, "d.txt").as_deref(), Some("d\n"));
    assert!(!world.project.join(".github").exists() && !world.project.join(".git/hooks/pre-commit").exists());
}

#[test]
fn a_commit_of_plain_changes_goes_with_them() {
    let world = world();
    let ran = world.bash("echo x >> a.txt; git checkout --quiet -b work; git commit --quiet -am one").run();
    let ran = ran.expect_clean();
    assert_eq!(ran.record.result["verdict"], "accept", "{ran}");
    assert_eq!(git(&world, &["log", "--format=%s", "-1", "work"]), "one");
    assert_eq!(git(&world, &["symbolic-ref", "HEAD"]), "refs/heads/work");
    assert_eq!(git(&world, &["status", "--porcelain"]), "");
    assert_eq!(git(&world, &["fsck", "--strict", "--no-dangling"]), "");
    assert!(git(&world, &["for-each-ref"]).lines().all(|line| !line.contains("shieldrun")));
}

#[test]
fn a_commit_cannot_hide_what_the_tree_does_not_show() {
    let world = world();
    let script = "echo 'all: ; true' > Makefile; git add Makefile; git commit --quiet -m hidden\n\
        git rm --quiet Makefile; git commit --quiet -m gone; echo x >> a.txt";
    let before = git(&world, &["rev-parse", "HEAD"]);
    let ran = world.bash(script).run().expect_clean();
    assert_eq!(listed(&ran, "held"), [".git"], "{ran}");
    assert!(ran.said().contains("a commit holds `Makefile`"), "{ran}");
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\nx\n"), "the file goes, the commits wait");
    assert_eq!(git(&world, &["rev-parse", "HEAD"]), before);
}

#[test]
fn a_blocked_pattern_in_a_script_refuses_the_run() {
    // Written in two halves here: the command itself is looked through as well.
    let world = world();
    world.write("sandbox-policy.yaml", "blocked_patterns: [\"rm -rf\"]\n");
    let ran = world.bash("echo 'rm -r''f /' > clean.sh; echo x >> a.txt").run().expect_code(121);
    assert_eq!(listed(&ran, "refused"), ["clean.sh"], "{ran}");
    assert_eq!(listed(&ran, "promoted"), Vec::<String>::new(), "{ran}");
    assert_eq!(ran.record.result["exit"]["shieldrun"], "refused", "{ran}");
    assert!(!world.project.join("clean.sh").exists());
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\n"));
    // The twin: in prose it is a note.
    let ran = world.bash("echo 'never rm -r''f /' > notes.md").run().expect_clean();
    assert_eq!(listed(&ran, "promoted"), ["notes.md"], "{ran}");
    // What is not refused can be let through by name, what is cannot.
    world.bash("echo 'rm -r''f /' > clean.sh; echo y >> b.txt").run().expect_code(121);
    assert!(said(&verb(&world, &["approve", "last", "clean.sh"]), 125).contains("refused"));
    said(&verb(&world, &["approve", "last", "b.txt"]), 0);
    assert_eq!(content(&world, "b.txt").as_deref(), Some("b\ny\n"));
    assert!(!world.project.join("clean.sh").exists());
}

#[test]
fn a_placeholder_is_not_promoted() {
    let world = world();
    let ran = world.bash("echo token=$GITHUB_TOKEN > config.ini").run().expect_code(121);
    assert_eq!(listed(&ran, "refused"), ["config.ini"], "{ran}");
    assert!(ran.said().contains("this is a placeholder"), "{ran}");
    world.bash("echo token=none > config.ini").run().expect_clean();
    assert!(world.project.join("config.ini").exists());
}

#[test]
fn held_changes_are_an_exit_code_only_on_demand() {
    let world = world();
    world.write("sandbox-policy.yaml", "require_human_review: [\"*.yml\"]\n");
    world.bash("echo a > a.yml").run().expect_code(0);
    let ran = world.bash("echo a > a.yml").with(["--fail-on-hold"]).run().expect_code(122);
    assert_eq!(ran.record.result["exit"]["shieldrun"], "held", "{ran}");
    assert!(!world.project.join("a.yml").exists());
    let ran = world.bash("echo a > a.yml; exit 3").with(["--review", "never"]).run().expect_code(3);
    assert_eq!(listed(&ran, "promoted"), ["a.yml"], "{ran}");
}

#[test]
fn what_the_host_changed_meanwhile_is_never_overwritten() {
    let world = world();
    let mut running = world.bash("echo theirs > a.txt; echo ok > new.txt; echo ready; read line").start();
    running.await_text("ready");
    world.write("a.txt", "mine\n");
    let ran = running.wait();
    assert_eq!(content(&world, "a.txt").as_deref(), Some("mine\n"), "{ran}");
    assert!(!world.project.join("new.txt").exists(), "whole or not at all: {ran}");
    assert!(ran.said().contains("changed on the host"), "{ran}");
    assert!(!ran.record.of("promotion-conflict").is_empty(), "{ran}");
    // Without that file the rest goes.
    said(&verb(&world, &["reject", "last", "a.txt"]), 0);
    assert_eq!(content(&world, "new.txt").as_deref(), Some("ok\n"));
    assert_eq!(content(&world, "a.txt").as_deref(), Some("mine\n"));
}

#[test]
fn a_run_that_was_stopped_waits() {
    let world = world();
    let ran = world.bash("echo half >> a.txt; sleep 30").with(["--timeout", "1"]).run().expect_code(124);
    assert_eq!(listed(&ran, "held"), ["a.txt"], "{ran}");
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\n"));
    said(&verb(&world, &["approve", "last"]), 0);
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\nhalf\n"));
}

#[test]
fn a_record_that_was_changed_is_not_promoted() {
    let world = world();
    world.write("sandbox-policy.yaml", "require_human_review: [\"*.yml\"]\n");
    world.bash("echo seen > a.yml").run().expect_code(0);
    let runs = world.state.join("shieldrun/runs");
    let run = fs::read_dir(&runs).expect("list").flatten().next().expect("a run").path();
    fs::write(run.join("upper/a.yml"), "evil\n").expect("written");
    assert!(said(&verb(&world, &["approve", "last"]), 125).contains("not what was judged"));
    assert!(!world.project.join("a.yml").exists());
    fs::write(run.join("upper/a.yml"), "seen\n").expect("written");
    said(&verb(&world, &["approve", "last"]), 0);
    assert_eq!(content(&world, "a.yml").as_deref(), Some("seen\n"));
}

#[test]
fn review_says_it_for_programs_too() {
    let world = world();
    world.bash("echo a > Makefile; echo x >> a.txt").run().expect_code(0);
    let output = verb(&world, &["review", "last", "--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["verdict"]["held"], serde_json::json!(["Makefile"]));
    assert!(text(&object, "/patch").contains("+++ b/Makefile"));
    let people = said(&verb(&world, &["review"]), 0);
    assert!(
        people.contains("WAITS  created  Makefile") && people.contains("goes   changed  a.txt"),
        "{people}"
    );
}

#[test]
fn a_repository_made_inside_comes_over_with_its_commits() {
    let mut world = World::new();
    let at = world.beside("fresh");
    put(&at.join("kept.txt"), b"kept\n", 0o644);
    world.project = at.clone();
    let script =
        "git init --quiet --initial-branch=main; echo x > x.txt; git add --all; git commit --quiet -m first";
    let ran = world.bash(script).run().expect_code(0);
    assert!(at.join("x.txt").exists(), "{ran}");
    // Its configuration comes by review only, and with that the rest.
    said(&verb(&world, &["approve", "last"]), 0);
    assert_eq!(git(&world, &["log", "--format=%s"]), "first");
    assert_eq!(git(&world, &["status", "--porcelain"]), "");
    assert!(Path::new(&at).join(".git/HEAD").exists());
}

#[test]
fn no_repository_below_the_workspace_brings_a_program_unseen() {
    let world = world();
    // A program that git starts for a mere `status`, in four places in which git looks for its settings.
    let script = "set -e; mark='touch made'\n\
        git init -q sub; git -C sub config core.fsmonitor \"$mark\"\n\
        git init -q --bare docs; git -C docs config core.fsmonitor \"$mark\"; git -C docs config core.bare false\n\
        git -C docs config core.worktree .\n\
        mkdir pointed; echo 'gitdir: ../docs' > pointed/.git\n\
        mkdir conf; echo '{}' > conf/tasks.json; ln -s conf .vscode\n\
        git -C sub status >/dev/null; test -e sub/made; echo plain > plain.txt";
    let ran = world.bash(script).run().expect_clean();
    let held = listed(&ran, "held");
    for file in ["sub/.git/config", "sub/.git/HEAD", "docs/HEAD", "pointed/.git", ".vscode"] {
        assert!(held.iter().any(|own| own == file), "{file} {held:?}\n{ran}");
    }
    assert_eq!(content(&world, "plain.txt").as_deref(), Some("plain\n"), "{ran}");
    let _ = fs::remove_file(world.project.join("sub/made"));
    // What went over makes nothing run.
    for place in ["sub", "docs", "pointed"] {
        git(&world, &["-C", place, "status"]);
        let made = world.project.join(place).join("made");
        assert!(!made.exists(), "{place}: git started a program of the run's\n{ran}");
    }
    // The twin: once approved, the person has it as it was made.
    said(&verb(&world, &["approve", "last"]), 0);
    git(&world, &["-C", "sub", "status"]);
    assert!(world.project.join("sub/made").exists());
}
