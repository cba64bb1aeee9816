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

use crate::failure::Failure;

/// What all checks found.
#[derive(Debug)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    tier: Result<&'static str, &'static str>,
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
    Ok(if report.tier == Ok("full") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    fn of_this_host() -> Self {
        let findings = checks::all();
        let bad = findings.iter().find(|finding| finding.grade == Grade::Bad);
        let tier = bad.map_or(Ok("full"), |finding| Err(finding.name));
        Self { findings, tier }
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
            "isolation": self.tier.unwrap_or("preload"),
            "missing": self.tier.err(),
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
        text.push_str(&match self.tier {
            Ok(_) => "\nisolation: full, the kernel enforces\n".to_owned(),
            Err(missing) => format!(
                "\nisolation: full isolation does not start here ({missing}); \
                 `--isolation preload` does, and is the weaker mode\n"
            ),
        });
        text
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
        let report = Report { tier: Err(findings[1].name), findings };
        let text = report.to_text(false);
        assert!(text.contains("bad   user namespaces  refused\n"), "{text}");
        assert!(text.contains("or another\n\nisolation: full isolation does not start here"), "{text}");
        assert!(!text.contains('\x1b') && report.to_text(true).contains("\x1b[31;1mbad "));
        assert_eq!(report.to_json()["missing"], "user namespaces");
        assert_eq!(report.to_json()["findings"][1]["remedy"], "one way\nor another");
    }
}
