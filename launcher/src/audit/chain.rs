//! The chain: each line carries the hash of the one before, so none can be changed or taken out unseen.
//!
//! Owns numbering, hashing and checking. The chain proves order and wholeness of what is there; that the end is
//! there too is proved by the hash of the last line, which the run's record keeps.

use std::io::{self, BufRead};

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shieldrun_policy::audit::{Event, LinePlace};

/// Where the log stands.
pub(super) struct Chain {
    run_id: String,
    sequence: u64,
    prev_hash: String,
}

impl Chain {
    pub(super) fn new(run_id: &str) -> Self {
        Chain { run_id: run_id.to_owned(), sequence: 0, prev_hash: hash(run_id.as_bytes()) }
    }

    /// Goes on after a chain that was checked.
    pub(super) fn after(run_id: &str, verified: &Verified) -> Self {
        Chain { run_id: run_id.to_owned(), sequence: verified.lines, prev_hash: verified.last_hash.clone() }
    }

    /// Appends the event as the next line, newline included.
    pub(super) fn append(&mut self, event: &Event, out: &mut Vec<u8>) {
        let start = out.len();
        let place = LinePlace { run_id: &self.run_id, sequence: self.sequence, prev_hash: &self.prev_hash };
        event.write_line(place, out);
        // Into the string that is there: this is done a million times.
        self.prev_hash.clear();
        HEXLOWER.encode_append(&Sha256::digest(&out[start..]), &mut self.prev_hash);
        self.sequence += 1;
        out.push(b'\n');
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> u64 {
        self.sequence
    }

    /// SHA-256 of the last line.
    pub(super) fn last_hash(&self) -> &str {
        &self.prev_hash
    }
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) lines: u64,
    pub(crate) last_hash: String,
}

/// The first line that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// From 1.
    pub(crate) line: u64,
    pub(crate) reason: String,
}

/// The fields of a line that the chain rests on.
#[derive(Deserialize)]
struct Links<'a> {
    #[serde(borrow)]
    shieldrun: OwnLinks<'a>,
}

#[derive(Deserialize)]
struct OwnLinks<'a> {
    run_id: &'a str,
    seq: u64,
    prev_hash: &'a str,
}

/// No line is longer: arguments of one exec are bounded by the kernel, escapes make six bytes of one.
const MOST_LINE: usize = 32 << 20;

/// Checks the chain of a log from its first line. The outer error is a log that cannot be read.
pub(crate) fn verify(run_id: &str, mut log: impl BufRead) -> io::Result<Result<Verified, Broken>> {
    let mut expected = hash(run_id.as_bytes());
    let mut lines = 0u64;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = io::Read::take(&mut log, MOST_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(Ok(Verified { lines, last_hash: expected }));
        }
        let broken = |reason: String| Ok(Err(Broken { line: lines + 1, reason }));
        if line.pop() != Some(b'\n') {
            return broken("the line has no end: the log was cut here".to_owned());
        }
        let links = match serde_json::from_slice::<Links<'_>>(&line) {
            Ok(links) => links.shieldrun,
            Err(error) => return broken(format!("not a line of the log: {error}")),
        };
        if links.run_id != run_id {
            return broken(format!("it belongs to run `{}`", links.run_id.escape_default()));
        }
        // The number first: lines that are missing are the likelier damage, and this says how many.
        if links.seq > lines {
            return broken(format!("{} lines before it are missing", links.seq - lines));
        }
        if links.seq < lines {
            return broken(format!("its number is {}, which was there before", links.seq));
        }
        if links.prev_hash != expected {
            let what = if lines == 0 {
                "the run's name"
            } else {
                "the line before it, so one of the two was changed"
            };
            return broken(format!("its `prev_hash` is not that of {what}"));
        }
        expected = hash(&line);
        lines += 1;
    }
}
