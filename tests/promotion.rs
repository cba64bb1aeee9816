//! Where accepted changes go, and what becomes of them when promotion is disturbed: killed, out of room, on a
//! read-only disk, against another promotion, against the host's own edits. Never half of it, and nothing is lost.

use crate::changes::{content, git, listed, said, verb, world};
use crate::closed::closed_before;
use crate::harness::{World, binary, skip, text};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// All that promotion is answerable for: kinds, permissions, contents, links, times of files.
pub(crate) fn tell(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut told = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).expect("stat");
        let what = if meta.is_dir() {
            left.extend(fs::read_dir(&path).expect("list").flatten().map(|entry| entry.path()));
            "directory".to_owned()
        } else if meta.is_symlink() {
            format!("-> {:?}", fs::read_link(&path).expect("a link"))
        } else {
            let content = fs::read(&path).expect("read");
            format!("{}.{} {}", meta.mtime(), meta.mtime_nsec(), String::from_utf8_lossy(&content))
        };
        told.insert(
            path.strip_prefix(root).expect("beneath").to_owned(),
            format!("{:o} {what}", meta.mode()),
        );
    }
    told
}

/// `shieldrun`, and what it is to be started by, in the project of a world.
fn command(world: &World, words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .current_dir(&world.project)
        .env_clear()
        .envs(world.environment.iter().cloned())
        .stdin(Stdio::null());
    command
}

