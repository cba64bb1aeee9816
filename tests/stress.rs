//! What is too much, too full or too slow for a launcher: no leak, no hang, nothing left behind, and the record
//! says what happened.
//!
//! The counts are small enough for every run of the suite. `SHIELDRUN_STRESS=full` makes them what the promise
//! says: a thousand runs one after another, a launcher that is stopped for ten seconds.

use crate::harness::host::{difference, inside, listing, mounts, running_with, soon};
use crate::harness::record::{Record, text};
use crate::harness::{PYTHON, Ran, World};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn is_full() -> bool {
    std::env::var_os("SHIELDRUN_STRESS").is_some_and(|value| value == "full")
}

/// A private value, and what a mask gives in its place, must come from every one of them.
const READS: &str = "cat .env > /dev/null && printenv MY_SERVICE_TOKEN > /dev/null";

#[test]
fn a_launcher_that_is_stopped_holds_its_guest_and_goes_on_with_it() {
    let world = World::new();
    let stopped = Duration::from_secs(if is_full() { 10 } else { 3 });
    let script = format!(
        "echo ready; sleep 0.5; n=0; while [ $n -lt 50 ]; do {READS}; n=$((n+1)); done; cat .env; echo done"
    );
    let mut running = world.bash(&script).at_most(Duration::from_secs(90)).start();
    running.await_text("ready");
    running.signal(Signal::STOP);
    std::thread::sleep(stopped);
    let held = inside(running.pid());
    running.signal(Signal::CONT);
    let ran = running.wait().expect_clean();
    assert!(!held.is_empty(), "the guest did not outlast the stop\n{ran}");
    assert!(ran.text().ends_with("done\n"), "{ran}");
    // Each of the fifty was asked about, whether it waited for that or not.
    let started = ran.record.of("process-started");
    let reads = |event: &&&serde_json::Value| text(event, "/process/executable").ends_with("/printenv");
    assert_eq!(started.iter().filter(reads).count(), 50, "{ran}");
    assert!(ran.record.faults().is_empty(), "{:?}", ran.record.faults());
}

/// Children of one process, each of which says through the shim who it is and that it read a secret. They ask the
/// launcher for nothing, so they go on while it is stopped.
const READERS: &str = "import ctypes, os, signal, sys\n\
    count, libc, ends = int(sys.argv[1]), ctypes.CDLL(None), []\n\
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n\
    print('ready', flush=True)\n\
    signal.sigwait([signal.SIGUSR1])\n\
    for n in range(count):\n\
    \x20   pid = os.fork()\n\
    \x20   if pid == 0:\n\
    \x20       libc.getenv(b'MY_SERVICE_TOKEN')\n\
    \x20       os._exit(0)\n\
    \x20   ends.append(os.waitpid(pid, 0))\n\
    print(len(ends), sum(end for _, end in ends), *(pid for pid, _ in ends), flush=True)";

/// Runs so many of them, beside a launcher that is stopped. Gives the numbers inside of those that read, as they say.
fn readers(world: &World, count: usize) -> (Ran, Vec<u64>) {
    let words = [PYTHON, "-c", READERS, &count.to_string()];
    let mut running = world.shield(words).at_most(Duration::from_secs(120)).start();
    running.await_text("ready");
    // The first process inside has the same words, and is none of python's.
    let is_python = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("python"))
    };
    let reader = inside(running.pid()).into_iter().find(is_python);
    let reader = reader.and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("the one that prints");
    running.signal(Signal::STOP);
    kill_process(reader, Signal::USR1).expect("signal the reader");
    let is_over = || !inside(running.pid()).iter().any(is_python);
    let done = (0..6).any(|_| soon(is_over));
    running.signal(Signal::CONT);
    let ran = running.wait().expect_clean();
    assert!(done, "they waited for the launcher\n{ran}");
    let printed = ran.text();
    let numbers: Vec<u64> =
        printed.split_whitespace().skip(1).map(|word| word.parse().expect("a number")).collect();
    assert_eq!((numbers[0] as usize, numbers[1]), (count, 0), "{ran}");
    (ran, numbers[2..].to_vec())
}

/// What the record has of them: whose reads, how many events the shim's are, and how many it says are missing.
fn told(ran: &Ran) -> (BTreeSet<u64>, u64, u64) {
    let number = |event: &Value, pointer| event.pointer(pointer).and_then(Value::as_u64);
    let reads = ran.record.reads_of("MY_SERVICE_TOKEN");
    // One that is over before it is heard of has its number inside and no other.
    let pid = |event: &&Value| number(event, "/shieldrun/pid_inside").or(number(event, "/process/pid"));
    let who = reads.iter().filter_map(pid).collect();
    let from_shim = ran.record.events.iter().filter(|event| text(event, "/event/provider") == "shim");
    let missing = ran.record.of("events-dropped");
    let missing = missing.iter().filter_map(|event| number(event, "/shieldrun/dropped/events"));
    (who, from_shim.map(Record::count).sum(), missing.sum())
}

