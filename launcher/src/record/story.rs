//! A run's log by subject, after its timeline: who started whom, what was denied and what to do about it, which
//! secrets were touched, where connections went, what became of the changes, who decided.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::Value as Json;

use super::past::plain;
use super::remedy::remedy;

/// So many processes, and entries of one subject, are kept; the rest is counted.
const MOST: usize = 5_000;

/// What is known so far.
#[derive(Default)]
pub(super) struct Story {
    processes: BTreeMap<u64, Process>,
    /// In the order of their first start, for pids are used again.
    order: Vec<u64>,
    more_processes: u64,
    subjects: [Subject; 5],
}

#[derive(Default)]
struct Process {
    parent: Option<u64>,
    what: String,
    end: Option<String>,
}

/// Entries of one kind, each once with its count, in the order in which they came.
#[derive(Default)]
struct Subject {
    entries: Vec<(String, u64, Option<String>)>,
    places: BTreeMap<String, usize>,
    more: u64,
}

const TITLES: [&str; 5] = ["denied", "secrets touched", "connections", "changes", "decisions"];

impl Story {
    /// Takes one event in.
    pub(super) fn take(&mut self, event: &Json) {
        let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).map(plain);
        let Some(action) = text("/event/action") else { return };
        match action.as_str() {
            "process-started" => self.started(event),
            "process-exited" => self.exited(event),
            _ => {}
        }
        let Some(subject) = subject_of(&action, event) else { return };
        let count = event.pointer("/shieldrun/count").and_then(Json::as_u64).unwrap_or(1);
        let (entry, to_do) = (entry(&action, event), remedy(&action, event));
        if let Some(subject) = self.subjects.get_mut(subject) {
            subject.add(entry, count, to_do);
        }
    }

    /// Writes the subjects that there are.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if !self.order.is_empty() {
            writeln!(out, "\nprocesses")?;
            let mut children: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            let mut roots = Vec::new();
            for pid in &self.order {
                match self.processes.get(pid).and_then(|process| process.parent) {
                    Some(parent) if parent != *pid && self.processes.contains_key(&parent) => {
                        children.entry(parent).or_default().push(*pid);
                    }
                    _ => roots.push(*pid),
                }
            }
            // A stack, and each pid once: parents come from a log, and a log may say anything.
            let mut seen = std::collections::BTreeSet::new();
            let mut stack: Vec<(u64, usize)> = roots.into_iter().rev().map(|pid| (pid, 1)).collect();
            while let Some((pid, depth)) = stack.pop() {
                let Some(process) = self.processes.get(&pid).filter(|_| seen.insert(pid)) else { continue };
                let end = process.end.as_deref().unwrap_or_default();
                writeln!(out, "{}{}[{pid}]{end}", "  ".repeat(depth.min(20)), process.what)?;
                let below = children.get(&pid).map(Vec::as_slice).unwrap_or_default();
                stack.extend(below.iter().rev().map(|child| (*child, depth + 1)));
            }
            if self.more_processes > 0 {
                writeln!(out, "  and {} more", self.more_processes)?;
            }
        }
        for (title, subject) in TITLES.iter().zip(&self.subjects) {
            subject.write(title, out)?;
        }
        Ok(())
    }

    fn started(&mut self, event: &Json) {
        let number = |pointer: &str| event.pointer(pointer).and_then(Json::as_u64);
        let Some(pid) = number("/process/pid") else { return };
        if !self.processes.contains_key(&pid) {
            if self.order.len() >= MOST {
                self.more_processes += 1;
                return;
            }
            self.order.push(pid);
        }
        let process = self.processes.entry(pid).or_default();
        process.parent = process.parent.or_else(|| number("/process/parent/pid"));
        // Executed again, it is what it became.
        process.what = command(event);
        process.end = None;
    }

    fn exited(&mut self, event: &Json) {
        let number = |pointer: &str| event.pointer(pointer).and_then(Json::as_u64);
        let Some(process) = number("/process/pid").and_then(|pid| self.processes.get_mut(&pid)) else {
            return;
        };
        process.end = match (number("/process/exit_code"), number("/shieldrun/signal")) {
            (_, Some(signal)) => Some(format!("  signal {signal}")),
            (Some(code), None) => Some(format!("  exit {code}")),
            (None, None) => None,
        };
    }
}

