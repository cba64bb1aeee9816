//! An attempt on a masked path is a fact with a name, whoever makes it and however.
//!
//! Where this user gets no `/dev/fuse` the same tests check the other half of the promise: what is masked
//! is masked all the same, and the record says that attempts carry no name.

use crate::harness::host::inside;
use crate::harness::probe::{Probe, RAW, STATIC};
use crate::harness::{PYTHON, Ran, Record, World, put, text};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Whether this user gets masks that tell.
fn tells() -> bool {
    fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok()
}

fn facts<'r>(record: &'r Record, action: &str) -> Vec<&'r Value> {
    record.of(action).into_iter().filter(|event| text(event, "/event/provider") == "tripwire").collect()
}

/// The one fact of this action on this path.
#[track_caller]
fn fact<'r>(ran: &'r Ran, action: &str, path: &Path) -> Option<&'r Value> {
    let found: Vec<_> = facts(&ran.record, action)
        .into_iter()
        .filter(|event| text(event, "/file/path") == path.to_string_lossy())
        .collect();
    if tells() {
        assert!(!found.is_empty(), "no {action} of {path:?}\n{ran}");
    } else {
        assert!(found.is_empty(), "a fact without a source\n{ran}");
    }
    found.first().copied()
}

/// What only a program that the shim does not reach can show.
const HOWS: [&str; 6] = ["openat", "openat2", "mmap", "sendfile", "reopen", "pread"];

#[test]
fn bare_system_calls_on_a_blocked_file_are_denied_and_named() {
    let world = World::new();
    let (probe, key) = (world.probe(&RAW), world.home.join(".ssh/id_rsa"));
    for how in HOWS {
        let ran = world.shield([probe.as_os_str(), how.as_ref(), key.as_os_str()]).run().expect_clean();
        assert_eq!(ran.text(), "BLOCKED 13\n", "{how}\n{ran}");
        if let Some(event) = fact(&ran, "secret-file-denied", &key) {
            assert_eq!(text(event, "/process/executable"), probe.to_string_lossy(), "{how}");
            assert_eq!(event.pointer("/process/args/1").and_then(Value::as_str), Some(how));
            assert_eq!(text(event, "/shieldrun/trust"), "fact");
            assert_eq!(text(event, "/event/outcome"), "failure");
            assert_eq!(text(event, "/rule/name"), "secrets.files.~/.ssh");
        }
    }
}

#[test]
fn bare_system_calls_on_a_synthetic_file_are_named() {
    let world = World::new();
    let (probe, env) = (world.probe(&RAW), world.project.join(".env"));
    let native = world.native([probe.as_os_str(), "openat".as_ref(), env.as_os_str()]);
    assert!(!world.seen_in(&native).is_empty(), "natively it is read, else it is no test");
    for how in HOWS {
        let ran = world.shield([probe.as_os_str(), how.as_ref(), env.as_os_str()]).run().expect_clean();
        assert_eq!(ran.stdout.len(), native.len(), "{how}\n{ran}");
        if let Some(event) = fact(&ran, "secret-file-read", &env) {
            assert_eq!(text(event, "/process/executable"), probe.to_string_lossy(), "{how}");
            assert_eq!(text(event, "/shieldrun/action"), "synthetic");
        }
    }
}

#[test]
fn other_names_of_a_masked_file_lead_to_the_same_fact() {
    let world = World::new();
    let probe = world.probe(&STATIC);
    let (env, link) = (world.project.join(".env"), world.project.join("settings.txt"));
    fs::hard_link(&env, &link).expect("a second name");
    let through_root = Path::new("/proc/self/root").join(env.strip_prefix("/").expect("absolute"));
    for (asked, masked) in [(&through_root, &env), (&link, &link)] {
        let ran = world.shield([probe.as_os_str(), "cat".as_ref(), asked.as_os_str()]).run().expect_clean();
        if let Some(event) = fact(&ran, "secret-file-read", masked) {
            assert_eq!(text(event, "/process/executable"), probe.to_string_lossy());
        }
    }
}

#[test]
fn a_copied_interpreter_is_named_by_its_copy() {
    let world = World::new();
    let copy = world.home.join("bin/innocent");
    let python = fs::canonicalize(PYTHON).expect("python");
    put(&copy, &fs::read(python).expect("read python"), 0o755);
    let script = "import sys\ntry: print(len(open(sys.argv[1]).read()))\nexcept OSError as e: print(e.errno)";
    let key = world.home.join(".ssh/id_ed25519");
    let words = [copy.as_os_str(), "-c".as_ref(), script.as_ref(), key.as_os_str()];
    let ran = world.shield(words).run().expect_clean();
    assert_eq!(ran.text(), "13\n", "{ran}");
    if let Some(event) = fact(&ran, "secret-file-denied", &key) {
        assert_eq!(text(event, "/process/executable"), copy.to_string_lossy());
    }
}

