//! References of a repository, read from its files on both sides, without git: only what the run touched.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Dir, FileType, statat};
use shieldrun_policy::changes::Reference;

use super::CommitsError;
use crate::beneath::{Tree, is_absent, join};

/// References that a run may move; others (`refs/replace`, `refs/remotes`) stay the user's.
const CARRIED: &[&str] = &["refs/heads/", "refs/tags/", "refs/notes/", "refs/stash"];

/// A reference is a line; this is more than any.
const LONGEST: u64 = 4096;
/// A list of packed ones is no larger.
const MOST_PACKED: u64 = 64 << 20;

/// One side of a repository.
pub(super) struct Side<'a>(Tree<'a>);

impl<'a> Side<'a> {
    pub(super) fn new(root: BorrowedFd<'a>) -> Self {
        Self(Tree::new(root))
    }

    /// A small file in `.git`; none where there is none.
    pub(super) fn small(&mut self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let path = format!(".git/{name}");
        match self.0.stat(path.as_bytes())? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
            _ => return Ok(None),
        }
        let mut bytes = Vec::new();
        self.0.file(path.as_bytes())?.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    pub(super) fn has(&mut self, name: &str) -> io::Result<bool> {
        Ok(self.0.stat(format!(".git/{name}").as_bytes())?.is_some())
    }

    fn loose(&mut self, name: &str) -> io::Result<Option<String>> {
        Ok(self.small(name, LONGEST)?.and_then(|bytes| id(bytes.trim_ascii())))
    }

    fn packed(&mut self) -> io::Result<BTreeMap<String, String>> {
        let bytes = self.small("packed-refs", MOST_PACKED)?.unwrap_or_default();
        let line = |line: &[u8]| {
            let line = std::str::from_utf8(line).ok()?;
            let (own, name) = line.split_once(' ')?;
            Some((name.to_owned(), id(own.as_bytes())?))
        };
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(line).collect())
    }
}

/// The references that are not as they were.
pub(super) fn changed(lower: &mut Side<'_>, upper: &mut Side<'_>) -> Result<Vec<Reference>, CommitsError> {
    let failed = CommitsError::io("read the references of the run's repository");
    if upper.has("reftable").map_err(&failed)? {
        return Err(CommitsError::Form("references in the form of reftable"));
    }
    let touched = touched(upper).map_err(&failed)?;
    let packed_anew = upper.has("packed-refs").map_err(&failed)?;
    let old_packed =
        if packed_anew || !touched.is_empty() { lower.packed().map_err(&failed)? } else { BTreeMap::new() };
    let new_packed = if packed_anew { upper.packed().map_err(&failed)? } else { old_packed.clone() };
    let mut names: BTreeSet<String> = touched.keys().cloned().collect();
    if packed_anew {
        names.extend(old_packed.keys().chain(new_packed.keys()).cloned());
    }
    let mut references = Vec::new();
    for name in names.into_iter().filter(|name| is_carried(name)) {
        let old_loose = lower.loose(&name).map_err(&failed)?;
        let old = old_loose.clone().or_else(|| old_packed.get(&name).cloned());
        let loose = match touched.get(&name) {
            Some(Touch::Written) => upper.loose(&name).map_err(&failed)?,
            Some(Touch::Removed) => None,
            None => old_loose,
        };
        let new = loose.or_else(|| new_packed.get(&name).cloned());
        if old != new {
            references.push(Reference { name, old, new });
        }
    }
    Ok(references)
}

/// What `HEAD` said and says, where that is another.
pub(super) fn head(
    lower: &mut Side<'_>,
    upper: &mut Side<'_>,
) -> Result<Option<(String, String)>, CommitsError> {
    let failed = CommitsError::io("read HEAD of the run's repository");
    let Some(new) = upper.small("HEAD", LONGEST).map_err(&failed)? else { return Ok(None) };
    let old = lower.small("HEAD", LONGEST).map_err(&failed)?.unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    let (old, new) = (text(&old), text(&new));
    if old == new {
        return Ok(None);
    }
    let branch = new.strip_prefix("ref: ").is_some_and(|name| name.starts_with("refs/heads/"));
    if branch || id(new.as_bytes()).is_some() {
        Ok(Some((old, new)))
    } else {
        Err(CommitsError::Form("a HEAD that git does not write"))
    }
}

#[derive(Clone, Copy)]
enum Touch {
    Written,
    Removed,
}

/// Loose references that the layer speaks of.
fn touched(upper: &mut Side<'_>) -> io::Result<BTreeMap<String, Touch>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![b"refs".to_vec()];
    while let Some(path) = pending.pop() {
        let directory = match upper.0.directory(&join(b".git", &path)) {
            Ok(directory) => directory,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || name.ends_with(b".lock") {
                continue;
            }
            let path = join(&path, name);
            let stat = statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            let Ok(text) = String::from_utf8(path.clone()) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => pending.push(path),
                FileType::RegularFile => drop(found.insert(text, Touch::Written)),
                FileType::CharacterDevice if stat.st_rdev == 0 => drop(found.insert(text, Touch::Removed)),
                _ => {}
            }
        }
    }
    Ok(found)
}

fn is_carried(name: &str) -> bool {
    CARRIED.iter().any(|own| if own.ends_with('/') { name.starts_with(own) } else { name == *own })
}

/// An object's id, of either length.
fn id(bytes: &[u8]) -> Option<String> {
    let hex = matches!(bytes.len(), 40 | 64) && bytes.iter().all(u8::is_ascii_hexdigit);
    hex.then(|| String::from_utf8_lossy(bytes).into_owned())
}
