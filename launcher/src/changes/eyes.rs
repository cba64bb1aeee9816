//! What is looked for in what a run wrote: real values, synthetics, credentials, blocked patterns.
//!
//! Owns the looking; what a finding leads to is the gate's. No value leaves this file, only whose it is.

use std::collections::HashMap;

use memchr::memchr_iter;
use shieldrun_policy::changes::{Finding, Found};
use shieldrun_policy::pattern::Pattern;
use shieldrun_secrets::{Confidence, Registry, Scanner, StreamState, Subject, detect};

/// What to look for.
pub(crate) struct Eyes<'a> {
    patterns: &'a [Pattern],
    real: Scanner,
    synthetic: Scanner,
    names: HashMap<String, String>,
}

/// A look at one stream of bytes, from its start.
pub(super) struct Look<'a> {
    eyes: &'a Eyes<'a>,
    real: StreamState,
    synthetic: StreamState,
    /// Lines that went by.
    line: u64,
    found: Vec<Finding>,
}

/// A file has at most so many findings of one kind: the first few say it all.
const MOST: usize = 20;

/// Credentials are looked for in so much of a file.
const MOST_DETECTED: usize = 4 << 20;

impl<'a> Eyes<'a> {
    /// For a run with these secrets and patterns.
    pub(crate) fn new(registry: &Registry, patterns: &'a [Pattern]) -> Self {
        let names = registry.entries().iter().map(|e| (e.id.to_string(), e.name.clone())).collect();
        Self { patterns, real: registry.scanner(), synthetic: registry.tripwire(), names }
    }

    /// Begins to look at a stream.
    pub(super) fn look(&'a self) -> Look<'a> {
        let (real, synthetic) = (self.real.stream(), self.synthetic.stream());
        Look { eyes: self, real, synthetic, line: 1, found: Vec::new() }
    }

    /// Whose real value is in these bytes, if any is.
    pub(super) fn real_in(&self, bytes: &[u8]) -> Option<(String, String)> {
        let id = self.real.stream().feed(&self.real, bytes)?.id.to_string();
        let name = self.names.get(&id).cloned().unwrap_or_default();
        Some((id, name))
    }

    /// Credentials that this run knows nothing of, in lines that were added.
    pub(super) fn credentials(&self, added: &[(u64, &[u8])]) -> Vec<Finding> {
        let mut text = Vec::new();
        let mut starts = Vec::new();
        for (number, line) in added {
            if text.len() + line.len() > MOST_DETECTED {
                break;
            }
            starts.push((text.len(), *number));
            text.extend_from_slice(line);
            if line.last() != Some(&b'\n') {
                text.push(b'\n');
            }
        }
        detect(&text, Subject::default())
            .into_iter()
            .filter(|finding| finding.confidence == Confidence::High)
            // What the run was given is no news: it has findings of its own.
            .filter(|finding| {
                let bytes = text.get(finding.span.clone()).unwrap_or_default();
                self.synthetic.stream().feed(&self.synthetic, bytes).is_none()
                    && self.real.stream().feed(&self.real, bytes).is_none()
            })
            .take(MOST)
            .map(|finding| {
                let before = starts.partition_point(|(at, _)| *at <= finding.span.start);
                let line = before.checked_sub(1).and_then(|index| starts.get(index)).map(|(_, line)| *line);
                Finding { line, what: Found::Credential { kind: finding.kind.to_owned() } }
            })
            .collect()
    }

    /// Blocked patterns in lines that were added.
    pub(super) fn patterns<'t>(&self, added: impl Iterator<Item = (u64, &'t [u8])>) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut left: Vec<usize> = vec![MOST; self.patterns.len()];
        if self.patterns.is_empty() {
            return found;
        }
        for (number, line) in added {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            for (index, (pattern, left)) in self.patterns.iter().zip(&mut left).enumerate() {
                if *left > 0 && pattern.is_in(line) {
                    *left -= 1;
                    found.push(Finding { line: Some(number), what: Found::Pattern(index) });
                }
            }
        }
        found
    }
}

impl Look<'_> {
    /// Takes in the next bytes.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        let eyes = self.eyes;
        if let Some(hit) = self.real.feed(&eyes.real, chunk) {
            let line = self.line_at(chunk, hit.end);
            self.note(line, hit.id.to_string(), |id, name| Found::RealSecret { id, name });
        }
        if let Some(hit) = self.synthetic.feed(&eyes.synthetic, chunk) {
            let line = self.line_at(chunk, hit.end);
            self.note(line, hit.id.to_string(), |id, name| Found::Synthetic { id, name });
        }
        self.line += memchr_iter(b'\n', chunk).count() as u64;
    }

    pub(super) fn finish(self) -> Vec<Finding> {
        self.found
    }

    fn line_at(&self, chunk: &[u8], end: usize) -> u64 {
        // The value's own last byte may be a line's end.
        let before = chunk.get(..end.saturating_sub(1)).unwrap_or_default();
        self.line + memchr_iter(b'\n', before).count() as u64
    }

    fn note(&mut self, line: u64, id: String, what: fn(String, String) -> Found) {
        if self.found.len() < MOST {
            let name = self.eyes.names.get(&id).cloned().unwrap_or_default();
            self.found.push(Finding { line: Some(line), what: what(id, name) });
        }
    }
}
