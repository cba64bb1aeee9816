//! What is asked of many bytes at once, by the means that a processor has.
//!
//! Owns the questions and the answer of any processor; `avx2` has that of those with wider registers. Both give the
//! same answers, and neither decides anything: `runs` and `sieve` do.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;

use wide::{i8x16, u8x16};

pub(crate) const BLOCK: usize = 64;

/// For each byte of a block one bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Masks {
    /// Letters, digits, `_-+/=.:~` and some that do no harm.
    pub(crate) form: u64,
    /// Letters and digits.
    pub(crate) word: u64,
    /// What a form or token begins with: letters, digits, `_` and some that do no harm. Rulers and paths have more of
    /// the others than of these.
    pub(crate) first: u64,
    /// What is visible, but for brackets.
    pub(crate) value: u64,
    pub(crate) digit: u64,
}

/// How a processor answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes {
    /// The masks of each block.
    pub(crate) masks: fn(&[[u8; BLOCK]], &mut [Masks]),
    /// Where three characters in a row could be of those of a sieve, if there is a faster way than its bitmaps.
    pub(crate) next: Option<Next>,
}

/// Looks at a text from one place to another.
type Next = fn(&Threes, &[u8], usize, usize) -> Candidates;

impl Lanes {
    /// Of any processor.
    pub(crate) const PLAIN: Self = Self { masks, next: None };
}

/// Of three characters in a row, by their halves: a bit is of a group of words, and is set for each of the three where
/// one of that group could be.
#[derive(Debug)]
pub(crate) struct Threes {
    pub(crate) low: [[u8; 16]; 3],
    pub(crate) high: [[u8; 16]; 3],
}

/// One bit for each place that is worth a look, of the 32 from `at`; or none, and no more than the end is behind `at`
/// that could be read.
pub(crate) struct Candidates {
    pub(crate) at: usize,
    pub(crate) places: u32,
}

fn masks(blocks: &[[u8; BLOCK]], out: &mut [Masks]) {
    for (block, out) in blocks.iter().zip(out) {
        *out = masks_of(block);
    }
}

#[inline]
fn masks_of(block: &[u8; BLOCK]) -> Masks {
    // Comparisons are signed, so a range is moved to the very bottom.
    let within = |bytes: i8x16, first: u8, last: u8| {
        (bytes + all(0x80_u8.wrapping_sub(first))).simd_lt(all(0x80 + (last - first) + 1))
    };
    let mut out = Masks::default();
    for (part, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
        let bytes = u8x16::new(*bytes).cast_signed();
        let folded = bytes | all(0x20);
        let digit = within(bytes, b'0', b'9');
        let word = within(folded, b'a', b'z') | digit;
        let first = word | folded.simd_gt(all(b'}'));
        let sign = within(bytes, b'+', b':') | bytes.simd_eq(all(b'='));
        let square_or_curly = folded.simd_eq(all(b'{')) | folded.simd_eq(all(b'}'));
        let round = (bytes & all(0xFE)).simd_eq(all(b'('));
        let visible = bytes.simd_gt(all(b' '));
        let mask = |bytes: i8x16| u64::from(bytes.to_bitmask()) << (16 * part);
        out.form |= mask(first | sign);
        out.word |= mask(word);
        out.first |= mask(first);
        out.value |= mask(visible & !(square_or_curly | round));
        out.digit |= mask(digit);
    }
    out
}

const fn all(byte: u8) -> i8x16 {
    i8x16::splat(byte as i8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::RunKey;

    fn masks_of_each(block: &[u8; BLOCK]) -> Masks {
        let mut out = Masks::default();
        for (at, byte) in block.iter().enumerate() {
            let bracket = b"[]{}".contains(byte);
            let harmless = b"^,\x7f".contains(byte);
            let first = byte.is_ascii_alphanumeric() || b"_^~\x7f".contains(byte);
            let form = byte.is_ascii_alphanumeric() || b"_-+/=.:~".contains(byte) || harmless;
            let value = (byte.is_ascii_graphic() || *byte == 0x7f) && !bracket && !b"()".contains(byte);
            out.form |= u64::from(form) << at;
            out.word |= u64::from(byte.is_ascii_alphanumeric()) << at;
            out.first |= u64::from(first) << at;
            out.value |= u64::from(value) << at;
            out.digit |= u64::from(byte.is_ascii_digit()) << at;
        }
        out
    }

    #[test]
    fn the_masks_of_a_block_are_those_of_its_bytes() {
        let mut stream = RunKey::from_bytes([5; 32]).keyed("masks", b"", 0);
        for round in 0..4_096 {
            let mut block = [b' '; BLOCK];
            if round < 256 {
                block[round % BLOCK] = round as u8;
            } else {
                stream.fill(&mut block);
            }
            assert_eq!(masks_of(&block), masks_of_each(&block), "{block:?}");
        }
    }
}
