//! A guest without a launcher: a directory with the shim, a table and a ring, and a look at what was said.
//!
//! The shim is the one that `SHIELDRUN_SHIM` names, else it is built here: cargo does not build a cdylib for the
//! tests of its own package.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unsafe_code, reason = "maps the ring")]

#[path = "../../../launcher/src/guest_table.rs"]
mod guest_table;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use shieldrun_abi::record::{Kind, Record};
use shieldrun_abi::ring::{Key, MAGIC, Shared};

pub(crate) use guest_table::{Extent, GuestTable, Treatment};

pub(crate) struct Guest {
    pub(crate) directory: PathBuf,
    pub(crate) library: PathBuf,
    shared: &'static Shared,
    read: std::cell::Cell<u64>,
}

/// The built shim.
pub(crate) fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        if let Some(path) = std::env::var_os("SHIELDRUN_SHIM") {
            return path.into();
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shim-target");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--profile", "shim", "--package", "shieldrun-shim", "--target-dir"])
            .arg(&target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("RUSTFLAGS")
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the shim does not build");
        target.join("shim/libshieldrun_shim.so")
    })
}

impl Guest {
    /// A guest with what `fill` puts into its table.
    pub(crate) fn new(fill: impl FnOnce(&mut GuestTable, &Path)) -> Guest {
        let guest = Guest::bare();
        let mut table = GuestTable::default();
        fill(&mut table, &guest.directory);
        fs::write(guest.directory.join("table"), table.into_bytes()).expect("the table");
        guest
    }

    /// Says in the ring that the kernel tells of starts.
    pub(crate) fn starts_are_told(&self) {
        self.shared.header.starts_are_told.store(1, Ordering::Relaxed);
    }

    /// A guest with a ring and no table.
    pub(crate) fn bare() -> Guest {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("shim-test-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory");
        let directory = directory.canonicalize().expect("its path");
        let library = directory.join("libshieldrun.so");
        fs::copy(shim(), &library).expect("the shim");

        let length = size_of::<Shared>();
        let file = File::options().read(true).write(true).create_new(true).open(directory.join("ring"));
        let file = file.expect("the ring");
        file.set_len(length as u64).expect("its length");
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where the kernel likes; it stays for good.
        let address = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(address, libc::MAP_FAILED);
        // SAFETY: mapped for good, and every bit pattern is a `Shared`.
        let shared = unsafe { &*address.cast::<Shared>() };
        shared.header.magic.store(MAGIC, Ordering::Release);
        Guest { directory, library, shared, read: 0.into() }
    }

    /// A command with the shim in it and little else in its environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &self.directory)
            .env("LD_PRELOAD", &self.library)
            .current_dir(&self.directory);
        command
    }

    /// Runs a command, which must succeed.
    pub(crate) fn run(&self, command: &mut Command) -> Output {
        let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        assert!(
            output.status.success(),
            "{command:?}: {}\n--- stdout\n{}\n--- stderr\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Runs a shell script in the guest, and gives its stdout.
    pub(crate) fn shell(&self, script: &str) -> String {
        text(&self.run(self.command("/bin/sh").args(["-c", script])).stdout)
    }

    /// What was said since the last call.
    pub(crate) fn said(&self) -> Vec<Said> {
        let head = self.shared.header.head.0.load(Ordering::Acquire);
        let from = self.read.replace(head);
        let slots = (from..head).map(|position| self.shared.slot(position).expect("a slot").load());
        slots.map(|record| Said::from(&record)).collect()
    }

    /// Only this kind of it.
    pub(crate) fn said_of(&self, kind: Kind) -> Vec<Said> {
        self.said().into_iter().filter(|said| said.kind == kind).collect()
    }

    /// How often a key was counted after its first time.
    pub(crate) fn count(&self, key: Key) -> u64 {
        let counters = self.shared.counters.iter();
        let ours = counters.filter(|counter| counter.key.load(Ordering::Relaxed) == key.pack());
        ours.map(|counter| counter.count.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.shared.header.dropped.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    /// Puts so many records into the ring.
    pub(crate) fn fill(&self, count: usize) {
        for _ in 0..count {
            self.shared.publish(&Record::new(Kind::Resolve, 1, 1, 0));
        }
    }

    /// Writes a file, with the directories above it.
    pub(crate) fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its directory");
        fs::write(&path, contents).expect("the file");
        path
    }

    /// Compiles a C program from this directory.
    pub(crate) fn compile(&self, source: &str, flags: &[&str]) -> PathBuf {
        let program = self.directory.join(source.trim_end_matches(".c"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-pthread", "-o"]).arg(&program).arg(path).args(flags);
        let output = cc.output().expect("a C compiler");
        assert!(output.status.success(), "{cc:?}\n{}", String::from_utf8_lossy(&output.stderr));
        program
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A record, easier to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: Kind,
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) index: u32,
    pub(crate) flags: u16,
    pub(crate) text: String,
}

impl Said {
    fn from(record: &Record) -> Said {
        let kind = Kind::from_number(record.kind).expect("a kind");
        let text = record.bytes().escape_ascii().to_string();
        Said { kind, pid: record.pid, parent: record.aux, index: record.index, flags: record.flags, text }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Whether a program is there; one that is not is said to be skipped, which in CI is a failure.
pub(crate) fn have(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "no `{program}` here, and in CI nothing is skipped");
        eprintln!("skipped: no `{program}` here");
    }
    there
}
