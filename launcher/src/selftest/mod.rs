//! Owns `shieldrun selftest`: every known way out, tried on this host inside a real run with planted
//! secrets, and each once more without shieldrun, where it must succeed.
//!
//! A way that fails without shieldrun as well says nothing, and is not counted: a broken probe must not
//! look like a strong wall.

mod doors;
mod evidence;
mod field;
mod inside;
mod leaks;
mod outside;
mod table;
mod ways;

use std::path::Path;
use std::process::ExitCode;

use crate::failure::Failure;
use field::Field;

pub(crate) use doors::{carry_out as internet, inside as reach};
pub(crate) use inside::carry_out as inside;

/// What became of one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// It succeeds without shieldrun and fails with it.
    Held,
    /// It succeeds with shieldrun as well.
    Breached,
    /// It fails on this host without shieldrun, too: nothing was shown.
    Unavailable,
}

/// One line of the table.
#[derive(Debug, serde::Serialize)]
struct Line {
    name: &'static str,
    group: &'static str,
    what: &'static str,
    verdict: Verdict,
    /// What the way met inside, or why it cannot be tried.
    detail: String,
}

/// Tries everything and prints the table. Exit code 0 when every way was held, 1 when one was not.
///
/// # Errors
/// When nothing can be planted, or the run itself fails.
pub(crate) fn carry_out(json: bool) -> Result<ExitCode, Failure> {
    let scratch = field::scratch().map_err(|error| Failure::doing("cannot plant secrets", error))?;
    let lines = try_all(scratch.path())?;
    table::print(&lines, json).map_err(|error| Failure::doing("cannot print the table", error))?;
    let breached = lines.iter().any(|line| line.verdict == Verdict::Breached);
    Ok(if breached { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Two fields, so that what the first attempt destroys is whole for the second.
fn try_all(scratch: &Path) -> Result<Vec<Line>, Failure> {
    let plant = |name: &str| {
        Field::plant(&scratch.join(name)).map_err(|error| Failure::doing("cannot plant secrets", error))
    };
    let native = outside::natively(&plant("native")?)?;
    let shielded = outside::shielded(&plant("shielded")?)?;
    let mut lines: Vec<Line> = ways::all().map(|way| outside::judge(way, &native, &shielded)).collect();
    lines.extend(doors::try_all(&scratch.join("internet"))?);
    lines.extend(leaks::try_all(&plant("leaks")?)?);
    Ok(lines)
}