impl Subject {
    fn add(&mut self, entry: String, count: u64, to_do: Option<String>) {
        if let Some(known) = self.places.get(&entry).and_then(|at| self.entries.get_mut(*at)) {
            known.1 = known.1.saturating_add(count);
        } else if self.entries.len() < MOST {
            self.places.insert(entry.clone(), self.entries.len());
            self.entries.push((entry, count, to_do));
        } else {
            self.more += count;
        }
    }

    fn write(&self, title: &str, out: &mut impl Write) -> io::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{title}")?;
        let mut last = None;
        for (index, (entry, count, to_do)) in self.entries.iter().enumerate() {
            let times = if *count > 1 { format!("  \u{d7}{count}") } else { String::new() };
            writeln!(out, "  {entry}{times}")?;
            // What is to be done is said once for entries that follow each other.
            let next = self.entries.get(index + 1).and_then(|(.., to_do)| to_do.as_deref());
            if let Some(to_do) = to_do.as_deref().filter(|to_do| next != Some(*to_do) && last != Some(*to_do))
            {
                writeln!(out, "    {to_do}")?;
            }
            last = to_do.as_deref().filter(|to_do| next != Some(*to_do));
        }
        if self.more > 0 {
            writeln!(out, "  and {} more", self.more)?;
        }
        Ok(())
    }
}

fn subject_of(action: &str, event: &Json) -> Option<usize> {
    let is_blocked = event.pointer("/shieldrun/action").and_then(Json::as_str) == Some("block");
    match action {
        "secret-file-denied" | "command-blocked" | "syscall-denied" | "connection-denied" | "name-denied"
        | "limit-reached" | "timed-out" | "leak-stopped" | "change-refused" => Some(0),
        "secret-env-read" | "secret-file-read" | "secret-dir-listed" | "synthetic-seen" => {
            Some(if is_blocked && action == "secret-file-read" { 0 } else { 1 })
        }
        "connection-attempted" | "connection-allowed" | "secret-swapped" | "secret-scrubbed" => Some(2),
        "change-held" | "change-accepted" | "promoted" | "promotion-conflict" => Some(3),
        "review-decided" | "undone" | "notified" => Some(4),
        _ => None,
    }
}

/// One entry: what, to what, by which rule, by whom.
fn entry(action: &str, event: &Json) -> String {
    let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).map(plain);
    let mut entry = format!("{action:<20}");
    if action == "command-blocked" {
        entry.push_str(&format!(" {}", command(event)));
    }
    let port = event.pointer("/destination/port").and_then(Json::as_u64);
    if let Some(address) = text("/destination/domain").or_else(|| text("/destination/address")) {
        let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
        entry.push_str(&format!(" {address}{port}"));
    }
    for (pointer, before) in [
        ("/file/path", ""),
        ("/shieldrun/secret/name", ""),
        ("/shieldrun/syscall", ""),
        ("/shieldrun/limit", ""),
        ("/shieldrun/leak/place", "to "),
        ("/rule/name", "rule: "),
        ("/user/name", "by "),
        ("/message", ""),
    ] {
        if let Some(text) = text(pointer) {
            entry.push_str(&format!("  {before}{text}"));
        }
    }
    if action != "command-blocked"
        && let Some(program) = text("/process/executable")
    {
        entry.push_str(&format!("  by {}", program.rsplit('/').next().unwrap_or_default()));
    }
    if text("/shieldrun/trust").as_deref() == Some("claim") {
        entry.push_str("  (claim)");
    }
    entry
}

/// argv on one line, else the program.
fn command(event: &Json) -> String {
    const LONGEST: usize = 160;
    let args = event.pointer("/process/args").and_then(Json::as_array);
    let args: Vec<String> =
        args.map(|args| args.iter().filter_map(Json::as_str).map(plain).collect()).unwrap_or_default();
    let line = match args.is_empty() {
        true => event.pointer("/process/executable").and_then(Json::as_str).map(plain).unwrap_or_default(),
        false => args.join(" "),
    };
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}\u{2026}", line.get(..at).unwrap_or_default()),
        None => line,
    }
}
