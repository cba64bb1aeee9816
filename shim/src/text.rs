//! C strings as slices, without taking more of them than asked for.

/// The bytes of a C string, at most `limit`; `None` for a null pointer or one into the first page.
///
/// # Safety
/// `text` is a C string that outlives the slice, or one of the pointers that give `None`.
pub(crate) unsafe fn bytes<'a>(text: *const libc::c_char, limit: usize) -> Option<&'a [u8]> {
    if text.addr() < 4096 {
        return None;
    }
    // SAFETY: the caller's string; reading stops at its NUL or at the limit.
    let length = unsafe { libc::strnlen(text, limit) };
    // SAFETY: `length` bytes before the NUL were just seen to be there.
    Some(unsafe { core::slice::from_raw_parts(text.cast(), length) })
}
