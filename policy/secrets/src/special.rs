//! Secrets whose form is a code rather than a pattern: recovery phrases and card numbers.

use alloc::vec::Vec;

use once_cell::race::OnceBox;
use sha2::{Digest, Sha256};

use crate::checksum::{luhn, luhn_holds};
use crate::derive::Stream;

/// BIP 39's English words, sorted.
static TEXT: &str = include_str!("bip39.txt");
static WORDS: OnceBox<Vec<&'static str>> = OnceBox::new();

fn words() -> &'static [&'static str] {
    WORDS.get_or_init(|| alloc::boxed::Box::new(TEXT.lines().collect()))
}

/// Whether this is a recovery phrase: 12 to 24 words of the list.
pub(crate) fn is_phrase(value: &[u8]) -> bool {
    const SHORTEST: usize = 12 * 3 + 11;
    if value.len() < SHORTEST {
        return false;
    }
    let count = value.split(|b| *b == b' ').filter(|w| !w.is_empty()).count();
    if !(12..=24).contains(&count)
        || count % 3 != 0
        || !value.iter().all(|b| b.is_ascii_lowercase() || *b == b' ')
    {
        return false;
    }
    value
        .split(|b| *b == b' ')
        .filter(|w| !w.is_empty())
        .all(|word| core::str::from_utf8(word).is_ok_and(|word| words().binary_search(&word).is_ok()))
}

/// Another phrase of as many words, its checksum right.
pub(crate) fn phrase(stream: &mut Stream, real: &[u8]) -> Vec<u8> {
    let count = real.split(|b| *b == b' ').filter(|w| !w.is_empty()).count();
    // Three words are 33 bits: 32 of entropy and one of checksum.
    let mut bytes = stream.bytes(count / 3 * 4);
    let sum = Sha256::digest(&bytes)[0];
    bytes.push(sum);
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let chosen: Vec<&str> =
        (0..count).map(|w| words()[(0..11).fold(0, |n, b| n << 1 | bit(w * 11 + b))]).collect();
    chosen.join(" ").into_bytes()
}

/// Whether this is a card number: 13 to 19 digits, perhaps in groups, the last one right.
pub(crate) fn is_card(value: &[u8]) -> bool {
    if value.len() < 13 || !value.iter().all(|b| b.is_ascii_digit() || b" -".contains(b)) {
        return false;
    }
    let digits: Vec<u8> = value.iter().copied().filter(u8::is_ascii_digit).collect();
    (13..=19).contains(&digits.len()) && (b'3'..=b'6').contains(&digits[0]) && luhn_holds(&digits)
}

/// Another number of the same issuer, grouped alike.
pub(crate) fn card(stream: &mut Stream, real: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = real.iter().copied().filter(u8::is_ascii_digit).collect();
    let last = digits.len() - 1;
    digits[6..last].iter_mut().for_each(|d| *d = stream.pick(b"0123456789"));
    digits[last] = luhn(&digits[..last]);
    let mut next = digits.into_iter();
    real.iter().map(|b| if b.is_ascii_digit() { next.next().unwrap_or(*b) } else { *b }).collect()
}
