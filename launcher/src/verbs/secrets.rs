//! Owns `shieldrun secrets`: the engine for people and scripts, over files and lines.
//!
//! It prints kind, place and confidence of what it finds, and never a value.

use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use memchr::{memchr, memchr_iter, memrchr};
use serde_json::json;

use shieldrun_secrets::{Checksum, Confidence, Detector, RunKey, Subject, separable, synthesize_one};

use crate::failure::Failure;
use crate::say;
use crate::sys::processors;

/// Larger files are named and passed over.
const LARGEST: u64 = 256 << 20;
/// A file with a NUL in its beginning is no text.
const LOOKED_AT: usize = 8 << 10;
/// As much as most files have: read at once. Two threads may share a cache of the second level, often of half a MiB: with
/// buffers that fill it the kernel took twice as long to copy. A little more than the longest armour, so that a file
/// with the beginning of one and no end can still be looked at in parts.
const AT_ONCE: usize = 136 << 10;
/// Larger files wait until all others are done, so that no thread ends with several of them while the rest have nothing.
const LATER: u64 = 1 << 20;

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
            Parts::of(Path::new("-")).look(&bytes, &mut found);
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
    /// Files that are handed over at once: a queue costs more than a small file.
    const TOGETHER: usize = 8;
    let (batches, queue) = bounded::<Vec<PathBuf>>(1024);
    let (later, progress) = (Later::default(), Progress::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..thread::available_parallelism().map_or(1, NonZero::get))
            .map(|_| {
                let (queue, later, progress) = (queue.clone(), &later, &progress);
                scope.spawn(move || look_through(queue, later, progress))
            })
            .collect();
        drop(queue);
        let mut batch = Vec::with_capacity(TOGETHER);
        walk(root, &mut |path| {
            batch.push(path);
            if batch.len() == TOGETHER {
                // Nobody listens only when every worker died, and then there is nothing to wait for.
                let _ = batches.send(std::mem::replace(&mut batch, Vec::with_capacity(TOGETHER)));
            }
        });
        let _ = batches.send(batch);
        drop(batches);
        let found = workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect();
        progress.clear();
        found
    })
}

/// What one thread finds.
fn look_through(queue: Receiver<Vec<PathBuf>>, later: &Later, progress: &Progress) -> Vec<Found> {
    let (mut found, mut buffer) = (Vec::new(), vec![0; AT_ONCE]);
    for path in queue.into_iter().flatten() {
        match look_into(&path, LATER, &mut buffer, &mut found) {
            Seen::Bytes(bytes) => progress.step(bytes),
            Seen::Larger(size) => later.push(size, path),
        }
    }
    while let Some(path) = later.pop() {
        match look_into(&path, LARGEST, &mut buffer, &mut found) {
            Seen::Bytes(bytes) => progress.step(bytes),
            Seen::Larger(_) => {
                let mib = LARGEST >> 20;
                say::warning(format_args!("`{}` is larger than {mib} MiB: passed over", path.display()));
            }
        }
    }
    found
}

/// Files that wait, for whichever thread has time. One that comes after another thread has left is for who brought it.
#[derive(Default)]
struct Later(Mutex<BinaryHeap<(u64, PathBuf)>>);

impl Later {
    fn push(&self, size: u64, path: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((size, path));
    }

    /// The largest.
    fn pop(&self) -> Option<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().map(|(_, path)| path)
    }
}

fn walk(root: &Path, each: &mut dyn FnMut(PathBuf)) {
    let Ok(kind) = root.symlink_metadata().map(|metadata| metadata.file_type()) else { return };
    if kind.is_file() {
        return each(root.to_path_buf());
    }
    let mut pending = if kind.is_dir() { vec![root.to_path_buf()] } else { Vec::new() };
    while let Some(path) = pending.pop() {
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) => {
                say::warning(format_args!("cannot read `{}`: {error}", path.display()));
                continue;
            }
        };
        for entry in entries.flatten() {
            // Links are not followed: what they lead to is found where it lies, or lies elsewhere.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                Ok(kind) if kind.is_file() => each(entry.path()),
                _ => {}
            }
        }
    }
}

/// What was seen of a file.
enum Seen {
    /// So much of its text; nothing of what is no text, or cannot be read.
    Bytes(usize),
    /// It is text, and more than was asked for: so many bytes.
    Larger(u64),
}

