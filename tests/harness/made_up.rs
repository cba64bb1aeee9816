//! Made-up credentials: random, of the right form, put together at run time.
//!
//! Owns the shapes the suite plants and its own checksum code, written apart from the engine under
//! test so that one mistake cannot hide in both. No literal here looks like a token to a code host.

use std::fs::File;
use std::io::Read as _;

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const DIGITS: &[u8] = b"0123456789";
const URL_SAFE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// So many random characters of `alphabet`.
fn drawn(alphabet: &[u8], length: usize) -> String {
    let mut random = vec![0u8; length * 2];
    File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut random)).expect("read /dev/urandom");
    random
        .chunks_exact(2)
        .map(|pair| {
            let number = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
            char::from(alphabet[number % alphabet.len()])
        })
        .collect()
}

/// Letters and digits.
pub(crate) fn word(length: usize) -> String {
    drawn(BASE62, length)
}

/// A value under a secret-like name that follows no known format.
pub(crate) fn custom() -> String {
    format!("{}-{}_{}", word(12), word(9), word(14))
}

/// `ghp_` and its kin: 30 characters and their base62 CRC-32.
pub(crate) fn github(prefix: &str) -> String {
    let body = word(30);
    format!("{prefix}_{body}{}", base62_crc32(body.as_bytes()))
}

/// An npm token has the same tail as a GitHub one.
pub(crate) fn npm() -> String {
    github("npm")
}

/// Whether the last six characters are the checksum of the thirty before them.
pub(crate) fn github_checksum_holds(token: &str) -> bool {
    let Some((_, rest)) = token.split_once('_') else { return false };
    rest.len() == 36 && rest.is_ascii() && base62_crc32(&rest.as_bytes()[..30]) == rest[30..]
}

/// CRC-32 (IEEE) as six base62 digits, padded with `0`.
fn base62_crc32(bytes: &[u8]) -> String {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1));
        }
    }
    let mut rest = !crc;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    String::from_utf8_lossy(&digits).into_owned()
}

pub(crate) fn openai() -> String {
    format!("sk-{}-{}T3Blbk{}{}", "proj", drawn(URL_SAFE, 74), "FJ", drawn(URL_SAFE, 74))
}

pub(crate) fn anthropic() -> String {
    anthropic_of("api03")
}

/// A key, or a token of a login, by its middle word.
pub(crate) fn anthropic_of(word: &str) -> String {
    format!("sk-ant-{word}-{}AA", drawn(URL_SAFE, 93))
}

pub(crate) fn aws_key_id() -> String {
    format!("AK{}{}", "IA", drawn(BASE32, 16))
}

pub(crate) fn aws_secret() -> String {
    drawn(BASE64, 40)
}

pub(crate) fn aws_session_token() -> String {
    format!("IQoJb3JpZ2lu{}==", drawn(BASE64, 340))
}

pub(crate) fn slack() -> String {
    format!("xo{}-{}-{}-{}", "xb", drawn(DIGITS, 12), drawn(DIGITS, 13), word(24))
}

pub(crate) fn stripe() -> String {
    format!("sk_{}_{}", "live", word(24))
}

/// Three segments: real JSON, and a signature that nothing checks.
pub(crate) fn jwt() -> String {
    let header = base64_url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let claims =
        format!(r#"{{"sub":"{}","name":"Ada","role":"admin","iat":1700000000,"exp":4102444800}}"#, word(12));
    // Whole bytes: PyJWT will not have a last character whose spare bits are set.
    format!("{header}.{}.{}", base64_url(claims.as_bytes()), base64_url(word(32).as_bytes()))
}

pub(crate) fn base64_standard(bytes: &[u8]) -> String {
    let mut text = base64_digits(bytes, BASE64);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn base64_url(bytes: &[u8]) -> String {
    base64_digits(bytes, URL_SAFE)
}

fn base64_digits(bytes: &[u8], alphabet: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = 0u32;
        for at in 0..3 {
            group = group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..=chunk.len() {
            text.push(char::from(alphabet[(group >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// `value` as lower-case hexadecimal.
pub(crate) fn hex(value: &[u8]) -> String {
    value.iter().map(|byte| format!("{byte:02x}")).collect()
}
