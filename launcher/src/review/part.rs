//! A part of a file: the hunks that a person chose, and nothing else of it.
//!
//! The part is made in the record, beside the layer, and promoted from there like a file of the run. Its content is
//! what was there before with the chosen hunks applied, and all hunks together must give exactly what was judged.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use shieldrun_policy::changes::{Change, Node, NodeKind};

use super::Waiting;
use super::hunks::{apply, hunks};
use crate::beneath::Tree;
use crate::changes::{patch_header, sections};
use crate::failure::Failure;
use crate::promote::open_closed;
use crate::record::PATCH;

/// Where it is made. Each is used up by its promotion.
pub(super) const PART: &str = "part";

/// Makes it, and the change that it is.
pub(super) fn make(waiting: &Waiting, change: &Change, chosen: &[usize]) -> Result<Change, Failure> {
    let path = &change.path;
    let whole = |why: &str| {
        Failure::plain(format!("`{path}` goes only as a whole: {why}"))
            .with_hint("approve or reject it without `--hunks`")
    };
    let text = |node: &Option<Node>| node.as_ref().is_some_and(|node| node.kind == NodeKind::Text);
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return Err(whole("it is new or gone"));
    };
    if change.from.is_some() || !text(&change.before) || !text(&change.after) {
        return Err(whole("it is no text that changed in its place"));
    }
    if after.attributes != before.attributes || after.attributes.is_some() {
        return Err(whole("it has extended attributes"));
    }
    let patch = waiting.late.bytes(PATCH)?;
    let section = sections(&patch).remove(patch_header(change).as_slice()).unwrap_or_default();
    let section = match section.as_slice() {
        [only] => patch.get(only.clone()).unwrap_or_default(),
        _ => return Err(whole("the patch does not have it")),
    };
    let hunks = hunks(section).filter(|hunks| !hunks.is_empty());
    let hunks = hunks.ok_or_else(|| whole("the patch does not show all of it"))?;
    if let Some(none) = chosen.iter().find(|number| **number == 0 || **number > hunks.len()) {
        return Err(Failure::plain(format!("`{path}` has hunks 1 to {}, and no {none}", hunks.len())));
    }
    let failed = |error| Failure::doing(format!("cannot read `{path}` in your tree"), error);
    let mut tree = Tree::new(waiting.target.as_fd());
    let spot = tree.spot(&path.0).map_err(failed)?;
    let stat = spot.stat().map_err(failed)?.ok_or_else(|| whole("it is not in your tree any more"))?;
    let mut old = Vec::new();
    open_closed(&spot, &stat).and_then(|mut file| file.read_to_end(&mut old)).map_err(failed)?;
    let digest = |bytes: &[u8]| -> Option<[u8; 32]> { Some(Sha256::digest(bytes).into()) };
    if digest(&old) != before.digest {
        return Err(Failure::plain(format!("`{path}` was changed on the host since the run began"))
            .with_hint("see `shieldrun review RUN`; reject it, or bring it back to what it was"));
    }
    let all = apply(&old, &hunks, |_| true);
    if all.as_deref().and_then(digest) != after.digest {
        return Err(whole("its hunks do not add up to what was judged"));
    }
    let made = apply(&old, &hunks, |number| chosen.contains(&(number + 1)));
    let made = made.ok_or_else(|| whole("its hunks do not fit what was there"))?;
    write(waiting.late.path(), &path.0, &made, after.mode)
        .map_err(|error| Failure::doing("cannot write to the run's record", error))?;
    let node = Node { size: made.len() as u64, digest: digest(&made), ..after.clone() };
    Ok(Change { after: Some(node), ..change.clone() })
}

/// The record is for its owner alone, and the path was checked with the list of changes.
fn write(record: &Path, path: &[u8], content: &[u8], mode: u32) -> std::io::Result<()> {
    let part = record.join(PART);
    match fs::remove_dir_all(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = part.join(std::ffi::OsStr::from_bytes(path));
    fs::create_dir_all(file.parent().unwrap_or(&part))?;
    fs::write(&file, content)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(mode))
}
