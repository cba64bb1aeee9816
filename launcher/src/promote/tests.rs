//! Promotion and undo on real layers: the tree the run saw, the tree that was, and nothing in between.

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use proptest::prelude::*;
use shieldrun_policy::changes::ChangeSet;
use shieldrun_secrets::{Registry, RunKey};

use super::halt::{self, Halted};
use super::*;
use crate::changes::fixture::{Layered, Step, Told, sides, step, tell, write};
use crate::changes::random::{cases, work};
use crate::changes::{self, Eyes};

/// A run that is over: its layers, its record, and when it began.
struct Run {
    layers: Layered,
    record: PathBuf,
    since: SystemTime,
    saw: Told,
}

/// The work of a run over a tree; none where there is no overlay.
fn run(before: &[Step], work: &[Step]) -> Option<Run> {
    let layers = Layered::new();
    layers.outside(before);
    let record = layers.path("state/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV");
    fs::create_dir_all(&record).expect("a record");
    // A clock that ticks in milliseconds stamps files.
    std::thread::sleep(Duration::from_millis(12));
    let since = SystemTime::now();
    std::thread::sleep(Duration::from_millis(12));
    let saw = layers.inside(work)?;
    Some(Run { layers, record, since, saw })
}

impl Run {
    fn set(&self) -> ChangeSet {
        let opened = self.layers.open();
        let registry = Registry::new(RunKey::from_bytes([7; 32]));
        changes::take(&sides(&opened), &Eyes::new(&registry, &[]), Vec::new()).expect("a diff")
    }

    fn with<T>(&self, act: impl FnOnce(&Destination<'_>, BorrowedFd<'_>) -> T) -> T {
        let (lower, upper) = self.layers.open();
        let record = OwnedFd::from(fs::File::open(&self.record).expect("a record"));
        let to = Destination {
            run_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            record: record.as_fd(),
            record_path: &self.record,
            target: lower.as_fd(),
            target_path: &self.layers.lower(),
            form: Form::Tree,
        };
        act(&to, upper.as_fd())
    }

    fn promote(&self, set: &ChangeSet) -> Result<Receipt, PromoteError> {
        self.promote_some(set, |_| true)
    }

    fn promote_some(&self, set: &ChangeSet, goes: impl Fn(&str) -> bool) -> Result<Receipt, PromoteError> {
        let changes = select(set, |_, change| goes(&change.path.to_string()));
        self.with(|to, upper| promote(to, upper, &changes, self.since, Freshness::JustRead))
    }

    fn undo(&self) -> Result<Receipt, PromoteError> {
        self.with(|to, _| undo(to))
    }

    fn runs(&self) -> PathBuf {
        self.layers.path("state/runs")
    }

    /// Nothing of a promotion is left lying about in the tree, and nobody has to look for it.
    fn assert_tidy(&self) {
        let left = self.layers.told().keys().filter(|path| path.contains(".shieldrun-")).count();
        assert_eq!(left, 0, "a stage is left");
        let unfinished = self.layers.path("state/unfinished");
        assert!(fs::read_dir(unfinished).map_or(0, Iterator::count) == 0, "a marker is left");
    }
}

fn a_tree() -> Vec<Step> {
    vec![
        write("a", b"one\n"),
        write("b", b"two\n"),
        step(&["touch", "b", "1000000000000000007"]),
        step(&["mkdir", "d"]),
        write("d/x", b"x\n"),
        write("d/y", b"y\n"),
        step(&["symlink", "l", "a"]),
        write("m", b"mode\n"),
        step(&["attribute", "m", "noted"]),
        // Closed to their owner, as far as it can still be read.
        step(&["mkdir", "r"]),
        step(&["mkdir", "r/s"]),
        write("r/s/x", b"x\n"),
        write("r/y", b"y\n"),
        step(&["chmod", "r/s", "555"]),
        step(&["chmod", "r", "555"]),
        step(&["mkdir", "o"]),
        step(&["chmod", "o", "500"]),
        step(&["mkdir", "g"]),
        write("g/x", b"x\n"),
        step(&["chmod", "g", "500"]),
    ]
}

fn some_work() -> Vec<Step> {
    vec![
        write("a", b"ONE\n"),
        step(&["remove", "b"]),
        step(&["clear", "d"]),
        write("d", b"a file now\n"),
        step(&["remove", "l"]),
        step(&["mkdir", "l"]),
        write("l/inside", b"i\n"),
        step(&["link", "l/inside", "l/again"]),
        step(&["chmod", "m", "755"]),
        step(&["mkdir", "n"]),
        step(&["mkdir", "n/deep"]),
        write("n/deep/file", b"f\n"),
        step(&["attribute", "n/deep/file", "noted"]),
        step(&["symlink", "n/link", "../a"]),
        step(&["fifo", "n/pipe"]),
        write("r/s/x", b"X\n"),
        write("r/s/new", b"n\n"),
        step(&["chmod", "r", "500"]),
        step(&["chmod", "o", "555"]),
        step(&["clear", "g"]),
        write("g", b"a file now\n"),
        step(&["mkdir", "k"]),
        step(&["mkdir", "k/in"]),
        write("k/in/x", b"x\n"),
        step(&["chmod", "k/in/x", "0"]),
        step(&["chmod", "k/in", "0"]),
        step(&["chmod", "k", "0"]),
    ]
}

