//! For tests: a tree, a real overlay over it, and somebody who works in it.
//!
//! The overlay is mounted in a user and mount namespace of its own, as a run's is, and is gone when the work is
//! done; the layers stay.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use super::Sides;

/// Who works in the tree.
const WORKER: &str = include_str!("fixture.py");

/// A tree and the layers over it.
pub(crate) struct Layered {
    pub(crate) at: tempfile::TempDir,
}

/// What is in a tree, by path.
pub(crate) type Told = BTreeMap<String, Json>;

/// One step of the work.
pub(crate) type Step = Vec<String>;

/// A step from words.
pub(crate) fn step(words: &[&str]) -> Step {
    words.iter().map(ToString::to_string).collect()
}

/// A step that writes a file.
pub(crate) fn write(path: &str, content: &[u8]) -> Step {
    step(&["write", path, &data_encoding::HEXLOWER.encode(content)])
}

impl Layered {
    /// An empty tree, on a file system that can hold an upper layer.
    pub(crate) fn new() -> Self {
        let parent =
            std::env::var_os("SHIELDRUN_TEST_DIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        let at =
            tempfile::Builder::new().prefix("shieldrun-layers-").tempdir_in(parent).expect("a directory");
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(at.path().join(name)).expect("a layer");
        }
        fs::write(at.path().join("worker.py"), WORKER).expect("the worker");
        Self { at }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.at.path().join(name)
    }

    pub(crate) fn lower(&self) -> PathBuf {
        self.path("lower")
    }

    /// Works in the user's own tree, as somebody outside does.
    pub(crate) fn outside(&self, steps: &[Step]) -> Told {
        let steps = self.steps(steps);
        worked(python().arg(self.path("worker.py")).arg(self.lower()).arg(steps))
    }

    /// Works in the overlay, as a run does; tells what it saw at its end. None where there is no overlay.
    pub(crate) fn inside(&self, steps: &[Step]) -> Option<Told> {
        let steps = self.steps(steps);
        let script = "mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work shieldrun merged || exit 77
            exec /usr/bin/python3 worker.py merged \"$1\"";
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", script, "sh"]).arg(steps).current_dir(self.at.path());
        let output = command.stderr(Stdio::inherit()).output().expect("unshare runs");
        if matches!(output.status.code(), Some(77 | 1)) {
            assert!(std::env::var_os("CI").is_none(), "a test would be skipped in CI: no overlay");
            return None;
        }
        Some(serde_json::from_slice(&output.stdout).expect("the worker tells what it sees"))
    }

    /// What is in the user's tree.
    pub(crate) fn told(&self) -> Told {
        tell(&self.lower())
    }

    /// Both sides, opened.
    pub(crate) fn open(&self) -> (OwnedFd, OwnedFd) {
        let open = |name| OwnedFd::from(fs::File::open(self.path(name)).expect("a layer"));
        (open("lower"), open("upper"))
    }

    fn steps(&self, steps: &[Step]) -> PathBuf {
        let path = self.path("steps.json");
        fs::write(&path, json!(steps).to_string()).expect("the steps");
        path
    }
}

/// Nothing is masked.
pub(crate) fn sides(layers: &(OwnedFd, OwnedFd)) -> Sides<'_> {
    Sides { lower: layers.0.as_fd(), upper: layers.1.as_fd(), masked: HashSet::new() }
}

/// What is in a tree.
pub(crate) fn tell(tree: &Path) -> Told {
    let worker = tempfile::NamedTempFile::new().expect("a file");
    fs::write(worker.path(), WORKER).expect("the worker");
    worked(python().arg(worker.path()).arg(tree))
}

fn python() -> Command {
    past_permissions("/usr/bin/python3")
}

/// A program that passes what is closed to its owner: root does, and anybody is root of a namespace of their own.
pub(crate) fn past_permissions(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["-Ur", program]);
    command
}

impl Drop for Layered {
    fn drop(&mut self) {
        // Whoever is not root does not get rid of what is closed.
        let _ = past_permissions("chmod").args(["-R", "u+rwX"]).arg(self.at.path()).status();
    }
}

fn worked(command: &mut Command) -> Told {
    let output = command.stderr(Stdio::inherit()).output().expect("python runs");
    // What ended it says whose failure it is: a worker that a signal ended says nothing itself.
    assert!(output.status.success(), "{command:?} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).expect("the worker tells what it sees")
}
