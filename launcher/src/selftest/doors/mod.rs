//! Owns the ways out through a network in which some hosts are listed: a process in a network of its own,
//! where every address is a server of ours, tries them with nobody in between and then inside a run.
//!
//! Nothing leaves the machine, and nothing is believed: a way leads out when a server heard its word.

mod brokered;
mod internet;
mod speak;
mod tls;
mod ways;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::evidence::digest;
use super::field::{random_word, token};
use super::{Line, Verdict};
use crate::failure::Failure;
use internet::Internet;
use ways::{Evidence, LISTED, REBOUND, SOME, Way};

/// A policy of the network, and the ways through it.
struct Net {
    /// In the table.
    group: &'static str,
    ways: &'static [Way],
    /// What must lead out with shieldrun as well, or a door that is shut to all looks like a strong one.
    twins: &'static [Way],
    config: fn() -> Value,
}

const NETS: [Net; 2] = [
    Net { group: "listed network", ways: ways::WAYS, twins: ways::TWINS, config: listed },
    Net { group: "brokered network", ways: brokered::WAYS, twins: brokered::TWINS, config: brokered },
];

/// The secret variable of a run, and the one that its digest is in.
const KEY: &str = "GITHUB_TOKEN";
const DIGEST: &str = "SELFTEST_DIGEST";
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
    was_answered: bool,
    detail: String,
}

/// One run of all ways.
struct Tried {
    nonce: String,
    key: String,
    met: Vec<Met>,
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
    let line = |net: &Net, way: &Way| {
        let of_it = judged.iter().find(|judged| judged.name == way.name);
        let (verdict, detail) = of_it
            // A way that says nothing may have got through: it counts as if it had.
            .map_or((Verdict::Breached, "no word of it".to_owned()), |it| (it.verdict, it.detail.clone()));
        Line { name: way.name, group: net.group, what: way.what, verdict, detail }
    };
    Ok(NETS.iter().flat_map(|net| net.ways.iter().map(|way| line(net, way)).collect::<Vec<_>>()).collect())
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
    let mut all = Vec::new();
    for net in &NETS {
        let judged = judged(&internet, net, scratch)
            .map_err(|error| Failure::doing("cannot try the ways through a listed network", error))?;
        all.extend(judged);
    }
    println(&serde_json::to_string(&all).unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}

/// Inside: tries all of one network, each with its name and a nonce for a word. `asked` names both.
pub(crate) fn inside(asked: &str) -> ExitCode {
    let (group, nonce) = asked.split_once(':').unwrap_or_default();
    for net in NETS.iter().filter(|net| net.group == group) {
        for way in net.twins.iter().chain(net.ways) {
            let answer = (way.attempt)(&word(way, nonce));
            let (name, was_answered) = (way.name.to_owned(), answer.is_ok());
            let detail = answer.map_or_else(|error| error.to_string(), |()| "it was answered".to_owned());
            println(&serde_json::to_string(&Met { name, was_answered, detail }).unwrap_or_default());
        }
    }
    ExitCode::SUCCESS
}

fn judged(internet: &Internet, net: &Net, scratch: &Path) -> io::Result<Vec<Judged>> {
    let native = try_with(internet, net, scratch, false)?;
    let leads_out: Vec<_> =
        net.ways.iter().map(|way| native.led_out(way, internet, Patience::Some)).collect();
    let shielded = try_with(internet, net, scratch, true)?;
    std::thread::sleep(GRACE);
    let judge = |(way, leads_out): (&Way, bool)| {
        let detail = shielded.of(way).map_or_else(|| "no word of it".to_owned(), |met| met.detail.clone());
        let twin = net.twins.iter().find(|twin| twin.name == way.twin);
        let (verdict, detail) = match twin {
            _ if shielded.led_out(way, internet, Patience::None) => (Verdict::Breached, said(way.evidence)),
            _ if !leads_out => (Verdict::Unavailable, "it leads nowhere without shieldrun either".to_owned()),
            Some(twin) if !internet.heard(&word(twin, &shielded.nonce)) => {
                let why = shielded.of(twin).map_or("no word of it", |met| &met.detail);
                (Verdict::Unavailable, format!("what is listed is not reached by this door either: {why}"))
            }
            _ if way.evidence == Evidence::Answer && !internet.heard(&shielded.key) => {
                (Verdict::Unavailable, "the real value did not reach its host either".to_owned())
            }
            _ => (Verdict::Held, detail),
        };
        Judged { name: way.name.to_owned(), verdict, detail }
    };
    Ok(net.ways.iter().zip(leads_out).map(judge).collect())
}

fn said(evidence: Evidence) -> String {
    match evidence {
        Evidence::Heard => "a server outside heard it".to_owned(),
        Evidence::Answer => "the real value came back".to_owned(),
    }
}

/// Whether to wait for what was said just now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Some,
    None,
}

