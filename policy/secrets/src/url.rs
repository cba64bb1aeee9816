//! URLs with a password or token in them: only that part is replaced.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use memchr::memmem;
use zeroize::Zeroizing;

/// A searcher is not worth making for the length of an ordinary value.
const SHORT: usize = 96;

/// A secret part of a URL inside a longer text.
pub(crate) struct UrlSecret {
    pub(crate) span: Range<usize>,
    pub(crate) what: UrlPart,
    pub(crate) scheme: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UrlPart {
    Password,
    /// `https://TOKEN@host`: the user name is the credential, if it looks like one.
    User,
    /// The value of a query parameter; its name says what it is.
    Query,
}

/// Every part of every URL in `text` that could be secret.
pub(crate) fn secrets_in(text: &[u8]) -> Vec<UrlSecret> {
    let mut out = Vec::new();
    let mut from = 0;
    // One for all of them, but for a text as short as a value.
    let finder = (text.len() >= SHORT).then(|| memmem::Finder::new(b"://"));
    let next = |from| match &finder {
        Some(finder) => finder.find(text.get(from..)?).map(|at| from + at),
        None => find(text, b"://", from),
    };
    while let Some(at) = next(from) {
        let scheme_start = text[..at]
            .iter()
            .rposition(|b| !(b.is_ascii_alphanumeric() || b"+.-".contains(b)))
            .map_or(0, |p| p + 1);
        // Made for the few URLs that hold something.
        let scheme = || String::from_utf8_lossy(&text[scheme_start..at]).to_ascii_lowercase();
        let begin = at + 3;
        let end = text[begin..]
            .iter()
            .position(|b| b.is_ascii_whitespace() || b"\"'`<>".contains(b))
            .map_or(text.len(), |p| begin + p);
        from = end.max(begin);
        if scheme_start == at {
            continue;
        }
        let authority = authority_end(&text[begin..end]) + begin;
        let mut rest = begin;
        if let Some(sign) = text[begin..authority].iter().rposition(|b| *b == b'@') {
            let userinfo = begin..begin + sign;
            rest = userinfo.end + 1;
            match text[userinfo.clone()].iter().position(|b| *b == b':') {
                Some(colon) => {
                    let user = userinfo.start..userinfo.start + colon;
                    let password = user.end + 1..userinfo.end;
                    if user.len() >= 16 {
                        out.push(UrlSecret { span: user, what: UrlPart::User, scheme: scheme() });
                    }
                    if !password.is_empty() {
                        out.push(UrlSecret { span: password, what: UrlPart::Password, scheme: scheme() });
                    }
                }
                None => out.push(UrlSecret { span: userinfo, what: UrlPart::User, scheme: scheme() }),
            }
        }
        if let Some(question) = text[rest..end].iter().position(|b| *b == b'?') {
            let mut at = rest + question + 1;
            for pair in text[at..end].split(|b| b"&;#".contains(b)) {
                if let Some(equals) = pair.iter().position(|b| *b == b'=')
                    && equals + 1 < pair.len()
                {
                    out.push(UrlSecret {
                        span: at + equals + 1..at + pair.len(),
                        what: UrlPart::Query,
                        scheme: scheme(),
                    });
                }
                at += pair.len() + 1;
            }
        }
    }
    out
}

/// Where the authority ends. A password that should have been percent-encoded may hold `/`, `?` or `#`: if
/// what stands before the first of them is `user:not-a-port`, the last `@` decides.
fn authority_end(text: &[u8]) -> usize {
    let end = text.iter().position(|b| b"/?#".contains(b)).unwrap_or(text.len());
    if text[..end].contains(&b'@') {
        return end;
    }
    let Some(sign) = text.iter().rposition(|b| *b == b'@') else { return end };
    let port_like = match text[..end].iter().rposition(|b| *b == b':') {
        Some(colon) => text[colon + 1..end].iter().all(u8::is_ascii_digit),
        None => true,
    };
    if port_like { end } else { sign + 1 }
}

/// Undoes `%XX`; what is no escape stays.
pub(crate) fn percent_decode(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut at = 0;
    while at < text.len() {
        let pair = (text[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match pair.and_then(|p| Some(hex(p[0])? << 4 | hex(p[1])?)) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// Escapes everything but the unreserved characters.
pub(crate) fn percent_encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(*byte);
        } else {
            let digits = b"0123456789ABCDEF";
            out.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
    }
    out
}

pub(crate) fn is_database(scheme: &str) -> bool {
    let base = scheme.split('+').next().unwrap_or(scheme);
    [
        "postgres",
        "postgresql",
        "mysql",
        "mariadb",
        "mongodb",
        "redis",
        "rediss",
        "amqp",
        "amqps",
        "mssql",
        "sqlserver",
        "cockroachdb",
        "clickhouse",
        "oracle",
        "nats",
        "valkey",
    ]
    .contains(&base)
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|d| d as u8)
}

pub(crate) fn find(text: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    if needle.is_empty() {
        return None;
    }
    let found = if rest.len() < SHORT {
        // A letter in lower case is the worst to look for.
        let rare = needle.iter().position(|b| !b.is_ascii_lowercase()).unwrap_or(0);
        memchr::memchr_iter(needle[rare], rest)
            .filter_map(|at| at.checked_sub(rare))
            .find(|at| rest[*at..].starts_with(needle))
    } else {
        memmem::find(rest, needle)
    };
    found.map(|at| from + at)
}
