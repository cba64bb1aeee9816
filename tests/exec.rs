//! What the kernel was asked for: executed programs, connections, denied calls, each a fact with a name; and
//! the commands that the policy blocks.

use crate::harness::host::inside;
use crate::harness::probe::{ESCAPE, RAW, STATIC};
use crate::harness::{PYTHON, Ran, World, put, skip, text};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn facts<'r>(ran: &'r Ran, action: &str) -> Vec<&'r Value> {
    ran.record.of(action).into_iter().filter(|event| text(event, "/event/provider") == "kernel").collect()
}

fn number(event: &Value, pointer: &str) -> Option<i64> {
    event.pointer(pointer).and_then(Value::as_i64)
}

fn args(event: &Value) -> Vec<&str> {
    let args = event.pointer("/process/args").and_then(Value::as_array);
    args.map(|args| args.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Who started a program whose path ends so.
#[track_caller]
fn started<'r>(ran: &'r Ran, program: &str) -> &'r Value {
    let found = facts(ran, "process-started");
    found
        .into_iter()
        .find(|event| text(event, "/process/executable").ends_with(program))
        .unwrap_or_else(|| panic!("nobody started {program}\n{ran}"))
}

const PATTERNS: &str = "blocked_patterns:\n- \"git push\"\n- \"re:rm +-[a-z]*r\"\n";

#[test]
fn every_program_is_on_record_with_its_words_place_and_parent() {
    let world = World::new();
    world.write("run.sh", "/bin/echo one 'two words' \"$(printf 'a\\xffb')\"; (cd src && /bin/echo); :");
    let ran = world.shield(["bash", "run.sh"]).run().expect_clean();
    let bash = started(&ran, "/bash");
    let echoes: Vec<_> = facts(&ran, "process-started")
        .into_iter()
        .filter(|event| text(event, "/process/executable").ends_with("/echo"))
        .collect();
    assert_eq!(echoes.len(), 2, "{ran}");
    assert_eq!(args(echoes[0]), ["/bin/echo", "one", "two words", "a\\xffb"], "{ran}");
    assert_eq!(text(echoes[0], "/process/working_directory"), world.project.to_string_lossy());
    assert_eq!(text(echoes[1], "/process/working_directory"), world.project.join("src").to_string_lossy());
    assert_eq!(number(echoes[0], "/process/parent/pid"), number(bash, "/process/pid"), "{ran}");
    assert_eq!(number(bash, "/shieldrun/pid_inside"), Some(2), "{ran}");
    // Each once: what the shim says of the same start is no other.
    assert_eq!(ran.record.of("process-started").len(), facts(&ran, "process-started").len(), "{ran}");
}

#[test]
fn a_program_that_is_not_there_is_not_started() {
    let world = World::new();
    let script = "import os\ntry: os.execvp('no-such-program', ['x'])\nexcept OSError as e: print(e.errno)";
    let ran = world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("2\n");
    assert_eq!(facts(&ran, "process-started").len(), 1, "{ran}");
}

#[test]
fn a_program_that_may_not_be_read_hides_nothing() {
    let world = World::new();
    // Not in the project: a file there that its owner could make readable and nobody looked into is blocked.
    let script = "cp /bin/dash /tmp/shy; chmod 0111 /tmp/shy; exec /tmp/shy -c '/bin/echo out; :'";
    let ran = world.bash(script).run();
    let ran = ran.expect_clean().expect_text("out\n");
    assert_eq!(args(started(&ran, "/echo")), ["/bin/echo", "out"], "{ran}");
}

#[test]
fn programs_out_of_the_shims_reach_are_named_with_the_reason() {
    let world = World::new();
    let (fixed, raw) = (world.probe(&STATIC), world.probe(&RAW));
    let words = format!(
        "{0} cat README.md; {0} cat README.md; {1} openat README.md; /bin/true",
        fixed.display(),
        raw.display()
    );
    world.write("run.sh", &words);
    let ran = world.shield(["bash", "run.sh"]).run().expect_clean();
    let unhooked = facts(&ran, "process-unhooked");
    let of = |program: &Path| -> Vec<&Value> {
        let path = program.to_string_lossy().into_owned();
        unhooked.iter().copied().filter(|event| text(event, "/process/executable") == path).collect()
    };
    for program in [&fixed, &raw] {
        assert!(!of(program).is_empty(), "{program:?}\n{ran}");
        assert!(text(of(program)[0], "/message").starts_with("static"), "{ran}");
    }
    assert!(
        unhooked.iter().all(|event| !text(event, "/process/executable").ends_with("/true")),
        "the twin is hooked\n{ran}"
    );
    assert!(unhooked.iter().all(|event| !text(event, "/process/executable").ends_with("/bash")), "{ran}");
}

