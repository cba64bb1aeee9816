//! References read from files, against what git itself says.

use std::os::fd::AsFd;
use std::process::Command;

use super::references::{self, Side};
use crate::changes::fixture::Layered;

/// Git in a directory, as somebody with no settings.
fn git(at: &std::path::Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
        .args(arguments)
        .current_dir(at)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn references_that_moved_are_found_loose_and_packed() {
    let layers = Layered::new();
    let (lower, upper) = (layers.lower(), layers.path("upper"));
    git(&lower, &["init", "--quiet", "--initial-branch=main"]);
    git(&lower, &["commit", "--quiet", "--allow-empty", "-m", "one"]);
    for branch in ["kept", "gone", "packed"] {
        git(&lower, &["branch", branch]);
    }
    git(&lower, &["pack-refs", "--all"]);
    let one = git(&lower, &["rev-parse", "HEAD"]);
    // The layer of a run that committed, made a branch, packed, and removed another.
    let copied = Command::new("cp").args(["-a"]).arg(lower.join(".git")).arg(&upper).status();
    assert!(copied.is_ok_and(|status| status.success()));
    git(&upper, &["commit", "--quiet", "--allow-empty", "-m", "two"]);
    let two = git(&upper, &["rev-parse", "HEAD"]);
    git(&upper, &["branch", "made"]);
    git(&upper, &["branch", "-D", "gone"]);
    git(&upper, &["update-ref", "refs/replace/x", "HEAD"]);
    git(&upper, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(&upper, &["checkout", "--quiet", "-b", "other"]);
    let opened = layers.open();
    let (mut lower, mut upper) = (Side::new(opened.0.as_fd()), Side::new(opened.1.as_fd()));
    let found = references::changed(&mut lower, &mut upper).expect("read");
    let found: Vec<_> = found.into_iter().map(|one| (one.name, one.old, one.new)).collect();
    let name = |name: &str| format!("refs/heads/{name}");
    assert_eq!(
        found,
        [
            (name("gone"), Some(one.clone()), None),
            (name("made"), None, Some(two.clone())),
            (name("main"), Some(one), Some(two.clone())),
            (name("other"), None, Some(two)),
        ],
        "and none of those that are not the run's to move"
    );
    let head = references::head(&mut lower, &mut upper).expect("read");
    assert_eq!(head, Some(("ref: refs/heads/main".to_owned(), "ref: refs/heads/other".to_owned())));
}
