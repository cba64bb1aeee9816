//! The first look at any text: where characters of a credential stand together for long enough. Most text is
//! spaces, short words and signs, and is not looked at again.
//!
//! Decides nothing: each stretch it points at is a place where a credential could be, and outside of them there
//! is none that anything here would find. Sixty-four bytes at a time become three masks, a bit a byte.

use core::ops::Range;

use wide::{i8x16, u8x16};

/// What could be in a stretch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stretch {
    /// A known form, or a token: twelve characters or more of those that forms begin with.
    Form,
    /// A name, and the value that it is of: a value of sixteen characters or more with a digit among them ends here.
    Value,
}

/// No known form and no token is shorter, and so many at the beginning of each are of the first mask.
const FORM: u32 = 12;
/// No value of a name is taken for a secret that is shorter.
const VALUE: u32 = 16;
const BLOCK: usize = 64;
/// The longest name that is read, and the character that ends it.
const NAME: usize = 81;
/// From the beginning of a name to a digit of its value: the longest value, the name, and what is between.
const REACH: usize = 704;

/// For each byte of a block one bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Masks {
    /// Letters, digits, `_-+/=.:~` and some that do no harm.
    form: u64,
    /// What is visible, but for brackets.
    value: u64,
    digit: u64,
}

/// Calls `each` with every stretch; those of one sort come left to right, and may overlap.
pub(crate) fn stretches(text: &[u8], mut each: impl FnMut(Stretch, Range<usize>)) {
    let (mut forms, mut values) = (Lane::default(), Lane::default());
    let mut digits_before = 0;
    // Where the stretch of a value that goes on begins, and, once that was of interest, the names before it.
    let (mut start, mut names_from) = (0, None);
    for (number, bytes) in text.chunks(BLOCK).enumerate() {
        let base = number * BLOCK;
        let masks = match bytes.first_chunk() {
            Some(block) => masks(block),
            None => {
                let mut block = [0; BLOCK];
                block[..bytes.len()].copy_from_slice(bytes);
                masks(&block)
            }
        };
        for_each_run(forms.ends::<{ FORM - 8 }>(masks.form), |first, end| {
            each(Stretch::Form, base + first + 1 - FORM as usize..base + end);
        });
        let goes_on = values.goes_on;
        let ends = values.ends::<{ VALUE - 8 }>(masks.value);
        for_each_run(ends, |first, end| {
            let begins_before = VALUE as usize - 1;
            if first > 0 || !goes_on {
                (start, names_from) = (base + first - begins_before, None);
            }
            let here = masks.digit & (!0 >> (BLOCK - end)) & (!0 << first.saturating_sub(begins_before));
            // Of the block before, what the first end here can reach back to.
            let before =
                if first < begins_before { digits_before >> (BLOCK + first - begins_before) } else { 0 };
            if here | before == 0 {
                return;
            }
            let from = *names_from.get_or_insert_with(|| before_names(text, start));
            each(Stretch::Value, from.max(base.saturating_sub(REACH))..base + end);
        });
        digits_before = masks.digit;
    }
}

/// Where names begin whose value begins here: signs, spaces and quotes may be between.
fn before_names(text: &[u8], value: usize) -> usize {
    let between = |byte: &u8| b" \t=>:\"'`]".contains(byte);
    let gap = text[..value].iter().rev().take_while(|byte| between(byte)).count();
    (value - gap).saturating_sub(NAME)
}

/// Calls `each` with the first and behind the last of ones that stand together.
#[inline]
fn for_each_run(mut ones: u64, mut each: impl FnMut(usize, usize)) {
    while ones != 0 {
        let first = ones.trailing_zeros();
        let end = first + (!(ones >> first)).trailing_zeros();
        each(first as usize, end as usize);
        ones &= (!0_u64).checked_shl(end).unwrap_or(0);
    }
}

/// Masks of the block before: what ends here began there.
#[derive(Default)]
struct Lane {
    one: u64,
    two: u64,
    four: u64,
    eight: u64,
    /// Whether a run was open at the end.
    goes_on: bool,
}

impl Lane {
    /// A one wherever `8 + MORE` ones end.
    #[inline]
    fn ends<const MORE: u32>(&mut self, one: u64) -> u64 {
        let shifted = |now: u64, before: u64, by: u32| now << by | before >> (u64::BITS - by);
        let two = one & shifted(one, self.one, 1);
        let four = two & shifted(two, self.two, 2);
        let eight = four & shifted(four, self.four, 4);
        let ends = eight & shifted(eight, self.eight, MORE);
        *self = Self { one, two, four, eight, goes_on: ends >> (u64::BITS - 1) == 1 };
        ends
    }
}

