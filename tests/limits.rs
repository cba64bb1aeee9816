//! Limits: what goes too far ends the run, and not the machine; each beside a twin that stays within.

use crate::harness::host::{difference, listing, running_with, soon};
use crate::harness::record::text;
use crate::harness::{PYTHON, Ran, World, binary};
use std::process::Command;
use std::time::Duration;

/// Runs a script with these limits of `--config`.
fn limited(world: &World, limits: &str, words: &[&str]) -> Ran {
    let config = format!("{{\"limits\": {limits}}}");
    world
        .shield(words)
        .with(["--writes", "overlay", "--review", "always", "--config", &config])
        .at_most(Duration::from_secs(60))
        .run()
}

#[track_caller]
fn ended_by(ran: &Ran, key: &str) {
    assert_eq!(ran.code(), Some(124), "{ran}");
    assert_eq!(text(&ran.record.result, "/exit/shieldrun"), "limit", "{ran}");
    assert!(ran.said().contains(&format!("stopped: `{key}`")), "{ran}");
    let events = String::from_utf8_lossy(&ran.record.event_bytes).into_owned();
    assert!(events.contains("limit-reached") && events.contains(key), "{ran}");
    ran.assert_nothing_real();
}

#[test]
fn a_fork_bomb_ends_the_run() {
    let world = World::new();
    // Bounded, should everything else fail: 3000 processes that go after half a minute.
    let bomb = "import os, time\n\
        for n in range(3000):\n\
        \x20   try: pid = os.fork()\n\
        \x20   except OSError: time.sleep(0.01); continue\n\
        \x20   if pid == 0:\n\
        \x20       time.sleep(30); os._exit(0)\n\
        time.sleep(30)  # a_fork_bomb";
    let ran = limited(&world, "{\"processes\": 100}", &[PYTHON, "-c", bomb]);
    ended_by(&ran, "limits.processes");
    assert!(soon(|| running_with("a_fork_bomb").is_empty()), "something of it is left\n{ran}");
    let few = "import os, time\n\
        for n in range(50):\n\
        \x20   if os.fork() == 0: time.sleep(1); os._exit(0)\n\
        for n in range(50): os.wait()\n\
        print('done')";
    limited(&world, "{\"processes\": 100}", &[PYTHON, "-c", few]).expect_clean().expect_text("done\n");
    // And without a limit of one's own.
    world.shield([PYTHON, "-c", few]).run().expect_clean().expect_text("done\n");
}

#[test]
fn a_flood_of_threads_ends_the_run() {
    let world = World::new();
    let flood = |count: u32| {
        format!(
            "import threading, time\n\
             started = []\n\
             for n in range({count}):\n\
             \x20   t = threading.Thread(target=time.sleep, args=(2,), daemon=True)\n\
             \x20   try: t.start()\n\
             \x20   except RuntimeError: break\n\
             \x20   started.append(t)\n\
             time.sleep(2); print('done')"
        )
    };
    let ran = limited(&world, "{\"processes\": 100}", &[PYTHON, "-c", &flood(1000)]);
    ended_by(&ran, "limits.processes");
    limited(&world, "{\"processes\": 100}", &[PYTHON, "-c", &flood(20)]).expect_clean().expect_text("done\n");
}

#[test]
fn too_much_memory_ends_the_run() {
    let world = World::new();
    let take = |size: &str| {
        format!(
            "import time; m = bytearray({size}); m[::4096] = b'x' * len(m[::4096]); time.sleep(2); print('done')"
        )
    };
    let ran = limited(&world, "{\"memory\": \"200MiB\"}", &[PYTHON, "-c", &take("400 << 20")]);
    ended_by(&ran, "limits.memory");
    limited(&world, "{\"memory\": \"200MiB\"}", &[PYTHON, "-c", &take("50 << 20")])
        .expect_clean()
        .expect_text("done\n");
    let ran = limited(
        &world,
        "{\"memory\": \"100MiB\"}",
        &["bash", "-c", "head -c 300M /dev/zero > /dev/shm/file; sleep 5; echo done"],
    );
    ended_by(&ran, "limits.memory");
}

