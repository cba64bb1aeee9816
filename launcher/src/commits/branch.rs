//! A branch made from what was accepted, beside the user's checkout: neither their files nor their index are
//! touched, and no hook runs.
//!
//! The commit is made by `git fast-import` in the run's own git directory, brought over by a fetch like the commits
//! of the run, and named in one transaction. Where the branch is ours and was moved since, it is left alone.

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shieldrun_policy::changes::{Change, ChangeKind, Commits, NodeKind};

use super::git::Git;
use super::look::{view, view_path};
use super::{CommitsError, Repository};
use crate::beneath::Tree;
use crate::closed;
use crate::promote::open_closed;

/// What was done, for an undo and for the next approval.
const MADE: &str = "branch.json";
/// In the run's own git directory.
const TIP: &str = "refs/shieldrun-branch/tip";

/// What goes onto a branch.
pub(crate) struct Load<'a> {
    pub(crate) name: &'a str,
    pub(crate) message: &'a str,
    pub(crate) changes: &'a [&'a Change],
    /// The run's own commits, where they may go.
    pub(crate) commits: Option<&'a Commits>,
    /// What `HEAD` was when the run began, where that was written down.
    pub(crate) base: Option<&'a str>,
    pub(crate) since: SystemTime,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Branched {
    /// The tip.
    pub(crate) commit: String,
    /// Changes that are on it.
    pub(crate) carried: Vec<usize>,
    /// Changes that a commit cannot hold, or that git is told to ignore.
    pub(crate) left: Vec<(usize, &'static str)>,
}

/// `branch.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Made {
    name: String,
    new: String,
    /// The run's own commits are in it.
    commits: bool,
}

/// Whether a branch of this name can be made: by whom and when is said in the error.
///
/// # Errors
/// When there is no repository, the name is none for a branch, or there is one already that is not this run's.
pub(crate) fn check_branch(workspace: &Path, record: &Path, name: &str) -> Result<(), CommitsError> {
    let real = real(workspace)?;
    if real.run("check the name", &["check-ref-format", "--branch", name], b"").is_err() || name == "HEAD" {
        return Err(CommitsError::NoBranch(name.to_owned()));
    }
    free(&real, record, name).map(drop)
}

