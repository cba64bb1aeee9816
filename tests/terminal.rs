//! On a terminal: its own PTY, and everything that people and full-screen programs expect of one.

use crate::harness::terminal::Terminal;
use crate::harness::{PYTHON, Record, World};
use std::ffi::OsString;

/// A command on a terminal of 24 rows and 80 columns.
fn on_terminal(world: &World, words: &[&str]) -> Terminal {
    world.shield(words).with(["--quiet"]).on_terminal(&world.project)
}

/// An interactive bash of the outside, to start shieldrun from as a person does.
fn outer_shell(world: &World) -> Terminal {
    let mut words: Vec<OsString> = ["bash", "--norc", "--noprofile", "-i"].map(OsString::from).to_vec();
    let mut environment = world.environment.clone();
    environment.push(("PS1".into(), "outer> ".into()));
    environment.push(("SHIELD".into(), crate::harness::binary().into_os_string()));
    let mut terminal = Terminal::open(&std::mem::take(&mut words), &environment, &world.project);
    terminal.await_text("outer> ");
    terminal
}

#[test]
fn the_command_has_a_terminal_of_its_own() {
    let world = World::new();
    let script = "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo three; echo to-the-terminal > /dev/tty";
    let mut terminal = on_terminal(&world, &["bash", "-c", script]);
    terminal.await_text("/dev/pts/");
    terminal.await_text("three");
    terminal.await_text("to-the-terminal");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.text());
}

#[test]
fn exit_codes_and_signals_pass_on_a_terminal_too() {
    let world = World::new();
    assert_eq!(on_terminal(&world, &["bash", "-c", "exit 37"]).wait().code(), Some(37));
    assert_eq!(on_terminal(&world, &["bash", "-c", "kill -9 $$"]).wait().code(), Some(137));
}

#[test]
fn the_window_size_passes_and_follows() {
    let world = World::new();
    let script = "stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut terminal = on_terminal(&world, &["bash", "-c", script]);
    terminal.await_text("24 80");
    terminal.await_text("ready");
    terminal.resize(50, 132);
    terminal.await_text("50 132");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.text());
}

#[test]
fn ctrl_c_interrupts_the_command_and_not_the_run() {
    let world = World::new();
    let script = "
import signal, time
caught = []
signal.signal(signal.SIGINT, lambda *_: caught.append(1))
print('ready', flush=True)
while not caught: time.sleep(0.02)
print('interrupted')
print('went on')
";
    let mut terminal = on_terminal(&world, &[PYTHON, "-c", script]);
    terminal.await_text("ready");
    terminal.type_keys("\x03");
    terminal.await_text("interrupted");
    terminal.await_text("went on");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.text());
}

#[test]
fn ctrl_c_ends_a_command_that_does_not_catch_it() {
    let world = World::new();
    let mut terminal = on_terminal(&world, &["bash", "-c", "echo ready; exec sleep 60"]);
    terminal.await_text("ready");
    terminal.type_keys("\x03");
    let status = terminal.wait();
    assert_eq!(status.code(), Some(130), "{status} {}", terminal.text());
}

#[test]
fn ctrl_backslash_quits() {
    let world = World::new();
    // Not bash: it ignores this signal.
    let script = "import time; print('ready', flush=True); time.sleep(60)";
    let mut terminal = on_terminal(&world, &[PYTHON, "-c", script]);
    terminal.await_text("ready");
    terminal.type_keys("\x1c");
    assert_eq!(terminal.wait().code(), Some(131), "{}", terminal.text());
}

#[test]
fn ctrl_d_ends_the_input() {
    let world = World::new();
    let mut terminal = on_terminal(&world, &["bash", "-c", "echo ready; cat; echo input ended"]);
    terminal.await_text("ready");
    terminal.type_keys("a line\r");
    terminal.await_text("a line");
    terminal.type_keys("\x04");
    terminal.await_text("input ended");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.text());
}

#[test]
fn typed_text_is_echoed_once() {
    let world = World::new();
    let mut terminal = on_terminal(&world, &["bash", "-c", "echo ready; read line; echo end"]);
    terminal.await_text("ready");
    terminal.type_keys("xyzzy\r");
    terminal.await_text("end");
    terminal.wait();
    assert_eq!(terminal.text().matches("xyzzy").count(), 1, "{}", terminal.text());
}

