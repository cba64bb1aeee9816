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
use std::os::unix::ffi::OsStrExt;

use shieldrun_policy::plan::{Cover, Mask};
use shieldrun_policy::schema::{FileMode, Policy, SecretsMode};
use shieldrun_secrets::{Redacted, Redactor, Registry};

use super::InventoryError;
use super::files::{Found, Opened};
use super::path::{as_path, contains, join};
use super::walk::{Extent, Walk, open_root, walk};
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
    let candidates = &found.candidates;
    let Seen { mut hits, mut tally } = search(redactor, found, known, &candidates.root, &candidates.walk)?;
    if let Some(repository) = &host.repository {
        let root = repository.as_os_str().as_bytes();
        if let Ok(opened) = open_root(repository) {
            let walk = walk(opened.as_fd(), Extent::AllMounts, |_, _| None::<()>);
            let seen = search(redactor, found, known, root, &walk)?;
            hits.extend(seen.hits);
            tally.add(seen.tally);
        }
    }
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
pub(super) fn look_again(redactor: &Redactor<'_>, masks: &mut [Mask]) {
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

/// Looks at every file beneath a directory that was walked, but for git's objects.
fn search<P>(
    redactor: &Redactor<'_>,
    found: &Found,
    known: &Known,
    root: &[u8],
    walk: &Walk<P>,
) -> Result<Seen, InventoryError> {
    let opened = open_root(as_path(root))
        .map_err(|error| InventoryError::Workspace(as_path(root).to_path_buf(), error.into()))?;
    let (covered, blocked) = found.covered();
    let files = walk.files();
    let mut units = Vec::new();
    for (index, names) in &files {
        let Some(directory) = walk.directories().get(*index) else { continue };
        let at = join(root, directory);
        let beneath = |above: &[u8]| contains(above, &at);
        let stores = found.candidates.stores.iter().map(Vec::as_slice);
        if !stores.chain(blocked.iter().copied()).any(beneath) {
            units.extend(names.chunks(search::UNIT).map(|names| search::Unit { directory, names }));
        }
    }
    let search = Search { redactor, root: opened.as_fd(), at: root, covered: &covered, known };
    Ok(search.run(&units))
}
