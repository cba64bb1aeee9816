//! `shieldrun doctor`: it says of a host what a run there finds.

use crate::harness::{World, binary};
use serde_json::Value;
use std::process::{Command, Output};

/// What it says, started by these words.
fn doctor(world: &World, started_by: &[&str]) -> (Output, Value) {
    let mut words: Vec<String> = started_by.iter().map(|&word| word.to_owned()).collect();
    words.extend([binary().display().to_string(), "doctor".into(), "--json".into()]);
    let output = Command::new(&words[0])
        .args(&words[1..])
        .env("HOME", &world.home)
        .env("XDG_STATE_HOME", world.root().join("state"))
        .current_dir(&world.project)
        .output()
        .expect("start the doctor");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output, report)
}

#[track_caller]
fn finding<'a>(report: &'a Value, name: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("a list of findings");
    findings.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"))
}

#[test]
fn a_host_where_runs_work_is_called_fit_and_stays_as_it_was() {
    let world = World::new();
    let (output, report) = doctor(&world, &["env"]);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["isolation"], "full", "{report:#}");
    for name in ["user namespaces", "mounts", "fresh /proc", "loopback", "run records", "overlay"] {
        assert_eq!(finding(&report, name)["grade"], "good", "{report:#}");
    }
    let left: Vec<_> = std::fs::read_dir(world.root().join("state/shieldrun/runs"))
        .expect("the directory of records")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // And a run there does work.
    world.shield(["true"]).run().expect_clean();
}

#[test]
fn a_host_that_forbids_namespaces_is_told_what_helps() {
    let world = World::new();
    let shell = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let (output, report) =
        doctor(&world, &["unshare", "--user", "--map-root-user", "bash", "-c", shell, "-"]);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    assert_eq!(report["isolation"], "landlock", "{report:#}");
    assert_eq!(report["missing"], "user namespaces", "{report:#}");
    let finding = finding(&report, "user namespaces");
    assert_eq!(finding["grade"], "bad", "{report:#}");
    assert!(finding["seen"].to_string().contains("user.max_user_namespaces"), "{report:#}");
    assert!(finding["remedy"].to_string().contains("sysctl -w"), "{report:#}");
}

#[test]
fn a_place_for_records_that_cannot_be_written_is_named() {
    let world = World::new();
    std::fs::write(world.root().join("state/shieldrun"), "in the way").expect("put a file there");
    let (output, report) = doctor(&world, &["env"]);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let finding = finding(&report, "run records");
    assert_eq!(finding["grade"], "bad", "{report:#}");
    assert!(finding["remedy"].to_string().contains("XDG_STATE_HOME"), "{report:#}");
}
