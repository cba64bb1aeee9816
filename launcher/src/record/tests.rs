//! Records made, found again, damaged and checked.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use serde_json::{Value as Json, json};
use shieldrun_policy::audit::{Action, Event, Process, Provider};
use shieldrun_policy::verdict::{Denied, ResultExit, ResultSecrets, Verdict};

use super::past::State;
use super::*;
use crate::audit::Log;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shieldrun-record-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a scratch directory");
        Scratch(path)
    }

    fn runs(&self) -> PathBuf {
        self.0.join("state/shieldrun/runs")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_532_645 + seconds)
}

fn run_record(run: &RunDir) -> RunRecord {
    RunRecord {
        run_id: run.id().to_owned(),
        command: vec!["sh".to_owned(), "-c".to_owned(), "echo \u{1b}[31m".to_owned()],
        workspace: "/home/u/proj".to_owned(),
        policy_digest: "sha256:00".to_owned(),
        policy: serde_json::json!({}),
        isolation: "full".to_owned(),
        gaps: Vec::new(),
        shieldrun: "0.1.0".to_owned(),
        host: HostRecord::here(),
        started_at: time(at(0)),
        promote_to: None,
        promote_base: None,
        ended_at: None,
        events: None,
        result: None,
        adding: None,
    }
}

fn result(run: &RunDir) -> RunResult {
    RunResult {
        run_id: run.id().to_owned(),
        command: vec!["bash".to_owned(), "agent.sh".to_owned()],
        exit: ResultExit { code: Some(0), signal: None, shieldrun: None },
        duration_seconds: 1.23,
        isolation: "full".to_owned(),
        verdict: Some(Verdict::Hold),
        promoted: vec!["app.py".to_owned()],
        promoted_to: None,
        held: vec![".github/workflows/ci.yml".to_owned()],
        refused: Vec::new(),
        secrets: Some(ResultSecrets { replaced: 7, touched: Vec::new() }),
        denied: Some(vec![Denied {
            action: "command-blocked".to_owned(),
            what: "git push origin main".to_owned(),
            rule: Some("blocked_patterns".to_owned()),
        }]),
        leaks: Vec::new(),
        record: "/r".to_owned(),
    }
}

/// A run with a log, from begin to end.
fn whole_run(runs: &Path, seconds: u64) -> RunDir {
    let run = RunDir::create(runs, at(seconds)).expect("a run");
    let mut record = run_record(&run);
    run.write_run(&record).expect("written");
    let (log, sender) =
        Log::start(run.create_file(EVENTS).expect("a file"), Vec::new(), run.id()).expect("a log");
    sender.send(Event::new(at(seconds), Action::RunStarted, Provider::Launcher).tier("full"));
    sender.send(Event::new(at(seconds + 1), Action::ProcessStarted, Provider::Kernel).process(Process {
        pid: 5,
        executable: Some("/bin/sh".into()),
        ..Process::default()
    }));
    let summary = log.finish(Event::new(at(seconds + 2), Action::RunEnded, Provider::Launcher));
    record.ended_at = Some(time(at(seconds + 2)));
    record.events =
        Some(EventsRecord { lines: summary.lines, dropped: summary.dropped, last_hash: summary.last_hash });
    record.result = Some(result(&run));
    run.write_run(&record).expect("written");
    run
}

#[test]
fn runs_dir_follows_the_base_directory_specification() {
    let dir = |xdg: Option<&str>, home: Option<&str>| {
        runs_dir(xdg.map(OsStr::new), home.map(OsStr::new)).ok().map(|path| path.display().to_string())
    };
    assert_eq!(dir(Some("/x"), Some("/h")).as_deref(), Some("/x/shieldrun/runs"));
    assert_eq!(dir(None, Some("/h")).as_deref(), Some("/h/.local/state/shieldrun/runs"));
    assert_eq!(dir(Some("relative"), Some("/h")).as_deref(), Some("/h/.local/state/shieldrun/runs"));
    assert_eq!(dir(Some(""), Some("/h")).as_deref(), Some("/h/.local/state/shieldrun/runs"));
    assert_eq!(dir(None, None), None);
    assert_eq!(dir(None, Some("relative")), None);
}

