//! Owns the host's unix sockets that lie on a path: a network namespace stops abstract names only, and a
//! read-only mount does not stop a connect, so each is covered.
//!
//! What the kernel lists is every socket that is bound now; one that the host binds later, on a path
//! that is visible inside, is not covered.

use std::{fs, io};

use rustix::fs::FileType;

use shieldrun_policy::plan::{Bytes, Cover, Mask};

use super::path::as_path;

/// `rule.name` of these masks.
pub(crate) const RULE: &str = "network.unix";

/// Where the kernel lists them.
pub(super) const TABLE: &str = "/proc/net/unix";

/// A mask for each socket of the host.
///
/// # Errors
/// When the kernel's list cannot be read: then nobody knows what to cover.
pub(super) fn masks() -> io::Result<Vec<Mask>> {
    let mut paths = bound(&fs::read(TABLE)?);
    paths.sort_unstable();
    paths.dedup();
    Ok(paths
        .into_iter()
        .filter(|path| {
            rustix::fs::lstat(as_path(path))
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
        })
        .filter_map(|path| {
            // The mask goes where no link leads.
            let at = as_path(&path).canonicalize().ok()?;
            Some(Mask {
                at: Bytes(std::os::unix::ffi::OsStringExt::into_vec(at.into_os_string())),
                cover: Cover::BlockedFile,
                rule: RULE.to_owned(),
                reason: "a socket of the host".to_owned(),
            })
        })
        .collect())
}

/// Absolute path names in `/proc/net/unix`: seven columns, then the name as it is.
fn bound(table: &[u8]) -> Vec<Vec<u8>> {
    const COLUMNS: usize = 7;
    let name = |line: &[u8]| {
        let mut rest = line;
        for _ in 0..COLUMNS {
            let word = rest.iter().position(|&byte| byte == b' ')?;
            rest = rest.get(word..)?.trim_ascii_start();
        }
        rest.starts_with(b"/").then(|| rest.to_vec())
    };
    table.split(|&byte| byte == b'\n').filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_their_spaces_and_abstract_ones_are_left_out() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 12345 /home/u/my agent.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 12346 @/tmp/.X11-unix/X0\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 12347\n";
        assert_eq!(bound(table), [b"/home/u/my agent.sock".to_vec()]);
    }

    #[test]
    fn a_listening_socket_is_masked() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().canonicalize()?.join("a.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path)?;
        let path = path.to_string_lossy().into_owned();
        assert!(masks()?.iter().any(|mask| mask.at.to_string() == path));
        Ok(())
    }
}
