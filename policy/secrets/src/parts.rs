//! Where a text that is too long to be held as a whole can be cut, so that its parts show what the whole would.

use memchr::{memrchr, memrchr_iter};

use crate::{pem, url};

/// Of a line without an end: so many places are tried, and words up to so long are gone back through.
const LINE_CUTS: usize = 16;
const LONGEST_WORD: usize = 4096;

/// How much of the beginning of a text that goes on can be looked at by itself: [`detect`](crate::detect) finds in the
/// parts what it finds in the whole. `None` where that cannot be said, as in the middle of an armoured key.
///
/// ```
/// use shieldrun_secrets::separable;
/// assert_eq!(separable(b"first line\nsecond li"), Some(11));
/// assert_eq!(separable(b"-----BEGIN PRIVATE KEY-----\nMC4C"), None);
/// ```
#[must_use]
pub fn separable(bytes: &[u8]) -> Option<usize> {
    let armour = pem::armour(bytes);
    let mut upto = armour.open.unwrap_or(bytes.len());
    loop {
        let end = last_end(&bytes[..upto])?;
        match armour.blocks.iter().find(|block| block.span.start < end && end < block.span.end) {
            Some(block) => upto = block.span.start,
            None => return Some(end),
        }
    }
}

/// Behind the last line; of a line that is longer than all this, behind a bracket. No form, name or value goes on there,
/// but a URL may.
fn last_end(bytes: &[u8]) -> Option<usize> {
    if let Some(end) = memrchr(b'\n', bytes) {
        return Some(end + 1);
    }
    let ends_url = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>".contains(byte);
    memrchr_iter(b'{', bytes).take(LINE_CUTS).map(|at| at + 1).find(|end| {
        let word = bytes[..*end].iter().rev().take(LONGEST_WORD).position(ends_url);
        word.is_some_and(|length| url::find(&bytes[end - length..*end], b"://", 0).is_none())
    })
}
