//! The answers of processors with AVX2: thirty-two bytes at a time, and one instruction that looks all of them up in a
//! table of sixteen.
//!
//! No caller can be without the feature: the functions here are only to be had from [`lanes`], which says so.

use core::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_set_epi64x, _mm256_set1_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
};

use super::{BLOCK, Candidates, Lanes, Masks, Threes};

const WIDTH: usize = 32;

/// How this processor answers. Who may call it, knows that it has AVX2, and so closures made here may use it.
#[target_feature(enable = "avx2")]
pub(crate) fn lanes() -> Lanes {
    Lanes {
        masks: |blocks, out| masks(blocks, out),
        next: Some(|threes, text, at, end| next(threes, text, at, end)),
    }
}

/// A set of ASCII characters: for each low half of a byte, a bit for each high half.
type Set = [u8; 16];

const WORD: Set = set(&[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')]);
const FIRST: Set = set(&[(b'0', b'9'), (b'A', b'Z'), (b'^', b'_'), (b'a', b'z'), (b'~', 0x7F)]);
const FORM: Set = set(&[(b'+', b':'), (b'=', b'='), (b'A', b'Z'), (b'^', b'_'), (b'a', b'z'), (b'~', 0x7F)]);
const VALUE: Set =
    set(&[(b'!', b'\''), (b'*', b'Z'), (b'\\', b'\\'), (b'^', b'z'), (b'|', b'|'), (b'~', 0x7F)]);
const DIGIT: Set = set(&[(b'0', b'9')]);
/// The bit of each high half. None has more than seven bits: it is no ASCII.
const HIGH: Set = [1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0];

const fn set(ranges: &[(u8, u8)]) -> Set {
    let (mut out, mut range) = ([0; 16], 0);
    while range < ranges.len() {
        let (mut byte, last) = ranges[range];
        while byte <= last {
            out[(byte & 15) as usize] |= 1 << (byte >> 4);
            byte += 1;
        }
        range += 1;
    }
    out
}

#[target_feature(enable = "avx2")]
fn masks(blocks: &[[u8; BLOCK]], out: &mut [Masks]) {
    let [form, word, first, value, digit] =
        [twice(FORM), twice(WORD), twice(FIRST), twice(VALUE), twice(DIGIT)];
    let high = twice(HIGH);
    for (block, out) in blocks.iter().zip(out) {
        let [low_half, high_half] = *block.as_chunks::<WIDTH>().0 else { continue };
        let halves = [load(&low_half), load(&high_half)];
        let bits = [look_up(high, high_halves(halves[0])), look_up(high, high_halves(halves[1]))];
        let mask = |set: __m256i| {
            let with =
                |half: usize| u64::from(without(_mm256_and_si256(look_up(set, halves[half]), bits[half])));
            !(with(0) | with(1) << WIDTH)
        };
        *out = Masks {
            form: mask(form),
            word: mask(word),
            first: mask(first),
            value: mask(value),
            digit: mask(digit),
        };
    }
}

#[target_feature(enable = "avx2")]
fn next(threes: &Threes, text: &[u8], mut at: usize, end: usize) -> Candidates {
    let low = [twice(threes.low[0]), twice(threes.low[1]), twice(threes.low[2])];
    let high = [twice(threes.high[0]), twice(threes.high[1]), twice(threes.high[2])];
    while at < end
        && let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk::<{ WIDTH + 2 }>)
    {
        let group = |place: usize| {
            let bytes = bytes[place..].first_chunk().map_or(_mm256_setzero_si256(), |bytes| load(bytes));
            _mm256_and_si256(look_up(low[place], bytes), look_up(high[place], high_halves(bytes)))
        };
        let all = _mm256_and_si256(_mm256_and_si256(group(0), group(1)), group(2));
        let beyond = u32::MAX.checked_shl((end - at) as u32).unwrap_or(0);
        let places = !without(all) & !beyond;
        if places != 0 {
            return Candidates { at, places };
        }
        at += WIDTH;
    }
    Candidates { at: at.min(end), places: 0 }
}

/// Of each byte what the table has for its low half; nothing where its highest bit is set.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(table: __m256i, bytes: __m256i) -> __m256i {
    _mm256_shuffle_epi8(table, bytes)
}

#[inline]
#[target_feature(enable = "avx2")]
fn high_halves(bytes: __m256i) -> __m256i {
    _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15))
}

/// A bit for each byte that is zero.
#[inline]
#[target_feature(enable = "avx2")]
fn without(bytes: __m256i) -> u32 {
    _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())).cast_unsigned()
}

/// One instruction, though it reads as four: there is no other form without a pointer.
#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; WIDTH]) -> __m256i {
    let word = |at: usize| bytes[at..].first_chunk().map_or(0, |eight| i64::from_le_bytes(*eight));
    _mm256_set_epi64x(word(24), word(16), word(8), word(0))
}

/// The same table for both halves of a register.
#[inline]
#[target_feature(enable = "avx2")]
fn twice(table: Set) -> __m256i {
    let word = |at: usize| table[at..].first_chunk().map_or(0, |eight| i64::from_le_bytes(*eight));
    _mm256_set_epi64x(word(8), word(0), word(8), word(0))
}
