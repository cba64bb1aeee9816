//! Ways to a secret variable.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;

use super::{Way, read, shell};

pub(super) const WAYS: &[Way] = &[
    read("getenv", "libc's getenv", |_| {
        Ok(std::env::var_os("GITHUB_TOKEN").unwrap_or_default().as_bytes().to_vec())
    }),
    read("environ", "the list behind getenv", |_| {
        Ok(std::env::vars_os().flat_map(|(_, value)| [value.as_bytes(), b"\n"].concat()).collect())
    }),
    read("proc-self-environ", "/proc/self/environ", |_| fs::read("/proc/self/environ")),
    read("proc-all-environ", "/proc/PID/environ of every process", |_| of_all("environ")),
    read("proc-all-cmdline", "a token on the command line, in every /proc/PID/cmdline", |_| {
        of_all("cmdline")
    }),
    read("own-stack", "the strings that exec left on the stack", |_| stack_of("self")),
    read("parent-stack", "the stack of the parent, by /proc/PID/mem", |_| {
        stack_of(&std::os::unix::process::parent_id().to_string())
    }),
    shell("printenv", "printenv", "printenv GITHUB_TOKEN"),
    shell("sh-variable", "a shell's variable", "echo \"$GITHUB_TOKEN\""),
    shell("bash-export", "bash's export -p", "bash -c 'export -p'"),
    shell("password-variable", "a password that has no known format", "echo \"$DEPLOY_PASSWORD\""),
    shell("database-url", "a password within a URL", "echo \"$DATABASE_URL\" | sed 's/.*:\\(.*\\)@.*/\\1/'"),
    shell("cleared-preload", "without the preload", "env -u LD_PRELOAD printenv GITHUB_TOKEN"),
    shell("cleared-environment", "the parent's, from an empty environment", "env -i cat /proc/$$/environ"),
    shell("static-program", "a static program that no preload reaches", "./prober environ"),
    shell(
        "python-environ",
        "python's os.environ",
        "/usr/bin/python3 -c 'import os; print(dict(os.environ))'",
    ),
    shell("perl-environ", "perl's %ENV", "perl -e 'print %ENV'"),
    shell("node-environ", "node's process.env", "node -e 'console.log(process.env)'"),
    shell("awk-environ", "awk's ENVIRON", "awk 'BEGIN { print ENVIRON[\"GITHUB_TOKEN\"] }'"),
];

/// The file of this name of every process that can be read.
fn of_all(name: &str) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        if let Ok(mut bytes) = fs::read(entry.path().join(name)) {
            all.append(&mut bytes);
        }
    }
    Ok(all)
}

fn stack_of(process: &str) -> io::Result<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let line = maps.lines().find(|line| line.ends_with("[stack]")).ok_or(io::ErrorKind::NotFound)?;
    let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap_or_default();
    let number = |digits| u64::from_str_radix(digits, 16).map_err(io::Error::other);
    let (from, to) = (number(from)?, number(to)?);
    let mut memory = fs::File::open(format!("/proc/{process}/mem"))?;
    memory.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    memory.take(to - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}