#[test]
fn a_preload_that_is_lost_is_seen() {
    // A bare execve with an empty environment: the shim has no hook that it would go through.
    let world = World::new();
    let script = "import ctypes\n\
        libc = ctypes.CDLL(None)\n\
        words = (ctypes.c_char_p * 2)(b'/bin/true', None)\n\
        none = (ctypes.c_char_p * 1)(None)\n\
        libc.syscall(59, b'/bin/true', words, none)";
    if cfg!(not(target_arch = "x86_64")) {
        return skip("the number of execve is that of x86-64");
    }
    let ran = world.shield([PYTHON, "-c", script]).run().expect_clean();
    let unhooked = facts(&ran, "process-unhooked");
    assert_eq!(unhooked.len(), 1, "{ran}");
    assert!(text(unhooked[0], "/process/executable").ends_with("/true"), "{ran}");
    assert!(text(unhooked[0], "/message").contains("cleared"), "{ran}");
}

#[test]
fn a_script_is_named_with_its_interpreter() {
    let world = World::new();
    put(&world.project.join("tool"), b"#!/bin/sh\nexit 0\n", 0o755);
    let ran = world.shield(["./tool"]).run().expect_clean();
    let tool = started(&ran, "/tool");
    assert_eq!(text(tool, "/message"), "a script for /bin/sh");
    assert!(facts(&ran, "process-unhooked").is_empty(), "{ran}");
}

#[test]
fn ends_are_on_record_with_their_code_where_the_kernel_tells_it() {
    let world = World::new();
    world.write("run.sh", "/bin/sh -c 'exit 7'; /bin/sh -c 'kill -TERM $$'; :");
    let ran = world.shield(["bash", "run.sh"]).run().expect_clean();
    let exits = facts(&ran, "process-exited");
    assert_eq!(exits.len(), 3, "{ran}");
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut version = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    if (version.next(), version.next()) >= (Some(6), Some(15)) {
        let codes: Vec<_> = exits.iter().filter_map(|event| number(event, "/process/exit_code")).collect();
        assert!(codes.contains(&7) && codes.contains(&0), "{codes:?}\n{ran}");
        assert!(exits.iter().any(|event| number(event, "/shieldrun/signal") == Some(15)), "{ran}");
    }
}

#[test]
fn connections_are_facts_whoever_makes_them() {
    let world = World::new();
    let script = "import socket\n\
        for family, address in [(socket.AF_INET, ('127.0.0.1', 9)), (socket.AF_INET6, ('::1', 7)), (socket.AF_UNIX, '/tmp/no')]:\n\
        \x20   try: socket.socket(family).connect(address)\n\
        \x20   except OSError: pass";
    let ran = world.shield([PYTHON, "-c", script]).run().expect_clean();
    let seen: Vec<_> = facts(&ran, "connection-attempted")
        .into_iter()
        .map(|event| {
            (
                text(event, "/destination/ip"),
                number(event, "/destination/port"),
                text(event, "/destination/address"),
            )
        })
        .collect();
    assert!(seen.iter().any(|(ip, port, _)| (*ip, *port) == ("127.0.0.1", Some(9))), "{seen:?}");
    assert!(seen.iter().any(|(ip, port, _)| (*ip, *port) == ("::1", Some(7))), "{seen:?}");
    assert!(seen.iter().any(|(_, _, path)| *path == "/tmp/no"), "{seen:?}");
    assert_eq!(ran.record.of("connection-attempted").len(), seen.len(), "each once\n{ran}");
    for event in facts(&ran, "connection-attempted") {
        assert!(text(event, "/process/executable").contains("python"), "{ran}");
    }
}

