//! Which byte strings give a secret away: its parts, in each encoding, trimmed where neighbours would
//! change them.

use alloc::vec::Vec;

use data_encoding::{BASE64_NOPAD, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

use super::normalise;
use crate::entropy::{is_placeholder, tenths_of_bits};
use crate::mold::{Weak, form_of};
use crate::registry::SecretId;

/// The shortest needle. The table's stride depends on it.
pub(crate) const SHORTEST: usize = 8;
/// A longer secret is recognised by this many bytes.
const ENOUGH: usize = 64;
/// Of a secret of twice this length or more, parts of this length count as a suspicion.
const WINDOW: usize = 16;

/// How a real value was written where it was seen.
///
/// ```
/// # use shieldrun_secrets::{Encoding, Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let scanner = registry.scanner();
/// let hit = scanner.stream().feed(&scanner, b"mH6bYwN2tR7vXpZ0qLs8dJ3k").unwrap();
/// assert_eq!(hit.encoding, Encoding::Reversed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// As it is.
    Raw,
    /// Base64, standard alphabet, any alignment.
    Base64,
    /// Base64, URL alphabet, any alignment.
    Base64Url,
    /// Hexadecimal, either case.
    Hex,
    /// `%XX` for what needs it, or for every byte.
    Percent,
    /// A JSON string: `\"`, `\/`, `\u00XX`.
    Json,
    /// Quoted for a shell.
    Shell,
    /// Backwards.
    Reversed,
    /// Only a part of it: a suspicion.
    Partial,
}

/// Writes a value as some program would.
pub(crate) type Spell = fn(&[u8]) -> Vec<u8>;

/// How a text may write a value that it holds whole, where that does not depend on what stands beside it.
pub(crate) const SPELLINGS: &[(Encoding, Spell)] = &[
    (Encoding::Raw, <[u8]>::to_vec),
    (Encoding::Json, json),
    (Encoding::Json, json_slashed),
    (Encoding::Json, json_html),
    (Encoding::Shell, shell_single),
    (Encoding::Shell, shell_backslashed),
    (Encoding::Shell, shell_double),
    (Encoding::Percent, |part| percent(part, UPPER, false)),
    (Encoding::Percent, |part| percent(part, LOWER, false)),
    (Encoding::Percent, |part| percent(part, UPPER, true)),
    (Encoding::Percent, |part| percent(part, LOWER, true)),
    (Encoding::Hex, |part| HEXLOWER.encode(part).into_bytes()),
    (Encoding::Hex, |part| HEXUPPER.encode(part).into_bytes()),
    (Encoding::Reversed, |part| part.iter().rev().copied().collect()),
];

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

pub(crate) type Needle = (Zeroizing<Vec<u8>>, SecretId, Encoding);

/// Adds every needle of one secret.
pub(crate) fn of(id: SecretId, kind: &str, real: &[u8], out: &mut Vec<Needle>) {
    for part in telling_parts(kind, real) {
        encodings(&part, &mut |bytes, encoding| {
            if bytes.len() >= SHORTEST {
                out.push((Zeroizing::new(bytes), id, encoding));
            }
        });
    }
}

/// Whether a value, seen somewhere, can only have come from the secret.
///
/// Words, words with a number behind them, host names and the like occur in ordinary output; a scan for
/// them would stop runs that leak nothing.
pub(crate) fn is_needle(real: &[u8]) -> bool {
    if real.len() < SHORTEST || is_placeholder(real) {
        return false;
    }
    let mut distinct = [false; 256];
    real.iter().for_each(|b| distinct[usize::from(*b)] = true);
    if distinct.iter().filter(|d| **d).count() < 5 {
        return false;
    }
    if real.iter().all(u8::is_ascii_digit) {
        return real.len() >= 12;
    }
    // A word or two, perhaps with a number or an exclamation mark behind: `password123`, `Summer2024!`.
    let letters = real.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let cased = real[1..letters.max(1)].iter().any(u8::is_ascii_uppercase)
        && real[..letters].iter().any(u8::is_ascii_lowercase);
    let tail = &real[letters..];
    if !cased && letters < 16 && tail.len() <= 5 && tail.iter().all(|b| !b.is_ascii_alphabetic()) {
        return false;
    }
    // A host name or a path: labels of lower-case letters, split at dots, dashes or slashes.
    let wordy = real
        .split(|b| b".-_/:@ ".contains(b))
        .all(|w| w.len() < 12 && (w.iter().all(u8::is_ascii_lowercase) || w.iter().all(u8::is_ascii_digit)));
    !(wordy && tenths_of_bits(real) < 38)
}

/// The parts of a secret that are secret: without the issuer's prefix, a header that all tokens of the kind
/// share, or the armour of a key.
fn telling_parts(kind: &str, real: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let own = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
    if crate::pem::is_pem(real) {
        let lines: Vec<&[u8]> = crate::pem::body_lines(real);
        // The first lines hold what every key of the kind begins with.
        let body = lines.get(2..).filter(|l| l.len() > 1).unwrap_or(&lines);
        let step = body.len().div_ceil(64).max(1);
        // Halves, because the text may have been wrapped at another width than we keep it in: at 64 or more
        // a line break falls into one half only.
        return body
            .iter()
            .step_by(step)
            .flat_map(|l| l.chunks(32))
            .filter(|l| l.len() >= 16)
            .map(own)
            .collect();
    }
    if !is_needle(real) {
        return Vec::new();
    }
    if kind == "jwt" {
        let last = real.rsplit(|b| *b == b'.').next().unwrap_or(real);
        let telling = if last.len() >= 16 { last } else { real };
        return alloc::vec![own(&telling[..telling.len().min(ENOUGH)])];
    }
    if let Some(form) = form_of(real, Weak::Count) {
        let parts: Vec<_> = form
            .secret_ranges()
            .filter(|r| r.len() >= 12)
            .map(|r| own(&real[r.start..r.end.min(r.start + ENOUGH)]))
            .collect();
        if !parts.is_empty() {
            return parts;
        }
    }
    alloc::vec![own(&real[..real.len().min(ENOUGH)])]
}

