//! The first look at any text: where characters of a credential stand together for long enough. Most text is
//! spaces, short words and signs, and is not looked at again.
//!
//! Decides nothing: each stretch it points at is a place where a credential could be, and outside of them there
//! is none that anything here would find. Sixty-four bytes at a time become masks, a bit a byte.

use core::ops::Range;

use crate::lanes::{BLOCK, Lanes, Masks};

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
/// So many blocks become masks at once.
const BLOCKS: usize = 8;
/// The longest name that is read, and the character that ends it.
const NAME: usize = 81;
/// From the beginning of a name to a digit of its value: the longest value, the name, and what is between but for
/// spaces and signs, of which there may be any number.
const REACH: usize = 704;

/// Looks at all of a text once.
#[inline]
pub(crate) fn go_through(text: &[u8], lanes: Lanes, watch: &mut impl Watch) {
    let mut look = Look::default();
    let (blocks, rest) = text.as_chunks();
    let mut masks = [Masks::default(); BLOCKS];
    for blocks in blocks.chunks(BLOCKS) {
        (lanes.masks)(blocks, &mut masks);
        for masks in &masks[..blocks.len()] {
            look.at_block(text, masks, watch);
        }
    }
    if !rest.is_empty() {
        // Behind the end there is nothing that could be of a credential.
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        (lanes.masks)(&[last], &mut masks);
        look.at_block(text, &masks[0], watch);
    }
}

/// What the blocks so far leave behind for the next.
#[derive(Default)]
struct Look {
    /// Where the next begins.
    base: usize,
    forms: Ends,
    twelve: Carry<{ FORM - 8 }>,
    long: Carry<{ LONG - 16 }>,
    words: Carry<1>,
    starts: Carry<{ FORM - 1 }>,
    values: Ends,
    /// The digits of the block before.
    digits: u64,
    /// Where what may be a value begins that goes on from the block before.
    begins: usize,
    /// Where names begin that are of the value that begins there.
    names: Option<(usize, usize)>,
}

impl Look {
    #[inline(always)]
    fn at_block(&mut self, text: &[u8], masks: &Masks, watch: &mut impl Watch) {
        let base = self.base;
        let ends = self.forms.then(masks.form);
        let twelve = ends.of_eight & self.twelve.shifted(ends.of_eight);
        let starts = masks.first & !self.words.shifted(masks.word);
        let mut seen = twelve & self.starts.shifted(starts);
        while seen != 0 {
            watch.start(base + seen.trailing_zeros() as usize + 1 - FORM);
            seen &= seen - 1;
        }
        let long = ends.of_sixteen & self.long.shifted(ends.of_sixteen);
        for_each_run(long, |first, end| watch.long(base + first + 1 - LONG..base + end));

        let ends = self.values.then(masks.value).of_sixteen;
        // The digits of the block before that are of what ends first in this one.
        let reaches_back = 65 - VALUE as u32 + ends.trailing_zeros();
        let there = self.digits.checked_shr(reaches_back).unwrap_or(0);
        if masks.digit & sixteen_before(ends) | there != 0 {
            self.values(text, ends, masks.digit, there, watch);
        }
        if masks.value != !0 {
            self.begins = base + BLOCK - (!masks.value).leading_zeros() as usize;
        }
        self.digits = masks.digit;
        self.base += BLOCK;
    }

    /// Values that end in a block, if there are digits in them: `digits` of this block, or `there`.
    #[inline(never)]
    fn values(&mut self, text: &[u8], ends: u64, digits: u64, there: u64, watch: &mut impl Watch) {
        let base = self.base;
        for_each_run(ends, |first, end| {
            let whole = first >= VALUE - 1;
            let begin = first.saturating_sub(VALUE - 1);
            let here = digits & (!0 >> (BLOCK - end)) & (!0 << begin);
            if here == 0 && (whole || there == 0) {
                return;
            }
            let start = if whole { base + begin } else { self.begins };
            let names = match self.names {
                Some((of, names)) if of == start => names,
                _ => before_names(text, start),
            };
            self.names = Some((start, names));
            let floor = base.saturating_sub(REACH);
            let from = if names < floor { names.max(before_names(text, floor)) } else { names };
            watch.value(from..base + end);
        });
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

/// Ones that go so many places on, and into the next block. What is left for that is kept as it will be needed: as one
/// expression both shifts would become an instruction that is slow on many processors.
#[derive(Default)]
struct Carry<const BY: usize>(u64);

impl<const BY: usize> Carry<BY> {
    #[inline]
    const fn shifted(&mut self, now: u64) -> u64 {
        let out = now << BY | self.0;
        self.0 = now >> (BLOCK - BY);
        out
    }
}

/// Finds a one wherever so many ones end.
#[derive(Default)]
struct Ends {
    one: Carry<1>,
    two: Carry<2>,
    four: Carry<4>,
    eight: Carry<8>,
}

struct Ended {
    of_eight: u64,
    of_sixteen: u64,
}

impl Ends {
    /// Those of the next block.
    #[inline]
    const fn then(&mut self, of_one: u64) -> Ended {
        let of_two = of_one & self.one.shifted(of_one);
        let of_four = of_two & self.two.shifted(of_two);
        let of_eight = of_four & self.four.shifted(of_four);
        let of_sixteen = of_eight & self.eight.shifted(of_eight);
        Ended { of_eight, of_sixteen }
    }
}

/// Each one, and fifteen before it.
#[inline]
const fn sixteen_before(ones: u64) -> u64 {
    let two = ones | ones >> 1;
    let four = two | two >> 2;
    let eight = four | four >> 4;
    eight | eight >> 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{KINDS, Part};
    use alloc::vec::Vec;

    fn masks(block: &[u8; BLOCK]) -> Masks {
        let mut out = [Masks::default()];
        (Lanes::PLAIN.masks)(&[*block], &mut out);
        out[0]
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
        go_through(text, Lanes::PLAIN, &mut seen);
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
