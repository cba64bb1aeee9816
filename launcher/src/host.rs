//! Owns what the launcher knows of the host before it decides anything: user, home, workspace,
//! environment. Read once, at the start.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{env, fmt, io};

use crate::record::{RecordError, runs_dir};

/// The facts.
#[derive(Debug)]
pub(crate) struct Host {
    /// Effective user id, kept inside.
    pub uid: u32,
    /// Effective group id, kept inside.
    pub gid: u32,
    /// Canonical home directory, where there is one.
    pub home: Option<PathBuf>,
    /// Canonical working directory.
    pub working_directory: PathBuf,
    /// Nearest directory upwards with a `.git`, else the working directory.
    pub workspace: PathBuf,
    /// The git directory that the workspace shares with other work trees, where it lies elsewhere.
    pub repository: Option<PathBuf>,
    /// The environment, as exec gave it: `NAME=value` split at the first `=`.
    pub variables: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why the host cannot be described.
#[derive(Debug)]
pub(crate) enum HostError {
    /// The working directory is gone or closed to us.
    WorkingDirectory(io::Error),
    /// The workspace would be the whole machine.
    RootWorkspace,
}

impl Host {
    /// Looks.
    ///
    /// # Errors
    /// When there is no working directory, or it is `/` outside a repository.
    pub(crate) fn look() -> Result<Self, HostError> {
        let working_directory = env::current_dir().map_err(HostError::WorkingDirectory)?;
        let home = env::var_os("HOME")
            .map(PathBuf::from)
            .filter(|home| home.is_absolute())
            .and_then(|home| home.canonicalize().ok())
            .filter(|home| home != Path::new("/"));
        let workspace = workspace_of(&working_directory, home.as_deref());
        if workspace == Path::new("/") {
            return Err(HostError::RootWorkspace);
        }
        Ok(Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            home,
            working_directory,
            repository: repository_of(&workspace),
            workspace,
            variables: env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect(),
        })
    }

    /// The value of a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&[u8]> {
        self.variables.iter().find(|(own, _)| own == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// A variable as a path, if it is an absolute one (XDG: relative ones are ignored).
    pub(crate) fn path_variable(&self, name: &str) -> Option<PathBuf> {
        self.variable(name)
            .map(|value| PathBuf::from(OsString::from_vec(value.to_vec())))
            .filter(|path| path.is_absolute())
    }

    /// Where records of runs lie.
    ///
    /// # Errors
    /// When there is neither a home nor `XDG_STATE_HOME`.
    pub(crate) fn runs(&self) -> Result<PathBuf, RecordError> {
        let state = self.path_variable("XDG_STATE_HOME");
        runs_dir(state.as_deref().map(Path::as_os_str), self.home.as_deref().map(Path::as_os_str))
    }

    /// A path of the policy: absolute, under `~/`, or relative to the workspace.
    pub(crate) fn path_of(&self, written: &str) -> PathBuf {
        match written.strip_prefix('~') {
            Some(rest) => self.home_or_root().join(rest.trim_start_matches('/')),
            // An absolute path replaces the workspace.
            None => self.workspace.join(written),
        }
    }

    /// The home, or `/` where there is none.
    pub(crate) fn home_or_root(&self) -> &Path {
        self.home.as_deref().unwrap_or(Path::new("/"))
    }

    /// Home as bytes.
    pub(crate) fn home_bytes(&self) -> Option<&[u8]> {
        self.home.as_deref().map(|home| home.as_os_str().as_bytes())
    }
}

/// 256 random bits.
///
/// # Errors
/// What getrandom(2) gives.
pub(crate) fn random_key() -> io::Result<[u8; 32]> {
    let mut key = [0u8; 32];
    let mut filled = 0;
    while let Some(rest) = key.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(key)
}

/// The nearest git root; never the home's parent or `/` because of a stray `.git` there.
fn workspace_of(working_directory: &Path, home: Option<&Path>) -> PathBuf {
    working_directory
        .ancestors()
        .take_while(|directory| {
            home.is_none_or(|home| *directory == working_directory || !home.starts_with(directory))
        })
        .find(|directory| *directory != Path::new("/") && directory.join(".git").symlink_metadata().is_ok())
        .unwrap_or(working_directory)
        .to_path_buf()
}

/// Of a linked work tree: what its `.git` file names, and that names it back. A project's file alone must not be
/// able to make a directory of the host visible, and what lies in the named one is the user's word.
fn repository_of(workspace: &Path) -> Option<PathBuf> {
    let line = |path: &Path| {
        let text = std::fs::read(path).ok()?;
        let line = text.split(|byte| *byte == b'\n').next()?;
        Some(PathBuf::from(OsString::from_vec(line.to_vec())))
    };
    let link = workspace.join(".git");
    if !link.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let named = line(&link)?.into_os_string().into_vec();
    let named = PathBuf::from(OsString::from_vec(named.strip_prefix(b"gitdir: ")?.to_vec()));
    let own = workspace.join(named).canonicalize().ok()?;
    let back = own.join(line(&own.join("gitdir"))?).canonicalize().ok()?;
    let shared = own.join(line(&own.join("commondir"))?).canonicalize().ok()?;
    (back == link && own.starts_with(shared.join("worktrees")) && !shared.starts_with(workspace))
        .then_some(shared)
}

impl fmt::Display for HostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkingDirectory(_) => write!(out, "cannot find the working directory"),
            Self::RootWorkspace => write!(out, "the workspace would be `/`, the whole machine"),
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::WorkingDirectory(error) => Some(error),
            Self::RootWorkspace => None,
        }
    }
}

impl HostError {
    /// What a person can do.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::WorkingDirectory(_) => Some("change to a directory that exists"),
            Self::RootWorkspace => Some("change to the project's directory first"),
        }
    }
}
