//! Runs git on what a run wrote: nothing of it may start a program, and no configuration but the repository's own
//! is read.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use super::CommitsError;

/// A git directory to work in.
pub(super) struct Git {
    directory: PathBuf,
    work_tree: Option<PathBuf>,
    index: Option<PathBuf>,
    asks: Asks,
}

/// Whose configuration counts, beside the repository's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nobody,
    User,
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
        Self { directory: directory.into(), work_tree: None, index: None, asks: Asks::Nobody }
    }

    pub(super) fn work_tree(mut self, tree: &Path) -> Self {
        self.work_tree = Some(tree.to_owned());
        self
    }

    pub(super) fn index(mut self, index: &Path) -> Self {
        self.index = Some(index.to_owned());
        self
    }

    /// With the user's own configuration: who they are, what they ignore.
    pub(super) fn for_the_user(mut self) -> Self {
        self.asks = Asks::User;
        self
    }

    /// Runs a command of git and gives what it prints.
    pub(super) fn run<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        arguments: &[S],
        input: &[u8],
    ) -> Result<Vec<u8>, CommitsError> {
        self.run_or(what, arguments, input, 0)
    }

    /// The same, where one more exit code is an answer.
    pub(super) fn run_or<S: AsRef<OsStr>>(
        &self,
        what: &'static str,
        arguments: &[S],
        input: &[u8],
        also: i32,
    ) -> Result<Vec<u8>, CommitsError> {
        let mut child = self.command(arguments).spawn().map_err(CommitsError::NoGit)?;
        let stdin = child.stdin.take();
        let input = input.to_vec();
        // Fed from beside, so that neither waits for the other with a full pipe.
        let feeder = std::thread::spawn(move || -> io::Result<()> {
            stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&input))
        });
        let output = child.wait_with_output().map_err(CommitsError::NoGit)?;
        // A git that ends early does not read to the end.
        let _ = feeder.join();
        if output.status.success() || output.status.code() == Some(also) {
            return Ok(output.stdout);
        }
        Err(refused(what, &output.stderr))
    }

    /// Runs a command that says nothing and is fed a stream; one that cannot be written to its end is no success.
    pub(super) fn feed(
        &self,
        what: &'static str,
        arguments: &[&str],
        write: impl FnOnce(&mut ChildStdin) -> io::Result<()>,
    ) -> Result<(), CommitsError> {
        let mut child = self.command(arguments).spawn().map_err(CommitsError::NoGit)?;
        let written = match child.stdin.take() {
            Some(mut stdin) => write(&mut stdin),
            None => Ok(()),
        };
        let output = child.wait_with_output().map_err(CommitsError::NoGit)?;
        match written {
            // A git that ended early says why.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommitsError::Io { what, source: error })
            }
            _ if !output.status.success() => Err(refused(what, &output.stderr)),
            other => other.map_err(|source| CommitsError::Io { what, source }),
        }
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new("git");
        // What the user's shell says about git is about other repositories.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .env("GIT_DIR", &self.directory);
        if self.asks == Asks::Nobody {
            command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        }
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
        command
    }
}

fn refused(what: &'static str, said: &[u8]) -> CommitsError {
    let said = String::from_utf8_lossy(said).into_owned();
    let said: String =
        said.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    CommitsError::Git { what, said }
}
