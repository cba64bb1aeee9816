//! Owns what lies beneath a blocked directory: nobody inside reads it, but its values are known to the
//! leak scan, and a second name of one of its files is masked too.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use shieldrun_secrets::{Format, Registry};

use super::InventoryError;
use super::candidates::{Candidates, format_of};
use super::content;
use super::links::{Identity, other_names};
use super::mounts::MountTable;
use super::path::{as_path, join};
use super::walk::{Extent, open_root, walk};

/// Files of one store that are looked at; a browser's profile has more, and none of them is text.
const MOST_FILES: usize = 4096;
/// Files of one store whose values are learned.
const MOST_LEARNED: usize = 64;
/// No key and no token file is larger.
const LARGEST_LEARNED: i64 = 64 * 1024;

/// Whose store it is. What the machine keeps for itself (host keys, its password file) is masked and not
/// scanned for: reading it costs each start, and it is no secret of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// In the home or the workspace, or named by the policy.
    User,
    /// Elsewhere.
    Machine,
}

/// Learns the values in a store, and gives the other names of its files.
///
/// # Errors
/// When a file of it has a name that cannot be masked.
pub(super) fn look(
    registry: &mut Registry,
    directory: &[u8],
    whose: Owner,
    candidates: &Candidates,
    mounts: &MountTable,
) -> Result<Vec<Vec<u8>>, InventoryError> {
    let Ok(root) = open_root(as_path(directory)) else { return Ok(Vec::new()) };
    let found = walk(root.as_fd(), Extent::AllMounts, |_, _| Some(()));
    let mut names = Vec::new();
    let mut learned = 0;
    for (name, ()) in found.named.iter().take(MOST_FILES) {
        let path = join(directory, name);
        let Ok(stat) = rustix::fs::statat(CWD, as_path(&path), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            continue;
        }
        if stat.st_nlink > 1 {
            names.extend(other_names(
                &path,
                Identity::of(&stat),
                &candidates.walk,
                &candidates.root,
                mounts,
            )?);
        }
        if whose == Owner::User && learned < MOST_LEARNED && stat.st_size <= LARGEST_LEARNED {
            learned += 1;
            learn(registry, &path, format_of(&path));
        }
    }
    Ok(names)
}

/// Puts the values of a file that nobody sees into the registry. What cannot be read or parsed teaches
/// nothing; the file is blocked all the same.
pub(super) fn learn(registry: &mut Registry, path: &[u8], format: Option<Format>) {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(handle) = rustix::fs::open(as_path(path), flags, Mode::empty()) else { return };
    let Ok(content) = content::read(&handle) else { return };
    let own = content::format(&content);
    let format = match format {
        // `~/.ssh` is opaque as a store; a key in it is not.
        None | Some(Format::Opaque) if own == Format::Pem => own,
        Some(format) => format,
        None => return,
    };
    let _ = shieldrun_secrets::learn(registry, format, &String::from_utf8_lossy(path), &content);
}
