//! The interpreter of the format table: does this text have that form, and what would another of the same
//! form be, checksum and all.

use alloc::vec::Vec;
use core::ops::Range;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use crate::derive::Stream;
use crate::kinds::{Check, INDEX, Kind, Part, Set};

const MARKER: &[u8; 9] = b"SHIELDRUN";

/// A text that has a known form.
pub(crate) struct Form {
    pub(crate) kind: &'static Kind,
    pub(crate) len: usize,
    parts: Vec<(Part, Range<usize>)>,
}

/// The form of the credential that starts right here, if any. Longer than its form is another thing.
pub(crate) fn form_at(text: &[u8]) -> Option<Form> {
    let first = *text.first()?;
    INDEX.starting_with(first).find_map(|(kind, prefix)| {
        let rest = text.strip_prefix(prefix.as_bytes())?;
        let mut parts = Vec::new();
        let len = match_parts(kind.parts, rest, prefix.len(), &mut parts)?;
        Some(Form { kind, len, parts })
    })
}

/// Every known credential inside a text, left to right, none inside another.
pub(crate) fn forms_in(text: &[u8]) -> Vec<(usize, Form)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let starts = at == 0 || !text[at - 1].is_ascii_alphanumeric();
        match starts.then(|| form_at(&text[at..])).flatten() {
            Some(form) => {
                let len = form.len;
                found.push((at, form));
                at += len;
            }
            None => at += 1,
        }
    }
    found
}

fn match_parts(
    parts: &'static [Part],
    text: &[u8],
    offset: usize,
    out: &mut Vec<(Part, Range<usize>)>,
) -> Option<usize> {
    let Some((part, rest)) = parts.split_first() else {
        // The next character must not go on with what we matched.
        let over = text.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        return (!over).then_some(offset);
    };
    let mut try_len = |len: usize| {
        let depth = out.len();
        out.push((*part, offset..offset + len));
        let end = match_parts(rest, &text[len..], offset + len, out);
        if end.is_none() {
            out.truncate(depth);
        }
        end
    };
    match *part {
        Part::Lit(lit) => text.starts_with(lit.as_bytes()).then(|| try_len(lit.len())).flatten(),
        Part::Any(words) => {
            words.iter().find_map(|w| text.starts_with(w.as_bytes()).then(|| try_len(w.len())).flatten())
        }
        Part::Body(set, min, max) | Part::Kept(set, min, max) => {
            let most = text.iter().take(usize::from(max)).take_while(|b| set.has(**b)).count();
            (usize::from(min)..=most).rev().find_map(try_len)
        }
        Part::Sum(set, len) => {
            let len = usize::from(len);
            (text.len() >= len && text[..len].iter().all(|b| set.has(*b))).then(|| try_len(len)).flatten()
        }
    }
}

impl Form {
    /// The parts that are secret, as ranges of the text.
    pub(crate) fn secret_ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.parts.iter().filter(|(p, _)| matches!(p, Part::Body(..))).map(|(_, r)| r.clone())
    }

    /// Another text of the same form.
    pub(crate) fn synthetic(&self, stream: &mut Stream, real: &[u8]) -> Vec<u8> {
        let mut out = real[..self.len].to_vec();
        let mut marked = self.kind.name == "aws-access-key-id";
        if marked {
            // `AKIA7…` decodes to an account number that cannot exist, so no such key is anybody's.
            let body = self.secret_ranges().next().unwrap_or(0..0);
            draw(stream, Set::Base32, &real[body.clone()], &mut out[body.clone()]);
            out[body.start] = b'7';
            out[body.start + 1..body.start + 10].copy_from_slice(MARKER);
            return out;
        }
        for (part, range) in &self.parts {
            let Part::Body(set, _, _) = part else { continue };
            draw(stream, *set, &real[range.clone()], &mut out[range.clone()]);
            if !marked && range.len() >= 17 {
                marked = mark(*set, &mut out[range.clone()]);
            }
        }
        for (part, range) in &self.parts {
            if let Part::Sum(_, _) = part {
                let sum = self.sum(&out, range.start);
                out[range.clone()].copy_from_slice(&sum);
            }
        }
        out
    }

    fn sum(&self, text: &[u8], at: usize) -> Vec<u8> {
        let body = || {
            let range = self.secret_ranges().last().unwrap_or(0..0);
            &text[range]
        };
        let before = &text[..at];
        match self.kind.check {
            Check::None => Vec::new(),
            Check::Crc32Base62 => radix(crc32(body()), Set::Alnum.alphabet(), 6),
            Check::Sha256Base32 => BASE32_NOPAD.encode(&Sha256::digest(before)[..5]).into_bytes(),
            Check::Crc32Hex => radix(crc32(body()), b"0123456789abcdef", 8),
            Check::Crc32HexUpper => radix(crc32(before), b"0123456789ABCDEF", 8),
            Check::Crc32HexLittle => {
                let before = before.strip_suffix(b"_").unwrap_or(before);
                radix(crc32(before).swap_bytes(), b"0123456789abcdef", 8)
            }
            Check::Crc32Base36 => radix(crc32(before), Set::LowerDigit.alphabet(), 7),
        }
    }
}

/// Draws each character anew; a body of one case stays of one case.
fn draw(stream: &mut Stream, set: Set, real: &[u8], out: &mut [u8]) {
    let upper = real.iter().any(u8::is_ascii_uppercase);
    let lower = real.iter().any(u8::is_ascii_lowercase);
    let alphabet: &[u8] = match (set, upper, lower) {
        (Set::Hex, true, false) => b"0123456789ABCDEF",
        (Set::Hex, _, _) => set.alphabet(),
        (Set::Alnum, true, false) => Set::UpperDigit.alphabet(),
        (Set::Alnum, false, true) => Set::LowerDigit.alphabet(),
        _ => set.alphabet(),
    };
    let loose = matches!(set, Set::Loose | Set::Dotted | Set::Base64);
    for (byte, old) in out.iter_mut().zip(real) {
        // In the loose sets punctuation may be structure (dots between segments, padding).
        if loose && b".=~".contains(old) {
            continue;
        }
        *byte = loop {
            let drawn = stream.pick(alphabet);
            if !(loose && b".=~".contains(&drawn)) {
                break drawn;
            }
        };
    }
}

fn mark(set: Set, body: &mut [u8]) -> bool {
    let letters = body.iter().filter(|b| b.is_ascii_alphabetic());
    let lower_only = letters.clone().count() > 0 && letters.clone().all(u8::is_ascii_lowercase);
    let upper = MARKER.iter().all(|b| set.has(*b));
    let lower = MARKER.iter().all(|b| set.has(b.to_ascii_lowercase()));
    if set == Set::Hex || !(upper || lower) || body[..9].iter().any(|b| b".=~".contains(b)) {
        return false;
    }
    for (byte, letter) in body.iter_mut().zip(MARKER) {
        *byte = if (lower && lower_only) || !upper { letter.to_ascii_lowercase() } else { *letter };
    }
    true
}

fn radix(mut value: u32, digits: &[u8], width: usize) -> Vec<u8> {
    let mut out = alloc::vec![digits[0]; width];
    for place in out.iter_mut().rev() {
        *place = digits[value as usize % digits.len()];
        value /= digits.len() as u32;
    }
    out
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut c = n as u32;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[n] = c;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |c, b| TABLE[usize::from(c as u8 ^ b)] ^ (c >> 8))
}
