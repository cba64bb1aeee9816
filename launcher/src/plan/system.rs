//! Owns what of the system is kept from a guest that is root.
//!
//! Inside, root has no capability, but it still owns the files of root. What others may not read there
//! (hashes of passwords, keys of the host, what services keep) no build needs either: an ordinary user
//! does without. For an ordinary user the permission bits themselves are the wall.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use shieldrun_policy::plan::{Cover, Mask};

use super::bytes;
use crate::inventory::path::contains;

/// The rule in the record.
const RULE: &str = "shieldrun.system";

/// Directories of whose entries some are not for others to read.
const LOOKED_THROUGH: [&str; 6] =
    ["/etc", "/etc/NetworkManager", "/etc/ssh", "/etc/ssl", "/var/cache", "/var/lib"];

/// Directories that are covered whole: their files are replaced by rotation, and a mask on a file goes
/// with it.
const CLOSED: [&str; 4] = ["/var/backups", "/var/log", "/var/mail", "/var/spool"];

/// The masks; `own` are those of the inventory, which says more of what it masks.
pub(super) fn masks(uid: u32, own: &[Mask]) -> Vec<Mask> {
    if uid != 0 {
        return Vec::new();
    }
    let mut masks = Vec::new();
    let known = |path: &Path| own.iter().any(|mask| contains(&mask.at.0, path.as_os_str().as_bytes()));
    let mut push = |path: &Path, cover| {
        if !known(path) {
            masks.push(Mask {
                at: bytes(path),
                cover,
                rule: RULE.to_owned(),
                reason: "not for others to read".to_owned(),
            });
        }
    };
    for directory in LOOKED_THROUGH {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let mode = metadata.permissions().mode();
            if metadata.is_file() && mode & 0o004 == 0 {
                push(&entry.path(), Cover::BlockedFile);
            } else if metadata.is_dir() && mode & 0o005 != 0o005 {
                push(&entry.path(), Cover::BlockedDirectory);
            }
        }
    }
    for directory in CLOSED.map(Path::new) {
        if directory.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            push(directory, Cover::BlockedDirectory);
        }
    }
    masks
}
