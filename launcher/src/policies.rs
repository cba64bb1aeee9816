//! Owns where policies come from: the user's file, the project's or `--policy`, and the command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use shieldrun_policy::schema::{
    Diagnostic, Layer, NetworkMode, Overrides, Policy, Source, load, overrides_from_json,
};

use crate::cli::RunArguments;
use crate::host::Host;
use crate::say;

/// Name of a policy file, everywhere.
const FILE_NAME: &str = "sandbox-policy.yaml";
/// More than this is no policy.
const LARGEST: u64 = 16 << 20;

/// Why there is no policy.
#[derive(Debug)]
pub(crate) enum PolicyError {
    /// A file that was named, or is there, cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The files have mistakes: all of them.
    Mistakes(Vec<Diagnostic>),
}

/// The policy of a run.
///
/// # Errors
/// When a file cannot be read or has a mistake in it.
pub(crate) fn policy(host: &Host, arguments: &RunArguments) -> Result<Policy, PolicyError> {
    let sources = sources(host, arguments.policy.as_deref())?;
    load(&sources, &overrides(host, arguments)?).map_err(PolicyError::Mistakes)
}

/// The files that count here, in the order of their layers.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) fn sources(host: &Host, named: Option<&Path>) -> Result<Vec<Source>, PolicyError> {
    let mut sources = Vec::new();
    let config = host.path_variable("XDG_CONFIG_HOME").or_else(|| Some(host.home.as_ref()?.join(".config")));
    if let Some(path) = config.map(|config| config.join("shieldrun").join(FILE_NAME)) {
        sources.extend(source_if_there(&path, Layer::User)?);
    }
    match named {
        // Named on the command line: the person's own word, in the place of the project's file.
        Some(path) => sources.push(source(path, Layer::User)?),
        None => sources.extend(source_if_there(&host.workspace.join(FILE_NAME), Layer::Project)?),
    }
    Ok(sources)
}

/// Tells a person at a terminal which agent this was taken for, and what that brought.
pub(crate) fn say_profile(policy: &Policy, quiet: bool) {
    let Some(profile) = policy.profile.filter(|_| !quiet && std::io::stderr().is_terminal()) else { return };
    let network = match policy.network.mode {
        NetworkMode::None => "it reaches no model: `--network allowlist` allows its hosts",
        NetworkMode::Allowlist if policy.allows_hosts_of(profile) => "its hosts are allowed",
        NetworkMode::Allowlist => "its hosts are not allowed: `--network allowlist` does that",
        NetworkMode::Open => "every public host is reached",
    };
    say::line(format_args!(
        "{}: its settings are there, its login is synthetic, {network} (`--profile none`: no profile)",
        profile.title
    ));
    if let Some(words) = profile.without_its_sandbox.filter(|_| !policy.nested) {
        say::line(format_args!(
            "{}: a sandbox of its own finds no namespaces here: start it with `{words}`, or set `isolation.nested`",
            profile.title
        ));
    }
}

fn source_if_there(path: &Path, layer: Layer) -> Result<Option<Source>, PolicyError> {
    match source(path, layer) {
        Err(PolicyError::Unreadable(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A dangling link says that somebody meant to have one.
        other => other.map(Some),
    }
}

fn source(path: &Path, layer: Layer) -> Result<Source, PolicyError> {
    let text = read_file(path).map_err(|error| PolicyError::Unreadable(path.to_path_buf(), error))?;
    Ok(Source { name: path.display().to_string(), text, layer })
}

/// Reads a regular file of sane size; a FIFO must not hang us.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// The options, with `--config` beneath them.
fn overrides(host: &Host, arguments: &RunArguments) -> Result<Overrides, PolicyError> {
    let mut overrides = match &arguments.config {
        None => Overrides::default(),
        Some(config) => {
            let (name, text) = config_text(config)?;
            overrides_from_json(&name, &text).map_err(PolicyError::Mistakes)?
        }
    };
    overrides.timeout = arguments.timeout;
    // Who names a host means it to be reached.
    let implied = (!arguments.allow.is_empty()).then_some(NetworkMode::Allowlist);
    overrides.network = arguments.network.or(implied);
    overrides.allow.clone_from(&arguments.allow);
    overrides.ssh_hosts.clone_from(&arguments.ssh_agent);
    overrides.secrets = arguments.secrets;
    overrides.writes = arguments.writes;
    overrides.review = arguments.review;
    overrides.isolation = arguments.isolation;
    overrides.profile = arguments.profile;
    overrides.command = arguments.command_bytes();
    overrides.workspace = host.workspace.as_os_str().as_bytes().to_vec();
    overrides.sinks.clone_from(&arguments.sinks);
    Ok(overrides)
}

fn config_text(config: &OsString) -> Result<(String, Vec<u8>), PolicyError> {
    match config.as_bytes().strip_prefix(b"@") {
        None => Ok(("--config".to_owned(), config.as_bytes().to_vec())),
        Some(name) => {
            let path = PathBuf::from(OsStr::from_bytes(name));
            let text = fs::read(&path).map_err(|error| PolicyError::Unreadable(path.clone(), error))?;
            Ok((path.display().to_string(), text))
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, _) => write!(out, "cannot read the policy `{}`", path.display()),
            Self::Mistakes(mistakes) => {
                write!(
                    out,
                    "the policy has {} mistake{}",
                    mistakes.len(),
                    if mistakes.len() == 1 { "" } else { "s" }
                )?;
                for mistake in mistakes {
                    write!(out, "\n{}", mistake.rendered())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for PolicyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::Mistakes(_) => None,
        }
    }
}
