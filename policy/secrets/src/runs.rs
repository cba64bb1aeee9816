//! The first look at any text: where characters of a credential stand together for long enough. Most text is
//! spaces, short words and signs, and is not looked at again.
//!
//! Decides nothing: each stretch it points at is a place where a credential could be, and outside of them there
//! is none that anything here would find. Sixty-four bytes at a time become three masks, a bit a byte.

use core::ops::Range;

use wide::{i8x16, u8x16};

/// Told where something could be; of one sort left to right, and stretches may overlap.
pub(crate) trait Watch {
    /// A known form or a token could begin here: with a letter, a digit or `_`, twelve characters of those that forms
    /// begin with, and the character before is no letter and no digit.
    fn start(&mut self, at: usize);
    /// A form without a beginning of its own: thirty-two of those characters or more.
    fn long(&mut self, stretch: Range<usize>);
    /// A name, and the value that it is of: a value of sixteen characters or more with a digit among them ends here.
    fn value(&mut self, stretch: Range<usize>);
}

/// No known form and no token is shorter, and so many at the beginning of each are of the first mask.
const FORM: usize = 12;
/// The same of those without a beginning of their own.
const LONG: usize = 32;
/// No value of a name is taken for a secret that is shorter.
const VALUE: usize = 16;
const BLOCK: usize = 64;
/// The longest name that is read, and the character that ends it.
const NAME: usize = 81;
/// From the beginning of a name to a digit of its value: the longest value, the name, and what is between but for
/// spaces and signs, of which there may be any number.
const REACH: usize = 704;

/// For each byte of a block one bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Masks {
    /// Letters, digits, `_-+/=.:~` and some that do no harm.
    form: u64,
    /// Letters and digits.
    word: u64,
    /// What a form or token begins with: letters, digits, `_` and some that do no harm. Rulers and paths have more of
    /// the others than of these.
    first: u64,
    /// What is visible, but for brackets.
    value: u64,
    digit: u64,
}

