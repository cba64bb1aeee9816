//! Carries commits over, and takes them back.
//!
//! Objects first: they do no harm. Then all references in one transaction, each only if it is what it was when
//! the run began. Then `HEAD`, then the index, made anew from what the run's index lists. Cut off in between, the
//! next approval does what is left: what is done already is seen.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shieldrun_policy::changes::{Commits, Reference};

use super::git::Git;
use super::look::{distinct, view, view_path};
use super::references::Side;
use super::{CommitsError, Repository};

/// What was done, for an undo.
const CARRIED: &str = "carried.json";
/// The index that was there before.
const INDEX: &str = "index.before";
/// An index is no larger.
const MOST_INDEX: u64 = 1 << 30;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Carried {
    references: Vec<(String, Option<String>, Option<String>)>,
    head: Option<(String, String)>,
    index: bool,
    made: bool,
}

/// Carries the commits of a run into the user's repository. True when the index went with them; else it is the
/// user's own, who staged something meanwhile.
///
/// # Errors
/// When a reference was moved meanwhile, or git refuses an object: then no reference is moved.
pub(crate) fn carry(
    repository: &Repository<'_>,
    commits: &Commits,
    since: SystemTime,
) -> Result<bool, CommitsError> {
    let failed = CommitsError::io("write to the run's record");
    let view = view(repository)?;
    let at = view_path(repository);
    let ids = distinct(commits);
    for (number, id) in ids.iter().enumerate() {
        fs::write(at.join(format!("refs/shieldrun/{number}")), format!("{id}\n")).map_err(&failed)?;
    }
    let staged = staged(repository, &view)?;
    let git_directory = repository.workspace.join(".git");
    let made = !git_directory.join("HEAD").exists();
    let real = Git::at(&git_directory).work_tree(repository.workspace);
    if made {
        real.run("make a repository", &["init", "--quiet", "--template="], b"")?;
    }
    let before = repository.record.join(INDEX);
    if !before.exists() && git_directory.join("index").exists() {
        fs::copy(git_directory.join("index"), &before).map_err(&failed)?;
    }
    let fetched = format!("refs/shieldrun/{}", repository.run_id);
    let refspec = format!("+refs/shieldrun/*:{fetched}/*");
    let from = at.display().to_string();
    let fetch =
        ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", &from, &refspec];
    real.run("bring the commits over", &fetch, b"")?;
    // Any look at the status writes the index anew, so its time alone says little: has somebody staged something?
    let index = made
        || !is_newer(&git_directory.join("index"), since)
        || real.run("compare the index", &["diff-index", "--cached", "--quiet", "HEAD"], b"").is_ok();
    let moved = transaction(&commits.references, repository)?;
    real.run("move the branches", &["update-ref", "--stdin"], moved.as_bytes())?;
    if let Some((old, new)) = &commits.head {
        let mut lower = Side::new(repository.lower);
        let now = lower.small("HEAD", 4096).map_err(CommitsError::io("read HEAD"))?.unwrap_or_default();
        let now = String::from_utf8_lossy(now.trim_ascii()).into_owned();
        if now != *new && !made && now != *old {
            return Err(CommitsError::Moved { name: "HEAD".to_owned() });
        }
        set_head(&real, new)?;
    }
    if let (true, Some(entries)) = (index, &staged) {
        write_index(repository, entries)?;
    }
    let listed = real.run(
        "list what was brought over",
        &["for-each-ref", "--format=delete %(refname)", &fetched],
        b"",
    )?;
    real.run("put away what was brought over", &["update-ref", "--stdin"], &listed)?;
    let one = |r: &Reference| (r.name.clone(), r.old.clone(), r.new.clone());
    let carried = Carried {
        references: commits.references.iter().map(one).collect(),
        head: commits.head.clone(),
        index: index && staged.is_some(),
        made,
    };
    let text = serde_json::to_vec(&carried).unwrap_or_default();
    fs::write(repository.record.join(CARRIED), text).map_err(&failed)?;
    Ok(index)
}

/// Whether the references are as they were left, so that they can be taken back.
///
/// # Errors
/// When one was moved since.
pub(crate) fn check_back(repository: &Repository<'_>) -> Result<(), CommitsError> {
    let Some(carried) = carried(repository)? else { return Ok(()) };
    transaction(&carried.back(), repository).map(drop)
}

/// Takes the references and the index back; the objects stay, as git's own do. False where nothing was carried.
///
/// # Errors
/// When a reference was moved since.
pub(crate) fn take_back(repository: &Repository<'_>) -> Result<bool, CommitsError> {
    let Some(carried) = carried(repository)? else { return Ok(false) };
    let git_directory = repository.workspace.join(".git");
    let real = Git::at(&git_directory).work_tree(repository.workspace);
    let moved = transaction(&carried.back(), repository)?;
    real.run("move the branches back", &["update-ref", "--stdin"], moved.as_bytes())?;
    if let Some((old, _)) = &carried.head
        && !carried.made
    {
        set_head(&real, old)?;
    }
    let before = repository.record.join(INDEX);
    if carried.index && before.exists() {
        replace_index(&git_directory, &before, false)?;
        // What it says of the times of files is of before; whether it differs is looked up.
        let _ = real.run("look at the files anew", &["update-index", "-q", "--refresh"], b"");
    }
    fs::remove_file(repository.record.join(CARRIED))
        .map_err(CommitsError::io("write down that the commits were taken back"))?;
    Ok(true)
}