#[test]
fn a_run_is_its_owners_alone() {
    let scratch = Scratch::new("private");
    let run = RunDir::create(&scratch.runs(), at(0)).expect("a run");
    let mode = |path: &Path| fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777;
    for part in ["state/shieldrun/runs", "state/shieldrun", "state"] {
        assert_eq!(mode(&scratch.0.join(part)), 0o700, "{part}");
    }
    assert_eq!(mode(run.path()), 0o700);
    drop(run.create_file(EVENTS).expect("a file"));
    run.write_run(&run_record(&run)).expect("written");
    for name in [EVENTS, RUN] {
        assert_eq!(mode(&run.path().join(name)), 0o600, "{name}");
    }
    assert!(
        matches!(run.create_file(EVENTS), Err(RecordError::Write { .. })),
        "a second log would hide the first"
    );
    let names: Vec<_> = fs::read_dir(run.path()).expect("there").filter_map(Result::ok).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_place_that_others_can_write_is_refused() {
    let scratch = Scratch::new("shared");
    drop(RunDir::create(&scratch.runs(), at(0)).expect("a run"));
    fs::set_permissions(scratch.runs(), fs::Permissions::from_mode(0o777)).expect("mode");
    let error = RunDir::create(&scratch.runs(), at(0)).expect_err("others could change it");
    assert!(matches!(error, RecordError::NotPrivate { .. }));
    assert!(error.hint().is_some_and(|hint| hint.contains("chmod 700")));
}

#[test]
fn a_place_that_cannot_be_made_is_named_with_the_remedy() {
    let scratch = Scratch::new("refused");
    fs::write(scratch.0.join("state"), "").expect("a file in the way");
    let error = RunDir::create(&scratch.runs(), at(0)).expect_err("a file is in the way");
    assert!(error.to_string().contains("state/shieldrun/runs`"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("XDG_STATE_HOME")));
    let error = RunDir::create(Path::new("/proc/shieldrun/runs"), at(0)).expect_err("no place for files");
    assert!(error.hint().is_some_and(|hint| hint.contains("XDG_STATE_HOME")), "{error}");
    let full = RecordError::Create { path: "/x".into(), source: io::Error::from_raw_os_error(28) };
    assert!(full.hint().is_some_and(|hint| hint.contains("make room")));
    let read_only = RecordError::Create { path: "/x".into(), source: io::Error::from_raw_os_error(30) };
    assert!(read_only.hint().is_some_and(|hint| hint.contains("read-only")));
}

#[test]
fn runs_are_found_by_any_unique_beginning() {
    let scratch = Scratch::new("find");
    assert!(matches!(find(&scratch.runs(), "last"), Err(RecordError::NoRuns { .. })));
    let runs: Vec<RunDir> =
        [0, 1, 100_000].map(|seconds| RunDir::create(&scratch.runs(), at(seconds)).expect("a run")).into();
    fs::create_dir(scratch.runs().join("not-a-run")).expect("made");
    let found = |wanted: &str| find(&scratch.runs(), wanted).map(|past| past.id);
    assert_eq!(found("last").expect("found"), runs[2].id());
    assert_eq!(found(runs[0].id()).expect("found"), runs[0].id());
    assert_eq!(found(&runs[1].id()[..12].to_lowercase()).expect("found"), runs[1].id());
    match found(&runs[0].id()[..4]) {
        Err(RecordError::Ambiguous { found, .. }) => assert_eq!(found.len(), 3),
        other => panic!("{other:?}"),
    }
    for wanted in ["", "ZZZZ", "..", "not-a-run", "../../etc"] {
        assert!(matches!(found(wanted), Err(RecordError::NoRun { .. })), "{wanted}");
    }
}

#[test]
fn the_list_knows_who_lives_who_ended_and_who_died() {
    let scratch = Scratch::new("list");
    let ended = whole_run(&scratch.runs(), 0);
    let died = RunDir::create(&scratch.runs(), at(1)).expect("a run");
    died.write_run(&run_record(&died)).expect("written");
    let empty = RunDir::create(&scratch.runs(), at(2)).expect("a run");
    let damaged = RunDir::create(&scratch.runs(), at(3)).expect("a run");
    fs::write(damaged.path().join(RUN), "{\"run_id\": ").expect("damaged");
    let ids = [damaged.id().to_owned(), empty.id().to_owned(), died.id().to_owned(), ended.id().to_owned()];
    drop((ended, died, empty, damaged));
    let running = whole_run(&scratch.runs(), 4);
    let listed = list(&scratch.runs()).expect("a list");
    let states: Vec<(&str, State)> =
        listed.iter().map(|run| (run.result.run_id.as_str(), run.state)).collect();
    assert_eq!(
        states,
        [
            (running.id(), State::Running),
            (ids[0].as_str(), State::Interrupted),
            (ids[1].as_str(), State::Interrupted),
            (ids[2].as_str(), State::Interrupted),
            (ids[3].as_str(), State::Ended),
        ]
    );
    let mut text = Vec::new();
    print_list(&listed, false, &mut text).expect("written");
    let text = String::from_utf8(text).expect("text");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("exit 0") && text.contains("hold") && text.contains("bash agent.sh"), "{text}");
    assert!(text.contains("2026-11-24 15:04:07"), "{text}");
    let mut json = Vec::new();
    print_list(&listed, true, &mut json).expect("written");
    let lines: Vec<serde_json::Value> = json
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[4]["held"][0], ".github/workflows/ci.yml");
    assert!(lines[4].get("secrets").is_none() && lines[4].get("denied").is_none());
}

