//! Owns finding and executing the command: as `execvpe` does, without libc.

use crate::syscall::{call, nr};
use crate::{Strings, c_bytes};

const ENOENT: i32 = 2;
const ENOEXEC: i32 = 8;
const EACCES: i32 = 13;
const ENOTDIR: i32 = 20;
const PATH_LIMIT: usize = 4096;

/// `execvpe`: as a shell would find it, `PATH` of the new environment, a script without `#!` by `/bin/sh`.
pub fn execute(command: Strings, envp: Strings) -> i32 {
    // SAFETY: `command` has one entry at least (checked at the start), NUL-terminated by the kernel.
    let name = unsafe { c_bytes(*command) };
    if name.contains(&b'/') {
        return execute_at(name, command, envp);
    }
    if name.is_empty() {
        return ENOENT;
    }
    let path = find_variable(envp, b"PATH=").unwrap_or(b"/usr/local/bin:/bin:/usr/bin");
    let mut seen = ENOENT;
    let mut full = [0u8; PATH_LIMIT];
    for directory in path.split(|&byte| byte == b':') {
        let directory = if directory.is_empty() { b".".as_slice() } else { directory };
        let length = directory.len() + 1 + name.len();
        if length >= PATH_LIMIT {
            continue;
        }
        let mut at = 0;
        for &byte in directory.iter().chain(b"/").chain(name) {
            full[at] = byte;
            at += 1;
        }
        full[at] = 0;
        match execute_at(&full[..length], command, envp) {
            ENOENT | ENOTDIR => {}
            // Remembered: "permission denied" says more than "not found" if nothing else fits.
            EACCES => seen = EACCES,
            other => return other,
        }
    }
    seen
}

/// One attempt; `path` is followed by a NUL in memory.
fn execute_at(path: &[u8], command: Strings, envp: Strings) -> i32 {
    const SHELL: &core::ffi::CStr = c"/bin/sh";
    // SAFETY: path is NUL-terminated just past its end; both lists are the kernel's own, NULL-terminated.
    let errno =
        -unsafe { call(nr::EXECVE, [path.as_ptr() as usize, command as usize, envp as usize, 0, 0, 0]) }
            as i32;
    if errno != ENOEXEC {
        return errno;
    }
    // [sh, path, args…]: argv[0] of init lies just before the command, so the list has room for it.
    const ARGUMENTS: usize = 1024;
    let mut words = [core::ptr::null::<u8>(); ARGUMENTS];
    words[0] = SHELL.as_ptr().cast();
    words[1] = path.as_ptr();
    let mut index = 1;
    loop {
        // SAFETY: the list ends with NULL, and we stop there.
        let word = unsafe { *command.add(index) };
        if word.is_null() {
            break;
        }
        if index + 2 >= ARGUMENTS {
            return ENOEXEC;
        }
        words[index + 1] = word;
        index += 1;
    }
    // SAFETY: `words` is NULL-terminated: it was filled with NULL and one entry at least is left.
    -unsafe { call(nr::EXECVE, [SHELL.as_ptr() as usize, words.as_ptr() as usize, envp as usize, 0, 0, 0]) }
        as i32
}

fn find_variable(envp: Strings, prefix: &[u8]) -> Option<&'static [u8]> {
    let mut index = 0;
    loop {
        // SAFETY: the list ends with NULL, and we stop there.
        let entry = unsafe { *envp.add(index) };
        if entry.is_null() {
            return None;
        }
        // SAFETY: each entry is a NUL-terminated string on the initial stack, which is never freed.
        if let Some(value) = unsafe { c_bytes(entry) }.strip_prefix(prefix) {
            return Some(value);
        }
        index += 1;
    }
}
