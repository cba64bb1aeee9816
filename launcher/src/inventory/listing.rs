//! Owns what of a list of patterns exists: each directory on the way is read once, so two hundred known
//! places cost a handful of reads and no look at each.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::path::{as_path, join};

/// Names in the directories that were asked for.
#[derive(Debug, Default)]
pub(super) struct Listings(HashMap<Vec<u8>, Names>);

#[derive(Debug)]
enum Names {
    Known(BTreeSet<Vec<u8>>),
    /// Entered but not read: each name has to be looked at.
    Closed,
}

impl Listings {
    /// The existing paths that a pattern below `base` names; `*` stands for any run of characters in a
    /// name. `**` ends the pattern: the directory above it stands for all beneath.
    pub(super) fn expand(&mut self, base: &[u8], pattern: &[u8]) -> Vec<Vec<u8>> {
        let mut paths = vec![base.to_vec()];
        for component in pattern.split(|&byte| byte == b'/').filter(|component| !component.is_empty()) {
            if component == b"**" {
                break;
            }
            paths = paths.iter().flat_map(|directory| self.matching(directory, component)).collect();
            if paths.is_empty() {
                break;
            }
        }
        paths
    }

    /// The entries of a directory that match.
    pub(super) fn matching(&mut self, directory: &[u8], pattern: &[u8]) -> Vec<Vec<u8>> {
        let names = self.0.entry(directory.to_vec()).or_insert_with(|| Names::of(directory));
        let found: Vec<&[u8]> = match names {
            Names::Known(names) if pattern.contains(&b'*') => {
                names.iter().map(Vec::as_slice).filter(|name| matches(pattern, name)).collect()
            }
            Names::Known(names) => names.get(pattern).map(Vec::as_slice).into_iter().collect(),
            Names::Closed => {
                let there = as_path(&join(directory, pattern)).symlink_metadata().is_ok();
                there.then_some(pattern).into_iter().collect()
            }
        };
        found.into_iter().map(|name| join(directory, name)).collect()
    }
}

impl Names {
    fn of(directory: &[u8]) -> Self {
        match fs::read_dir(as_path(directory)) {
            Ok(entries) => {
                Self::Known(entries.flatten().map(|entry| entry.file_name().as_bytes().to_vec()).collect())
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Self::Closed,
            Err(_) => Self::Known(BTreeSet::new()),
        }
    }
}

/// A name against a pattern whose only wildcard is `*`.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => {
            (0..=name.len()).any(|skip| name.get(skip..).is_some_and(|tail| matches(rest, tail)))
        }
        Some((byte, rest)) => {
            name.split_first().is_some_and(|(first, tail)| first == byte && matches(rest, tail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_within_a_name() {
        assert!(matches(b"id_*", b"id_ed25519"));
        assert!(matches(b"*.pem", b".pem"));
        assert!(!matches(b"id_*", b"known_hosts"));
        assert!(!matches(b"*.pem", b"pem"));
    }

    #[test]
    fn a_pattern_names_what_exists() {
        let mut listings = Listings::default();
        assert_eq!(listings.expand(b"/proc/self", b"sta*us"), [b"/proc/self/status".to_vec()]);
        assert!(listings.expand(b"/proc/self", b"nothing/at/all").is_empty());
        assert_eq!(listings.expand(b"/", b"proc/**"), [b"/proc".to_vec()]);
    }
}
