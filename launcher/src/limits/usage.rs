//! Owns measuring a run: its processes, its memory, what it wrote.
//!
//! Cheap first: a listing of the guest's own `/proc`, sums that count shared memory twice, the free space
//! of a file system that others write to as well. Only what looks like too much is measured exactly.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

use shieldrun_policy::plan::Bounds;

use super::Reached;
use crate::layers::WRITTEN;
use crate::record::RunDir;

/// A nearly full disk is not this run's doing if it wrote less.
const ITS_DOING: u64 = 64 << 20;
/// Deeper than this nobody looks for what was written.
const DEEPEST: usize = 128;
/// Where programs write to memory that is no process's.
const IN_MEMORY: [&str; 3] = ["tmp", "run", "dev/shm"];

/// Measures one run.
#[derive(Debug)]
pub(crate) struct Meter {
    bounds: Bounds,
    init: i32,
    record: OwnedFd,
    /// The guest's `/proc`, once it was opened.
    processes: Option<OwnedFd>,
    free_at_start: u64,
}

impl Meter {
    pub(super) fn new(bounds: &Bounds, init: i32, record: &RunDir) -> io::Result<Self> {
        let record = record.as_fd().try_clone_to_owned()?;
        let free_at_start = free(record.as_fd()).unwrap_or(u64::MAX);
        Ok(Self { bounds: bounds.clone(), init, record, processes: None, free_at_start })
    }

    /// One look. What cannot be measured (the run ends at this moment) is not too much.
    pub(crate) fn look(&mut self) -> Option<Reached> {
        self.look_at_processes().or_else(|| self.look_at_disk())
    }

    fn look_at_processes(&mut self) -> Option<Reached> {
        let Bounds { processes, memory, .. } = self.bounds;
        if processes.is_none() && memory.is_none() {
            return None;
        }
        if self.processes.is_none() {
            let path = format!("/proc/{}/root/proc", self.init);
            self.processes = openat(CWD, path, directory(), Mode::empty()).ok();
        }
        let proc = self.processes.as_ref()?.as_fd();
        let pids = pids(proc).ok()?;
        if let Some(allowed) = processes {
            let used = pids.iter().map(|pid| tasks(proc, pid)).sum();
            if used > allowed {
                return Some(Reached { key: "limits.processes", allowed, used });
            }
        }
        let allowed = memory?;
        let files = self.files_in_memory();
        let at_most: u64 = files + pids.iter().map(|pid| resident(proc, pid)).sum::<u64>();
        if at_most <= allowed {
            return None;
        }
        let used = files + pids.iter().map(|pid| proportional(proc, pid)).sum::<u64>();
        (used > allowed).then_some(Reached { key: "limits.memory", allowed, used })
    }

    fn files_in_memory(&self) -> u64 {
        let used = |name: &&str| {
            let stat = rustix::fs::statvfs(format!("/proc/{}/root/{name}", self.init)).ok()?;
            Some((stat.f_blocks.saturating_sub(stat.f_bfree)).saturating_mul(stat.f_frsize))
        };
        IN_MEMORY.iter().filter_map(used).sum()
    }

    fn look_at_disk(&self) -> Option<Reached> {
        let Bounds { disk, keep_free, .. } = self.bounds;
        if disk.is_none() && keep_free.is_none() {
            return None;
        }
        let free = free(self.record.as_fd())?;
        if let Some(allowed) = disk
            // Others may have given some back meanwhile: half of it gone is worth a look.
            && self.free_at_start.saturating_sub(free) > allowed / 2
        {
            let used = self.written();
            if used > allowed {
                return Some(Reached { key: "limits.disk", allowed, used });
            }
        }
        // A disk that was nearly full before is not this run's doing either.
        let keep_free = keep_free?.min(self.free_at_start / 2);
        let used = if free < keep_free { self.written() } else { 0 };
        (used > ITS_DOING).then_some(Reached { key: "limits.disk", allowed: 0, used })
    }

    /// What lies in the layers of the run.
    fn written(&self) -> u64 {
        WRITTEN.iter().map(|name| size(self.record.as_fd(), *name, 0)).sum()
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn free(at: BorrowedFd<'_>) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(at).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn pids(proc: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let mut pids = Vec::new();
    for entry in Dir::read_from(proc)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().to_str()
            && name.bytes().all(|byte| byte.is_ascii_digit())
        {
            pids.push(name.to_owned());
        }
    }
    Ok(pids)
}

/// Threads of a process: each is a directory in `task`, and `.` and `..` are links too.
fn tasks(proc: BorrowedFd<'_>, pid: &str) -> u64 {
    statat(proc, format!("{pid}/task"), AtFlags::SYMLINK_NOFOLLOW)
        .map_or(0, |stat| u64::from(u32::try_from(stat.st_nlink).unwrap_or(0)).saturating_sub(2))
}

/// Resident memory that is no file's, whoever shares it; see proc_pid_statm(5).
fn resident(proc: BorrowedFd<'_>, pid: &str) -> u64 {
    let text = read(proc, &format!("{pid}/statm"));
    let mut pages = text.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared).saturating_mul(rustix::param::page_size() as u64)
}

/// The same with each shared page divided among those who share it.
fn proportional(proc: BorrowedFd<'_>, pid: &str) -> u64 {
    let text = read(proc, &format!("{pid}/smaps_rollup"));
    let value = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:"));
    let kibibytes = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

fn read(proc: BorrowedFd<'_>, name: &str) -> String {
    let opened = openat(proc, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    opened.ok().and_then(|file| io::read_to_string(File::from(file)).ok()).unwrap_or_default()
}

/// What `name` takes on the disk, all beneath it included. A name that the guest closed to its own user
/// counts for itself alone.
fn size(directory_fd: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy, depth: usize) -> u64 {
    let Ok(stat) = statat(directory_fd, name, AtFlags::SYMLINK_NOFOLLOW) else { return 0 };
    let own = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory || depth == DEEPEST {
        return own;
    }
    let Ok(opened) = openat(directory_fd, name, directory(), Mode::empty()) else { return own };
    let Ok(entries) = Dir::read_from(&opened) else { return own };
    let entries = entries.filter_map(Result::ok);
    let named = entries.filter(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."));
    named.fold(own, |sum, entry| sum.saturating_add(size(opened.as_fd(), entry.file_name(), depth + 1)))
}
