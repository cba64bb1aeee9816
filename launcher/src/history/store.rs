//! Owns object stores: where they are, and what lies in one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::inventory::path::{as_path, join};

/// Alternates of alternates are followed this far, as git does.
const DEEPEST: usize = 5;

/// A file of a store, by what it can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// One object.
    Loose,
    /// Many; the index beside it has the same name.
    Pack,
    /// The index of several packs.
    MultiPackIndex,
    /// Names and numbers, no content of objects.
    Lists,
    /// Left behind half-written: git reads it no more, and neither do we.
    HalfWritten,
    /// Not git's at all.
    Other,
}

/// The stores at these paths and all that they name as alternates; canonical, each once.
pub(super) fn with_alternates(paths: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let mut stores = BTreeSet::new();
    let mut level: Vec<Vec<u8>> = paths.to_vec();
    for _ in 0..=DEEPEST {
        let mut next = Vec::new();
        for path in level {
            let Ok(store) = as_path(&path).canonicalize() else { continue };
            let store = store.into_os_string().into_vec();
            let list = fs::read(as_path(&join(&store, b"info/alternates"))).unwrap_or_default();
            let lines = list.split(|byte| *byte == b'\n');
            let named = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
            next.extend(named.map(|line| match line.starts_with(b"/") {
                true => line.to_vec(),
                false => join(&store, line),
            }));
            stores.insert(store);
        }
        level = next;
    }
    stores
}

/// The files of a store, by their path; what cannot be listed cannot be entered by anybody inside either, or was
/// found by the walk.
pub(super) fn files(store: &[u8]) -> Vec<(Vec<u8>, Content)> {
    let mut found = Vec::new();
    for (path, kind) in list(as_path(store)) {
        if !kind.is_dir() {
            found.push((path.clone(), other(&path)));
            continue;
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let fan_out = name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit);
        let (is_pack, is_info) = (name == b"pack", name == b"info");
        for (path, kind) in list(as_path(&path)) {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let content = match () {
                () if kind.is_dir() => continue,
                () if fan_out && name.iter().all(u8::is_ascii_hexdigit) => Content::Loose,
                () if is_pack => of_pack(name),
                () if is_info && name != b"alternates" => Content::Lists,
                () => other(&path),
            };
            found.push((path, content));
        }
    }
    found
}

fn of_pack(name: &[u8]) -> Content {
    let extension = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    match extension {
        _ if name.starts_with(b"tmp_") => Content::HalfWritten,
        b"pack" => Content::Pack,
        b"idx" | b"rev" | b"bitmap" | b"mtimes" => Content::Lists,
        _ if name == b"multi-pack-index" => Content::MultiPackIndex,
        _ => Content::Other,
    }
}

fn other(path: &[u8]) -> Content {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.starts_with(b"tmp_") { Content::HalfWritten } else { Content::Other }
}

fn list(directory: &Path) -> Vec<(Vec<u8>, fs::FileType)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let kind = entry.file_type().ok()?;
            Some((join(directory.as_os_str().as_bytes(), entry.file_name().as_bytes()), kind))
        })
        .collect()
}
