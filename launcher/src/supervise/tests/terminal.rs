//! The terminal: looks, keys, job control, and what is left of it afterwards.

use rustix::termios::LocalModes;

use super::launch::{Launch, wait_until};
use super::screen::Screen;
use crate::sys::terminal::same_modes;

/// The exit code of what was typed last.
const CODE: &str = "echo code=$?.\r";

/// Where a stop may come while a program is being started: `sh` may be dash, which starts it by vfork,
/// and a child that is stopped before its exec keeps its parent from stopping.
fn bash(script: &str) -> Launch {
    Launch::of(&["bash", "-c", script])
}

fn screen(launch: &Launch) -> Screen {
    Screen::new(&[("run", &launch.words())])
}

#[test]
fn all_three_are_a_terminal_of_the_same_size_and_modes() {
    let launch = Launch::script("test -t 0 && test -t 1 && test -t 2 && stty size && stty -g && echo end");
    let mut screen = screen(&launch);
    screen.type_in("stty rows 33 cols 101; stty -ixon; stty -g; run\r");
    screen.wait_for("run\r\n");
    let outside = screen.wait_for("\r\n");
    assert_eq!(screen.wait_for("\r\n"), "33 101");
    assert_eq!(screen.wait_for("\r\n"), outside);
    assert_eq!(screen.wait_for("end\r\n"), "");
}

#[test]
fn the_terminal_is_put_back_after_any_end() {
    let plain = Launch::script("exit 3");
    let killed = Launch::script("stty raw -echo; kill -9 $$");
    let late = Launch::script("stty raw -echo; sleep 60").with("timeout_ms", 300);
    let mut screen =
        Screen::new(&[("plain", &plain.words()), ("killed", &killed.words()), ("late", &late.words())]);
    // What the commands of a shell without line editing find is what they leave.
    screen.type_in("set +o emacs\r");
    screen.wait_for("> ");
    let before = screen.modes();
    for (name, code) in [("plain", 3), ("killed", 137), ("late", 124)] {
        screen.type_in(&format!("{name}; {CODE}"));
        screen.wait_for(&format!("code={code}."));
        screen.wait_for("> ");
        assert!(same_modes(&before, &screen.modes()), "{name}");
    }
}

#[test]
fn stty_inside_is_stty_outside() {
    let launch = Launch::of(&["stty", "-echo"]);
    let mut screen = screen(&launch);
    screen.type_in("set +o emacs\r");
    screen.wait_for("> ");
    screen.type_in(&format!("run; {CODE}"));
    screen.wait_for("code=0.");
    screen.wait_for("> ");
    assert!(!screen.modes().local_modes.contains(LocalModes::ECHO));
}

#[test]
fn control_c_interrupts_the_command_and_its_children() {
    let launch = bash("trap 'echo interrupted; exit 5' INT; echo ready; sleep 60");
    let mut screen = screen(&launch);
    screen.type_in(&format!("run; {CODE}"));
    screen.wait_for("ready\r\n");
    assert!(screen.is_raw());
    screen.type_later("\x03");
    screen.wait_for("interrupted\r\n");
    screen.wait_for("code=5.");
}

#[test]
fn control_d_ends_input() {
    let launch = Launch::of(&["cat"]);
    let mut screen = screen(&launch);
    screen.type_in("run\r");
    wait_until("the keyboard is ours", || screen.is_raw());
    screen.type_in("first\r");
    screen.wait_for("first\r\nfirst\r\n");
    screen.type_in("\x04");
    screen.wait_for("> ");
    screen.type_in(CODE);
    screen.wait_for("code=0.");
}

#[test]
fn control_z_stops_and_fg_goes_on() {
    let launch = Launch::script("echo ready; while read line; do echo got $line; done; exit 4");
    let mut screen = screen(&launch);
    screen.type_in("run\r");
    screen.wait_for("ready\r\n");
    for word in ["one", "two"] {
        screen.type_later("\x1a");
        screen.wait_for("Stopped");
        screen.wait_for("> ");
        assert!(!screen.is_raw());
        screen.type_in("jobs\r");
        screen.wait_for("Stopped");
        screen.wait_for("> ");
        screen.type_in("fg\r");
        wait_until("the keyboard is ours again", || screen.is_raw());
        screen.type_in(&format!("{word}\r"));
        screen.wait_for(&format!("got {word}\r\n"));
    }
    screen.type_in("\x04");
    screen.wait_for("> ");
    screen.type_in(CODE);
    screen.wait_for("code=4.");
}

#[test]
fn in_the_background_the_terminal_is_left_alone_until_it_is_wanted() {
    let launch = Launch::script("echo running; read line; echo got $line");
    let mut screen = screen(&launch);
    screen.type_in("set +o emacs\r");
    screen.wait_for("> ");
    screen.type_in("run &\r");
    screen.wait_for("running\r\n");
    assert!(!screen.is_raw());
    // Natively a background job that reads is stopped; the shell says so at its next prompt.
    screen.type_in("sleep 1\r");
    screen.wait_for("Stopped");
    screen.wait_for("> ");
    screen.type_in("fg\r");
    wait_until("the keyboard is ours", || screen.is_raw());
    screen.type_in("word\r");
    screen.wait_for("got word\r\n");
    screen.wait_for("> ");
}

