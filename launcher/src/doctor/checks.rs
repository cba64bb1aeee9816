//! Owns the checks, in the order in which a run needs what they look for.

use std::fs;
use std::io;
use std::path::Path;

use rustix::system::uname;

use super::trial::{Scratch, Step, Trial};
use super::{Finding, Grade, profile};
use crate::host::Host;
use crate::spawn::Cause;
use crate::sys::{landlock, privileges};

/// `mount_setattr`, the newest thing that full isolation cannot do without.
const OLDEST: (u32, u32) = (5, 12);
/// The newest Landlock that this version makes use of.
const NEWEST_LANDLOCK: u32 = 7;

/// Each of them.
pub(super) fn all() -> Vec<Finding> {
    let runs = Host::look().ok().and_then(|host| host.runs().ok());
    let scratch = runs.as_deref().map(Scratch::beside);
    let trial = Trial::run(scratch.as_ref().and_then(|scratch| scratch.as_ref().ok()));
    let mut findings = vec![kernel(), namespaces(&trial), mounts(&trial), proc(&trial), loopback(&trial)];
    findings.push(records(runs.as_deref(), scratch.as_ref()));
    findings.extend([overlay(&trial), fuse(&trial), filter(), notification(), landlock_here(), cgroup()]);
    findings.extend(app_armor());
    findings.push(yama());
    findings
}

fn kernel() -> Finding {
    let release = uname().release().to_string_lossy().into_owned();
    let name = "kernel";
    match version(&release) {
        Some(version) if version >= OLDEST => Finding::good(name, release),
        Some(_) => Finding::bad(name, release, "full isolation needs Linux 5.12 or newer"),
        None => Finding::less(name, release, "a version that nobody can compare"),
    }
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|byte: char| !byte.is_ascii_digit()).map(|digits| digits.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn namespaces(trial: &Trial) -> Finding {
    let name = "user namespaces";
    match (trial.of(Step::Namespaces), trial.of(Step::Identity)) {
        (Some(Ok(())), Some(Ok(()))) => Finding::good(name, "user, mount, pid, net, ipc and uts"),
        (Some(Err(error)), _) | (_, Some(Err(error))) => {
            let cause = Cause::of_refusal();
            let mut remedy = cause.remedy().to_owned();
            if cause == Cause::AppArmor
                && let Ok(executable) = std::env::current_exe()
            {
                remedy = format!("{remedy}\n{}", profile::for_program(&executable));
            }
            Finding::bad(name, format!("{}: {}", words(error), cause.words()), remedy)
        }
        _ => Finding::bad(name, "the trial ended without a word", Cause::Unknown.remedy()),
    }
}

fn mounts(trial: &Trial) -> Finding {
    let name = "mounts";
    match (trial.of(Step::Mounts), trial.of(Step::Tmpfs)) {
        (Some(Ok(())), Some(Ok(()))) => Finding::good(name, "may be made in a namespace"),
        (Some(Err(error)), _) | (_, Some(Err(error))) => {
            let cause = Cause::of_refusal();
            Finding::bad(name, format!("{}: {}", words(error), cause.words()), cause.remedy())
        }
        _ => not_reached(name),
    }
}

fn proc(trial: &Trial) -> Finding {
    let name = "fresh /proc";
    match trial.of(Step::Proc) {
        Some(Ok(())) => Finding::good(name, "may be mounted"),
        Some(Err(error)) => {
            let cause = Cause::CoveredProc;
            Finding::bad(name, format!("{}: {}", words(error), cause.words()), cause.remedy())
        }
        None => not_reached(name),
    }
}

fn loopback(trial: &Trial) -> Finding {
    let name = "loopback";
    match trial.of(Step::Loopback) {
        Some(Ok(())) => Finding::good(name, "comes up in a network namespace"),
        Some(Err(error)) => Finding::bad(name, words(error), "a security module forbids it"),
        None => not_reached(name),
    }
}

fn records(runs: Option<&Path>, scratch: Option<&io::Result<Scratch>>) -> Finding {
    let name = "run records";
    match (runs, scratch) {
        (Some(runs), Some(Ok(_))) => Finding::good(name, runs.display().to_string()),
        (Some(runs), Some(Err(error))) => Finding::bad(
            name,
            format!("`{}`: {}", runs.display(), words(error)),
            "make it writable for you, or set XDG_STATE_HOME to a directory that is",
        ),
        _ => Finding::bad(name, "no HOME, no XDG_STATE_HOME", "set one of the two"),
    }
}

fn overlay(trial: &Trial) -> Finding {
    let name = "overlay";
    match trial.of(Step::Overlay) {
        Some(Ok(())) => Finding::good(name, "the file system of the run records can be an upper layer"),
        Some(Err(error)) => Finding::less(
            name,
            format!("{}, with its upper layer beside the run records", words(error)),
            "writes are then kept in memory, or use `--writes direct`; \
             an upper layer cannot be on an overlay itself (a container's root), nor on NFS: \
             set XDG_STATE_HOME to a local ext4, xfs, btrfs or tmpfs",
        ),
        None => not_reached(name),
    }
}

fn fuse(trial: &Trial) -> Finding {
    let name = "tripwires (FUSE)";
    let remedy = "without it masks hold all the same, but an attempt by a static program has no name on record; \
                  `chmod 0666 /dev/fuse` as root is what distributions do";
    match trial.of(Step::Fuse) {
        Some(Ok(())) => Finding::good(name, "may be mounted in a namespace"),
        Some(Err(error)) => Finding::less(name, format!("/dev/fuse: {}", words(error)), remedy),
        None => not_reached(name),
    }
}

fn filter() -> Finding {
    let name = "system call filter";
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.split_whitespace().any(|action| action == "errno") => {
            Finding::good(name, "seccomp")
        }
        _ => Finding::bad(name, "no seccomp", "this kernel was built without CONFIG_SECCOMP_FILTER"),
    }
}

