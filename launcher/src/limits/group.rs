//! Owns the control group of a run, where the host gives one: the kernel then keeps the limits that the policy
//! sets, for all of the run's processes together, between two looks of the watch.
//!
//! A group beside our own, of version 2 (cgroup-v2.rst of the kernel): our own holds processes already, and one
//! that does can give none of its controllers on. The set-up child is cloned into it; to move it there
//! afterwards would wait for every processor. Only for limits that somebody set: for those that are built in the
//! watch is enough, and costs no start anything.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, mkdirat, openat, statat, unlinkat};

use shieldrun_policy::plan::Bounds;
use shieldrun_policy::schema::Policy;

use super::{Reached, ceiling, is_built_in};

/// A run's group; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    parent: OwnedFd,
    name: String,
    directory: OwnedFd,
    memory: Option<u64>,
}

/// What a group of ours is called, before the run's id.
const PREFIX: &str = "shieldrun-";
/// An empty group that is as old as this was left by a launcher that was killed.
const LEFT: Duration = Duration::from_secs(60);
/// How long a process that was killed may take to be gone.
const LAST_BREATH: Duration = Duration::from_secs(2);

impl Group {
    /// A group that holds a run to the limits that somebody set. `None` where nobody set any, or where no group
    /// can be had: the watch and the rlimits are there all the same.
    pub(crate) fn of_run(policy: &Policy, bounds: &Bounds, run: &str) -> Option<Self> {
        let processes = bounds.processes.filter(|_| !is_built_in(policy, "limits.processes"));
        let memory = bounds.memory;
        if processes.is_none() && memory.is_none() {
            return None;
        }
        let parent = openat(CWD, parent()?, directory(), Mode::empty()).ok()?;
        let controllers = read(parent.as_fd(), "cgroup.subtree_control").ok()?;
        let has = |wanted| controllers.split_whitespace().any(|controller| controller == wanted);
        let processes = processes.filter(|_| has("pids"));
        let memory = memory.filter(|_| has("memory"));
        if processes.is_none() && memory.is_none() {
            return None;
        }
        sweep(parent.as_fd());
        let name = format!("{PREFIX}{run}");
        mkdirat(&parent, &name, Mode::from_raw_mode(0o755)).ok()?;
        let directory = match openat(&parent, &name, directory(), Mode::empty()) {
            Ok(directory) => directory,
            Err(_) => {
                let _ = unlinkat(&parent, &name, AtFlags::REMOVEDIR);
                return None;
            }
        };
        let group = Self { parent, name, directory, memory };
        // A little more than allowed: the watch says what was too much, and the kernel holds it until then.
        let most = [("pids.max", processes), ("memory.max", memory)];
        for (file, most) in most.iter().filter_map(|(file, most)| Some((file, (*most)?))) {
            group.write(file, &ceiling(most).to_string()).ok()?;
        }
        if memory.is_some() {
            // What is not there (no swap, an old kernel) cannot be filled either.
            let _ = group.write("memory.swap.max", "0");
            let _ = group.write("memory.oom.group", "1");
        }
        Some(group)
    }

    /// Whether the kernel killed the run because its memory was at its limit.
    pub(crate) fn ran_out(&self) -> Option<Reached> {
        let allowed = self.memory?;
        let events = read(self.directory.as_fd(), "memory.events").ok()?;
        let killed =
            events.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count != "0");
        killed.then_some(Reached { key: "limits.memory", allowed, used: ceiling(allowed) })
    }

    /// Waits until the kernel counts no process in it. A look at the file tells, and the next one is told of by poll(2).
    fn await_nobody(&self) -> io::Result<()> {
        let events =
            openat(&self.directory, "cgroup.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let until = Instant::now() + LAST_BREATH;
        loop {
            let mut text = [0; 256];
            let read = rustix::io::pread(&events, &mut text[..], 0)?;
            let mut lines = text.get(..read).unwrap_or_default().split(|byte| *byte == b'\n');
            if lines.any(|line| line == b"populated 0") {
                return Ok(());
            }
            let left = until.checked_duration_since(Instant::now()).ok_or(io::ErrorKind::TimedOut)?;
            let left = left.try_into().map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let file = openat(&self.directory, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, text.as_bytes())?;
        Ok(())
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR).is_ok() {
            return;
        }
        // Somebody is in it: init, when the run did not come about, and its end is still to come. A run that is
        // over has nobody; on a kernel that cannot kill a group, init ends by itself when its launcher's socket does.
        let _ = self.write("cgroup.kill", "1");
        let _ = self.await_nobody();
        // What is still there now is removed by a later run.
        let _ = unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
    }
}

