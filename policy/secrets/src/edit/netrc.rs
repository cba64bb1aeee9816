//! netrc and PostgreSQL's password file.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::style::Style;
use super::{Field, Unparsable, at};
use crate::value::Rule;

/// `machine`, `default`, `login`, `password`, `account`, `macdef`, separated by any white space.
pub(super) fn netrc(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let mut out = Vec::new();
    let mut machine = String::from("default");
    let mut pos = 0;
    while let Some(word) = next_word(bytes, &mut pos) {
        let value = |pos: &mut usize| {
            next_word(bytes, pos).ok_or_else(|| at(bytes, word.start, "a word with no value"))
        };
        match &bytes[word.clone()] {
            b"machine" => machine = String::from_utf8_lossy(&bytes[value(&mut pos)?]).into_owned(),
            b"default" => machine = String::from("default"),
            b"login" => {
                value(&mut pos)?;
            }
            b"password" | b"passwd" | b"account" => {
                let span = value(&mut pos)?;
                let raw = &bytes[span.clone()];
                let quoted = raw.len() >= 2 && raw[0] == b'"' && raw[raw.len() - 1] == b'"';
                let span = if quoted { span.start + 1..span.end - 1 } else { span };
                let inner = bytes[span.clone()].to_vec();
                out.push(Field {
                    span,
                    path: alloc::format!("{machine}.password"),
                    style: Style::Plain,
                    value: inner,
                    rule: Rule::Forced,
                });
            }
            b"macdef" => {
                value(&mut pos)?;
                pos = crate::url::find(bytes, b"\n\n", pos).map_or(bytes.len(), |p| p + 2);
            }
            text if text.starts_with(b"#") => {
                pos = bytes[word.start..]
                    .iter()
                    .position(|b| *b == b'\n')
                    .map_or(bytes.len(), |p| word.start + p);
            }
            _ => return Err(at(bytes, word.start, "an unknown word")),
        }
    }
    Ok(out)
}

/// A word, or a quoted string with its quotes.
fn next_word(bytes: &[u8], pos: &mut usize) -> Option<Range<usize>> {
    let start = *pos + bytes.get(*pos..)?.iter().position(|b| !b.is_ascii_whitespace())?;
    let mut end = start;
    if bytes[start] == b'"' {
        end += 1;
        while end < bytes.len() && bytes[end] != b'"' && bytes[end] != b'\n' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        end = (end + 1).min(bytes.len());
    } else {
        while end < bytes.len() && !bytes[end].is_ascii_whitespace() {
            end += 1;
        }
    }
    *pos = end;
    Some(start..end)
}

/// `host:port:database:user:password`, with `\:` and `\\`.
pub(super) fn pgpass(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let mut out = Vec::new();
    let mut start = 0;
    for line in bytes.split(|b| *b == b'\n') {
        let begin = start;
        start += line.len() + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut colons = Vec::new();
        let mut pos = 0;
        while pos < line.len() && colons.len() < 4 {
            match line[pos] {
                b'\\' => pos += 1,
                b':' => colons.push(pos),
                _ => {}
            }
            pos += 1;
        }
        let Some(last) = colons.get(3) else {
            if line.starts_with(b"#") {
                continue;
            }
            return Err(at(bytes, begin, "fewer than five fields"));
        };
        let raw = &line[last + 1..];
        let mut value = Vec::with_capacity(raw.len());
        let mut escaped = false;
        for byte in raw {
            if *byte == b'\\' && !escaped {
                escaped = true;
                continue;
            }
            escaped = false;
            value.push(*byte);
        }
        let host = String::from_utf8_lossy(&line[..colons[0]]).into_owned();
        out.push(Field {
            span: begin + last + 1..begin + line.len(),
            path: alloc::format!("{host}.password"),
            style: Style::Pgpass,
            value,
            rule: Rule::Forced,
        });
    }
    Ok(out)
}
