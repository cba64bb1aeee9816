//! Recall and false alarms of the detector, for `ci/secrets-report.sh`.
//!
//! `report recall` reads lines of `rule<TAB>text` on stdin; `report alarms PATH…` walks trees of ordinary
//! files. Both print counts and, of findings, only kind and place: what is found may be somebody's.
//! `report leaks PATH…` looks in such trees for 10,000 made-up secrets that cannot be there.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shieldrun_secrets::{Confidence, Registry, RunKey, Subject, detect, substitute_env};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("recall") => recall(),
        Some("alarms") => alarms(args.map(PathBuf::from).collect()),
        Some("leaks") => leaks(args.map(PathBuf::from).collect()),
        _ => Err(std::io::Error::other("usage: report recall | report alarms PATH… | report leaks PATH…")),
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
    // A rule may be named `class/rule`; each class is added up.
    let mut classes: BTreeMap<&str, (usize, usize, usize, usize)> = BTreeMap::new();
    writeln!(out, "alone %  with a name %")?;
    for (rule, (count, found, named, kind)) in &rules {
        writeln!(out, "{:>5.1}  {:>5.1}  {rule} ({kind})", percent(*found, *count), percent(*named, *count))?;
        for class in rule.split_once('/').map(|(class, _)| class).into_iter().chain(["all"]) {
            let class = classes.entry(class).or_default();
            *class = (class.0 + count, class.1 + found, class.2 + named, class.3 + 1);
        }
    }
    for (class, (all, alone, with_name, rules)) in classes {
        writeln!(
            out,
            "{class}: {all} samples of {rules} rules: {:.2} % found by their form, {:.2} % with a name beside them",
            percent(alone, all),
            percent(with_name, all),
        )?;
    }
    Ok(())
}

fn alarms(paths: Vec<PathBuf>) -> std::io::Result<()> {
    let start = Instant::now();
    let mut out = std::io::stdout().lock();
    let mut counts: BTreeMap<(Confidence, &'static str), usize> = BTreeMap::new();
    let (mut files, mut bytes) = (0, 0);
    each_file(paths, &mut |path, content| {
        files += 1;
        bytes += content.len();
        for finding in detect(content, Subject::default()) {
            *counts.entry((finding.confidence, finding.kind)).or_default() += 1;
            if finding.confidence == Confidence::High {
                writeln!(out, "{}:{} {}", shown(path), finding.span.start, finding.kind)?;
            }
        }
        Ok(())
    })?;
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

fn leaks(paths: Vec<PathBuf>) -> std::io::Result<()> {
    let scanner = made_up(10_000).scanner();
    let mut out = std::io::stdout().lock();
    let (mut files, mut bytes, mut hits, mut suspected) = (0, 0, 0, 0);
    let mut took = Duration::ZERO;
    each_file(paths, &mut |path, content| {
        files += 1;
        bytes += content.len();
        let mut state = scanner.stream();
        let start = Instant::now();
        let hit = content.chunks(64 << 10).find_map(|chunk| state.feed(&scanner, chunk));
        took += start.elapsed();
        suspected += usize::from(state.take_suspected().is_some());
        if let Some(hit) = hit {
            hits += 1;
            writeln!(out, "{} {hit:?}", shown(path))?;
        }
        Ok(())
    })?;
    let mb = bytes as f64 / 1e6;
    writeln!(
        out,
        "{files} files, {mb:.0} MB, {scanner:?}: {hits} alarms, {suspected} suspicions, {:.0} MB/s on one core",
        mb / took.as_secs_f64()
    )
}

/// Secrets as they are drawn: tokens of several lengths and alphabets, and passwords of a person's choice.
fn made_up(count: usize) -> Registry {
    let mut noise = 7_u64;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    let alphabets: [&[u8]; 3] = [
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        b"0123456789abcdef",
        b"abcdefghijklmnopqrstuvwxyz0123456789-_!",
    ];
    let vars: Vec<_> = (0..count)
        .map(|n| {
            let alphabet = alphabets[n % 3];
            let len = [40, 32, 12, 20, 64][n % 5];
            let value = (0..len).map(|_| alphabet[(next() % alphabet.len() as u64) as usize]).collect();
            (format!("V{n}_PASSWORD").into_bytes(), value)
        })
        .collect();
    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    substitute_env(&mut registry, &vars);
    registry
}

fn each_file(
    mut paths: Vec<PathBuf>,
    each: &mut dyn FnMut(&Path, &[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    while let Some(path) = paths.pop() {
        let meta = std::fs::symlink_metadata(&path)?;
        if meta.is_dir() {
            paths.extend(std::fs::read_dir(&path)?.filter_map(|e| Some(e.ok()?.path())));
        } else if meta.is_file() && meta.len() < 16 << 20 {
            each(&path, &std::fs::read(&path)?)?;
        }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    let parts: Vec<String> = path.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    parts[parts.len().saturating_sub(4)..].join("/")
}
