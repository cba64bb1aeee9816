//! Owns what a private home shows: toolchains and caches, settings, what the policy and the command line
//! name. All else of the host's home is not there.
//!
//! A path is followed through the links of the home, each of which is made again; what it leads to is
//! shown at its own place. What a mask covers is left to the mask.

mod programs;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use shieldrun_policy::home::{DIRECTORIES, FILES, VARIABLES};
use shieldrun_policy::plan::{Access, Bytes, Cover, Layer, Mask, Mount};
use shieldrun_policy::schema::{FileMode, Policy, RuleForce};
use shieldrun_secrets::Registry;

use super::bytes;
use crate::host::Host;

/// Larger than this is no settings file: shown as it is, read-only.
const LARGEST_COPY: u64 = 1 << 20;
/// A path that needs more steps than this goes in circles.
const MOST_LINKS: usize = 16;

/// The home of a run.
#[derive(Debug)]
pub(super) struct Home {
    /// In order: the home, its copies and links, its overlays, what is as on the host.
    pub(super) mounts: Vec<Mount>,
    /// What of the host is seen in it, and what is put into it.
    pub(super) shown: Vec<PathBuf>,
    /// What comes back to the host's home when the run is over, where it changed.
    pub(super) kept: Vec<PathBuf>,
    /// Logins of the agent that are copies with synthetic values, and need no mask.
    pub(super) logins: Vec<PathBuf>,
}

/// What of the inventory decides here.
pub(super) struct Found<'a> {
    pub(super) registry: &'a Registry,
    pub(super) masks: &'a [Mask],
    pub(super) command: &'a [Bytes],
}

/// A private home; `None` where there is no home, or where the workspace is the home or lies above it:
/// the user asked for all of it to be worked on.
pub(super) fn private(policy: &Policy, host: &Host, found: &Found<'_>, layer: Layer) -> Option<Home> {
    let home = host.home.as_deref()?;
    if home.starts_with(&host.workspace) {
        return None;
    }
    let mut view = View {
        home,
        entries: entries(home),
        workspace: &host.workspace,
        registry: found.registry,
        masked: found.masks.iter().map(|mask| mask.at.0.as_slice()).collect(),
        closed: found
            .masks
            .iter()
            .filter(|mask| mask.cover == Cover::BlockedDirectory)
            .map(|mask| super::as_path(&mask.at))
            .collect(),
        links: Vec::new(),
        copies: Vec::new(),
        directories: BTreeSet::new(),
        files: BTreeSet::new(),
        persistent: BTreeSet::new(),
        kept: Vec::new(),
        logins: Vec::new(),
    };
    view.show_tools(host);
    view.show_what_the_policy_names(policy, host, layer);
    view.show_what_the_command_names(host, found.command);
    view.copy_logins(policy, found.masks);
    Some(view.finish(layer))
}

struct View<'a> {
    home: &'a Path,
    /// What lies in the home: most of what is asked for does not, and needs no look of its own.
    entries: Option<BTreeSet<OsString>>,
    workspace: &'a Path,
    registry: &'a Registry,
    masked: BTreeSet<&'a [u8]>,
    closed: Vec<&'a Path>,
    links: Vec<(PathBuf, PathBuf)>,
    copies: Vec<(PathBuf, Vec<u8>, u32)>,
    directories: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    persistent: BTreeSet<PathBuf>,
    kept: Vec<PathBuf>,
    logins: Vec<PathBuf>,
}

