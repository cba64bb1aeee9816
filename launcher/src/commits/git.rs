//! Runs git on what a run wrote: nothing of it may start a program, and no configuration but the repository's own
//! is read.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::CommitsError;

/// A git directory to work in.
pub(super) struct Git {
    directory: PathBuf,
    work_tree: Option<PathBuf>,
    index: Option<PathBuf>,
}

/// Configuration that goes with each call: what could start something is off.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "advice.detachedHead=false",
    "safe.directory=*",
];

impl Git {
    pub(super) fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), work_tree: None, index: None }
    }

    pub(super) fn work_tree(mut self, tree: &Path) -> Self {
        self.work_tree = Some(tree.to_owned());
        self
    }

    pub(super) fn index(mut self, index: &Path) -> Self {
        self.index = Some(index.to_owned());
        self
    }

    /// Runs a command of git and gives what it prints.
    pub(super) fn run<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        arguments: &[S],
        input: &[u8],
    ) -> Result<Vec<u8>, CommitsError> {
        let mut command = Command::new("git");
        // What the user's shell says about git is about other repositories.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .env("GIT_DIR", &self.directory);
        if let Some(tree) = &self.work_tree {
            command.env("GIT_WORK_TREE", tree).current_dir(tree);
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(CommitsError::NoGit)?;
        let stdin = child.stdin.take();
        let input = input.to_vec();
        // Fed from beside, so that neither waits for the other with a full pipe.
        let feeder = std::thread::spawn(move || -> io::Result<()> {
            stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&input))
        });
        let output = child.wait_with_output().map_err(CommitsError::NoGit)?;
        // A git that ends early does not read to the end.
        let _ = feeder.join();
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let said: String =
            said.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
        Err(CommitsError::Git { what, said })
    }
}
