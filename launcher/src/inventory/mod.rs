//! Owns the inventory: which secrets exist, in the environment and in files, and what stands for each.
//!
//! Reads the host, changes nothing. Real values go into the registry and nowhere else.

mod candidates;
mod content;
pub(crate) mod elsewhere;
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
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use shieldrun_policy::audit::SecretRef;
use shieldrun_policy::plan::{Bytes, Cover, Mask, Variable};
use shieldrun_policy::schema::{History, Isolation, Policy};
use shieldrun_secrets::{Registry, RunKey, SecretId};

use crate::cache::{Cache, Known};
use crate::history;
use crate::host::{Host, random_key};
use files::Found;
use path::contains;

/// Everything that the plan needs to know of secrets.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Real and synthetic values.
    pub registry: Arc<Registry>,
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

/// When the workspace is searched for values that lie where no secret is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// Before anything else, so that the inventory is whole.
    First,
    /// While the kernel builds the walls, where the last run found nothing there.
    Beside,
}

/// A search that is still to be made before the inventory can be relied on.
pub(crate) struct LeftOver {
    found: Found,
    cache: Cache,
    key: [u8; 32],
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

/// Looks at everything once. Where the search is to be `beside`, it may be left over: then the inventory holds
/// only once that has confirmed it.
///
/// # Errors
/// When something that must be protected cannot be.
pub(crate) fn take(
    policy: &Policy,
    host: &Host,
    command: &[Vec<u8>],
    search: Search,
) -> Result<(Inventory, Option<LeftOver>), InventoryError> {
    let mut cache = Cache::open(host);
    let workspace = host.workspace.as_os_str().as_bytes();
    let key = match cache.as_ref().and_then(|cache| cache.run_key(workspace)) {
        Some(key) => key,
        None => random_key().map_err(InventoryError::Random)?,
    };
    let mut registry = Registry::new(RunKey::from_bytes(key));
    let outcome = environment::substitute(&mut registry, policy, host);
    let candidates = candidates::collect(policy, host, &outcome.pointed_at)?;
    let mut found = files::find(&mut registry, policy, host, candidates)?;
    // The registry is whole only now: the values of one file may lie in another, or in the history.
    look_again(&registry, &mut found);
    let later = search == Search::Beside
        && policy.isolation == Isolation::Full
        && cache.as_ref().is_some_and(|cache| !cache.search_adds(workspace));
    if !later {
        values(&registry, policy, host, &mut found, cache.as_mut(), &key)?;
    }
    let is_shown =
        |mask: &Mask| matches!(mask.cover, Cover::Synthetic { .. }) && contains(workspace, &mask.at.0);
    let trust_times = !found.candidates.stores.is_empty();
    let mut masks = found.finish();
    let trust_times = trust_times && masks.iter().any(is_shown);
    masks.extend(cache.as_ref().and_then(Cache::mask));
    masks.extend(sockets::masks().map_err(|error| InventoryError::Table(sockets::TABLE, error))?);
    // Here, too: a value of a file may lie inside another variable or an argument.
    let mut environment = environment::finish(&registry, outcome.variables);
    if trust_times {
        git::trust_times(&mut environment);
    }
    let (command, replaced_arguments) = environment::arguments(&registry, command);
    let left_over = cache.filter(|_| later).map(|cache| LeftOver { found, cache, key });
    let inventory = Inventory {
        registry: Arc::new(registry),
        environment,
        secret_variables: outcome.secret_variables,
        removed: outcome.removed,
        command,
        replaced_arguments,
        masks,
    };
    Ok((inventory, left_over))
}

impl LeftOver {
    /// Searches, and says whether the inventory holds: whether nothing holds a real value but what it covers.
    /// What was found is remembered, so that the next inventory is not made without.
    ///
    /// # Errors
    /// When something that must be protected cannot be.
    pub(crate) fn confirm(
        mut self,
        registry: &Registry,
        policy: &Policy,
        host: &Host,
    ) -> Result<bool, InventoryError> {
        let was_there = self.cache.is_there();
        let added = values(registry, policy, host, &mut self.found, Some(&mut self.cache), &self.key)?;
        // A cache that was made only now would lie open inside.
        Ok(!added && self.cache.is_there() == was_there)
    }
}

/// What is shown in place of one file may hold a value of another, which was found later.
fn look_again(registry: &Registry, found: &mut Found) {
    let redactor = registry.redactor();
    if !redactor.scanner().is_empty() {
        elsewhere::look_again(&redactor, found.masks_mut());
        let repositories: Vec<_> = found.candidates.repositories().map(<[u8]>::to_vec).collect();
        git::keep_writable(found.masks_mut(), &repositories);
    }
}

/// Covers what holds the value of a secret without being its own file; says whether there is any such thing.
fn values(
    registry: &Registry,
    policy: &Policy,
    host: &Host,
    found: &mut Found,
    mut cache: Option<&mut Cache>,
    key: &[u8; 32],
) -> Result<bool, InventoryError> {
    let redactor = registry.redactor();
    if redactor.scanner().is_empty() {
        return Ok(false);
    }
    let before = found.masks_mut().len();
    let workspace = host.workspace.as_os_str().as_bytes();
    let tags = cache.as_ref().map(|cache| registry.tags(&cache.tag_key())).unwrap_or_default();
    let known = Known::load(cache.as_deref(), workspace, &tags);
    let mut tally = elsewhere::cover(&redactor, registry, policy, host, found, &known)?;
    let repositories: Vec<_> = found.candidates.repositories().map(<[u8]>::to_vec).collect();
    git::keep_writable(found.masks_mut(), &repositories);
    let stores = found.candidates.stores.clone();
    // Without mounts there is nothing to show another object by: what can be denied is denied.
    let mode = match (policy.isolation, policy.secrets.history) {
        (Isolation::Landlock, History::Mask) => Some(History::Block),
        (Isolation::Full | Isolation::Landlock, mode) => Some(mode),
        (Isolation::Preload, _) => None,
    };
    if let Some(mode) = mode {
        let request =
            history::Request { redactor: &redactor, mode, stores: &stores, known: &known, tags: &tags };
        let findings = history::look(&request, &mut cache);
        tally.add(findings.tally);
        for covered in findings.covers {
            found.push(covered.mask());
        }
        if let Some(cache) = cache.as_mut().filter(|_| findings.kept_values) {
            // Without it the next run shows other values in the files than in the history; no more than that.
            let _ = cache.keep_run_key(workspace, key);
        }
    }
    let added = found.masks_mut().len() > before;
    if let Some(cache) = cache {
        known.keep(cache, workspace, &tags, tally);
        cache.remember_whether_search_adds(workspace, added);
    }
    Ok(added)
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
