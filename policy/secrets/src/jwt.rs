//! JSON Web Tokens: the header, times, audience and roles stay, the rest and the signature are drawn anew.

use alloc::vec::Vec;

use data_encoding::BASE64URL_NOPAD;

use crate::derive::Stream;
use crate::edit::json;

/// Claims that decide how a client behaves and identify nobody.
const KEPT: &[&str] = &[
    "alg",
    "typ",
    "exp",
    "iat",
    "nbf",
    "aud",
    "iss",
    "role",
    "roles",
    "scope",
    "scopes",
    "token_type",
    "azp",
    "ver",
    "version",
];

/// Where a token that starts at the beginning of `text` ends.
pub(crate) fn token_at(text: &[u8]) -> Option<usize> {
    if !text.starts_with(b"eyJ") {
        return None;
    }
    let in_token = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    let mut end = 0;
    for part in 0..3 {
        let len = text[end..].iter().take_while(|b| in_token(b)).count();
        if len < if part < 2 { 4 } else { 16 } {
            return None;
        }
        end += len;
        if part < 2 {
            if text.get(end) != Some(&b'.') {
                return None;
            }
            end += 1;
        }
    }
    let header = text[..end].split(|b| *b == b'.').next()?;
    let header = BASE64URL_NOPAD.decode(header).ok()?;
    (header.first() == Some(&b'{') && crate::entropy::contains(&header, b"\"alg\"")).then_some(end)
}

pub(crate) fn synthetic(stream: &mut Stream, real: &[u8]) -> Vec<u8> {
    let mut parts = real.splitn(3, |b| *b == b'.');
    let (header, payload, signature) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let mut out = header.to_vec();
    out.push(b'.');
    out.extend(fresh_payload(stream, payload));
    out.push(b'.');
    let bytes = BASE64URL_NOPAD.decode(signature).map_or(0, |b| b.len());
    if bytes > 0 {
        out.extend(BASE64URL_NOPAD.encode(&stream.bytes(bytes)).into_bytes());
    } else {
        out.extend(signature.iter().map(|b| {
            if *b == b'.' { *b } else { stream.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") }
        }));
    }
    out
}

fn fresh_payload(stream: &mut Stream, payload: &[u8]) -> Vec<u8> {
    let Ok(decoded) = BASE64URL_NOPAD.decode(payload) else {
        return crate::generic::synthetic(stream, payload, crate::generic::Symbols::Kept);
    };
    let Ok(strings) = json::strings(&decoded) else {
        // Encrypted tokens have no JSON here; any bytes do.
        return BASE64URL_NOPAD.encode(&stream.bytes(decoded.len())).into_bytes();
    };
    let mut fresh = decoded.clone();
    for string in strings {
        if KEPT.iter().any(|k| string.path.split('.').next() == Some(k)) {
            continue;
        }
        let span = string.span.start + 1..string.span.end - 1;
        let old = &decoded[span.clone()];
        // Escapes stay, so that the length does; only letters and digits change.
        if old.contains(&b'\\') {
            continue;
        }
        let new: Vec<u8> = old
            .iter()
            .map(|b| match b {
                b'0'..=b'9' => stream.pick(b"0123456789"),
                b'a'..=b'z' => stream.pick(b"abcdefghijklmnopqrstuvwxyz"),
                b'A'..=b'Z' => stream.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
                other => *other,
            })
            .collect();
        fresh[span].copy_from_slice(&new);
    }
    BASE64URL_NOPAD.encode(&fresh).into_bytes()
}
