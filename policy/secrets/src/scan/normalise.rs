//! The slow second pass: undoes what a program may do to text before sending it, and scans again.
//!
//! Owns the layers and their limits. Never part of the stream scan: it is for bodies that are held whole, such
//! as a request or a file about to be promoted.

use alloc::vec::Vec;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER;
use miniz_oxide::inflate::{decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit};

use super::{Encoding, Scanner};
use crate::registry::SecretId;

/// Layers below layers are followed this far.
const DEEPEST: usize = 3;
/// No layer may unfold to more than this.
const LARGEST: usize = 64 << 20;
/// Shorter runs of base64 are not decoded.
const SHORTEST_RUN: usize = 24;

/// What lay around a real value.
///
/// ```
/// # use shieldrun_secrets::{Layer, Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let hit = registry.scanner().deep(b"k 3 J d 8 s L q 0 Z p X v 7 R t 2 N w Y b 6 H m").unwrap();
/// assert_eq!(hit.layers, [Layer::Split]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// Percent-encoding of some bytes, or `+` for a space.
    Percent,
    /// `\u`, `\x` and the other backslash escapes.
    Escapes,
    /// White space, perhaps with quotes and commas, between the characters.
    Split,
    /// UTF-16 of either order.
    Utf16,
    /// gzip.
    Gzip,
    /// zlib.
    Zlib,
    /// Base64, over more than the value.
    Base64,
    /// Hexadecimal, over more than the value.
    Hex,
}

/// A real value below some layers.
///
/// ```
/// # use shieldrun_secrets::{Encoding, Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let hit = registry.scanner().deep(b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm").unwrap();
/// assert_eq!((hit.encoding, hit.layers.len()), (Encoding::Raw, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeepHit {
    /// Whose.
    pub id: SecretId,
    /// How it was written below the layers.
    pub encoding: Encoding,
    /// The layers, outermost first; empty if it stood there plainly.
    pub layers: Vec<Layer>,
}

/// What is below a layer, if the body has it.
type Unfold = fn(&[u8]) -> Option<Vec<u8>>;

impl Scanner {
    /// Looks for a real value in a whole body, below encodings and compression.
    ///
    /// ```
    /// use shieldrun_secrets::{Layer, Registry, RunKey, substitute_env};
    /// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let scanner = registry.scanner();
    /// let hit = scanner.deep(b"k3Jd8sLq0\nZpXv7Rt2\nNwYb6Hm").unwrap();
    /// assert_eq!(hit.layers, [Layer::Split]);
    /// ```
    pub fn deep(&self, body: &[u8]) -> Option<DeepHit> {
        let mut layers = Vec::new();
        self.below(body, &mut layers)
    }

    fn below(&self, body: &[u8], layers: &mut Vec<Layer>) -> Option<DeepHit> {
        if self.is_empty() {
            return None;
        }
        if let Some(found) = self.table.find(body, 0, &mut None) {
            return Some(DeepHit { id: found.id, encoding: found.encoding, layers: layers.clone() });
        }
        if layers.len() == DEEPEST {
            return None;
        }
        const UNFOLD: [(Layer, Unfold); 8] = [
            (Layer::Gzip, gzip),
            (Layer::Zlib, zlib),
            (Layer::Utf16, utf16),
            (Layer::Escapes, escapes),
            (Layer::Percent, percent),
            (Layer::Split, joined),
            (Layer::Base64, base64_runs),
            (Layer::Hex, hex_runs),
        ];
        for (layer, unfold) in UNFOLD {
            // Twice the same in a row happens only with these.
            let repeats = matches!(layer, Layer::Base64 | Layer::Percent | Layer::Escapes);
            if layers.last() == Some(&layer) && !repeats {
                continue;
            }
            if let Some(inner) = unfold(body) {
                layers.push(layer);
                let hit = self.below(&inner, layers);
                layers.pop();
                if hit.is_some() {
                    return hit;
                }
            }
        }
        None
    }
}

/// Every gzip member in the body, wherever it begins.
fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut from = 0;
    while let Some(at) = crate::url::find(body, &[0x1f, 0x8b, 8], from) {
        from = at + 3;
        let Some(data) = gzip_data(&body[at..]) else { continue };
        out.extend(inflate(data, 0));
        if out.len() >= LARGEST {
            break;
        }
    }
    (!out.is_empty()).then_some(out)
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