/// Looks at all of a text once.
#[inline]
pub(crate) fn go_through(text: &[u8], watch: &mut impl Watch) {
    let (mut before, mut forms, mut values) = (Masks::default(), Ends::default(), Ends::default());
    let mut starts_before = 0;
    // Where what may be a value begins that goes on from the block before, and where names begin that are of one.
    let (mut begins, mut names) = (0, (usize::MAX, 0));
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
        let ends = forms.then(masks.form);
        let twelve = ends.of_eight & shifted(ends.of_eight, forms.of_eight, FORM - 8);
        let starts = masks.first & !shifted(masks.word, before.word, 1);
        let mut seen = twelve & shifted(starts, starts_before, FORM - 1);
        while seen != 0 {
            watch.start(base + seen.trailing_zeros() as usize + 1 - FORM);
            seen &= seen - 1;
        }
        let long = ends.of_sixteen & shifted(ends.of_sixteen, forms.of_sixteen, LONG - 16);
        for_each_run(long, |first, end| watch.long(base + first + 1 - LONG..base + end));
        (forms, starts_before) = (ends, starts);

        let ends = values.then(masks.value);
        // The digits of the block before that are of what ends first in this one.
        let reaches_back = 65 - VALUE as u32 + ends.of_sixteen.trailing_zeros();
        let there = before.digit.checked_shr(reaches_back).unwrap_or(0);
        if masks.digit & sixteen_before(ends.of_sixteen) | there != 0 {
            for_each_run(ends.of_sixteen, |first, end| {
                let whole = first >= VALUE - 1;
                let begin = first.saturating_sub(VALUE - 1);
                let here = masks.digit & (!0 >> (BLOCK - end)) & (!0 << begin);
                if here == 0 && (whole || there == 0) {
                    return;
                }
                let start = if whole { base + begin } else { begins };
                if names.0 != start {
                    names = (start, before_names(text, start));
                }
                let floor = base.saturating_sub(REACH);
                let from = if names.1 < floor { names.1.max(before_names(text, floor)) } else { names.1 };
                watch.value(from..base + end);
            });
        }
        if masks.value != !0 {
            begins = base + BLOCK - (!masks.value).leading_zeros() as usize;
        }
        (before, values) = (masks, ends);
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

/// A one wherever so many ones end.
#[derive(Clone, Copy, Default)]
struct Ends {
    of_one: u64,
    of_two: u64,
    of_four: u64,
    of_eight: u64,
    of_sixteen: u64,
}

impl Ends {
    /// Those of the block behind this one.
    #[inline]
    fn then(&self, of_one: u64) -> Self {
        let of_two = of_one & shifted(of_one, self.of_one, 1);
        let of_four = of_two & shifted(of_two, self.of_two, 2);
        let of_eight = of_four & shifted(of_four, self.of_four, 4);
        let of_sixteen = of_eight & shifted(of_eight, self.of_eight, 8);
        Self { of_one, of_two, of_four, of_eight, of_sixteen }
    }
}

/// Each bit so many further on, those of the block before coming in.
#[inline]
const fn shifted(now: u64, before: u64, by: usize) -> u64 {
    now << by | before >> (BLOCK - by)
}

/// Each one, and fifteen before it.
#[inline]
const fn sixteen_before(ones: u64) -> u64 {
    let two = ones | ones >> 1;
    let four = two | two >> 2;
    let eight = four | four >> 4;
    eight | eight >> 8
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
    use crate::kinds::{KINDS, Part};
    use alloc::vec::Vec;

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
            assert_eq!(masks(&block), masks_of_each(&block), "{block:?}");
        }
    }

    #[test]
    fn every_form_is_in_sight() {
        let of_form = |text: &[u8]| {
            text.iter().all(|byte| {
                let mut block = [0; BLOCK];
                block[0] = *byte;
                masks(&block).form == 1
            })
        };
        for kind in KINDS.iter().filter(|kind| !kind.weak) {
            let (prefixes, enough) =
                if kind.prefixes.is_empty() { (&[""][..], LONG) } else { (kind.prefixes, FORM) };
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
                let beginning = shortest.get(..enough);
                assert!(beginning.is_some_and(of_form), "{} is too short, or of other characters", kind.name);
                let mut block = [0; BLOCK];
                block[0] = shortest[0];
                let begins = prefix.is_empty() || masks(&block).first == 1;
                assert!(begins, "{} begins with another character", kind.name);
            }
        }
    }

    #[derive(Default)]
    struct Seen {
        starts: Vec<usize>,
        long: Option<Range<usize>>,
        value: Option<Range<usize>>,
    }

    fn join(seen: &mut Option<Range<usize>>, stretch: Range<usize>) {
        let start = seen.as_ref().map_or(stretch.start, |seen| seen.start);
        *seen = Some(start..stretch.end);
    }

    impl Watch for Seen {
        fn start(&mut self, at: usize) {
            self.starts.push(at);
        }

        fn long(&mut self, stretch: Range<usize>) {
            join(&mut self.long, stretch);
        }

        fn value(&mut self, stretch: Range<usize>) {
            join(&mut self.value, stretch);
        }
    }

    fn seen(text: &[u8]) -> Seen {
        let mut seen = Seen::default();
        go_through(text, &mut seen);
        seen
    }

    #[test]
    fn what_is_long_enough_is_seen_wherever_it_lies() {
        for before in 0..150 {
            for length in 1..100 {
                let spaces = [before, 70].map(|count| " ".repeat(count));
                let seen = seen([&spaces[0], &*"a".repeat(length - 1), "1", &spaces[1]].concat().as_bytes());
                let end = before + length;
                let wanted = if length >= FORM { Vec::from([before]) } else { Vec::new() };
                assert_eq!(seen.starts, wanted, "{before} {length}");
                assert_eq!(seen.long, (length >= LONG).then_some(before..end), "{before} {length}");
                // The name of a value begins before it, and spaces may be between.
                assert_eq!(seen.value, (length >= VALUE).then_some(0..end), "{before} {length}");
            }
        }
    }

    #[test]
    fn a_form_starts_where_a_word_does() {
        assert_eq!(seen(b"ab_cd-ef.0123456789ab  short.word").starts, [0, 3, 6, 9]);
    }

    #[test]
    fn without_a_digit_there_is_no_value() {
        for (last, wanted) in [("1", true), ("b", false)] {
            let text = ["password = ", &"a".repeat(100), last].concat();
            assert_eq!(seen(text.as_bytes()).value.is_some(), wanted);
        }
    }
}
