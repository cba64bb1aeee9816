//! Whether a path is a masked one: a cheap look at its components first, the careful answer only after a hit.
//!
//! The careful answer is the kernel's: the path is opened for its name alone and `/proc` tells where it led. Where
//! that fails (nothing there, no `/proc`), the path is put together from its text. A relative path within a
//! masked directory, and a link of another name that leads to one, pass the cheap look: the kernel tier sees those.

use shieldrun_abi::hash;
use shieldrun_abi::table::{Place, Table};

use crate::kernel::{self, Descriptor};
use crate::real::Text;
use crate::text;

const PATH_MAX: usize = 4096;
const LINK: &[u8] = b"/proc/self/fd/";

/// The masked path that this one is or lies beneath.
///
/// # Safety
/// `path` is a C string, or a pointer that [`text::bytes`] gives `None` for.
#[inline]
pub(crate) unsafe fn masked(table: &Table<'_>, at: i32, path: Text, flags: i32) -> Option<Place> {
    // SAFETY: the caller's string.
    if unsafe { may_be_masked(table, path) } {
        // SAFETY: the caller's string.
        return unsafe { look(table, at, path, flags) };
    }
    None
}

#[inline]
unsafe fn may_be_masked(table: &Table<'_>, path: Text) -> bool {
    if path.addr() < 4096 {
        return false;
    }
    let mut at = path.cast::<u8>();
    let (mut first, mut second, mut last, mut length) = (0, 0, 0, 0_usize);
    loop {
        // SAFETY: no NUL was met yet, so the string goes on.
        let byte = unsafe { at.read() };
        if byte != b'/' && byte != 0 {
            match length {
                0 => first = byte,
                1 => second = byte,
                _ => {}
            }
            last = byte;
            length = length.wrapping_add(1);
        } else {
            if length != 0 && table.may_hold_component(hash::component_bit(first, second, last, length)) {
                return true;
            }
            if byte == 0 {
                return false;
            }
            (second, length) = (0, 0);
        }
        // SAFETY: that byte was no NUL, so there is another.
        at = unsafe { at.add(1) };
    }
}

#[cold]
#[inline(never)]
unsafe fn look(table: &Table<'_>, at: i32, path: Text, flags: i32) -> Option<Place> {
    let mut buffer = [0; PATH_MAX];
    // SAFETY: the caller's string.
    let named = unsafe { spelled(table, at, path, &mut buffer) };
    // The kernel's mask sees every look beneath it, so ours would be one attempt too many.
    if named.is_some_and(|place| place.walled) {
        return named;
    }
    // SAFETY: the caller's string.
    let there = unsafe { Descriptor::open(at, path.cast(), libc::O_PATH | flags & libc::O_NOFOLLOW) };
    if let Ok(there) = there
        && let Some(length) = descriptor_path(there.number(), &mut buffer)
    {
        return table.covering(buffer.get(..length)?);
    }
    named
}

/// The place of a path by its spelling alone: links in it are not followed.
unsafe fn spelled(table: &Table<'_>, at: i32, path: Text, buffer: &mut [u8; PATH_MAX]) -> Option<Place> {
    // SAFETY: the caller's string.
    let text = unsafe { text::bytes(path, PATH_MAX) }?;
    let mut length = 0;
    if !text.starts_with(b"/") {
        length = if at == libc::AT_FDCWD {
            kernel::working_directory(buffer).ok()?
        } else {
            descriptor_path(usize::try_from(at).ok()?, buffer)?
        };
    }
    for component in text.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                let here = buffer.get(..length)?;
                length = here.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            }
            name => {
                let end = length.checked_add(1)?.checked_add(name.len())?;
                let (slash, rest) = buffer.get_mut(length..end)?.split_first_mut()?;
                *slash = b'/';
                rest.copy_from_slice(name);
                length = end;
            }
        }
    }
    table.covering(buffer.get(..length)?)
}

/// Where a descriptor leads; `None` unless it is an absolute path that fits.
pub(crate) fn descriptor_path(number: usize, buffer: &mut [u8]) -> Option<usize> {
    // Filled from the end: a NUL, the digits, the directory.
    let mut link = [0; 40];
    let mut places = link.iter_mut().rev().skip(1);
    let mut rest = number;
    let mut length = LINK.len();
    loop {
        #[allow(clippy::cast_possible_truncation, reason = "a digit")]
        let digit = b'0' + (rest % 10) as u8;
        *places.next()? = digit;
        length = length.wrapping_add(1);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for byte in LINK.iter().rev() {
        *places.next()? = *byte;
    }
    let start = link.len().checked_sub(length)?.checked_sub(1)?;
    let link = link.get(start..)?;
    // SAFETY: the last byte of the link was left a NUL.
    let length = unsafe { kernel::read_link(link.as_ptr(), buffer) }.ok()?;
    (length < buffer.len() && buffer.first() == Some(&b'/')).then_some(length)
}
