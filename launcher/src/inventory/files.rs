//! Owns what is shown in place of each secret file: nothing, or the same file with synthetic values.
//!
//! A file is opened once, through a descriptor that names it canonically; what cannot be read or
//! parsed whole is blocked.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

use shieldrun_policy::plan::{Bytes, Cover, Mask};
use shieldrun_policy::schema::{FileMode, Policy, SecretsMode};
use shieldrun_secrets::{MAX_PARSE, Registry, edit};

use super::InventoryError;
use super::candidates::{Candidate, Candidates, format_of};
use super::content;
use super::links::{Identity, other_names};
use super::mounts::{self, MountTable};
use super::path::{as_path, contains, join, name_of};
use super::store::{self, Owner};
use super::walk::{Extent, open_root, walk};
use crate::host::Host;

/// Covers everything that is known to hold a secret.
///
/// # Errors
/// When a secret file has a name that cannot be masked.
pub(super) fn find(
    registry: &mut Registry,
    policy: &Policy,
    host: &Host,
    mut candidates: Candidates,
) -> Result<Found, InventoryError> {
    let mounts = MountTable::read().map_err(|error| InventoryError::Table(mounts::TABLE, error))?;
    let mut queue: VecDeque<Candidate> = std::mem::take(&mut candidates.list).into();
    let mut collected = Found { masks: Vec::new(), decided: BTreeSet::new(), candidates, mounts };
    while let Some(candidate) = queue.pop_front() {
        let Some(opened) = Opened::new(&candidate.path) else { continue };
        if collected.has(&opened.path) {
            continue;
        }
        collected.decided.insert(opened.path.clone());
        let mode = mode(policy, host, &candidate, &opened);
        let (cover, reason) = match decide(registry, host, mode, &candidate, &opened) {
            Decision::Nothing => continue,
            Decision::Within => {
                queue.extend(within(&candidate, &opened));
                continue;
            }
            Decision::Cover(cover, reason) => (cover, reason),
        };
        let is_store = cover == Cover::BlockedDirectory;
        collected.cover(&opened, cover, &candidate.rule, reason)?;
        if is_store {
            let whose = owner(host, &opened.path);
            for name in store::look(registry, &opened.path, whose, &collected.candidates, &collected.mounts)?
            {
                let reason = "a file of a store of secrets";
                collected.push(mask(name, Cover::BlockedFile, &candidate.rule, reason));
            }
        }
    }
    Ok(collected)
}

fn mask(at: Vec<u8>, cover: Cover, rule: &str, reason: &str) -> Mask {
    Mask { at: Bytes(at), cover, rule: rule.to_owned(), reason: reason.to_owned() }
}

/// The strictest of what the data, the policy and the mode of the run say.
fn mode(policy: &Policy, host: &Host, candidate: &Candidate, opened: &Opened) -> FileMode {
    let home = host.home_or_root();
    let of = |path: &[u8], own| policy.secrets.file_mode(as_path(path), home, &host.workspace, own);
    // A rule may name the link or what it leads to.
    let named = if of(&candidate.path, None).is_some() { &candidate.path } else { &opened.path };
    let mode = of(named, candidate.own).unwrap_or(FileMode::Synthetic);
    if policy.secrets.mode == SecretsMode::Block && mode == FileMode::Synthetic {
        FileMode::Block
    } else {
        mode
    }
}

/// The files of a directory that is shown with synthetic values.
fn within(candidate: &Candidate, opened: &Opened) -> Vec<Candidate> {
    let Ok(root) = open_root(as_path(&opened.path)) else { return Vec::new() };
    let found = walk(root.as_fd(), Extent::AllMounts, |_, _| Some(()));
    let child = |path: &[u8], own| {
        let path = join(&opened.path, path);
        Candidate { format: format_of(&path), path, own, directory: true, rule: candidate.rule.clone() }
    };
    let files = found.named.iter().map(|(path, ())| child(path, Some(FileMode::Synthetic)));
    let unreadable = found
        .unreadable
        .iter()
        .filter(|path| !path.is_empty())
        .map(|path| child(path, Some(FileMode::Block)));
    files.chain(unreadable).collect()
}

/// The masks so far, and what the next ones need to know.
pub(super) struct Found {
    masks: Vec<Mask>,
    decided: BTreeSet<Vec<u8>>,
    /// Where the files were looked for.
    pub candidates: Candidates,
    mounts: MountTable,
}

impl Found {
    /// Puts a cover over a file at each of its names.
    ///
    /// # Errors
    /// When it has a name that cannot be found.
    pub(super) fn cover(
        &mut self,
        opened: &Opened,
        cover: Cover,
        rule: &str,
        reason: &str,
    ) -> Result<(), InventoryError> {
        let mut names = vec![opened.path.clone()];
        names.extend(opened.other_names(&self.candidates, &self.mounts)?);
        for name in names.clone() {
            names.extend(self.mounts.other_names(&name).into_iter().filter(|other| opened.is_at(other)));
        }
        for name in names {
            self.push(mask(name, cover.clone(), rule, reason));
        }
        Ok(())
    }

    /// The masks so far.
    pub(super) fn masks_mut(&mut self) -> &mut [Mask] {
        &mut self.masks
    }

