//! The encoding of ssh (RFC 4251) and the framing of its agent's protocol.

use std::io::{self, ErrorKind, Read, Write};

/// The longest message of an agent's protocol that OpenSSH takes.
const LONGEST: u32 = 256 << 10;

/// Reads values one after the other; `None` where the next one is not there.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A text or a blob, with its length before it.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_at_checked(4)?;
        let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
        let (string, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    /// A number that is not negative, without the zeros before it.
    pub(super) fn number(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            return None;
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros..)
    }

    /// That nothing follows.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Reads one message of an agent's protocol.
pub(super) fn read(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if !(1..=LONGEST).contains(&length) {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length as usize];
    from.read_exact(&mut message)?;
    Ok(message)
}

/// Writes one.
pub(super) fn write(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| ErrorKind::InvalidData)?;
    to.write_all(&[&length.to_be_bytes(), message].concat())
}

/// A value with its length before it.
#[cfg(test)]
pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_is_nothing() {
        let bytes = [&[7][..], &string(b"abc"), &string(b"\0\x80")].concat();
        let mut reader = Reader::new(&bytes);
        assert_eq!(
            (reader.byte(), reader.string(), reader.number()),
            (Some(7), Some(&b"abc"[..]), Some(&b"\x80"[..]))
        );
        assert_eq!((reader.end(), reader.byte(), reader.string()), (Some(()), None, None));
        for length in 0..string(b"abc").len() {
            assert_eq!(Reader::new(&string(b"abc")[..length]).string(), None, "{length}");
        }
        assert_eq!(Reader::new(&string(b"\x80")).number(), None, "negative");
        assert!(read(&mut &b"\0\0\0\0"[..]).is_err() && read(&mut &b"\xff\0\0\0"[..]).is_err());
    }
}