#[test]
fn a_full_ring_holds_nobody_up_and_what_it_did_not_take_is_counted() {
    const RING: usize = 512;
    let world = World::new();
    let (ran, readers_of_all) = readers(&world, 3 * RING);
    let (who, from_shim, missing) = told(&ran);
    // Each had two things to say; the ring took the first ones, and nobody knows of the rest but their number.
    assert!(missing >= 4 * RING as u64, "{missing} are missing");
    assert!(from_shim + missing >= 6 * RING as u64, "{from_shim} + {missing}");
    let first = &readers_of_all[..RING / 2 - 20];
    assert!(first.iter().all(|pid| who.contains(pid)), "{first:?} of {who:?}");
    assert!(ran.said().contains("reports of the shim were lost"), "{}", ran.said());
    assert!(ran.record.faults().is_empty(), "{:?}", ran.record.faults());
    let unhooked = ran.record.of("process-unhooked");
    assert!(unhooked.is_empty(), "{unhooked:?}");
    // The twin: what goes into the ring is all on record.
    let (ran, readers_of_all) = readers(&world, RING / 4);
    let (who, _, missing) = told(&ran);
    assert_eq!(missing, 0);
    assert!(readers_of_all.iter().all(|pid| who.contains(pid)), "{readers_of_all:?} of {who:?}");
    assert!(ran.said().is_empty(), "{}", ran.said());
}

/// Runs a script with a state directory of so much room.
fn with_room(world: &World, room: &str, script: &str) -> Ran {
    let mount = format!("mount -t tmpfs -o size={room},mode=700 none \"$XDG_STATE_HOME\" && exec \"$@\"");
    world
        .bash(script)
        .started_by(["unshare", "-Urm", "sh", "-c", &mount, "sh"])
        .at_most(Duration::from_secs(60))
        .run()
}