#[test]
fn denied_calls_are_facts_with_their_name() {
    let world = World::new();
    let probe = world.probe(&ESCAPE);
    for (attempt, name) in [("unshare-user", "unshare"), ("keyctl", "keyctl"), ("io-uring", "io_uring_setup")]
    {
        let ran = world.shield([probe.as_os_str(), attempt.as_ref()]).run();
        ran.assert_nothing_real();
        let denied = facts(&ran, "syscall-denied");
        let found = denied.iter().find(|event| text(event, "/shieldrun/syscall") == name);
        let found = found.unwrap_or_else(|| panic!("{attempt}\n{ran}"));
        assert_eq!(text(found, "/process/executable"), probe.to_string_lossy(), "{ran}");
        let result =
            ran.record.result.pointer("/denied").and_then(Value::as_array).cloned().unwrap_or_default();
        assert!(result.iter().any(|denied| text(denied, "/what") == name), "{ran}");
    }
    let ran = world.shield(["true"]).run().expect_clean();
    assert!(facts(&ran, "syscall-denied").is_empty(), "the twin does nothing\n{ran}");
}

#[test]
fn netlink_tells_of_interfaces_and_no_more() {
    let world = World::new();
    let script = "import socket\n\
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(); print('route')\n\
        try: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9); print('audit')\n\
        except OSError as e: print(e.errno)";
    world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("route\n1\n");
}

#[test]
fn a_blocked_command_is_refused_said_and_recorded() {
    let world = World::new();
    world.write("sandbox-policy.yaml", PATTERNS);
    world.write(
        "agent.sh",
        "git push origin main; echo $?; rm  -fr nothing; echo $?; git status --short > /dev/null; echo $?",
    );
    let ran = world.shield(["bash", "agent.sh"]).run().expect_clean().expect_text("126\n126\n0\n");
    let blocked = facts(&ran, "command-blocked");
    assert_eq!(blocked.len(), 2, "{ran}");
    assert_eq!(args(blocked[0]), ["git", "push", "origin", "main"], "{ran}");
    assert_eq!(text(blocked[0], "/rule/name"), "blocked_patterns");
    assert!(text(blocked[0], "/message").contains("`git push`"), "{ran}");
    assert_eq!(text(blocked[0], "/event/outcome"), "failure");
    assert!(ran.said().contains("shieldrun: blocked: `git push origin main`"), "{ran}");
    let denied = ran.record.result.pointer("/denied").and_then(Value::as_array).cloned().unwrap_or_default();
    assert!(
        denied.iter().any(|denied| text(denied, "/action") == "command-blocked"
            && text(denied, "/what") == "git push origin main"
            && text(denied, "/rule") == "blocked_patterns"),
        "{ran}"
    );
}

#[test]
fn a_blocked_command_is_refused_to_static_programs_and_shells() {
    let world = World::new();
    world.write("sandbox-policy.yaml", PATTERNS);
    let script = "import os, subprocess\n\
        for words in [['sh', '-c', 'echo hi; git push'], ['/usr/bin/git', 'push'], ['env', 'git', 'push']]:\n\
        \x20   try: print(subprocess.run(words, capture_output=True).returncode)\n\
        \x20   except PermissionError: print('refused')\n\
        try: os.execve('/usr/bin/git', ['other', 'push'], {})\n\
        except PermissionError: print('refused')";
    world.write("agent.py", script);
    let ran = world.shield([PYTHON, "agent.py"]).run().expect_clean();
    assert_eq!(ran.text(), "refused\nrefused\nrefused\nrefused\n", "{ran}");
}

#[test]
fn the_command_itself_can_be_blocked() {
    let world = World::new();
    world.write("sandbox-policy.yaml", PATTERNS);
    let ran = world.shield(["git", "push"]).run().expect_code(126);
    assert!(ran.said().contains("blocked_patterns"), "{ran}");
}

#[test]
fn a_stopped_launcher_keeps_commands_waiting() {
    let world = World::new();
    world.write("sandbox-policy.yaml", PATTERNS);
    world.write(
        "agent.sh",
        "echo ready; read -r word; git push; /bin/echo after; cat .env > /dev/null; echo done",
    );
    let mut running = world.shield(["bash", "agent.sh"]).start();
    running.await_text("ready");
    running.signal(Signal::STOP);
    running.say(b"go\n");
    std::thread::sleep(Duration::from_secs(3));
    running.signal(Signal::CONT);
    let ran = running.wait().expect_code(0);
    assert!(ran.text().ends_with("after\ndone\n"), "{ran}");
    assert_eq!(facts(&ran, "command-blocked").len(), 1, "{ran}");
    started(&ran, "/cat");
}