fn zlib(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for at in memchr::memchr_iter(b'x', body) {
        // Deflate with the usual window, by its four levels. The second byte makes the two a multiple of 31; where
        // it has the bit of a preset dictionary nobody can inflate what follows, and text is full of `x `.
        if matches!(body.get(at + 1), Some(0x01 | 0x5e | 0x9c | 0xda)) {
            out.extend(inflate(&body[at..], TINFL_FLAG_PARSE_ZLIB_HEADER));
            if out.len() >= LARGEST {
                break;
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

/// As much as can be inflated: a stream that is cut off has leaked its beginning.
fn inflate(data: &[u8], flags: u32) -> Vec<u8> {
    let result = if flags == 0 {
        decompress_to_vec_with_limit(data, LARGEST)
    } else {
        decompress_to_vec_zlib_with_limit(data, LARGEST)
    };
    result.unwrap_or_else(|error| error.output)
}

/// The bytes without the zeros between them, if every other byte is one.
fn utf16(body: &[u8]) -> Option<Vec<u8>> {
    let zeros = body.iter().filter(|b| **b == 0).count();
    (zeros * 3 > body.len()).then(|| body.iter().copied().filter(|b| *b != 0).collect())
}

fn escapes(body: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', body)?;
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        if body[at] != b'\\' {
            out.push(body[at]);
            at += 1;
            continue;
        }
        let number = |from: usize, digits: usize, radix: u32| {
            let text = core::str::from_utf8(body.get(from..from + digits)?).ok()?;
            u32::from_str_radix(text, radix).ok()
        };
        let (code, len) = match body.get(at + 1) {
            Some(b'u') if body.get(at + 2) == Some(&b'{') => {
                let digits = body[at + 3..].iter().take(6).take_while(|b| b.is_ascii_hexdigit()).count();
                (number(at + 3, digits, 16), digits + 4)
            }
            Some(b'u') => (number(at + 2, 4, 16), 6),
            Some(b'U') => (number(at + 2, 8, 16), 10),
            Some(b'x') => (number(at + 2, 2, 16), 4),
            Some(b'0'..=b'3') => (number(at + 1, 3, 8), 4),
            Some(b'n') => (Some(u32::from(b'\n')), 2),
            Some(b'r') => (Some(u32::from(b'\r')), 2),
            Some(b't') => (Some(u32::from(b'\t')), 2),
            Some(other) => (Some(u32::from(*other)), 2),
            None => (None, 1),
        };
        match code.and_then(char::from_u32) {
            Some(char) if len > 2 || char.is_ascii() => {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes())
            }
            _ => out.push(b'\\'),
        }
        at += if code.is_some() { len } else { 1 };
    }
    Some(out)
}

fn percent(body: &[u8]) -> Option<Vec<u8>> {
    let (escaped, spaced) = (memchr::memchr(b'%', body), memchr::memchr(b'+', body));
    // A `%` that begins no escape changes nothing, and the body itself has been looked at.
    let decode = |text: &[u8]| core::mem::take(&mut *crate::url::percent_decode(text));
    let plain = escaped.map(|_| decode(body)).filter(|text| text.len() < body.len());
    // A value may hold a `+` of its own: both readings, one after the other.
    let spaced = spaced.map(|_| {
        let spaced: Vec<u8> = body.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        if plain.is_some() { decode(&spaced) } else { spaced }
    });
    match (plain, spaced) {
        (Some(plain), Some(spaced)) => Some([plain, spaced].join(&b'\n')),
        (plain, spaced) => plain.or(spaced),
    }
}

/// The text without white space and what list syntax puts between pieces.
fn joined(body: &[u8]) -> Option<Vec<u8>> {
    let bare: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let unlisted: Vec<u8> = bare.iter().copied().filter(|b| !b"\"',;`[]()|>".contains(b)).collect();
    match (bare.len() < body.len(), unlisted.len() < bare.len()) {
        (true, true) => Some([bare, unlisted].join(&b'\n')),
        (true, false) => Some(bare),
        (false, true) => Some(unlisted),
        (false, false) => None,
    }
}

fn base64_runs(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for run in body.split(|b| !(b.is_ascii_alphanumeric() || b"+/-_".contains(b))) {
        if run.len() < SHORTEST_RUN {
            continue;
        }
        // A last character that carries no whole byte is left out, and so are spare bits.
        let whole = &run[..run.len() / 4 * 4];
        let decoded = BASE64_NOPAD.decode(whole).or_else(|_| BASE64URL_NOPAD.decode(whole));
        if let Ok(decoded) = decoded {
            out.extend(decoded);
            let tail = &run[whole.len()..];
            if tail.len() > 1 {
                let mut padded = tail.to_vec();
                padded.resize(4, b'A');
                let bytes = BASE64_NOPAD.decode(&padded).or_else(|_| BASE64URL_NOPAD.decode(&padded));
                out.extend(bytes.map(|b| b[..tail.len() - 1].to_vec()).unwrap_or_default());
            }
            out.push(b'\n');
        }
    }
    (!out.is_empty()).then_some(out)
}

fn hex_runs(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    // `xxd` and friends put spaces or colons between.
    let bare: Vec<u8> = body.iter().copied().filter(|b| !b" :\n\r\t-".contains(b)).collect();
    for text in [body, &bare] {
        for run in text.split(|b| !b.is_ascii_hexdigit()).filter(|r| r.len() >= SHORTEST_RUN) {
            for shift in [0, 1] {
                let run = &run[shift..];
                out.extend(HEXLOWER_PERMISSIVE.decode(&run[..run.len() / 2 * 2]).unwrap_or_default());
                out.push(b'\n');
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each layer that is there for nothing is a copy of the body, and below it all the others are tried once more.
    #[test]
    fn what_has_no_layer_unfolds_to_nothing() {
        for (unfold, without, with) in [
            (zlib as Unfold, &b"let x = 1; x @ 2; x"[..], &b"\x78\x9c\x4b\x4c\x04\x00"[..]),
            (percent, b"100 % of it", b"100%25"),
            (joined, b"one-word", b"two words"),
            (escapes, b"plain", b"\\x41"),
            (base64_runs, b"short/words+only", b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="),
        ] {
            assert!(unfold(without).is_none(), "{}", without.escape_ascii());
            assert!(unfold(with).is_some(), "{}", with.escape_ascii());
        }
        assert_eq!(percent(b"a+b").as_deref(), Some(&b"a b"[..]));
        assert_eq!(joined(b"a b").as_deref(), Some(&b"ab"[..]));
    }
}
