//! A real value in the repository's history is seen neither through git nor by unpacking its objects.
//!
//! The stream scan stands behind every one of these: a command that shows the value ends with 120, which here is a
//! failure.

use std::fs;

use crate::harness::made_up::word;
use crate::harness::{PYTHON, Ran, World, put};

const PLACE: &str = ".env DATABASE_PASSWORD";

/// Unpacks whatever in a git directory can be unpacked by who does not ask git.
const UNPACK: &str = "
import os, sys, zlib
for at, _, names in os.walk(sys.argv[1]):
    for name in names:
        try: data = open(os.path.join(at, name), 'rb').read()
        except OSError: continue
        sys.stdout.buffer.write(data)
        start = 0
        while start < len(data):
            d = zlib.decompressobj()
            try: sys.stdout.buffer.write(d.decompress(data[start:]) + d.flush()); start = len(data) - len(d.unused_data)
            except zlib.error: start += 1
";

/// Git in the project, outside.
fn git(world: &World, script: &str) -> String {
    let script = format!("set -e; export GIT_CONFIG_NOSYSTEM=1; {script}");
    String::from_utf8_lossy(&world.native(["bash", "-c", &script])).into_owned()
}

/// A project whose history holds the key of its `.env`: in a file that has grown since, in a branch and in a stash.
fn world_with_history() -> World {
    let world = World::new();
    let key = world.real(PLACE).to_owned();
    let lines: String = (0..200).map(|number| format!("OPTION_{number} = {}\n", word(12))).collect();
    world.write("config/settings.py", format!("KEY = '{key}'\n{lines}"));
    git(
        &world,
        "export GIT_COMMITTER_DATE='2025-11-24 12:00' GIT_AUTHOR_DATE='2025-11-24 12:00'
         git add config; git commit -qm 'settings'",
    );
    world.write("config/settings.py", format!("import os\nKEY = '{key}'\n{lines}DEBUG = 1\n"));
    git(&world, "git commit -qam 'settings grow'");
    world.write("config/settings.py", format!("import os\nKEY = os.environ['KEY']\n{lines}DEBUG = 1\n"));
    git(&world, "git commit -qam 'no more'; git tag -a -m 'no key' v1");
    world.write("notes.txt", &key);
    git(&world, "git add notes.txt; git stash -q");
    git(
        &world,
        &format!("git checkout -qb side; echo {key} > side.txt; git add side.txt; git commit -qm side"),
    );
    git(&world, "git checkout -q main; git log --oneline --all | cat");
    world
}

fn packed(world: &World) {
    git(world, "git gc -q --prune=now; git count-objects -v | grep -x 'count: 0'");
}

/// Runs a script natively, where it must show the key, and inside, where it must not.
#[track_caller]
fn hides(world: &World, script: &str) -> Ran {
    let native = world.native(["bash", "-c", script]);
    let real = world.real(PLACE).as_bytes();
    assert!(memchr::memmem::find(&native, real).is_some(), "natively `{script}` should show it");
    let ran = world.bash(script).run();
    assert_ne!(ran.code(), Some(120), "`{script}`: only the scan stopped it\n{ran}");
    ran.assert_nothing_real();
    ran
}

/// The ways to an object's content.
#[track_caller]
fn hides_everywhere(world: &World) {
    let scripts = [
        "git log -p --all",
        "git show HEAD~1:config/settings.py",
        "git show v1~1",
        "git show side:side.txt",
        "git show HEAD",
        "git diff HEAD~2 HEAD",
        "git blame HEAD~1 -- config/settings.py",
        "git stash show -p --include-untracked",
        "git cat-file --batch-all-objects --batch",
        "git cat-file --batch-all-objects --batch-check='%(objectname)' | git cat-file --batch",
        "git grep KEY $(git rev-list --all)",
        "git archive HEAD~1 | tar xOf -",
        "git bundle create - --all 2>/dev/null > /tmp/b; mkdir /tmp/c; git clone -q --bare /tmp/b /tmp/c/d 2>/dev/null; \
         git -C /tmp/c/d log -p --all; git log -p --all; rm -rf /tmp/b /tmp/c",
        "rm -rf copy; git clone -q . copy; git -C copy log -p --all; rm -rf copy",
        "rm -rf copy; git clone -q --no-hardlinks . copy; git -C copy log -p --all; rm -rf copy",
        "rm -rf copy; cp -r .git copy; git --git-dir=copy log -p --all; rm -rf copy",
    ];
    for script in scripts {
        let ran = hides(world, script);
        ran.expect_code(0);
    }
    hides(world, &format!("{PYTHON} -c \"{UNPACK}\" .git"));
}