#[inline]
fn masks(block: &[u8; BLOCK]) -> Masks {
    // Comparisons are signed, so a range is moved to the very bottom.
    let within = |bytes: i8x16, first: u8, last: u8| {
        (bytes + all(0x80_u8.wrapping_sub(first))).simd_lt(all(0x80 + (last - first) + 1))
    };
    let mut out = Masks::default();
    for (part, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
        let bytes = u8x16::new(*bytes).cast_signed();
        let folded = bytes | all(0x20);
        let square_or_curly = folded.simd_eq(all(b'{')) | folded.simd_eq(all(b'}'));
        let round = (bytes & all(0xFE)).simd_eq(all(b'('));
        let form = folded.simd_gt(all(0x60)) | within(bytes, b'+', b':') | bytes.simd_eq(all(b'='));
        let visible = bytes.simd_gt(all(b' '));
        let mask = |bytes: i8x16| u64::from(bytes.to_bitmask()) << (16 * part);
        out.form |= mask(form & !square_or_curly);
        out.value |= mask(visible & !(square_or_curly | round));
        out.digit |= mask(within(bytes, b'0', b'9'));
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
    use crate::kinds::{KINDS, Part};
    use alloc::vec::Vec;

    fn masks_of_each(block: &[u8; BLOCK]) -> Masks {
        let mut out = Masks::default();
        for (at, byte) in block.iter().enumerate() {
            let bracket = b"[]{}".contains(byte);
            let harmless = b"\\|^,\x7f".contains(byte);
            let form = byte.is_ascii_alphanumeric() || b"_-+/=.:~".contains(byte) || harmless;
            let value = (byte.is_ascii_graphic() || *byte == 0x7f) && !bracket && !b"()".contains(byte);
            out.form |= u64::from(form) << at;
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
            assert_eq!(masks(&block), masks_of_each(&block), "{block:?}");
        }
    }

    #[test]
    fn every_form_begins_with_enough_characters_of_the_first_mask() {
        let of_form = |text: &[u8]| {
            text.iter().all(|byte| {
                let mut block = [0; BLOCK];
                block[0] = *byte;
                masks(&block).form == 1
            })
        };
        for kind in KINDS.iter().filter(|kind| !kind.weak) {
            let prefixes = if kind.prefixes.is_empty() { &[""] } else { kind.prefixes };
            for prefix in prefixes {
                let mut shortest = Vec::from(prefix.rsplit(' ').next().unwrap_or("").as_bytes());
                for part in kind.parts {
                    match part {
                        Part::Lit(text) => shortest.extend_from_slice(text.as_bytes()),
                        Part::Any(words) => {
                            let word = words.iter().min_by_key(|word| word.len()).copied().unwrap_or("");
                            shortest.extend_from_slice(word.as_bytes());
                        }
                        Part::Body(set, min, _) | Part::Kept(set, min, _) => {
                            // Padding only ends what is longer.
                            let first = set.alphabet()[0];
                            assert!(of_form(set.alphabet()), "{}", kind.name);
                            shortest.extend(core::iter::repeat_n(first, usize::from(*min)));
                        }
                        Part::Sum(set, len) => {
                            shortest.extend(core::iter::repeat_n(set.alphabet()[0], usize::from(*len)));
                        }
                    }
                }
                let beginning = shortest.get(..FORM as usize);
                assert!(beginning.is_some_and(of_form), "{} is too short, or of other characters", kind.name);
            }
        }
    }

    #[test]
    fn a_stretch_is_met_wherever_it_lies() {
        for before in 0..150 {
            for length in 1..100 {
                let text =
                    [b" ".repeat(before), b"a".repeat(length - 1), b"1".to_vec(), b" ".repeat(70)].concat();
                let run = before..before + length;
                let met = |wanted: Stretch| {
                    let mut met: Option<Range<usize>> = None;
                    stretches(&text, |stretch, range| {
                        if stretch == wanted {
                            met = Some(met.as_ref().map_or(range.start, |met| met.start)..range.end);
                        }
                    });
                    met
                };
                let form = (length >= FORM as usize).then_some(run.clone());
                assert_eq!(met(Stretch::Form), form, "{before} {length}");
                // The name of a value begins before it, and spaces may be between.
                let value = (length >= VALUE as usize).then_some(0..run.end);
                assert_eq!(met(Stretch::Value), value, "{before} {length}");
            }
        }
    }

    #[test]
    fn without_a_digit_there_is_no_value() {
        for (last, wanted) in [("1", true), ("b", false)] {
            let text = ["password = ", &"a".repeat(100), last].concat();
            let mut met = false;
            stretches(text.as_bytes(), |stretch, _| met |= stretch == Stretch::Value);
            assert_eq!(met, wanted);
        }
    }
}
