//! `runs prune`, and what the policy says of it after each run.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::json;
use shieldrun_policy::schema::{Overrides, Retention, load};

use crate::cli::PruneArguments;
use crate::failure::Failure;
use crate::host::Host;
use crate::policies::{self, PolicyError};
use crate::record::{self, Bounds, Held, Pruned};
use crate::say;

const DAY: u64 = 86_400;

/// Removes what is asked for, and says it in numbers.
pub(super) fn carry_out(arguments: &PruneArguments) -> Result<ExitCode, Failure> {
    let mut bounds = match (arguments.older_than, arguments.keep, arguments.max_size) {
        (None, None, None) => by_policy()?,
        (None, Some(keep), None) => Bounds { most: Some(keep), ..Bounds::default() },
        (older_than, keep, max_size) => {
            Bounds { older_than, max_size, newest: keep.unwrap_or(0), ..Bounds::default() }
        }
    };
    if arguments.force_held {
        bounds.held = Held::Goes;
    }
    let runs = super::runs()?;
    super::finish_what_was_cut_off(&runs);
    let pruned = record::prune(&runs, &bounds, SystemTime::now(), arguments.dry_run)?;
    print(&pruned, arguments)?;
    Ok(if pruned.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// After a run. What cannot be removed is no failure of the run.
pub(crate) fn keep_no_more_than(retention: &Retention, runs: &Path) {
    if *retention == Retention::default() {
        return;
    }
    match record::prune(runs, &bounds(retention), SystemTime::now(), false) {
        Ok(pruned) => {
            for (run, error) in &pruned.failed {
                say::warning(format_args!("the record of run {run} could not be removed whole: {error}"));
            }
        }
        Err(error) => say::warning(Failure::from(error).chain()),
    }
}

fn by_policy() -> Result<Bounds, Failure> {
    let host = Host::look()?;
    let sources = policies::sources(&host, None)?;
    let policy = load(&sources, &Overrides::default()).map_err(PolicyError::Mistakes)?;
    if policy.trace.retention == Retention::default() {
        return Err(Failure::plain("nothing says which records may go").with_hint(
            "name it: `--older-than 30d`, `--keep 20`, `--max-size 1GiB`; or set `trace.retention` in your policy",
        ));
    }
    Ok(bounds(&policy.trace.retention))
}

fn bounds(retention: &Retention) -> Bounds {
    Bounds {
        older_than: retention.days.map(|days| Duration::from_secs(days.saturating_mul(DAY))),
        most: retention.runs.map(|runs| usize::try_from(runs).unwrap_or(usize::MAX)),
        max_size: retention.size,
        ..Bounds::default()
    }
}

fn print(pruned: &Pruned, arguments: &PruneArguments) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let removed = if arguments.dry_run { "would go" } else { "removed" };
    let written = if arguments.json {
        let one = |(run, bytes): &(String, u64)| json!({"run_id": run, "bytes": bytes});
        let spared = |(run, why): &(String, &str)| json!({"run_id": run, "reason": why});
        let object = json!({
            "dry_run": arguments.dry_run,
            "removed": pruned.removed.iter().map(one).collect::<Vec<_>>(),
            "spared": pruned.spared.iter().map(spared).collect::<Vec<_>>(),
            "failed": pruned.failed.iter().map(|(run, error)| json!({"run_id": run, "error": error.to_string()}))
                .collect::<Vec<_>>(),
            "freed_bytes": pruned.freed(),
            "left": {"runs": pruned.left, "bytes": pruned.left_bytes},
        });
        writeln!(out, "{object}")
    } else {
        let mut text = String::new();
        for (run, bytes) in &pruned.removed {
            text.push_str(&format!("{removed}  {run}  {}\n", amount(*bytes)));
        }
        for (run, why) in &pruned.spared {
            text.push_str(&format!("kept     {run}  {why}\n"));
        }
        let of = if pruned.removed.len() == 1 { "run" } else { "runs" };
        text.push_str(&format!(
            "{removed}: {} {of}, {}; left: {}, {}\n",
            pruned.removed.len(),
            amount(pruned.freed()),
            pruned.left,
            amount(pruned.left_bytes),
        ));
        out.write_all(text.as_bytes())
    };
    for (run, error) in &pruned.failed {
        say::warning(format_args!("the record of run {run} could not be removed whole: {error}"));
    }
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::doing("cannot print what was removed", error))
        }
        _ => Ok(()),
    }
}

fn amount(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0);
    format!("{value:.digits$} {}", UNITS.get(unit).copied().unwrap_or_default())
}
