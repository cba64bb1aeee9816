//! The slow second pass: undoes what a program may do to text before sending it, and scans again.
//!
//! Owns the layers and their limits. Never part of the stream scan: it is for bodies that are held whole, such
//! as a request or a file about to be promoted.

use alloc::vec::Vec;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use super::needles::SHORTEST;
use super::packed::{Unfolded, gzip, zlib};
use super::{Encoding, Scanner};
use crate::registry::SecretId;

/// Layers below layers are followed this far.
const DEEPEST: usize = 3;
/// White space, and what list syntax puts between pieces.
pub(super) const BETWEEN: &[u8] = b" \t\n\x0c\r\"',;`[]()|>";
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
    /// Quoted-printable: `=3D`, and lines that go on.
    Quoted,
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

/// More would have come of a body than was asked for, so it has not been looked through.
///
/// ```
/// use shieldrun_secrets::TooMuch;
/// assert_eq!(TooMuch.to_string(), "what the body unfolds to is more than was asked for");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

impl core::fmt::Display for TooMuch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("what the body unfolds to is more than was asked for")
    }
}

impl core::error::Error for TooMuch {}

/// What is below a layer, if the body has it. Where that may be much more than the body, it is bounded.
enum Unfold {
    Bounded(fn(&[u8], usize) -> Unfolded),
    Small(fn(&[u8]) -> Option<Vec<u8>>),
}

use Unfold::{Bounded, Small};

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
        self.deep_within(body, usize::MAX).unwrap_or_default()
    }

    /// The same, for who cannot wait: no more than so many bytes are unfolded, all layers together.
    ///
    /// ```
    /// use shieldrun_secrets::{Registry, RunKey, TooMuch, substitute_env};
    /// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let scanner = registry.scanner();
    /// assert_eq!(scanner.deep_within(b"a b", 100), Ok(None));
    /// assert_eq!(scanner.deep_within(b"a b", 1), Err(TooMuch));
    /// ```
    ///
    /// # Errors
    ///
    /// Where it would have been more; then nothing is known of the body.
    pub fn deep_within(&self, body: &[u8], most: usize) -> Result<Option<DeepHit>, TooMuch> {
        let (mut layers, mut left) = (Vec::new(), most);
        self.below(body, &mut layers, &mut left)
    }

    fn below(
        &self,
        body: &[u8],
        layers: &mut Vec<Layer>,
        left: &mut usize,
    ) -> Result<Option<DeepHit>, TooMuch> {
        if self.is_empty() {
            return Ok(None);
        }
        if let Some(found) = self.table.find(body, 0, &mut None) {
            return Ok(Some(DeepHit { id: found.id, encoding: found.encoding, layers: layers.clone() }));
        }
        if layers.len() == DEEPEST {
            return Ok(None);
        }
        const UNFOLD: [(Layer, Unfold); 9] = [
            (Layer::Gzip, Bounded(gzip)),
            (Layer::Zlib, Bounded(zlib)),
            (Layer::Utf16, Small(utf16)),
            (Layer::Escapes, Small(escapes)),
            (Layer::Percent, Small(percent)),
            (Layer::Quoted, Small(quoted)),
            (Layer::Split, Small(joined)),
            (Layer::Base64, Small(base64_runs)),
            (Layer::Hex, Small(hex_runs)),
        ];
        for (layer, unfold) in UNFOLD {
            // Twice the same in a row happens only with these.
            let repeats = matches!(layer, Layer::Base64 | Layer::Percent | Layer::Escapes);
            if layers.last() == Some(&layer) && !repeats {
                continue;
            }
            let inner = match unfold {
                Bounded(unfold) => unfold(body, *left)?,
                Small(unfold) => unfold(body),
            };
            if let Some(inner) = inner {
                *left = left.checked_sub(inner.len()).ok_or(TooMuch)?;
                layers.push(layer);
                let hit = self.below(&inner, layers, left)?;
                layers.pop();
                if hit.is_some() {
                    return Ok(hit);
                }
            }
        }
        Ok(None)
    }
}

