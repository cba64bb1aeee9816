//! Owns the places that accepted changes can go to: the workspace, a directory, a branch of the repository.
//!
//! What each place cannot take stays in the run and is named. How a tree is changed is `promote`'s, how commits go
//! over `commits`'.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use rustix::fs::{CWD, Mode, OFlags, openat};
use shieldrun_policy::changes::{Change, Commits};
use shieldrun_policy::plan::Bytes;
use shieldrun_policy::schema::{Isolation, Policy, Writes};
use shieldrun_policy::verdict::PromoteTo;

use crate::commits::{self, CommitsError, Load, Repository};
use crate::failure::Failure;
use crate::promote::{self, Destination, Form, Freshness, Receipt};

/// Where to, on the command line.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArguments {
    /// Put accepted changes into this directory and leave the workspace alone. It gets the new and changed files at
    /// their paths, and is made where it is missing.
    #[arg(long, value_name = "DIR", conflicts_with = "promote_to_branch")]
    pub promote_to: Option<PathBuf>,
    /// Put accepted changes onto a new git branch of the workspace's repository. Checkout and index stay as they are.
    #[arg(long, value_name = "NAME")]
    pub promote_to_branch: Option<String>,
}

/// What is to go, and from where.
pub(crate) struct Goods<'a> {
    pub(crate) run_id: &'a str,
    pub(crate) record: BorrowedFd<'a>,
    pub(crate) record_path: &'a Path,
    pub(crate) workspace: BorrowedFd<'a>,
    pub(crate) workspace_path: &'a Path,
    pub(crate) upper: BorrowedFd<'a>,
    /// The path of the layer, for git.
    pub(crate) layer: &'a Path,
    pub(crate) since: SystemTime,
    /// The commit that the run began with, where a branch was asked for.
    pub(crate) base: Option<&'a str>,
    pub(crate) freshness: Freshness,
    /// For the message of a commit.
    pub(crate) command: &'a [String],
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Delivered {
    pub(crate) receipt: Receipt,
    /// What became of the commits: whether the index went with them, or why they did not go.
    pub(crate) commits: Option<Result<bool, CommitsError>>,
    /// What the place cannot take, in words.
    pub(crate) left: Vec<(Bytes, &'static str)>,
    /// The tip of the branch.
    pub(crate) commit: Option<String>,
}

impl PlaceArguments {
    /// The place, with what must hold for it checked before anything is run. None for the workspace.
    ///
    /// # Errors
    /// When the directory or the branch cannot be had. `record` is the run's, where it has one yet.
    pub(crate) fn resolve(&self, workspace: &Path, record: &Path) -> Result<Option<PromoteTo>, Failure> {
        if let Some(name) = &self.promote_to_branch {
            commits::check_branch(workspace, record, name).map_err(|error| Failure::new(error, None))?;
            return Ok(Some(PromoteTo::Branch(name.clone())));
        }
        let Some(path) = &self.promote_to else { return Ok(None) };
        let failed = |error| {
            Failure::doing(
                format!("cannot use `{}` as the place for accepted changes", path.display()),
                error,
            )
        };
        match fs::create_dir(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let canonical = fs::canonicalize(path).map_err(failed)?;
        if canonical == workspace {
            return Ok(None);
        }
        open(&canonical).map_err(failed)?;
        match canonical.to_str() {
            Some(text) => Ok(Some(PromoteTo::Directory(text.to_owned()))),
            None => Err(Failure::plain(format!("the path `{}` is not UTF-8", canonical.display()))
                .with_hint("the record names it, and a record is text: take another directory")),
        }
    }

    /// Whether a place was named.
    pub(crate) fn is_named(&self) -> bool {
        self.promote_to.is_some() || self.promote_to_branch.is_some()
    }

    /// What is written straight to the workspace cannot go elsewhere.
    ///
    /// # Errors
    /// When that is what the policy says.
    pub(crate) fn refuse_without_a_layer(&self, policy: &Policy) -> Result<(), Failure> {
        if !self.is_named() || (policy.files.writes == Writes::Overlay && policy.isolation == Isolation::Full)
        {
            return Ok(());
        }
        let option = if self.promote_to.is_some() { "--promote-to" } else { "--promote-to-branch" };
        Err(Failure::plain(format!("`{option}` needs `--writes overlay` and `--isolation full`"))
            .with_hint("without a layer of the run's own there is nothing to promote"))
    }
}

impl<'a> Goods<'a> {
    /// The repository on both sides.
    pub(crate) fn repository(&self) -> Repository<'a> {
        Repository {
            lower: self.workspace,
            upper: self.upper,
            workspace: self.workspace_path,
            layer: self.layer,
            record: self.record_path,
            run_id: self.run_id,
        }
    }

    fn destination(&self) -> Destination<'a> {
        Destination {
            run_id: self.run_id,
            record: self.record,
            record_path: self.record_path,
            target: self.workspace,
            target_path: self.workspace_path,
            form: Form::Tree,
        }
    }

    /// Takes it there. `commits` are the run's own, where they may go.
    ///
    /// # Errors
    /// When nothing went.
    pub(crate) fn deliver(
        &self,
        place: Option<&PromoteTo>,
        going: &[&Change],
        commits: Option<&Commits>,
    ) -> Result<Delivered, Failure> {
        match place {
            None => self.send_to_workspace(going, commits),
            Some(PromoteTo::Directory(path)) => self.send_to_directory(Path::new(path), going, commits),
            Some(PromoteTo::Branch(name)) => self.onto_branch(name, going, commits),
        }
    }

    fn send_to_workspace(&self, going: &[&Change], commits: Option<&Commits>) -> Result<Delivered, Failure> {
        let receipt = self.promote(&self.destination(), going)?;
        let commits = commits.filter(|_| receipt.conflicts.is_empty());
        let commits = commits.map(|commits| commits::carry(&self.repository(), commits, self.since));
        Ok(Delivered { receipt, commits, ..Delivered::default() })
    }

    fn send_to_directory(
        &self,
        path: &Path,
        going: &[&Change],
        commits: Option<&Commits>,
    ) -> Result<Delivered, Failure> {
        let target = open(path).map_err(|error| {
            Failure::doing(format!("cannot open the directory `{}`", path.display()), error)
        })?;
        let destination = Destination {
            target: target.as_fd(),
            target_path: path,
            form: Form::Files,
            ..self.destination()
        };
        let receipt = self.promote(&destination, going)?;
        let gone = going.iter().filter(|change| change.after.is_none() && !change.is_directory());
        let mut left: Vec<_> =
            gone.map(|change| (change.path.clone(), "the run removed it, so it is not there")).collect();
        if commits.is_some() {
            let name = Bytes(shieldrun_policy::changes::COMMITS.as_bytes().to_vec());
            left.push((name, "commits do not go to a directory; they stay in the run"));
        }
        Ok(Delivered { receipt, left, ..Delivered::default() })
    }

    fn onto_branch(
        &self,
        name: &str,
        going: &[&Change],
        commits: Option<&Commits>,
    ) -> Result<Delivered, Failure> {
        if going.is_empty() && commits.is_none() {
            return Ok(Delivered::default());
        }
        let command: String = self.command.join(" ").chars().filter(|c| !c.is_control()).take(60).collect();
        let message = format!("{command}\n\nshieldrun run {}\n", self.run_id);
        let load =
            Load { name, message: &message, changes: going, commits, base: self.base, since: self.since };
        let kept = "what the run wrote is kept in its record";
        let branched =
            commits::branch(&self.repository(), &load).map_err(|error| Failure::new(error, Some(kept)))?;
        let path = |index: usize| going.get(index).map(|change| change.path.clone());
        let promoted = branched.carried.iter().filter_map(|index| path(*index)).collect();
        let left = branched.left.iter().filter_map(|(index, why)| Some((path(*index)?, *why))).collect();
        Ok(Delivered {
            receipt: Receipt { promoted, conflicts: Vec::new() },
            commits: commits.map(|_| Ok(true)),
            left,
            commit: Some(branched.commit),
        })
    }

    fn promote(&self, to: &Destination<'_>, going: &[&Change]) -> Result<Receipt, Failure> {
        let mut going = going.to_vec();
        if self.freshness == Freshness::Earlier {
            let already = promote::promoted(to)
                .map_err(|error| Failure::doing("cannot read what was promoted before", error))?;
            going.retain(|change| !already.contains(&change.path.0));
        }
        let done = promote::promote(to, self.upper, &going, self.since, self.freshness);
        done.map_err(|error| Failure::new(error, Some("what the run wrote is kept in its record")))
    }
}

/// A place for people.
pub(crate) fn name(place: Option<&PromoteTo>) -> String {
    match place {
        None => "your tree".to_owned(),
        Some(PromoteTo::Directory(path)) => format!("`{path}`"),
        Some(PromoteTo::Branch(name)) => format!("the branch `{name}`"),
    }
}

fn open(path: &Path) -> std::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}