#[test]
fn the_tree_becomes_what_the_run_saw_and_undo_takes_it_back() {
    let Some(run) = run(&a_tree(), &some_work()) else { return };
    let was = run.layers.told();
    let set = run.set();
    let receipt = run.promote(&set).expect("promoted");
    assert_eq!(receipt.conflicts, []);
    assert!(receipt.promoted.contains(&Bytes(b"n/deep/file".to_vec())), "{receipt:?}");
    assert_eq!(run.layers.told(), run.saw);
    run.assert_tidy();
    use std::os::unix::fs::MetadataExt;
    let links = fs::metadata(run.layers.lower().join("l/again")).expect("there").nlink();
    assert_eq!(links, 2, "two names of one file stay that");
    assert_eq!(run.undo().expect("undone").conflicts, []);
    assert_eq!(run.layers.told(), was);
    run.assert_tidy();
    // Once is enough.
    assert_eq!(run.undo().expect("nothing to undo"), Receipt::default());
}

#[test]
fn what_is_held_stays_out_with_the_directories_made_for_it() {
    let work = [
        write("plain", b"p\n"),
        step(&["mkdir", "new"]),
        write("new/held", b"h\n"),
        step(&["mkdir", "empty"]),
        step(&["clear", "d"]),
    ];
    let Some(run) = run(&a_tree(), &work) else { return };
    let mut expected = run.layers.told();
    let set = run.set();
    run.promote_some(&set, |path| path != "new/held" && path != "d/y").expect("promoted");
    for path in ["plain", "empty"] {
        expected.insert(path.to_owned(), run.saw[path].clone());
    }
    expected.remove("d/x");
    assert_eq!(run.layers.told(), expected, "`d` stays, because something in it does");
    run.promote(&set).expect("promoted later");
    assert_eq!(run.layers.told(), run.saw);
    // Both are taken back, the last first.
    assert_eq!(run.undo().expect("undone").conflicts, []);
    let again = tell(&run.layers.lower());
    assert!(again.contains_key("d/x") && again.contains_key("d/y") && !again.contains_key("plain"));
}

#[test]
fn attributes_of_what_the_run_closed_go_too_and_come_back() {
    let mut before = a_tree();
    before.extend([step(&["attribute", "a", "noted"]), step(&["attribute", "d", "noted"])]);
    let mut work = vec![write("n", b"new\n"), step(&["mkdir", "e"])];
    for (path, mode) in [("b", "000"), ("n", "300"), ("e", "300"), ("d", "111"), ("a", "000")] {
        // To `b` and the new ones it is the first, and from the old ones it is taken.
        let act = if ["a", "d"].contains(&path) { "unattribute" } else { "attribute" };
        work.extend([step(&[act, path, "noted"]), step(&["chmod", path, mode])]);
    }
    let Some(run) = run(&before, &work) else { return };
    let was = run.layers.told();
    let noted = |tree: &Told, path: &str| tree[path].get("attributes").is_some();
    assert!(noted(&was, "a") && noted(&was, "d") && !noted(&was, "b"), "{was:?}");
    assert!(noted(&run.saw, "b") && noted(&run.saw, "e") && !noted(&run.saw, "a"), "{:?}", run.saw);
    assert_eq!(run.promote(&run.set()).expect("promoted").conflicts, []);
    assert_eq!(run.layers.told(), run.saw);
    assert_eq!(run.undo().expect("undone").conflicts, []);
    assert_eq!(run.layers.told(), was);
}

#[test]
fn another_name_of_a_file_keeps_its_mode_and_time() {
    let before = [
        write("x", b"one\n"),
        step(&["link", "x", "y"]),
        step(&["link", "x", "../outside"]),
        write("alone", b"two\n"),
    ];
    let work =
        [step(&["chmod", "x", "600"]), step(&["touch", "x", "1000000000"]), step(&["chmod", "alone", "600"])];
    let Some(run) = run(&before, &work) else { return };
    let outside = run.layers.path("outside");
    let of = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("there"));
    let alone = of(&run.layers.lower().join("alone"));
    let was = run.layers.told();
    assert_eq!(run.promote(&run.set()).expect("promoted").conflicts, []);
    assert_eq!(run.layers.told(), run.saw);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&outside).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o644, "a name outside the tree was changed");
    // The twin: a file with no other name is changed where it is.
    assert_eq!(of(&run.layers.lower().join("alone")), alone);
    assert_eq!(run.undo().expect("undone").conflicts, []);
    assert_eq!(run.layers.told(), was);
}

