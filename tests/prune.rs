//! Records go by age, number and size; what goes on, what waits for a person and what is not ours stays.

use crate::changes::{said, verb, world};
use crate::harness::World;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn records(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.state.join("shieldrun/runs")).expect("list").flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn prune(world: &World, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["runs", "prune", "--json"].iter().chain(arguments).copied().collect();
    serde_json::from_slice(&verb(world, &arguments).stdout).expect("JSON")
}

fn count(object: &Value, key: &str) -> usize {
    object[key].as_array().map_or(0, Vec::len)
}

/// A run that leaves closed directories and a link out of itself in its layer.
fn nasty(world: &World, outside: &Path) {
    let script = format!(
        "mkdir -p shut/in; echo x > shut/in/x; ln -s {} way-out; chmod 000 shut/in shut; echo more >> a.txt",
        outside.display()
    );
    world.bash(&script).with(["--review", "always"]).run().expect_clean();
    // Decided, so that it may go; with the layer as the run left it, closed directories and all.
    said(&verb(world, &["reject", "last"]), 0);
}

#[test]
fn old_records_go_with_all_that_is_in_them_and_nothing_beside_them() {
    let world = world();
    let outside = world.beside("outside");
    fs::write(outside.join("kept"), "kept\n").expect("written");
    nasty(&world, &outside);
    world.bash("true").run().expect_clean();
    assert_eq!(records(&world).len(), 2);
    let planned = prune(&world, &["--keep", "1", "--dry-run"]);
    assert_eq!((count(&planned, "removed"), records(&world).len()), (1, 2), "{planned}");
    let none = prune(&world, &["--older-than", "1d"]);
    assert_eq!((count(&none, "removed"), none["left"]["runs"].as_u64()), (0, Some(2)), "{none}");
    let done = prune(&world, &["--keep", "1"]);
    assert_eq!((count(&done, "removed"), count(&done, "failed")), (1, 0), "{done}");
    assert_eq!(done["removed"][0]["run_id"], planned["removed"][0]["run_id"]);
    assert!(done["freed_bytes"].as_u64() > Some(0), "{done}");
    assert_eq!(records(&world).len(), 1);
    assert_eq!(fs::read_to_string(outside.join("kept")).expect("there"), "kept\n");
    // What a removal that was cut off left goes with the next.
    let only = records(&world).pop().expect("one");
    let name = only.file_name().expect("a name").to_string_lossy().into_owned();
    fs::rename(&only, only.with_file_name(format!(".going-{name}"))).expect("renamed");
    assert_eq!(said(&verb(&world, &["runs"]), 0), "");
    prune(&world, &["--keep", "0"]);
    assert!(records(&world).is_empty(), "{:?}", records(&world));
}

#[test]
fn what_waits_and_what_goes_on_stays() {
    let world = world();
    world.bash("echo 'all: ; true' > Makefile").run().expect_clean();
    let mut running = world.bash("echo ready; read line").start();
    running.await_text("ready");
    let text = said(&verb(&world, &["runs", "prune", "--keep", "0"]), 0);
    assert!(text.contains("nobody has decided on") && text.contains("it goes on"), "{text}");
    assert!(text.contains("removed: 0 runs"), "{text}");
    assert_eq!(records(&world).len(), 2);
    running.say(b"\n");
    running.wait().expect_code(0);
    let done = prune(&world, &["--max-size", "1"]);
    assert_eq!((count(&done, "removed"), count(&done, "spared")), (1, 1), "{done}");
    // Decided, it goes like any other; or by force.
    said(&verb(&world, &["reject", "last"]), 0);
    world.bash("echo 'all: ; true' > Makefile").run().expect_clean();
    assert_eq!(count(&prune(&world, &["--keep", "0"]), "removed"), 1);
    assert_eq!(count(&prune(&world, &["--keep", "0", "--force-held"]), "removed"), 1);
    assert!(records(&world).is_empty(), "{:?}", records(&world));
}

#[test]
fn the_policy_of_a_person_keeps_the_records_within_bounds() {
    let world = world();
    assert!(said(&verb(&world, &["runs", "prune"]), 125).contains("trace.retention"));
    let policy = world.home.join(".config/shieldrun/sandbox-policy.yaml");
    crate::harness::put(&policy, b"trace: {retention: {max_runs: 3}}\n", 0o644);
    for _ in 0..5 {
        world.bash("true").run().expect_clean();
    }
    assert_eq!(records(&world).len(), 3);
    // A project cannot have records removed.
    world.write("sandbox-policy.yaml", "trace: {retention: {max_runs: 1}}\n");
    let ran = world.bash("true").run().expect_code(125);
    assert!(ran.said().contains("for people"), "{ran}");
    assert_eq!(records(&world).len(), 3);
}