#[test]
fn a_password_is_not_echoed() {
    let world = World::new();
    let mut terminal =
        on_terminal(&world, &["bash", "-c", "read -s -p 'password: ' p; echo; echo ${#p} letters"]);
    terminal.await_text("password: ");
    terminal.type_keys("hunter42\r");
    terminal.await_text("8 letters");
    terminal.wait();
    assert!(!terminal.text().contains("hunter42"), "{}", terminal.text());
}

#[test]
fn an_inner_shell_has_job_control() {
    let world = World::new();
    let shield =
        world.shield(["bash", "--norc", "--noprofile", "-i"]).with(["--quiet"]).set("PS1", "inner> ");
    let mut terminal = shield.on_terminal(&world.project);
    terminal.await_text("inner> ");
    terminal.type_keys("bash -c 'echo u\"\"p; exec sleep 50'\r");
    terminal.await_text("up\r\n");
    terminal.type_keys("\x1a");
    terminal.await_text("Stopped");
    terminal.await_text("inner> ");
    terminal.type_keys("jobs; kill %1; wait; echo job $((40+2)) gone\r");
    terminal.await_text("job 42 gone");
    // A shell that has not yet heard of the job's end refuses the first time.
    terminal.type_keys("exit 4\rexit 4\r");
    assert_eq!(terminal.wait().code(), Some(4), "{}", terminal.text());
    assert!(!terminal.text().contains("no job control"), "{}", terminal.text());
}

#[test]
fn ctrl_z_stops_the_run_and_fg_brings_it_back() {
    let world = World::new();
    let mut terminal = outer_shell(&world);
    terminal.type_keys("$SHIELD --quiet -- bash -c 'echo be\"\"gun; read x; echo was $x'\r");
    terminal.await_text("begun");
    terminal.type_keys("\x1a");
    terminal.await_text("Stopped");
    terminal.await_text("outer> ");
    terminal.type_keys("stty -a | grep -o -E -e '-?(icanon|echo|isig)\\b' | tr '\\n' ' '\r");
    terminal.await_text("isig icanon echo ");
    terminal.type_keys("fg\r");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.type_keys("back\r");
    terminal.await_text("was back");
    terminal.await_text("outer> ");
    terminal.type_keys("echo code $?\r");
    terminal.await_text("code 0");
    terminal.type_keys("exit\r");
    terminal.wait();
}

#[test]
fn the_terminal_is_as_it_was_after_the_run() {
    let world = World::new();
    let mut terminal = outer_shell(&world);
    // However it ends: killed by a signal, out of time, or not started.
    for (at, ending) in [
        "$SHIELD --quiet -- bash -c 'kill -9 $$'",
        "$SHIELD --quiet --timeout 1 -- sleep 60",
        "$SHIELD --quiet -- no-such-command",
    ]
    .iter()
    .enumerate()
    {
        terminal.type_keys(&format!(
            "stty -a > before; {ending}; stty -a > after; cmp before after && echo same$((100+{at}))\r"
        ));
        terminal.await_text(&format!("same{}", 100 + at));
        terminal.await_text("outer> ");
    }
    terminal.type_keys("exit\r");
    terminal.wait();
}

#[test]
fn what_stty_sets_inside_holds_outside_afterwards_as_without_us() {
    let world = World::new();
    let mut terminal = outer_shell(&world);
    terminal.type_keys("$SHIELD --quiet -- stty ixany; stty -a | grep -q -e -ixany || echo on$((40+2))\r");
    terminal.await_text("on42");
    terminal.type_keys("$SHIELD --quiet -- stty -ixany; stty -a | grep -q -e -ixany && echo off$((40+2))\r");
    terminal.await_text("off42");
    terminal.type_keys("exit\r");
    terminal.wait();
}