/// Makes it, or goes on where it was left.
///
/// # Errors
/// As [`check_branch`], and when git refuses an object: then no branch is moved.
pub(crate) fn branch(repository: &Repository<'_>, load: &Load<'_>) -> Result<Branched, CommitsError> {
    let real = real(repository.workspace)?;
    let there = free(&real, repository.record, load.name)?;
    let before = made(repository.record)?;
    let view = view(repository)?;
    add_alternate(repository, &real)?;
    let ignored = ignored(repository.workspace, load.changes)?;
    let tip = load.commits.and_then(|commits| tip(commits, &real));
    let parents = match (&there, &tip) {
        (Some(there), Some(tip)) if !before.is_some_and(|made| made.commits) => {
            vec![there.clone(), tip.clone()]
        }
        (Some(there), _) => vec![there.clone()],
        (None, Some(tip)) => vec![tip.clone()],
        (None, None) => {
            let known = load.base.map(str::to_owned);
            known.or_else(|| base(&real, load.since)).into_iter().collect()
        }
    };
    let mut branched = Branched::default();
    for (index, change) in load.changes.iter().enumerate() {
        match why_not(change, ignored.get(index) == Some(&true)) {
            Some(why) => branched.left.push((index, why)),
            None if change.is_directory() || change.kind() == ChangeKind::Time => {}
            None => branched.carried.push(index),
        }
    }
    let ident = ident(repository.workspace);
    view.feed("make the commit", &["fast-import", "--quiet", "--done", "--force"], |git| {
        let mut git = BufWriter::with_capacity(1 << 16, git);
        let message = load.message.as_bytes();
        write!(git, "commit {TIP}\ncommitter {ident}\ndata {}\n", message.len())?;
        git.write_all(message)?;
        writeln!(git)?;
        for (number, parent) in parents.iter().enumerate() {
            writeln!(git, "{} {parent}", if number == 0 { "from" } else { "merge" })?;
        }
        let going = || branched.carried.iter().filter_map(|index| load.changes.get(*index));
        // First all that goes away: a file may take the place of a directory, and the other way round.
        for change in going() {
            if let Some(from) = &change.from {
                writeln!(git, "D {}", quoted(&from.0))?;
            }
            if change.after.is_none() {
                writeln!(git, "D {}", quoted(&change.path.0))?;
            }
        }
        let mut upper = Tree::new(repository.upper);
        let ways = closed::leading_to(going().map(|change| change.path.0.as_slice()));
        let opened = closed::open_all(&mut upper, &ways, |_| Ok(()))?;
        let written = going().try_for_each(|change| put(&mut git, &mut upper, change));
        closed::close_all(&mut upper, opened)?;
        written?;
        writeln!(git, "done")?;
        git.flush()
    })?;
    let id = |what: &str| -> Option<String> {
        let id = view.run("read the new commit", &["rev-parse", "--verify", "--quiet", what], b"").ok()?;
        Some(String::from_utf8_lossy(id.trim_ascii()).into_owned())
    };
    let new = id(TIP).ok_or(CommitsError::Form("no new commit"))?;
    // Nothing but what the commits of the run have already: then they are the branch.
    let new = match parents.as_slice() {
        [only] if id(&format!("{only}^{{tree}}")) == id(&format!("{TIP}^{{tree}}")) => only.clone(),
        _ => new,
    };
    let failed = CommitsError::io("write down which branch was made");
    fs::write(view_path(repository).join(TIP), format!("{new}\n")).map_err(&failed)?;
    let fetched = format!("refs/shieldrun/{}/branch", repository.run_id);
    let from = view_path(repository).display().to_string();
    let refspec = format!("+{TIP}:{fetched}");
    let fetch =
        ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", &from, &refspec];
    real.run("bring the branch over", &fetch, b"")?;
    // Written down first: killed in between, the next approval sees that the branch is not there yet.
    let commits = tip.is_some() || made(repository.record)?.is_some_and(|made| made.commits);
    let text = serde_json::to_vec(&Made { name: load.name.to_owned(), new: new.clone(), commits });
    fs::write(repository.record.join(MADE), text.unwrap_or_default()).map_err(&failed)?;
    let name = load.name;
    let moved = match there {
        Some(old) => format!("update refs/heads/{name} {new} {old}\n"),
        None => format!("create refs/heads/{name} {new}\n"),
    };
    let moved = format!("start\n{moved}delete {fetched} {new}\nprepare\ncommit\n");
    real.run("name the branch", &["update-ref", "--stdin"], moved.as_bytes())?;
    branched.commit = new;
    Ok(branched)
}

/// Takes the branch away again, if it is as it was left. Its name, or none where none was made.
///
/// # Errors
/// When it was moved, or is checked out.
pub(crate) fn branch_back(repository: &Repository<'_>) -> Result<Option<String>, CommitsError> {
    let Some(made) = made(repository.record)? else { return Ok(None) };
    let real = real(repository.workspace)?;
    let failed = CommitsError::io("write down that the branch was taken back");
    if let Some(now) = free(&real, repository.record, &made.name)? {
        let gone = format!("delete refs/heads/{} {now}\n", made.name);
        real.run("take the branch back", &["update-ref", "--stdin"], gone.as_bytes())?;
    }
    fs::remove_file(repository.record.join(MADE)).map_err(failed)?;
    Ok(Some(made.name))
}

/// The user's repository, also of a worktree, whose `.git` is a file.
fn real(workspace: &Path) -> Result<Git, CommitsError> {
    let at = workspace.join(".git");
    if !at.exists() {
        return Err(CommitsError::NoRepository);
    }
    Ok(Git::at(at))
}

