//! The one form of a request that is signed.
//!
//! Owns AWS's rules for it: which bytes are percent-encoded, how headers and fields are sorted and trimmed. S3
//! takes a path as it is sent; every other service has it normalised and encoded once more.

use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use zeroize::Zeroizing;

use crate::broker::stop::Stop;

/// Whether a slash is one of the bytes that are encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slash {
    Kept,
    Encoded,
}

/// The canonical request. It holds a session's real token where that is signed, so it wipes itself.
pub(super) fn request(
    parts: &Parts,
    host: &str,
    signed: &[String],
    payload: &str,
    service: &str,
) -> Result<Zeroizing<Vec<u8>>, Stop> {
    let mut out = Zeroizing::new(Vec::with_capacity(16 << 10));
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b'\n');
    path(parts.uri.path(), service, &mut out)?;
    out.push(b'\n');
    query(parts.uri.query().unwrap_or_default(), &mut out)?;
    out.push(b'\n');
    for name in signed {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if name == "host" {
            out.extend_from_slice(host.as_bytes());
        } else {
            let mut values = parts.headers.get_all(name).iter().peekable();
            if values.peek().is_none() {
                return Err(Stop::malformed(format!(
                    "the header `{name}` is signed and cannot be passed on"
                )));
            }
            for (at, value) in values.enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                trimmed(value, &mut out);
            }
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(signed.join(";").as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload.as_bytes());
    Ok(out)
}

fn path(path: &str, service: &str, out: &mut Zeroizing<Vec<u8>>) -> Result<(), Stop> {
    if service == "s3" {
        let plain = decode(path).ok_or_else(|| Stop::malformed("the path is not encoded as it should be"))?;
        encode(plain.as_bytes(), Slash::Kept, out);
        return Ok(());
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    for segment in &kept {
        out.push(b'/');
        encode(segment.as_bytes(), Slash::Encoded, out);
    }
    if kept.is_empty() || path.ends_with('/') {
        out.push(b'/');
    }
    Ok(())
}

fn query(query: &str, out: &mut Zeroizing<Vec<u8>>) -> Result<(), Stop> {
    let wrong = || Stop::malformed("the query is not encoded as it should be");
    let mut fields = Vec::new();
    for field in query.split('&').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        if name == "X-Amz-Signature" {
            continue;
        }
        let mut both = [Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new())];
        for (text, encoded) in [name, value].iter().zip(&mut both) {
            let plain = Zeroizing::new(decode(text).ok_or_else(wrong)?);
            encode(plain.as_bytes(), Slash::Encoded, encoded);
        }
        fields.push(both);
    }
    fields.sort_unstable_by(|[a, x], [b, y]| (a.as_slice(), x.as_slice()).cmp(&(b.as_slice(), y.as_slice())));
    for (at, [name, value]) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
    Ok(())
}

/// Without space around it, and with one for many within.
fn trimmed(value: &HeaderValue, out: &mut Zeroizing<Vec<u8>>) {
    let mut space = false;
    for byte in value.as_bytes().trim_ascii() {
        if *byte != b' ' || !space {
            out.push(*byte);
        }
        space = *byte == b' ';
    }
}

/// `None` where the text is not encoded as it should be.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
        plain.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(plain).ok()
}

/// Encodes every byte but the unreserved ones.
pub(super) fn encode(text: &[u8], slash: Slash, out: &mut Zeroizing<Vec<u8>>) {
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) || (*byte == b'/' && slash == Slash::Kept) {
            out.push(*byte);
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}
