//! Owns the failures of shieldrun itself: one type for all stages, so that each ends as exit code 125
//! with its causes and, where one is known, a next step.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use shieldrun_policy::exit;
use shieldrun_policy::plan::Tier;
use shieldrun_policy::schema::{Isolation, Layer, NetworkMode, Policy, SecretsMode, Writes};

use crate::host::HostError;
use crate::inventory::InventoryError;
use crate::layers::LayersError;
use crate::policies::PolicyError;
use crate::record::RecordError;
use crate::say;
use crate::spawn::SpawnError;
use crate::stdio::StdioError;
use crate::supervise::SuperviseError;
use crate::sys::descriptors::take_over;
use crate::sys::landlock;

/// A stage that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<dyn Error>,
    hint: Option<String>,
}

/// A failure that no stage has an error of its own for.
#[derive(Debug)]
enum Plain {
    /// Asked for, and not in this version.
    Missing(String),
    /// Asked for, and not to be had.
    Asked(String),
    /// A line of a record that does not follow from the one before.
    Chain { line: u64, reason: String },
}

impl Failure {
    /// From any error.
    pub(crate) fn new(error: impl Error + 'static, hint: Option<&str>) -> Self {
        Self { error: Box::new(error), hint: hint.map(str::to_owned) }
    }

    /// From an error, with what we were doing.
    pub(crate) fn doing(what: impl Into<String>, error: impl Error + 'static) -> Self {
        Self { error: Box::new(Doing { what: what.into(), cause: Box::new(error) }), hint: None }
    }

    /// From a sentence: what the person asked for cannot be done.
    pub(crate) fn plain(what: impl Into<String>) -> Self {
        Self::new(Plain::Asked(what.into()), None)
    }

    /// With a next step.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    /// The chain of a record does not hold.
    pub(crate) fn broken_record(line: u64, reason: &str) -> Self {
        Self::new(Plain::Chain { line, reason: reason.to_owned() }, None)
    }

    /// What it is and why, in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(inner) = cause {
            text.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        text
    }

    /// Tells the person.
    pub(crate) fn say(&self) -> ExitCode {
        say::error(self.error.as_ref(), self.hint.as_deref());
        exit::ExitCode::Setup.into()
    }
}

/// A protection that cannot be had stops the run, and so does a mode that does not exist yet: a run in
/// another mode than the one asked for would be a silent loosening, or a silent break.
///
/// # Errors
/// When the policy asks for what this version has not.
pub(crate) fn refuse_what_cannot_be_had(policy: &Policy) -> Result<(), Failure> {
    let missing = |what: &str, hint: &str| Err(Failure::new(Plain::Missing(what.to_owned()), Some(hint)));
    if policy.network.mode != NetworkMode::None && policy.isolation != Isolation::Full {
        return missing(
            &format!("`network: {}` without namespaces", policy.network.mode),
            "use `--isolation full`, or `--network none`",
        );
    }
    if policy.secrets.mode == SecretsMode::Broker && policy.network.mode == NetworkMode::None {
        return missing(
            "`secrets: broker` without a network",
            "use `--network allowlist` with `--allow HOST`, or `--secrets synthetic`",
        );
    }
    if policy.ssh.has_agent() && policy.isolation != Isolation::Full {
        return missing(
            "`ssh` without namespaces",
            "use `--isolation full`, or leave `ssh` out of the policy",
        );
    }
    let asked = policy.origin("files.writes").is_some_and(|origin| origin.layer != Layer::BuiltIn);
    if policy.isolation == Isolation::Landlock && landlock::abi().is_none() {
        return missing(
            "Landlock on this kernel",
            "use `--isolation preload`, the weaker mode; see `shieldrun doctor`",
        );
    }
    let layered = policy.files.writes == Writes::Overlay
        || policy.isolation == Isolation::Preload && policy.files.writes == Writes::None;
    if policy.isolation != Isolation::Full && layered && asked {
        return missing(
            &format!("`writes: {}` without namespaces", policy.files.writes),
            "use `--writes direct`, or `--isolation full`",
        );
    }
    let limits = &policy.limits;
    let counted = limits.processes.is_some() || limits.memory.is_some() || limits.disk.is_some();
    if policy.isolation != Isolation::Full && counted {
        return missing(
            "`limits` of processes, memory and disk without namespaces",
            "take them out of the policy, or use `--isolation full`",
        );
    }
    Ok(())
}

/// In the full tier the patterns of the policy that count for commands need somebody who is asked about each.
/// In the weaker tier nothing is enforced, and that is what it is asked for by name.
///
/// # Errors
/// When there are such patterns.
pub(crate) fn refuse_patterns_that_nobody_watches_for(tier: Tier, are_none: bool) -> Result<(), Failure> {
    if tier == Tier::Preload || are_none {
        return Ok(());
    }
    let (why, way) = if tier.has_namespaces() {
        ("another seccomp listener is above this run", "start it outside of the other sandbox")
    } else {
        ("there are no namespaces", "use `--isolation full`")
    };
    let hint = format!("{way}, or a policy that has no pattern `in: command`");
    Err(Failure::new(Plain::Missing(format!("a way to watch for `blocked_patterns`: {why}")), Some(&hint)))
}

/// A descriptor that is to cross must be there.
///
/// # Errors
/// When one of them is not open.
pub(crate) fn refuse_closed_descriptors(kept: &[i32]) -> Result<(), Failure> {
    for &number in kept {
        drop(take_over(number).map_err(|error| {
            Failure::doing(format!("cannot keep descriptor {number} (`--keep-fd {number}`)"), error)
        })?);
    }
    Ok(())
}

#[derive(Debug)]
struct Doing {
    what: String,
    cause: Box<dyn Error>,
}

impl fmt::Display for Doing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

impl Error for Doing {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause.as_ref())
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(what) => out.write_str(what),
            Self::Missing(what) => write!(out, "this version of shieldrun does not have {what}"),
            Self::Chain { line, reason } => write!(out, "the record is broken at line {line}: {reason}"),
        }
    }
}

impl Error for Plain {}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::new(error, None)
    }
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<LayersError> for Failure {
    fn from(error: LayersError) -> Self {
        Self::new(error, Some("with `--writes direct` the workspace itself is written"))
    }
}

impl From<SpawnError> for Failure {
    fn from(error: SpawnError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let hint = error.hint();
        Self::new(error, hint.as_deref())
    }
}

impl From<StdioError> for Failure {
    fn from(error: StdioError) -> Self {
        Self::new(error, None)
    }
}

impl From<SuperviseError> for Failure {
    fn from(error: SuperviseError) -> Self {
        Self::new(error, None)
    }
}