/// The bytes without the zeros between them, wherever there are one to three behind each: UTF-16 and UTF-32 of either
/// order, in whatever stands around.
fn utf16(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut from = 0;
    while let Some(zero) = memchr::memchr(0, body.get(from..)?).map(|at| from + at) {
        let (begin, start) = (out.len(), zero.saturating_sub(1).max(from));
        let (mut zeros, mut end) = (0, start);
        for byte in &body[start..] {
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            let is_apart = end == start || zeros > 0 || body[end - 1] == 0;
            if zeros > 3 || !is_apart {
                break;
            }
            if *byte != 0 {
                out.push(*byte);
            }
            end += 1;
        }
        if out.len() - begin < SHORTEST {
            out.truncate(begin);
        } else {
            out.push(b'\n');
        }
        from = end.max(zero + 1);
    }
    (!out.is_empty()).then_some(out)
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

/// As mail writes it: `=2D`, and a `=` at the end of a line that goes on. A single `=41` may be anything. The first of a
/// word may be that of a field, `name=value`, and no escape: both readings, one after the other.
fn quoted(body: &[u8]) -> Option<Vec<u8>> {
    const ENOUGH: usize = 2;
    let digit = |digit: &u8| b"0123456789ABCDEF".iter().position(|own| own == digit);
    let (mut out, mut named, mut at, mut seen) = (Vec::new(), Vec::new(), 0, 0);
    let mut is_first = true;
    while let Some(next) = memchr::memchr(b'=', body.get(at..)?).map(|next| at + next) {
        let before = &body[at..next];
        is_first |= before.iter().any(|b| b"&?;, \t\r\n\"'".contains(b));
        out.extend_from_slice(before);
        named.extend_from_slice(before);
        let (byte, length, count) = match &body[next + 1..] {
            [b'\r', b'\n', ..] => (None, 3, ENOUGH),
            [b'\n', ..] => (None, 2, ENOUGH),
            [high, low, ..] => match digit(high).zip(digit(low)) {
                Some((high, low)) => {
                    let byte = (high << 4 | low) as u8;
                    (Some(byte), 3, if byte.is_ascii_punctuation() { ENOUGH } else { 1 })
                }
                None => (Some(b'='), 1, 0),
            },
            _ => (Some(b'='), 1, 0),
        };
        out.extend(byte);
        if is_first && byte.is_some() {
            named.extend_from_slice(&body[next..next + length]);
        } else {
            named.extend(byte);
        }
        (at, seen, is_first) = (next + length, seen + count, false);
    }
    if seen < ENOUGH {
        return None;
    }
    for reading in [&mut out, &mut named] {
        reading.extend_from_slice(&body[at..]);
    }
    Some(if out == named { out } else { [out, named].join(&b'\n') })
}

/// The text without white space and what list syntax puts between pieces.
fn joined(body: &[u8]) -> Option<Vec<u8>> {
    const SPACE: Set = set(b" \t\n\x0c\r");
    const LIST: Set = set(BETWEEN);
    let bare = without(body, &SPACE);
    let unlisted = without(bare.as_deref().unwrap_or(body), &LIST);
    match (bare, unlisted) {
        (Some(bare), Some(unlisted)) => Some([bare, unlisted].join(&b'\n')),
        (bare, unlisted) => bare.or(unlisted),
    }
}

type Set = [bool; 256];

const fn set(bytes: &[u8]) -> Set {
    let (mut all, mut at) = ([false; 256], 0);
    while at < bytes.len() {
        all[bytes[at] as usize] = true;
        at += 1;
    }
    all
}

/// What is left of a text without some bytes, if it has any of them.
fn without(text: &[u8], some: &Set) -> Option<Vec<u8>> {
    let first = text.iter().position(|b| some[usize::from(*b)])?;
    let (before, rest) = text.split_at(first);
    let mut out = alloc::vec![0; text.len()];
    out[..first].copy_from_slice(before);
    // Each byte is written, and the next one over it where it does not stay: no branch to guess.
    let mut end = first;
    for byte in rest {
        out[end] = *byte;
        end += usize::from(!some[usize::from(*byte)]);
    }
    out.truncate(end);
    Some(out)
}

fn base64_runs(body: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: Set = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_");
    let mut out = Vec::new();
    for run in body.split(|b| !DIGITS[usize::from(*b)]) {
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

/// Whether or not the digits have spaces, colons or dashes between, as `xxd` and its friends put them: what stands
/// without any between others that do not belong to it is read as well, at one of the two shifts.
fn hex_runs(body: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: Set = set(b"0123456789abcdefABCDEF");
    const BETWEEN: Set = set(b" :\n\r\t-");
    let mut out = Vec::new();
    let mut rest = body;
    // A run begins and ends with a digit.
    while let Some(begin) = rest.iter().position(|b| DIGITS[usize::from(*b)]) {
        rest = &rest[begin..];
        let of_run = |b: &u8| DIGITS[usize::from(*b)] || BETWEEN[usize::from(*b)];
        let (run, behind) = rest.split_at(rest.iter().position(|b| !of_run(b)).unwrap_or(rest.len()));
        rest = behind;
        if run.len() < SHORTEST_RUN {
            continue;
        }
        let bare = without(run, &BETWEEN);
        let digits = bare.as_deref().unwrap_or(run);
        for shift in [0, 1] {
            let whole = digits.get(shift..).filter(|_| digits.len() >= SHORTEST_RUN).unwrap_or_default();
            out.extend(HEXLOWER_PERMISSIVE.decode(&whole[..whole.len() / 2 * 2]).unwrap_or_default());
            out.push(b'\n');
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
        assert_eq!(zlib(b"let x = 1; x @ 2; x", usize::MAX), Ok(None));
        assert_eq!(zlib(b"\x78\x9c\x4b\x4c\x04\x00", usize::MAX), Ok(Some(b"aa".to_vec())));
        for (unfold, without, with) in [
            (
                utf16 as fn(&[u8]) -> Option<Vec<u8>>,
                &b"one\0two\0\0\0\0\0three"[..],
                &b"o\0n\0e\0 \0t\0w\0o\0!\0"[..],
            ),
            (percent, &b"100 % of it"[..], &b"100%25"[..]),
            (quoted, b"a=41, b = 2", b"a=2Db=2Dc"),
            (quoted, b"a=", b"a=\r\nb"),
            (joined, b"one-word", b"two words"),
            (escapes, b"plain", b"\\x41"),
            (base64_runs, b"short/words+only", b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="),
        ] {
            assert!(unfold(without).is_none(), "{}", without.escape_ascii());
            assert!(unfold(with).is_some(), "{}", with.escape_ascii());
        }
        let text = b"before k\0 \0i\0s\0 \0K\x003\0J\0d\0 and \0\0\0a\0\0\0b\0\0\0c\0\0\0d\0\0\0e\0\0\0f\0\0\0g\0\0\0h";
        assert_eq!(utf16(text).as_deref(), Some(&b"k is K3Jd \n abcdefgh\n"[..]));
        assert_eq!(quoted(b"a= 3 =3Db=\nc==\r\n=41=").as_deref(), Some(&b"a= 3 =bc=A=\na= 3 =3Dbc=A="[..]));
        assert_eq!(quoted(b"q=E5a=2D&r=1").as_deref(), Some(&b"q\xe5a-&r=1\nq=E5a-&r=1"[..]));
        assert!(quoted(b"a=B2, b=C3d").is_some() && quoted(b"a=41").is_none());
        assert_eq!(percent(b"a+b").as_deref(), Some(&b"a b"[..]));
        assert_eq!(joined(b"a b").as_deref(), Some(&b"ab"[..]));
        assert_eq!(joined(b"['a', 'b']").as_deref(), Some(&b"['a','b']\nab"[..]));
        assert!(hex_runs(b"dead beef, and 00:11, are short; no digits").is_none());
        let (dumped, plain) = (b"x 4b 33 4a 64 38 73 4c 71 30 5a 70 58", b"12-x_4b334a643873 4c7130 5a7058.");
        for text in [dumped.as_slice(), plain] {
            let read = hex_runs(text).unwrap_or_default();
            assert!(read.windows(12).any(|read| read == b"K3Jd8sLq0ZpX"), "{}", read.escape_ascii());
        }
    }
}
