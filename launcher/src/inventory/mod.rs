//! Owns the inventory: which secrets exist, in the environment and in files, and what stands for each.
//!
//! Reads the host, changes nothing. Real values go into the registry and nowhere else.

mod candidates;
mod content;
mod elsewhere;
mod environment;
mod files;
mod git;
mod links;
mod listing;
pub(crate) mod mounts;
pub(crate) mod path;
pub(crate) mod sockets;
mod store;
mod walk;

use std::io;
use std::path::PathBuf;

use shieldrun_policy::audit::SecretRef;
use shieldrun_policy::plan::{Bytes, Mask, Variable};
use shieldrun_policy::schema::Policy;
use shieldrun_secrets::{Registry, RunKey, SecretId};

use crate::cache::Cache;
use crate::host::{Host, random_key};

/// Everything that the plan needs to know of secrets.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Real and synthetic values.
    pub registry: Registry,
    /// The guest's environment.
    pub environment: Vec<Variable>,
    /// Names of variables that are secret (for the shim's table), in the registry's words.
    pub secret_variables: Vec<SecretVariable>,
    /// Variables that were taken out.
    pub removed: Vec<Bytes>,
    /// The command, without a real value in it.
    pub command: Vec<Bytes>,
    /// Which words of it were changed.
    pub replaced_arguments: Vec<usize>,
    /// What is masked, each path once.
    pub masks: Vec<Mask>,
}

/// A variable whose value is, or was, a real secret.
#[derive(Clone, Debug)]
pub(crate) struct SecretVariable {
    /// Its name.
    pub name: Vec<u8>,
    /// Whose value it holds, by everything but the value.
    pub secret: SecretRef,
}

impl SecretVariable {
    fn new(registry: &Registry, name: &[u8], ids: &[SecretId]) -> Self {
        let shown = String::from_utf8_lossy(name).into_owned();
        let entry = ids.first().and_then(|id| registry.entry(*id));
        let secret = SecretRef {
            id: entry.map_or_else(String::new, |entry| entry.id.to_string()),
            kind: entry.map_or("secret", |entry| entry.kind).into(),
            name: shown,
        };
        Self { name: name.to_vec(), secret }
    }
}

/// Why there is no inventory.
#[derive(Debug)]
pub(crate) enum InventoryError {
    /// The workspace cannot be opened.
    Workspace(PathBuf, io::Error),
    /// A secret file has names that cannot all be found.
    HardLinks {
        /// The file.
        path: Bytes,
        /// How many of its names were found.
        found: u64,
        /// How many it has.
        links: u64,
    },
    /// A table of the kernel's cannot be read.
    Table(&'static str, io::Error),
    /// More files hold a real value than can be masked.
    Everywhere {
        /// How many.
        files: usize,
        /// What one of the secrets is called.
        name: String,
    },
    /// No random numbers.
    Random(io::Error),
}

/// Looks at everything once.
///
/// # Errors
/// When something that must be protected cannot be.
pub(crate) fn take(policy: &Policy, host: &Host, command: &[Vec<u8>]) -> Result<Inventory, InventoryError> {
    let mut registry = Registry::new(RunKey::from_bytes(random_key().map_err(InventoryError::Random)?));
    let outcome = environment::substitute(&mut registry, policy, host);
    let candidates = candidates::collect(policy, host, &outcome.pointed_at)?;
    let mut found = files::find(&mut registry, policy, host, candidates)?;
    // The registry is whole only now: the values of one file may lie in another.
    let mut cache = Cache::open(host);
    elsewhere::cover(&registry, policy, host, &mut found, cache.as_mut())?;
    let mut masks = found.finish();
    masks.extend(cache.and_then(|cache| cache.mask()));
    masks.extend(sockets::masks().map_err(|error| InventoryError::Table(sockets::TABLE, error))?);
    // Here, too: a value of a file may lie inside another variable or an argument.
    let environment = environment::finish(&registry, outcome.variables);
    let (command, replaced_arguments) = environment::arguments(&registry, command);
    Ok(Inventory {
        registry,
        environment,
        secret_variables: outcome.secret_variables,
        removed: outcome.removed,
        command,
        replaced_arguments,
        masks,
    })
}

impl std::fmt::Display for InventoryError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Workspace(path, _) => write!(out, "cannot read the workspace `{}`", path.display()),
            Self::HardLinks { path, found, links } => write!(
                out,
                "the secret file `{path}` has {links} hard links and only {found} of them can be found to be masked"
            ),
            Self::Table(path, _) => write!(out, "cannot read `{path}`, which says what must be masked"),
            Self::Everywhere { files, name } => write!(
                out,
                "{files} files of the workspace hold a real value, as of `{name}`: too many to be masked"
            ),
            Self::Random(_) => write!(out, "cannot get random numbers for the run's key"),
        }
    }
}

impl std::error::Error for InventoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Workspace(_, error) | Self::Table(_, error) | Self::Random(error) => Some(error),
            Self::HardLinks { .. } | Self::Everywhere { .. } => None,
        }
    }
}

impl InventoryError {
    /// What a person can do.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::HardLinks { .. } => Some(
                "remove the other links, or say in your own policy that the file may be read: \
                 `secrets: {files: {PATH: allow}}`",
            ),
            Self::Table(..) => Some("is `/proc` mounted, and readable for you?"),
            Self::Everywhere { .. } => Some(
                "if it is no secret, say so in your own policy: `secrets: {env: {allow: [NAME]}}`, or                  `secrets: {files: {DIRECTORY: allow}}` for files that may be read",
            ),
            Self::Workspace(..) | Self::Random(_) => None,
        }
    }
}
