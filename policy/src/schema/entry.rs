//! Single entries of lists: whether a pattern, glob, name, path or host is one.

use super::table::Kind;
use super::telling::{Address, Reference, SinkName};
use super::words::unknown_word;
use crate::glob::{NameGlob, PathGlob};
use crate::network;
use crate::pattern::Pattern;

/// Whether one entry of a list is of its kind.
pub(crate) fn check(kind: Kind, text: &str) -> Result<(), String> {
    match kind {
        Kind::Patterns => Pattern::new(text, Vec::new()).map(drop),
        Kind::ReviewGlobs => PathGlob::new(text).map(drop).map_err(|error| error.to_string()),
        Kind::NameGlobs => NameGlob::new(text).map(drop).map_err(|error| error.to_string()),
        Kind::Paths => path(text),
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
        Kind::Hosts => network::Entry::all(text).map(drop),
        Kind::Resolve => network::Resolve::parse(text).map(drop),
        Kind::WholeHosts => network::Entry::whole_host(text).map(drop),
        Kind::Bindings => network::Binding::parse(text).map(drop),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses() {
        for good in [
            "example.com",
            "*.example.com",
            "db.internal:5432",
            "10.0.0.1",
            "[::1]:80",
            "::1",
            "a_b.c",
            "x.",
            "set:npm",
            "GET,HEAD example.com/v1/**",
            "example.com/x",
        ] {
            assert_eq!(check(Kind::Hosts, good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "https://example.com",
            "get example.com",
            "set:npn",
            "a..b",
            "*",
            "a.*.b",
            "caf\u{e9}.fr",
            "h:0",
            "h:99999",
            "a b",
        ] {
            assert!(check(Kind::Hosts, bad).is_err(), "{bad}");
        }
    }
}