/// Looks into a text file of at most this size, in parts where it can: what was just read is still near the processor.
/// The buffer never shrinks below [`AT_ONCE`].
fn look_into(path: &Path, most: u64, buffer: &mut Vec<u8>, found: &mut Vec<Found>) -> Seen {
    let Ok(file) = File::open(path) else { return Seen::Bytes(0) };
    let mut file = file.take(LARGEST);
    let Some(mut filled) = fill(&mut file, &mut buffer[..AT_ONCE]) else { return Seen::Bytes(0) };
    if memchr(0, &buffer[..filled.min(LOOKED_AT)]).is_some() {
        return Seen::Bytes(0);
    }
    let mut parts = Parts::of(path);
    if filled == AT_ONCE {
        let size = file.get_ref().metadata().map_or(0, |metadata| metadata.len());
        if size > most {
            return Seen::Larger(size);
        }
        while filled == AT_ONCE {
            let Some(end) = separable(&buffer[..filled]) else {
                buffer.truncate(AT_ONCE);
                buffer.reserve(size as usize);
                // What was read before an error counts.
                let _ = file.read_to_end(buffer);
                filled = buffer.len();
                break;
            };
            parts.look(&buffer[..end], found);
            parts.go_on(&buffer[..end]);
            buffer.copy_within(end..filled, 0);
            filled -= end;
            filled += fill(&mut file, &mut buffer[filled..AT_ONCE]).unwrap_or(0);
        }
    }
    parts.look(&buffer[..filled], found);
    Seen::Bytes(parts.seen + filled)
}

/// Reads until the end of the file or of the buffer.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Option<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(filled)
}

/// A file that is looked through part by part.
struct Parts<'a> {
    detector: Detector,
    path: &'a Path,
    /// How much of it is behind us.
    seen: usize,
    /// How much of the part has been counted in `line`.
    counted: usize,
    line: usize,
    /// Where in the file that line begins.
    line_start: usize,
}

impl<'a> Parts<'a> {
    fn of(path: &'a Path) -> Self {
        Self { detector: processors::detector(), path, seen: 0, counted: 0, line: 1, line_start: 0 }
    }

    /// What is in this part.
    fn look(&mut self, part: &[u8], found: &mut Vec<Found>) {
        for finding in self.detector.detect(part, Subject::default()) {
            let start = finding.span.start;
            self.count(part, start);
            found.push(Found {
                path: self.path.to_path_buf(),
                line: self.line,
                column: self.seen + start - self.line_start + 1,
                length: finding.span.len(),
                kind: finding.kind,
                confidence: finding.confidence,
                reason: finding.reason,
            });
        }
    }

    /// Another part follows this one.
    fn go_on(&mut self, part: &[u8]) {
        self.count(part, part.len());
        self.seen += part.len();
        self.counted = 0;
    }

    fn count(&mut self, part: &[u8], upto: usize) {
        let between = part.get(self.counted..upto).unwrap_or_default();
        if let Some(last) = memrchr(b'\n', between) {
            self.line += memchr_iter(b'\n', between).count();
            self.line_start = self.seen + self.counted + last + 1;
        }
        self.counted = upto;
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
    on_terminal: bool,
    files: AtomicUsize,
    bytes: AtomicUsize,
    /// The tenth of a second that the line is of; 0 while there is none.
    shown: AtomicUsize,
}

impl Progress {
    fn new() -> Self {
        let zero = || AtomicUsize::new(0);
        let on_terminal = io::stderr().is_terminal();
        Self { since: Instant::now(), on_terminal, files: zero(), bytes: zero(), shown: zero() }
    }

    fn step(&self, bytes: usize) {
        const QUIET: Duration = Duration::from_secs(1);
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if !self.on_terminal || self.since.elapsed() < QUIET {
            return;
        }
        let now = (self.since.elapsed().as_millis() / 100) as usize;
        // Whoever comes first in a tenth of a second writes.
        if self.shown.fetch_max(now, Ordering::Relaxed) < now {
            let _ = write!(io::stderr(), "\rshieldrun: {files} files, {} MiB", bytes >> 20);
        }
    }

    fn clear(&self) {
        if self.shown.load(Ordering::Relaxed) > 0 {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
