//! The rules of the gate, as tables.

use super::*;
use crate::changes::{Finding, LeftOut, Node, NodeKind};
use crate::schema::{Layer, Overrides, Source, load};

fn policy(text: &str) -> Policy {
    let source = Source { name: "policy".to_owned(), text: text.as_bytes().to_vec(), layer: Layer::User };
    load(&[source], &Overrides::default()).expect(text)
}

fn node(kind: NodeKind, mode: u32) -> Node {
    Node { kind, mode, size: 3, modified: (0, 0), digest: Some([1; 32]), attributes: None }
}

fn created(path: &str, findings: Vec<Found>) -> Change {
    Change {
        path: Bytes(path.as_bytes().to_vec()),
        from: None,
        before: None,
        after: Some(node(NodeKind::Text, 0o644)),
        lines: None,
        findings: findings.into_iter().map(|what| Finding { line: Some(4), what }).collect(),
    }
}

fn set(changes: Vec<Change>) -> ChangeSet {
    ChangeSet { changes, left_out: Vec::new(), commits: None }
}

fn verdict(change: Change, policy: &Policy) -> (Verdict, Vec<Reason>) {
    let judged = judge(&set(vec![change]), policy);
    assert_eq!(judged.verdicts, [judged.verdict]);
    (judged.verdict, judged.reasons)
}

#[test]
fn plain_changes_are_accepted_without_a_word() {
    let policy = policy("require_human_review: [\"*.yml\"]\n");
    for path in ["app.py", "docs/a.md", "src/deep/x.rs"] {
        assert_eq!(verdict(created(path, Vec::new()), &policy), (Verdict::Accept, Vec::new()), "{path}");
    }
}

#[test]
fn more_than_the_policy_lets_go_waits_whatever_it_is() {
    let three = || set(["a.py", "b.py", "c.py"].map(|path| created(path, Vec::new())).into());
    for (text, rule) in [
        ("gate: {max_files: 2}", Some("gate.max_files")),
        ("gate: {max_files: 3}", None),
        ("gate: {max_bytes: 8}", Some("gate.max_bytes")),
        ("gate: {max_bytes: 9}", None),
        ("gate: {max_file_bytes: 2}", Some("gate.max_file_bytes")),
        ("gate: {max_file_bytes: 3}", None),
    ] {
        let judged = judge(&three(), &policy(text));
        let expected = if rule.is_some() { Verdict::Hold } else { Verdict::Accept };
        assert_eq!(judged.verdicts, [expected; 3], "{text}");
        assert_eq!(judged.reasons.first().map(|reason| reason.rule.as_str()), rule, "{text}");
        let record = judged.record(&three(), "run", "digest");
        assert_eq!(record.held.len(), if rule.is_some() { 3 } else { 0 }, "{text}");
    }
    // What was refused stays refused beside it, and where nobody is asked it is a note.
    let placeholder = Found::Synthetic { id: "s1".to_owned(), name: "TOKEN".to_owned() };
    let mixed = set(vec![created("a.py", vec![placeholder]), created("b.py", Vec::new())]);
    assert_eq!(judge(&mixed, &policy("gate: {max_files: 1}")).verdicts, [Verdict::Refuse, Verdict::Hold]);
    let nobody = judge(&three(), &policy("gate: {max_files: 2}\nreview: never"));
    assert_eq!((nobody.verdict, nobody.reasons.len()), (Verdict::Accept, 1));
}

#[test]
fn review_globs_hold_and_their_last_word_counts() {
    let policy = policy("require_human_review: [\"*.yml\", \"docs/\", \"!docs/free.md\"]\n");
    for (path, expected) in [
        ("a.yml", Verdict::Hold),
        ("x/y/a.yml", Verdict::Hold),
        ("docs/b.md", Verdict::Hold),
        ("docs/free.md", Verdict::Accept),
        ("a.yaml", Verdict::Accept),
    ] {
        let (verdict, reasons) = verdict(created(path, Vec::new()), &policy);
        assert_eq!(verdict, expected, "{path}");
        assert_eq!(reasons.iter().any(|reason| reason.pattern.is_some()), expected == Verdict::Hold);
    }
    // What moves out of a reviewed place is a change there.
    let mut moved = created("free.txt", Vec::new());
    moved.from = Some(Bytes(b"docs/b.md".to_vec()));
    moved.before = moved.after.clone();
    assert_eq!(verdict(moved, &policy).0, Verdict::Hold);
}

#[test]
fn blocked_patterns_refuse_what_is_run_and_note_the_rest() {
    let policy = policy(
        "blocked_patterns:\n- rm -rf\n- {pattern: curl, in: [source]}\n- {pattern: x, in: [command]}\n",
    );
    for (path, pattern, expected) in [
        ("run.sh", 0, Verdict::Refuse),
        ("Makefile", 0, Verdict::Refuse),
        ("app.py", 0, Verdict::Accept),
        ("README.md", 0, Verdict::Accept),
        ("app.py", 1, Verdict::Refuse),
        ("run.sh", 1, Verdict::Accept),
        ("run.sh", 2, Verdict::Accept),
    ] {
        let (verdict, reasons) = verdict(created(path, vec![Found::Pattern(pattern)]), &policy);
        let runs_later = path == "Makefile";
        assert_eq!(verdict, expected, "{path} {pattern}");
        let reason = reasons.iter().find(|reason| reason.rule == "blocked_patterns").expect("a reason");
        assert_eq!((reason.effect, reason.line), (expected, Some(4)), "{path}");
        assert_eq!(reasons.len(), 1 + usize::from(runs_later), "{path}");
    }
}