impl View<'_> {
    fn show_tools(&mut self, host: &Host) {
        for path in DIRECTORIES {
            self.show_directory(&self.home.join(path));
        }
        for path in FILES {
            self.show_file(&self.home.join(path));
        }
        for name in VARIABLES {
            let Some(value) = host.variable(name) else { continue };
            for path in value.split(|&byte| byte == b':') {
                self.show_directory(super::as_path_of(path));
            }
        }
    }

    fn show_what_the_policy_names(&mut self, policy: &Policy, host: &Host, layer: Layer) {
        let rules = policy.secrets.files.iter();
        let allowed = rules
            .filter(|rule| rule.mode == FileMode::Allow && rule.force == RuleForce::Exactly)
            .map(|rule| rule.path.as_str());
        for path in policy.files.visible.iter().map(String::as_str).chain(allowed) {
            let path = host.path_of(path);
            self.show_directory(&path);
            self.show_file(&path);
        }
        for path in &policy.files.persist {
            self.keep(&host.path_of(path), layer);
        }
    }

    /// A directory is the host's own. A file is a copy, which programs may replace by renaming, and comes
    /// back; so does what is not there yet. With the layer in memory there is nothing to come back from.
    fn keep(&mut self, path: &Path, layer: Layer) {
        match (self.resolve(path), layer) {
            (Some(path), Layer::Record) if !path.is_dir() => {
                if self.show_file(&path) == Shown::Same {
                    self.kept.push(path);
                } else {
                    self.persistent.insert(path);
                }
            }
            (Some(path), _) => {
                self.persistent.insert(path);
            }
            (None, Layer::Record) if path.symlink_metadata().is_err() => {
                let path = normal(path);
                let is_linked = |relative| first_link(self.home, relative).is_some();
                if path.strip_prefix(self.home).is_ok_and(|relative| !is_linked(relative)) {
                    self.kept.push(path);
                }
            }
            (None, _) => {}
        }
    }

    /// The user's own words: the program, where programs are looked for, and files named in full.
    fn show_what_the_command_names(&mut self, host: &Host, command: &[Bytes]) {
        for directory in programs::search_path(host) {
            self.show_directory(&programs::prefix_of_directory(&directory, self.home));
        }
        if let Some(program) = command.first().and_then(|name| programs::find(host, name)) {
            self.show_program(&program);
        }
        for word in command.iter().skip(1) {
            let path = super::as_path(word);
            if path.is_file() {
                self.show_one(path);
            }
        }
    }

    /// An agent that renews its login writes it anew, and goes on with what it reads there: a mask would give it the
    /// old one again. Where nothing of the host is seen at that place, the same synthetic content is a copy of its own.
    fn copy_logins(&mut self, policy: &Policy, masks: &[Mask]) {
        for login in policy.profile.iter().flat_map(|profile| profile.logins) {
            let Some(path) = login.path.strip_prefix("~/").map(|path| self.home.join(path)) else { continue };
            let seen = self.directories.iter().chain(&self.files).chain(&self.persistent);
            if path.starts_with(self.workspace) || seen.into_iter().any(|above| path.starts_with(above)) {
                continue;
            }
            let mask = masks.iter().find(|mask| mask.at.0 == path.as_os_str().as_bytes());
            if let Some(Mask { cover: Cover::Synthetic { content, mode, .. }, .. }) = mask {
                self.copies.push((path.clone(), content.clone(), mode & 0o777));
                self.logins.push(path);
            }
        }
    }

    fn show_program(&mut self, program: &Path) {
        let Some(real) = self.resolve(program) else { return };
        match programs::prefix_of_program(&real, self.home) {
            Some(prefix) => self.show_directory(&prefix),
            None => self.show_one(&real),
        }
    }

    /// A file as it is on the host, read-only.
    fn show_one(&mut self, path: &Path) {
        if let Some(path) = self.resolve(path).filter(|path| path.is_file()) {
            self.files.insert(path);
        }
    }

    fn show_directory(&mut self, path: &Path) {
        if let Some(path) = self.resolve(path).filter(|path| path.is_dir()) {
            self.directories.insert(path);
        }
    }

    fn show_file(&mut self, path: &Path) -> Shown {
        let Some(path) = self.resolve(path) else { return Shown::Otherwise };
        if self.copies.iter().any(|(other, ..)| *other == path) {
            return Shown::Same;
        }
        match read_settings(&path) {
            Settings::Read(content, mode) => {
                // A value of another place may be in it.
                let replaced = self.registry.replace_known(&content).map(|replaced| replaced.bytes);
                let shown = if replaced.is_some() { Shown::Otherwise } else { Shown::Same };
                self.copies.push((path, replaced.unwrap_or(content), mode));
                shown
            }
            Settings::Large => {
                self.files.insert(path);
                Shown::Otherwise
            }
            Settings::None => Shown::Otherwise,
        }
    }

    /// Where `path` leads, beneath the home: the links on the way are noted. `None` where that is
    /// nothing, not ours to show, or a mask's.
    fn resolve(&mut self, path: &Path) -> Option<PathBuf> {
        let mut path = path.to_path_buf();
        for _ in 0..MOST_LINKS {
            let relative = path.strip_prefix(self.home).ok()?;
            if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
                path = normal(&path);
                continue;
            }
            let first = relative.components().next()?;
            if path.starts_with(self.workspace)
                || self.entries.as_ref().is_some_and(|entries| !entries.contains(first.as_os_str()))
            {
                return None;
            }
            let Some((link, target)) = first_link(self.home, relative) else {
                let masked = self.masked.contains(path.as_os_str().as_bytes());
                let closed = self.closed.iter().any(|closed| path.starts_with(closed));
                return (!masked && !closed && path.symlink_metadata().is_ok()).then_some(path);
            };
            let rest = path.strip_prefix(&link).ok()?;
            let parent = link.parent()?;
            path = normal(&parent.join(&target).join(rest));
            if !self.links.iter().any(|(other, _)| *other == link) {
                self.links.push((link, target));
            }
        }
        None
    }

    fn finish(self, layer: Layer) -> Home {
        let mut mounts = vec![Mount::Home { at: bytes(self.home), layer }];
        let mut shown = Vec::new();
        let trees: Vec<_> = self
            .directories
            .iter()
            .filter(|path| !path.ancestors().skip(1).any(|above| self.directories.contains(above)))
            .filter(|path| !self.persistent.contains(*path))
            .collect();
        let beneath = |path: &Path| trees.iter().any(|tree| path.starts_with(tree));
        for (at, target) in self.links.iter().filter(|(at, _)| !beneath(at)) {
            mounts.push(Mount::Link { at: bytes(at), target: bytes(target) });
        }
        for (at, content, mode) in self.copies {
            if !beneath(&at) && !self.persistent.contains(&at) {
                mounts.push(Mount::Copy { at: bytes(&at), content, mode });
                shown.push(at);
            }
        }
        mounts.extend(trees.iter().map(|at| Mount::Overlay { at: bytes(at), layer }));
        let is_bound = |at: &PathBuf| beneath(at) || self.persistent.contains(at);
        for at in self.files.iter().filter(|at| !is_bound(at) && !shown.contains(at)) {
            mounts.push(Mount::Keep { at: bytes(at), access: Access::ReadOnly });
        }
        for at in &self.persistent {
            mounts.push(Mount::Keep { at: bytes(at), access: Access::ReadWrite });
        }
        shown.extend(trees.into_iter().cloned());
        shown.extend(self.files);
        shown.extend(self.persistent);
        Home { mounts, shown, kept: self.kept, logins: self.logins }
    }
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Copied as it is.
    Same,
    /// With synthetic values, or not as a copy.
    Otherwise,
}