fn made(record: &Path) -> Result<Option<Made>, CommitsError> {
    let failed = CommitsError::io("read which branch was made");
    match fs::read(record.join(MADE)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// The tip of a branch that is this run's; none where there is no such branch.
fn free(real: &Git, record: &Path, name: &str) -> Result<Option<String>, CommitsError> {
    let full = format!("refs/heads/{name}");
    let checked = ["for-each-ref", "--format=%(objectname) %(worktreepath)", &full];
    let listed = real.run("look for the branch", &checked, b"")?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    // An unborn branch is no reference, and yet somebody is on it.
    let head = real.run("read HEAD", &["symbolic-ref", "--quiet", "HEAD"], b"").unwrap_or_default();
    if String::from_utf8_lossy(head.trim_ascii()) == full {
        return Err(CommitsError::CheckedOut(name.to_owned()));
    }
    // A pattern without a wildcard also names what is beneath it.
    let Some((id, at)) = listed.lines().next().and_then(|line| line.split_once(' ')) else { return Ok(None) };
    if !at.is_empty() {
        return Err(CommitsError::CheckedOut(name.to_owned()));
    }
    match made(record)? {
        Some(made) if made.name == name && made.new == id => Ok(Some(id.to_owned())),
        Some(made) if made.name == name => Err(CommitsError::Moved { name: name.to_owned() }),
        _ => Err(CommitsError::Taken(name.to_owned())),
    }
}

/// Where a worktree keeps its objects git says best.
fn add_alternate(repository: &Repository<'_>, real: &Git) -> Result<(), CommitsError> {
    if repository.workspace.join(".git/objects").is_dir() {
        return Ok(());
    }
    let objects = real.run("find your objects", &["rev-parse", "--git-path", "objects"], b"")?;
    let objects = Path::new(std::ffi::OsStr::from_bytes(objects.trim_ascii_end())).to_owned();
    let objects = repository.workspace.join(objects);
    let failed = CommitsError::io("make a place for git in the run's record");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(view_path(repository).join("objects/info/alternates"))
        .map_err(&failed)?;
    writeln!(file, "{}", objects.display()).map_err(&failed)
}

/// What `HEAD` is.
pub(crate) fn head(workspace: &Path) -> Option<String> {
    let id =
        real(workspace).ok()?.run("read HEAD", &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], b"");
    Some(String::from_utf8_lossy(id.ok()?.trim_ascii()).into_owned()).filter(|id| !id.is_empty())
}

/// What `HEAD` was when the run began, by its log, to the second; else what it is.
fn base(real: &Git, since: SystemTime) -> Option<String> {
    let seconds = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = |what: &str| {
        let id = real.run("read HEAD", &["rev-parse", "--verify", "--quiet", what], b"").ok()?;
        Some(String::from_utf8_lossy(id.trim_ascii()).into_owned()).filter(|id| !id.is_empty())
    };
    at(&format!("HEAD@{{{seconds}}}^{{commit}}")).or_else(|| at("HEAD^{commit}"))
}

/// Where the run's own `HEAD` ended.
fn tip(commits: &Commits, real: &Git) -> Option<String> {
    let head = match &commits.head {
        Some((_, new)) => {
            new.strip_prefix("ref: ").map_or_else(|| Err(new.clone()), |name| Ok(name.to_owned()))
        }
        None => {
            let name = real.run("read HEAD", &["symbolic-ref", "--quiet", "HEAD"], b"").ok()?;
            Ok(String::from_utf8_lossy(name.trim_ascii()).into_owned())
        }
    };
    match head {
        Ok(name) => commits.references.iter().find(|own| own.name == name)?.new.clone(),
        Err(id) => Some(id),
    }
}

/// For each change whether git is told to ignore it. What it knows already it does not ignore.
fn ignored(workspace: &Path, changes: &[&Change]) -> Result<Vec<bool>, CommitsError> {
    let user = Git::at(workspace.join(".git")).work_tree(workspace).for_the_user();
    let input: Vec<u8> =
        changes.iter().flat_map(|change| [change.path.0.as_slice(), b"\0"].concat()).collect();
    if input.is_empty() {
        return Ok(Vec::new());
    }
    let said = user.run_or(
        "ask what is ignored",
        &["check-ignore", "--stdin", "-z", "--verbose", "--non-matching"],
        &input,
        1,
    )?;
    // Source, line, pattern, path: the first three empty where nothing matches.
    let parts: Vec<&[u8]> = said.split(|byte| *byte == 0).collect();
    let (lines, _) = parts.as_chunks::<4>();
    if lines.len() != changes.len() {
        return Err(CommitsError::Form("paths that git does not answer for"));
    }
    Ok(lines.iter().map(|[_, _, pattern, _]| !pattern.is_empty() && !pattern.starts_with(b"!")).collect())
}

fn why_not(change: &Change, is_ignored: bool) -> Option<&'static str> {
    let path = &change.path.0;
    if path == b".git" || path.starts_with(b".git/") {
        return Some("a commit holds nothing of `.git`");
    }
    let odd = |kind: &NodeKind| matches!(kind, NodeKind::Fifo | NodeKind::Special);
    if change.after.as_ref().is_some_and(|node| odd(&node.kind)) {
        return Some("a commit holds no FIFO");
    }
    (is_ignored && !change.is_directory() && change.before.is_none()).then_some("git is told to ignore it")
}

