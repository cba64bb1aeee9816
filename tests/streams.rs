//! A drop-in: arguments, streams, exit codes, signals and time pass as if nothing stood in front.

use crate::harness::host::{running_with, soon};
use crate::harness::{PYTHON, World, put, text};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

/// Bytes that look random and are the same in every run.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

#[test]
fn arguments_pass_byte_for_byte() {
    let world = World::new();
    let odd: Vec<u8> = (1..=255).collect();
    let words: Vec<&OsStr> = vec![
        OsStr::new("printf"),
        OsStr::new("%s\\0"),
        OsStr::new(""),
        OsStr::new("--events"),
        OsStr::new("-- a"),
        OsStr::new("line\nbreak"),
        OsStr::new("'\"$HOME*`~"),
        OsStr::from_bytes(&odd),
        OsStr::from_bytes(b"\xff\xfe"),
        OsStr::new("日本"),
    ];
    let ran = world.shield(&words).run().expect_clean();
    let mut expected = Vec::new();
    for word in &words[2..] {
        expected.extend(word.as_bytes());
        expected.push(0);
    }
    assert_eq!(ran.stdout, expected, "{ran}");
}

#[test]
fn a_hundred_thousand_arguments_pass() {
    let world = World::new();
    let mut words = vec!["bash".to_owned(), "-c".to_owned(), "echo $#".to_owned(), "-".to_owned()];
    words.extend((0..100_000).map(|n| n.to_string()));
    world.shield(&words).run().expect_clean().expect_text("100000\n");
}

#[test]
fn sixty_four_mebibytes_pass_through_unchanged() {
    let world = World::new();
    let bytes = noise(64 << 20);
    let ran = world.shield(["cat"]).stdin(bytes.clone()).run();
    assert_eq!(ran.code(), Some(0), "{}", ran.said());
    assert!(ran.stdout == bytes, "{} of {} bytes came back, or others", ran.stdout.len(), bytes.len());
}

#[test]
fn stderr_passes_unchanged_and_apart_from_stdout() {
    let world = World::new();
    let bytes = noise(4 << 20);
    let ran = world.shield(["bash", "-c", "cat >&2; printf out"]).stdin(bytes.clone()).run();
    assert_eq!(ran.code(), Some(0));
    assert_eq!(ran.stdout, b"out");
    assert!(ran.stderr == bytes, "{} of {} bytes came back, or others", ran.stderr.len(), bytes.len());
}

#[test]
fn what_is_printed_without_a_newline_comes_at_once() {
    let world = World::new();
    let mut running = world.bash("printf prompt; read line; echo got $line").start();
    running.await_text("prompt");
    running.say(b"answer\n");
    running.await_text("got answer");
    running.wait().expect_clean();
}

#[test]
fn the_end_of_stdin_is_seen() {
    let world = World::new();
    world.shield(["wc", "-c"]).stdin("12345").run().expect_clean().expect_text("5\n");
    world.shield(["cat"]).run().expect_clean().expect_text("");
}

#[test]
fn a_file_as_stdin_can_be_read_in_parts() {
    let world = World::new();
    let input = put(&world.home.join("input"), b"one\ntwo\nthree\n", 0o644);
    let shell = format!("exec \"$@\" < {}", input.display());
    let ran = world.bash("read a; read b; cat; echo $a $b").started_by(["bash", "-c", &shell, "-"]).run();
    ran.expect_clean().expect_text("three\none two\n");
}

