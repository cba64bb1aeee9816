//! Owns the ways out through a network in which some hosts are listed: a process in a network of its own,
//! where every address is a server of ours, tries them with nobody in between and then inside a run.
//!
//! Nothing leaves the machine, and nothing is believed: a way leads out when a server heard its word.

mod internet;
mod speak;
mod ways;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::field::{random_word, token};
use super::{Line, Verdict};
use crate::failure::Failure;
use internet::Internet;
use ways::{TWINS, WAYS, Way};

const GROUP: &str = "listed network";
/// What came by way of the launcher may still lie before a server of ours when the run has ended.
const GRACE: Duration = Duration::from_millis(300);

/// What became of one way, from the process in its own network.
#[derive(Serialize, Deserialize)]
struct Judged {
    name: String,
    verdict: Verdict,
    detail: String,
}

/// What a way met, by its own word: for a person to read, and for nothing else.
#[derive(Serialize, Deserialize)]
struct Met {
    name: String,
    detail: String,
}

/// Tries all.
///
/// # Errors
/// When no network can be made, or the run tried nothing.
pub(super) fn try_all(scratch: &Path) -> Result<Vec<Line>, Failure> {
    let failed = |error: io::Error| Failure::doing("cannot try the ways through a listed network", error);
    let own = std::env::current_exe().map_err(failed)?;
    let output = Command::new(own)
        .args(["selftest", "--internet"])
        .arg(scratch)
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    let judged: Vec<Judged> = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())))?;
    let line = |way: &Way| {
        let of_it = judged.iter().find(|judged| judged.name == way.name);
        let (verdict, detail) = of_it
            // A way that says nothing may have got through: it counts as if it had.
            .map_or((Verdict::Breached, "no word of it".to_owned()), |it| (it.verdict, it.detail.clone()));
        Line { name: way.name, group: GROUP, what: way.what, verdict, detail }
    };
    Ok(WAYS.iter().map(line).collect())
}

/// In a process of its own: makes the network, tries all in both ways, and prints what became of them.
///
/// # Errors
/// When no network can be made, or a program does not start.
pub(crate) fn carry_out(scratch: &Path) -> Result<ExitCode, Failure> {
    // Before anything else: a process with threads may not leave its user namespace.
    let internet = Internet::enter()
        .map_err(|error| Failure::doing("cannot make a network for the ways through it", error))
        .map_err(|failure| failure.with_hint("see `shieldrun doctor`"))?;
    let judged = judged(&internet, scratch)
        .map_err(|error| Failure::doing("cannot try the ways through a listed network", error))?;
    println(&serde_json::to_string(&judged).unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}

/// Inside: tries all, each with its name and `nonce` for a word.
pub(crate) fn inside(nonce: &str) -> ExitCode {
    for way in TWINS.iter().chain(WAYS) {
        let detail = match (way.attempt)(&word(way, nonce)) {
            Ok(()) => "it was answered".to_owned(),
            Err(error) => error.to_string(),
        };
        let met = Met { name: way.name.to_owned(), detail };
        println(&serde_json::to_string(&met).unwrap_or_default());
    }
    ExitCode::SUCCESS
}

fn judged(internet: &Internet, scratch: &Path) -> io::Result<Vec<Judged>> {
    let (native, shielded) = (nonce()?, nonce()?);
    try_with(scratch, &native, false)?;
    let leads_out: Vec<_> = WAYS.iter().map(|way| internet.hears(&word(way, &native))).collect();
    let met = try_with(scratch, &shielded, true)?;
    std::thread::sleep(GRACE);
    let said = |way: &Way| met.iter().find(|met| met.name == way.name).map(|met| met.detail.clone());
    let judge = |(way, leads_out): (&Way, bool)| {
        let (twin, heard) = (twin_of(way), internet.heard(&word(way, &shielded)));
        let detail = said(way).unwrap_or_else(|| "no word of it".to_owned());
        let (verdict, detail) = match twin {
            _ if heard => (Verdict::Breached, "a server outside heard it".to_owned()),
            _ if !leads_out => {
                (Verdict::Unavailable, "no server heard it without shieldrun either".to_owned())
            }
            Some(twin) if !internet.heard(&word(twin, &shielded)) => {
                let why = said(twin).unwrap_or_else(|| "no word of it".to_owned());
                (Verdict::Unavailable, format!("what is listed is not reached by this door either: {why}"))
            }
            _ => (Verdict::Held, detail),
        };
        Judged { name: way.name.to_owned(), verdict, detail }
    };
    Ok(WAYS.iter().zip(leads_out).map(judge).collect())
}

fn twin_of(way: &Way) -> Option<&'static Way> {
    TWINS.iter().find(|twin| twin.name == way.twin)
}

/// What a way carries out: a label of a name, so that a question can carry it too, and no part of another's.
fn word(way: &Way, nonce: &str) -> String {
    format!("w-{}-{nonce}", way.name)
}

fn nonce() -> io::Result<String> {
    Ok(random_word(16)?.to_ascii_lowercase())
}

/// Runs the program in a home and a project of its own, with shieldrun in front or not.
fn try_with(scratch: &Path, nonce: &str, shielded: bool) -> io::Result<Vec<Met>> {
    let home = scratch.join(nonce);
    let project = home.join("src/project");
    fs::create_dir_all(&project)?;
    let (own, program) = (std::env::current_exe()?, project.join("selftest-program"));
    fs::copy(&own, &program)?;
    let mut command = Command::new(if shielded { &own } else { &program });
    if shielded {
        command.arg("--config").arg(config()).arg("--").arg(&program);
    }
    let output = command
        .args(["selftest", "--reach", nonce])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("GITHUB_TOKEN", token()?)
        .current_dir(&project)
        .stdin(Stdio::null())
        .output()?;
    let met: Vec<Met> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    if met.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("the run tried nothing: {said}")));
    }
    Ok(met)
}

/// The policy of the run: who is listed, and where they are in our internet.
fn config() -> String {
    let network = json!({
        "mode": "allowlist",
        "allow": [ways::LISTED, ways::REBOUND, format!("GET {}/v1/**", ways::SOME)],
        "resolve": [format!("{}:80=192.0.2.80:80", ways::LISTED), format!("{}:80=192.0.2.81:80", ways::SOME)],
    });
    json!({ "network": network }).to_string()
}

fn println(line: &str) {
    use io::Write;
    let _ = writeln!(io::stdout().lock(), "{line}");
}
