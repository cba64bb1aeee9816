//! The chunks of a signed upload, each with a signature that follows from the one before.
//!
//! Owns the framing `size;chunk-signature=…`. A chunk's signature stands before its bytes, so a chunk is held
//! until it is whole; its size is bounded. The length of what is sent does not change.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{Seed, hash};
use crate::broker::stop::Stop;

const CHUNK: &str = "AWS4-HMAC-SHA256-PAYLOAD";
const TRAILER: &str = "AWS4-HMAC-SHA256-TRAILER";
const MARK: &str = ";chunk-signature=";
const TRAILER_MARK: &str = "x-amz-trailer-signature:";
/// Of a chunk's first line.
const LONGEST_LINE: usize = 256;

/// Signs chunks anew.
pub(in crate::broker) struct Chunks {
    seed: Seed,
    most: usize,
    waiting: Vec<u8>,
    last_seen: bool,
}

impl Chunks {
    /// No chunk may be larger than `most`.
    pub(in crate::broker) fn new(seed: Seed, most: usize) -> Self {
        Self { seed, most, waiting: Vec::new(), last_seen: false }
    }

    /// Takes what the guest sent; shows each chunk's bytes to `see`, and appends the chunks that are whole.
    pub(in crate::broker) fn push(
        &mut self,
        bytes: &[u8],
        see: &mut dyn FnMut(&[u8]) -> Result<(), Stop>,
        out: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        self.waiting.extend_from_slice(bytes);
        while !self.last_seen {
            let Some(end) = line_end(&self.waiting) else {
                return if self.waiting.len() > LONGEST_LINE { Err(wrong()) } else { Ok(()) };
            };
            let line = std::str::from_utf8(&self.waiting[..end]).map_err(|_| wrong())?;
            let (size, signature) = line.split_once(MARK).ok_or_else(wrong)?;
            let length = usize::from_str_radix(size, 16).map_err(|_| wrong())?;
            if signature.len() != 64 || length > self.most {
                return Err(wrong());
            }
            let data = end + 2..end + 2 + length;
            // The last chunk may be followed by trailers, and its own line break is theirs.
            let whole = if length == 0 { data.end } else { data.end + 2 };
            if self.waiting.len() < whole {
                return Ok(());
            }
            if length > 0 && &self.waiting[data.end..whole] != b"\r\n" {
                return Err(wrong());
            }
            see(&self.waiting[data.clone()])?;
            let digest = HEXLOWER.encode(&Sha256::digest(&self.waiting[data]));
            let signature = self.seed.next(CHUNK, &[hash(b""), digest]);
            out.extend_from_slice(size.as_bytes());
            out.extend_from_slice(MARK.as_bytes());
            out.extend_from_slice(signature.as_bytes());
            out.extend_from_slice(&self.waiting[end..whole]);
            self.last_seen = length == 0;
            self.waiting.drain(..whole);
        }
        self.trailers(out)
    }

    /// The lines behind the last chunk: signed together where they say so.
    fn trailers(&mut self, out: &mut Vec<u8>) -> Result<(), Stop> {
        if self.waiting.len() > 16 << 10 {
            return Err(wrong());
        }
        let text = std::str::from_utf8(&self.waiting).map_err(|_| wrong())?;
        let Some(at) = text.find(TRAILER_MARK) else {
            // Nothing but the last line break is complete without a signature.
            if text == "\r\n" {
                out.extend_from_slice(&std::mem::take(&mut self.waiting));
            }
            return Ok(());
        };
        let Some(end) = text[at..].find("\r\n\r\n") else { return Ok(()) };
        let lines: String = text[..at].lines().filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
        let signature = self.seed.next(TRAILER, &[hash(lines.as_bytes())]).to_owned();
        out.extend_from_slice(&text.as_bytes()[..at + TRAILER_MARK.len()]);
        out.extend_from_slice(signature.as_bytes());
        out.extend_from_slice(&text.as_bytes()[at + end..]);
        self.waiting.clear();
        Ok(())
    }

    /// Whether the upload came to its end.
    pub(in crate::broker) fn end(&self) -> Result<(), Stop> {
        if self.last_seen && self.waiting.is_empty() { Ok(()) } else { Err(wrong()) }
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().take(LONGEST_LINE).position(|b| *b == b'\r').filter(|at| bytes.get(at + 1) == Some(&b'\n'))
}

fn wrong() -> Stop {
    Stop::malformed("the chunks of the signed upload are not understood")
}
