//! Owns `shieldrun secrets`: the engine for people and scripts, over files and lines.
//!
//! It prints kind, place and confidence of what it finds, and never a value.

use std::fs::{self, File};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use serde_json::json;

use shieldrun_secrets::{Checksum, Confidence, RunKey, Subject, detect, synthesize_one};

use crate::failure::Failure;
use crate::say;

/// Larger files are named and passed over.
const LARGEST: u64 = 256 << 20;
/// A file with a NUL in its beginning is no text.
const LOOKED_AT: usize = 8 << 10;

/// One finding, without its value.
struct Found {
    path: PathBuf,
    line: usize,
    column: usize,
    length: usize,
    kind: &'static str,
    confidence: Confidence,
    reason: &'static str,
}

/// `secrets scan`: exit code 1 when something was found, as grep's is 0.
///
/// # Errors
/// When a path that was named cannot be read.
pub(crate) fn scan(paths: &[PathBuf], as_json: bool) -> Result<ExitCode, Failure> {
    let mut found = Vec::new();
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here } else { paths };
    for path in paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::doing("cannot read stdin", error))?;
            look(Path::new("-"), &bytes, &mut found);
        } else {
            path.symlink_metadata()
                .map_err(|error| Failure::doing(format!("cannot read `{}`", path.display()), error))?;
            found.extend(scan_tree(path));
        }
    }
    found.sort_by(|one, other| {
        (&one.path, one.line, one.column).cmp(&(&other.path, other.line, other.column))
    });
    let mut out = io::BufWriter::new(io::stdout().lock());
    for finding in &found {
        // A reader that left early is no error.
        if finding.print(as_json, &mut out).is_err() {
            break;
        }
    }
    let _ = out.flush();
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// `secrets synthesize`: one credential a line in, one JSON object a line out.
///
/// # Errors
/// When the seed is none, or stdin cannot be read.
pub(crate) fn synthesize(seed: Option<&str>, invalid_checksum: bool) -> Result<ExitCode, Failure> {
    let key = match seed {
        Some(hex) => key_of(hex)?,
        None => {
            crate::host::random_key().map_err(|error| Failure::doing("cannot get random numbers", error))?
        }
    };
    let checksum = if invalid_checksum { Checksum::Invalid } else { Checksum::Valid };
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().split(b'\n') {
        let mut line = line.map_err(|error| Failure::doing("cannot read stdin", error))?;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.is_empty() {
            continue;
        }
        let made = synthesize_one(RunKey::from_bytes(key), &line, None, checksum);
        let object = json!({
            "kind": made.kind,
            "confidence": word(made.confidence),
            "synthetic": String::from_utf8_lossy(&made.synthetic),
        });
        if writeln!(out, "{object}").is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Walks on this thread, looks on all cores.
fn scan_tree(root: &Path) -> Vec<Found> {
    let (paths, queue) = bounded::<PathBuf>(4096);
    let progress = Progress::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..thread::available_parallelism().map_or(1, NonZero::get))
            .map(|_| {
                let (queue, progress) = (queue.clone(), &progress);
                scope.spawn(move || {
                    let (mut found, mut buffer) = (Vec::new(), Vec::new());
                    for path in queue {
                        if read(&path, &mut buffer) {
                            look(&path, &buffer, &mut found);
                        }
                        progress.step();
                    }
                    found
                })
            })
            .collect();
        drop(queue);
        walk(root, &mut |path| {
            // Nobody listens only when every worker died, and then there is nothing to wait for.
            let _ = paths.send(path);
            progress.show();
        });
        drop(paths);
        let found = workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect();
        progress.clear();
        found
    })
}

fn walk(root: &Path, each: &mut dyn FnMut(PathBuf)) {
    let mut pending = vec![root.to_path_buf()];
    while let Some(path) = pending.pop() {
        // Links are not followed: what they lead to is found where it lies, or lies elsewhere.
        let Ok(kind) = path.symlink_metadata().map(|metadata| metadata.file_type()) else { continue };
        if kind.is_file() {
            each(path);
        } else if kind.is_dir() {
            match fs::read_dir(&path) {
                Ok(entries) => {
                    for entry in entries.flatten() {
                        match entry.file_type() {
                            Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                            Ok(kind) if kind.is_file() => each(entry.path()),
                            _ => {}
                        }
                    }
                }
                Err(error) => say::warning(format_args!("cannot read `{}`: {error}", path.display())),
            }
        }
    }
}

/// Reads a text file into the buffer; false for what is none, or cannot be read.
fn read(path: &Path, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    let Ok(file) = File::open(path) else { return false };
    if file.metadata().is_ok_and(|metadata| metadata.len() > LARGEST) {
        say::warning(format_args!("`{}` is larger than {} MiB: passed over", path.display(), LARGEST >> 20));
        return false;
    }
    let mut file = file.take(LARGEST);
    let looked_at = (&mut file).take(LOOKED_AT as u64).read_to_end(buffer).is_ok();
    looked_at && !buffer.contains(&0) && file.read_to_end(buffer).is_ok()
}

fn look(path: &Path, bytes: &[u8], found: &mut Vec<Found>) {
    let (mut line, mut line_start, mut at) = (1, 0, 0);
    for finding in detect(bytes, Subject::default()) {
        let start = finding.span.start;
        for (offset, byte) in bytes.get(at..start).unwrap_or_default().iter().enumerate() {
            if *byte == b'\n' {
                line += 1;
                line_start = at + offset + 1;
            }
        }
        at = start;
        found.push(Found {
            path: path.to_path_buf(),
            line,
            column: start - line_start + 1,
            length: finding.span.len(),
            kind: finding.kind,
            confidence: finding.confidence,
            reason: finding.reason,
        });
    }
}

impl Found {
    fn print(&self, as_json: bool, out: &mut impl Write) -> io::Result<()> {
        let (path, confidence) = (self.path.display(), word(self.confidence));
        if as_json {
            let object = json!({
                "path": String::from_utf8_lossy(self.path.as_os_str().as_bytes()),
                "line": self.line, "column": self.column, "length": self.length,
                "kind": self.kind, "confidence": confidence, "reason": self.reason,
            });
            writeln!(out, "{object}")
        } else {
            writeln!(
                out,
                "{path}:{}:{}: {} ({confidence}: {})",
                self.line, self.column, self.kind, self.reason
            )
        }
    }
}

const fn word(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}

fn key_of(hex: &str) -> Result<[u8; 32], Failure> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
    let bytes = bytes.map_err(|error| Failure::doing("`--seed` is not hexadecimal", error))?;
    let mut key = [0; 32];
    // A short seed is as good as a long one for fixtures.
    for (to, from) in key.iter_mut().zip(bytes) {
        *to = from;
    }
    Ok(key)
}

/// A line on stderr while it takes long, on a terminal only.
struct Progress {
    since: Instant,
    done: AtomicUsize,
    shown: AtomicUsize,
}

impl Progress {
    fn new() -> Self {
        Self { since: Instant::now(), done: AtomicUsize::new(0), shown: AtomicUsize::new(0) }
    }

    fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn show(&self) {
        const EVERY: usize = 500;
        let done = self.done.load(Ordering::Relaxed);
        if done < self.shown.load(Ordering::Relaxed) + EVERY || self.since.elapsed() < Duration::from_secs(1)
        {
            return;
        }
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\rshieldrun: {done} files");
            self.shown.store(done, Ordering::Relaxed);
        }
    }

    fn clear(&self) {
        if self.shown.load(Ordering::Relaxed) > 0 {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