fn encodings(part: &[u8], add: &mut impl FnMut(Vec<u8>, Encoding)) {
    if part.len() >= 2 * WINDOW {
        // Every eighth, so that any 23 bytes in a row hold one whole.
        for window in part.windows(WINDOW).step_by(8) {
            add(window.to_vec(), Encoding::Partial);
        }
    }
    add(part.iter().rev().copied().collect(), Encoding::Reversed);
    for escape in [json as fn(&[u8]) -> Vec<u8>, json_slashed, json_html] {
        add(escape(part), Encoding::Json);
    }
    for escape in [shell_single as fn(&[u8]) -> Vec<u8>, shell_backslashed, shell_double] {
        add(escape(part), Encoding::Shell);
    }
    add(part.to_vec(), Encoding::Raw);
    // Where white space, pluses or what separates a list stand between all letters, the look below takes them out,
    // and with them those of the value.
    for between in [normalise::BETWEEN, b"+", &[normalise::BETWEEN, b"+"].concat()] {
        let bare: Vec<u8> = part.iter().copied().filter(|b| !between.contains(b)).collect();
        if bare.len() < part.len() && is_needle(&bare) {
            add(bare, Encoding::Raw);
        }
    }
    for shift in 0..3 {
        let standard = base64_inside(part, shift);
        let url: Vec<u8> = standard
            .iter()
            .map(|b| match b {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        if url != standard {
            add(url, Encoding::Base64Url);
        }
        add(standard, Encoding::Base64);
    }
    let lower = HEXLOWER.encode(part).into_bytes();
    let upper = HEXUPPER.encode(part).into_bytes();
    if lower != upper {
        add(upper, Encoding::Hex);
    }
    add(lower, Encoding::Hex);
    for digits in [UPPER, LOWER] {
        for every in [false, true] {
            let percent = percent(part, digits, every);
            if percent != part {
                add(percent, Encoding::Percent);
            }
        }
    }
}

/// What is certain of the base64 of any text in which `part` begins `shift` bytes after a multiple of three.
fn base64_inside(part: &[u8], shift: usize) -> Vec<u8> {
    let mut padded = Zeroizing::new(alloc::vec![0; shift]);
    padded.extend_from_slice(part);
    let text = BASE64_NOPAD.encode(&padded).into_bytes();
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    text.get(first..last).map(<[u8]>::to_vec).unwrap_or_default()
}

fn percent(part: &[u8], digits: &[u8; 16], every: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len() * 3);
    for byte in part {
        if !every && (byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            out.push(*byte);
        } else {
            out.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
    }
    out
}

/// As `serde_json`, Python and JavaScript write it.
fn json(part: &[u8]) -> Vec<u8> {
    escaped(part, |byte, out| match byte {
        b'"' | b'\\' => out.extend([b'\\', byte]),
        b'\n' => out.extend(b"\\n"),
        b'\r' => out.extend(b"\\r"),
        b'\t' => out.extend(b"\\t"),
        0..=0x1f => unicode(byte, out),
        _ => out.push(byte),
    })
}

/// As PHP writes it.
fn json_slashed(part: &[u8]) -> Vec<u8> {
    escaped(&json(part), |byte, out| match byte {
        b'/' => out.extend(b"\\/"),
        _ => out.push(byte),
    })
}

/// As Go writes it, safe inside HTML.
fn json_html(part: &[u8]) -> Vec<u8> {
    escaped(&json(part), |byte, out| match byte {
        b'<' | b'>' | b'&' | b'\'' => unicode(byte, out),
        _ => out.push(byte),
    })
}

fn unicode(byte: u8, out: &mut Vec<u8>) {
    let digits = b"0123456789abcdef";
    out.extend(b"\\u00");
    out.extend([digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
}

fn shell_single(part: &[u8]) -> Vec<u8> {
    escaped(part, |byte, out| match byte {
        b'\'' => out.extend(b"'\\''"),
        _ => out.push(byte),
    })
}

fn shell_double(part: &[u8]) -> Vec<u8> {
    escaped(part, |byte, out| match byte {
        b'"' | b'\\' | b'$' | b'`' => out.extend([b'\\', byte]),
        _ => out.push(byte),
    })
}

/// As `printf %q` writes it.
fn shell_backslashed(part: &[u8]) -> Vec<u8> {
    escaped(part, |byte, out| match byte {
        b'a'..=b'z'
        | b'A'..=b'Z'
        | b'0'..=b'9'
        | b'_'
        | b'-'
        | b'.'
        | b'/'
        | b':'
        | b'='
        | b'+'
        | b'@'
        | b'%'
        | b',' => out.push(byte),
        _ => out.extend([b'\\', byte]),
    })
}

fn escaped(part: &[u8], write: impl Fn(u8, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len());
    part.iter().for_each(|byte| write(*byte, &mut out));
    out
}