enum Settings {
    Read(Vec<u8>, u32),
    Large,
    None,
}

fn read_settings(path: &Path) -> Settings {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let Ok(file) = fs::File::options().read(true).custom_flags(flags).open(path) else {
        return Settings::None;
    };
    let Ok(metadata) = file.metadata() else { return Settings::None };
    if !metadata.is_file() {
        return Settings::None;
    }
    let mut content = Vec::new();
    match file.take(LARGEST_COPY + 1).read_to_end(&mut content) {
        Ok(length) if length as u64 > LARGEST_COPY => Settings::Large,
        Ok(_) => Settings::Read(content, metadata.permissions().mode() & 0o777),
        Err(_) => Settings::None,
    }
}

fn entries(home: &Path) -> Option<BTreeSet<OsString>> {
    let entries = fs::read_dir(home).ok()?;
    entries.map(|entry| entry.ok().map(|entry| entry.file_name())).collect()
}

/// The first link on the way from `home` down, and what it holds.
fn first_link(home: &Path, relative: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut at = home.to_path_buf();
    for part in relative.components() {
        at.push(part);
        if at.symlink_metadata().ok()?.is_symlink() {
            let target = fs::read_link(&at).ok()?;
            return Some((at, target));
        }
    }
    None
}

/// Without `.` and `..`. Only what is no link stands before a `..` here: links are resolved first, one
/// at a time, from the left.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}