#[test]
fn a_full_disk_under_the_run_is_no_hang_and_no_leak() {
    let world = World::new();
    let before = listing(&world.project);
    let script = format!(
        "head -c 24M /dev/zero > big 2>/dev/null && echo written || echo full; {READS} && echo read; cat .env"
    );
    // A disk with room first: the same script, and everything goes.
    let ran = with_room(&world, "96m", &script);
    assert!(ran.text().starts_with("written\nread\n"), "{ran}");
    ran.assert_nothing_real();
    fs::remove_file(world.project.join("big")).expect("the change was taken over");
    let ran = with_room(&world, "8m", &script);
    assert!(ran.text().starts_with("full\nread\n"), "{ran}");
    ran.assert_nothing_real();
    // What did not fit whole is not taken over as if it had.
    let kept = world.project.join("big");
    assert!(!kept.exists() || ran.code() == Some(0), "{ran}");
    drop(fs::remove_file(kept));
    let after = listing(&world.project);
    let changed: Vec<_> =
        difference(&before, &after).into_iter().filter(|line| !is_a_directory(line)).collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

/// A directory's times change with what came and went in it.
fn is_a_directory(line: &str) -> bool {
    line.contains("mode 4")
}

#[test]
fn a_disk_without_room_for_the_run_refuses_or_says_what_is_missing() {
    let world = World::new();
    let script = format!(
        "i=0; while [ $i -lt 300 ]; do /bin/true some words of an event $i; i=$((i+1)); done; {READS}; echo done"
    );
    let ran = with_room(&world, "300k", &script);
    ran.assert_nothing_real();
    match ran.code() {
        // It began and went on: then it says that the log is not whole.
        Some(0) => assert!(ran.said().contains("not complete") && ran.text() == "done\n", "{ran}"),
        code => assert!(code == Some(125) && ran.said().contains("No space left"), "{ran}"),
    }
    let ran = with_room(&world, "96m", &script);
    assert!(ran.said().is_empty() && ran.text() == "done\n", "{ran}");
}

#[test]
fn five_thousand_descriptors_are_nothing_special() {
    let world = World::new();
    let script = "import os, resource\n\
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n\
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 6000), hard))\n\
        names = ['.env', 'README.md', 'src/app.py', '/etc/hostname']\n\
        count = min(hard, 6000) - 1000\n\
        held = [os.open(names[n % 4], os.O_RDONLY) for n in range(count)]\n\
        print(len(held) == count, len({os.read(fd, 4096) for fd in held}) <= 4)";
    let ran = world.shield([PYTHON, "-c", script]).at_most(Duration::from_secs(120)).run();
    ran.expect_clean().expect_text("True True\n");
}

#[test]
fn two_thousand_processes_at_once_are_all_on_record() {
    let world = World::new();
    let marker = format!("86405.{}", std::process::id());
    let script = format!(
        "for n in $(seq 2000); do sleep {marker} & done; echo \"started $(jobs -p | wc -l)\"; kill $(jobs -p); wait 2> /dev/null; echo done"
    );
    let config = ["--config", r#"{"limits": {"processes": 6000}}"#];
    let ran = world.bash(&script).with(config).at_most(Duration::from_secs(180)).run().expect_clean();
    assert!(ran.text() == "started 2000\ndone\n", "{ran}");
    let sleeps = |action| {
        let all = ran.record.of(action);
        all.iter().filter(|event| text(event, "/process/executable").ends_with("/sleep")).count()
    };
    assert_eq!((sleeps("process-started"), sleeps("process-exited")), (2000, 2000));
    assert!(soon(|| running_with(&marker).is_empty()), "something of it is left");
}

/// What a run makes in places that all have, and that must be its own.
const MARKED: &str = "/tmp/MARKER /dev/shm/MARKER";

/// What the runs of this world left beside their records. Others run on this machine at the same time, and what
/// those leave is theirs: `marker` is in the name of each file that these runs made in a place of all.
fn leavings(world: &World, marker: &str) -> BTreeSet<PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = BTreeSet::new();
    for at in ["/tmp", "/var/tmp", "/dev/shm"] {
        found.extend(entries(Path::new(at)).into_iter().filter(|path| name(path).contains(marker)));
    }
    let runs: Vec<_> = entries(&world.state.join("shieldrun/runs")).iter().map(name).collect();
    let is_own = |path: &PathBuf| runs.iter().any(|run| name(path).contains(run));
    let mut groups = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(group) = groups.pop() {
        let below: Vec<_> =
            entries(&group).into_iter().filter(|path| path.is_dir() && !path.is_symlink()).collect();
        found.extend(below.iter().filter(|path| is_own(path)).cloned());
        groups.extend(below);
    }
    let own = world.root().display().to_string();
    found.extend(mounts().into_iter().filter(|line| line.contains(&own)).map(PathBuf::from));
    found
}

fn entries(at: &Path) -> Vec<PathBuf> {
    fs::read_dir(at).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[test]
fn one_run_after_another_leaves_nothing_but_its_record() {
    let world = World::new();
    let count = if is_full() { 1000 } else { 20 };
    let marker = format!("86406.{}", std::process::id());
    let script =
        format!("setsid sleep {marker} & touch {MARKED}; {READS}; echo done").replace("MARKER", &marker);
    let home = listing(&world.home);
    for _ in 0..count {
        world.bash(&script).run().expect_clean().expect_text("done\n");
    }
    assert!(soon(|| running_with(&marker).is_empty()), "a process is left");
    assert_eq!(leavings(&world, &marker), BTreeSet::new());
    let changed = difference(&home, &listing(&world.home));
    assert!(changed.is_empty(), "{changed:#?}");
    assert_eq!(entries(&world.state.join("shieldrun/runs")).len(), count);
}

#[test]
fn sixty_four_runs_side_by_side_do_not_meet_and_stay_small() {
    const RUNS: usize = 64;
    let world = World::new();
    let home = listing(&world.home);
    let marker = format!("86407.{}", std::process::id());
    let script = format!(
        "setsid sleep {marker} & touch {MARKED}; {READS}; echo $$ > own; sleep 0.2; echo ready; read go; cat own | grep -c .; echo done"
    )
    .replace("MARKER", &marker);
    let mut all: Vec<_> = (0..RUNS)
        .map(|_| {
            let run = world.bash(&script).with(["--review", "always"]).at_most(Duration::from_secs(180));
            run.start()
        })
        .collect();
    for running in &mut all {
        running.await_text("ready");
    }
    let memory: Vec<u64> = all.iter().map(|running| own_memory(running.pid())).collect();
    for running in &mut all {
        running.say(b"go\n");
    }
    for running in &mut all {
        let ran = running.wait();
        assert!(ran.text() == "ready\n1\ndone\n", "{ran}");
        ran.assert_nothing_real();
    }
    let most = memory.iter().max().copied().unwrap_or(0);
    eprintln!("memory of {RUNS} launchers side by side: at most {most} KiB each");
    assert!(most > 0 && most < 16 << 10, "{memory:?} KiB");
    assert!(soon(|| running_with(&marker).is_empty()), "a process is left");
    assert_eq!(leavings(&world, &marker), BTreeSet::new());
    let changed = difference(&home, &listing(&world.home));
    assert!(changed.is_empty(), "{changed:#?}");
    assert_eq!(entries(&world.state.join("shieldrun/runs")).len(), RUNS);
}

/// What a process takes of the machine's memory, in KiB, beside the files that it maps: those are shared. More
/// cannot be asked of a launcher, whose memory nobody else may look at.
fn own_memory(pid: u32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: Vec<u64> = pages.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match pages[..] {
        [_, resident, shared, ..] => (resident - shared) * (rustix::param::page_size() as u64 >> 10),
        _ => 0,
    }
}
