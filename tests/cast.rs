//! What a run printed is on record with its times, can be played again, and holds no real value.

use crate::harness::terminal::Terminal;
use crate::harness::{Ran, World, binary, text};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The recording of the newest run of a world: header and events.
fn cast_of(world: &World) -> (Value, Vec<(f64, String, String)>) {
    let runs = world.state.join("shieldrun/runs");
    let mut found: Vec<PathBuf> =
        fs::read_dir(runs).expect("list the runs").flatten().map(|entry| entry.path()).collect();
    found.sort();
    let file = found.pop().expect("a run").join("stdio.cast");
    let recording = fs::read_to_string(file).expect("the recording is text");
    let seen = world.seen_in(recording.as_bytes());
    assert!(seen.is_empty(), "the recording shows the real value of {seen:?}");
    let mut lines = recording.lines();
    let header = serde_json::from_str(lines.next().expect("a header")).expect("JSON");
    (header, lines.map(|line| serde_json::from_str(line).expect("an event")).collect())
}

fn all(events: &[(f64, String, String)], code: &str) -> String {
    events.iter().filter(|(_, own, _)| own == code).map(|(.., data)| data.as_str()).collect()
}

#[test]
fn what_is_printed_is_recorded_with_its_times() {
    let world = World::new();
    let ran = world.bash("echo one; sleep 0.3; echo two >&2; exit 7").run().expect_code(7);
    ran.assert_nothing_real();
    let (header, events) = cast_of(&world);
    assert_eq!(header["version"], 3);
    assert!(header["term"]["cols"].is_u64() && header["timestamp"].is_u64(), "{header}");
    assert!(text(&header, "/command").starts_with("bash -c"), "{header}");
    assert_eq!((all(&events, "o"), all(&events, "x")), ("one\r\ntwo\r\n".to_owned(), "7".to_owned()));
    let pause = events.iter().find(|(.., data)| data.contains("two")).map(|(at, ..)| *at);
    assert!(pause.is_some_and(|pause| pause >= 0.25), "{events:?}");
}

#[test]
fn what_is_read_is_recorded_only_where_the_policy_says_so() {
    let world = World::new();
    let typed = format!("hello\n{}\nbye\n", world.real("NPM_TOKEN"));
    let ran = world.bash("cat >/dev/null").stdin(typed.clone()).run().expect_clean();
    assert_eq!(all(&cast_of(&world).1, "i"), "", "{ran}");
    let with = ["--config", "{\"trace\": {\"stdin\": true}}"];
    let ran = world.bash("cat >/dev/null").with(with).stdin(typed).run().expect_clean();
    let read = all(&cast_of(&world).1, "i");
    assert!(
        read.starts_with("hello\n") && read.ends_with("\nbye\n") && read.contains('\u{2039}'),
        "{read}\n{ran}"
    );
}

#[test]
fn what_was_stopped_is_not_recorded() {
    let world = World::new();
    let leaked = world.real("GITHUB_TOKEN").to_owned();
    let ran = world.bash("echo before; sleep 0.3; cat").stdin(leaked.clone()).run().expect_code(120);
    ran.assert_nothing_real();
    let (_, events) = cast_of(&world);
    assert_eq!(all(&events, "o"), "before\r\n", "{ran}");
    assert!(all(&events, "m").contains("stopped"), "{events:?}");
    assert!(!format!("{events:?}").contains(&leaked[..10]), "the beginning of a value is on record");
}

#[test]
fn a_run_that_prints_without_end_is_recorded_up_to_its_limit() {
    let world = World::new();
    let with = ["--config", "{\"trace\": {\"stdio_size\": \"1MiB\"}}"];
    let ran = world.bash("head -c 64M /dev/zero | tr '\\0' 'x'").with(with).run().expect_code(0);
    assert_eq!(ran.stdout.len(), 64 << 20);
    let (_, events) = cast_of(&world);
    assert_eq!(all(&events, "o").len(), 1 << 20);
    assert_eq!(all(&events, "m"), format!("{} more bytes were not recorded (trace.stdio_size)", 63 << 20));
}

#[test]
fn a_terminal_is_recorded_with_its_size() {
    let world = World::new();
    let shield = world.bash("printf '\\033[31mred\\033[0m\\n'; read -r x; stty size");
    let mut terminal = shield.on_terminal(&world.project);
    terminal.await_text("red");
    terminal.resize(30, 100);
    terminal.type_keys("\r");
    terminal.await_text("30 100");
    terminal.wait();
    let (header, events) = cast_of(&world);
    assert_eq!((&header["term"]["cols"], &header["term"]["rows"]), (&80.into(), &24.into()));
    assert!(all(&events, "o").contains("\u{1b}[31mred\u{1b}[0m\r\n"), "{events:?}");
    assert_eq!(all(&events, "r"), "100x30", "{events:?}");
}

fn play(world: &World, options: &[&str]) -> Terminal {
    let mut words: Vec<OsString> = vec![binary().into(), "trace".into(), "last".into(), "--replay".into()];
    words.extend(options.iter().map(OsString::from));
    Terminal::open(&words, &world.environment, &world.project)
}

#[test]
fn a_recording_is_played_and_reaches_nothing_but_the_picture() {
    let world = World::new();
    let script = "printf 'begin \\033[32mgreen\\033[0m\\n'; printf '\\033]52;c;aGVsbG8=\\a\\033]0;title\\a\\033[6n\\033[?1000h'; \
                  printf '\\033[?1049h\\033[?25l'; sleep 0.2; echo end";
    let ran: Ran = world.bash(script).run().expect_clean();
    let mut terminal = play(&world, &["--speed", "4"]);
    let status = terminal.wait();
    let shown = terminal.text();
    assert!(status.success(), "{shown}\n{ran}");
    assert!(shown.contains("begin \u{1b}[32mgreen\u{1b}[0m\r\n") && shown.contains("end\r\n"), "{shown:?}");
    for harmful in ["]52", "]0;", "\u{1b}[6n", "1000h", "aGVsbG8"] {
        assert!(!shown.contains(harmful), "{harmful} reached the terminal: {shown:?}");
    }
    let after = shown.rsplit("end").next().unwrap_or_default();
    assert!(after.contains("\u{1b}[?25h") && after.contains("\u{1b}[?1049l"), "{shown:?}");
}

#[test]
fn a_replay_is_cut_short_by_a_key_and_its_pauses_by_a_limit() {
    let world = World::new();
    world.bash("echo begin; sleep 1.5; echo end").run().expect_clean();
    // At a hundredth of the speed the pause is longer than any test may take: only the key ends it.
    let mut terminal = play(&world, &["--speed", "0.01"]);
    terminal.await_text("begin");
    terminal.type_keys("q");
    assert!(terminal.wait().success());
    assert!(!terminal.text().contains("end"), "{}", terminal.text());
    let mut terminal = play(&world, &["--speed", "0.01", "--idle-limit", "0.001"]);
    assert!(terminal.wait().success());
    assert!(terminal.text().contains("end"), "{}", terminal.text());
}

#[test]
fn a_recording_is_played_on_a_terminal_only() {
    let world = World::new();
    world.bash("printf '\\033]52;c;aGVsbG8=\\a'").run().expect_clean();
    let output = Command::new(binary())
        .args(["trace", "last", "--replay"])
        .env_clear()
        .envs(world.environment.iter().cloned())
        .output()
        .expect("run shieldrun");
    assert_eq!(output.status.code(), Some(125));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdio.cast"));
}
