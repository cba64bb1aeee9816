//! Owns one entry of a pack: its header, and what a delta makes of its base. See gitformat-pack(5).

use std::ops::Range;

use crate::history::error::Unreadable;

/// What an object is, in git's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::history) enum Kind {
    Commit = 1,
    Tree = 2,
    Blob = 3,
    Tag = 4,
}

/// What an entry's bytes say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub form: Form,
    /// Of what is deflated behind it.
    pub size: u64,
    /// How long the header is.
    pub length: usize,
}

/// How an entry holds its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Whole.
    Whole(Kind),
    /// As a change of the object so many bytes before.
    Before(u64),
    /// As a change of the object with this name.
    Named(Vec<u8>),
}

const MALFORMED: Unreadable = Unreadable::Malformed("a pack entry of an unknown form");
const BAD_DELTA: Unreadable = Unreadable::Malformed("a delta that does not fit its base");
/// The longest header: size, and name or distance.
pub(super) const LONGEST: usize = 10 + 32;

impl Header {
    /// Reads one; names have `width` bytes.
    ///
    /// # Errors
    /// When it is of an unknown form.
    pub(super) fn parse(bytes: &[u8], width: usize) -> Result<Self, Unreadable> {
        let mut rest = bytes.iter().copied();
        let first = rest.next().ok_or(MALFORMED)?;
        let mut size = u64::from(first & 15);
        let mut shift = 4;
        let mut byte = first;
        while byte & 0x80 != 0 {
            byte = rest.next().ok_or(MALFORMED)?;
            size |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(MALFORMED)?;
            shift += 7;
        }
        let mut length = bytes.len() - rest.len();
        let form = match first >> 4 & 7 {
            1 => Form::Whole(Kind::Commit),
            2 => Form::Whole(Kind::Tree),
            3 => Form::Whole(Kind::Blob),
            4 => Form::Whole(Kind::Tag),
            6 => {
                let mut byte = rest.next().ok_or(MALFORMED)?;
                let mut distance = u64::from(byte & 0x7f);
                while byte & 0x80 != 0 {
                    byte = rest.next().ok_or(MALFORMED)?;
                    distance = (distance + 1).checked_mul(128).ok_or(MALFORMED)? | u64::from(byte & 0x7f);
                }
                length = bytes.len() - rest.len();
                Form::Before(distance)
            }
            7 => {
                let name = bytes.get(length..length + width).ok_or(MALFORMED)?.to_vec();
                length += width;
                Form::Named(name)
            }
            _ => return Err(MALFORMED),
        };
        Ok(Self { form, size, length })
    }

    /// Writes one.
    pub(super) fn write(form: &Form, size: u64) -> Vec<u8> {
        let number = match form {
            Form::Whole(kind) => *kind as u8,
            Form::Before(_) => 6,
            Form::Named(_) => 7,
        };
        let mut bytes = Vec::new();
        let low = |value: u64, mask: u64| u8::try_from(value & mask).unwrap_or(0);
        let (mut byte, mut rest) = (number << 4 | low(size, 15), size >> 4);
        while rest > 0 {
            bytes.push(byte | 0x80);
            byte = low(rest, 0x7f);
            rest >>= 7;
        }
        bytes.push(byte);
        match form {
            Form::Whole(_) => {}
            Form::Before(distance) => {
                let mut digits = vec![low(*distance, 0x7f)];
                let mut rest = distance >> 7;
                while rest > 0 {
                    rest -= 1;
                    digits.push(0x80 | low(rest, 0x7f));
                    rest >>= 7;
                }
                bytes.extend(digits.iter().rev());
            }
            Form::Named(name) => bytes.extend_from_slice(name),
        }
        bytes
    }
}

