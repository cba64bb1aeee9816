//! What to look for in the stretches of a text where a credential could be, as tables made by the compiler: how
//! known forms and tokens begin, the anchors of those that have no beginning of their own, and what is in names
//! that speak of secrets.
//!
//! Decides nothing: what it points at is mostly nothing, and what it passes over is no credential by its form.

use core::ops::Range;

use crate::kinds::{Anchor, KINDS, Part};
use crate::lanes::{Lanes, Threes};

/// In the beginning or middle of names that speak of secrets, in lower case: three or four letters.
const IN_NAMES: &[&[u8]] = &[
    b"key", b"oken", b"ecre", b"assw", b"pass", b"pwd", b"auth", b"cred", b"jwt", b"bear", b"sign", b"sig",
    b"dsn", b"pat",
];
/// Of those, what must not go on with a letter: there are too many other words.
const WHOLE_WORDS: &[&[u8]] = &[b"sig", b"pat", b"dsn", b"jwt", b"pwd"];

/// How every JSON Web Token begins.
const TOKEN: &[u8] = b"eyJ";
const BITS: usize = 1 << 18;
const BEGINNINGS: usize = 1 << 16;
/// What may follow the shortest prefixes and anchors, in lower case.
const FOLLOWS: &[u8; 39] = b"abcdefghijklmnopqrstuvwxyz0123456789-_.";
const ASCII: &[u8; 128] = &{
    let (mut all, mut at) = ([0; 128], 0);
    while at < all.len() {
        all[at] = at as u8;
        at += 1;
    }
    all
};
/// In lower case, as all is when it is asked: digits and punctuation, some of it twice.
const NO_LETTER: &[u8; 128] = &{
    let (mut all, mut at) = (*ASCII, 0);
    while at < all.len() {
        if (all[at] | FOLD as u8).is_ascii_lowercase() {
            all[at] = b' ';
        }
        at += 1;
    }
    all
};
/// Lower case for letters; other characters become others, but always the same.
const FOLD: u32 = 0x2020_2020;

/// How forms and tokens begin: four characters, as they are.
pub(crate) struct Beginnings {
    bits: [u8; BEGINNINGS / 8],
}

pub(crate) static BEGIN: Beginnings = {
    let mut begin = Beginnings { bits: [0; BEGINNINGS / 8] };
    begin.add(TOKEN);
    let mut at = 0;
    while at < KINDS.len() {
        let kind = &KINDS[at];
        at += 1;
        let mut prefix = 0;
        while !kind.weak && prefix < kind.prefixes.len() {
            begin.add(after_space(kind.prefixes[prefix].as_bytes()));
            prefix += 1;
        }
    }
    begin
};

impl Beginnings {
    const fn add(&mut self, text: &[u8]) {
        assert!(text.len() >= 3, "three characters at least, or half of all text would be looked at");
        if text.len() >= 4 {
            return self.add_four([text[0], text[1], text[2], text[3]]);
        }
        let mut next = 0;
        while next < ASCII.len() {
            self.add_four([text[0], text[1], text[2], ASCII[next]]);
            next += 1;
        }
    }

    const fn add_four(&mut self, four: [u8; 4]) {
        let bit = other_hash(u32::from_le_bytes(four));
        self.bits[bit >> 3] |= 1 << (bit & 7);
    }

    /// Whether a form or a token may begin here.
    #[inline]
    pub(crate) fn may(&self, text: &[u8], at: usize) -> bool {
        let Some(four) = text.get(at..).and_then(<[u8]>::first_chunk) else { return false };
        let bit = other_hash(u32::from_le_bytes(*four));
        self.bits[bit >> 3] >> (bit & 7) & 1 == 1
    }
}

/// What may stand anywhere, known by four characters in either case. It asks a bitmap about three characters at
/// every second place only: wherever the four begin, their first three or their last three are at one of those.
pub(crate) struct Sieve {
    /// The first and the last three of every four.
    threes: [u8; BITS / 8],
    /// The four, by two other numbers: what shares one seldom shares both.
    fours: [u8; BITS / 8],
    again: [u8; BEGINNINGS / 8],
    /// The first three of every four, for processors that have a faster way, and how many words there are so far.
    shuffled: Threes,
    words: u8,
}

/// Of the forms without a prefix.
pub(crate) static ANCHORS: Sieve = {
    let mut sieve = Sieve::EMPTY;
    let mut at = 0;
    while at < KINDS.len() {
        let kind = &KINDS[at];
        at += 1;
        match kind.anchor {
            Some(Anchor::At(_, text)) if !kind.weak => sieve.add(text.as_bytes(), after(kind.parts, text)),
            Some(Anchor::AfterDigits(text)) if !kind.weak => sieve.add_behind_digits(text.as_bytes()),
            _ => {}
        }
    }
    sieve
};

/// Of names that may speak of secrets.
pub(crate) static NAMES: Sieve = {
    let mut sieve = Sieve::EMPTY;
    let mut at = 0;
    while at < IN_NAMES.len() {
        sieve.add(IN_NAMES[at], if contains(WHOLE_WORDS, IN_NAMES[at]) { NO_LETTER } else { ASCII });
        at += 1;
    }
    sieve
};

