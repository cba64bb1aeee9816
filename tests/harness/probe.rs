//! Small C programs that try what is forbidden, compiled when they are first asked for.
//!
//! Their sources are part of the test binary, so that the suite runs where the repository cannot be read.

use super::world::{World, put, suite_directory};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// A probe: its name, its source and how it is linked.
pub(crate) struct Probe {
    name: &'static str,
    source: &'static str,
    flags: &'static [&'static str],
}

/// Statically linked: no preload reaches it. Prints its environment and files, the libc way.
pub(crate) const STATIC: Probe =
    Probe { name: "static", source: include_str!("../probes/reader.c"), flags: &["-static"] };

/// The same program, linked dynamically.
pub(crate) const DYNAMIC: Probe =
    Probe { name: "dynamic", source: include_str!("../probes/reader.c"), flags: &[] };

/// No libc: its environment from the stack, files by bare system calls, several ways each.
pub(crate) const RAW: Probe = Probe {
    name: "raw",
    source: include_str!("../probes/raw.c"),
    flags: &["-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-builtin"],
};

/// Asks for a variable again and again.
pub(crate) const ASKER: Probe =
    Probe { name: "asker", source: include_str!("../probes/asker.c"), flags: &[] };

/// Tries to get more than it was given, one attempt per argument.
pub(crate) const ESCAPE: Probe =
    Probe { name: "escape", source: include_str!("../probes/escape.c"), flags: &["-static"] };

/// Forbids user namespaces as a container's seccomp filter does, then executes its arguments.
pub(crate) const NO_NAMESPACES: Probe =
    Probe { name: "no-namespaces", source: include_str!("../probes/no_namespaces.c"), flags: &[] };

/// Opens a file through every member of the `open` family that libc has.
pub(crate) const OPENERS: Probe =
    Probe { name: "openers", source: include_str!("../probes/openers.c"), flags: &[] };

/// Starts its arguments through a member of the `exec` family, with an empty environment.
pub(crate) const LAUNCHERS: Probe =
    Probe { name: "launchers", source: include_str!("../probes/launchers.c"), flags: &[] };

/// Asks for names and connects, without a resolver and without a preload.
pub(crate) const NET: Probe =
    Probe { name: "net", source: include_str!("../probes/net.c"), flags: &["-static"] };

impl Probe {
    /// Whether it has the verbs of `reader.c`, which is linked with libc.
    pub(crate) fn has_libc(&self) -> bool {
        !self.flags.contains(&"-nostdlib")
    }
}

impl World {
    /// A copy of the probe where the home of the sandbox shows programs.
    pub(crate) fn probe(&self, probe: &Probe) -> PathBuf {
        put(&self.home.join(".local/bin").join(probe.name), &compiled(probe), 0o755)
    }
}

/// The program's bytes.
fn compiled(probe: &Probe) -> Vec<u8> {
    static COMPILED: Mutex<Option<HashMap<&'static str, Vec<u8>>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    compiled.get_or_insert_default().entry(probe.name).or_insert_with(|| compile(probe)).clone()
}

fn compile(probe: &Probe) -> Vec<u8> {
    let at = tempfile::tempdir_in(suite_directory()).expect("a directory for the compiler");
    let (source, program) = (at.path().join("probe.c"), at.path().join("probe"));
    fs::write(&source, probe.source).expect("write the probe's source");
    let output = Command::new("cc")
        .args(["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(&source)
        .args(probe.flags)
        .output()
        .expect("run cc");
    assert!(
        output.status.success(),
        "cannot compile probe `{}`\n{}",
        probe.name,
        String::from_utf8_lossy(&output.stderr)
    );
    fs::read(&program).expect("read the compiled probe")
}
