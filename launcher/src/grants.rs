//! Owns what the tier without namespaces grants: Landlock gives rights beneath a directory and cannot take
//! one of its files out, so a directory that holds a masked file is granted piece by piece.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shieldrun_policy::home;
use shieldrun_policy::plan::{Bytes, Grant, Mask, Right};
use shieldrun_policy::schema::{Policy, Writes};

use crate::host::Host;

/// Where programs and their settings lie. Not `/run` and `/tmp`, which are full of other programs' things,
/// nor the homes.
const SYSTEM: [&str; 16] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/gnu",
    "/snap",
    "/sys",
    "/var/cache/fontconfig",
    "/var/lib/dpkg",
    "/var/lib/ca-certificates",
];

const DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];

/// A directory of the run for temporary files, beside the shim.
pub(crate) const TEMPORARY: &str = "tmp";

/// Everything that is within reach. `guest`: where shim, ring and temporary files of the run lie.
pub(crate) fn make(policy: &Policy, host: &Host, masks: &[Mask], guest: &Path) -> Vec<Grant> {
    let mut ground = Ground { masks, grants: Vec::new() };
    for at in SYSTEM {
        ground.carve(Path::new(at), Right::Read, Right::List);
    }
    // Its own entries are readable; those of others are the kernel's to guard, as they are natively.
    ground.grant(Path::new("/proc"), Right::Device);
    ground.grant(Path::new("/proc"), Right::Read);
    for at in DEVICES {
        ground.grant(Path::new(at), Right::Device);
    }
    if let Some(home) = &host.home {
        for at in home::DIRECTORIES.iter().chain(home::FILES) {
            ground.carve(&home.join(at), Right::Read, Right::List);
        }
    }
    if policy.files.writes == Writes::None {
        ground.carve(&host.workspace, Right::Read, Right::List);
    } else {
        ground.carve(&host.workspace, Right::Write, Right::Change);
    }
    ground.grant(guest, Right::Read);
    ground.grant(&guest.join(shieldrun_abi::RING_FILE), Right::Device);
    ground.grant(&guest.join(TEMPORARY), Right::Write);
    ground.grants
}

struct Ground<'a> {
    masks: &'a [Mask],
    grants: Vec<Grant>,
}

impl Ground<'_> {
    /// `whole` for what has nothing masked in it; else `part`, and piece by piece beneath it.
    fn carve(&mut self, at: &Path, whole: Right, part: Right) {
        // A link is no place of its own; what it leads to is granted where it lies.
        let Ok(status) = fs::symlink_metadata(at) else { return };
        if status.is_symlink() || self.is_masked(at) {
            return;
        }
        if !status.is_dir() || !self.holds_a_mask(at) {
            return self.grant(at, whole);
        }
        self.grant(at, part);
        // What cannot be listed here cannot be listed inside.
        for entry in fs::read_dir(at).into_iter().flatten().flatten() {
            self.carve(&entry.path(), whole, part);
        }
    }

    fn grant(&mut self, at: &Path, right: Right) {
        self.grants.push(Grant { at: Bytes(at.as_os_str().as_bytes().to_vec()), right });
    }

    fn is_masked(&self, at: &Path) -> bool {
        self.masks.iter().any(|mask| path(mask) == at)
    }

    fn holds_a_mask(&self, at: &Path) -> bool {
        self.masks.iter().any(|mask| path(mask).starts_with(at))
    }
}

fn path(mask: &Mask) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&mask.at.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shieldrun_policy::plan::Cover;

    #[test]
    fn a_directory_with_a_masked_file_is_granted_piece_by_piece() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().canonicalize()?;
        fs::create_dir_all(root.join("src/deep"))?;
        fs::create_dir_all(root.join("plain"))?;
        for file in [".env", "a.txt", "src/deep/.env", "src/b.txt"] {
            fs::write(root.join(file), "x")?;
        }
        let mask = |at: &str| Mask {
            at: Bytes(root.join(at).as_os_str().as_bytes().to_vec()),
            cover: Cover::BlockedFile,
            rule: String::new(),
            reason: String::new(),
        };
        let masks = [mask(".env"), mask("src/deep/.env")];
        let mut ground = Ground { masks: &masks, grants: Vec::new() };
        ground.carve(&root, Right::Write, Right::Change);
        let mut granted: Vec<_> = ground
            .grants
            .iter()
            .map(|grant| (grant.at.to_string().replace(&root.display().to_string(), ""), grant.right.word()))
            .collect();
        granted.sort_unstable();
        let wanted = [
            ("", "change"),
            ("/a.txt", "write"),
            ("/plain", "write"),
            ("/src", "change"),
            ("/src/b.txt", "write"),
            ("/src/deep", "change"),
        ];
        assert_eq!(granted, wanted.map(|(at, right)| (at.to_owned(), right)));
        Ok(())
    }
}
