//! The diff on real overlays: what it says is what was done.

mod patch;

use std::collections::HashSet;
use std::fs;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use shieldrun_policy::changes::{Change, ChangeKind, ChangeSet, Found, Node, NodeKind};
use shieldrun_policy::pattern::Pattern;
use shieldrun_secrets::{Registry, RunKey, substitute_env};

use super::fixture::{Layered, Step, Told, sides, step, write};
use super::random::{cases, work};
use super::{Eyes, take};

/// The diff of some work, and the patch.
fn taken(layers: &Layered, registry: &Registry, patterns: &[Pattern]) -> (ChangeSet, Vec<u8>, Vec<u8>) {
    let (mut list, mut patch) = (Vec::new(), Vec::new());
    let opened = layers.open();
    let set = take(&sides(&opened), &Eyes::new(registry, patterns), &mut patch).expect("a diff");
    super::list(&set, &mut list).expect("listed");
    (set, list, patch)
}

fn nothing_secret() -> Registry {
    Registry::new(RunKey::from_bytes([7; 32]))
}

/// Some work over a tree; none where there is no overlay.
fn diff_of(before: &[Step], work: &[Step]) -> Option<(Layered, Told, Told, ChangeSet, Vec<u8>)> {
    let layers = Layered::new();
    let was = layers.outside(before);
    let is = layers.inside(work)?;
    let (set, _, patch) = taken(&layers, &nothing_secret(), &[]);
    Some((layers, was, is, set, patch))
}

fn words(set: &ChangeSet) -> Vec<(String, &'static str)> {
    set.changes.iter().map(|change| (change.path.to_string(), change.kind().word())).collect()
}

/// A node as the worker tells it.
fn told(node: &Node) -> Json {
    let mut one = json!({"mode": node.mode});
    match &node.kind {
        NodeKind::Text | NodeKind::Binary => {
            one["type"] = json!("file");
            one["sha256"] = json!(node.digest.map(|digest| data_encoding::HEXLOWER.encode(&digest)));
            one["modified"] = json!(node.modified.0 * 1_000_000_000 + node.modified.1);
        }
        NodeKind::Symlink(target) => {
            one["type"] = json!("symlink");
            one["target"] = json!(String::from_utf8_lossy(&target.0));
        }
        NodeKind::Directory => one["type"] = json!("directory"),
        _ => one["type"] = json!("fifo"),
    }
    if node.attributes.is_some() {
        one["attributes"] = json!({"user.note": "noted"});
    }
    one
}

/// The changes, done to what was.
fn changed(mut was: Told, set: &ChangeSet) -> Told {
    let name = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    for change in &set.changes {
        let Change { path, from, before, after, .. } = change;
        let source = from.as_ref().unwrap_or(path);
        let old = was.remove(&name(&source.0));
        assert_eq!(old, before.as_ref().map(told), "before {change:?}");
        if let Some(after) = after {
            was.insert(name(&path.0), told(after));
        }
    }
    was
}

#[test]
fn each_kind_of_change_has_its_word() {
    let before = [
        write("kept", b"same\n"),
        write("changed", b"one\ntwo\n"),
        write("gone", b"bye\n"),
        write("old-name", b"moves on\n"),
        write("mode", b"#!/bin/sh\n"),
        write("touched", b"time\n"),
        write("copied-up", b"same\n"),
        step(&["mkdir", "dir"]),
        write("dir/inside", b"x\n"),
        step(&["symlink", "link", "kept"]),
        write("becomes-dir", b"x\n"),
        step(&["mkdir", "becomes-file"]),
        write("becomes-file/y", b"y\n"),
    ];
    let work = [
        write("changed", b"one\n2\n"),
        step(&["remove", "gone"]),
        step(&["rename", "old-name", "new-name"]),
        step(&["chmod", "mode", "755"]),
        step(&["touch", "touched", "5000000000"]),
        // There and back: the kernel copied it up, and nothing is other.
        step(&["chmod", "copied-up", "600"]),
        step(&["chmod", "copied-up", "644"]),
        step(&["clear", "dir"]),
        step(&["mkdir", "dir"]),
        write("dir/fresh", b"z\n"),
        step(&["remove", "link"]),
        step(&["symlink", "link", "changed"]),
        step(&["remove", "becomes-dir"]),
        step(&["mkdir", "becomes-dir"]),
        write("becomes-dir/x", b"x2\n"),
        step(&["clear", "becomes-file"]),
        write("becomes-file", b"file\n"),
        write("binary", b"\0\x01\x02"),
        step(&["fifo", "pipe"]),
    ];
    let Some((_layers, was, is, set, _)) = diff_of(&before, &work) else { return };
    let expected = [
        ("becomes-dir", "changed"),
        ("becomes-dir/x", "created"),
        ("becomes-file", "changed"),
        ("becomes-file/y", "deleted"),
        ("binary", "created"),
        ("changed", "changed"),
        ("dir/fresh", "created"),
        ("dir/inside", "deleted"),
        ("gone", "deleted"),
        ("link", "changed"),
        ("mode", "mode"),
        ("new-name", "renamed"),
        ("pipe", "created"),
        ("touched", "time"),
    ];
    let expected: Vec<_> = expected.map(|(path, word)| (path.to_owned(), word)).to_vec();
    assert_eq!(words(&set), expected);
    assert_eq!(changed(was, &set), is);
    let of = |path: &str| set.changes.iter().find(|change| change.path.to_string() == path).expect(path);
    assert_eq!(of("changed").lines.map(|lines| (lines.added, lines.removed)), Some((1, 1)));
    assert_eq!(of("binary").lines, None);
    assert_eq!(of("gone").lines.map(|lines| (lines.added, lines.removed)), Some((0, 1)));
}