#[test]
fn loose_objects_show_the_synthetic() {
    let world = world_with_history();
    hides_everywhere(&world);
}

#[test]
fn packed_objects_show_the_synthetic() {
    let world = world_with_history();
    packed(&world);
    hides_everywhere(&world);
}

#[test]
fn a_pack_and_objects_beside_it_show_the_synthetic() {
    let world = world_with_history();
    packed(&world);
    let key = world.real(PLACE).to_owned();
    git(
        &world,
        &format!(
            "git checkout -q side; echo 'again {key}' >> side.txt; git commit -qam again; git checkout -q main"
        ),
    );
    hides_everywhere(&world);
    hides(&world, "git show side");
}

#[test]
fn several_packs_with_one_index_show_the_synthetic() {
    let world = world_with_history();
    let key = world.real(PLACE).to_owned();
    git(
        &world,
        &format!(
            "git repack -dq; git checkout -q side; echo 'again {key}' >> side.txt; git commit -qam again
             git checkout -q main; git repack -dq; git multi-pack-index write
             git prune-packed; test $(ls .git/objects/pack/*.pack | wc -l) = 2"
        ),
    );
    hides_everywhere(&world);
    // What goes by it finds each object.
    world
        .bash("git multi-pack-index verify 2>&1 | grep -c -e offset; git show side | cat")
        .run()
        .expect_clean();
}

#[test]
fn history_shows_what_the_file_shows() {
    let world = world_with_history();
    packed(&world);
    let script =
        "set -a; . ./.env; git show HEAD~1:config/settings.py | grep -c -F -e \"'$DATABASE_PASSWORD'\"";
    world.bash(script).run().expect_clean().expect_text("1\n");
    // And so in the next run, which finds the pack that the first one wrote.
    world.bash(script).run().expect_clean().expect_text("1\n");
    let kept = world.home.join(".cache/shieldrun");
    let kept = kept.to_str().expect("plain");
    let unpacked = world.native([PYTHON, "-c", UNPACK, kept]);
    assert!(memchr::memmem::find(&unpacked, b"OPTION_199").is_some(), "the pack should be kept");
    assert!(world.seen_in(&unpacked).is_empty(), "what is kept holds {:?}", world.seen_in(&unpacked));
}

#[test]
fn git_works_in_such_a_repository() {
    for pack in [false, true] {
        let world = world_with_history();
        if pack {
            packed(&world);
        }
        let script = "set -e
            git status --porcelain --untracked-files=no
            echo one > one.txt; git add one.txt; git commit -qm one
            git checkout -qb topic HEAD~1; echo two > two.txt; git add two.txt; git commit -qm two
            git rebase -q main
            git log --format=%s -3
            echo three >> two.txt; git stash -q; git stash pop -q; git commit -qam three
            git checkout -q main; git cherry-pick topic~1 topic >/dev/null
            git revert --no-edit HEAD >/dev/null
            git tag inside; git branch -D topic >/dev/null
            git log --format=%s -4";
        let ran = world.bash(script).run().expect_clean();
        assert_eq!(ran.text(), "two\none\nno more\nRevert \"three\"\nthree\ntwo\none\n", "{ran}");
        // What was written inside is sound outside, and what was there is what it was.
        let outside = git(&world, "git log --format=%s -2 inside");
        assert!(outside.starts_with("Revert \"three\"\nthree\n"), "{outside}");
        git(&world, "git fsck --full --strict");
        assert!(
            git(&world, "git log -p --all").contains(world.real(PLACE)),
            "the real history lost its value"
        );
    }
}

#[test]
fn a_message_with_the_value_is_shown_by_nothing() {
    for pack in [false, true] {
        let world = world_with_history();
        let key = world.real(PLACE).to_owned();
        git(
            &world,
            &format!(
                "git tag -a -m 'before {key}' before; git commit -q --allow-empty -m 'no {key}'
                 git commit -q --allow-empty -m after"
            ),
        );
        if pack {
            packed(&world);
        }
        for script in ["git log --all", "git show before", "git show HEAD~1", "git cat-file -p HEAD~1"] {
            hides(&world, script);
        }
        hides(&world, &format!("{PYTHON} -c \"{UNPACK}\" .git"));
        // What does not name that commit works.
        world.bash("git log --format=%s | head -1; git commit -q --allow-empty -m more").run().expect_clean();
    }
}

#[test]
fn what_is_shown_is_not_made_to_last() {
    let world = world_with_history();
    packed(&world);
    world.bash("git gc -q; git repack -adq; git repack -q; true").run().expect_clean();
    git(&world, "git fsck --full");
    assert!(git(&world, "git log -p --all").contains(world.real(PLACE)), "the real history lost its value");
}

#[test]
fn submodules_work_trees_and_alternates_are_histories_too() {
    let world = world_with_history();
    packed(&world);
    let beside = world.beside("elsewhere").display().to_string();
    let key = world.real(PLACE).to_owned();
    git(
        &world,
        &format!(
            "cp -r .git {beside}/library.git; git -C {beside}/library.git config core.bare true
             git -c protocol.file.allow=always submodule --quiet add {beside}/library.git lib
             git clone -q --shared {beside}/library.git nested
             git -C {beside}/library.git worktree add -q --detach {beside}/tree 2>/dev/null
             test -f {beside}/tree/.git"
        ),
    );
    hides(&world, "git -C lib log -p --all");
    hides(&world, "git -C nested log -p --all");
    hides(&world, &format!("{PYTHON} -c \"{UNPACK}\" .git/modules"));
    // A work tree whose repository lies outside of the workspace; the key is known from the environment there.
    let mut world = world;
    world.set("DATABASE_PASSWORD", key);
    let tree = format!("{beside}/tree");
    let native = world.native(["git", "-C", &tree, "log", "-p", "--all"]);
    assert!(memchr::memmem::find(&native, world.real(PLACE).as_bytes()).is_some());
    let ran = world.shield(["git", "log", "-p", "--all"]).in_directory(&tree).run();
    assert_ne!(ran.code(), Some(120), "only the scan stopped it\n{ran}");
    ran.assert_nothing_real();
}

#[test]
fn a_linked_work_tree_in_the_home_finds_its_repository() {
    let mut world = world_with_history();
    packed(&world);
    let key = world.real(PLACE).to_owned();
    world.set("DATABASE_PASSWORD", key);
    let tree = world.home.join("src/tree");
    git(&world, &format!("git worktree add -q --detach {}", tree.display()));
    let ran = world.shield(["git", "log", "-p", "--all"]).in_directory(&tree).run().expect_clean();
    assert!(ran.text().contains("settings grow"), "{ran}");
    put(&world.project.join(".git/COMMIT_EDITMSG"), world.real(PLACE).as_bytes(), 0o644);
    let ran = world.shield(["cat", "../project/.git/COMMIT_EDITMSG"]).in_directory(&tree).run();
    ran.expect_clean();
    let ran = world.shield(["git", "status", "--porcelain"]).in_directory(&tree).run().expect_clean();
    ran.expect_text("");
    // One that only says so of itself gets nothing to see.
    let liar = world.home.join("src/liar");
    put(&liar.join(".git"), format!("gitdir: {}/.git\n", world.project.display()).as_bytes(), 0o644);
    let ran = world.shield(["cat", "../project/.git/HEAD"]).in_directory(&liar).run();
    ran.expect_code(1);
    let twin = world.shield(["cat", "../project/.git/HEAD"]).in_directory(&tree).run();
    twin.expect_code(0);
}

#[test]
fn half_written_packs_cannot_be_read() {
    let world = world_with_history();
    packed(&world);
    git(&world, "cp .git/objects/pack/*.pack .git/objects/pack/tmp_pack_Abc123");
    world.shield(["git", "log", "--oneline"]).run().expect_clean();
    let ran = world.bash("cat .git/objects/pack/tmp_pack_Abc123").run();
    ran.expect_code(1);
}

#[test]
fn a_history_can_be_blocked_or_let_through() {
    let world = world_with_history();
    packed(&world);
    put(&world.home.join(".config/shieldrun/sandbox-policy.yaml"), b"secrets:\n  history: block\n", 0o644);
    let ran = hides(&world, "git show v1~1 2>&1; ls .git/objects 2>&1; git show HEAD~1:config/settings.py");
    assert!(ran.text().contains("Permission denied") || ran.text().contains("not a git repository"), "{ran}");
    put(&world.home.join(".config/shieldrun/sandbox-policy.yaml"), b"secrets:\n  history: allow\n", 0o644);
    let script = "git show HEAD~1:config/settings.py | tr a-zA-Z0-9 b-zaB-ZA1-90";
    let shifted = world.native(["bash", "-c", script]);
    let ran = world.bash(script).run().expect_code(0);
    assert_eq!(ran.stdout, shifted, "it should have been let through\n{ran}");
}

#[test]
fn a_clean_history_is_left_alone() {
    let world = World::new();
    packed(&world);
    let script = "sha256sum .git/objects/pack/*; touch .git/objects/pack/x && rm .git/objects/pack/x; git gc -q; git fsck";
    let native = world.native(["bash", "-c", "sha256sum .git/objects/pack/*"]);
    let ran = world.bash(script).run().expect_clean();
    assert!(ran.stdout.starts_with(&native), "{ran}");
    assert!(fs::read_dir(world.home.join(".cache")).is_err(), "nothing was worth keeping");
}

#[test]
fn a_tracked_file_that_shows_the_synthetic_is_not_modified() {
    let world = World::new();
    let key = world.real(PLACE).to_owned();
    world.write("config/settings.py", format!("KEY = '{key}'\n"));
    git(&world, "touch -d '1 hour ago' config/settings.py; git add config; git commit -qm settings");
    let script = "git status --porcelain --untracked-files=no; git diff --stat; echo more >> README.md
        git status --porcelain --untracked-files=no; git commit -qam more; git show --name-only --format=";
    world.bash(script).run().expect_clean().expect_text(" M README.md\nREADME.md\n");
    // Settings of the caller stay.
    let ran = world
        .bash("git config foo.bar; git config core.checkStat")
        .set("GIT_CONFIG_COUNT", "1")
        .set("GIT_CONFIG_KEY_0", "foo.bar")
        .set("GIT_CONFIG_VALUE_0", "baz");
    ran.run().expect_clean().expect_text("baz\nminimal\n");
}

#[test]
fn what_is_committed_in_a_layer_leaves_the_real_history_sound() {
    let world = world_with_history();
    packed(&world);
    let script = "set -e; echo one > one.txt; git add one.txt; git commit -qm one; git stash list | wc -l
        git log -p --all | grep -c KEY; git gc -q || true
        git checkout -qb topic HEAD~1; git commit -q --allow-empty -m two; git rebase -q main; git log --format=%s -2";
    let held = ["--writes", "overlay", "--review", "always"];
    let ran = world.bash(script).with(held).run().expect_clean();
    assert!(ran.text().ends_with("two\none\n"), "{ran}");
    // Whatever was taken over: every object is what its name says, and the old ones are what they were.
    git(&world, "git fsck --full --strict");
    assert!(git(&world, "git log -p --all").contains(world.real(PLACE)), "the real history lost its value");
}

#[test]
fn without_namespaces_a_history_with_the_value_is_closed() {
    let world = world_with_history();
    packed(&world);
    let run = |script: &str| world.bash(script).with(["--isolation", "landlock", "--writes", "direct"]).run();
    let ran = run("git log -p --all; cat .git/objects/pack/*.pack | wc -c; true");
    if ran.code() == Some(125) {
        return crate::harness::skip("no Landlock here");
    }
    ran.assert_nothing_real();
    assert_eq!(ran.text(), "0\n", "{ran}");
    run("cat README.md").expect_clean().expect_text("# shop\n");
}