fn notification() -> Finding {
    let name = "system call notification";
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.split_whitespace().any(|action| action == "user_notif") => {
            Finding::good(name, "execs and connects are facts")
        }
        _ => Finding::less(
            name,
            "no seccomp user notification",
            "what is executed is then known by the shim's claims alone; Linux 5.0 has it",
        ),
    }
}

fn landlock_here() -> Finding {
    let name = "Landlock";
    match landlock::abi() {
        Some(abi) if abi >= NEWEST_LANDLOCK => Finding::good(name, format!("ABI {abi}")),
        Some(abi) => Finding::less(
            name,
            format!("ABI {abi}"),
            format!("the second wall has what ABI {abi} gives; Linux 6.15 has ABI {NEWEST_LANDLOCK}"),
        ),
        None => Finding::less(
            name,
            "not there",
            "the namespaces are then the only wall; boot with `lsm=landlock,…` on Linux 5.13 or newer",
        ),
    }
}

/// Limits by control group need version 2, and the right to make a group beside our own.
fn cgroup() -> Finding {
    let name = "control groups";
    let remedy = "limits are then kept by rlimits and a watch; \
                  `systemd-run --user --scope -p Delegate=yes shieldrun …` gives a group";
    match crate::limits::group_can_be_had() {
        Ok(controllers) => Finding::good(name, format!("a group beside our own: {controllers}")),
        Err(why) => Finding::less(name, why, remedy),
    }
}

fn app_armor() -> Option<Finding> {
    let name = "AppArmor";
    let restricts = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").ok()?;
    Some(if restricts.trim() == "1" {
        let executable = std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/shieldrun".into());
        // It is not bad by itself: root, or a profile, is let through; the trial above says which.
        Finding::less(name, "restricts unprivileged user namespaces", profile::for_program(&executable))
    } else {
        Finding::good(name, "does not restrict user namespaces")
    })
}

fn yama() -> Finding {
    let name = "memory of others";
    let hidden = privileges::hide_from_peers();
    match (hidden, fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")) {
        (Err(error), _) => {
            Finding::bad(name, words(&error), "the launcher cannot hide its memory from your other processes")
        }
        (Ok(()), Ok(scope)) => {
            Finding::good(name, format!("the launcher is not dumpable; yama ptrace_scope {}", scope.trim()))
        }
        (Ok(()), Err(_)) => Finding::good(name, "the launcher is not dumpable; no yama"),
    }
}

fn not_reached(name: &'static str) -> Finding {
    Finding { name, grade: Grade::Bad, seen: "not tried: it needs a namespace".to_owned(), remedy: None }
}

fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert_eq!(version("6.18.44-fc-v782"), Some((6, 18)));
        assert_eq!(version("5.4.0-150-generic"), Some((5, 4)));
        assert_eq!(version("weird"), None);
        assert!(version("5.4.0").is_some_and(|version| version < OLDEST));
    }
}
