//! Owns what `/proc` says of a process of the guest's: a fact, as far as the process is held while it is
//! asked for. Whoever asks sees to that.
//!
//! The arguments are the process's own memory, which it can write: what stands there is what it shows.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

use shieldrun_abi::SHIM_FILE;
use shieldrun_policy::audit::{Ancestor, Process, Text};

use crate::sys::pidns::first_pid;

/// More of a command line than this is cut: it is memory of the guest's.
const ARGUMENTS: u64 = 16 << 10;
/// More parents than this are not named.
const ANCESTORS: usize = 16;
/// The kernel lets no environment be longer.
const ENVIRONMENT: u64 = 8 << 20;

/// A process that is being looked at.
struct Looked {
    directory: OwnedFd,
}

/// What `status` says.
struct Status {
    process: u32,
    parent: u32,
    inside: Option<u32>,
}

/// Looks at a process by its number here, and at its parents up to the first process inside, whose pidfd is
/// `init`. `None` when there is no such process any more.
pub(crate) fn look(pid: u32, init: BorrowedFd<'_>) -> Option<Process> {
    let looked = Looked::open(pid)?;
    let status = looked.status()?;
    // Of a thread the process is meant.
    let pid = status.process;
    let first = first_pid(init).unwrap_or(0);
    let mut ancestors = Vec::new();
    let mut above = status.parent;
    while above > 1 && above != first && ancestors.len() < ANCESTORS {
        let Some(parent) = Looked::open(above) else { break };
        ancestors.push(Ancestor { pid: above, executable: parent.link("exe") });
        above = parent.status().map_or(0, |status| status.parent);
    }
    Some(Process {
        pid,
        pid_inside: status.inside,
        executable: looked.link("exe"),
        args: looked.arguments(),
        working_directory: looked.link("cwd"),
        parent: (status.parent != 0).then_some(status.parent),
        ancestors,
        exit_code: None,
    })
}

/// Whether a process that was seen to start a program may load the shim into it yet: the kernel is not done with the
/// start (`image` is what the process will be), or it was given the shim. Not one that is over.
pub(crate) fn may_load_shim(process: &Process, image: Option<&Text>) -> bool {
    let Some(looked) = Looked::open(process.pid) else { return false };
    let same = looked.status().is_some_and(|status| status.inside == process.pid_inside);
    let Some(exe) = looked.link("exe").filter(|_| same) else { return false };
    if image.is_some_and(|image| *image != exe) {
        return true;
    }
    let environment = looked.file("environ", ENVIRONMENT).unwrap_or_default();
    let shim = SHIM_FILE.as_bytes();
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| entry.strip_prefix(b"LD_PRELOAD="))
        .any(|list| list.windows(shim.len()).any(|window| window == shim))
}

impl Looked {
    fn open(pid: u32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Some(Self { directory: openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).ok()? })
    }

    fn file(&self, name: &str, most: u64) -> Option<Vec<u8>> {
        let file = openat(&self.directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        File::from(file).take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// A link's target as the guest sees it. What was deleted meanwhile says so itself.
    fn link(&self, name: &str) -> Option<Text> {
        Some(Text::from_bytes(readlinkat(self.directory.as_fd(), name, Vec::new()).ok()?.to_bytes()))
    }

    fn arguments(&self) -> Vec<Text> {
        let bytes = self.file("cmdline", ARGUMENTS).unwrap_or_default();
        let whole = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        if whole.is_empty() {
            return Vec::new();
        }
        whole.split(|byte| *byte == 0).map(Text::from_bytes).collect()
    }

    fn status(&self) -> Option<Status> {
        let bytes = self.file("status", 4096)?;
        let text = String::from_utf8_lossy(&bytes);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Some(Status {
            process: field("Tgid")?.trim().parse().ok()?,
            parent: field("PPid")?.trim().parse().ok()?,
            inside: field("NStgid").and_then(|pids| pids.split_whitespace().next_back()?.parse().ok()),
        })
    }
}