/// Whether a run could have a group with these controllers.
///
/// # Errors
/// Why not, in a few words.
pub(crate) fn can_be_had() -> Result<String, &'static str> {
    let parent = parent().ok_or("version 1 only")?;
    let controllers = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
    let ours = rustix::fs::access(&parent, rustix::fs::Access::WRITE_OK).is_ok();
    let has = |wanted| controllers.split_whitespace().any(|controller| controller == wanted);
    if ours && has("memory") && has("pids") {
        return Ok(controllers.trim().to_owned());
    }
    Err("version 2 without memory and pids for us")
}

/// The group that ours would be made in.
fn parent() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    beside(&own, &mounts)
}

/// The same, from what cgroups(7) and proc_pid_mountinfo(5) say is in those files.
fn beside(own: &str, mounts: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    // Outside of what this namespace shows.
    if own.split('/').any(|part| part == "..") {
        return None;
    }
    let (root, at) = mounts.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut fields = front.split(' ');
        let (root, at) = (fields.nth(3)?, fields.next()?);
        // A path with escapes is nobody's control group.
        (back.starts_with("cgroup2 ") && !front.contains('\\')).then_some((root, at))
    })?;
    let beneath = Path::new(own).strip_prefix(root).ok()?;
    let own = Path::new(at).join(beneath);
    // The first of all has no other beside it, and may hold processes and others at once.
    Some(if beneath.as_os_str().is_empty() { own } else { own.parent()?.to_path_buf() })
}

/// Removes what launchers that were killed left behind. One that is in use cannot be removed.
fn sweep(parent: BorrowedFd<'_>) {
    let Ok(entries) = Dir::read_from(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let old = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
            let made = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.unsigned_abs());
            made.elapsed().is_ok_and(|age| age >= LEFT)
        });
        if old {
            let _ = unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn read(directory: BorrowedFd<'_>, file: &str) -> io::Result<String> {
    let file = openat(directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    fs::File::from(file).take(4096).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_group_is_made_beside_our_own() {
        let slice = "/user.slice/user-1000.slice/user@1000.service/app.slice";
        let own = format!("12:pids:/\n0::{slice}/terminal.scope\n");
        let expected = PathBuf::from(format!("/sys/fs/cgroup{slice}"));
        assert_eq!(beside(&own, MOUNTS), Some(expected));
        assert_eq!(beside("0::/\n", MOUNTS), Some(PathBuf::from("/sys/fs/cgroup")));
    }

    #[test]
    fn a_part_of_the_tree_may_be_all_that_is_mounted() {
        let mounts = "30 22 0:26 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(beside("0::/box/a/b\n", mounts), Some(PathBuf::from("/sys/fs/cgroup/a")));
        assert_eq!(beside("0::/box\n", mounts), Some(PathBuf::from("/sys/fs/cgroup")));
        assert_eq!(beside("0::/elsewhere\n", mounts), None);
    }

    #[test]
    fn what_is_no_group_of_version_2_is_none() {
        for (own, mounts) in [
            ("4:memory:/a\n", MOUNTS),
            ("", MOUNTS),
            ("0::/../..\n", MOUNTS),
            ("0::/a\n", "22 1 254:0 / / rw - ext4 /dev/vda rw\n"),
            ("0::/a\n", "30 22 0:26\n"),
            ("0::/a\n", "30 22 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw"),
        ] {
            assert_eq!(beside(own, mounts), None, "{own:?} {mounts:?}");
        }
    }

    /// Needs a hierarchy of version 2 that may be written: root has one wherever the kernel does.
    #[test]
    fn a_group_with_somebody_in_it_is_gone_when_it_is_dropped() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
        let mounted = mounts.lines().find_map(|line| {
            let (front, back) = line.split_once(" - ")?;
            back.starts_with("cgroup2 ").then(|| front.split(' ').nth(4))?
        });
        let name = format!("{PREFIX}test-{}", std::process::id());
        let made = mounted.and_then(|at| {
            let parent = openat(CWD, at, directory(), Mode::empty()).ok()?;
            mkdirat(&parent, &name, Mode::from_raw_mode(0o755)).ok()?;
            let directory = openat(&parent, &name, directory(), Mode::empty()).expect("a new group");
            let group = Group { parent, name: name.clone(), directory, memory: None };
            Some((Path::new(at).join(&name), group))
        });
        let Some((at, group)) = made else {
            // An ordinary user has none unless the host gives one away.
            let must = std::env::var_os("CI").is_some() && rustix::process::geteuid().is_root();
            assert!(!must, "no control group of version 2 can be made here, and in CI nothing is skipped");
            eprintln!("skipped: no control group of version 2 can be made here");
            return;
        };
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("start sleep");
        group.write("cgroup.procs", &child.id().to_string()).expect("put it into the group");
        drop(group);
        assert!(!at.exists(), "the group is left");
        let ended = child.wait().expect("wait for it");
        assert!(!ended.success(), "it was killed");
    }
}