#[test]
fn a_run_is_verified_to_its_end() {
    let scratch = Scratch::new("verify");
    let run = whole_run(&scratch.runs(), 0);
    let past = || find(&scratch.runs(), "last").expect("found");
    assert_eq!(verify(&past()).expect("readable").map(|verified| verified.lines), Ok(3));
    let log = run.path().join(EVENTS);
    let text = fs::read_to_string(&log).expect("a log");
    let end = text.trim_end().rfind('\n').expect("lines") + 1;
    fs::write(&log, &text[..end]).expect("cut");
    let broken = verify(&past()).expect("readable").expect_err("the end is missing");
    assert_eq!(broken.line, 3);
    fs::write(&log, text.replace("\"pid\":5", "\"pid\":6")).expect("changed");
    assert_eq!(verify(&past()).expect("readable").expect_err("changed").line, 3);
    fs::remove_file(&log).expect("removed");
    assert!(matches!(verify(&past()), Err(RecordError::Read { .. })));
}

#[test]
fn a_trace_is_a_line_for_each_event() {
    let scratch = Scratch::new("trace");
    let run = whole_run(&scratch.runs(), 0);
    let past = find(&scratch.runs(), "last").expect("found");
    let written = |form| {
        let mut out = Vec::new();
        trace(&past, form, &mut out).expect("written");
        String::from_utf8(out).expect("text")
    };
    let expected = "    0.000  run-started           isolation: full\n    1.000  process-started      sh[5]\n    2.000  run-ended           \n\nprocesses\n  /bin/sh[5]\n";
    assert_eq!(written(TraceForm::People), expected);
    let log = fs::read_to_string(run.path().join(EVENTS)).expect("a log");
    assert_eq!(written(TraceForm::Json), log);
    fs::write(run.path().join(EVENTS), "{\"event\":{\"action\":\"x\\u001b\"}}\nhalf").expect("damaged");
    let damaged = written(TraceForm::People);
    assert!(damaged.lines().count() == 2 && !damaged.contains('\u{1b}'), "{damaged}");
}

