//! Owns other paths to what a private home leaves out: a file system that is mounted twice, or bound to
//! another place, shows the same home there.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use shieldrun_policy::plan::{Bytes, Cover, Mask};

use super::as_path_of;
use crate::inventory::mounts::MountTable;
use crate::inventory::path::contains;

/// The rule in the record.
const RULE: &str = "shieldrun.home";

/// Covers over other names of these homes. What is beneath the workspace is the workspace's: the user
/// asked for it to be worked on.
pub(super) fn masks<'a>(homes: impl Iterator<Item = &'a Path>, workspace: &Path) -> Vec<Mask> {
    let Ok(table) = MountTable::read() else {
        // The inventory has read it a moment ago, or there would be no plan.
        return Vec::new();
    };
    let mut masks: Vec<Mask> = Vec::new();
    for home in homes {
        for name in table.other_names(home.as_os_str().as_bytes()) {
            let known = masks.iter().any(|mask| contains(&mask.at.0, &name));
            let other = as_path_of(&name);
            if !known && !other.starts_with(home) && !workspace.starts_with(other) && is_same(home, other) {
                masks.push(Mask {
                    at: Bytes(name),
                    cover: Cover::BlockedDirectory,
                    rule: RULE.to_owned(),
                    reason: "another name of a home directory".to_owned(),
                });
            }
        }
    }
    masks
}

/// Something else may be mounted over it by now.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    identity(one).is_some() && identity(one) == identity(other)
}
