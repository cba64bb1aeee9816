//! Hosts that do not give what full isolation needs: the run stops and says why, unless asked otherwise.

use crate::harness::probe::NO_NAMESPACES;
use crate::harness::{Ran, World, text};

/// Starts shieldrun where user namespaces are used up, as `user.max_user_namespaces=0` does it.
fn forbidden_by_sysctl() -> Vec<String> {
    let shell = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    ["unshare", "--user", "--map-root-user", "bash", "-c", shell, "-"].map(str::to_owned).to_vec()
}

/// Starts shieldrun behind a container's seccomp filter.
fn forbidden_by_seccomp(world: &World) -> Vec<String> {
    vec![world.probe(&NO_NAMESPACES).display().to_string()]
}

#[track_caller]
fn refused(ran: Ran) -> Ran {
    let ran = ran.expect_code(125);
    assert!(ran.stdout.is_empty(), "nothing may have run\n{ran}");
    assert!(ran.said().starts_with("shieldrun:"), "{ran}");
    assert!(ran.said().contains("user namespace"), "it says what is missing\n{ran}");
    assert!(ran.said().contains("hint:"), "it says what helps\n{ran}");
    assert!(ran.said().contains("--isolation preload"), "it names the weaker mode\n{ran}");
    ran
}

#[test]
fn a_sysctl_that_forbids_namespaces_is_named() {
    let world = World::new();
    let ran = refused(world.shield(["echo", "ran"]).started_by(forbidden_by_sysctl()).run());
    assert!(ran.said().contains("max_user_namespaces"), "{ran}");
    if !ran.record.result.is_null() {
        assert_eq!(text(&ran.record.result, "/exit/shieldrun"), "setup", "{ran}");
    }
}

#[test]
fn a_seccomp_filter_that_forbids_namespaces_is_named() {
    let world = World::new();
    let ran = refused(world.shield(["echo", "ran"]).started_by(forbidden_by_seccomp(&world)).run());
    assert!(ran.said().contains("seccomp"), "{ran}");
}

#[test]
fn the_same_ways_to_start_it_work_where_nothing_is_forbidden() {
    let world = World::new();
    let started_by = ["unshare", "--user", "--map-root-user", "bash", "-c", "exec \"$@\"", "-"];
    world.shield(["echo", "ran"]).started_by(started_by).run().expect_clean().expect_text("ran\n");
}

#[test]
fn the_weaker_mode_works_there_when_asked_for_by_name() {
    let world = World::new();
    for start in [forbidden_by_sysctl(), forbidden_by_seccomp(&world), vec!["env".to_owned()]] {
        let ran = world
            .bash("echo $GITHUB_TOKEN; echo $GREETING; exit 6")
            .with(["--isolation", "preload"])
            .started_by(&start)
            .run()
            .expect_code(6);
        ran.assert_nothing_real();
        assert!(ran.text().starts_with("ghp_") && ran.text().contains("a plain value"), "{start:?}\n{ran}");
        assert_eq!(text(&ran.record.result, "/isolation"), "preload", "{ran}");
    }
}

#[test]
fn the_weaker_mode_refuses_masked_files_to_programs_it_reaches() {
    let world = World::new();
    let probe = world.probe(&crate::harness::probe::OPENERS);
    let words = [probe.as_os_str().to_owned(), world.home.join(".ssh/id_rsa").into_os_string()];
    let ran = world.shield(&words).with(["--isolation", "preload"]).run().expect_clean();
    assert!(ran.text().lines().all(|line| line.ends_with(" EACCES")), "{ran}");
    let words = [probe.as_os_str().to_owned(), world.home.join("notes.txt").into_os_string()];
    let ran = world.shield(&words).with(["--isolation", "preload"]).run().expect_clean();
    assert!(ran.text().lines().all(|line| line.ends_with(" ALLOWED")), "{ran}");
}

#[test]
fn the_weaker_mode_still_stops_a_leak() {
    let world = World::new();
    let ran = world
        .shield(crate::leak::printing(world.real("GITHUB_TOKEN"), "plain"))
        .with(["--isolation", "preload"])
        .run()
        .expect_code(120);
    ran.assert_nothing_real();
}

#[test]
fn a_run_within_a_run_says_why_it_cannot() {
    let world = World::new();
    // Inside there are no user namespaces to be had: the inner one refuses, it does not run unprotected.
    let binary = crate::harness::put(
        &world.home.join(".local/bin/shieldrun"),
        &std::fs::read(crate::harness::binary()).expect("read the binary"),
        0o755,
    );
    let script = format!("XDG_STATE_HOME=/tmp/state {} -- echo ran; echo code $?", binary.display());
    let ran = world.bash(&script).run().expect_clean();
    assert!(ran.text() == "code 125\n" || ran.text() == "ran\ncode 0\n", "{ran}");
}

#[test]
fn a_host_whose_tables_cannot_be_read_starts_nothing() {
    let world = World::new();
    let start = |proc: &str| {
        let shell = format!("{proc} && exec \"$@\"");
        ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", &shell, "-"].map(str::to_owned)
    };
    let ran = world
        .shield(["echo", "ran"])
        .with(["--isolation", "preload"])
        .started_by(start("mount -t tmpfs none /proc"))
        .run()
        .expect_code(125);
    assert!(ran.stdout.is_empty(), "nothing may have run\n{ran}");
    assert!(ran.said().contains("`/proc/self/mountinfo`") && ran.said().contains("hint:"), "{ran}");
    let there = world.shield(["echo", "ran"]).with(["--isolation", "preload"]).started_by(start("true"));
    there.run().expect_clean().expect_text("ran\n");
}