    /// Whether there is a mask at exactly this path.
    pub(super) fn is_covered(&self, path: &[u8]) -> bool {
        self.masks.iter().any(|mask| mask.at.0 == path)
    }

    /// The paths that are covered, and the directories among them.
    pub(super) fn covered(&self) -> (BTreeSet<&[u8]>, Vec<&[u8]>) {
        let directories = self.masks.iter().filter(|mask| mask.cover == Cover::BlockedDirectory);
        (
            self.masks.iter().map(|mask| mask.at.0.as_slice()).collect(),
            directories.map(|mask| mask.at.0.as_slice()).collect(),
        )
    }

    fn has(&self, path: &[u8]) -> bool {
        self.decided.contains(path)
            || self
                .masks
                .iter()
                .any(|mask| mask.cover == Cover::BlockedDirectory && contains(&mask.at.0, path))
    }

    /// Adds a mask; of two for one path the first counts.
    pub(super) fn push(&mut self, mask: Mask) {
        if !self.masks.iter().any(|own| own.at == mask.at) {
            self.decided.insert(mask.at.0.clone());
            self.masks.push(mask);
        }
    }

    /// Each canonical path once, none beneath another: a directory that is covered as a whole needs nothing
    /// beneath it, whichever came first.
    pub(super) fn finish(&self) -> Vec<Mask> {
        let directories: Vec<Bytes> = self
            .masks
            .iter()
            .filter(|mask| mask.cover == Cover::BlockedDirectory)
            .map(|mask| mask.at.clone())
            .collect();
        let beneath =
            |mask: &Mask| directories.iter().any(|above| *above != mask.at && contains(&above.0, &mask.at.0));
        self.masks.iter().filter(|mask| !beneath(mask)).cloned().collect()
    }
}

/// A file that exists, as the kernel resolved it.
pub(super) struct Opened {
    /// Canonical.
    path: Vec<u8>,
    stat: Stat,
    handle: OwnedFd,
}

impl Opened {
    /// `None`: there is nothing at that path, or nothing that anybody here could read.
    pub(super) fn new(path: &[u8]) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, as_path(path), flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&handle).ok()?;
        let path = name_of(&handle)?;
        Some(Self { path, stat, handle })
    }

    fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    fn other_names(
        &self,
        candidates: &Candidates,
        mounts: &MountTable,
    ) -> Result<Vec<Vec<u8>>, InventoryError> {
        if self.kind() == FileType::Directory || self.stat.st_nlink < 2 {
            return Ok(Vec::new());
        }
        other_names(&self.path, Identity::of(&self.stat), &candidates.walk, &candidates.root, mounts)
    }

    fn is_at(&self, path: &[u8]) -> bool {
        rustix::fs::lstat(as_path(path))
            .is_ok_and(|stat| stat.st_dev == self.stat.st_dev && stat.st_ino == self.stat.st_ino)
    }
}

fn owner(host: &Host, path: &[u8]) -> Owner {
    let users = [host.home.as_deref(), Some(host.workspace.as_path())];
    let is_users = users.into_iter().flatten().any(|above| as_path(path).starts_with(above));
    if is_users { Owner::User } else { Owner::Machine }
}

enum Decision {
    /// No secret there, or the policy lets it be read.
    Nothing,
    /// A directory whose files are to be looked at one by one.
    Within,
    /// To be covered, and why.
    Cover(Cover, &'static str),
}

fn decide(
    registry: &mut Registry,
    host: &Host,
    mode: FileMode,
    candidate: &Candidate,
    opened: &Opened,
) -> Decision {
    use Decision::{Nothing, Within};
    let block = |reason| Decision::Cover(Cover::BlockedFile, reason);
    match (opened.kind(), mode) {
        (_, FileMode::Allow) => return Nothing,
        (FileType::Directory, _) if !candidate.directory => return Nothing,
        (FileType::Directory, FileMode::Block) => {
            return Decision::Cover(Cover::BlockedDirectory, "a store of secrets");
        }
        (FileType::Directory, FileMode::Synthetic) => return Within,
        (FileType::RegularFile, FileMode::Block) if candidate.own != Some(FileMode::Synthetic) => {
            if owner(host, &opened.path) == Owner::User {
                store::learn(registry, &opened.path, candidate.format);
            }
            return block("a store of secrets");
        }
        (FileType::RegularFile, _) => {}
        // Password managers serve real values through a FIFO named `.env`.
        _ => return block("not a regular file"),
    }
    if usize::try_from(opened.stat.st_size).is_ok_and(|size| size > MAX_PARSE) {
        return block("too large to be parsed");
    }
    let Ok(content) = content::read(&opened.handle) else { return block("cannot be read") };
    let shown = String::from_utf8_lossy(&candidate.path);
    let format = candidate.format.unwrap_or_else(|| content::format(&content));
    match edit(registry, format, &shown, &content) {
        Err(_) => block("cannot be parsed whole"),
        Ok(edited) if edited.ids.is_empty() => Nothing,
        Ok(_) if mode == FileMode::Block => block("holds secrets"),
        Ok(edited) => {
            let cover = Cover::Synthetic {
                content: edited.bytes,
                mode: opened.stat.st_mode & 0o7777,
                modified: (opened.stat.st_mtime, opened.stat.st_mtime_nsec.cast_signed()),
            };
            Decision::Cover(cover, "synthetic values in place of real ones")
        }
    }
}