/// What a delta makes of its base, and the parts of it that need to be looked at when the base was: what the delta
/// brings, and `reach` bytes around each place where two things meet.
///
/// # Errors
/// When it does not fit.
pub(super) fn apply(
    base: &[u8],
    delta: &[u8],
    reach: usize,
    largest: usize,
) -> Result<(Vec<u8>, Vec<Range<usize>>), Unreadable> {
    let mut rest = delta;
    if size(&mut rest)? != base.len() as u64 {
        return Err(BAD_DELTA);
    }
    let length = usize::try_from(size(&mut rest)?).map_err(|_| Unreadable::TooLarge)?;
    if length > largest {
        return Err(Unreadable::TooLarge);
    }
    let mut content = Vec::with_capacity(length);
    let mut fresh: Vec<Range<usize>> = Vec::new();
    let mut note = |from: usize, to: usize| {
        let (from, to) = (from.saturating_sub(reach), (to + reach).min(length));
        match fresh.last_mut() {
            Some(last) if from <= last.end => last.end = last.end.max(to),
            _ => fresh.push(from..to),
        }
    };
    while let Some((&code, after)) = rest.split_first() {
        rest = after;
        let before = content.len();
        if code & 0x80 != 0 {
            let mut field = |bits: u8| {
                let mut value = 0_usize;
                for (place, bit) in (0..8).filter(|bit| bits >> bit & 1 != 0).map(|bit| (bit % 4, bit)) {
                    debug_assert!(bit < 7);
                    let (&byte, after) = rest.split_first().ok_or(BAD_DELTA)?;
                    rest = after;
                    value |= usize::from(byte) << (8 * place);
                }
                Ok::<_, Unreadable>(value)
            };
            let from = field(code & 0x0f)?;
            let count = match field(code & 0x70)? {
                0 => 0x10000,
                count => count,
            };
            content.extend_from_slice(base.get(from..from + count).ok_or(BAD_DELTA)?);
            if before > 0 {
                note(before, before);
            }
        } else {
            let (new, after) = rest.split_at_checked(usize::from(code)).ok_or(BAD_DELTA)?;
            if new.is_empty() {
                return Err(BAD_DELTA);
            }
            rest = after;
            content.extend_from_slice(new);
            note(before, before + new.len());
        }
        if content.len() > length {
            return Err(BAD_DELTA);
        }
    }
    if content.len() == length { Ok((content, fresh)) } else { Err(BAD_DELTA) }
}

fn size(rest: &mut &[u8]) -> Result<u64, Unreadable> {
    let mut value = 0_u64;
    let mut shift = 0;
    loop {
        let (&byte, after) = rest.split_first().ok_or(BAD_DELTA)?;
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(BAD_DELTA)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_are_written() {
        for size in [0, 15, 16, 127, 128, 2047, 2048, 1 << 33] {
            for form in [
                Form::Whole(Kind::Blob),
                Form::Before(1),
                Form::Before(127),
                Form::Before(128),
                Form::Before(16511),
                Form::Before(16512),
                Form::Before(1 << 34),
                Form::Named(vec![7; 20]),
            ] {
                let bytes = Header::write(&form, size);
                let length = bytes.len();
                let padded = [bytes, vec![0xff; 4]].concat();
                assert_eq!(Header::parse(&padded, 20).ok(), Some(Header { form, size, length }));
            }
        }
        assert!(Header::parse(&[0x80; 40], 20).is_err());
        assert!(Header::parse(&[], 20).is_err());
    }

    #[test]
    fn a_delta_tells_what_is_new() {
        // 12 bytes of the base from 2, then "new", then one byte from 0.
        let delta = [20, 16, 0x91, 2, 12, 3, b'n', b'e', b'w', 0x91, 0, 1];
        let base: Vec<u8> = (0..20).collect();
        let (content, fresh) = apply(&base, &delta, 4, 100).ok().unwrap_or_default();
        assert_eq!(content, [&base[2..14], b"new", &base[..1]].concat());
        assert_eq!((fresh.len(), fresh.first()), (1, Some(&(8..16))));
        for length in 0..delta.len() {
            assert!(apply(&base, &delta[..length], 4, 100).is_err(), "{length}");
        }
        assert!(apply(&base[1..], &delta, 4, 100).is_err());
        assert!(apply(&base, &delta, 4, 15).is_err());
    }
}