#[test]
fn a_run_in_the_background_does_not_take_the_terminal() {
    let world = World::new();
    let mut terminal = outer_shell(&world);
    terminal.type_keys(
        "$SHIELD --quiet -- bash -c 'echo from-\"\"behind; exit 6' < /dev/null & wait $!; echo code $?\r",
    );
    terminal.await_text("from-behind");
    terminal.await_text("code 6");
    terminal.await_text("outer> ");
    terminal.type_keys("exit\r");
    terminal.wait();
}

#[test]
fn a_pipe_beside_the_terminal_stays_a_pipe() {
    let world = World::new();
    let mut terminal = outer_shell(&world);
    terminal.type_keys("$SHIELD --quiet -- bash -c '[ -t 1 ] || echo out-is-a-\"\"pipe; [ -t 0 ] && echo in-is-a-\"\"terminal' | cat\r");
    terminal.await_text("out-is-a-pipe");
    terminal.await_text("in-is-a-terminal");
    terminal.await_text("outer> ");
    terminal.type_keys(
        "echo data | $SHIELD --quiet -- bash -c '[ -t 0 ] || cat; [ -t 1 ] && echo out-is-a-\"\"terminal'\r",
    );
    terminal.await_text("out-is-a-terminal");
    terminal.await_text("outer> ");
    terminal.type_keys("exit\r");
    terminal.wait();
}

#[test]
fn a_full_screen_program_draws_and_reads_keys() {
    let world = World::new();
    let script = "
import curses
def main(s):
    s.keypad(True)
    s.addstr(5, 10, 'drawn here %d %d' % s.getmaxyx())
    s.refresh()
    key = s.getch()
    s.addstr(6, 10, 'key %s' % curses.keyname(key).decode())
    s.refresh()
    while s.getch() != ord('q'): pass
curses.wrapper(main)
print('closed')
";
    let mut terminal = on_terminal(&world, &[PYTHON, "-c", script]);
    terminal.await_text("drawn here 24 80");
    terminal.type_keys("\x1bOA");
    terminal.await_text("KEY_UP");
    terminal.type_keys("q");
    terminal.await_text("closed");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.text());
}

#[test]
fn much_output_comes_through_a_terminal_whole() {
    let world = World::new();
    let mut terminal = on_terminal(&world, &["seq", "-f", "line %g", "20000"]);
    assert_eq!(terminal.wait().code(), Some(0));
    let text = terminal.text();
    assert_eq!(text.matches("line ").count(), 20_000);
    assert!(text.contains("line 20000\r\n"));
}

#[test]
fn the_terminal_of_the_host_cannot_be_typed_into() {
    let world = World::new();
    let probe = world.probe(&crate::harness::probe::ESCAPE);
    let mut terminal = outer_shell(&world);
    // The probe types a command for whoever reads the terminal next. That must not be the outer shell.
    terminal.type_keys(&format!(
        "$SHIELD --quiet -- {} type-ahead 'touch typed'; echo do\"\"ne\r",
        probe.display()
    ));
    terminal.await_text("done");
    terminal.await_text("outer> ");
    terminal.type_keys("\recho qui\"\"et\r");
    terminal.await_text("quiet");
    terminal.type_keys("exit\r");
    terminal.wait();
    assert!(!world.project.join("typed").exists(), "{}", terminal.text());
}

#[test]
fn a_hangup_ends_the_run() {
    let world = World::new();
    let marker = format!("86402.{}", std::process::id());
    let mut terminal =
        on_terminal(&world, &["bash", "-c", &format!("echo ready; sleep {marker}; sleep {marker}")]);
    terminal.await_text("ready");
    terminal.hang_up();
    assert!(
        crate::harness::host::soon(|| crate::harness::host::running_with(&marker).is_empty()),
        "still running after its terminal went away"
    );
}

#[test]
fn a_leak_on_a_terminal_is_stopped() {
    let world = World::new();
    let token = world.real("GITHUB_TOKEN").to_owned();
    let shield = world.shield(crate::leak::printing(&token, "plain")).with(["--quiet"]);
    let record = shield.record_directory().to_owned();
    let mut terminal = shield.on_terminal(&world.project);
    assert_eq!(terminal.wait().code(), Some(120), "{}", terminal.text().replace(&token, "«real»"));
    assert!(!terminal.text().contains(&token));
    assert_eq!(Record::read(&record).of("leak-stopped").len(), 1);
}
