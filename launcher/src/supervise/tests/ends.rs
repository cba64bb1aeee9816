//! How a run ends: exit codes, signals, the clock.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::launch::{Launch, finish, kill, wait_until};

#[test]
fn the_exit_code_is_the_commands_own() {
    for code in [0, 1, 42, 255] {
        let output = Launch::script(&format!("exit {code}")).output();
        assert_eq!(output.status.code(), Some(code));
    }
}

#[test]
fn a_killed_command_gives_128_and_the_signal() {
    assert_eq!(Launch::script("kill -9 $$").output().status.code(), Some(137));
    assert_eq!(Launch::script("kill -SEGV $$").output().status.code(), Some(139));
}

#[test]
fn a_command_that_cannot_be_executed_gives_126_or_127() {
    let missing = Launch::of(&["no-such-command-anywhere"]);
    assert_eq!(missing.output().status.code(), Some(127));
    assert_eq!(
        missing.result()["exit"],
        "NotExecuted(Os { code: 2, kind: NotFound, message: \"No such file or directory\" })"
    );
    assert_eq!(Launch::of(&["/etc/passwd"]).output().status.code(), Some(126));
}

#[test]
fn time_runs_out_with_sigterm_first() {
    let launch =
        Launch::script("trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done").with("timeout_ms", 1000);
    let output = launch.output();
    assert_eq!(output.status.code(), Some(124));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "bye\n");
    assert_eq!(launch.result()["timed_out"], true);
}

#[test]
fn time_runs_out_with_sigkill_in_the_end() {
    let launch = Launch::script("trap '' TERM; while :; do sleep 0.05; done").with("timeout_ms", 200);
    let begun = Instant::now();
    assert_eq!(launch.output().status.code(), Some(124));
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(2100) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_command_that_stops_itself_does_not_outlast_its_time() {
    let launch = Launch::script("kill -STOP $$; exit 9").with("timeout_ms", 500);
    assert_eq!(launch.output().status.code(), Some(124));
}

#[test]
fn a_stop_that_cannot_stop_us_does_not_keep_the_command() {
    let launch = Launch::script("kill -TSTP $$; exit 9");
    let mut command = Command::new("setsid");
    command.args(["--wait", "sh", "-c", &launch.words()]).stdin(Stdio::null());
    assert_eq!(finish(command.spawn()).status.code(), Some(9));
}

#[test]
fn a_reader_that_stalls_does_not_outlast_the_time_limit() {
    let launch = Launch::of(&["sh", "-c", "yes | head -c 8000000"]).with("timeout_ms", 500);
    let begun = Instant::now();
    let mut child = launch.command().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    // Never read.
    let _stdout = child.stdout.take();
    assert_eq!(finish(Ok(child)).status.code(), Some(124));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_signal_ends_us_while_only_a_stalled_reader_is_left() {
    // 200 kB: more than the pipe outside holds, less than ours, so the command ends at once.
    let launch = Launch::of(&["head", "-c", "200000", "/dev/zero"]);
    let mut child = launch.command().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let _stdout = child.stdout.take();
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().expect("our child").is_none(), "it does not wait for its reader");
    kill(child.id(), "TERM");
    assert_eq!(finish(Ok(child)).status.code(), Some(143));
}

#[test]
fn a_secret_in_the_last_words_counts() {
    let launch = Launch::script("printf 'last SUPERSECRETVALUE'").with("needle", "SUPERSECRETVALUE");
    for _ in 0..20 {
        let output = launch.output();
        assert_eq!(output.status.code(), Some(120));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "last ");
    }
}

#[test]
fn signals_of_a_process_reach_the_command() {
    for signal in ["TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "ALRM", "WINCH", "35"] {
        let text = format!("trap 'echo got; exit 7' {signal}; echo ready; while :; do sleep 0.05; done");
        let launch = Launch::of(&["bash", "-c", &text]);
        let mut child =
            launch.command().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = child.stdout.take().expect("piped");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
        assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("ready"));
        kill(child.id(), signal);
        assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("got"), "{signal}");
        assert_eq!(finish(Ok(child)).status.code(), Some(7), "{signal}");
    }
}

#[test]
fn a_signal_that_kills_gives_its_code() {
    let launch = Launch::script("echo ready; exec sleep 60");
    let mut child = launch.command().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut byte = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut byte).expect("it says ready");
    kill(child.id(), "TERM");
    assert_eq!(finish(Ok(child)).status.code(), Some(143));
}

#[test]
fn dispositions_are_inherited() {
    // What the command finds is what it would find without us, whatever this test was started with.
    let argv = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"];
    let launch = Launch::of(&argv);
    for arranged in ["", "trap '' HUP", "trap '' CHLD PIPE"] {
        let shown = |words: &str| {
            let script = format!("{arranged}\n{words}");
            let shell = Command::new("bash").arg("-c").arg(script).stdout(Stdio::piped()).spawn();
            String::from_utf8_lossy(&finish(shell).stdout).into_owned()
        };
        let natively = shown("exec grep -E '^Sig(Ign|Blk)' /proc/self/status");
        assert!(natively.contains("SigIgn"));
        assert_eq!(shown(&launch.words()), natively, "{arranged}");
    }
}

#[test]
fn a_process_left_behind_keeps_us_half_a_second_at_most() {
    // In a session of its own, as a daemon: nothing in this test ends it with the command.
    let launch =
        Launch::script("setsid sh -c 'while :; do echo more; sleep 0.01; done' & sleep 0.3; echo done");
    let begun = Instant::now();
    let output = launch.output();
    assert_eq!(output.status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(String::from_utf8_lossy(&output.stdout).contains("done\n"));
}

#[test]
fn the_tree_ends_when_the_launcher_is_killed() {
    let launch = Launch::script("echo $$; exec sleep 61");
    let mut child = launch.command().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let stdout = child.stdout.take().expect("piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
    let pid = lines.next().and_then(Result::ok).expect("its pid");
    kill(child.id(), "KILL");
    let _ = finish(Ok(child));
    assert!(!launch.has_result());
    wait_until("the command is gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
}
