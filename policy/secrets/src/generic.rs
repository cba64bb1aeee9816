//! The synthetic of a value whose format nobody knows: same length, same class at each place.
//!
//! Separators stay, so what splits a value at `-`, `.` or `:` still can. A short known-looking prefix
//! (`abc_…`) stays as well.

use alloc::vec::Vec;

use data_encoding::BASE64;

use crate::derive::Stream;
use crate::kinds::Set;

/// What may stand for a symbol of the real value: safe in URLs, shells, JSON, YAML and INI alike.
const UNRESERVED: &[u8] = b"-._~";
const MARKER: &[u8; 9] = b"SHIELDRUN";

/// Where the value will be put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symbols {
    /// Separators stay as they are.
    Kept,
    /// Only RFC 3986 unreserved characters.
    Unreserved,
}

pub(crate) fn synthetic(stream: &mut Stream, real: &[u8], symbols: Symbols) -> Vec<u8> {
    let prefix = kept_prefix(real);
    let mut out: Vec<u8> = real.to_vec();
    let hex = is_hex(&real[prefix..]);
    for byte in &mut out[prefix..] {
        *byte = match *byte {
            b'0'..=b'9' if hex => stream.pick(b"0123456789"),
            b'a'..=b'f' if hex => stream.pick(b"abcdef"),
            b'A'..=b'F' if hex => stream.pick(b"ABCDEF"),
            b'0'..=b'9' => stream.pick(b"0123456789"),
            b'a'..=b'z' => stream.pick(b"abcdefghijklmnopqrstuvwxyz"),
            b'A'..=b'Z' => stream.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
            b'-' | b'.' | b'_' | b'~' => *byte,
            b':' | b'/' | b'+' | b'=' | b',' | b' ' | b'\n' | b'\r' | b'\t' if symbols == Symbols::Kept => {
                *byte
            }
            0x80.. => stream.pick(b"abcdefghijklmnopqrstuvwxyz"),
            _ => stream.pick(UNRESERVED),
        };
    }
    if !hex {
        mark(&mut out[prefix..]);
    }
    pad(stream, real, &mut out);
    if !real.iter().any(u8::is_ascii_alphanumeric) {
        for byte in &mut out {
            *byte = stream.pick(b"abcdefghijklmnopqrstuvwxyz");
        }
    }
    out
}

/// Where the real value is padded base64, so is this: the bits beyond the last byte are zero.
fn pad(stream: &mut Stream, real: &[u8], out: &mut [u8]) {
    let digits = real.iter().take_while(|b| **b != b'=').count();
    let step = match real.len() - digits {
        1 => 4,
        2 => 16,
        _ => return,
    };
    if digits < 2 || BASE64.decode_len(real.len()).is_err() || BASE64.decode(real).is_err() {
        return;
    }
    let class = |byte: u8| (byte.is_ascii_uppercase(), byte.is_ascii_lowercase());
    let alphabet = Set::Base64.alphabet().iter().step_by(step);
    let fitting: Vec<u8> = alphabet.copied().filter(|b| class(*b) == class(real[digits - 1])).collect();
    out[digits - 1] = stream.pick(&fitting);
}

/// Writes the marker over nine letters in a row where there are, each in the case that stands there.
fn mark(body: &mut [u8]) {
    if body.len() < 20 {
        return;
    }
    let Some(at) = body.windows(MARKER.len()).position(|w| w.iter().all(u8::is_ascii_alphabetic)) else {
        return;
    };
    for (byte, letter) in body[at..].iter_mut().zip(MARKER) {
        *byte = if byte.is_ascii_lowercase() { letter.to_ascii_lowercase() } else { *letter };
    }
}

/// `abc_` or `abc-` before at least 16 characters that look drawn: it names the issuer and is no secret.
fn kept_prefix(real: &[u8]) -> usize {
    let Some(at) = real.iter().position(|b| !b.is_ascii_lowercase()) else { return 0 };
    let separator = matches!(real.get(at), Some(b'_' | b'-'));
    let rest = real.get(at + 1..).unwrap_or_default();
    if (2..=7).contains(&at) && separator && crate::entropy::looks_random(rest) { at + 1 } else { 0 }
}

fn is_hex(value: &[u8]) -> bool {
    value.len() >= 16
        && value.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
        && value.iter().any(u8::is_ascii_digit)
        && !(value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase))
}