#[test]
fn memory_that_processes_share_counts_once() {
    let world = World::new();
    let script = "import os, time\n\
        m = bytearray(100 << 20); m[::4096] = b'x' * len(m[::4096])\n\
        for n in range(6):\n\
        \x20   if os.fork() == 0: time.sleep(1.5); os._exit(0)\n\
        for n in range(6): os.wait()\n\
        print('done')";
    limited(&world, "{\"memory\": \"300MiB\"}", &[PYTHON, "-c", script]).expect_clean().expect_text("done\n");
}

#[test]
fn a_disk_filler_ends_the_run() {
    let world = World::new();
    let before = listing(&world.project);
    let fill = |at: &str, count: u32| {
        format!(
            "for n in $(seq {count}); do head -c 8M /dev/zero > {at}$n || exit; sleep 0.1; done; echo done"
        )
    };
    for at in ["big", "~/big"] {
        let ran = limited(&world, "{\"disk\": \"40MiB\"}", &["bash", "-c", &fill(at, 100)]);
        ended_by(&ran, "limits.disk");
    }
    limited(&world, "{\"disk\": \"40MiB\"}", &["bash", "-c", &fill("big", 2)])
        .expect_clean()
        .expect_text("done\n");
    assert!(difference(&before, &listing(&world.project)).is_empty());
}

#[test]
fn a_file_does_not_grow_beyond_its_limit() {
    let world = World::new();
    let script = "head -c 3M /dev/zero > big || echo refused; stat -c %s big; head -c 1M /dev/zero > small && stat -c %s small";
    let ran = limited(
        &world,
        "{\"file_size\": \"2MiB\"}",
        &["bash", "-c", &format!("exec 2>/dev/null; trap '' XFSZ; {script}")],
    );
    ran.expect_clean().expect_text("refused\n2097152\n1048576\n");
    let ran = limited(&world, "{\"file_size\": \"2MiB\"}", &["head", "-c", "3M", "/dev/zero"]);
    ran.expect_clean();
    world
        .bash(script)
        .with(["--writes", "overlay", "--review", "always"])
        .run()
        .expect_clean()
        .expect_text("3145728\n1048576\n");
}

#[test]
fn a_process_gets_no_more_processor_time_than_its_limit() {
    let world = World::new();
    let ran = limited(&world, "{\"cpu_seconds\": 1}", &[PYTHON, "-c", "while True: pass"]);
    assert_eq!(ran.code(), Some(128 + 24), "SIGXCPU\n{ran}");
    let events = String::from_utf8_lossy(&ran.record.event_bytes).into_owned();
    assert!(events.contains("limits.cpu_seconds"), "{ran}");
    limited(&world, "{\"cpu_seconds\": 1}", &["sleep", "1.5"]).expect_clean();
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    let world = World::new();
    let config = ["--isolation", "preload", "--config", r#"{"limits": {"processes": 100}}"#];
    let ran = world.bash("echo ran").with(config).run().expect_code(125);
    assert!(ran.said().contains("limits") && ran.text().is_empty(), "{ran}");
}

/// Where the host gives a control group the kernel keeps the limits, and where it gives none the watch does.
#[test]
fn a_group_holds_the_run_where_the_host_gives_one() {
    let world = World::new();
    let findings = Command::new(binary())
        .args(["doctor", "--json"])
        .env("HOME", &world.home)
        .env("XDG_STATE_HOME", world.root().join("state"))
        .current_dir(&world.project)
        .output()
        .expect("start the doctor");
    let findings = String::from_utf8_lossy(&findings.stdout).into_owned();
    let given = findings.contains("a group beside our own");
    assert!(
        given || findings.contains("version 1 only") || findings.contains("without memory and pids"),
        "{findings}"
    );
    let own = "import re\n\
        own = [line for line in open('/proc/self/cgroup') if line.startswith('0::')]\n\
        print(bool(own) and '/shieldrun-' in own[0])";
    let expected = if given { "True\n" } else { "False\n" };
    limited(&world, "{\"processes\": 100, \"memory\": \"512MiB\"}", &[PYTHON, "-c", own])
        .expect_clean()
        .expect_text(expected);
    // Nobody set a limit: none is made.
    world.shield([PYTHON, "-c", own]).run().expect_clean().expect_text("False\n");
}