#[test]
fn bg_lets_it_run_without_the_keyboard() {
    let launch = bash("echo ready; sleep 1; echo still; sleep 1; echo over");
    let mut screen = screen(&launch);
    screen.type_in("run\r");
    screen.wait_for("ready\r\n");
    screen.type_later("\x1a");
    screen.wait_for("Stopped");
    screen.wait_for("> ");
    screen.type_in("bg\r");
    screen.wait_for("still\r\n");
    screen.type_in("echo typed\r");
    screen.wait_for("typed\r\n");
    screen.wait_for("over\r\n");
}

#[test]
fn a_new_size_reaches_the_command() {
    let launch =
        Launch::of(&["bash", "-c", "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done"]);
    let mut screen = screen(&launch);
    screen.type_in("run\r");
    screen.wait_for("ready\r\n");
    screen.resize(44, 132);
    screen.wait_for("44 132\r\n");
    screen.wait_for("> ");
}

#[test]
fn in_a_pipeline_the_keyboard_is_its_neighbours() {
    let launch = Launch::script("echo out; echo err >&2; sleep 2");
    let mut screen = screen(&launch);
    screen.type_in("run | { read line; echo piped $line; read word </dev/tty; echo word $word; }\r");
    screen.wait_for("piped out\r\n");
    assert!(!screen.is_raw());
    screen.type_in("hello\r");
    screen.wait_for("word hello\r\n");
    screen.wait_for("> ");
}

#[test]
fn in_a_pipeline_a_line_feed_stays_one_carriage_return() {
    let launch = Launch::script("echo one >&2; echo two >&2; exit 6");
    let mut screen = screen(&launch);
    screen.type_in("run | cat\r");
    screen.wait_for("run | cat\r\n");
    assert_eq!(screen.wait_for("> "), "one\r\ntwo\r\n");
}

#[test]
fn a_pager_in_a_pipeline_gets_the_keyboard() {
    let launch = Launch::script("read piped; read typed </dev/tty; echo $piped $typed");
    let mut screen = screen(&launch);
    screen.type_in("echo from-pipe | run\r");
    wait_until("the keyboard is ours", || screen.is_raw());
    screen.type_in("from-keyboard\r");
    screen.wait_for("from-pipe from-keyboard\r\n");
    screen.wait_for("> ");
}

#[test]
fn a_signal_of_the_terminal_goes_to_the_whole_group() {
    // In a pipeline the user's terminal stays as it is, so Ctrl-C is its own driver's.
    let launch = Launch::script("echo ready >&2; sleep 60");
    let mut screen = screen(&launch);
    screen.type_in("run | cat\r");
    screen.wait_for("ready\r\n");
    screen.type_later("\x03");
    screen.wait_for("> ");
    assert_eq!(launch.result()["exit"], "Signal(2)");
    assert_eq!(launch.result()["signals"], serde_json::json!([2]));
}

#[test]
fn control_z_in_a_pipeline_stops_the_whole_job() {
    let launch = bash("echo ready >&2; sleep 2; echo end >&2");
    let mut screen = screen(&launch);
    screen.type_in("run | cat\r");
    screen.wait_for("ready\r\n");
    screen.type_later("\x1a");
    screen.wait_for("Stopped");
    screen.wait_for("> ");
    screen.type_in("fg\r");
    screen.wait_for("end\r\n");
    screen.wait_for("> ");
}

#[test]
fn nothing_written_last_is_lost() {
    let launch = Launch::of(&["sh", "-c", "seq 1 30000; echo end of all"]);
    let mut screen = screen(&launch);
    screen.type_in("run\r");
    screen.wait_for("run\r\n");
    let shown = screen.wait_for("end of all\r\n");
    let wanted: String = (1..=30000).map(|line| format!("{line}\r\n")).collect();
    assert!(shown == wanted, "{} of {} bytes", shown.len(), wanted.len());
}

#[test]
fn a_terminal_that_is_taken_away_ends_the_command() {
    let marker = std::env::temp_dir().join(format!("supervise-hup-{}", std::process::id()));
    let script = format!(
        "trap 'echo hup > {}; exit 1' HUP; echo ready; while :; do sleep 0.1; done",
        marker.display()
    );
    let launch = Launch::script(&script);
    let mut screen = screen(&launch);
    screen.type_in("run\r");
    screen.wait_for("ready\r\n");
    screen.hang_up();
    wait_until("the launcher has ended", || launch.has_result());
    assert!(std::fs::read_to_string(&marker).is_ok_and(|text| text == "hup\n"));
    let _ = std::fs::remove_file(marker);
}

#[test]
fn a_secret_on_the_terminal_ends_the_run() {
    let launch = Launch::script("stty -onlcr; printf 'clean SUPER'; printf SECRETVALUE; sleep 60")
        .with("needle", "SUPERSECRETVALUE");
    let mut screen = screen(&launch);
    screen.type_in(&format!("run; {CODE}"));
    screen.wait_for("code=120.");
    assert!(!screen.rest().contains("SECRETVALUE"));
    assert_eq!(launch.result()["leak"], serde_json::json!(["terminal", "s1"]));
}

#[test]
fn a_paste_longer_than_the_terminal_holds_arrives() {
    let launch = Launch::script("stty raw -echo; echo ready; head -c 200000 | cksum; stty sane");
    let mut screen = screen(&launch);
    screen.type_in("run\r");
    screen.wait_for("ready");
    let text = "0123456789".repeat(20000);
    screen.type_in(&text);
    // cksum of the same text, natively.
    let sum = std::process::Command::new("sh")
        .args(["-c", "yes 0123456789 | head -n 20000 | tr -d '\\n' | cksum"])
        .output()
        .expect("a shell");
    screen.wait_for(String::from_utf8_lossy(&sum.stdout).trim());
    screen.wait_for("> ");
}