fn put(git: &mut impl Write, upper: &mut Tree<'_>, change: &Change) -> io::Result<()> {
    let Some(after) = &change.after else { return Ok(()) };
    let path = quoted(&change.path.0);
    match &after.kind {
        NodeKind::Symlink(target) => {
            write!(git, "M 120000 inline {path}\ndata {}\n", target.0.len())?;
            git.write_all(&target.0)?;
            writeln!(git)
        }
        NodeKind::Text | NodeKind::Binary => {
            let spot = upper.spot(&change.path.0)?;
            let stat = spot.stat()?.ok_or(io::ErrorKind::NotFound)?;
            let mut file = open_closed(&spot, &stat)?;
            let mode = if after.mode & 0o100 == 0 { "100644" } else { "100755" };
            write!(git, "M {mode} inline {path}\ndata {}\n", after.size)?;
            let (mut hash, mut left) = (Sha256::new(), after.size);
            let mut buffer = vec![0; 1 << 16];
            // What goes is what was judged, to the byte; the stream is given up where it is not.
            let another = || io::Error::other(format!("`{}` is not what was judged", change.path));
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let read = file.read(buffer.get_mut(..most).unwrap_or_default())?;
                let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                    return Err(another());
                };
                hash.update(bytes);
                git.write_all(bytes)?;
                left -= read as u64;
            }
            if after.digest != Some(hash.finalize().into()) {
                return Err(another());
            }
            writeln!(git)
        }
        NodeKind::Directory | NodeKind::Fifo | NodeKind::Special => Ok(()),
    }
}

/// Who commits: the user as git knows them, else we.
fn ident(workspace: &Path) -> String {
    let user = Git::at(workspace.join(".git")).work_tree(workspace).for_the_user();
    let known = user.run("ask who you are", &["var", "GIT_COMMITTER_IDENT"], b"").ok();
    let known = known.map(|ident| String::from_utf8_lossy(ident.trim_ascii()).into_owned());
    known.filter(|ident| ident.contains(" <") && !ident.contains('\n')).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        format!("shieldrun <shieldrun@localhost> {now} +0000")
    })
}

/// A path as `git fast-import` takes any.
fn quoted(path: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in path {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            0x20..0x7f => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text.push('"');
    text
}