#[test]
fn a_listing_and_its_parents_are_named() {
    let world = World::new();
    let ssh = world.home.join(".ssh");
    let ran =
        world.bash("env -i /bin/sh -c '/bin/ls -A ~/.ssh 2> /dev/null; :' HOME=$HOME; ls -A ~/.ssh; :").run();
    let ran = ran.expect_clean().expect_text("");
    if let Some(event) = fact(&ran, "secret-dir-listed", &ssh) {
        assert_eq!(text(event, "/process/args/0"), "ls");
        assert!(text(event, "/process/parent/executable").ends_with("bash"), "{ran}");
        assert_eq!(text(event, "/process/working_directory"), world.project.to_string_lossy());
    }
}

#[test]
fn the_pid_of_a_fact_is_the_hosts() {
    let world = World::new();
    let probe = world.probe(&RAW);
    let script = format!("echo ready; read -r word; exec {} openat .env", probe.display());
    let mut running = world.bash(&script).start();
    running.await_text("ready");
    let innermost = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        line.split_whitespace().next_back().and_then(|pid| pid.parse::<u64>().ok())
    };
    let bash = inside(running.pid()).into_iter().find(|pid| innermost(*pid) != Some(1)).expect("bash inside");
    let own = innermost(bash);
    running.say(b"go\n");
    let ran = running.wait().expect_clean();
    if let Some(event) = fact(&ran, "secret-file-read", &world.project.join(".env")) {
        assert_eq!(event.pointer("/process/pid").and_then(Value::as_u64), Some(bash.into()), "{ran}");
        assert_eq!(event.pointer("/shieldrun/pid_inside").and_then(Value::as_u64), own, "{ran}");
    }
}

#[test]
fn a_thread_is_named_by_its_process() {
    let world = World::new();
    let script = "import threading\n\
        t = threading.Thread(target=lambda: open('.env').read())\n\
        t.start(); t.join()";
    let ran = world.shield([PYTHON, "-c", script]).run().expect_clean();
    if let Some(event) = fact(&ran, "secret-file-read", &world.project.join(".env")) {
        assert!(text(event, "/process/executable").contains("python"), "{ran}");
        assert_eq!(event.pointer("/shieldrun/pid_inside").and_then(Value::as_u64), Some(2), "{ran}");
    }
}

#[test]
fn a_touch_is_counted_once_in_the_result() {
    let world = World::new();
    let ran = world.bash("cat .env > /dev/null; cat .env > /dev/null").run().expect_clean();
    let counts: Vec<u64> = ran
        .record
        .result
        .pointer("/secrets/touched")
        .and_then(Value::as_array)
        .map(|touched| {
            touched
                .iter()
                .filter(|touch| text(touch, "/name").ends_with(".env"))
                .filter_map(|touch| touch.pointer("/count").and_then(Value::as_u64))
                .collect()
        })
        .unwrap_or_default();
    assert_eq!(counts, [2], "{ran}");
}

#[test]
fn stat_shows_what_it_showed_and_is_no_attempt() {
    let world = World::new();
    let script = "stat -c '%n %F %a %s %u %g' .env ~/.ssh; stat -c %Y .env";
    let ran = world.bash(script).run().expect_clean();
    let native = String::from_utf8(world.native(["bash", "-c", script])).expect("text");
    let (inside, native): (Vec<_>, Vec<_>) =
        (ran.text().lines().map(str::to_owned).collect(), native.lines().collect());
    assert_eq!(inside.first().map(String::as_str), native.first().copied(), "{ran}");
    assert_eq!(inside.get(2).map(String::as_str), native.get(2).copied(), "{ran}");
    assert!(inside.get(1).is_some_and(|line| line.contains("directory 0 ")), "{ran}");
    assert!(facts(&ran.record, "secret-file-read").is_empty(), "{ran}");
    assert!(facts(&ran.record, "secret-dir-listed").is_empty(), "{ran}");
}

#[test]
fn an_exec_beneath_a_mask_is_one_attempt_of_its_process() {
    let world = World::new();
    let (key, script) = (
        world.home.join(".ssh/id_rsa"),
        "import os, sys\n\
        try: os.execv(sys.argv[1], ['x'])\n\
        except OSError as e: print(e.errno)",
    );
    let words = [PYTHON.as_ref(), "-c".as_ref(), script.as_ref(), key.as_os_str()];
    let ran = world.shield(words).run().expect_clean().expect_text("13\n");
    if let Some(event) = fact(&ran, "secret-file-denied", &key) {
        assert!(text(event, "/process/executable").contains("python"), "{ran}");
        assert_eq!(facts(&ran.record, "secret-file-denied").len(), 1, "{ran}");
    }
}

#[test]
fn ten_thousand_reads_are_one_kind_and_counted() {
    let world = World::new();
    let script = "for _ in range(10_000): open('.env').close()";
    let ran = world.shield([PYTHON, "-c", script]).run().expect_clean();
    let events = facts(&ran.record, "secret-file-read");
    if tells() {
        let count: u64 = events.iter().map(|event| Record::count(event)).sum();
        let lines: Vec<_> = events.iter().map(|event| event.to_string()).collect();
        assert_eq!(count, 10_000, "{lines:#?}");
        assert!(events.len() < 100, "{} lines", events.len());
    }
}

