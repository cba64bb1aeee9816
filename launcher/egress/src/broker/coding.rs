//! Content encodings: a body that is compressed, decoded piece by piece.
//!
//! Owns which are understood. What is not understood has no decoder, and the caller refuses it. A decoder
//! that has come to its end takes nothing more: bytes behind it would pass unseen.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use hyper::HeaderMap;
use hyper::header;
use ruzstd::decoding::FrameDecoder;

use super::stop::Stop;

/// So many compressed bytes at a time: what comes of them is in memory at once.
pub(super) const PIECE: usize = 1 << 10;
const WINDOW: usize = 64 << 10;
/// The largest window that a zstd frame of HTTP may have (RFC 9659).
const ZSTD_WINDOW: u64 = 8 << 20;
/// Of a zstd frame.
const LONGEST_HEADER: usize = 18;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Not at all.
    Identity,
    /// gzip, of any number of members.
    Gzip,
    /// zlib, or raw deflate, which some send under the same name.
    Deflate,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
}

impl Coding {
    /// As the headers say; `None` where it is none of these, or more than one.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut coding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for name in value.to_str().ok()?.split(',') {
                let next = match name.trim().to_ascii_lowercase().as_str() {
                    // S3's framing of a signed body is no compression.
                    "identity" | "" | "aws-chunked" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "deflate" => Self::Deflate,
                    "br" => Self::Brotli,
                    "zstd" => Self::Zstd,
                    _ => return None,
                };
                if std::mem::replace(&mut coding, next) != Self::Identity {
                    return None;
                }
            }
        }
        Some(coding)
    }
}

/// Takes decoded text.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), Stop> + 'a;

/// Decodes a body. An error without a stop is one of the encoding itself.
pub(super) struct Decoder {
    inner: Inner,
}

enum Inner {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// Which of the two it is, the first byte tells.
    DeflateOrZlib,
    Deflate(Box<DeflateDecoder<Vec<u8>>>),
    Zlib(Box<ZlibDecoder<Vec<u8>>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    Zstd(Box<Zstd>),
}

struct Zstd {
    decoder: FrameDecoder,
    /// Not taken yet: less than a block.
    waiting: Vec<u8>,
    begun: bool,
}

impl Decoder {
    /// `None` where there is nothing to decode.
    pub(super) fn new(coding: Coding) -> io::Result<Option<Self>> {
        let inner = match coding {
            Coding::Identity => return Ok(None),
            Coding::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Coding::Deflate => Inner::DeflateOrZlib,
            Coding::Brotli => Inner::Brotli(Box::new(DecompressorWriter::new(Vec::new(), 4096))),
            Coding::Zstd => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(ZSTD_WINDOW);
                Inner::Zstd(Box::new(Zstd { decoder, waiting: Vec::new(), begun: false }))
            }
        };
        Ok(Some(Self { inner }))
    }

    /// Whether text may come out long after what told it went in.
    pub(super) fn lags(&self) -> bool {
        matches!(self.inner, Inner::Zstd(_))
    }

    /// Decodes a chunk.
    pub(super) fn push(&mut self, chunk: &[u8], sink: &mut Sink<'_>) -> Result<(), Option<Stop>> {
        for piece in chunk.chunks(PIECE) {
            if let (Inner::DeflateOrZlib, Some(first)) = (&self.inner, piece.first()) {
                self.inner = match first & 0x0f == 8 {
                    true => Inner::Zlib(Box::new(ZlibDecoder::new(Vec::new()))),
                    false => Inner::Deflate(Box::new(DeflateDecoder::new(Vec::new()))),
                };
            }
            match &mut self.inner {
                Inner::Gzip(decoder) => written(decoder.as_mut(), piece, |d| d.get_mut(), sink)?,
                Inner::Deflate(decoder) => written(decoder.as_mut(), piece, |d| d.get_mut(), sink)?,
                Inner::Zlib(decoder) => written(decoder.as_mut(), piece, |d| d.get_mut(), sink)?,
                Inner::Brotli(decoder) => written(decoder.as_mut(), piece, |d| d.get_mut(), sink)?,
                Inner::Zstd(zstd) => zstd.push(piece, false, sink)?,
                Inner::DeflateOrZlib => {}
            }
        }
        Ok(())
    }

    /// The end: an encoding that is cut off is an error.
    pub(super) fn finish(self, sink: &mut Sink<'_>) -> Result<(), Option<Stop>> {
        let rest = match self.inner {
            Inner::Gzip(decoder) => decoder.finish().map_err(|_| None)?,
            Inner::Deflate(decoder) => decoder.finish().map_err(|_| None)?,
            Inner::Zlib(decoder) => decoder.finish().map_err(|_| None)?,
            Inner::Brotli(mut decoder) => {
                decoder.close().map_err(|_| None)?;
                std::mem::take(decoder.get_mut())
            }
            Inner::Zstd(mut zstd) => {
                zstd.push(&[], true, sink)?;
                if !(zstd.waiting.is_empty() && zstd.is_between()) {
                    return Err(None);
                }
                Vec::new()
            }
            Inner::DeflateOrZlib => Vec::new(),
        };
        Ok(sink(&rest)?)
    }
}

