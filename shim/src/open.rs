//! The `open` family: notes what is masked, refuses what is blocked where no mask of the kernel's does,
//! forwards everything else.

use libc::{AT_FDCWD, DIR, FILE, O_ACCMODE, O_CREAT, O_DIRECTORY, O_PATH, O_TRUNC, O_WRONLY, c_char, mode_t};
use redhook::hook;
use shieldrun_abi::record::{Kind, REFUSED};
use shieldrun_abi::table::{Place, Treatment};

use crate::real::{self, Text};
use crate::{path, say, state, text};

/// What is to be done with a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Forward,
    Refuse,
}

/// Forwards to a real function, or fails as it would.
macro_rules! guard {
    ($failed:expr, $verdict:expr, $real:ident($($argument:expr),*)) => {
        match (real::$real.get(), $verdict) {
            (Some(real), Verdict::Forward) => {
                // SAFETY: the program's own arguments, in the function's own order.
                unsafe { real($($argument),*) }
            }
            (Some(_), Verdict::Refuse) => {
                real::fail_with(libc::EACCES);
                $failed
            }
            (None, _) => {
                real::fail_with(libc::ENOSYS);
                $failed
            }
        }
    };
}

// `open` and `openat` are variadic. On x86-64 and AArch64 a variadic integer comes in the register where the third
// or fourth argument would, and passing on one that was not given is harmless: it is read with O_CREAT only.

hook! {
    unsafe fn open(path: *const c_char, flags: i32, mode: mode_t) -> i32 => guard_open {
        guard!(-1, judge(AT_FDCWD, path, flags), OPEN(path, flags, mode))
    }
}

hook! {
    unsafe fn open64(path: *const c_char, flags: i32, mode: mode_t) -> i32 => guard_open64 {
        guard!(-1, judge(AT_FDCWD, path, flags), OPEN64(path, flags, mode))
    }
}

hook! {
    unsafe fn openat(at: i32, path: *const c_char, flags: i32, mode: mode_t) -> i32 => guard_openat {
        guard!(-1, judge(at, path, flags), OPENAT(at, path, flags, mode))
    }
}

hook! {
    unsafe fn openat64(at: i32, path: *const c_char, flags: i32, mode: mode_t) -> i32 => guard_openat64 {
        guard!(-1, judge(at, path, flags), OPENAT64(at, path, flags, mode))
    }
}

hook! {
    unsafe fn __open_2(path: *const c_char, flags: i32) -> i32 => guard_open_2 {
        guard!(-1, judge(AT_FDCWD, path, flags), OPEN_2(path, flags))
    }
}

hook! {
    unsafe fn __open64_2(path: *const c_char, flags: i32) -> i32 => guard_open64_2 {
        guard!(-1, judge(AT_FDCWD, path, flags), OPEN64_2(path, flags))
    }
}

hook! {
    unsafe fn __openat_2(at: i32, path: *const c_char, flags: i32) -> i32 => guard_openat_2 {
        guard!(-1, judge(at, path, flags), OPENAT_2(at, path, flags))
    }
}

hook! {
    unsafe fn __openat64_2(at: i32, path: *const c_char, flags: i32) -> i32 => guard_openat64_2 {
        guard!(-1, judge(at, path, flags), OPENAT64_2(at, path, flags))
    }
}

hook! {
    unsafe fn creat(path: *const c_char, mode: mode_t) -> i32 => guard_creat {
        guard!(-1, judge(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC), CREAT(path, mode))
    }
}

hook! {
    unsafe fn creat64(path: *const c_char, mode: mode_t) -> i32 => guard_creat64 {
        guard!(-1, judge(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC), CREAT64(path, mode))
    }
}

hook! {
    unsafe fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE => guard_fopen {
        guard!(core::ptr::null_mut(), judge(AT_FDCWD, path, stream_flags(mode)), FOPEN(path, mode))
    }
}

hook! {
    unsafe fn fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE => guard_fopen64 {
        guard!(core::ptr::null_mut(), judge(AT_FDCWD, path, stream_flags(mode)), FOPEN64(path, mode))
    }
}

// A `freopen` that fails has closed the stream. So a refusal is a real call that must fail: no file has an empty name.

hook! {
    unsafe fn freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE => guard_freopen {
        let verdict = judge(AT_FDCWD, path, stream_flags(mode));
        let path = if verdict == Verdict::Refuse { c"".as_ptr() } else { path };
        let reopened = guard!(core::ptr::null_mut(), Verdict::Forward, FREOPEN(path, mode, stream));
        if verdict == Verdict::Refuse { real::fail_with(libc::EACCES); }
        reopened
    }
}

hook! {
    unsafe fn freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE => guard_freopen64 {
        let verdict = judge(AT_FDCWD, path, stream_flags(mode));
        let path = if verdict == Verdict::Refuse { c"".as_ptr() } else { path };
        let reopened = guard!(core::ptr::null_mut(), Verdict::Forward, FREOPEN64(path, mode, stream));
        if verdict == Verdict::Refuse { real::fail_with(libc::EACCES); }
        reopened
    }
}

hook! {
    unsafe fn opendir(path: *const c_char) -> *mut DIR => guard_opendir {
        guard!(core::ptr::null_mut(), judge(AT_FDCWD, path, O_DIRECTORY), OPENDIR(path))
    }
}

/// The open flags that matter here, from a stream's mode.
fn stream_flags(mode: Text) -> i32 {
    // SAFETY: the program's own argument.
    let mode = unsafe { text::bytes(mode, 16) }.unwrap_or_default();
    match mode.first() {
        Some(b'w' | b'a') if !mode.contains(&b'+') => O_WRONLY,
        _ => 0,
    }
}

#[inline(always)]
fn judge(at: i32, path: Text, flags: i32) -> Verdict {
    let Some(table) = state::get().and_then(|state| state.table.as_ref()) else { return Verdict::Forward };
    // SAFETY: the program's own argument.
    match unsafe { path::masked(table, at, path, flags) } {
        Some(place) => touch(place, path, flags),
        None => Verdict::Forward,
    }
}

#[cold]
fn touch(place: Place, path: Text, flags: i32) -> Verdict {
    // Nothing can be read through such a descriptor.
    if flags & O_PATH != 0 {
        return Verdict::Forward;
    }
    // SAFETY: the program's own argument, which `masked` has read to its end.
    let path = unsafe { text::bytes(path, 4096) }.unwrap_or_default();
    let listed = flags & O_DIRECTORY != 0;
    match place.treatment {
        Treatment::Block if listed => say::folded(Kind::DirListed, place.index, REFUSED, path),
        Treatment::Block => say::folded(Kind::FileDenied, place.index, 0, path),
        Treatment::Synthetic if listed => say::folded(Kind::DirListed, place.index, 0, path),
        Treatment::Synthetic if flags & O_ACCMODE == O_WRONLY => {}
        Treatment::Synthetic => say::folded(Kind::FileRead, place.index, 0, path),
    }
    match place.treatment {
        // A mask of the kernel's refuses too, and then it is a fact and not only what we say.
        Treatment::Block if place.walled => Verdict::Forward,
        Treatment::Block => Verdict::Refuse,
        Treatment::Synthetic => Verdict::Forward,
    }
}
