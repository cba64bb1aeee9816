//! One fast pass over any text: the places worth a closer look, because a known form may begin there or have
//! its anchor there, or because a name goes on there that may speak of secrets.
//!
//! Asks a bitmap about the four characters at each place, in either case. Decides nothing: what it points at is
//! mostly nothing, and what it passes over is no credential by its form.

use crate::kinds::{Anchor, KINDS, Part};

/// What may be at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hint(u8);

/// In the beginning or middle of names that speak of secrets, in lower case: three or four letters.
const IN_NAMES: &[&[u8]] = &[
    b"key", b"oken", b"ecre", b"assw", b"pass", b"pwd", b"auth", b"cred", b"jwt", b"bear", b"sign", b"sig",
    b"dsn", b"pat",
];
/// Of those, what must not go on with a letter: there are too many other words.
const WHOLE_WORDS: &[&[u8]] = &[b"sig", b"pat", b"dsn", b"jwt", b"pwd"];

const BITS: usize = 1 << 16;
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

struct Sieve {
    bits: [u8; BITS / 8],
    /// Asked only where a bit is set, so it may be large.
    hints: [Hint; BITS],
}

static SIEVE: Sieve = {
    let mut sieve = Sieve { bits: [0; BITS / 8], hints: [Hint(0); BITS] };
    let mut at = 0;
    while at < KINDS.len() {
        let kind = &KINDS[at];
        at += 1;
        if kind.weak {
            continue;
        }
        let mut prefix = 0;
        while prefix < kind.prefixes.len() {
            sieve.add(kind.prefixes[prefix].as_bytes(), FOLLOWS, Hint::FORM);
            prefix += 1;
        }
        match kind.anchor {
            Some(Anchor::At(_, text)) => sieve.add(text.as_bytes(), after(kind.parts, text), Hint::ANCHOR),
            Some(Anchor::AfterDigits(text)) => sieve.add_behind_digits(text.as_bytes()),
            None => {}
        }
    }
    let mut at = 0;
    while at < IN_NAMES.len() {
        sieve.add(
            IN_NAMES[at],
            if contains(WHOLE_WORDS, IN_NAMES[at]) { NO_LETTER } else { ASCII },
            Hint::NAME,
        );
        at += 1;
    }
    sieve
};

impl Sieve {
    const fn add(&mut self, text: &[u8], follows: &[u8], hint: Hint) {
        assert!(text.len() >= 3, "three characters at least, or half of all text would be looked at");
        if text.len() >= 4 {
            return self.add_four([text[0], text[1], text[2], text[3]], hint);
        }
        let mut next = 0;
        while next < follows.len() {
            self.add_four([text[0], text[1], text[2], follows[next]], hint);
            next += 1;
        }
    }

    const fn add_behind_digits(&mut self, text: &[u8]) {
        assert!(text.len() == 2, "a digit, this, and what follows are the four");
        let mut digit = b'0';
        while digit <= b'9' {
            self.add(&[digit, text[0], text[1]], FOLLOWS, Hint::ANCHOR);
            digit += 1;
        }
    }

    const fn add_four(&mut self, four: [u8; 4], hint: Hint) {
        let bit = hash(u32::from_le_bytes(four) | FOLD);
        self.bits[bit >> 3] |= 1 << (bit & 7);
        self.hints[bit].0 |= hint.0;
    }

    /// One in the lowest bit, or not; anything in the others.
    #[inline]
    const fn has(&self, four: u32) -> u8 {
        let bit = hash(four);
        self.bits[bit >> 3] >> (bit & 7)
    }
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
    (four.wrapping_mul(0x9E37_79B1) >> 16) as usize
}

impl Hint {
    const FORM: Self = Self(1);
    const ANCHOR: Self = Self(2);
    const NAME: Self = Self(4);

    /// Whether a form may begin here.
    pub(crate) const fn form(self) -> bool {
        self.0 & Self::FORM.0 != 0
    }

    /// Whether the anchor of a form may be here, or its last digit before one.
    pub(crate) const fn anchor(self) -> bool {
        self.0 & Self::ANCHOR.0 != 0
    }

    /// Whether this may be inside a name that speaks of secrets.
    pub(crate) const fn name(self) -> bool {
        self.0 & Self::NAME.0 != 0
    }
}

/// Calls `each` with every place worth a look, left to right.
#[inline]
pub(crate) fn places(text: &[u8], mut each: impl FnMut(usize, Hint)) {
    let mut at = 0;
    // One load holds the four characters of five places.
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight) | u64::from(FOLD) << 32 | u64::from(FOLD);
        let four = |lane: usize| (word >> (8 * lane)) as u32;
        let any = SIEVE.has(four(0)) | SIEVE.has(four(1)) | SIEVE.has(four(2)) | SIEVE.has(four(3));
        if any & 1 == 1 {
            for lane in (0..4).filter(|lane| SIEVE.has(four(*lane)) & 1 == 1) {
                each(at + lane, SIEVE.hints[hash(four(lane))]);
            }
        }
        at += 4;
    }
    while let Some(last) = text.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let four = u32::from_le_bytes(*last) | FOLD;
        if SIEVE.has(four) & 1 == 1 {
            each(at, SIEVE.hints[hash(four)]);
        }
        at += 1;
    }
}
