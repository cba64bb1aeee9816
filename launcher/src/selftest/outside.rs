//! Owns the two runs, without shieldrun and with it, and the verdict over what each came to.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::field::Planted;
use super::inside::{Got, Said};
use super::ways::{self, Attempt, Way};
use super::{Line, Verdict};
use crate::failure::Failure;

/// What the ways came to in one run.
pub(super) struct Outcome {
    said: HashMap<String, Said>,
    /// Which of the targets of writes are not as they were.
    changed: Vec<&'static str>,
}

/// Runs the program as it is.
///
/// # Errors
/// When it cannot be started.
pub(super) fn natively(planted: &Planted) -> Result<Outcome, Failure> {
    run(planted, &[])
}

/// Runs it with shieldrun in front.
///
/// # Errors
/// When shieldrun does not start.
pub(super) fn shielded(planted: &Planted) -> Result<Outcome, Failure> {
    let own =
        std::env::current_exe().map_err(|error| Failure::doing("cannot find shieldrun itself", error))?;
    let outcome = run(planted, &[&own.display().to_string(), "--"])?;
    Ok(outcome)
}

/// Puts both together.
pub(super) fn judge(way: &'static Way, native: &Outcome, shielded: &Outcome) -> Line {
    let (verdict, detail) = match (native.of(way), shielded.of(way)) {
        ((Got::All, _), (Got::All, detail)) => (Verdict::Breached, detail),
        ((Got::All, _), (_, detail)) => (Verdict::Held, detail),
        ((_, detail), _) => (Verdict::Unavailable, detail),
    };
    Line { name: way.name, group: ways::group_of(way), what: way.what, verdict, detail }
}

impl Outcome {
    fn of(&self, way: &Way) -> (Got, String) {
        let said = self.said.get(way.name);
        let detail = said.map_or_else(|| "no word of it".to_owned(), |said| said.detail.clone());
        match (&way.attempt, said) {
            // The host says whether it was reached.
            (Attempt::Write { .. }, _) if self.changed.contains(&way.name) => {
                (Got::All, "the host's file changed".to_owned())
            }
            (Attempt::Write { .. }, Some(_)) => (Got::Other, detail),
            (_, Some(said)) => (said.got, detail),
            // A way that says nothing may have got through: it counts as if it had.
            (_, None) => (Got::All, detail),
        }
    }
}

fn run(planted: &Planted, before: &[&str]) -> Result<Outcome, Failure> {
    let before_states = states(planted);
    // A shell between, so that the program's parent has the secrets as well.
    let field = &planted.field;
    let mut words: Vec<String> = before.iter().map(|&word| word.to_owned()).collect();
    words.extend(["/bin/sh".into(), "-c".into(), "\"$0\" \"$@\"; exit $?".into()]);
    words.push(field.program().display().to_string());
    words.extend(["selftest".into(), "--inside".into(), field.description().display().to_string()]);
    words.extend(["--argument".into(), planted.token.clone()]);
    let Some((program, arguments)) = words.split_first() else { return Err(failed("nothing to run", "")) };
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(planted.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&field.project)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::doing("cannot start the run", error))?;
    let said: HashMap<String, Said> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Said>(line).ok())
        .map(|said| (said.name.clone(), said))
        .collect();
    if said.is_empty() {
        return Err(failed("the run tried nothing", &String::from_utf8_lossy(&output.stderr)));
    }
    let changed =
        states(planted).into_iter().filter(|state| !before_states.contains(state)).map(|(name, _)| name);
    Ok(Outcome { said, changed: changed.collect() })
}

/// Each target of a write, by all that a write could change.
fn states(planted: &Planted) -> Vec<(&'static str, Option<String>)> {
    ways::all()
        .filter_map(|way| match &way.attempt {
            Attempt::Write { target, .. } => Some((way.name, state(&target(&planted.field)))),
            _ => None,
        })
        .collect()
}

fn state(path: &Path) -> Option<String> {
    let status = fs::symlink_metadata(path).ok()?;
    let digest = fs::read(path).map(Sha256::digest).ok()?;
    Some(format!("{:o} {} {digest:x}", status.mode(), status.ino()))
}

fn failed(what: &str, said: &str) -> Failure {
    Failure::doing(what, std::io::Error::other(said.trim().to_owned()))
}