#[test]
fn what_the_host_changed_is_a_conflict_and_nothing_goes() {
    for (host, path) in [
        (write("a", b"mine\n"), "a"),
        (write("b", b"mine\n"), "b"),
        (step(&["remove", "a"]), "a"),
        (write("n", b"mine\n"), "n"),
        (write("d/z", b"mine\n"), "d"),
    ] {
        let Some(run) = run(&a_tree(), &some_work()) else { return };
        let set = run.set();
        run.layers.outside(std::slice::from_ref(&host));
        let now = run.layers.told();
        let receipt = run.promote(&set).expect("no failure");
        assert_eq!(receipt.promoted, [], "{host:?}");
        let named: Vec<_> = receipt.conflicts.iter().map(|conflict| conflict.path.to_string()).collect();
        assert!(named.contains(&path.to_owned()), "{host:?} {receipt:?}");
        assert_eq!(run.layers.told(), now, "{host:?}");
        run.assert_tidy();
    }
}

#[test]
fn the_same_on_both_sides_is_no_conflict() {
    let Some(run) = run(&a_tree(), &some_work()) else { return };
    let set = run.set();
    run.layers.outside(&[write("a", b"ONE\n"), step(&["remove", "b"])]);
    assert_eq!(run.promote(&set).expect("promoted").conflicts, []);
    let mut saw = run.saw.clone();
    // It is the user's own file, with its own time.
    saw.insert("a".to_owned(), run.layers.told()["a"].clone());
    assert_eq!(run.layers.told(), saw);
}

#[test]
fn an_undo_does_not_overwrite_what_came_after_it() {
    let Some(run) = run(&a_tree(), &some_work()) else { return };
    run.promote(&run.set()).expect("promoted");
    run.layers.outside(&[write("n/deep/file", b"edited since\n")]);
    let now = run.layers.told();
    let receipt = run.undo().expect("no failure");
    assert_eq!(receipt.conflicts[0].path.to_string(), "n/deep/file");
    assert_eq!(run.layers.told(), now);
}

#[test]
fn no_link_leads_a_promotion_out_of_the_tree() {
    let Some(run) = run(&a_tree(), &[write("d/x", b"changed\n"), write("d/new", b"new\n")]) else { return };
    let set = run.set();
    let outside = run.layers.path("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("x"), b"not ours\n").expect("written");
    fs::remove_dir_all(run.layers.lower().join("d")).expect("removed");
    std::os::unix::fs::symlink(&outside, run.layers.lower().join("d")).expect("linked");
    match run.promote(&set) {
        Ok(receipt) => assert!(!receipt.conflicts.is_empty()),
        Err(PromoteError::Step { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
    assert_eq!(fs::read(outside.join("x")).expect("there"), b"not ours\n");
    assert!(!outside.join("new").exists());
    run.assert_tidy();
}

#[test]
fn a_failure_half_way_takes_all_of_it_back() {
    let Some(run) = run(&a_tree(), &some_work()) else { return };
    let set = run.set();
    let was = run.layers.told();
    // A layer that lost a file: staging fails after much was staged.
    fs::remove_file(run.layers.path("upper/n/deep/file")).expect("removed");
    assert!(matches!(run.promote(&set), Err(PromoteError::Stage { .. })));
    assert_eq!(run.layers.told(), was);
    run.assert_tidy();
}

/// Cut off at every point there is: the next one finds the tree as it was or makes it as it should be.
fn cut_off_everywhere(undoing: bool) {
    let mut outcomes = [0, 0];
    for points in 0..10_000 {
        let Some(run) = run(&a_tree(), &some_work()) else { return };
        let was = run.layers.told();
        let set = run.set();
        if undoing {
            run.promote(&set).expect("promoted");
        }
        halt::after(Some(points));
        let cut = catch_unwind(AssertUnwindSafe(|| if undoing { run.undo() } else { run.promote(&set) }));
        halt::after(None);
        if let Err(cause) = &cut {
            assert!(cause.is::<Halted>(), "something else ended it");
        }
        let recovered = recover(&run.runs());
        let now = run.layers.told();
        let (from, to) = if undoing { (&run.saw, &was) } else { (&was, &run.saw) };
        assert!(now == *from || now == *to, "after {points} points: {recovered:?} {now:#?}");
        outcomes[usize::from(now == *to)] += 1;
        run.assert_tidy();
        assert_eq!(recover(&run.runs()), [], "once is enough");
        if cut.is_ok() {
            assert!(points > 25, "{points}");
            assert!(outcomes.iter().all(|count| *count > 3), "{outcomes:?}");
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn a_promotion_that_is_cut_off_anywhere_is_finished_or_taken_back() {
    cut_off_everywhere(false);
}

#[test]
fn an_undo_that_is_cut_off_anywhere_is_finished_or_taken_back() {
    cut_off_everywhere(true);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_work_is_promoted_exactly_and_undone_exactly((before, work) in work()) {
        let Some(run) = run(&before, &work) else { return Ok(()) };
        let was = run.layers.told();
        let set = run.set();
        // The gate lets nothing of it go: the user's own tree closes something to its owner, who is not root.
        if !set.left_out.is_empty() && !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let receipt = run.promote(&set).expect("promoted");
        prop_assert_eq!(&receipt.conflicts, &[]);
        prop_assert_eq!(run.layers.told(), run.saw.clone());
        assert_eq!(run.undo().expect("undone").conflicts, []);
        prop_assert_eq!(run.layers.told(), was);
        run.assert_tidy();
    }
}