#[test]
fn closed_streams_do_no_harm() {
    let world = World::new();
    for close in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let shell = format!("exec \"$@\" {close}");
        world.bash("exit 5").started_by(["bash", "-c", &shell, "-"]).run().expect_code(5);
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_writer() {
    let world = World::new();
    let shell = "set -o pipefail; \"$@\" | head -c 5; echo ${PIPESTATUS[0]}";
    let ran = world.shield(["yes"]).started_by(["bash", "-c", shell, "-"]).run();
    let native = world.native(["bash", "-c", "yes | head -c 5; echo ${PIPESTATUS[0]}"]);
    assert_eq!(ran.stdout, native, "{ran}");
}

#[test]
fn nothing_is_said_without_a_terminal_unless_something_is_wrong() {
    let world = World::new();
    let ran = world.bash("echo out").run().expect_clean();
    assert_eq!((ran.text(), ran.said()), ("out\n".to_owned(), String::new()));
}

#[test]
fn every_exit_code_passes() {
    let world = World::new();
    for code in (0..=8).chain([63, 64, 119, 120, 121, 122, 124, 125, 126, 127, 128, 129, 254, 255]) {
        let ran = world.bash(&format!("exit {code}")).run().expect_code(code);
        // Where the number is one of ours, the result tells whose it is.
        assert_eq!(ran.record.result.pointer("/exit/shieldrun"), Some(&serde_json::Value::Null), "{ran}");
    }
}

#[test]
fn a_command_that_a_signal_ended_gives_128_and_its_number() {
    let world = World::new();
    for (name, number) in [("KILL", 9), ("TERM", 15), ("INT", 2), ("SEGV", 11), ("ABRT", 6), ("USR1", 10)] {
        let ran = world.bash(&format!("kill -{name} $$; sleep 5")).run();
        assert_eq!(ran.code(), Some(128 + number), "{name}\n{ran}");
        assert_eq!(
            ran.record.result.pointer("/exit/signal").and_then(|v| v.as_i64()),
            Some(i64::from(number)),
            "{ran}"
        );
    }
}

#[test]
fn signals_reach_the_command() {
    let world = World::new();
    for (name, signal) in [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("QUIT", Signal::QUIT),
        ("WINCH", Signal::WINCH),
    ] {
        let script =
            format!("trap 'echo got {name}; exit 44' {name}; echo ready; while :; do sleep 0.02; done");
        let mut running = world.bash(&script).start();
        running.await_text("ready");
        running.signal(signal);
        running.await_text(&format!("got {name}"));
        running.wait().expect_code(44);
    }
}

#[test]
fn a_signal_that_the_command_does_not_expect_ends_it() {
    let world = World::new();
    for (signal, number) in [(Signal::TERM, 15), (Signal::HUP, 1), (Signal::INT, 2)] {
        let mut running = world.bash("echo ready; exec sleep 600").start();
        running.await_text("ready");
        running.signal(signal);
        let ran = running.wait_with_stdin_open();
        assert_eq!(ran.shell_code(), 128 + number, "{ran}");
    }
}

#[test]
fn a_command_may_ignore_a_signal() {
    let world = World::new();
    let mut running = world.bash("trap '' TERM; echo ready; read line; echo still $line").start();
    running.await_text("ready");
    running.signal(Signal::TERM);
    running.say(b"here\n");
    running.await_text("still here");
    running.wait().expect_code(0);
}

#[test]
fn orphans_end_with_the_run() {
    let world = World::new();
    let marker = format!("86400.{}", std::process::id());
    let script =
        format!("setsid sleep {marker} & (sleep {marker} & exec sleep {marker}) & sleep 0.1; exit 3");
    world.bash(&script).run().expect_code(3);
    assert!(soon(|| running_with(&marker).is_empty()), "{:?} still runs", running_with(&marker));
}

#[test]
fn orphans_are_reaped_and_their_output_is_not_lost() {
    let world = World::new();
    let script = "(sleep 0.1; echo late) & disown; sleep 0.5; echo end; ls -d /proc/[0-9]* | wc -l";
    let ran = world.bash(script).run().expect_clean();
    assert!(ran.text().starts_with("late\nend\n"), "{ran}");
}

#[test]
fn the_last_output_before_the_end_is_not_lost() {
    let world = World::new();
    for _ in 0..5 {
        let ran = world.bash("head -c 3000000 /dev/zero; printf end >&2").run();
        assert_eq!((ran.stdout.len(), ran.said().as_str()), (3_000_000, "end"));
    }
}

#[test]
fn a_run_out_of_time_is_ended() {
    let world = World::new();
    let marker = format!("86401.{}", std::process::id());
    let script = format!("trap '' TERM INT HUP; echo begun; sleep {marker}; sleep {marker}");
    let ran = world.bash(&script).with(["--timeout", "1"]).run().expect_code(124);
    assert_eq!(ran.text(), "begun\n", "{ran}");
    assert_eq!(text(&ran.record.result, "/exit/shieldrun"), "timeout", "{ran}");
    assert_eq!(ran.record.of("timed-out").len(), 1, "{ran}");
    assert!(ran.said().lines().all(|line| line.starts_with("shieldrun:")), "{ran}");
    assert!(soon(|| running_with(&marker).is_empty()));
}

#[test]
fn a_run_within_its_time_is_not_ended() {
    let world = World::new();
    let ran = world.bash("exit 9").with(["--timeout", "50"]).run().expect_code(9);
    assert!(ran.record.of("timed-out").is_empty(), "{ran}");
}

#[test]
fn a_time_limit_that_is_no_number_is_refused() {
    let world = World::new();
    for word in ["soon", "-1", "", "nan", "1e999"] {
        let ran = world.shield(["true"]).with([format!("--timeout={word}")]).run().expect_code(125);
        assert!(ran.stdout.is_empty() && !ran.said().contains("panicked"), "{ran}");
    }
}

#[test]
fn a_missing_command_is_127() {
    let world = World::new();
    let ran = world.shield(["no-such-command-here"]).run().expect_code(127);
    assert!(ran.said().starts_with("shieldrun:") && ran.said().contains("no-such-command-here"), "{ran}");
    world.shield(["./no/such/file"]).run().expect_code(127);
}

#[test]
fn a_file_that_is_no_program_is_126() {
    let world = World::new();
    world.write("plain", "no program\n");
    let ran = world.shield(["./plain"]).run().expect_code(126);
    assert!(ran.said().starts_with("shieldrun:"), "{ran}");
    world.shield(["./src"]).run().expect_code(126);
}

#[test]
fn a_script_and_its_interpreter_run() {
    let world = World::new();
    put(
        &world.project.join("script"),
        format!("#!{PYTHON}\nimport sys; print(sys.argv[1:])\n").as_bytes(),
        0o755,
    );
    world.shield(["./script", "a b", "c"]).run().expect_clean().expect_text("['a b', 'c']\n");
}

#[test]
fn the_command_is_found_along_the_path_inside() {
    let mut world = World::new();
    put(&world.project.join("bin/mine"), b"#!/bin/sh\necho found\n", 0o755);
    let path = format!("{}:/usr/bin:/bin", world.project.join("bin").display());
    world.set("PATH", path);
    world.shield(["mine"]).run().expect_clean().expect_text("found\n");
}

#[test]
fn options_of_the_command_are_the_commands() {
    let world = World::new();
    world
        .shield(["echo", "--timeout", "--help", "--dry-run"])
        .run()
        .expect_clean()
        .expect_text("--timeout --help --dry-run\n");
}

#[test]
fn without_dashes_the_first_word_begins_the_command() {
    let world = World::new();
    let mut words = world.shield(["echo", "--quiet", "x"]).words();
    words.retain(|word| word != "--");
    let output = std::process::Command::new(&words[0])
        .args(&words[1..])
        .env_clear()
        .envs(world.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&world.project)
        .output()
        .expect("run");
    assert_eq!(output.stdout, b"--quiet x\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn run_is_the_same_word_by_word() {
    let world = World::new();
    let output = std::process::Command::new(crate::harness::binary())
        .args(["run", "--", "printenv", "GREETING"])
        .env_clear()
        .envs(world.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&world.project)
        .output()
        .expect("run");
    assert_eq!(
        output.stdout,
        b"a plain value, with = and spaces\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_umask_and_the_limits_pass() {
    let world = World::new();
    let shell = "umask 027; ulimit -n 200; exec \"$@\"";
    let ran = world.bash("umask; ulimit -n").started_by(["bash", "-c", shell, "-"]).run();
    ran.expect_clean().expect_text("0027\n200\n");
}

#[test]
fn ignored_signals_pass() {
    let world = World::new();
    let shell = "trap '' USR2; exec \"$@\"";
    let native = world.native(["bash", "-c", "trap '' USR2; exec grep -E '^Sig(Ign|Blk)' /proc/self/status"]);
    let ran = world
        .shield(["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"])
        .started_by(["bash", "-c", shell, "-"]);
    let ran = ran.run().expect_clean();
    assert_eq!(ran.text(), String::from_utf8_lossy(&native), "{ran}");
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let world = World::new();
    let mut first = world.bash("echo $GITHUB_TOKEN; read x; echo $x").start();
    first.await_text("ghp_");
    let second = world.bash("echo $GITHUB_TOKEN").run().expect_clean();
    first.say(b"later\n");
    first.await_text("later");
    let first = first.wait().expect_clean();
    assert_ne!(first.text().lines().next(), second.text().lines().next());
}

#[test]
fn shieldrun_runs_where_there_is_no_git() {
    let world = World::new();
    let plain = world.beside("plain");
    fs::write(plain.join(".env"), format!("API_SECRET={}\n", world.real("MY_SERVICE_TOKEN"))).expect("write");
    let ran = world.bash("cat .env; echo x > made").in_directory(&plain).run().expect_clean();
    assert!(ran.text().starts_with("API_SECRET="), "{ran}");
    assert!(plain.join("made").exists());
}
