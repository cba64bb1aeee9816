//! What the host looks like from outside a run: trees, processes, mounts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Everything below `root`: kind and mode, size, times, inode, links, target. Access times are left
/// out, since the fixture's own checks change them.
pub(crate) fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("stat {path:?}: {error}"));
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        let target = fs::read_link(&path).unwrap_or_default();
        let line = format!(
            "mode {:o} size {} inode {} links {} owner {}:{} modified {}.{:09} changed {}.{:09} -> {target:?}",
            meta.mode(),
            meta.size(),
            meta.ino(),
            meta.nlink(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        );
        found.insert(path, line);
    }
    found
}

/// What differs between two listings, in words.
pub(crate) fn difference(
    before: &BTreeMap<PathBuf, String>,
    after: &BTreeMap<PathBuf, String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (path, line) in before {
        match after.get(path) {
            None => found.push(format!("gone: {path:?}")),
            Some(other) if other != line => {
                found.push(format!("changed: {path:?}\n  was {line}\n  is  {other}"))
            }
            Some(_) => {}
        }
    }
    found
        .extend(after.keys().filter(|path| !before.contains_key(*path)).map(|path| format!("new: {path:?}")));
    found
}

/// All descendants of a process, itself left out.
pub(crate) fn descendants(of: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        processes().into_iter().filter_map(|pid| Some((pid, stat_field(pid, 1)?.parse().ok()?))).collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.remove(0);
    found
}

/// Those of a process's descendants that live in another pid namespace than ours.
pub(crate) fn inside(launcher: u32) -> Vec<u32> {
    let nested = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("NSpid:") && line.split_whitespace().count() > 2)
    };
    descendants(launcher).into_iter().filter(nested).collect()
}

/// Processes whose command line has this text in it.
pub(crate) fn running_with(text: &str) -> Vec<u32> {
    let own = std::process::id();
    processes()
        .into_iter()
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            memchr::memmem::find(&line, text.as_bytes()).is_some()
        })
        .collect()
}

/// Asks again for a while: the kernel ends processes a moment after their parent has gone.
pub(crate) fn soon(mut holds: impl FnMut() -> bool) -> bool {
    let limit = Instant::now() + Duration::from_secs(10);
    while Instant::now() < limit {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    holds()
}

/// The mounts that this process sees.
pub(crate) fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
    table.lines().map(str::to_owned).collect()
}

/// The memory of a process that can be read, area by area; `None` where it cannot be opened at all.
pub(crate) fn memory(pid: u32) -> Option<Vec<Vec<u8>>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut areas = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let Some((from, to)) = fields.next().and_then(|range| range.split_once('-')) else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else {
            continue;
        };
        if fields.next().is_some_and(|rights| rights.starts_with('r')) && !line.ends_with("[vvar]") {
            let mut area = vec![0; usize::try_from(to - from).unwrap_or(0)];
            // A page that cannot be read ends the area: what was read before it still counts.
            let mut filled = 0;
            while let Some(rest) = area.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match memory.read_at(rest, from + filled as u64) {
                    Ok(count) if count > 0 => filled += count,
                    _ => break,
                }
            }
            area.truncate(filled);
            areas.push(area);
        }
    }
    Some(areas)
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("list /proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A field of `/proc/PID/stat` after the name, counted from the state.
fn stat_field(pid: u32, at: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(at).map(str::to_owned)
}
