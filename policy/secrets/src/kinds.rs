//! The formats, as data. Adding one is one line in `table` and, if it has a checksum, its vector in the tests.
//!
//! Does not match or make anything: `mold` reads this table.

mod table;

pub(crate) use table::KINDS;

/// Characters a segment is drawn from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Set {
    /// 0-9
    Digit,
    /// 0-9 a-z
    LowerDigit,
    /// 0-9 a-z -
    LowerDash,
    /// 0-9 A-Z
    UpperDigit,
    /// 0-9 A-Z a-z
    Alnum,
    /// Either case, the real one's case kept.
    Hex,
    HexLower,
    HexUpper,
    /// Lower case, in groups as a UUID has them.
    HexDash,
    /// A-Z 2-7
    Base32,
    /// The alphabet of BIP 173, upper case.
    Bech32,
    /// Alnum and `+/`, padding at the end.
    Base64,
    /// The same without padding.
    Base64Raw,
    /// Alnum and `-_`
    Base64Url,
    /// Alnum and `_`
    Word,
    /// Alnum and `-_.`
    Dotted,
    /// Alnum and `-_=+/.~`
    Loose,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Stays.
    Lit(&'static str),
    /// One of these, stays.
    Any(&'static [&'static str]),
    /// Secret, drawn anew: from so many to so many characters.
    Body(Set, u16, u16),
    /// Names something, stays.
    Kept(Set, u16, u16),
    /// Computed from the rest.
    Sum(Set, u16),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Check {
    None,
    /// Base62 CRC32 of the last body, six characters.
    Crc32Base62,
    /// Base32 of SHA-256 over all before, eight characters.
    Sha256Base32,
    /// Big-endian hex CRC32 of the last body.
    Crc32Hex,
    /// Little-endian hex CRC32 of all before the separator.
    Crc32HexLittle,
    /// Upper-case hex CRC32 of all before.
    Crc32HexUpper,
    /// Base36 CRC32 of all before, seven characters.
    Crc32Base36,
    /// Six characters of the base64 of the little-endian CRC32 of the last body.
    Crc32Base64,
    /// Marvin32 of the 60 bytes before, in base64: Azure Storage.
    MarvinStorage,
    /// The same with another seed: Cosmos DB.
    MarvinCosmos,
    /// Three bytes of it: Azure's other keys.
    MarvinKey,
    /// BIP 173 over prefix and data.
    Bech32,
    /// CRC-16 at the end of base32: NATS.
    Crc16Nkey,
}

/// What to look for where a format has no prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    /// This text at this distance from the start.
    At(usize, &'static str),
    /// This text after some digits.
    AfterDigits(&'static str),
}

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) prefixes: &'static [&'static str],
    pub(crate) parts: &'static [Part],
    pub(crate) check: Check,
    pub(crate) anchor: Option<Anchor>,
    /// Too plain a form to be believed by itself.
    pub(crate) weak: bool,
    /// Where the credential belongs: this host, and those below it.
    pub(crate) host: Option<&'static str>,
}

const fn kind(name: &'static str, prefixes: &'static [&'static str], parts: &'static [Part]) -> Kind {
    Kind { name, prefixes, parts, check: Check::None, anchor: None, weak: false, host: None }
}

impl Kind {
    const fn summed(self, check: Check) -> Self {
        Self { check, ..self }
    }

    const fn anchored(self, distance: usize, text: &'static str) -> Self {
        Self { anchor: Some(Anchor::At(distance, text)), ..self }
    }

    const fn anchored_by_digits(self, text: &'static str) -> Self {
        Self { anchor: Some(Anchor::AfterDigits(text)), ..self }
    }

    const fn weak(self) -> Self {
        Self { weak: true, ..self }
    }

    const fn at(self, host: &'static str) -> Self {
        Self { host: Some(host), ..self }
    }
}

/// The kinds that have no prefix.
pub(crate) fn anchored() -> impl Iterator<Item = (&'static Kind, Anchor)> {
    ANCHORED.iter().filter_map(|at| Some((&KINDS[usize::from(*at)], KINDS[usize::from(*at)].anchor?)))
}

const ANCHORED_LEN: usize = {
    let (mut count, mut at) = (0, 0);
    while at < KINDS_LEN {
        count += kinds()[at].anchor.is_some() as usize;
        at += 1;
    }
    count
};

static ANCHORED: [u16; ANCHORED_LEN] = {
    let mut out = [0; ANCHORED_LEN];
    let (mut count, mut at) = (0, 0);
    while at < KINDS_LEN {
        if kinds()[at].anchor.is_some() {
            out[count] = at as u16;
            count += 1;
        }
        at += 1;
    }
    out
};

/// For each two first characters of a prefix, the kinds to try, as one linked list made by the compiler.
pub(crate) struct Index {
    head: [u16; BUCKETS],
    /// Those whose prefix is one character.
    short: u16,
    next: [u16; SLOTS],
    slot: [(u16, u16); SLOTS],
}

const BUCKETS: usize = 1 << 11;

const fn bucket(first: u8, second: u8) -> usize {
    let two = (first as u32) << 8 | second as u32;
    (two.wrapping_mul(0x9E37_79B1) >> 21) as usize
}

const SLOTS: usize = {
    let (mut total, mut kind) = (0, 0);
    while kind < KINDS_LEN {
        total += kinds()[kind].prefixes.len();
        kind += 1;
    }
    total
};
const KINDS_LEN: usize = kinds().len();
const NONE: u16 = u16::MAX;

const fn kinds() -> &'static [Kind] {
    KINDS
}

