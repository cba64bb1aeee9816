//! `NAME=value` lines: `.env` files and shell start-up files.
//!
//! A `.env` line is blank, a comment, an assignment or `export NAME`; anything else is an error, because
//! parsers disagree about it and one of them may see a secret there. A shell file is a program: we take the
//! assignments in it and let the rest pass by what the text itself shows.

use alloc::string::String;
use alloc::vec::Vec;

use super::style::Style;
use super::{Field, Unparsable, at};
use crate::names::{NameSays, says};
use crate::value::Rule;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Dotenv,
    Shell,
}

pub(super) fn fields(bytes: &[u8], dialect: Dialect) -> Result<Vec<Field>, Unparsable> {
    let mut out = Vec::new();
    let mut pos = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    while pos < bytes.len() {
        pos = line(bytes, pos, dialect, &mut out)?;
    }
    Ok(out)
}

/// Takes one logical line in; gives the start of the next.
fn line(bytes: &[u8], start: usize, dialect: Dialect, out: &mut Vec<Field>) -> Result<usize, Unparsable> {
    let end = line_end(bytes, start);
    let mut pos = skip_blanks(bytes, start, end);
    if pos == end {
        return Ok(end + 1);
    }
    let comment = bytes[pos] == b'#';
    if comment {
        // A secret that was commented out is still a secret: read on as if it were not.
        while pos < end && (bytes[pos] == b'#' || bytes[pos] == b' ' || bytes[pos] == b'\t') {
            pos += 1;
        }
    }
    if bytes[pos..end].starts_with(b"export ") || bytes[pos..end].starts_with(b"export\t") {
        pos = skip_blanks(bytes, pos + 7, end);
    }
    let name_end = pos + bytes[pos..end].iter().take_while(|b| is_name(**b)).count();
    let mut equals = skip_blanks(bytes, name_end, end);
    if dialect == Dialect::Shell && equals != name_end {
        equals = end;
    }
    let separator = bytes.get(equals).copied().filter(|_| equals < end);
    let assigns = name_end > pos
        && (separator == Some(b'=') || (dialect == Dialect::Dotenv && !comment && separator == Some(b':')));
    if !assigns {
        // `export NAME` is a statement; a bare word may be anything, a token too.
        let exported = pos > start + 6 && name_end > pos && skip_blanks(bytes, name_end, end) == end;
        return match (comment, dialect) {
            (true, _) | (_, Dialect::Shell) => Ok(end + 1),
            _ if exported => Ok(end + 1),
            _ => Err(at(bytes, pos, "neither an assignment nor a comment")),
        };
    }
    let path = String::from_utf8_lossy(&bytes[pos..name_end]).into_owned();
    let mut begin = equals + 1;
    if dialect == Dialect::Dotenv {
        begin = skip_blanks(bytes, begin, end);
    }
    match bytes.get(begin).filter(|_| begin < end) {
        Some(&quote @ (b'"' | b'\'' | b'`')) => {
            let reach = if comment { end } else { bytes.len() };
            let Some(close) = closing(bytes, begin, reach, quote) else {
                return if comment { Ok(end + 1) } else { Err(at(bytes, begin, "a quote has no end")) };
            };
            let after = bytes[close + 1..line_end(bytes, close)].trim_ascii_start();
            if dialect == Dialect::Dotenv && !comment && !(after.is_empty() || after[0] == b'#') {
                return Err(at(bytes, close + 1, "something follows the closing quote"));
            }
            // In a shell, `"a"'b'` is one word: too clever for a secret that must not be missed.
            let joined = bytes.get(close + 1).is_some_and(|b| !b" \t\r\n;&|#)".contains(b));
            if dialect == Dialect::Shell
                && joined
                && matches!(says(path.as_bytes()), NameSays::Secret | NameSays::Password)
            {
                return Err(at(bytes, close + 1, "a secret in more than one piece"));
            }
            let raw = &bytes[begin + 1..close];
            let (style, value) = match quote {
                b'"' => (Style::Double, unescape(raw)),
                b'\'' => (Style::Single, raw.to_vec()),
                _ => (Style::Verbatim, raw.to_vec()),
            };
            let span = if style == Style::Verbatim { begin + 1..close } else { begin..close + 1 };
            out.push(Field { span, path, style, value, rule: Rule::ByRules });
            Ok(match dialect {
                Dialect::Dotenv => line_end(bytes, close) + 1,
                Dialect::Shell => close + 1,
            })
        }
        _ => {
            let value_end = match dialect {
                Dialect::Dotenv => {
                    let text = &bytes[begin..end];
                    let hash = text.windows(2).position(|w| (w[0] == b' ' || w[0] == b'\t') && w[1] == b'#');
                    begin + text[..hash.unwrap_or(text.len())].trim_ascii_end().len()
                }
                Dialect::Shell => {
                    begin + bytes[begin..end].iter().take_while(|b| !b" \t\r;&|".contains(b)).count()
                }
            };
            let value = bytes[begin..value_end].to_vec();
            out.push(Field { span: begin..value_end, path, style: Style::Plain, value, rule: Rule::ByRules });
            Ok(match dialect {
                Dialect::Dotenv => end + 1,
                Dialect::Shell => value_end.max(begin) + usize::from(value_end == end),
            })
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes.get(from..).and_then(|rest| rest.iter().position(|b| *b == b'\n')).map_or(bytes.len(), |p| from + p)
}

fn skip_blanks(bytes: &[u8], from: usize, end: usize) -> usize {
    from + bytes.get(from..end).unwrap_or_default().iter().take_while(|b| b" \t\r".contains(b)).count()
}

fn closing(bytes: &[u8], open: usize, end: usize, quote: u8) -> Option<usize> {
    let mut pos = open + 1;
    while pos < end {
        match bytes[pos] {
            b'\\' if quote == b'"' => pos += 2,
            byte if byte == quote => return Some(pos),
            _ => pos += 1,
        }
    }
    None
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut pos = 0;
    while pos < raw.len() {
        if raw[pos] == b'\\' && pos + 1 < raw.len() {
            match raw[pos + 1] {
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                byte @ (b'"' | b'\\' | b'$' | b'`') => out.push(byte),
                other => out.extend([b'\\', other]),
            }
            pos += 2;
        } else {
            out.push(raw[pos]);
            pos += 1;
        }
    }
    out
}
