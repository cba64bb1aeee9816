//! Owns the program inside: it tries each way and says on stdout what it got.
//!
//! Its word is a claim, like all that comes from inside; it is our own program, on our own planted
//! secrets, and what it says of a write is not asked at all: the host is looked at.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};

use super::field::Field;
use super::ways::{self, Attempt, Way};
use crate::failure::Failure;

/// What one way came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) name: String,
    pub(super) got: Got,
    pub(super) detail: String,
}

/// What it got hold of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Got {
    /// A planted secret, or what is forbidden was done.
    All,
    /// Something, but no planted secret.
    Other,
    /// An error.
    Nothing,
}

/// Tries every way of the field described in the file `field`.
///
/// # Errors
/// When the description cannot be read.
pub(crate) fn carry_out(field: &Path) -> Result<ExitCode, Failure> {
    let field = Field::read(field).map_err(|error| Failure::doing("cannot read the field", error))?;
    for way in ways::all() {
        let said = attempt(way, &field);
        let line = serde_json::to_string(&said)
            .map_err(|error| Failure::doing("cannot say what was found", error))?;
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
    Ok(ExitCode::SUCCESS)
}

fn attempt(way: &Way, field: &Field) -> Said {
    let (got, detail) = match &way.attempt {
        Attempt::Read(read) => of_bytes(field, read(field)),
        Attempt::Shell(script) => of_bytes(field, shell(script)),
        Attempt::Do(act) => match act(field) {
            Ok(()) => (Got::All, "done".to_owned()),
            Err(error) => (Got::Nothing, error.to_string()),
        },
        // Whether it reached the host is seen from there.
        Attempt::Write { script, .. } => match shell(script) {
            Ok(_) => (Got::Other, "written inside".to_owned()),
            Err(error) => (Got::Nothing, error.to_string()),
        },
    };
    Said { name: way.name.to_owned(), got, detail }
}

fn of_bytes(field: &Field, result: std::io::Result<Vec<u8>>) -> (Got, String) {
    match result {
        Ok(bytes) if field.secrets.are_in(&bytes) => (Got::All, "a planted secret".to_owned()),
        Ok(bytes) if bytes.is_empty() => (Got::Nothing, "nothing".to_owned()),
        Ok(_) => (Got::Other, "no real value".to_owned()),
        Err(error) => (Got::Nothing, error.to_string()),
    }
}

/// What a script prints; an error when it printed nothing and failed.
fn shell(script: &str) -> std::io::Result<Vec<u8>> {
    let output = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).output()?;
    if output.stdout.is_empty() && !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("refused").chars().take(100).collect::<String>();
        return Err(std::io::Error::other(last));
    }
    Ok(output.stdout)
}
