//! A launcher that is killed at any moment leaves nothing behind.

use crate::harness::host::{difference, inside, listing, mounts, running_with, soon};
use crate::harness::{World, binary};
use rustix::process::Signal;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long after its start a launcher is killed: spread over a whole run and a little more.
fn moment(round: u32, whole: Duration) -> Duration {
    // A low-discrepancy sequence: random enough to hit every phase, the same in every run of the suite.
    let fraction = f64::from(round) * 0.618_033_988_75 % 1.0;
    whole.mul_f64(fraction * 1.5)
}

#[test]
fn fifty_kills_leave_no_process_mount_or_stub() {
    let world = World::new();
    let marker = format!("86404.{}", std::process::id());
    let before = listing(&world.home);
    let script = format!("setsid sleep {marker} & sleep {marker} & cat .env > /dev/null; sleep {marker}");
    let begin = Instant::now();
    world.bash("cat .env > /dev/null").run().expect_clean();
    let whole = begin.elapsed();
    let mut began = 0;
    for round in 0..50 {
        let mut child = Command::new(binary())
            .args(["--", "bash", "-c", &script])
            .env_clear()
            .envs(world.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&world.project)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start shieldrun");
        std::thread::sleep(moment(round, whole));
        let pids = inside(child.id());
        began += u32::from(!pids.is_empty());
        child.kill().expect("kill the launcher");
        drop(child.wait());
        let gone = soon(|| pids.iter().all(|pid| !alive(*pid)) && running_with(&marker).is_empty());
        assert!(gone, "round {round}: {:?} and {pids:?} outlive the launcher", running_with(&marker));
    }
    assert!(
        began > 5,
        "only {began} of 50 were far enough to have processes inside: the moments are too early"
    );
    let own = world.root().display().to_string();
    assert!(mounts().iter().all(|line| !line.contains(&own)), "a mount is left");
    let found = difference(&before, &listing(&world.home));
    assert!(found.is_empty(), "{}", found.join("\n"));
    // And the next run is as good as the first.
    world.shield(["cat", ".env"]).run().expect_clean();
}

/// Not a zombie, not gone.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    })
}

#[test]
fn a_kill_leaves_nothing_real_on_disk() {
    let world = World::new();
    let mut running = world.bash("cat .env; echo ready; sleep 60").start();
    running.await_text("ready");
    running.signal(Signal::KILL);
    drop(running.wait());
    for (path, _) in listing(&world.state) {
        if path.is_file() {
            let seen = world.seen_in(&std::fs::read(&path).expect("read"));
            assert!(seen.is_empty(), "{path:?} shows {seen:?}");
        }
    }
}

#[test]
fn the_end_of_the_init_process_ends_the_run() {
    let world = World::new();
    let mut running = world.bash("echo ready; sleep 60").start();
    running.await_text("ready");
    let init = inside(running.pid()).into_iter().min().expect("somebody is inside");
    let pid = rustix::process::Pid::from_raw(i32::try_from(init).expect("a pid")).expect("not zero");
    rustix::process::kill_process(pid, Signal::KILL).expect("kill the init");
    let ran = running.wait();
    assert!(ran.code().is_some_and(|code| code != 0), "{ran}");
}

#[test]
fn nothing_is_left_in_the_temporary_directories() {
    let world = World::new();
    let names = || -> std::collections::BTreeSet<_> {
        ["/tmp", "/var/tmp", "/dev/shm"]
            .iter()
            .flat_map(|at| std::fs::read_dir(at).into_iter().flatten().flatten())
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.contains("shieldrun")
                    && !name.starts_with("shieldrun-world-")
                    && !name.starts_with("shieldrun-test")
            })
            .collect()
    };
    let before = names();
    world.bash("true").run().expect_clean();
    let mut running = world.bash("echo ready; sleep 60").start();
    running.await_text("ready");
    running.signal(Signal::KILL);
    drop(running.wait());
    assert_eq!(before, names());
}
