//! Owns the list of ways out. Each is one line: a name, what it tries, and how.

mod environment;
mod files;
mod home;
mod kernel;
mod network;
mod processes;
mod writes;

use std::io;
use std::path::PathBuf;

use super::field::Field;

/// One way.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) attempt: Attempt,
}

/// How it is tried.
#[derive(Debug)]
pub(super) enum Attempt {
    /// Bytes that may hold a planted secret.
    Read(fn(&Field) -> io::Result<Vec<u8>>),
    /// The same by programs of the host; the working directory is the planted project.
    Shell(&'static str),
    /// Something that must not be possible.
    Do(fn(&Field) -> io::Result<()>),
    /// Something that must not reach the host: `target` there must stay as it is.
    Write { script: &'static str, target: fn(&Field) -> PathBuf },
}

/// What belongs together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) ways: &'static [Way],
}

pub(super) const GROUPS: &[Group] = &[
    Group { name: "environment", ways: environment::WAYS },
    Group { name: "project files", ways: files::WAYS },
    Group { name: "home", ways: home::WAYS },
    Group { name: "processes", ways: processes::WAYS },
    Group { name: "network", ways: network::WAYS },
    Group { name: "kernel", ways: kernel::WAYS },
    Group { name: "writes", ways: writes::WAYS },
];

/// All of them, in order.
pub(super) fn all() -> impl Iterator<Item = &'static Way> {
    GROUPS.iter().flat_map(|group| group.ways)
}

/// The group of a way.
pub(super) fn group_of(way: &Way) -> &'static str {
    GROUPS
        .iter()
        .find(|group| group.ways.iter().any(|own| own.name == way.name))
        .map_or("", |group| group.name)
}

const fn read(name: &'static str, what: &'static str, attempt: fn(&Field) -> io::Result<Vec<u8>>) -> Way {
    Way { name, what, attempt: Attempt::Read(attempt) }
}

const fn shell(name: &'static str, what: &'static str, script: &'static str) -> Way {
    Way { name, what, attempt: Attempt::Shell(script) }
}

const fn act(name: &'static str, what: &'static str, attempt: fn(&Field) -> io::Result<()>) -> Way {
    Way { name, what, attempt: Attempt::Do(attempt) }
}

const fn write(
    name: &'static str,
    what: &'static str,
    script: &'static str,
    target: fn(&Field) -> PathBuf,
) -> Way {
    Way { name, what, attempt: Attempt::Write { script, target } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_many_and_no_name_is_used_twice() {
        let mut names: Vec<_> = all().map(|way| way.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count >= 80, "{count}");
    }
}