#[test]
fn a_killed_launcher_takes_everybody_along() {
    let world = World::new();
    let mut running =
        world.bash("while :; do /bin/true; done & while :; do /bin/true; done & echo ready; wait").start();
    running.await_text("ready");
    let pids = inside(running.pid());
    assert!(!pids.is_empty());
    running.signal(Signal::KILL);
    let ran = running.wait();
    assert_eq!(ran.shell_code(), 137);
    let gone = crate::harness::host::soon(|| {
        pids.iter().all(|pid| inside(*pid).is_empty() && !Path::new(&format!("/proc/{pid}/exe")).exists())
    });
    assert!(gone, "{pids:?}");
}

#[test]
fn callers_that_are_killed_while_they_wait_hold_nobody_up() {
    let world = World::new();
    let script = "import os, signal, time\n\
        for n in range(300):\n\
        \x20   pid = os.fork()\n\
        \x20   if pid == 0:\n\
        \x20       try: os.execv('/bin/true', ['true'])\n\
        \x20       finally: os._exit(1)\n\
        \x20   time.sleep((n % 7) * 0.00003)\n\
        \x20   os.kill(pid, signal.SIGKILL)\n\
        \x20   os.waitpid(pid, 0)\n\
        print('done')";
    world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("done\n");
}

#[test]
fn many_programs_at_once_are_all_on_record() {
    let world = World::new();
    let script = "import subprocess, concurrent.futures as f\n\
        run = lambda n: subprocess.run(['/bin/true', str(n)]).returncode\n\
        with f.ThreadPoolExecutor(16) as pool: print(sum(pool.map(run, range(600))))";
    let ran = world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("0\n");
    let mut seen: Vec<_> = facts(&ran, "process-started")
        .into_iter()
        .filter_map(|event| args(event).get(1)?.parse::<u32>().ok())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..600).collect::<Vec<_>>());
    assert_eq!(facts(&ran, "process-exited").len(), 601);
}

#[test]
fn two_thousand_processes_live_side_by_side() {
    let world = World::new();
    let script = "import os, signal\n\
        children = []\n\
        for n in range(2000):\n\
        \x20   pid = os.posix_spawn('/bin/sleep', ['sleep', '600'], os.environ)\n\
        \x20   children.append(pid)\n\
        for pid in children: os.kill(pid, signal.SIGKILL)\n\
        for pid in children: os.waitpid(pid, 0)\n\
        print(len(children))";
    let begin = Instant::now();
    let ran = world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("2000\n");
    assert_eq!(facts(&ran, "process-started").len(), 2001, "after {:?}", begin.elapsed());
    assert_eq!(facts(&ran, "process-exited").len(), 2001);
}

#[test]
fn a_low_limit_of_descriptors_costs_ends_and_nothing_else() {
    let world = World::new();
    let script = "for n in $(seq 80); do /bin/sleep 600 & done; \
        until [ \"$(cat /proc/[0-9]*/comm 2> /dev/null | grep -c '^sleep$')\" = 80 ]; do :; done; /bin/echo up; kill $(jobs -p); wait; :";
    let ran = world.bash(script).started_by(["prlimit", "--nofile=300:300"]).run().expect_clean();
    assert_eq!(ran.text(), "up\n", "{ran}");
    let sleeps = |action: &str| {
        let is_sleep = |event: &&Value| text(event, "/process/executable").ends_with("/sleep");
        facts(&ran, action).into_iter().filter(is_sleep).count()
    };
    assert_eq!(sleeps("process-started"), 80, "{ran}");
    assert!(sleeps("process-exited") < 80, "the limit is not felt, so this is no test\n{ran}");
}

