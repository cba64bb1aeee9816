//! Owns the table that a person reads, and its JSON.

use std::io::{self, IsTerminal, Write};

use serde_json::json;

use super::{Line, Verdict};

/// Prints every line and the sum.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print(lines: &[Line], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        let whole = json!({
            "verdict": if count(lines, Verdict::Breached) == 0 { "held" } else { "breached" },
            "held": count(lines, Verdict::Held),
            "breached": count(lines, Verdict::Breached),
            "unavailable": count(lines, Verdict::Unavailable),
            "ways": lines,
        });
        return writeln!(out, "{whole:#}");
    }
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut group = "";
    for line in lines {
        if line.group != group {
            group = line.group;
            writeln!(
                out,
                "{}{group}",
                if group == lines.first().map_or("", |line| line.group) { "" } else { "\n" }
            )?;
        }
        let (word, code) = match line.verdict {
            Verdict::Held => ("held", "32"),
            Verdict::Breached => ("BREACHED", "31;1"),
            Verdict::Unavailable => ("not here", "2"),
        };
        let word = if colour { format!("\x1b[{code}m{word:<8}\x1b[0m") } else { format!("{word:<8}") };
        writeln!(out, "  {word}  {:<22} {}; {}", line.name, line.what, line.detail)?;
    }
    let (held, breached) = (count(lines, Verdict::Held), count(lines, Verdict::Breached));
    let unavailable = count(lines, Verdict::Unavailable);
    writeln!(out, "\n{held} ways out held, each of which leads out without shieldrun; {breached} breached")?;
    if unavailable > 0 {
        writeln!(out, "{unavailable} lead nowhere on this host without shieldrun either, and show nothing")?;
    }
    Ok(())
}

fn count(lines: &[Line], verdict: Verdict) -> usize {
    lines.iter().filter(|line| line.verdict == verdict).count()
}
