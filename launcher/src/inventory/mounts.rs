//! Owns the host's mount table: other names that one file has through another mount of its file system.

use std::{fs, io};

use super::path::{contains, join};

/// The mounts of this process's namespace.
#[derive(Debug, Default)]
pub(crate) struct MountTable(Vec<MountPoint>);

#[derive(Debug)]
struct MountPoint {
    /// `major:minor` of the file system.
    device: String,
    /// What of the file system is mounted.
    root: Vec<u8>,
    /// Where.
    at: Vec<u8>,
}

/// Where the kernel lists them.
pub(super) const TABLE: &str = "/proc/self/mountinfo";

impl MountTable {
    /// Reads the table.
    ///
    /// # Errors
    /// When it cannot be read: then a secret file may have names that nobody masks.
    pub(crate) fn read() -> io::Result<Self> {
        fs::read(TABLE).map(|text| Self::parse(&text))
    }

    /// See proc_pid_mountinfo(5): id, parent, device, root, mount point, ….
    pub(crate) fn parse(text: &[u8]) -> Self {
        let line = |line: &[u8]| {
            let mut fields = line.split(|&byte| byte == b' ');
            Some(MountPoint {
                device: String::from_utf8_lossy(fields.nth(2)?).into_owned(),
                root: unescape(fields.next()?),
                at: unescape(fields.next()?),
            })
        };
        Self(text.split(|&byte| byte == b'\n').filter_map(line).collect())
    }

    /// Other paths to the file at canonical `path`, by mounts of the same file system.
    pub(crate) fn other_names(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let Some(own) = self.of(path) else { return Vec::new() };
        let inside = graft(&own.at, &own.root, path);
        self.0
            .iter()
            .filter(|mount| mount.device == own.device && !std::ptr::eq(*mount, own))
            .filter(|mount| contains(&mount.root, &inside))
            .map(|mount| graft(&mount.root, &mount.at, &inside))
            .filter(|name| name != path)
            .collect()
    }

    /// The path within its file system: the same for each of the names that mounts give one entry.
    pub(super) fn within(&self, path: &[u8]) -> Vec<u8> {
        self.of(path).map_or_else(|| path.to_vec(), |own| graft(&own.at, &own.root, path))
    }

    /// Whether something is mounted at exactly this path.
    pub(crate) fn has_mount_at(&self, path: &[u8]) -> bool {
        self.0.iter().any(|mount| mount.at == path)
    }

    /// A mount point strictly beneath a directory.
    pub(crate) fn first_beneath(&self, directory: &[u8]) -> Option<Vec<u8>> {
        self.0.iter().map(|mount| &mount.at).find(|at| *at != directory && contains(directory, at)).cloned()
    }

    /// Mount points that show the file system which `path` lies on.
    pub(super) fn same_file_system(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let Some(own) = self.of(path) else { return Vec::new() };
        self.0.iter().filter(|mount| mount.device == own.device).map(|mount| mount.at.clone()).collect()
    }

    /// The mount that a path lies on: the longest mount point above it, the last of equals.
    fn of(&self, path: &[u8]) -> Option<&MountPoint> {
        self.0.iter().filter(|mount| contains(&mount.at, path)).max_by_key(|mount| mount.at.len())
    }
}

/// `path` with its beginning `from` replaced by `to`.
fn graft(from: &[u8], to: &[u8], path: &[u8]) -> Vec<u8> {
    let rest = path.strip_prefix(from).unwrap_or_default();
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    if rest.is_empty() { to.to_vec() } else { join(to, rest) }
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 27 0:26 / /tmp rw - tmpfs tmpfs rw\n\
        31 27 254:0 /home /mnt/my\\040homes rw - ext4 /dev/vda rw\n";

    #[test]
    fn a_bind_mount_gives_a_file_a_second_name() {
        let table = MountTable::parse(TABLE);
        assert_eq!(table.other_names(b"/home/u/.env"), [b"/mnt/my homes/u/.env".to_vec()]);
        assert_eq!(table.other_names(b"/mnt/my homes/u/.env"), [b"/home/u/.env".to_vec()]);
    }

    #[test]
    fn a_file_outside_the_bound_tree_has_one_name() {
        let table = MountTable::parse(TABLE);
        assert!(table.other_names(b"/etc/shadow").is_empty());
        assert!(table.other_names(b"/tmp/x").is_empty());
    }
}
