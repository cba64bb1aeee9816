//! Owns the list of paths that may hold secrets: known places of the home and the system, names in
//! the workspace, files that variables point at, and what the policy names.

use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use shieldrun_policy::schema::{FileMode, Policy};
use shieldrun_secrets::{
    Format, Handling, KnownPlace, home_places, runtime_places, system_places, workspace_place,
};

use super::InventoryError;
use super::environment::Pointer;
use super::git;
use super::listing::{Listings, matches};
use super::path::{as_path, join};
use super::walk::{Extent, Walk, open_root, walk};
use crate::host::Host;

/// A path that may hold a secret.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Absolute, links not resolved.
    pub path: Vec<u8>,
    /// How to read it; where nothing is known of it, its content tells.
    pub format: Option<Format>,
    /// What the data says is to be done, before the policy.
    pub own: Option<FileMode>,
    /// A whole directory may be covered.
    pub directory: bool,
    /// `rule.name` of the record.
    pub rule: String,
}

impl Candidate {
    /// What the data says of a known place, at a path that exists.
    fn at(path: Vec<u8>, place: &KnownPlace) -> Self {
        Self {
            path,
            format: Some(place.format),
            own: Some(mode_of(place.handling)),
            directory: place.directory,
            rule: format!("secrets.files.{}", place.pattern),
        }
    }
}

/// All of them, and the walk that found some.
#[derive(Debug)]
pub(super) struct Candidates {
    /// In the order of precedence: the first rule for a path counts.
    pub list: Vec<Candidate>,
    /// The walk, for hard links.
    pub walk: Walk<Name>,
    /// Root of the walk, absolute.
    pub root: Vec<u8>,
    /// Object directories of the repositories in it, and of those that it is a work tree of.
    pub stores: Vec<Vec<u8>>,
}

impl Candidates {
    /// The directories of the repositories whose stores these are.
    pub(super) fn repositories(&self) -> impl Iterator<Item = &[u8]> {
        self.stores.iter().filter_map(|store| store.strip_suffix(b"/objects"))
    }
}

/// What a name in the workspace told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    format: Format,
    handling: Handling,
    pattern: &'static str,
}

/// Collects.
///
/// # Errors
/// When the workspace cannot be opened.
pub(super) fn collect(
    policy: &Policy,
    host: &Host,
    pointed_at: &[Pointer],
) -> Result<Candidates, InventoryError> {
    let mut list = Vec::new();
    from_policy(policy, host, &mut list);
    if let Some(home) = host.home_bytes() {
        from_home(home, &mut list);
    }
    let mut listings = Listings::default();
    for place in system_places() {
        // Reading `/etc` costs more than looking at a name in it.
        let pattern = place.pattern.as_bytes();
        let paths =
            if pattern.contains(&b'*') { listings.expand(b"/", pattern) } else { vec![pattern.to_vec()] };
        for path in paths {
            list.push(Candidate::at(path, place));
        }
    }
    if let Some(runtime) = host.path_variable("XDG_RUNTIME_DIR") {
        for place in runtime_places() {
            list.push(Candidate::at(join(runtime.as_os_str().as_bytes(), place.pattern.as_bytes()), place));
        }
    }
    for pointer in pointed_at {
        from_pointer(pointer, &mut list);
    }
    let root = host.workspace.as_os_str().as_bytes().to_vec();
    let opened = open_root(&host.workspace)
        .map_err(|error| InventoryError::Workspace(host.workspace.clone(), error.into()))?;
    let walk = walk(opened.as_fd(), Extent::AllMounts, |name, parent| {
        workspace_place(name, parent).map(|place| Name {
            format: place.format,
            handling: place.handling,
            pattern: place.pattern,
        })
    });
    for (path, name) in &walk.named {
        list.push(Candidate {
            path: join(&root, path),
            format: Some(name.format),
            own: Some(mode_of(name.handling)),
            directory: false,
            rule: format!("secrets.files.{}", name.pattern),
        });
    }
    let repositories = git::directories(&walk, opened.as_fd());
    for noted in git::noted(&walk, opened.as_fd(), &repositories) {
        list.push(Candidate {
            path: join(&root, &noted.path),
            format: Some(noted.format),
            own: Some(FileMode::Synthetic),
            directory: false,
            rule: "secrets.files.git".to_owned(),
        });
    }
    let linked = git::linked(&walk, &root);
    for noted in linked.iter().flat_map(|directory| git::noted_in(directory)) {
        list.push(Candidate {
            path: noted.path,
            format: Some(noted.format),
            own: Some(FileMode::Synthetic),
            directory: false,
            rule: "secrets.files.git".to_owned(),
        });
    }
    let mut stores: Vec<_> = repositories.iter().map(|path| join(&root, &join(path, b"objects"))).collect();
    stores.extend(linked.iter().map(|path| join(path, b"objects")));
    for path in &walk.unreadable {
        list.push(Candidate {
            path: join(&root, path),
            format: Some(Format::Opaque),
            own: Some(FileMode::Block),
            directory: true,
            rule: "secrets.files.unreadable".to_owned(),
        });
    }
    Ok(Candidates { list, walk, root, stores })
}