impl Sieve {
    const EMPTY: Self = Self {
        threes: [0; BITS / 8],
        fours: [0; BITS / 8],
        again: [0; BEGINNINGS / 8],
        shuffled: Threes { low: [[0; 16]; 3], high: [[0; 16]; 3] },
        words: 0,
    };

    /// Calls `each` with every place of this stretch that is worth a look, left to right, and perhaps with some
    /// around it. Gives back where to go on, in the same way.
    #[inline]
    pub(crate) fn places(
        &self,
        lanes: Lanes,
        text: &[u8],
        stretch: Range<usize>,
        mut each: impl FnMut(usize),
    ) -> usize {
        let Some(next) = lanes.next else { return self.plainly(text, stretch, each) };
        let (mut at, end) = (stretch.start, stretch.end.max(stretch.start));
        loop {
            let mut found = next(&self.shuffled, text, at, end);
            if found.places == 0 {
                // The last few of a text are not enough for a register.
                (found.at..end).filter(|place| self.has(text, *place)).for_each(each);
                return end;
            }
            while found.places != 0 {
                let place = found.at + found.places.trailing_zeros() as usize;
                if self.has(text, place) {
                    each(place);
                }
                found.places &= found.places - 1;
            }
            at = end.min(found.at + 32);
        }
    }

