//! Ways through other processes, descriptors and memory that are shared with them.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};

use rustix::process::{Pid, test_kill_process};

use super::{Way, act, read, shell};
use crate::sys::attempt;

pub(super) const WAYS: &[Way] = &[
    act("see-outside", "a process outside, in /proc", |field| outside_is_seen(field.bystander)),
    act("signal-outside", "a signal to a process outside", |field| {
        outside_is_seen(field.bystander)?;
        let pid = Pid::from_raw(field.bystander).ok_or(io::ErrorKind::NotFound)?;
        Ok(test_kill_process(pid)?)
    }),
    read("memory-outside", "the environment of a process outside", |field| {
        outside_is_seen(field.bystander)?;
        fs::read(format!("/proc/{}/environ", field.bystander))
    }),
    read("ancestor-memory", "what every process above remembers, by /proc/PID/mem", |_| of_ancestors()),
    read("root-outside", "the root of a process outside", |field| {
        outside_is_seen(field.bystander)?;
        fs::read(format!("/proc/{}/root{}", field.bystander, field.outside_file.display()))
    }),
    read("descriptor", "a descriptor that was open when it began", |field| {
        fs::read(format!("/proc/self/fd/{}", field.descriptor))
    }),
    read("shared-memory", "a System V segment of the host", |field| {
        attempt::read_shared_memory(field.shared_memory)
    }),
    read("dev-shm", "a file in the host's /dev/shm", |field| fs::read(&field.dev_shm)),
    read("tmp", "a file in the host's /tmp", |field| fs::read(&field.tmp)),
    shell("working-directory", "a working directory kept from outside", "cat /proc/*/cwd/.env 2>/dev/null"),
    read("all-descriptors", "every file that any process holds open", |_| held_open()),
];

/// It is the one we mean only if its name is; a pid may be another process's inside.
fn outside_is_seen(pid: i32) -> io::Result<()> {
    let command = fs::read(format!("/proc/{pid}/cmdline"))?;
    if command.starts_with(b"sleep") { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Heap and stack of each that can be read.
fn of_ancestors() -> io::Result<Vec<u8>> {
    const MOST: u64 = 16 << 20;
    let mut all = Vec::new();
    let mut pid = std::os::unix::process::parent_id();
    while pid > 0 {
        let process = format!("/proc/{pid}");
        if let (Ok(maps), Ok(mut memory)) =
            (fs::read_to_string(format!("{process}/maps")), fs::File::open(format!("{process}/mem")))
        {
            for line in maps.lines().filter(|line| line.ends_with("[heap]") || line.ends_with("[stack]")) {
                let ends = line.split(' ').next().and_then(|range| range.split_once('-'));
                let number = |digits| u64::from_str_radix(digits, 16).unwrap_or(0);
                let (from, to) = ends.map_or((0, 0), |(from, to)| (number(from), number(to)));
                memory.seek(SeekFrom::Start(from))?;
                // What cannot be read of it ends it.
                let _ = (&memory).take((to - from).min(MOST)).read_to_end(&mut all);
            }
        }
        let status = fs::read_to_string(format!("{process}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
        pid = parent.unwrap_or(0);
    }
    Ok(all)
}

/// Files only: a read of a pipe may never end.
fn held_open() -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten().map(|entry| entry.path()) {
            if fs::metadata(&descriptor).is_ok_and(|status| status.is_file() && status.len() < 1 << 16) {
                all.extend(fs::read(&descriptor).unwrap_or_default());
                all.push(b'\n');
            }
        }
    }
    Ok(all)
}