fn start(world: &World, arguments: &[&str]) -> Child {
    let program = binary();
    let words: Vec<&str> =
        [program.to_str().expect("text")].into_iter().chain(arguments.iter().copied()).collect();
    command(world, &words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start shieldrun")
}

/// Nothing of a promotion is left lying about.
pub(crate) fn assert_tidy(world: &World, tree: &Path) {
    let left: Vec<_> =
        tell(tree).into_keys().filter(|path| path.to_string_lossy().contains(".shieldrun-")).collect();
    assert!(left.is_empty(), "left: {left:?}");
    let markers = world.state.join("shieldrun/unfinished");
    assert_eq!(fs::read_dir(markers).map_or(0, Iterator::count), 0, "a marker is left");
}

const WORK: &str = "echo more >> a.txt; mkdir -p dir/deep; echo x > dir/deep/x.txt; ln -s x.txt dir/deep/link\n\
    printf '#!/bin/sh\\n' > dir/run.sh; chmod 755 dir/run.sh; rm d.txt; echo 'all: ; true' > Makefile";

#[test]
fn accepted_changes_go_to_a_directory_and_the_workspace_stays() {
    let world = world();
    let staging = world.beside("elsewhere").join("staging");
    let to = staging.to_str().expect("text");
    let before = tell(&world.project);
    let ran = world.bash(WORK).with(["--promote-to", to]).run().expect_clean();
    assert_eq!(ran.record.result["promoted_to"]["directory"], to, "{ran}");
    assert_eq!(listed(&ran, "held"), ["Makefile"], "{ran}");
    assert!(ran.said().contains("d.txt: the run removed it"), "{ran}");
    assert_eq!(tell(&world.project), before, "the workspace is as it was");
    let told = tell(&staging);
    let names: Vec<String> = told.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(
        names,
        ["", "a.txt", "dir", "dir/deep", "dir/deep/link", "dir/deep/x.txt", "dir/run.sh"],
        "{ran}"
    );
    assert_eq!(fs::read_to_string(staging.join("a.txt")).expect("there"), "a\nmore\n");
    assert_eq!(fs::metadata(staging.join("dir/run.sh")).expect("there").permissions().mode() & 0o777, 0o755);
    // What waits goes there too, once it may, and an undo takes all of it away again.
    assert!(said(&verb(&world, &["approve", "last"]), 0).contains(to));
    assert_eq!(fs::read_to_string(staging.join("Makefile")).expect("there"), "all: ; true\n");
    assert_eq!(tell(&world.project), before);
    said(&verb(&world, &["undo", "last"]), 0);
    assert_eq!(tell(&staging).len(), 1, "empty again");
    assert_tidy(&world, &staging);
    // The twin: the same run into the workspace.
    said(&verb(&world, &["approve", "last", "--promote-to", "."]), 0);
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\nmore\n"));
    assert!(!world.project.join("d.txt").exists() && world.project.join("dir/deep/link").is_symlink());
    assert!(said(&verb(&world, &["trace", "last", "--verify"]), 0).contains("chained"));
}

#[test]
fn a_directory_loses_nothing_to_a_promotion_and_no_link_leads_out_of_it() {
    let world = world();
    let staging = world.beside("staging");
    let to = staging.to_str().expect("text");
    fs::write(staging.join("a.txt"), "mine\n").expect("written");
    let ran = world.bash("echo more >> a.txt; echo new > new.txt").with(["--promote-to", to]).run();
    assert!(ran.said().contains("it is there already"), "{ran}");
    assert_eq!(fs::read_to_string(staging.join("a.txt")).expect("there"), "mine\n");
    assert!(!staging.join("new.txt").exists(), "whole or not at all");
    fs::remove_file(staging.join("a.txt")).expect("removed");
    said(&verb(&world, &["approve", "last"]), 0);
    assert_eq!(fs::read_to_string(staging.join("new.txt")).expect("there"), "new\n");
    // A link in the directory.
    let outside = world.beside("outside");
    symlink(&outside, staging.join("sub")).expect("linked");
    world.bash("mkdir sub; echo x > sub/x").with(["--promote-to", to]).run();
    assert_eq!(fs::read_dir(&outside).expect("list").count(), 0);
    fs::remove_file(staging.join("sub")).expect("removed");
    said(&verb(&world, &["approve", "last"]), 0);
    assert!(staging.join("sub/x").is_file());
    // What cannot be is said before anything is run.
    let ran = world.bash("echo ran").with(["--promote-to", "/proc/none/there"]).run().expect_code(125);
    assert_eq!(ran.text(), "", "{ran}");
    let ran = world.bash("echo ran").with(["--promote-to", to, "--writes", "direct"]).run().expect_code(125);
    assert_eq!(ran.text(), "", "{ran}");
}

/// A repository whose every hook leaves a trace, with something staged and something not.
fn hooked() -> (World, PathBuf) {
    let world = world();
    world.write(".gitignore", ".env*\nbuilt/\n");
    git(&world, &["commit", "--quiet", "--all", "--message", "ignore"]);
    let trace = world.beside("hooks").join("ran");
    for hook in
        ["pre-commit", "post-commit", "post-checkout", "reference-transaction", "commit-msg", "post-rewrite"]
    {
        let path = world
            .write(&format!(".git/hooks/{hook}"), format!("#!/bin/sh\necho {hook} >> {}\n", trace.display()));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    world.write("b.txt", "b\nstaged\n");
    git(&world, &["add", "b.txt"]);
    world.write("c.txt", "c\nnot staged\n");
    let _ = fs::remove_file(&trace);
    (world, trace)
}

#[test]
fn a_branch_is_made_beside_checkout_and_index_and_no_hook_runs() {
    let (world, trace) = hooked();
    let head = git(&world, &["rev-parse", "HEAD"]);
    let _ = fs::remove_file(&trace);
    let checkout = |world: &World| {
        let mut told = tell(&world.project);
        // Objects, references and their logs are where a branch is.
        told.retain(|path, _| {
            let inside = |part: &str| path.starts_with(part);
            !inside(".git/objects") && !inside(".git/refs") && !inside(".git/logs")
        });
        told
    };
    let before = checkout(&world);
    let script = format!("{WORK}; mkdir built; echo o > built/out; printf 'odd' > 'dir/\"odd\\name'");
    let ran = world.bash(&script).with(["--promote-to-branch", "agent/work"]).run().expect_clean();
    assert_eq!(ran.record.result["promoted_to"]["branch"], "agent/work", "{ran}");
    assert!(ran.said().contains("built/out: git is told to ignore it"), "{ran}");
    assert!(!trace.exists(), "hooks ran: {:?}", fs::read_to_string(&trace));
    assert_eq!(checkout(&world), before, "checkout and index are as they were");
    let on = |arguments: &[&str]| git(&world, arguments);
    let expected =
        "M\ta.txt\nD\td.txt\nA\t\"dir/\\\"odd\\\\name\"\nA\tdir/deep/link\nA\tdir/deep/x.txt\nA\tdir/run.sh";
    assert_eq!(on(&["diff", "--name-status", "--no-renames", "main", "agent/work"]), expected);
    assert_eq!(on(&["rev-parse", "agent/work~1"]), head);
    assert_eq!(on(&["log", "-1", "--format=%an <%ae>", "agent/work"]), "Ada <ada@example.com>");
    assert_eq!(on(&["show", "agent/work:a.txt"]), "a\nmore");
    assert!(on(&["ls-tree", "agent/work", "dir/run.sh"]).starts_with("100755"));
    assert!(on(&["ls-tree", "agent/work", "dir/deep/link"]).starts_with("120000"));
    assert_eq!(on(&["fsck", "--strict", "--no-dangling"]), "");
    // What waits follows on the same branch; the workspace still has none of it.
    said(&verb(&world, &["approve", "last"]), 0);
    assert_eq!(on(&["show", "agent/work:Makefile"]), "all: ; true");
    assert_eq!(on(&["rev-parse", "agent/work~2"]), head);
    assert!(!world.project.join("Makefile").exists());
    assert!(on(&["for-each-ref"]).lines().all(|line| !line.contains("shieldrun")));
    // A name that is taken is said before anything is run, and left alone.
    let tip = on(&["rev-parse", "agent/work"]);
    for name in ["agent/work", "main", "no..name"] {
        let ran = world.bash("echo ran").with(["--promote-to-branch", name]).run().expect_code(125);
        assert_eq!(ran.text(), "", "{ran}");
    }
    assert_eq!(on(&["rev-parse", "agent/work"]), tip);
    // The branch goes, and one that somebody went on with does not.
    on(&["update-ref", "refs/heads/agent/work", &head]);
    assert!(said(&verb(&world, &["undo", "last"]), 125).contains("moved"));
    on(&["update-ref", "refs/heads/agent/work", &tip]);
    assert!(said(&verb(&world, &["undo", "last"]), 0).contains("agent/work"));
    assert_eq!(on(&["for-each-ref", "refs/heads/agent"]), "");
    assert_eq!(checkout(&world), before);
}

#[test]
fn the_runs_own_commits_are_the_branch_where_they_may_go() {
    let world = world();
    let head = git(&world, &["rev-parse", "HEAD"]);
    let script = "echo x >> a.txt; git commit --quiet -am one; echo y >> b.txt; git commit --quiet -am two";
    let ran = world.bash(script).with(["--promote-to-branch", "agent"]).run().expect_clean();
    assert_eq!(git(&world, &["log", "--format=%s", "main..agent"]), "two\none", "{ran}");
    assert_eq!(git(&world, &["rev-parse", "main"]), head);
    assert_eq!(git(&world, &["status", "--porcelain"]), "");
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\n"));
    // What was not committed comes on top.
    let script = format!("{script}; echo z >> c.txt");
    world.bash(&script).with(["--promote-to-branch", "agent-2"]).run().expect_clean();
    let subjects = git(&world, &["log", "--format=%s", "main..agent-2"]);
    let lines: Vec<&str> = subjects.lines().collect();
    assert_eq!((lines.len(), &lines[1..]), (3, &["two", "one"][..]), "{subjects}");
    assert_eq!(git(&world, &["show", "agent-2:c.txt"]), "c\nz");
    // The host's own commits since the run began are no part of it, and are not lost.
    let mut running = world
        .bash("echo mine >> a.txt; echo ready; read line; true")
        .with(["--promote-to-branch", "late"])
        .start();
    running.await_text("ready");
    world.write("a.txt", "theirs\n");
    git(&world, &["commit", "--quiet", "--all", "--message", "host"]);
    running.wait().expect_code(0);
    assert_eq!(content(&world, "a.txt").as_deref(), Some("theirs\n"));
    assert_eq!(git(&world, &["show", "late:a.txt"]), "a\nmine");
    assert_eq!(git(&world, &["rev-parse", "late~1"]), head);
}

/// A run with many kinds of changes, all of them held.
fn held(world: &World, files: u32) {
    closed_before(world);
    let script = format!(
        "for i in $(seq {files}); do echo $i > new-$i.txt; done; echo more >> a.txt; rm b.txt; rm c.txt\n\
         mkdir c.txt; echo in > c.txt/in; ln -s a.txt link; chmod 600 d.txt; mkdir -p x/y; mv a.txt x/y/a.txt\n\
         chmod 755 kept; echo more >> kept/k.txt; rm kept/gone.txt; chmod 500 kept; chmod 755 away away/sub; rm -r away\n\
         mkdir -p shut/deep; echo x > shut/deep/x; chmod 555 shut/deep shut"
    );
    world.bash(&script).with(["--review", "always"]).run().expect_clean();
}

#[test]
fn kills_leave_the_tree_as_it_was_or_as_it_should_be() {
    const EACH: u32 = 20;
    // Two hundred take half a minute on an idle machine, so they are for `SHIELDRUN_STRESS=full`, as in the stress
    // module.
    let is_full = std::env::var_os("SHIELDRUN_STRESS").is_some_and(|value| value == "full");
    let rounds: u32 = if is_full { 200 } else { 40 };
    let (mut began, mut outcomes) = (0, [0, 0]);
    let mut world = world();
    let mut before = tell(&world.project);
    let mut after = BTreeMap::new();
    let mut whole = Duration::ZERO;
    for round in 0..rounds {
        // A record holds a journal for each promotion: a fresh run now and then keeps that short.
        if round % EACH == 0 {
            world = crate::changes::world();
            held(&world, 60);
            before = tell(&world.project);
            let begin = Instant::now();
            said(&verb(&world, &["approve", "last"]), 0);
            whole = begin.elapsed();
            after = tell(&world.project);
            assert_ne!(before, after);
            said(&verb(&world, &["undo", "last"]), 0);
            assert_eq!(tell(&world.project), before);
        }
        let mut child = start(&world, &["approve", "last"]);
        // A low-discrepancy sequence over the whole: random enough to hit every phase.
        std::thread::sleep(whole.mul_f64(f64::from(round) * 0.618_033_988_75 % 1.0 * 1.1));
        child.kill().expect("kill");
        drop(child.wait());
        let marker = world.state.join("shieldrun/unfinished");
        began += u32::from(fs::read_dir(&marker).is_ok_and(|mut entries| entries.next().is_some()));
        // The next shieldrun, whatever it does, finishes or takes back.
        let next = said(&verb(&world, &["runs"]), 0);
        let now = tell(&world.project);
        assert!(now == before || now == after, "round {round}: {next}\n{now:#?}");
        assert_tidy(&world, &world.project);
        outcomes[usize::from(now == after)] += 1;
        if now == after {
            said(&verb(&world, &["undo", "last"]), 0);
            assert_eq!(tell(&world.project), before, "round {round}: undo after a kill");
        }
    }
    eprintln!(
        "{rounds} kills: {began} in the middle of a promotion; as it was, as it should be: {outcomes:?}"
    );
    assert!(began >= rounds / 20, "only {began} of {rounds} hit a promotion");
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
    // Nothing was lost: the work is there and goes when nobody disturbs it.
    said(&verb(&world, &["approve", "last"]), 0);
    assert_eq!(tell(&world.project), after);
}

/// Runs a script as root of a namespace of its own, where it may mount. None where the host has no such thing.
fn in_own_mounts(world: &World, script: &str) -> Option<Output> {
    let output = command(world, &["unshare", "-Urm", "sh", "-euc", script]).output().expect("run unshare");
    if String::from_utf8_lossy(&output.stderr).contains("unshare:") {
        skip("no namespace for mounts of our own");
        return None;
    }
    Some(output)
}

/// Approves into a small or read-only file system; then what is there and what was said.
fn approve_into(world: &World, mount: &str) -> Option<(i32, Vec<String>, String)> {
    let place = world.beside("mounted");
    let (at, program) = (place.display(), binary());
    let script = format!(
        "{mount}\ncode=0; {} approve last --promote-to {at} || code=$?\necho code $code; find {at} | sort",
        program.display()
    )
    .replace("AT", &at.to_string());
    let output = in_own_mounts(world, &script)?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut lines = out.lines();
    let code = lines.next().and_then(|line| line.strip_prefix("code ")?.parse().ok());
    let code = code.unwrap_or_else(|| panic!("{script}\n{out}\n{err}"));
    Some((code, lines.map(str::to_owned).collect(), err))
}

#[test]
fn a_disk_that_is_full_or_read_only_gets_all_of_it_or_nothing() {
    let world = world();
    let script = "for i in $(seq 16); do head -c 200000 /dev/zero > big-$i.bin; done; echo more >> a.txt";
    world.bash(script).with(["--review", "always"]).run().expect_clean();
    let before = tell(&world.project);
    let full = "mount -t tmpfs -o size=2m none AT";
    let Some((code, listed, told)) = approve_into(&world, full) else { return };
    assert_eq!((code, listed.len()), (125, 1), "nothing is there: {listed:?} {told}");
    assert!(told.contains("nothing was promoted") && told.contains("No space left"), "{told}");
    assert!(told.contains("kept in its record"), "{told}");
    let read_only = "mount -t tmpfs -o size=20m none AT; mount -o remount,ro none AT";
    let (code, listed, told) = approve_into(&world, read_only).expect("as before");
    assert_eq!((code, listed.len()), (125, 1), "{listed:?} {told}");
    assert!(told.contains("Read-only") && told.contains("kept in its record"), "{told}");
    // The twin: with room enough, all of it goes.
    let (code, listed, told) = approve_into(&world, "mount -t tmpfs -o size=20m none AT").expect("as before");
    assert_eq!((code, listed.len()), (0, 18), "{listed:?} {told}");
    assert_eq!(tell(&world.project), before, "the workspace had no part in it");
    // And nothing was lost: it goes to the workspace.
    said(&verb(&world, &["approve", "last", "--promote-to", "."]), 0);
    assert_eq!(fs::metadata(world.project.join("big-16.bin")).expect("there").len(), 200_000);
    assert_tidy(&world, &world.project);
}

/// The ids of all runs, the oldest first.
fn runs(world: &World) -> Vec<String> {
    let listed = said(&verb(world, &["runs", "--json"]), 0);
    let ids = listed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let mut ids: Vec<String> = ids.map(|line| text(&line, "/run_id").to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn two_promotions_at_once_are_one_after_the_other() {
    for round in 0..6 {
        let world = world();
        let clash = round % 2 == 1;
        for name in ["one", "two"] {
            let shared = if clash { "a.txt".to_owned() } else { format!("{name}.shared") };
            let script =
                format!("for i in $(seq 40); do echo {name} > {name}-$i; done; echo {name} >> {shared}");
            world.bash(&script).with(["--review", "always"]).run().expect_clean();
        }
        let ids = runs(&world);
        let children: Vec<Child> = ids.iter().map(|id| start(&world, &["approve", id])).collect();
        let ended: Vec<Output> =
            children.into_iter().map(|child| child.wait_with_output().expect("waited")).collect();
        let codes: Vec<Option<i32>> = ended.iter().map(|output| output.status.code()).collect();
        let count = |name: &str| {
            let names = fs::read_dir(&world.project).expect("list").flatten().map(|entry| entry.file_name());
            names.filter(|own| own.to_string_lossy().starts_with(&format!("{name}-"))).count()
        };
        let counts = [count("one"), count("two")];
        if clash {
            // Whoever comes second finds a file that is not as its run began with.
            assert!(codes == [Some(0), Some(1)] || codes == [Some(1), Some(0)], "{codes:?} {ended:?}");
            assert_eq!(counts, if codes[0] == Some(0) { [40, 0] } else { [0, 40] }, "whole or not at all");
            let winner = if codes[0] == Some(0) { "one" } else { "two" };
            assert_eq!(content(&world, "a.txt"), Some(format!("a\n{winner}\n")));
            // The other's work is kept, and goes without the file.
            let loser = &ids[usize::from(codes[0] == Some(0))];
            said(&verb(&world, &["reject", loser, "a.txt"]), 0);
            assert_eq!([count("one"), count("two")], [40, 40]);
        } else {
            assert_eq!((codes, counts), (vec![Some(0), Some(0)], [40, 40]), "{ended:?}");
        }
        assert_tidy(&world, &world.project);
    }
}

#[test]
fn what_the_host_edits_between_the_run_and_the_approval_is_kept() {
    let world = world();
    held(&world, 5);
    let edited = |path: &str, text: &str| {
        world.write(path, text);
        let now = tell(&world.project);
        let told = said(&verb(&world, &["approve", "last"]), 1);
        assert!(told.contains(path), "{told}");
        assert_eq!(tell(&world.project), now, "nothing was changed");
        assert_tidy(&world, &world.project);
    };
    edited("new-3.txt", "mine\n");
    fs::remove_file(world.project.join("new-3.txt")).expect("removed");
    edited("b.txt", "mine\n");
    // The twin: without that file the rest goes, and the host's edit stays.
    said(&verb(&world, &["reject", "last", "b.txt"]), 0);
    assert_eq!(content(&world, "b.txt").as_deref(), Some("mine\n"));
    assert_eq!(content(&world, "new-3.txt").as_deref(), Some("3\n"));
}

#[test]
fn more_than_the_policy_lets_go_waits() {
    let world = world();
    world.write("sandbox-policy.yaml", "gate: {max_files: 2, max_file_bytes: 1KiB}\n");
    let ran = world.bash("for i in 1 2 3; do echo $i > $i.txt; done").run().expect_clean();
    assert_eq!(listed(&ran, "held"), ["1.txt", "2.txt", "3.txt"], "{ran}");
    assert!(ran.said().contains("3 files changed, and the policy lets 2 go"), "{ran}");
    let ran = world.bash("echo 1 > one.txt; head -c 2000 /dev/zero > big.bin").run().expect_clean();
    assert_eq!(
        (listed(&ran, "promoted"), listed(&ran, "held")),
        (vec!["one.txt".into()], vec!["big.bin".into()]),
        "{ran}"
    );
    let ran = world.bash("echo 1 > 4.txt; echo 2 > 5.txt").run().expect_clean();
    assert_eq!(listed(&ran, "promoted"), ["4.txt", "5.txt"], "{ran}");
}

/// Thirty lines, some of them others.
fn lines(others: &[(usize, &str)]) -> String {
    let line = |n: usize| {
        others.iter().find(|(at, _)| *at == n).map_or(n.to_string(), |(_, text)| (*text).to_owned())
    };
    (1..=30).map(|n| line(n) + "\n").collect()
}

#[test]
fn some_hunks_of_a_file_go_and_the_rest_stays() {
    let world = world();
    world.write("long.txt", lines(&[]));
    let script = "sed -i -e 's/^3$/three/' -e 's/^15$/fifteen/' -e 's/^27$/last/' long.txt; echo x >> a.txt";
    world.bash(script).with(["--review", "always"]).run().expect_clean();
    for wrong in [&["approve", "last", "--hunks", "1"][..], &["approve", "last", "long.txt", "--hunks", "4"]]
    {
        said(&verb(&world, wrong), 125);
    }
    assert_eq!(content(&world, "long.txt"), Some(lines(&[])), "nothing went");
    said(&verb(&world, &["approve", "last", "long.txt", "--hunks", "1,3", "-m", "not the middle"]), 0);
    assert_eq!(content(&world, "long.txt"), Some(lines(&[(3, "three"), (27, "last")])));
    // Decided is decided, and the other file still waits.
    said(&verb(&world, &["approve", "last", "long.txt", "--hunks", "2"]), 125);
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\n"));
    said(&verb(&world, &["approve", "last"]), 0);
    assert_eq!(content(&world, "a.txt").as_deref(), Some("a\nx\n"));
    assert_eq!(content(&world, "long.txt"), Some(lines(&[(3, "three"), (27, "last")])), "no more of it went");
    let trace = said(&verb(&world, &["trace", "last"]), 0);
    assert!(trace.contains("approve hunks 1, 3: not the middle"), "{trace}");
    said(&verb(&world, &["undo", "last"]), 0);
    assert_eq!(content(&world, "long.txt"), Some(lines(&[])));
    assert_tidy(&world, &world.project);
}

#[test]
fn a_conflict_is_shown_three_ways_for_people_and_programs() {
    let world = world();
    world.write("long.txt", lines(&[]));
    let script = "sed -i 's/^3$/three/' long.txt; echo x >> a.txt";
    world.bash(script).with(["--review", "always"]).run().expect_clean();
    let object = |world: &World| -> serde_json::Value {
        serde_json::from_slice(&verb(world, &["review", "last", "--json"]).stdout).expect("JSON")
    };
    assert_eq!(object(&world)["conflicts"], serde_json::json!([]));
    world.write("long.txt", lines(&[(27, "mine")]));
    // Written anew with the same in it: no conflict to show.
    world.write("a.txt", "a\n");
    let shown = object(&world);
    assert_eq!(shown["conflicts"].as_array().map(Vec::len), Some(1), "{shown}");
    let conflict = &shown["conflicts"][0];
    assert_eq!(text(conflict, "/path"), "long.txt");
    assert!(text(conflict, "/host").contains("-27\n+mine\n"), "{conflict}");
    assert!(text(conflict, "/run").contains("-3\n+three\n"), "{conflict}");
    let people = said(&verb(&world, &["review", "last"]), 0);
    assert!(people.contains("what you changed:") && people.contains("+mine"), "{people}");
    // A part of it does not go either, and nothing of the host's is lost.
    assert!(
        said(&verb(&world, &["approve", "last", "long.txt", "--hunks", "1"]), 125).contains("on the host")
    );
    assert_eq!(content(&world, "long.txt"), Some(lines(&[(27, "mine")])));
}
