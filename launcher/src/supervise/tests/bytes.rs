//! Every byte, in order, and none too many.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::launch::{Launch, finish, noise};

/// An unnamed file with this content, at its beginning, for reading and writing.
fn file(content: &[u8]) -> File {
    opened_again(content).0
}

/// The same for reading alone, as the shell's `<` opens it.
fn input(content: &[u8]) -> File {
    opened_again(content).1
}

fn opened_again(content: &[u8]) -> (File, File) {
    let path = std::env::temp_dir().join(format!(
        "supervise-file-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let mut both = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    let reading = File::open(&path).expect("it is there");
    std::fs::remove_file(&path).expect("it is there");
    both.write_all(content).expect("room for it");
    both.seek(SeekFrom::Start(0)).expect("a file has a position");
    (both, reading)
}

fn same(one: &[u8], other: &[u8]) -> bool {
    one == other
}

#[test]
fn sixty_four_mebibytes_pass_unchanged_from_pipe_to_pipe() {
    let sent = noise(64 << 20);
    let launch = Launch::of(&["cat"]).with("needle", "no such bytes in here");
    let mut child = launch
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the launcher starts");
    let mut stdin = child.stdin.take().expect("piped");
    let copy = sent.clone();
    std::thread::spawn(move || stdin.write_all(&copy));
    let output = finish(Ok(child));
    assert_eq!(output.status.code(), Some(0));
    assert!(same(&sent, &output.stdout), "{} bytes came", output.stdout.len());
}

#[test]
fn sixty_four_mebibytes_pass_unchanged_from_file_to_file() {
    let sent = noise(64 << 20);
    let (input, mut output) = (file(&sent), file(b""));
    let child =
        Launch::of(&["cat"]).command().stdin(input).stdout(output.try_clone().expect("a descriptor")).spawn();
    assert_eq!(finish(child).status.code(), Some(0));
    output.seek(SeekFrom::Start(0)).expect("a file");
    let mut came = Vec::new();
    output.read_to_end(&mut came).expect("readable");
    assert!(same(&sent, &came), "{} bytes came", came.len());
}

#[test]
fn stdout_and_stderr_of_one_pipe_keep_their_order() {
    let script = "i=0; while [ $i -lt 500 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
    let launch = Launch::script(script);
    let output = finish(
        Command::new("sh").arg("-c").arg(format!("{} 2>&1", launch.words())).stdout(Stdio::piped()).spawn(),
    );
    let wanted: String = (0..500).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
}

#[test]
fn stdout_and_stderr_appended_to_one_file_keep_their_order() {
    let path = std::env::temp_dir().join(format!("supervise-log-{}", std::process::id()));
    let launch = Launch::script("for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done");
    let redirected = format!("{} >>{path} 2>>{path}", launch.words(), path = path.display());
    finish(Command::new("sh").arg("-c").arg(redirected).stdin(Stdio::null()).stdout(Stdio::piped()).spawn());
    let log = std::fs::read_to_string(&path).expect("it was written");
    let _ = std::fs::remove_file(&path);
    assert_eq!(log, (1..10).map(|i| format!("out {i}\nerr {i}\n")).collect::<String>());
}

#[test]
fn stdout_and_stderr_stay_apart_otherwise() {
    let output = Launch::script("echo out; echo err >&2").output();
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
}

#[test]
fn what_the_command_leaves_of_a_file_is_there_for_the_next() {
    let lines: String = (0..100_000).map(|i| format!("line {i}\n")).collect();
    let launch = Launch::script("read first; read second; echo $first, $second");
    let script = format!("{}; read third; echo $third; cat | wc -c", launch.words());
    let output = finish(
        Command::new("sh").arg("-c").arg(script).stdin(file(lines.as_bytes())).stdout(Stdio::piped()).spawn(),
    );
    let rest = lines.len() - "line 0\nline 1\nline 2\n".len();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("line 0, line 1\nline 2\n{rest}\n"));
}

#[test]
fn what_the_command_leaves_of_a_small_file_is_there_for_the_next() {
    let launch = Launch::script("read first; echo $first");
    let script = format!("{}; cat", launch.words());
    let output = finish(
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .stdin(input(b"one\ntwo\nthree\n"))
            .stdout(Stdio::piped())
            .spawn(),
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\nthree\n");
}

#[test]
fn a_command_that_seeks_back_leaves_the_rest_of_a_file() {
    // `head` reads a block and then seeks to the end of its line, where it can.
    let launch = Launch::of(&["head", "-n", "1"]);
    let script = format!("read skipped; {}; cat", launch.words());
    let output = finish(
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .stdin(input(b"zero\none\ntwo\nthree\n"))
            .stdout(Stdio::piped())
            .spawn(),
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\nthree\n");
}

#[test]
fn a_loop_over_a_pipe_keeps_its_input() {
    let launch = Launch::of(&["true"]);
    let script = format!("seq 5 | while read n; do {}; echo $n; done", launch.words());
    let output = finish(Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n2\n3\n4\n5\n");
}

#[test]
fn what_the_command_leaves_of_a_pipe_is_there_for_the_next() {
    // The shell's `read` takes one byte at a time, so natively nothing at all is lost.
    let launch = Launch::script("read a; read b");
    let script = format!("seq 20000 | {{ {}; read c; echo $c; cat | wc -l; }}", launch.words());
    let output = finish(Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n19997\n");
}

#[test]
fn what_the_command_leaves_after_a_long_read_of_a_pipe_is_there_too() {
    let launch = Launch::of(&["dd", "bs=1000", "count=2000", "iflag=fullblock", "status=none"]);
    let script = format!("seq 1000000 | {{ {}; cat; }} | cksum; seq 1000000 | cksum", launch.words());
    let output = finish(Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn());
    let sums = String::from_utf8_lossy(&output.stdout).into_owned();
    let sums: Vec<_> = sums.lines().collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{sums:?}");
}

#[test]
fn a_reader_that_leaves_ends_the_command_by_sigpipe() {
    let launch = Launch::of(&["yes"]);
    let script = format!("{{ {}; echo $? >&2; }} | head -n 1", launch.words());
    let output = finish(
        Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn(),
    );
    assert_eq!((&*output.stdout, &*output.stderr), (&b"y\n"[..], &b"141\n"[..]));
    assert_eq!(launch.result()["exit"], "Signal(13)");
}

#[test]
fn a_reader_that_leaves_is_noticed_before_the_next_write() {
    // By the time of the `echo` there is no reader, so natively it dies of SIGPIPE.
    let launch = Launch::script("sleep 1; echo late; echo $? >&2");
    let output = finish(
        Command::new("sh").arg("-c").arg(format!("{} | true", launch.words())).stderr(Stdio::piped()).spawn(),
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(launch.result()["exit"], "Signal(13)");
}

#[test]
fn the_writer_outside_notices_when_the_command_closes_stdin() {
    let launch = Launch::script("exec <&-; sleep 2");
    let script = format!("{{ sleep 0.5; yes; echo $? >&2; }} | {}", launch.words());
    let begun = Instant::now();
    let output = finish(Command::new("bash").arg("-c").arg(script).stderr(Stdio::piped()).spawn());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "141\n");
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_command_that_does_not_read_is_not_waited_for() {
    let launch = Launch::of(&["true"]);
    let begun = Instant::now();
    let mut child = launch.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    // Open and silent until after the end.
    let _writer = child.stdin.take();
    assert_eq!(finish(Ok(child)).status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn closed_stays_closed_and_null_stays_null() {
    let launch =
        Launch::script("[ -e /proc/self/fd/0 ] && echo open || echo closed; readlink /proc/self/fd/2 >&1");
    let script = format!("{} <&- 2>/dev/null", launch.words());
    let output = finish(Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "closed\n/dev/null\n");
}

#[test]
fn a_full_disk_is_told() {
    let launch = Launch::of(&["sh", "-c", "echo text; sleep 0.3"]);
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    let output = finish(launch.command().stdin(Stdio::null()).stdout(full).spawn());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(launch.result()["lost_output"], 28, "ENOSPC");
}

#[test]
fn a_secret_across_chunks_is_withheld_and_ends_the_run() {
    let launch = Launch::script("printf 'before SUPER'; printf 'SECRETVALUE after'; sleep 60; echo late")
        .with("needle", "SUPERSECRETVALUE");
    let begun = Instant::now();
    let output = launch.output();
    assert_eq!(output.status.code(), Some(120));
    let shown = String::from_utf8_lossy(&output.stdout);
    // "SUPER" alone is too short to be held back; nothing of the second chunk may come.
    assert!("before SUPER".starts_with(&*shown), "{shown:?}");
    assert_eq!(launch.result()["leak"], serde_json::json!(["stdout", "s1"]));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_clean_before_a_secret_goes_out() {
    let launch = Launch::script("printf 'clean SUPERSECRETVALUE'").with("needle", "SUPERSECRETVALUE");
    let output = launch.output();
    assert_eq!(output.status.code(), Some(120));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "clean ");
}

#[test]
fn the_beginning_of_a_secret_waits_and_then_goes() {
    let launch = Launch::script("printf 'x SUPERSECR'; sleep 1; printf ' y'; printf ' SUPERSE'")
        .with("needle", "SUPERSECRETVALUE");
    let mut child = launch.command().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stdout = child.stdout.take().expect("piped");
    let mut shown = Vec::new();
    let (mut first, mut whole) = (None, [0; 64]);
    let begun = Instant::now();
    loop {
        match stdout.read(&mut whole).expect("readable") {
            0 => break,
            count => shown.extend_from_slice(&whole[..count]),
        }
        if shown == b"x SUPERSECR" {
            first = Some(begun.elapsed());
        }
    }
    assert_eq!(String::from_utf8_lossy(&shown), "x SUPERSECR y SUPERSE");
    assert!(first.is_some(), "the prompt did not come before the rest");
    assert_eq!(finish(Ok(child)).status.code(), Some(0));
}

#[test]
fn a_secret_at_stderr_ends_the_run_too() {
    let launch =
        Launch::script("echo fine; printf SUPERSECRETVALUE >&2; sleep 60").with("needle", "SUPERSECRETVALUE");
    let output = launch.output();
    assert_eq!(output.status.code(), Some(120));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