/// What the policy names is looked at even where the data knows nothing of it.
fn from_policy(policy: &Policy, host: &Host, list: &mut Vec<Candidate>) {
    for rule in &policy.secrets.files {
        let path = rule.host_path(host.home_or_root(), &host.workspace).into_os_string().into_vec();
        if exists(&path) {
            list.push(Candidate {
                format: format_of(&path),
                path,
                own: None,
                directory: true,
                rule: format!("secrets.files.{}", rule.path),
            });
        }
    }
}

/// What the data says of a file with this name, wherever it lies.
pub(super) fn format_of(path: &[u8]) -> Option<Format> {
    let mut parts = path.rsplit(|&byte| byte == b'/');
    let name = parts.next().unwrap_or_default();
    let parent = parts.next().unwrap_or_default();
    let at_home = || {
        home_places()
            .find(|place| place.pattern.rsplit('/').next().is_some_and(|last| matches(last.as_bytes(), name)))
    };
    workspace_place(name, parent).or_else(at_home).map(|place| place.format)
}

/// A file that a variable names is a secret; in a directory that one names, those are which the data
/// knows by name.
fn from_pointer(pointer: &Pointer, list: &mut Vec<Candidate>) {
    const LEVELS: usize = 2;
    let rule = format!("secrets.env.{}", pointer.variable);
    let candidate = |path: Vec<u8>, format, own| Candidate {
        path,
        format,
        own: Some(own),
        directory: true,
        rule: rule.clone(),
    };
    if !as_path(&pointer.path).is_dir() {
        list.push(candidate(
            pointer.path.clone(),
            pointer.format.or_else(|| format_of(&pointer.path)),
            FileMode::Synthetic,
        ));
        return;
    }
    if pointer.format == Some(Format::Opaque) {
        list.push(candidate(pointer.path.clone(), pointer.format, FileMode::Block));
        return;
    }
    let mut listings = Listings::default();
    let mut level = vec![pointer.path.clone()];
    for _ in 0..LEVELS {
        let entries: Vec<_> = level.iter().flat_map(|directory| listings.matching(directory, b"*")).collect();
        let (directories, files): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|path| as_path(path).is_dir());
        for path in files {
            if let Some(format) = format_of(&path) {
                list.push(candidate(path, Some(format), FileMode::Synthetic));
            }
        }
        level = directories;
    }
}

/// The known stores that exist.
fn from_home(home: &[u8], list: &mut Vec<Candidate>) {
    let mut listings = Listings::default();
    for place in home_places() {
        let relative = place.pattern.strip_prefix("~/").unwrap_or(place.pattern);
        for path in listings.expand(home, relative.as_bytes()) {
            list.push(Candidate::at(path, place));
        }
    }
}

fn mode_of(handling: Handling) -> FileMode {
    match handling {
        Handling::Synthetic => FileMode::Synthetic,
        Handling::Block => FileMode::Block,
    }
}

fn exists(path: &[u8]) -> bool {
    as_path(path).symlink_metadata().is_ok()
}
