//! Single entries of lists: whether a pattern, glob, name, path or host is one.

use super::table::Kind;
use super::telling::{Address, Reference, SinkName};
use super::words::unknown_word;
use crate::glob::{NameGlob, PathGlob};
use crate::pattern::Pattern;

/// Whether one entry of a list is of its kind.
pub(crate) fn check(kind: Kind, text: &str) -> Result<(), String> {
    match kind {
        Kind::Patterns => Pattern::new(text, Vec::new()).map(drop),
        Kind::ReviewGlobs => PathGlob::new(text).map(drop).map_err(|error| error.to_string()),
        Kind::NameGlobs => NameGlob::new(text).map(drop).map_err(|error| error.to_string()),
        Kind::Paths => path(text),
        Kind::Hosts => host(text),
        Kind::Words { words, .. } => match words.iter().any(|known| known.word == text) {
            true => Ok(()),
            false => Err(unknown_word(text, words)),
        },
        Kind::Text => match text.is_empty() {
            true => Err("it is empty; leave the key out".to_owned()),
            false => Ok(()),
        },
        Kind::Reference => Reference::parse(text).map(drop),
        Kind::Address => Address::parse(text).map(drop),
        Kind::Command if text.contains('\0') => Err("an argument has no NUL in it".to_owned()),
        Kind::Sinks => SinkName::parse(text).map(drop),
        _ => Ok(()),
    }
}

fn path(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("an empty path names nothing".to_owned());
    }
    if text.contains('\0') {
        return Err("a path has no NUL in it".to_owned());
    }
    if text.split('/').any(|part| part == "..") {
        return Err("`..` makes it unclear which file is meant; write the path out".to_owned());
    }
    if text.starts_with('~') && !text.starts_with("~/") && text != "~" {
        return Err("only `~/` is read, not the home of another user".to_owned());
    }
    Ok(())
}

fn host(text: &str) -> Result<(), String> {
    if text.contains("://") || text.contains('/') {
        return Err("write the host alone, without scheme and path".to_owned());
    }
    let (name, port) = match text.rsplit_once(':') {
        // More than one colon without brackets is an IPv6 address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    if let Some(port) = port
        && port.parse::<u16>().map_or(true, |number| number == 0)
    {
        return Err("a port is a number from 1 to 65535".to_owned());
    }
    let name = name.strip_prefix("*.").unwrap_or(name);
    let address = name.trim_matches(['[', ']']);
    if address.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    if name.contains('*') {
        return Err("`*` stands only at the front, as `*.example.org`".to_owned());
    }
    let part_is_good = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if name.is_empty() || name.len() > 253 || !name.trim_end_matches('.').split('.').all(part_is_good) {
        return Err("this is no host name; write it in ASCII, as `host`, `*.host` or `host:port`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses() {
        for good in
            ["example.com", "*.example.com", "db.internal:5432", "10.0.0.1", "[::1]:80", "::1", "a_b.c", "x."]
        {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "https://example.com",
            "example.com/x",
            "a..b",
            "*",
            "a.*.b",
            "caf\u{e9}.fr",
            "h:0",
            "h:99999",
            "a b",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