pub(crate) static INDEX: Index = {
    let mut index = Index { head: [NONE; BUCKETS], short: NONE, next: [NONE; SLOTS], slot: [(0, 0); SLOTS] };
    let mut used = 0;
    // Backwards, so that the lists run in the table's order.
    let mut kind = KINDS_LEN;
    while kind > 0 {
        kind -= 1;
        let mut prefix = kinds()[kind].prefixes.len();
        while prefix > 0 {
            prefix -= 1;
            let text = kinds()[kind].prefixes[prefix].as_bytes();
            index.slot[used] = (kind as u16, prefix as u16);
            let head =
                if text.len() == 1 { &mut index.short } else { &mut index.head[bucket(text[0], text[1])] };
            index.next[used] = *head;
            *head = used as u16;
            used += 1;
        }
    }
    index
};

impl Index {
    /// The kinds, with the prefix, that may start with these two, in the table's order.
    pub(crate) fn starting_with(
        &'static self,
        first: u8,
        second: u8,
    ) -> impl Iterator<Item = (&'static Kind, &'static str)> {
        self.list(self.head[bucket(first, second)]).chain(self.list(self.short))
    }

    fn list(&'static self, head: u16) -> impl Iterator<Item = (&'static Kind, &'static str)> {
        let mut at = head;
        core::iter::from_fn(move || {
            if at == NONE {
                return None;
            }
            let (kind, prefix) = self.slot[usize::from(at)];
            at = self.next[usize::from(at)];
            let kind = &KINDS[usize::from(kind)];
            Some((kind, kind.prefixes[usize::from(prefix)]))
        })
    }
}

impl Set {
    pub(crate) const fn alphabet(self) -> &'static [u8] {
        match self {
            Set::Digit => b"0123456789",
            Set::LowerDigit => b"0123456789abcdefghijklmnopqrstuvwxyz",
            Set::LowerDash => b"0123456789abcdefghijklmnopqrstuvwxyz-",
            Set::UpperDigit => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Set::Alnum => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            Set::Hex | Set::HexLower => b"0123456789abcdef",
            Set::HexUpper => b"0123456789ABCDEF",
            Set::HexDash => b"0123456789abcdef-",
            Set::Base32 => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            Set::Bech32 => b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
            Set::Base64 | Set::Base64Raw => {
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            }
            Set::Base64Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            Set::Word => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_",
            Set::Dotted => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.",
            Set::Loose => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_=+/.~",
        }
    }

    pub(crate) const fn has(self, byte: u8) -> bool {
        byte < 128 && MASKS[self as usize] >> byte & 1 == 1
    }
}

/// One bit for each character of each set.
static MASKS: [u128; 17] = {
    let sets = [
        Set::Digit,
        Set::LowerDigit,
        Set::LowerDash,
        Set::UpperDigit,
        Set::Alnum,
        Set::Hex,
        Set::HexLower,
        Set::HexUpper,
        Set::HexDash,
        Set::Base32,
        Set::Bech32,
        Set::Base64,
        Set::Base64Raw,
        Set::Base64Url,
        Set::Word,
        Set::Dotted,
        Set::Loose,
    ];
    let mut masks = [0; 17];
    let mut at = 0;
    while at < sets.len() {
        let alphabet = sets[at].alphabet();
        let mut letter = 0;
        while letter < alphabet.len() {
            masks[sets[at] as usize] |= 1 << alphabet[letter];
            letter += 1;
        }
        at += 1;
    }
    masks[Set::Hex as usize] |= masks[Set::HexUpper as usize];
    masks[Set::Base64 as usize] |= 1 << b'=';
    masks
};
