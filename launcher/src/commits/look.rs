//! Looks what a run did to the repository: which references moved, and what the new commits hold that no file of
//! the tree shows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use shieldrun_policy::changes::{Change, ChangeSet, Commits, Hidden};
use shieldrun_policy::plan::Bytes;

use super::git::Git;
use super::references::{self, Side};
use super::{CommitsError, Repository};
use crate::beneath::Tree;
use crate::changes::{self, Eyes, Owner};

/// What a commit holds at a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    path: Vec<u8>,
    mode: u32,
    blob: String,
}

/// Looks; none where the run did nothing that goes over.
pub(crate) fn look(
    repository: &Repository<'_>,
    eyes: &Eyes<'_>,
    set: &ChangeSet,
) -> Result<Option<Commits>, CommitsError> {
    let (mut lower, mut upper) = (Side::new(repository.lower), Side::new(repository.upper));
    let failed = CommitsError::io("look at the run's repository");
    if !is_directory(repository.upper).map_err(&failed)? || is_file(repository.lower).map_err(&failed)? {
        return Ok(None);
    }
    let references = references::changed(&mut lower, &mut upper)?;
    let head = references::head(&mut lower, &mut upper)?;
    // A repository that the run made has a HEAD before it has a commit.
    if references.is_empty() && (head.is_none() || !lower.has("HEAD").map_err(&failed)?) {
        return Ok(None);
    }
    let view = view(repository)?;
    let mut commits = Commits { references, head, count: 0, hidden: Vec::new() };
    let range = range(repository, &commits)?;
    let listed = view.run("list the new commits", &["rev-list", "--stdin"], range.as_bytes())?;
    let ids: Vec<String> =
        String::from_utf8_lossy(&listed).lines().map(str::to_owned).filter(|id| !id.is_empty()).collect();
    commits.count = ids.len() as u64;
    if ids.is_empty() {
        return Ok(Some(commits));
    }
    let arguments = [
        "log",
        "-m",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "--root",
        "-z",
        "--format=",
        "--no-ext-diff",
        "--stdin",
    ];
    let versions = versions(&view.run("read the new commits", &arguments, range.as_bytes())?);
    let mut wanted: Vec<String> = ids.clone();
    wanted.extend(commits.references.iter().filter_map(|reference| reference.new.clone()));
    wanted.extend(versions.iter().map(|version| version.blob.clone()));
    wanted.sort();
    wanted.dedup();
    let contents = contents(&view, &wanted)?;
    let mut tree = Tree::new(repository.lower);
    let judged = judged(set);
    for version in &versions {
        // A link to another repository holds nothing itself.
        let Some((_, content)) = contents.get(&version.blob).filter(|_| version.mode != 0o160_000) else {
            continue;
        };
        let digest: [u8; 32] = Sha256::digest(content).into();
        let link = version.mode == 0o120_000;
        let known =
            judged.get(version.path.as_slice()).is_some_and(|own| *own == Seen::of(link, digest, content));
        if known || is_the_users(&mut tree, version, content, digest) {
            continue;
        }
        let change = changes::created(&version.path, version.mode, content, eyes);
        commits.hidden.push(Hidden { change });
    }
    // What is said in commits and tags leaves with them.
    for (id, (kind, content)) in contents.iter().filter(|(_, (kind, _))| kind == "commit" || kind == "tag") {
        let name = format!("{kind} {}", id.get(..10).unwrap_or(id));
        let mut change = changes::created(name.as_bytes(), 0o100_644, content, eyes);
        change.findings.retain(|finding| changes::is_secret(&finding.what));
        if !change.findings.is_empty() {
            commits.hidden.push(Hidden { change });
        }
    }
    Ok(Some(commits))
}

/// A git directory of our own through which git reads both sides' objects, and nothing else of either.
pub(super) fn view(repository: &Repository<'_>) -> Result<Git, CommitsError> {
    let at = view_path(repository);
    let failed = CommitsError::io("make a place for git in the run's record");
    for directory in ["objects/info", "objects/pack", "refs/shieldrun"] {
        fs::create_dir_all(at.join(directory)).map_err(&failed)?;
    }
    let (layer, workspace) = (repository.layer.display(), repository.workspace.display());
    let mut alternates = String::new();
    if repository.layer.join(".git/objects").is_dir() {
        alternates.push_str(&format!("{layer}/.git/objects\n"));
    }
    if repository.workspace.join(".git/objects").is_dir() {
        alternates.push_str(&format!("{workspace}/.git/objects\n"));
    }
    let sha256 = object_format(repository).map_err(&failed)?;
    let config = format!(
        "[core]\n\trepositoryformatversion = {}\n\tbare = true\n{}",
        u8::from(sha256),
        if sha256 { "[extensions]\n\tobjectformat = sha256\n" } else { "" }
    );
    for (name, text) in [
        ("objects/info/alternates", alternates.as_str()),
        ("HEAD", "ref: refs/heads/none\n"),
        ("config", config.as_str()),
    ] {
        fs::write(at.join(name), text).map_err(&failed)?;
    }
    Ok(Git::at(at))
}

pub(super) fn view_path(repository: &Repository<'_>) -> PathBuf {
    repository.record.join("git")
}

/// Whether the user's repository names its objects by SHA-256.
fn object_format(repository: &Repository<'_>) -> io::Result<bool> {
    let config = Side::new(repository.lower).small("config", 1 << 20)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&config).to_lowercase().replace(' ', "").contains("objectformat=sha256"))
}

