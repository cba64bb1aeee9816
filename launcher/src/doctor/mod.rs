//! Owns `shieldrun doctor`: what this host gives, good or bad, with a remedy for what is bad.
//!
//! Each check tries the thing itself where that leaves no trace, and asks a setting only to explain a
//! refusal: a host is what the kernel does, not what a file says.

mod checks;
mod profile;
mod trial;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use shieldrun_policy::plan::Tier;

use crate::failure::Failure;
use crate::sys::landlock;

/// What all checks found.
#[derive(Debug)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    tier: Tier,
    /// What full isolation misses, where it is not the tier.
    missing: Option<&'static str>,
}

/// One line of the table.
#[derive(Debug)]
struct Finding {
    /// The protection or the fact.
    name: &'static str,
    grade: Grade,
    /// What was seen here.
    seen: String,
    /// What to do about it.
    remedy: Option<String>,
}

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    /// As full isolation wants it.
    Good,
    /// Full isolation does without, with a gap that the record names.
    Less,
    /// Full isolation does not start.
    Bad,
}

/// Looks at everything, prints it, and exits with 0 where full isolation is to be had.
///
/// # Errors
/// When the table cannot be printed.
pub(crate) fn carry_out(json: bool) -> Result<ExitCode, Failure> {
    let report = Report::of_this_host();
    let mut out = std::io::stdout().lock();
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = if json { format!("{:#}\n", report.to_json()) } else { report.to_text(colour) };
    out.write_all(text.as_bytes()).map_err(|error| Failure::doing("cannot print the report", error))?;
    Ok(if report.tier == Tier::Full { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    fn of_this_host() -> Self {
        let findings = checks::all();
        let bad = findings.iter().find(|finding| finding.grade == Grade::Bad);
        let missing = bad.map(|finding| finding.name);
        Self { tier: best(missing, landlock::abi()), findings, missing }
    }

    fn to_json(&self) -> Value {
        let finding = |finding: &Finding| {
            json!({
                "name": finding.name,
                "grade": finding.grade.word(),
                "seen": finding.seen,
                "remedy": finding.remedy,
            })
        };
        json!({
            "shieldrun": env!("CARGO_PKG_VERSION"),
            "isolation": self.tier.word(),
            "missing": self.missing,
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }

    fn to_text(&self, colour: bool) -> String {
        let width = self.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for finding in &self.findings {
            let (word, code) = (finding.grade.word(), finding.grade.colour());
            let word = if colour { format!("\x1b[{code}m{word:<4}\x1b[0m") } else { format!("{word:<4}") };
            text.push_str(&format!("{word}  {:<width$}  {}\n", finding.name, finding.seen));
            if let Some(remedy) = &finding.remedy {
                for line in remedy.lines().flat_map(|line| wrapped(line, COLUMNS - width)) {
                    text.push_str(&format!("      {:<width$}  {line}\n", ""));
                }
            }
        }
        text.push_str(&match self.missing {
            None => "\nisolation: full, the kernel enforces\n".to_owned(),
            Some(missing) => format!(
                "\nisolation: full isolation does not start here ({missing}); \
                 `--isolation {}` does, and is a weaker mode\n",
                self.tier.word()
            ),
        });
        text
    }
}

/// The strongest tier that starts here.
const fn best(missing: Option<&str>, landlock: Option<u32>) -> Tier {
    match (missing, landlock) {
        (None, _) => Tier::Full,
        (Some(_), Some(_)) => Tier::Landlock,
        (Some(_), None) => Tier::Preload,
    }
}

/// Room for names and remedies together.
const COLUMNS: usize = 92;

/// Broken between words; a line that begins with blanks (a file to copy) stays whole.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    if text.starts_with(' ') {
        return vec![text.to_owned()];
    }
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

impl Grade {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Less => "less",
            Self::Bad => "bad",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Less => "33",
            Self::Bad => "31;1",
        }
    }
}

impl Finding {
    fn good(name: &'static str, seen: impl Into<String>) -> Self {
        Self { name, grade: Grade::Good, seen: seen.into(), remedy: None }
    }

    fn less(name: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, grade: Grade::Less, seen: seen.into(), remedy: Some(remedy.into()) }
    }

    fn bad(name: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, grade: Grade::Bad, seen: seen.into(), remedy: Some(remedy.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_finding_is_named_and_costs_the_tier() {
        let findings = vec![
            Finding::good("kernel", "6.1"),
            Finding::bad("user namespaces", "refused", "one way\nor another"),
        ];
        let report = Report { tier: Tier::Preload, missing: Some(findings[1].name), findings };
        let text = report.to_text(false);
        assert!(text.contains("bad   user namespaces  refused\n"), "{text}");
        assert!(text.contains("or another\n\nisolation: full isolation does not start here"), "{text}");
        assert!(!text.contains('\x1b') && report.to_text(true).contains("\x1b[31;1mbad "));
        assert_eq!(report.to_json()["missing"], "user namespaces");
        assert_eq!(report.to_json()["isolation"], "preload");
        assert_eq!(best(Some("mounts"), Some(1)), Tier::Landlock);
        assert_eq!(report.to_json()["findings"][1]["remedy"], "one way\nor another");
    }
}