impl Tried {
    fn of(&self, way: &Way) -> Option<&Met> {
        self.met.iter().find(|met| met.name == way.name)
    }

    fn led_out(&self, way: &Way, internet: &Internet, patience: Patience) -> bool {
        let word = word(way, &self.nonce);
        match (way.evidence, patience) {
            (Evidence::Heard, Patience::Some) => internet.hears(&word),
            (Evidence::Heard, Patience::None) => internet.heard(&word),
            (Evidence::Answer, _) => self.of(way).is_some_and(|met| met.was_answered),
        }
    }
}

/// What a way carries out: a label of a name, so that a question can carry it too, and no part of another's.
fn word(way: &Way, nonce: &str) -> String {
    format!("w-{}-{nonce}", way.name)
}

fn nonce() -> io::Result<String> {
    Ok(random_word(16)?.to_ascii_lowercase())
}

/// Runs the program in a home and a project of its own, with shieldrun in front or not.
fn try_with(internet: &Internet, net: &Net, scratch: &Path, shielded: bool) -> io::Result<Tried> {
    let (nonce, key) = (nonce()?, token()?);
    let home = scratch.join(&nonce);
    let project = home.join("src/project");
    fs::create_dir_all(&project)?;
    let (own, program) = (std::env::current_exe()?, project.join("selftest-program"));
    fs::copy(&own, &program)?;
    let trusted = scratch.join("authority.pem");
    fs::write(&trusted, internet.certificate())?;
    let mut command = Command::new(if shielded { &own } else { &program });
    if shielded {
        command.arg("--config").arg((net.config)().to_string()).arg("--").arg(&program);
    }
    let output = command
        .args(["selftest", "--reach", &format!("{}:{nonce}", net.group)])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("SSL_CERT_FILE", &trusted)
        .env(KEY, &key)
        .env(DIGEST, digest(key.as_bytes()))
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
    Ok(Tried { nonce, key, met })
}

/// Some hosts are listed, and where they are in our internet.
fn listed() -> Value {
    json!({ "network": {
        "mode": "allowlist",
        "allow": [LISTED, REBOUND, format!("GET {SOME}/v1/**")],
        "resolve": [format!("{LISTED}:80=192.0.2.80:80"), format!("{SOME}:80=192.0.2.81:80")],
    } })
}

/// The same, with TLS ended on the way.
fn brokered() -> Value {
    let own = brokered::OWN;
    json!({
        "network": {
            "mode": "allowlist",
            "allow": [LISTED, own],
            "resolve": [format!("{LISTED}:443=192.0.2.80:443"), format!("{own}:443=192.0.2.82:443")],
        },
        "secrets": { "mode": "broker" },
    })
}

fn println(line: &str) {
    use io::Write;
    let _ = writeln!(io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own_and_a_twin() {
        let all = || NETS.iter().flat_map(|net| net.ways.iter().chain(net.twins));
        let mut names: Vec<_> = all().map(|way| way.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for net in &NETS {
            assert!(net.ways.iter().all(|way| net.twins.iter().any(|twin| twin.name == way.twin)));
        }
        // The word is a label of a name.
        assert!(names.iter().all(|name| name.len() <= 40));
    }
}
