//! The `getenv` family: who read which secret variable.

use libc::c_char;
use redhook::hook;
use shieldrun_abi::record::Kind;
use shieldrun_abi::table::{NAME_MAX, Table};

use crate::real::{GETENV, Real, SECURE_GETENV, Text};
use crate::{say, state, text};

type Getenv = unsafe extern "C" fn(Text) -> *mut c_char;

hook! {
    unsafe fn getenv(name: *const c_char) -> *mut c_char => note_getenv {
        // SAFETY: the program's own arguments.
        unsafe { read(&GETENV, name) }
    }
}

hook! {
    unsafe fn secure_getenv(name: *const c_char) -> *mut c_char => note_secure_getenv {
        // SAFETY: the program's own arguments.
        unsafe { read(&SECURE_GETENV, name) }
    }
}

// Only old programs ask for this name, and dlsym does not find it.
hook! {
    unsafe fn __secure_getenv(name: *const c_char) -> *mut c_char => note_old_secure_getenv {
        // SAFETY: the program's own arguments.
        unsafe { read(&SECURE_GETENV, name) }
    }
}

#[inline(always)]
unsafe fn read(real: &Real<Getenv>, name: Text) -> *mut c_char {
    let Some(real) = real.get() else { return core::ptr::null_mut() };
    // SAFETY: the program's own arguments.
    let value = unsafe { real(name) };
    // A variable that is not set is not read.
    if !value.is_null()
        && let Some(table) = state::get().and_then(|state| state.table.as_ref())
        // SAFETY: libc has just read the same name.
        && table.may_hold_variable(unsafe { head(name) })
    {
        // SAFETY: as above.
        unsafe { note(table, name) };
    }
    value
}

#[cold]
unsafe fn note(table: &Table<'_>, name: Text) {
    // SAFETY: the name that libc has just read.
    let name = unsafe { text::bytes(name, NAME_MAX + 1) };
    if let Some(index) = name.and_then(|name| table.variable(name)) {
        say::folded(Kind::EnvRead, index, 0, &[]);
    }
}

/// The first four bytes of a C string, zeros after its end.
#[inline(always)]
unsafe fn head(name: Text) -> [u8; 4] {
    let mut head = [0; 4];
    for (at, to) in head.iter_mut().enumerate() {
        // SAFETY: no NUL was met yet, so the string goes on.
        let byte = unsafe { name.add(at) };
        // SAFETY: as above.
        *to = unsafe { byte.cast::<u8>().read() };
        if *to == 0 {
            break;
        }
    }
    head
}