    fn plainly(&self, text: &[u8], stretch: Range<usize>, mut each: impl FnMut(usize)) -> usize {
        let mut look = |at: usize| {
            for place in at.saturating_sub(1)..=at {
                if self.has(text, place) {
                    each(place);
                }
            }
        };
        let mut at = stretch.start;
        while at < stretch.end {
            // One load holds three places that are asked about; two loads make a round, for one branch.
            let Some(round) = text.get(at..).and_then(<[u8]>::first_chunk::<14>) else {
                look(at);
                at += 2;
                continue;
            };
            let words = [0, 6].map(|from| {
                let eight = round[from..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
                eight | u64::from(FOLD) << 32 | u64::from(FOLD)
            });
            let has = |index: usize| self.has_three((words[index / 3] >> (16 * (index % 3))) as u32);
            if (has(0) | has(1) | has(2) | has(3) | has(4) | has(5)) & 1 == 1 {
                for index in 0..6 {
                    if has(index) & 1 == 1 {
                        look(at + 2 * index);
                    }
                }
            }
            at += 12;
        }
        at
    }

    const fn add(&mut self, text: &[u8], follows: &[u8]) {
        assert!(text.len() >= 3, "three characters at least, or half of all text would be looked at");
        self.shuffle([text[0], text[1], text[2]]);
        self.words += 1;
        if text.len() >= 4 {
            return self.add_four([text[0], text[1], text[2], text[3]]);
        }
        let mut next = 0;
        while next < follows.len() {
            self.add_four([text[0], text[1], text[2], follows[next]]);
            next += 1;
        }
    }

    const fn add_behind_digits(&mut self, text: &[u8]) {
        assert!(text.len() == 2, "a digit, this, and what follows are the four");
        let mut digit = b'0';
        while digit <= b'9' {
            self.add(&[digit, text[0], text[1]], FOLLOWS);
            // All of them are one word.
            self.words -= 1;
            digit += 1;
        }
        self.words += 1;
    }

    /// In either case: what a text is folded with elsewhere is in the table here.
    const fn shuffle(&mut self, three: [u8; 3]) {
        let (group, mut place) = (1 << (self.words % 8), 0);
        while place < 3 {
            let folded = (three[place] | FOLD as u8) as usize;
            self.shuffled.low[place][folded & 15] |= group;
            self.shuffled.high[place][folded >> 4] |= group;
            self.shuffled.high[place][(folded >> 4) & !2] |= group;
            place += 1;
        }
    }

    const fn add_four(&mut self, four: [u8; 4]) {
        let four = u32::from_le_bytes(four) | FOLD;
        let (bit, other) = (hash(four), other_hash(four));
        self.fours[bit >> 3] |= 1 << (bit & 7);
        self.again[other >> 3] |= 1 << (other & 7);
        let mut part = 0;
        while part < 2 {
            let bit = hash_of_three(four >> (8 * part));
            self.threes[bit >> 3] |= 1 << (bit & 7);
            part += 1;
        }
    }

    /// One in the lowest bit, or not; anything in the others.
    #[inline]
    const fn has_three(&self, three: u32) -> u8 {
        let bit = hash_of_three(three);
        self.threes[bit >> 3] >> (bit & 7)
    }

    #[inline]
    fn has(&self, text: &[u8], at: usize) -> bool {
        let Some(four) = text.get(at..).and_then(<[u8]>::first_chunk) else { return false };
        let group = |place: usize| {
            let byte = usize::from(four[place]);
            self.shuffled.low[place][byte & 15] & self.shuffled.high[place][byte >> 4]
        };
        let folded = u32::from_le_bytes(*four) | FOLD;
        let (bit, other) = (hash(folded), other_hash(folded));
        // All that any way asks, so that each finds the same.
        self.fours[bit >> 3] >> (bit & 7) & 1 == 1
            && self.again[other >> 3] >> (other & 7) & 1 == 1
            && self.has_three(folded) & self.has_three(folded >> 8) & 1 == 1
            && group(0) & group(1) & group(2) != 0
    }
}

/// A space is no part of the stretch that the rest of a form makes.
const fn after_space(prefix: &'static [u8]) -> &'static [u8] {
    let mut at = prefix.len();
    while at > 0 && prefix[at - 1] != b' ' {
        at -= 1;
    }
    prefix.split_at(at).1
}

/// What may stand behind this anchor.
const fn after(parts: &[Part], anchor: &str) -> &'static [u8] {
    let mut at = 0;
    while at + 1 < parts.len() {
        if let (Part::Lit(text), Part::Body(set, ..) | Part::Kept(set, ..)) = (parts[at], parts[at + 1])
            && same(text.as_bytes(), anchor.as_bytes())
        {
            return set.alphabet();
        }
        at += 1;
    }
    FOLLOWS
}

const fn contains(words: &[&[u8]], word: &[u8]) -> bool {
    let mut at = 0;
    while at < words.len() {
        if same(words[at], word) {
            return true;
        }
        at += 1;
    }
    false
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let (mut same, mut at) = (one.len() == other.len(), 0);
    while same && at < one.len() {
        same = one[at] == other[at];
        at += 1;
    }
    same
}

#[inline]
const fn hash(four: u32) -> usize {
    (four.wrapping_mul(0x9E37_79B1) >> 14) as usize
}

/// Of the three lowest bytes: the fourth is shifted out.
#[inline]
const fn hash_of_three(three: u32) -> usize {
    (three.wrapping_mul(0x9E37_79B1 << 8) >> 14) as usize
}

const fn other_hash(four: u32) -> usize {
    (four.wrapping_mul(0x85EB_CA6B) >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::RunKey;
    use alloc::vec::Vec;

    #[test]
    fn what_is_looked_for_is_met_wherever_it_stands() {
        let anchors = KINDS.iter().filter(|kind| !kind.weak).filter_map(|kind| match kind.anchor? {
            Anchor::At(_, text) => Some((&ANCHORS, [text, "0"].concat())),
            // The last digit is where it is met.
            Anchor::AfterDigits(text) => Some((&ANCHORS, ["1", text, "0"].concat())),
        });
        let names = IN_NAMES
            .iter()
            .map(|name| (&NAMES, [core::str::from_utf8(name).expect("letters"), "0"].concat()));
        let mut count = 0;
        for (sieve, text) in anchors.chain(names) {
            for (before, behind) in (0..30).flat_map(|before| [1, 2, 9, 40].map(|behind| (before, behind))) {
                let line = [&b" ".repeat(before)[..], text.as_bytes(), &b" ".repeat(behind)[..]].concat();
                let mut met = false;
                sieve.places(Lanes::PLAIN, &line, 0..line.len(), |at| met |= at == before);
                assert!(met, "{text} at {before} of {}", line.len());
                count += 1;
            }
        }
        assert!(count > 2_000, "{count}");
    }

    #[test]
    fn every_beginning_is_known_and_few_others() {
        let prefixes = KINDS.iter().filter(|kind| !kind.weak).flat_map(|kind| kind.prefixes);
        for prefix in prefixes {
            let text = [b"x ", after_space(prefix.as_bytes()), b"a"].concat();
            assert!(BEGIN.may(&text, 2), "{prefix}");
        }
        let set: u32 = BEGIN.bits.iter().map(|byte| byte.count_ones()).sum();
        assert!(set < 3_000, "{set} of {BEGINNINGS}");
    }

    #[test]
    fn every_place_is_told_once_and_in_order() {
        let mut stream = RunKey::from_bytes([9; 32]).keyed("sieve", b"", 0);
        let words: [&[u8]; 8] = [b"key", b"Token", b"secret", b"1:A", b"-us", b"SIG=", b"=", b"+ASt"];
        for length in 0..400 {
            let mut text = Vec::new();
            while text.len() < length {
                text.extend_from_slice(words[stream.below(words.len())]);
                let some = stream.below(4);
                text.extend_from_slice(&stream.bytes(some));
            }
            text.truncate(length);
            for (sieve, parts) in [(&ANCHORS, 1), (&NAMES, 3)] {
                let mut found = Vec::new();
                let mut done = 0;
                // As one stretch, or as some that touch.
                for part in 1..=parts {
                    done = sieve.places(Lanes::PLAIN, &text, done..length * part / parts, |at| {
                        assert!(sieve.has(&text, at));
                        found.push(at);
                    });
                }
                assert!(found.windows(2).all(|two| two[0] < two[1]), "{length}: {found:?}");
                assert!(length < 80 || !found.is_empty());
            }
        }
    }
}
