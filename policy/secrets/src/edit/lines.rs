//! `key = value` lines under sections: INI, npm's and git's configuration, Java properties.

use alloc::string::String;
use alloc::vec::Vec;

use super::style::Style;
use super::{Field, Unparsable, at};
use crate::value::Rule;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Ini,
    Npmrc,
    Git,
    Properties,
}

pub(super) fn fields(bytes: &[u8], dialect: Dialect) -> Result<Vec<Field>, Unparsable> {
    let mut out: Vec<Field> = Vec::new();
    let mut section = String::new();
    let mut pos = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut last_key = String::new();
    while pos < bytes.len() {
        let end = bytes[pos..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |p| pos + p);
        let line_start = pos;
        let raw = &bytes[pos..end];
        let indent = raw.len() - raw.trim_ascii_start().len();
        let text = raw.trim_ascii();
        let begin = pos + indent;
        pos = end + 1;
        let Some(&first) = text.first() else {
            if text.is_empty() {
                last_key.clear();
            }
            continue;
        };
        let comment = first == b'#' || first == b';' || (first == b'!' && dialect == Dialect::Properties);
        if !comment && first == b'[' && dialect != Dialect::Properties {
            let Some(close) = text.iter().rposition(|b| *b == b']') else {
                return Err(at(bytes, begin, "a section has no end"));
            };
            section = String::from_utf8_lossy(text[1..close].trim_ascii()).replace('"', "");
            last_key.clear();
            continue;
        }
        // An indented line goes on with the value before, in INI as Python reads it.
        if dialect == Dialect::Ini && indent > 0 && !last_key.is_empty() && !comment {
            let equals = text.iter().position(|b| *b == b'=');
            let nested = equals.is_some_and(|e| e > 0);
            if !nested {
                out.push(field(begin, text, &section, &last_key, Style::Plain));
                continue;
            }
        }
        let body_at =
            if comment { begin + text.iter().take_while(|b| b"#;! \t".contains(b)).count() } else { begin };
        let body = &bytes[body_at..begin + text.len()];
        let Some(split) = separator(body, dialect) else {
            if comment
                || dialect == Dialect::Git
                || dialect == Dialect::Properties
                || dialect == Dialect::Npmrc
                || is_word(body)
            {
                continue;
            }
            return Err(at(bytes, line_start, "neither a section nor a key with a value"));
        };
        let key = String::from_utf8_lossy(body[..split].trim_ascii()).into_owned();
        if comment && !is_word(key.as_bytes()) {
            continue;
        }
        let after = &body[split + 1..];
        let value_at = body_at + split + 1 + (after.len() - after.trim_ascii_start().len());
        let value = after.trim_ascii();
        if !comment {
            last_key.clone_from(&key);
        }
        let continued =
            !comment && value.ends_with(b"\\") && matches!(dialect, Dialect::Git | Dialect::Properties);
        if continued {
            return Err(at(bytes, line_start, "a value that goes on in the next line"));
        }
        let quoted =
            value.len() >= 2 && (value[0] == b'"' || value[0] == b'\'') && value[value.len() - 1] == value[0];
        if quoted && dialect != Dialect::Properties {
            let inner = &value[1..value.len() - 1];
            if dialect == Dialect::Git && inner.contains(&b'\\') {
                let mut f = field(value_at, value, &section, &key, Style::Double);
                f.value = inner.iter().copied().filter(|b| *b != b'\\').collect();
                out.push(f);
            } else {
                out.push(field(value_at + 1, inner, &section, &key, Style::Plain));
            }
            continue;
        }
        let mut f = field(
            value_at,
            value,
            &section,
            &key,
            if dialect == Dialect::Properties { Style::Properties } else { Style::Plain },
        );
        if dialect == Dialect::Properties {
            f.value = unescape(value);
        }
        out.push(f);
    }
    Ok(out)
}

fn field(start: usize, value: &[u8], section: &str, key: &str, style: Style) -> Field {
    let mut path = String::from(section);
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
    Field { span: start..start + value.len(), path, style, value: value.to_vec(), rule: Rule::ByRules }
}

fn separator(body: &[u8], dialect: Dialect) -> Option<usize> {
    match dialect {
        Dialect::Ini | Dialect::Properties => body.iter().position(|b| *b == b'=' || *b == b':'),
        Dialect::Npmrc | Dialect::Git => body.iter().position(|b| *b == b'='),
    }
    .filter(|at| *at > 0)
}

fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"_.-:/@".contains(b))
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(other) => out.push(*other),
            None => {}
        }
    }
    out
}