#[test]
fn masked_paths_and_gits_own_state_are_no_changes() {
    let layers = Layered::new();
    layers.outside(&[step(&["mkdir", ".git"]), step(&["mkdir", ".git/hooks"]), write(".env", b"A=1\n")]);
    let work = [
        step(&["mkdir", ".git/objects"]),
        write(".git/objects/x", b"x"),
        write(".git/index", b"x"),
        write(".git/config", b"[core]\n"),
        write(".git/hooks/pre-commit", b"#!/bin/sh\n"),
        write(".env", b"A=2\n"),
        write("seen", b"x"),
    ];
    if layers.inside(&work).is_none() {
        return;
    }
    let opened = layers.open();
    let mut sides = sides(&opened);
    sides.masked = HashSet::from([b".env".to_vec()]);
    let registry = nothing_secret();
    let set = take(&sides, &Eyes::new(&registry, &[]), Vec::new()).expect("a diff");
    let paths: Vec<_> = words(&set).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, [".git/config", ".git/hooks/pre-commit", "seen"]);
}

#[test]
fn findings_are_in_added_lines_with_their_numbers() {
    let value = ["k3Jd8sLq0Z", "pXv7Rt2NwYb6Hm"].concat();
    let mut registry = nothing_secret();
    substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), value.clone().into_bytes())]);
    let synthetic = String::from_utf8(registry.entries()[0].synthetic().to_vec()).expect("text");
    let key = ["sk_", "live_", "R7kq2LmXz9TnB4vCwY6sHd8JfP3aGe1Uo5Qi"].concat();
    let layers = Layered::new();
    layers.outside(&[write("run.sh", b"rm -rf old\nkeep\n"), write("later", b"rm -rf x\n")]);
    let work = [
        write("run.sh", b"rm -rf old\nkeep\nrm -rf new\n"),
        write("real", format!("first\nA={value}\n").as_bytes()),
        write("placeholder", format!("{synthetic}\n").as_bytes()),
        write("unknown", format!("\ntoken = \"{key}\"\n").as_bytes()),
        write("package.json", br#"{"scripts":{"postinstall":"x"}}"#),
        write("hidden.sh", b"\0\nrm -rf y\n"),
        // Not a line is new, but from now on it runs.
        step(&["chmod", "later", "755"]),
    ];
    if layers.inside(&work).is_none() {
        return;
    }
    let patterns = [Pattern::new("rm -rf", Vec::new()).expect("a pattern")];
    let (set, list, patch) = taken(&layers, &registry, &patterns);
    let of = |path: &str| {
        let change = set.changes.iter().find(|change| change.path.to_string() == path).expect(path);
        change.findings.iter().map(|finding| (finding.line, finding.what.clone())).collect::<Vec<_>>()
    };
    let (id, name) = (registry.entries()[0].id.to_string(), "A_TOKEN".to_owned());
    assert_eq!(of("run.sh"), [(Some(3), Found::Pattern(0))]);
    assert_eq!(of("later"), [(Some(1), Found::Pattern(0))]);
    assert_eq!(of("hidden.sh"), [(Some(2), Found::Pattern(0))]);
    assert_eq!(of("real"), [(Some(2), Found::RealSecret { id: id.clone(), name: name.clone() })]);
    assert_eq!(of("placeholder"), [(Some(1), Found::Synthetic { id: id.clone(), name })]);
    let credentials = of("unknown");
    assert!(matches!(&credentials[..], [(Some(2), Found::Credential { .. })]), "{credentials:?}");
    assert!(matches!(of("package.json")[..], [(None, Found::RunsLater(_))]), "{:?}", of("package.json"));
    // The value is nowhere in the record; whose it is, is.
    for bytes in [&list, &patch] {
        assert!(!String::from_utf8_lossy(bytes).contains(&value));
    }
    assert!(String::from_utf8_lossy(&patch).contains(&format!("[a line with {id}]")));
}