#[test]
fn secrets_refuse_or_hold() {
    let policy = policy("{}\n");
    let (id, name) = ("s1".to_owned(), "TOKEN".to_owned());
    for (found, expected, word) in [
        (Found::RealSecret { id: id.clone(), name: name.clone() }, Verdict::Refuse, "real value"),
        (Found::Synthetic { id, name }, Verdict::Refuse, "this is a placeholder"),
        (Found::Credential { kind: "github-token".to_owned() }, Verdict::Hold, "github-token"),
    ] {
        let (verdict, reasons) = verdict(created("notes.md", vec![found]), &policy);
        assert_eq!(verdict, expected);
        assert!(reasons.iter().any(|reason| reason.message.contains(word)), "{reasons:?}");
    }
}

#[test]
fn what_runs_later_is_held_with_its_sentence() {
    let policy = policy("{}\n");
    for path in [".git/hooks/pre-commit", "Makefile", ".github/workflows/x.yml", "conftest.py", ".envrc"] {
        let (verdict, reasons) = verdict(created(path, Vec::new()), &policy);
        assert_eq!(verdict, Verdict::Hold, "{path}");
        assert!(reasons[0].message.starts_with("runs on your machine when "), "{reasons:?}");
    }
    // Taking one away runs nothing.
    let mut gone = created("Makefile", Vec::new());
    gone.before = gone.after.take();
    assert_eq!(verdict(gone, &policy).0, Verdict::Accept);
    let scripts = created("package.json", vec![Found::RunsLater("npm is used here")]);
    assert_eq!(verdict(scripts, &policy).0, Verdict::Hold);
    assert_eq!(verdict(created("package.json", Vec::new()), &policy).0, Verdict::Accept);
}

#[test]
fn kinds_modes_and_links_have_their_rules() {
    let policy = policy("{}\n");
    let with = |kind: NodeKind, mode: u32| {
        let mut change = created("thing", Vec::new());
        change.after = Some(node(kind, mode));
        change
    };
    let link = |target: &str| NodeKind::Symlink(Bytes(target.as_bytes().to_vec()));
    for (kind, mode, expected) in [
        (link("beside"), 0o777, Verdict::Accept),
        (link("/etc/passwd"), 0o777, Verdict::Hold),
        (NodeKind::Special, 0o600, Verdict::Refuse),
        (NodeKind::Fifo, 0o600, Verdict::Accept),
        (NodeKind::Binary, 0o4755, Verdict::Hold),
        (NodeKind::Binary, 0o755, Verdict::Accept),
        (NodeKind::Directory, 0o2755, Verdict::Accept),
    ] {
        assert_eq!(verdict(with(kind.clone(), mode), &policy).0, expected, "{kind:?} {mode:o}");
    }
}

#[test]
fn review_always_and_never_are_the_two_ends() {
    let always = policy("review: always\n");
    assert_eq!(verdict(created("a.txt", Vec::new()), &always).0, Verdict::Hold);
    let never = policy("review: never\nblocked_patterns: [\"rm -rf\"]\n");
    let (held, reasons) = verdict(created("Makefile", Vec::new()), &never);
    assert_eq!((held, reasons.len()), (Verdict::Accept, 1), "the reason stays on record");
    assert_eq!(verdict(created("a.sh", vec![Found::Pattern(0)]), &never).0, Verdict::Refuse);
}

#[test]
fn what_was_left_out_refuses_the_run() {
    let left = LeftOut { path: Bytes(b"deep".to_vec()), reason: "too deep".to_owned() };
    let judged =
        judge(&ChangeSet { changes: Vec::new(), left_out: vec![left], commits: None }, &policy("{}\n"));
    assert_eq!(judged.verdict, Verdict::Refuse);
    let record = judged.record(&ChangeSet::default(), "RUN", "sha256:0");
    assert_eq!(record.verdict, Verdict::Refuse);
}

#[test]
fn a_directory_that_gave_way_ties_what_is_in_it() {
    let policy = policy("require_human_review: [\"*.yml\", \"place\"]\n");
    // A directory became a file, and something in it must not go unseen.
    let mut became_file = created("dir", Vec::new());
    became_file.before = Some(node(NodeKind::Directory, 0o755));
    let gone = |path: &str| {
        let mut change = created(path, Vec::new());
        change.before = change.after.take();
        change
    };
    let judged = judge(&set(vec![became_file, gone("dir/a.txt"), gone("dir/b.yml")]), &policy);
    assert_eq!(judged.verdicts, [Verdict::Hold; 3], "{judged:?}");
    // A file that waits became a directory: what is in it waits too.
    let mut became_directory = created("place", Vec::new());
    became_directory.before = Some(node(NodeKind::Symlink(Bytes(b"x".to_vec())), 0o777));
    became_directory.after = Some(node(NodeKind::Directory, 0o755));
    let judged = judge(
        &set(vec![became_directory, created("place/a", Vec::new()), created("z", Vec::new())]),
        &policy,
    );
    assert_eq!(judged.verdicts, [Verdict::Hold, Verdict::Hold, Verdict::Accept], "{judged:?}");
}

#[test]
fn the_record_has_files_and_no_directories() {
    let mut directory = created("dir", Vec::new());
    directory.after = Some(node(NodeKind::Directory, 0o755));
    let set = set(vec![directory, created("dir/a.txt", Vec::new()), created("dir/Makefile", Vec::new())]);
    let record = judge(&set, &policy("{}\n")).record(&set, "RUN", "sha256:0");
    assert_eq!(record.accepted, ["dir/a.txt"]);
    assert_eq!(record.held, ["dir/Makefile"]);
    assert_eq!(record.verdict, Verdict::Hold);
    assert_eq!(record.changes_digest, set.digest());
}
