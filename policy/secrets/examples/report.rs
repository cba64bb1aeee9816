//! Recall and false alarms of the detector, for `ci/secrets-report.sh`.
//!
//! `report recall` reads lines of `rule<TAB>text` on stdin; `report alarms PATH…` walks trees of ordinary
//! files. Both print counts and, of findings, only kind and place: what is found may be somebody's.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use shieldrun_secrets::{Confidence, Subject, detect};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("recall") => recall(),
        Some("alarms") => alarms(args.map(PathBuf::from).collect()),
        _ => Err(std::io::Error::other("usage: report recall | report alarms PATH…")),
    }
}

fn recall() -> std::io::Result<()> {
    // Samples, found by what they are, found with a name beside them, as what.
    let mut rules: BTreeMap<String, (usize, usize, usize, String)> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Some((rule, text)) = line.split_once('\t') else { continue };
        let found = detect(text.as_bytes(), Subject::default());
        let named = detect(text.as_bytes(), Subject { name: Some("SERVICE_TOKEN") });
        let rule = rules.entry(rule.to_string()).or_default();
        rule.0 += 1;
        rule.1 += usize::from(!found.is_empty());
        rule.2 += usize::from(!found.is_empty() || !named.is_empty());
        if let Some(finding) = found.first().or(named.first()) {
            rule.3 = finding.kind.to_string();
        }
    }
    let mut out = std::io::stdout().lock();
    let percent = |part: usize, all: usize| 100.0 * part as f64 / all.max(1) as f64;
    let (mut all, mut alone, mut with_name) = (0, 0, 0);
    writeln!(out, "alone %  with a name %")?;
    for (rule, (count, found, named, kind)) in &rules {
        writeln!(out, "{:>5.1}  {:>5.1}  {rule} ({kind})", percent(*found, *count), percent(*named, *count))?;
        all += count;
        alone += found;
        with_name += named;
    }
    writeln!(
        out,
        "{all} samples of {} rules: {:.2} % found by their form, {:.2} % with a name beside them",
        rules.len(),
        percent(alone, all),
        percent(with_name, all),
    )
}

fn alarms(mut paths: Vec<PathBuf>) -> std::io::Result<()> {
    let start = Instant::now();
    let mut out = std::io::stdout().lock();
    let mut counts: BTreeMap<(Confidence, &'static str), usize> = BTreeMap::new();
    let (mut files, mut bytes) = (0, 0);
    while let Some(path) = paths.pop() {
        let meta = std::fs::symlink_metadata(&path)?;
        if meta.is_dir() {
            paths.extend(std::fs::read_dir(&path)?.filter_map(|e| Some(e.ok()?.path())));
        } else if meta.is_file() && meta.len() < 16 << 20 {
            let content = std::fs::read(&path)?;
            files += 1;
            bytes += content.len();
            for finding in detect(&content, Subject::default()) {
                *counts.entry((finding.confidence, finding.kind)).or_default() += 1;
                if finding.confidence == Confidence::High {
                    writeln!(out, "{}:{} {}", shown(&path), finding.span.start, finding.kind)?;
                }
            }
        }
    }
    let mib = bytes as f64 / f64::from(1 << 20);
    for ((confidence, kind), count) in &counts {
        writeln!(out, "{count:>6}  {confidence:?} {kind}")?;
    }
    for wanted in [Confidence::High, Confidence::Medium, Confidence::Low] {
        let count: usize = counts.iter().filter(|((c, _), _)| *c == wanted).map(|(_, n)| n).sum();
        writeln!(out, "{wanted:?}: {count} findings, {:.4} per MiB", count as f64 / mib)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    writeln!(out, "{files} files, {mib:.0} MiB in {seconds:.1} s, {:.0} MiB/s on one core", mib / seconds)
}

fn shown(path: &Path) -> String {
    let parts: Vec<String> = path.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    parts[parts.len().saturating_sub(4)..].join("/")
}
