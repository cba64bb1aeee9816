//! gzip and zlib streams inside a body, wherever they begin.
//!
//! Owns the finding of a beginning and the bound on what comes of it. Raw deflate has no beginning to be known by.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::TooMuch;

/// What lay in a body, if anything did.
pub(super) type Unfolded = Result<Option<Vec<u8>>, TooMuch>;

/// No body unfolds to more than this.
const LARGEST: usize = 64 << 20;
/// Room for a first look; nearly all that looks like a beginning is none, and says so within a few bytes.
const FIRST: usize = 256;
/// The bit of a preset dictionary: nobody can inflate what follows.
const DICTIONARY: u8 = 0x20;

/// Every gzip member in the body, wherever it begins.
pub(super) fn gzip(body: &[u8], most: usize) -> Unfolded {
    let mut found = Inflated::new(most);
    let mut from = 0;
    while let Some(at) = crate::url::find(body, &[0x1f, 0x8b, 8], from) {
        from = at + 3;
        let Some(data) = gzip_data(&body[at..]) else { continue };
        if found.take(data, 0)? == Room::None {
            break;
        }
    }
    Ok(found.out())
}

/// What follows a member's header.
fn gzip_data(member: &[u8]) -> Option<&[u8]> {
    let flags = *member.get(3)?;
    let mut rest = member.get(10..)?;
    if flags & 4 != 0 {
        let len = usize::from(*rest.first()?) | usize::from(*rest.get(1)?) << 8;
        rest = rest.get(2 + len..)?;
    }
    for bit in [8, 16] {
        if flags & bit != 0 {
            rest = rest.get(rest.iter().position(|b| *b == 0)? + 1..)?;
        }
    }
    rest.get(if flags & 2 != 0 { 2 } else { 0 }..)
}

/// Every zlib stream in the body, of any window and level.
pub(super) fn zlib(body: &[u8], most: usize) -> Unfolded {
    let mut found = Inflated::new(most);
    for (at, pair) in body.windows(2).enumerate() {
        if is_zlib(pair[0], pair[1]) && found.take(&body[at..], TINFL_FLAG_PARSE_ZLIB_HEADER)? == Room::None {
            break;
        }
    }
    Ok(found.out())
}

/// Deflate with a window of 256 bytes to 32 KiB, and a second byte that makes the two a multiple of 31.
#[inline]
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x8f == 8 && second & DICTIONARY == 0 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

#[derive(PartialEq, Eq)]
enum Room {
    Some,
    None,
}

/// What came out of all streams of a body.
struct Inflated {
    state: Box<DecompressorOxide>,
    out: Vec<u8>,
    /// How much may still be spent. Beginnings cost something even where nothing comes of them.
    left: usize,
}

impl Inflated {
    fn new(left: usize) -> Self {
        Self { state: Box::default(), out: Vec::new(), left }
    }

    /// As much as can be inflated: a stream that is cut off has leaked its beginning.
    fn take(&mut self, mut data: &[u8], flags: u32) -> Result<Room, TooMuch> {
        let flags = flags | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        self.left = self.left.checked_sub(FIRST).ok_or(TooMuch)?;
        let most = self.left.saturating_add(1).min(LARGEST - self.out.len());
        let (start, mut written, mut room) = (self.out.len(), 0, FIRST);
        self.state.init();
        loop {
            self.out.resize(start + room.min(most), 0);
            // A match reaches back into this stream only.
            let stream = self.out.get_mut(start..).unwrap_or_default();
            let (status, taken, given) = decompress(&mut self.state, data, stream, written, flags);
            written += given;
            data = data.get(taken..).unwrap_or_default();
            if status != TINFLStatus::HasMoreOutput || room >= most {
                break;
            }
            room *= 2;
        }
        self.out.truncate(start + written);
        self.left = self.left.checked_sub(written).ok_or(TooMuch)?;
        Ok(if self.out.len() < LARGEST { Room::Some } else { Room::None })
    }

    fn out(self) -> Option<Vec<u8>> {
        (!self.out.is_empty()).then_some(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same stream under the header of every window and level.
    #[test]
    fn every_header_of_zlib_is_known() {
        let text = b"some text that is long enough to be packed, and packed, and packed again";
        let stream = miniz_oxide::deflate::compress_to_vec_zlib(text, 6);
        let mut seen = 0;
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let body = [b"before", &[first, second][..], &stream[2..]].concat();
                let whole =
                    zlib(&body, usize::MAX).is_ok_and(|out| out.is_some_and(|out| out.ends_with(text)));
                let valid = first & 15 == 8
                    && first >> 4 < 8
                    && second & 0x20 == 0
                    && (u32::from(first) * 256 + u32::from(second)) % 31 == 0;
                assert_eq!(whole, valid, "{first:02x} {second:02x}");
                seen += u32::from(whole);
            }
        }
        assert!(seen >= 8 * 4);
    }

    #[test]
    fn what_would_be_too_much_is_said_to_be_and_comes_out_where_it_may() {
        let zeros = alloc::vec![0; 1 << 20];
        let stream = miniz_oxide::deflate::compress_to_vec_zlib(&zeros, 6);
        let length = |body: &[u8], most| zlib(body, most).map(|out| out.map(|out| out.len()));
        assert_eq!(length(&stream, 1000), Err(TooMuch));
        assert_eq!(length(&stream, 2 << 20), Ok(Some(1 << 20)));
        let twice = [stream.as_slice(), &stream].concat();
        assert_eq!(length(&twice, 2 << 20), Err(TooMuch));
        assert_eq!(length(&twice, usize::MAX), Ok(Some(2 << 20)));
        // Beginnings of which nothing comes are not free either.
        assert_eq!(length(&b"\x78\x9c\xff".repeat(100), 1000), Err(TooMuch));
        assert_eq!(length(&b"\x78\x9c\xff".repeat(100), 1 << 20), Ok(None));
    }
}
