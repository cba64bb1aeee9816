//! The `exec` family: notes what is started, and keeps the shim loaded in it.
//!
//! Every call runs with the environment it was given, or, if that lacks our entry, with a copy that has it
//! ([`preload::keep`]). `system` and `popen` take the environment from `environ`, which for the time of the call
//! is lent a list that has it ([`preload::keep_environ`]).

mod list;

use libc::{FILE, c_char, pid_t};
use redhook::hook;
use shieldrun_abi::record::Kind;

use crate::real::{self, Actions, Attributes, List, Text};
use crate::{path, preload, say, text};

/// Calls a real function with the environment as it should be, or fails as it would.
macro_rules! keeping {
    ($environment:expr, $real:ident, $kept:ident => ($($argument:expr),*)) => {
        match real::$real.get() {
            Some(real) => {
                // SAFETY: the program's own arguments; `keep` gives a list as good as the one it got.
                let exec = |$kept| unsafe { real($($argument),*) };
                // SAFETY: the program's own list.
                unsafe { preload::keep($environment, exec) }
            }
            None => missing(),
        }
    };
}

hook! {
    unsafe fn execve(path: *const c_char, arguments: List, environment: List) -> i32 => keep_execve {
        note(path);
        keeping!(environment, EXECVE, kept => (path, arguments, kept))
    }
}

hook! {
    unsafe fn execv(path: *const c_char, arguments: List) -> i32 => keep_execv {
        note(path);
        run(path, arguments)
    }
}

hook! {
    unsafe fn execvp(file: *const c_char, arguments: List) -> i32 => keep_execvp {
        note(file);
        run_found(file, arguments)
    }
}

hook! {
    unsafe fn execvpe(file: *const c_char, arguments: List, environment: List) -> i32 => keep_execvpe {
        note(file);
        keeping!(environment, EXECVPE, kept => (file, arguments, kept))
    }
}

hook! {
    unsafe fn execveat(
        at: i32, path: *const c_char, arguments: List, environment: List, flags: i32
    ) -> i32 => keep_execveat {
        // SAFETY: the program's own argument.
        match unsafe { text::bytes(path, 1) } {
            Some(b"") if flags & libc::AT_EMPTY_PATH != 0 => note_descriptor(at),
            _ => note(path),
        }
        keeping!(environment, EXECVEAT, kept => (at, path, arguments, kept, flags))
    }
}

hook! {
    unsafe fn fexecve(file: i32, arguments: List, environment: List) -> i32 => keep_fexecve {
        note_descriptor(file);
        keeping!(environment, FEXECVE, kept => (file, arguments, kept))
    }
}

hook! {
    unsafe fn posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: Actions, attributes: Attributes,
        arguments: List, environment: List
    ) -> i32 => keep_posix_spawn {
        note(path);
        if real::POSIX_SPAWN.get().is_none() { return libc::ENOSYS }
        keeping!(environment, POSIX_SPAWN, kept => (pid, path, actions, attributes, arguments, kept))
    }
}

hook! {
    unsafe fn posix_spawnp(
        pid: *mut pid_t, file: *const c_char, actions: Actions, attributes: Attributes,
        arguments: List, environment: List
    ) -> i32 => keep_posix_spawnp {
        note(file);
        if real::POSIX_SPAWNP.get().is_none() { return libc::ENOSYS }
        keeping!(environment, POSIX_SPAWNP, kept => (pid, file, actions, attributes, arguments, kept))
    }
}

hook! {
    unsafe fn system(command: *const c_char) -> i32 => note_system {
        note(SHELL.as_ptr());
        let Some(real) = real::SYSTEM.get() else { return missing() };
        // SAFETY: the program's own argument.
        preload::keep_environ(|| unsafe { real(command) })
    }
}

hook! {
    unsafe fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE => note_popen {
        note(SHELL.as_ptr());
        let Some(real) = real::POPEN.get() else { missing(); return core::ptr::null_mut() };
        // SAFETY: the program's own arguments.
        preload::keep_environ(|| unsafe { real(command, mode) })
    }
}

/// What glibc's `system` and `popen` start, `system` without a command too.
const SHELL: &core::ffi::CStr = c"/bin/sh";

/// `execv`: the real one while `environ` is whole.
fn run(path: Text, arguments: List) -> i32 {
    let environment = preload::environment();
    let (Some(short), Some(long)) = (real::EXECV.get(), real::EXECVE.get()) else { return missing() };
    let exec = |kept: List| {
        if kept == environment {
            // SAFETY: the program's own arguments.
            return unsafe { short(path, arguments) };
        }
        // SAFETY: as above; `keep` gives a list as good as the one it got.
        unsafe { long(path, arguments, kept) }
    };
    // SAFETY: libc's own list.
    unsafe { preload::keep(environment, exec) }
}

/// `execvp`: the real one while `environ` is whole.
fn run_found(file: Text, arguments: List) -> i32 {
    let environment = preload::environment();
    let (Some(short), Some(long)) = (real::EXECVP.get(), real::EXECVPE.get()) else { return missing() };
    let exec = |kept: List| {
        if kept == environment {
            // SAFETY: the program's own arguments.
            return unsafe { short(file, arguments) };
        }
        // SAFETY: as above; `keep` gives a list as good as the one it got.
        unsafe { long(file, arguments, kept) }
    };
    // SAFETY: libc's own list.
    unsafe { preload::keep(environment, exec) }
}

fn note(path: Text) {
    // SAFETY: the program's own argument.
    if let Some(path) = unsafe { text::bytes(path, 4096) } {
        say::once(Kind::Exec, path);
    }
}

fn note_descriptor(file: i32) {
    let mut buffer = [0; 4096];
    let path = usize::try_from(file).ok().and_then(|file| path::descriptor_path(file, &mut buffer));
    say::once(Kind::Exec, path.and_then(|length| buffer.get(..length)).unwrap_or_default());
}

#[cold]
fn missing() -> i32 {
    real::fail_with(libc::ENOSYS);
    -1
}