fn carried(repository: &Repository<'_>) -> Result<Option<Carried>, CommitsError> {
    let failed = CommitsError::io("read what was carried over");
    match fs::read(repository.record.join(CARRIED)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

impl Carried {
    fn back(&self) -> Vec<Reference> {
        let one = |(name, old, new): &(String, Option<String>, Option<String>)| Reference {
            name: name.clone(),
            old: new.clone(),
            new: old.clone(),
        };
        self.references.iter().map(one).collect()
    }
}

/// All moves, each with what must be there.
fn transaction(references: &[Reference], repository: &Repository<'_>) -> Result<String, CommitsError> {
    let real = Git::at(repository.workspace.join(".git"));
    let mut lines = String::from("start\n");
    for reference in references {
        let name = &reference.name;
        let now = real.run("read a reference", &["rev-parse", "--verify", "--quiet", name], b"");
        let now = now.ok().map(|id| String::from_utf8_lossy(id.trim_ascii()).into_owned());
        if now == reference.new {
            continue;
        }
        if now != reference.old {
            return Err(CommitsError::Moved { name: name.clone() });
        }
        match (&reference.old, &reference.new) {
            (Some(old), Some(new)) => lines.push_str(&format!("update {name} {new} {old}\n")),
            (None, Some(new)) => lines.push_str(&format!("create {name} {new}\n")),
            (Some(old), None) => lines.push_str(&format!("delete {name} {old}\n")),
            (None, None) => {}
        }
    }
    lines.push_str("prepare\ncommit\n");
    Ok(lines)
}

fn set_head(real: &Git, new: &str) -> Result<(), CommitsError> {
    match new.strip_prefix("ref: ") {
        Some(branch) => real.run("switch HEAD", &["symbolic-ref", "HEAD", branch], b"").map(drop),
        None => real.run("switch HEAD", &["update-ref", "--no-deref", "HEAD", new], b"").map(drop),
    }
}

/// What the run's index lists, with the objects of it brought along; none where it has none that can be taken.
fn staged(repository: &Repository<'_>, view: &Git) -> Result<Option<Vec<u8>>, CommitsError> {
    let failed = CommitsError::io("read the run's index");
    let Some(bytes) = Side::new(repository.upper).small("index", MOST_INDEX).map_err(&failed)? else {
        return Ok(None);
    };
    let copy = view_path(repository).join("index");
    fs::write(&copy, bytes).map_err(&failed)?;
    let index = Git::at(view_path(repository)).index(&copy);
    let entries = index.run("read the run's index", &["ls-files", "--stage", "-z"], b"")?;
    // A merge that was not finished is not carried.
    let merging = entries.split(|byte| *byte == 0).any(|entry| {
        entry
            .split(|byte| *byte == b'\t')
            .next()
            .is_some_and(|head| !head.is_empty() && !head.ends_with(b" 0"))
    });
    if merging {
        return Ok(None);
    }
    // What is staged and in no commit yet is reached through one of our own.
    let Ok(tree) = index.run("write the run's index as a tree", &["write-tree"], b"") else {
        return Ok(None);
    };
    let tree = String::from_utf8_lossy(tree.trim_ascii()).into_owned();
    let commit = [
        "-c",
        "user.name=shieldrun",
        "-c",
        "user.email=shieldrun@localhost",
        "commit-tree",
        &tree,
        "-m",
        "index",
    ];
    let commit = view.run("hold what is staged", &commit, b"")?;
    fs::write(view_path(repository).join("refs/shieldrun/index"), commit).map_err(&failed)?;
    Ok(Some(entries))
}

fn write_index(repository: &Repository<'_>, entries: &[u8]) -> Result<(), CommitsError> {
    let git_directory = repository.workspace.join(".git");
    let fresh = git_directory.join(format!("index.shieldrun-{}", repository.run_id));
    let _ = fs::remove_file(&fresh);
    let index = Git::at(&git_directory).work_tree(repository.workspace).index(&fresh);
    index.run("make the index", &["update-index", "-z", "--index-info"], entries)?;
    // It says by its exit code that files differ from it, which they may.
    let _ = index.run("look at the files", &["update-index", "-q", "--refresh"], b"");
    replace_index(&git_directory, &fresh, true)
}

/// Puts an index in place, under git's own lock.
fn replace_index(git_directory: &Path, fresh: &Path, is_ours: bool) -> Result<(), CommitsError> {
    let failed = CommitsError::io("replace the index");
    let lock = git_directory.join("index.lock");
    if is_ours {
        let locked = fs::OpenOptions::new().write(true).create_new(true).open(&lock);
        locked.map_err(&failed)?;
        let renamed = fs::rename(fresh, git_directory.join("index"));
        let _ = fs::remove_file(&lock);
        return renamed.map_err(&failed);
    }
    let bytes = fs::read(fresh).map_err(&failed)?;
    let mut locked = fs::OpenOptions::new().write(true).create_new(true).open(&lock).map_err(&failed)?;
    std::io::Write::write_all(&mut locked, &bytes).map_err(&failed)?;
    fs::rename(&lock, git_directory.join("index")).map_err(&failed)
}

fn is_newer(path: &Path, since: SystemTime) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (metadata.ctime(), metadata.ctime_nsec())
        >= (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
}