/// Writes a piece to a decoder and hands on what came out.
fn written<W: Write>(
    decoder: &mut W,
    mut piece: &[u8],
    out: impl Fn(&mut W) -> &mut Vec<u8>,
    sink: &mut Sink<'_>,
) -> Result<(), Option<Stop>> {
    while !piece.is_empty() {
        let taken = decoder.write(piece).map_err(|_| None)?;
        if taken == 0 {
            return Err(None);
        }
        piece = &piece[taken..];
        decoder.flush().map_err(|_| None)?;
        let text = std::mem::take(out(decoder));
        if !text.is_empty() {
            sink(&text)?;
        }
    }
    Ok(())
}

impl Zstd {
    /// `last` where nothing follows: a frame may be shorter than the longest header.
    fn push(&mut self, piece: &[u8], last: bool, sink: &mut Sink<'_>) -> Result<(), Option<Stop>> {
        self.waiting.extend_from_slice(piece);
        let mut text = vec![0; WINDOW];
        loop {
            if self.is_between() {
                if self.waiting.is_empty() || (self.waiting.len() < LONGEST_HEADER && !last) {
                    return Ok(());
                }
                let mut rest = self.waiting.as_slice();
                self.decoder.reset(&mut rest).map_err(|_| None)?;
                let taken = self.waiting.len() - rest.len();
                self.waiting.drain(..taken);
                self.begun = true;
            }
            let (taken, given) = self.decoder.decode_from_to(&self.waiting, &mut text).map_err(|_| None)?;
            // The library counts the four bytes of a checksum before it has them all.
            let taken = if taken > self.waiting.len() { 0 } else { taken };
            self.waiting.drain(..taken);
            if given > 0 {
                sink(&text[..given])?;
            }
            if taken == 0 && given == 0 {
                return Ok(());
            }
        }
    }

    /// Whether no frame has begun that is not through.
    fn is_between(&self) -> bool {
        !self.begun || (self.decoder.is_finished() && self.decoder.can_collect() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coding: Coding, wire: &[u8], cut: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut decoder = Decoder::new(coding).ok()??;
        let (first, rest) = wire.split_at(cut);
        for piece in [first].into_iter().chain(rest.chunks(1)).filter(|piece| !piece.is_empty()) {
            let mut sink = |part: &[u8]| {
                text.extend_from_slice(part);
                Ok(())
            };
            decoder.push(piece, &mut sink).ok()?;
        }
        let mut sink = |part: &[u8]| {
            text.extend_from_slice(part);
            Ok(())
        };
        decoder.finish(&mut sink).ok()?;
        Some(text)
    }

    fn wires(text: &[u8]) -> Vec<(Coding, Vec<u8>)> {
        use flate2::Compression;
        use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
        let level = Compression::default();
        let mut gzip = GzEncoder::new(Vec::new(), level);
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        let mut raw = DeflateEncoder::new(Vec::new(), level);
        for encoder in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw] {
            encoder.write_all(text).expect("into memory");
        }
        let zstd = ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest);
        vec![
            (Coding::Gzip, gzip.finish().expect("into memory")),
            (Coding::Deflate, zlib.finish().expect("into memory")),
            (Coding::Deflate, raw.finish().expect("into memory")),
            (Coding::Zstd, zstd),
        ]
    }

    #[test]
    fn text_comes_out_whole_wherever_it_is_cut() {
        for text in [b"".as_slice(), b"a", b"one two three, and one two three again", &[b'z'; 3000]] {
            for (coding, wire) in wires(text) {
                for cut in 0..wire.len() {
                    assert_eq!(decoded(coding, &wire, cut).as_deref(), Some(text), "{coding:?} {cut}");
                }
            }
        }
    }

    #[test]
    fn bytes_behind_the_end_and_a_cut_off_end_are_errors() {
        for (coding, wire) in wires(b"some text that is long enough to be cut off") {
            let longer = [wire.as_slice(), b"and more behind the end"].concat();
            assert_eq!(decoded(coding, &longer, 0), None, "{coding:?}");
            assert_eq!(decoded(coding, &wire[..wire.len() / 2], 0), None, "{coding:?}");
            assert!(decoded(coding, &wire, 0).is_some(), "{coding:?}");
        }
    }

    #[test]
    fn brotli_is_understood() {
        // As node's zlib writes it.
        let wire = data_encoding::HEXLOWER.decode(b"1b1600f88d946ede445586966c206f214f1ce038").expect("hex");
        let text = decoded(Coding::Brotli, &wire, 0);
        assert_eq!(text.as_deref(), Some(b"hello hello hello hello".as_slice()));
        assert_eq!(decoded(Coding::Brotli, &wire[..12], 0), None, "cut off");
        assert_eq!(decoded(Coding::Brotli, &[&wire[..], b"more"].concat(), 0), None, "bytes behind the end");
    }
}
