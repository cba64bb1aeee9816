//! Owns finding the git directories of a workspace, and the files in them that name a remote: a password in
//! its URL is a secret, wherever git noted it down. What lies in the object stores is `history`'s.

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{AtFlags, Mode, OFlags};

use shieldrun_policy::plan::{Bytes, Change, Cover, Mask, Variable};
use shieldrun_secrets::Format;

use super::content;
use super::path::{as_path, contains, join};
use super::walk::Walk;

/// A file of git's in which a URL may stand.
#[derive(Debug)]
pub(super) struct Noted {
    /// Below the root of the walk.
    pub path: Vec<u8>,
    /// How it is written.
    pub format: Format,
}

/// Git directories, bare ones and those of submodules and work trees included, below the root of the walk.
pub(super) fn directories<P>(walk: &Walk<P>, root: BorrowedFd<'_>) -> Vec<Vec<u8>> {
    let there = |path: &[u8]| rustix::fs::statat(root, path, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    let parent = |path: &[u8]| match path.strip_suffix(b"/objects") {
        Some(above) => Some(above.to_vec()),
        None => (path == b"objects").then(Vec::new),
    };
    walk.directories()
        .iter()
        .filter_map(|path| parent(path))
        .filter(|above| there(&join(above, b"HEAD")) && there(&join(above, b"refs")))
        .collect()
}

/// Git directories that a `.git` file of the workspace names, and those that they share with other work trees;
/// absolute.
pub(super) fn linked<P>(walk: &Walk<P>, root: &[u8]) -> Vec<Vec<u8>> {
    let line = |path: &[u8]| {
        let text = fs::read(as_path(path)).ok()?;
        text.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec)
    };
    let mut found = Vec::new();
    for (index, names) in walk.files() {
        if !names.contains(&b".git".as_slice()) {
            continue;
        }
        let Some(directory) = walk.directories().get(index) else { continue };
        let directory = join(root, directory);
        let Some(named) = line(&join(&directory, b".git")) else { continue };
        let Some(named) = named.strip_prefix(b"gitdir: ") else { continue };
        let own = beside(&directory, named);
        let shared = line(&join(&own, b"commondir")).map(|named| beside(&own, &named));
        let canonical = |path: Vec<u8>| Some(as_path(&path).canonicalize().ok()?.into_os_string().into_vec());
        found.extend(shared.into_iter().chain([own]).filter_map(canonical));
    }
    found
}

/// The files of a git directory that may hold a URL.
pub(super) fn noted_in(directory: &[u8]) -> Vec<Noted> {
    let files: [(&[u8], Format); 5] = [
        (b"config", Format::GitConfig),
        (b"config.worktree", Format::GitConfig),
        (b"FETCH_HEAD", Format::Text),
        (b"packed-refs", Format::Text),
        (b"logs/HEAD", Format::Text),
    ];
    files.into_iter().map(|(name, format)| Noted { path: join(directory, name), format }).collect()
}

/// Git appends to its logs and writes over its notes at each commit: where one shows a synthetic value, it is
/// written to for the length of the run. What git replaces as a whole (`config`, `packed-refs`) stays as it is.
pub(super) fn keep_writable(masks: &mut [Mask], directories: &[Vec<u8>]) {
    for mask in masks {
        let within = directories.iter().any(|directory| contains(directory, &mask.at.0));
        let name = mask.at.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if !within || name.starts_with(b"config") || name == b"packed-refs" {
            continue;
        }
        if let Cover::Synthetic { content, mode, modified } = &mut mask.cover {
            mask.cover =
                Cover::Scratch { content: std::mem::take(content), mode: *mode, modified: *modified };
        }
    }
}

/// Git compares a file with its index by size and times first: a mask has those of the file, but an inode and a
/// change time of its own. Told to look at the former only, git finds it unmodified; else `commit --all` would
/// take the synthetic value for a change.
pub(super) fn trust_times(variables: &mut Vec<Variable>) {
    const COUNT: &[u8] = b"GIT_CONFIG_COUNT";
    const SETTINGS: [(&str, &str); 2] = [("core.checkStat", "minimal"), ("core.trustctime", "false")];
    let value = |variable: &Variable| {
        let text = std::str::from_utf8(variable.entry.0.get(COUNT.len() + 1..)?).ok()?;
        text.parse::<usize>().ok()
    };
    let own = variables.iter().find(|variable| variable.name() == COUNT).map(value);
    // One that git itself would refuse is left to be refused.
    let Some(count) = own.unwrap_or(Some(0)) else { return };
    variables.retain(|variable| variable.name() != COUNT);
    let mut add = |name: String, value: &str| {
        let entry = Bytes(format!("{name}={value}").into_bytes());
        variables.push(Variable { entry, change: Change::Added });
    };
    for (number, (key, value)) in (count..).zip(SETTINGS) {
        add(format!("GIT_CONFIG_KEY_{number}"), key);
        add(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    add("GIT_CONFIG_COUNT".to_owned(), &(count + SETTINGS.len()).to_string());
}

/// A path as another one names it.
fn beside(directory: &[u8], named: &[u8]) -> Vec<u8> {
    if named.starts_with(b"/") { named.to_vec() } else { join(directory, named) }
}

/// The files of these git directories that hold a URL.
pub(super) fn noted<P>(walk: &Walk<P>, root: BorrowedFd<'_>, directories: &[Vec<u8>]) -> Vec<Noted> {
    let mut found = Vec::new();
    for (index, names) in walk.files() {
        let Some(directory) = walk.directories().get(index) else { continue };
        let Some(above) =
            directories.iter().filter(|above| contains(above, directory)).max_by_key(|above| above.len())
        else {
            continue;
        };
        let within = directory.get(above.len()..).unwrap_or_default();
        let within = within.strip_prefix(b"/").unwrap_or(within);
        for name in names {
            let Some(format) = format_of(within, name) else { continue };
            let path = join(directory, name);
            if has_url(root, &path) {
                found.push(Noted { path, format });
            }
        }
    }
    found
}

/// What a file is, by its directory within the git directory (`worktrees/a` has the same files) and its name.
fn format_of(within: &[u8], name: &[u8]) -> Option<Format> {
    if within.split(|&byte| byte == b'/').any(|part| part == b"logs") {
        return Some(Format::Text);
    }
    match name {
        b"config" | b"config.worktree" => Some(Format::GitConfig),
        b"FETCH_HEAD" | b"packed-refs" => Some(Format::Text),
        _ => None,
    }
}

/// A repository may have hundreds of logs: only one in which a URL stands is worth a parser. What cannot be
/// read goes on to those who say what that means.
fn has_url(root: BorrowedFd<'_>, path: &[u8]) -> bool {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(handle) = rustix::fs::openat(root, path, flags, Mode::empty()) else { return false };
    content::read(&handle).map_or(true, |content| content.windows(3).any(|part| part == b"://"))
}