/// The new ids, without what the user's repository has.
fn range(repository: &Repository<'_>, commits: &Commits) -> Result<String, CommitsError> {
    let mut range = String::new();
    let detached = commits.head.as_ref().map(|(_, new)| new).filter(|new| !new.starts_with("ref: "));
    for id in commits.references.iter().filter_map(|reference| reference.new.as_ref()).chain(detached) {
        range.push_str(&format!("{id}\n"));
    }
    if repository.workspace.join(".git/HEAD").is_file() {
        let real = Git::at(repository.workspace.join(".git"));
        let known = real.run(
            "list the references of your repository",
            &["for-each-ref", "--format=^%(objectname)"],
            b"",
        )?;
        range.push_str(&String::from_utf8_lossy(&known));
        // A HEAD without a branch is no reference.
        if let Ok(head) = real.run("read HEAD", &["rev-parse", "--verify", "--quiet", "HEAD"], b"") {
            range.push_str(&format!("^{}", String::from_utf8_lossy(&head)));
        }
    }
    Ok(range)
}

/// The lines of `git log --raw -z`: what each commit holds that the one before did not.
fn versions(raw: &[u8]) -> Vec<Version> {
    let mut found = Vec::new();
    let mut parts = raw.split(|byte| *byte == 0);
    while let Some(part) = parts.next() {
        let Some(at) = part.iter().position(|byte| *byte == b':') else { continue };
        let line = String::from_utf8_lossy(part.get(at + 1..).unwrap_or_default()).into_owned();
        let words: Vec<&str> = line.split(' ').collect();
        let ([_, mode, _, blob, status], Some(path)) = (words.as_slice(), parts.next()) else { continue };
        if status.starts_with('D') {
            continue;
        }
        let mode = u32::from_str_radix(mode, 8).unwrap_or_default();
        found.push(Version { path: path.to_vec(), mode, blob: (*blob).to_owned() });
    }
    found.sort();
    found.dedup();
    found
}

/// Objects by id: what they are, and their content.
fn contents(view: &Git, ids: &[String]) -> Result<BTreeMap<String, (String, Vec<u8>)>, CommitsError> {
    let list = ids.join("\n") + "\n";
    let bytes = view.run("read the new objects", &["cat-file", "--batch"], list.as_bytes())?;
    let mut found = BTreeMap::new();
    let mut rest = bytes.as_slice();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        rest = rest.get(end + 1..).unwrap_or_default();
        let words: Vec<&str> = line.split(' ').collect();
        if let [id, kind, size] = words.as_slice() {
            let size: usize = size.parse().unwrap_or_default();
            let content = rest.get(..size).unwrap_or_default();
            found.insert((*id).to_owned(), ((*kind).to_owned(), content.to_vec()));
            rest = rest.get(size + 1..).unwrap_or_default();
        }
    }
    Ok(found)
}

/// What the gate saw of a file, by path.
#[derive(PartialEq, Eq)]
enum Seen {
    File([u8; 32]),
    Link(Vec<u8>),
}

impl Seen {
    fn of(link: bool, digest: [u8; 32], content: &[u8]) -> Self {
        if link { Seen::Link(content.to_vec()) } else { Seen::File(digest) }
    }
}

fn judged(set: &ChangeSet) -> HashMap<&[u8], Seen> {
    let seen = |change: &Change| {
        let node = change.after.as_ref()?;
        match &node.kind {
            shieldrun_policy::changes::NodeKind::Symlink(Bytes(target)) => Some(Seen::Link(target.clone())),
            _ => node.digest.map(Seen::File),
        }
    };
    set.changes.iter().filter_map(|change| Some((change.path.0.as_slice(), seen(change)?))).collect()
}

/// Whether the user's tree has just this at the path: work that was there, and that the run committed.
fn is_the_users(tree: &mut Tree<'_>, version: &Version, content: &[u8], digest: [u8; 32]) -> bool {
    let Ok(Some(stat)) = tree.stat(&version.path) else { return false };
    version.mode != 0o120_000
        && changes::stat_kind(&stat) == "file"
        && u64::try_from(stat.st_size).ok() == Some(content.len() as u64)
        && changes::digest(tree, &version.path, &stat, Owner::User).is_ok_and(|own| own == digest)
}

fn kind(root: std::os::fd::BorrowedFd<'_>) -> io::Result<Option<&'static str>> {
    Ok(Tree::new(root).stat(b".git")?.map(|stat| changes::stat_kind(&stat)))
}

fn is_directory(root: std::os::fd::BorrowedFd<'_>) -> io::Result<bool> {
    Ok(kind(root)? == Some("directory"))
}

/// `.git` of a worktree or a submodule: the repository is elsewhere, and inside it is read-only.
fn is_file(root: std::os::fd::BorrowedFd<'_>) -> io::Result<bool> {
    Ok(matches!(kind(root)?, Some("file" | "symlink")))
}

/// Ids that are there once.
pub(super) fn distinct(commits: &Commits) -> Vec<String> {
    let mut seen = HashSet::new();
    let detached = commits.head.as_ref().map(|(_, new)| new.clone()).filter(|new| !new.starts_with("ref: "));
    let news = commits.references.iter().filter_map(|reference| reference.new.clone()).chain(detached);
    news.filter(|id| seen.insert(id.clone())).collect()
}