#[test]
fn a_listener_above_us_is_a_gap_and_refuses_patterns() {
    // A filter with a listener of its own, as some containers have: there can be no second one.
    let world = World::new();
    let script = "import ctypes, os, sys\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        class F(ctypes.Structure): _fields_ = [('c', ctypes.c_ushort), ('t', ctypes.c_ubyte), ('f', ctypes.c_ubyte), ('k', ctypes.c_uint)]\n\
        class P(ctypes.Structure): _fields_ = [('n', ctypes.c_ushort), ('p', ctypes.POINTER(F))]\n\
        allow = (F * 1)(F(6, 0, 0, 0x7fff0000))\n\
        libc.prctl(38, 1, 0, 0, 0)\n\
        fd = libc.syscall(317, 1, ctypes.c_ulong(8), ctypes.byref(P(1, allow)))\n\
        if fd < 0: sys.exit('no listener: %d' % ctypes.get_errno())\n\
        os.set_inheritable(fd, True)\n\
        os.execvp(sys.argv[1], sys.argv[1:])";
    if cfg!(not(target_arch = "x86_64")) {
        return skip("the number of seccomp is that of x86-64");
    }
    let ran = world.shield(["true"]).started_by([PYTHON, "-c", script]).run().expect_code(0);
    let run = fs::read(Path::new(text(&ran.record.result, "/record")).join("run.json")).expect("run.json");
    assert!(String::from_utf8_lossy(&run).contains("another seccomp listener"), "{ran}");
    assert!(ran.record.of("process-started").iter().all(|event| text(event, "/event/provider") == "shim"));
    world.write("sandbox-policy.yaml", PATTERNS);
    let ran = world.shield(["true"]).started_by([PYTHON, "-c", script]).run().expect_code(125);
    assert!(ran.said().contains("blocked_patterns"), "{ran}");
}

/// What an agent with a sandbox of its own does: namespaces, a mount in them, a look around.
const NESTED: &str = "unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /mnt && echo mounted; \
    umount .env; umount -l .env; mount --bind . /mnt && cat /mnt/.env; \
    mkdir -p /tmp/l && mount -t overlay overlay -o lowerdir=$PWD:/tmp/l /mnt && cat /mnt/.env; \
    cat .env' 2> /dev/null; :";

/// Where uid 0 is the only one that is mapped it cannot be mapped once more, says the kernel, without a
/// capability that nobody inside has: root's sandbox is one of nobody's.
const NESTED_BY_ROOT: &str =
    "unshare --user --mount sh -c 'echo mounted; umount .env; cat .env' 2> /dev/null; :";

fn nested() -> &'static str {
    if rustix::process::getuid().is_root() { NESTED_BY_ROOT } else { NESTED }
}

#[test]
fn a_sandbox_inside_is_denied_without_the_policys_word() {
    let world = World::new();
    let ran = world.bash(nested()).run().expect_clean().expect_text("");
    assert!(!facts(&ran, "syscall-denied").is_empty(), "{ran}");
    world.write("sandbox-policy.yaml", "isolation: {nested: true}\n");
    let ran = world.bash("true").run().expect_code(125);
    assert!(ran.said().contains("loosens"), "a project cannot say so\n{ran}");
}

#[test]
fn a_sandbox_inside_works_with_the_policys_word_and_lifts_no_mask() {
    let world = World::new();
    put(&world.home.join(".config/shieldrun/sandbox-policy.yaml"), b"isolation: {nested: true}\n", 0o644);
    let ran = world.bash(nested()).run().expect_clean();
    assert!(ran.text().starts_with("mounted\n"), "{ran}");
    assert!(ran.text().contains("DATABASE_PASSWORD="), "the synthetic file is there all the same\n{ran}");
    assert!(facts(&ran, "syscall-denied").is_empty(), "{ran}");
    let probe = world.probe(&ESCAPE);
    let ran = world.shield([probe.as_os_str(), "keyctl".as_ref()]).run();
    assert!(!facts(&ran, "syscall-denied").is_empty(), "the rest stays shut\n{ran}");
}

#[test]
fn bubblewrap_runs_inside_with_the_policys_word() {
    if !Path::new("/usr/bin/bwrap").exists() {
        return skip("no bubblewrap here");
    }
    let world = World::new();
    let script = "bwrap --bind / / --dev /dev --unshare-net sh -c 'echo in; cat .env > /dev/null' && echo ok";
    let ran = world.bash(&format!("{{ {script}; }} 2> /dev/null; :")).run().expect_clean().expect_text("");
    assert!(!facts(&ran, "syscall-denied").is_empty(), "{ran}");
    if rustix::process::getuid().is_root() {
        // As root it asks for capabilities instead of a user namespace.
        return;
    }
    put(&world.home.join(".config/shieldrun/sandbox-policy.yaml"), b"isolation: {nested: true}\n", 0o644);
    let ran = world.bash(script).run().expect_clean().expect_text("in\nok\n");
    started(&ran, "/bwrap");
}