#[test]
fn a_trace_tells_by_subject_what_was_denied_and_what_to_do() {
    let event = |action: &str, more: Json| {
        let mut event = json!({
            "event": {"action": action},
            "shieldrun": {"run_id": "R", "trust": "fact", "count": 1},
        });
        for (key, value) in more.as_object().expect("an object") {
            match (event.get_mut(key).and_then(Json::as_object_mut), value.as_object()) {
                (Some(own), Some(value)) => own.extend(value.clone()),
                _ => event[key] = value.clone(),
            }
        }
        event
    };
    let started = |pid: u64, parent: u64, args: &[&str]| {
        event("process-started", json!({"process": {"pid": pid, "parent": {"pid": parent}, "args": args}}))
    };
    let mut story = super::story::Story::default();
    for event in [
        started(10, 1, &["bash", "agent.sh"]),
        started(11, 10, &["git", "status"]),
        event("process-exited", json!({"process": {"pid": 11, "exit_code": 0}})),
        started(12, 10, &["sh", "-c", "cat key"]),
        started(12, 10, &["cat", "key\u{1b}"]),
        // Parents of each other: a log may say anything.
        started(20, 21, &["a"]),
        started(21, 20, &["b"]),
        event(
            "secret-file-denied",
            json!({"file": {"path": "/h/.ssh/id"}, "rule": {"name": "secrets.files.~/.ssh"}}),
        ),
        event(
            "secret-file-denied",
            json!({"file": {"path": "/h/.ssh/id"}, "rule": {"name": "secrets.files.~/.ssh"}}),
        ),
        event("name-denied", json!({"destination": {"address": "evil.example"}})),
        event("connection-attempted", json!({"destination": {"address": "10.0.0.1", "port": 443}})),
        event(
            "connection-denied",
            json!({"destination": {"domain": "db.example"}, "rule": {"name": "network.address"}}),
        ),
        event("change-held", json!({"file": {"path": "/w/ci.yml"}})),
        event("review-decided", json!({"user": {"name": "u@h"}, "message": "approve"})),
    ] {
        story.take(&event);
    }
    let mut out = Vec::new();
    story.write(&mut out).expect("written");
    let text = String::from_utf8(out).expect("text");
    for part in [
        "processes\n  bash agent.sh[10]\n    git status[11]  exit 0\n    cat key\u{fffd}[12]\n",
        "denied\n  secret-file-denied    /h/.ssh/id  rule: secrets.files.~/.ssh  \u{d7}2\n    to show synthetic values there: `secrets: {files: {\"~/.ssh\": synthetic}}`",
        "name-denied          evil.example\n    to allow it: `network: {mode: allowlist, allow: [\"evil.example\"]}`",
        "list the address itself, as `getent hosts db.example` shows it",
        "connections\n  connection-attempted 10.0.0.1 port 443\n",
        "changes\n  change-held           /w/ci.yml\n    `shieldrun review R` shows it, `shieldrun approve R` lets it through\n",
        "decisions\n  review-decided        by u@h  approve\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn the_result_is_the_contracts_and_is_written_whole() {
    let scratch = Scratch::new("result");
    let run = RunDir::create(&scratch.runs(), at(0)).expect("a run");
    let mut result = result(&run);
    result.run_id = "01JDF".to_owned();
    let target = scratch.0.join("result.json");
    fs::write(&target, "old").expect("written");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).expect("mode");
    let link = scratch.0.join("link.json");
    symlink("result.json", &link).expect("a link");
    write_result(&link, &result).expect("written");
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(&target).expect("there").permissions().mode() & 0o777, 0o640);
    let expected = concat!(
        r#"{"run_id":"01JDF","command":["bash","agent.sh"],"exit":{"code":0,"signal":null,"shieldrun":null},"#,
        r#""duration_seconds":1.23,"isolation":"full","verdict":"hold","promoted":["app.py"],"#,
        r#""held":[".github/workflows/ci.yml"],"refused":[],"secrets":{"replaced":7,"touched":[]},"#,
        r#""denied":[{"action":"command-blocked","what":"git push origin main","rule":"blocked_patterns"}],"#,
        r#""leaks":[],"record":"/r"}"#,
        "\n"
    );
    assert_eq!(fs::read_to_string(&target).expect("there"), expected);
    write_result(Path::new("/dev/null"), &result).expect("a device is written to, not replaced");
    assert!(!fs::metadata("/dev/null").expect("there").is_file());
    let error = write_result(&scratch.0.join("no/such/result"), &result).expect_err("no directory");
    assert!(error.to_string().contains("no/such/result`"));
    let left: Vec<_> = fs::read_dir(&scratch.0)
        .expect("there")
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn an_addition_that_was_cut_off_anywhere_leaves_a_whole_chain() {
    let scratch = Scratch::new("adding");
    let run = whole_run(&scratch.runs(), 0);
    let path = run.path().to_owned();
    drop(run);
    let (log, json) = (path.join(EVENTS), path.join(RUN));
    // A child that another test of this process is starting has the descriptor, and so the lock, until it executes.
    let late = || {
        let lock = || Late::lock(find(&scratch.runs(), "last").expect("found"));
        let waited = (0..1000).find_map(|_| {
            let locked = lock().ok();
            if locked.is_none() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            locked
        });
        waited.unwrap_or_else(|| lock().expect("nobody else"))
    };
    let verified = || verify(&find(&scratch.runs(), "last").expect("found")).expect("readable");
    let add = |count: usize| {
        let event = Event::new(at(9), Action::ReviewDecided, Provider::Review);
        late().add(&vec![event; count], |_| ())
    };
    let read = || -> RunRecord { serde_json::from_slice(&fs::read(&json).expect("there")).expect("JSON") };
    let (before, old) = (fs::read(&log).expect("a log"), read());
    add(2).expect("added");
    let (after, new) = (fs::read(&log).expect("a log"), read());
    assert_eq!((new.adding.is_none(), verified().map(|verified| verified.lines)), (true, Ok(5)));
    let adding = Adding {
        length: before.len() as u64,
        events: new.events.clone().expect("an end"),
        result: old.result.clone(),
    };
    let cut_off = RunRecord { adding: Some(adding), ..old.clone() };
    for cut in before.len()..=after.len() {
        fs::write(&json, serde_json::to_vec(&cut_off).expect("JSON")).expect("written");
        fs::write(&log, &after[..cut]).expect("cut");
        add(1).expect("the next one goes on");
        let lines = if cut == after.len() { 6 } else { 4 };
        assert_eq!(verified().map(|verified| verified.lines), Ok(lines), "{cut}");
        assert_eq!(read().adding, None);
    }
    // The twin: where nothing was being added, half a line is a broken chain.
    fs::write(&json, serde_json::to_vec(&old).expect("JSON")).expect("written");
    fs::write(&log, &after[..before.len() + 20]).expect("cut");
    assert!(matches!(add(1), Err(RecordError::Broken { .. })));
}

#[test]
fn every_action_is_in_the_document() {
    let document = include_str!("../../docs/record.md");
    for action in shieldrun_policy::audit::Action::ALL {
        assert!(document.contains(&format!("`{}`", action.word())), "{action:?}");
    }
}
