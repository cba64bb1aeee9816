//! Owns the same value elsewhere: files of the workspace, of any name and form, that hold a real value which
//! the inventory knows from the environment or from a secret file.
//!
//! One pass over all files, in parallel; what was clean last time and has not changed since is not read.
//! Text is shown with the synthetic value in the same span, anything else cannot be opened. It is the value
//! that counts, so dependencies and build output are looked at as well; only git's object stores are not,
//! which `history` reads. A file that changes while the command runs is not looked at again, and a value
//! below compression is not seen.

mod search;

use std::os::fd::AsFd;

use shieldrun_policy::plan::{Cover, Mask};
use shieldrun_policy::schema::{FileMode, Policy, SecretsMode};
use shieldrun_secrets::{Redacted, Redactor, Registry};

use super::InventoryError;
use super::files::{Found, Opened};
use super::path::{as_path, contains, join};
use super::walk::open_root;
use crate::cache::{Known, Tally};
use crate::host::Host;
use search::{Hit, Search, Seen, Sight};

/// `rule.name` of these masks.
pub(crate) const RULE: &str = "secrets.elsewhere";
/// More files than this with a real value in them: then it is no secret, or the workspace is a leak. Each is a
/// mount, and the kernel's limit is not far.
const MOST: usize = 4096;

/// Covers the files of the workspace that hold a real value; gives what was clean.
///
/// # Errors
/// When there are too many, or one has a name that cannot be masked.
pub(super) fn cover(
    redactor: &Redactor<'_>,
    registry: &Registry,
    policy: &Policy,
    host: &Host,
    found: &mut Found,
    known: &Known,
) -> Result<Tally, InventoryError> {
    look_again(redactor, found.masks_mut());
    let Seen { hits, tally } = search(redactor, found, known)?;
    let home = host.home_or_root();
    let modes: Vec<_> = hits
        .iter()
        .map(|hit| policy.secrets.file_mode(as_path(&hit.path), home, &host.workspace, None))
        .collect();
    if modes.iter().filter(|mode| **mode != Some(FileMode::Allow)).count() > MOST {
        let name = |hit: &Hit| registry.entry(hit.secret?).map(|entry| entry.name.clone());
        let name = hits.iter().find_map(name).unwrap_or_default();
        return Err(InventoryError::Everywhere { files: hits.len(), name });
    }
    for (hit, mode) in hits.into_iter().zip(modes) {
        // Another name of a file that was covered a moment ago, under all its names.
        if found.is_covered(&hit.path) {
            continue;
        }
        let blocked = mode == Some(FileMode::Block) || policy.secrets.mode == SecretsMode::Block;
        let Some(opened) = (mode != Some(FileMode::Allow)).then(|| Opened::new(&hit.path)).flatten() else {
            continue;
        };
        let (cover, reason) = match hit.sight {
            Sight::Shown(cover) if !blocked => (cover, "the value of a secret is in it"),
            Sight::Shown(_) => (Cover::BlockedFile, "the value of a secret is in it"),
            Sight::Blocked(reason) => (Cover::BlockedFile, reason),
        };
        found.cover(&opened, cover, RULE, reason)?;
    }
    Ok(tally)
}

/// What is shown in place of a secret file was made field by field: a value of another file may be left in it.
fn look_again(redactor: &Redactor<'_>, masks: &mut [Mask]) {
    for mask in masks {
        let Cover::Synthetic { content, .. } = &mut mask.cover else { continue };
        match redactor.redact(content) {
            Redacted::Untouched => {}
            Redacted::Shown { bytes, .. } => *content = bytes,
            Redacted::Unshowable(_) => {
                mask.cover = Cover::BlockedFile;
                "the value of another secret is in it".clone_into(&mut mask.reason);
            }
        }
    }
}

fn search(redactor: &Redactor<'_>, found: &Found, known: &Known) -> Result<Seen, InventoryError> {
    let candidates = &found.candidates;
    let root = open_root(as_path(&candidates.root))
        .map_err(|error| InventoryError::Workspace(as_path(&candidates.root).to_path_buf(), error.into()))?;
    let (covered, blocked) = found.covered();
    let stores: Vec<_> = candidates.repositories.iter().map(|path| join(path, b"objects")).collect();
    let walk = &candidates.walk;
    let files = walk.files();
    let mut units = Vec::new();
    for (index, names) in &files {
        let Some(directory) = walk.directories().get(*index) else { continue };
        let at = join(&candidates.root, directory);
        if stores.iter().any(|store| contains(store, directory))
            || blocked.iter().any(|above| contains(above, &at))
        {
            continue;
        }
        units.extend(names.chunks(search::UNIT).map(|names| search::Unit { directory, names }));
    }
    let search = Search { redactor, root: root.as_fd(), at: &candidates.root, covered: &covered, known };
    Ok(search.run(&units))
}