#[test]
fn a_name_that_holds_a_real_value_is_left_out_by_whose_it_is() {
    let value = ["k3Jd8sLq0Z", "pXv7Rt2NwYb6Hm"].concat();
    let mut registry = nothing_secret();
    substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), value.clone().into_bytes())]);
    let layers = Layered::new();
    if layers.inside(&[write(&value, b"x")]).is_none() {
        return;
    }
    let (set, list, patch) = taken(&layers, &registry, &[]);
    assert!(set.changes.is_empty());
    assert!(set.left_out[0].reason.contains("A_TOKEN"), "{:?}", set.left_out);
    assert!(!format!("{set:?}{list:?}{}", String::from_utf8_lossy(&patch)).contains(&value));
}

#[test]
fn a_large_file_is_read_in_pieces() {
    let layers = Layered::new();
    let large = vec![b'a'; (super::content::MOST_KEPT + 10) as usize];
    fs::write(layers.lower().join("large"), &large).expect("written");
    if layers.inside(&[step(&["append", "large", "0a"])]).is_none() {
        return;
    }
    let (set, _, patch) = taken(&layers, &nothing_secret(), &[]);
    assert_eq!(words(&set), [("large".to_owned(), "changed")]);
    assert_eq!(set.changes[0].after.as_ref().map(|node| node.size), Some(large.len() as u64 + 1));
    assert!(String::from_utf8_lossy(&patch).starts_with("# not in this patch: changed large"));
}

#[test]
fn a_large_binary_file_is_read_as_far_as_somebody_asks() {
    let layers = Layered::new();
    let large = vec![0u8; super::content::MOST_BINARY as usize + 10];
    for name in ["same size", "longer", "gone", "closed", "touched"] {
        fs::write(layers.lower().join(name), &large).expect("written");
    }
    let mut other = large.clone();
    other[77] = 1;
    let other = data_encoding::HEXLOWER.encode(&other);
    let work = [
        step(&["write", "same size", &other]),
        step(&["append", "longer", "0a"]),
        step(&["remove", "gone"]),
        step(&["chmod", "closed", "755"]),
        step(&["touch", "touched", "1000000007"]),
        step(&["write", "made", &other]),
        step(&["link", "made", "linked"]),
    ];
    if layers.inside(&work).is_none() {
        return;
    }
    let (set, _, patch) = taken(&layers, &nothing_secret(), &[]);
    let of = |path: &str| set.changes.iter().find(|change| change.path.to_string() == path).expect(path);
    let kinds: Vec<_> = set.changes.iter().map(|change| change.kind().word()).collect();
    assert_eq!(kinds, ["mode", "deleted", "created", "changed", "created", "changed", "time"]);
    let known = |node: &Option<Node>| node.as_ref().is_some_and(|node| node.digest.is_some());
    // Where the sizes are the same it takes a look to tell them apart; else what was there is no more than that.
    assert!(known(&of("same size").before) && known(&of("closed").before) && known(&of("touched").before));
    assert!(!known(&of("longer").before) && !known(&of("gone").before));
    let after = set.changes.iter().filter(|change| change.after.is_some());
    assert!(after.into_iter().all(|change| known(&change.after)));
    assert_eq!(of("linked").after, of("made").after);
    let patch = String::from_utf8_lossy(&patch);
    for line in
        ["# not in this patch: changed longer", "# not in this patch: created linked", "new mode 100755"]
    {
        assert!(patch.contains(line), "{line}\n{patch}");
    }
    assert!(!patch.contains("GIT binary patch"), "{patch}");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_work_is_told_exactly((before, work) in work()) {
        let Some((layers, was, is, set, patch)) = diff_of(&before, &work) else { return Ok(()) };
        // What the user's own tree closes to its owner is root's to see; for anybody else it is left out, by name.
        if !set.left_out.is_empty() && !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        prop_assert!(set.left_out.is_empty(), "{:?}", set.left_out);
        prop_assert!(set.changes.iter().all(|change| change.kind() != ChangeKind::Created || change.before.is_none()));
        prop_assert_eq!(changed(was, &set), is.clone());
        patch::assert_applies(&layers, &patch, &is);
        // The diff leaves both sides as they were.
        let (again, _, _) = taken(&layers, &nothing_secret(), &[]);
        prop_assert_eq!(again.digest(), set.digest());
    }
}
