//! Directories and files that are closed to their owner: what a run closes goes and comes back as it was, whoever the
//! user is. Root passes such doors and anybody else has to open them, so this says most as an ordinary user.

use crate::changes::{content, git, listed, said, verb, world};
use crate::harness::World;
use crate::promotion::{assert_tidy, tell};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn mode(world: &World, path: &str) -> u32 {
    fs::symlink_metadata(world.project.join(path)).expect("there").permissions().mode() & 0o7777
}

fn permit(world: &World, path: &str, mode: u32) {
    fs::set_permissions(world.project.join(path), fs::Permissions::from_mode(mode)).expect("chmod");
}

/// Directories of the user's that nobody may write in, with something in them.
pub(crate) fn closed_before(world: &World) {
    world.write("kept/k.txt", "k\n");
    world.write("kept/gone.txt", "g\n");
    world.write("away/sub/s.txt", "s\n");
    for path in ["kept", "away/sub", "away"] {
        permit(world, path, 0o555);
    }
}

/// What makes a home of modules read only, and what shuts a door behind itself.
const CLOSING: &str = "chmod 755 kept; echo more >> kept/k.txt; rm kept/gone.txt; chmod 555 kept\n\
    chmod 755 away away/sub; rm -r away; echo file > away\n\
    mkdir -p shut/deep; echo x > shut/deep/x.txt; chmod 000 shut/deep/x.txt; echo y > shut/y.txt\n\
    mkdir walled; echo w > walled/w.txt; chmod 600 walled; mkdir modules; echo m > modules/m.txt; chmod 444 modules/m.txt\n\
    chmod 555 modules; chmod 000 d.txt shut/deep shut";

#[test]
fn what_is_closed_to_its_owner_goes_and_comes_back_as_it_was() {
    let world = world();
    closed_before(&world);
    let before = tell(&world.project);
    let ran = world.bash(CLOSING).run().expect_clean();
    assert_eq!(listed(&ran, "held"), Vec::<String>::new(), "{ran}");
    let modes = [
        ("kept", 0o555),
        ("shut", 0),
        ("walled", 0o600),
        ("modules", 0o555),
        ("modules/m.txt", 0o444),
        ("d.txt", 0),
    ];
    for (path, expected) in modes {
        assert_eq!(mode(&world, path), expected, "{path} {ran}");
    }
    assert_eq!(content(&world, "kept/k.txt").as_deref(), Some("k\nmore\n"), "{ran}");
    assert!(!world.project.join("kept/gone.txt").exists());
    assert_eq!(content(&world, "away").as_deref(), Some("file\n"), "{ran}");
    // As it is, an undo brings it back; nobody has to open a door for it.
    said(&verb(&world, &["undo", "last"]), 0);
    assert_eq!(tell(&world.project), before);
    assert_tidy(&world, &world.project);
    // The twin: with the doors opened by hand all of it is seen to be there.
    said(&verb(&world, &["approve", "last"]), 0);
    for path in ["shut", "shut/deep", "walled"] {
        permit(&world, path, 0o755);
    }
    assert_eq!(mode(&world, "shut/deep/x.txt"), 0);
    permit(&world, "shut/deep/x.txt", 0o600);
    for (path, expected) in [("shut/deep/x.txt", "x\n"), ("shut/y.txt", "y\n"), ("walled/w.txt", "w\n")] {
        assert_eq!(content(&world, path).as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn a_branch_and_a_directory_get_what_is_closed_to_its_owner() {
    let world = world();
    closed_before(&world);
    git(&world, &["add", "--all"]);
    git(&world, &["commit", "--quiet", "--message", "closed"]);
    let before = tell(&world.project);
    let ran = world.bash(CLOSING).with(["--promote-to-branch", "agent"]).run().expect_clean();
    assert_eq!(git(&world, &["show", "agent:shut/deep/x.txt"]), "x", "{ran}");
    assert_eq!(git(&world, &["show", "agent:walled/w.txt"]), "w", "{ran}");
    let staging = world.beside("staging");
    let to = staging.to_str().expect("text");
    let ran = world.bash(CLOSING).with(["--promote-to", to]).run().expect_clean();
    let there = |path: &str| fs::metadata(staging.join(path)).map(|there| there.permissions().mode() & 0o777);
    assert_eq!((there("shut").ok(), there("walled").ok()), (Some(0), Some(0o600)), "{ran}");
    said(&verb(&world, &["undo", "last"]), 0);
    assert_eq!(tell(&staging).len(), 1, "empty again");
    assert_eq!(fs::read_to_string(world.project.join("kept/k.txt")).expect("there"), "k\n");
    let mut now = tell(&world.project);
    now.retain(|path, _| !path.starts_with(".git"));
    assert!(now.iter().all(|(path, what)| before.get(path) == Some(what)), "the workspace is as it was");
}