#[test]
fn an_attempt_that_the_shim_saw_too_is_one_attempt() {
    let world = World::new();
    let ran = world.bash("cat ~/.ssh/id_rsa 2> /dev/null; :").run().expect_clean();
    if let Some(event) = fact(&ran, "secret-file-denied", &world.home.join(".ssh/id_rsa")) {
        assert_eq!(Record::count(event), 1, "{ran}");
        assert_eq!(facts(&ran.record, "secret-file-denied").len(), 1, "{ran}");
    }
}

#[test]
fn a_mapping_of_a_mask_as_command_line_hangs_nobody() {
    // What looks at a process reads its command line, which the process can lay into a page of the mount.
    let world = World::new();
    let script = "import ctypes, mmap, os\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        fd = os.open('.env', os.O_RDONLY)\n\
        area = libc.mmap; area.restype = ctypes.c_void_p\n\
        area.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]\n\
        at = area(None, 4096, 1, 2, fd, 0)\n\
        stat = open('/proc/self/stat').read().rsplit(')', 1)[1].split()\n\
        code = [int(stat[i]) for i in (23, 24, 25)]\n\
        libc.sbrk.restype = ctypes.c_void_p; brk = libc.sbrk(0)\n\
        maps = (ctypes.c_uint64 * 13)(code[0], code[1], int(stat[42]), int(stat[43]), int(stat[44]), brk, code[2], at, at + 64, at, at + 64, 0, 0xffffffff << 32)\n\
        laid = libc.prctl(35, 14, ctypes.byref(maps), ctypes.c_ulong(104), 0)\n\
        open('.env').read()\n\
        print('done', laid, ctypes.get_errno())";
    let begin = Instant::now();
    let ran = world.shield([PYTHON, "-c", script]).at_most(Duration::from_secs(20)).run();
    assert!(ran.text().starts_with("done 0"), "after {:?}\n{ran}", begin.elapsed());
}

#[test]
fn a_stopped_launcher_keeps_the_opener_waiting_and_shows_nothing() {
    let world = World::new();
    let script = "echo ready; read -r word; cat .env; cat ~/.ssh/id_rsa; echo done";
    let mut running = world.bash(script).start();
    running.await_text("ready");
    running.say(b"go\n");
    running.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(2));
    running.signal(Signal::CONT);
    let ran = running.wait();
    assert!(ran.text().ends_with("done\n"), "{ran}");
    ran.assert_nothing_real();
    fact(&ran, "secret-file-read", &world.project.join(".env"));
}

#[test]
fn without_the_device_the_masks_hold_and_the_record_says_what_is_missing() {
    let world = World::new();
    let probe = world.probe(&STATIC);
    let shield =
        world.shield([probe.as_os_str(), "cat".as_ref(), world.home.join(".ssh/id_rsa").as_os_str()]);
    let hidden = "mount --bind /dev/null /dev/fuse && exec \"$@\"";
    let shield = if rustix::process::getuid().is_root() {
        shield.started_by(["unshare", "--mount", "sh", "-c", hidden, "sh"])
    } else if tells() {
        shield.started_by(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", hidden, "sh"])
    } else {
        shield
    };
    let ran = shield.run().expect_clean();
    assert_eq!(ran.text(), "BLOCKED EACCES\n", "{ran}");
    assert!(ran.record.events.iter().all(|event| text(event, "/event/provider") != "tripwire"), "{ran}");
    assert!(gaps(&ran).iter().any(|gap| gap.contains("/dev/fuse")), "{ran}");
    let whole = world.shield(["true"]).run().expect_clean();
    assert_eq!(gaps(&whole).is_empty(), tells(), "the twin has none\n{whole}");
}

fn gaps(ran: &Ran) -> Vec<String> {
    let record = Path::new(text(&ran.record.result, "/record")).join("run.json");
    let run: Value = serde_json::from_slice(&fs::read(record).expect("run.json")).expect("JSON");
    let gaps = run.pointer("/gaps").and_then(Value::as_array).cloned().unwrap_or_default();
    gaps.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The probe is what it says: else a shim that reached it would explain every event above.
#[test]
fn the_probes_are_out_of_the_shims_reach() {
    let world = World::new();
    let out_of_reach = |probe: &Probe| {
        let program = world.probe(probe);
        let how = if probe.has_libc() { "cat" } else { "openat" };
        let ran = world.shield([program.as_os_str(), how.as_ref(), ".env".as_ref()]).run().expect_clean();
        assert!(ran.record.events.iter().all(|event| text(event, "/event/provider") != "shim"), "{ran}");
    };
    out_of_reach(&RAW);
    out_of_reach(&STATIC);
}
