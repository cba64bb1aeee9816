//! Files that are one secret, or a list of them: a token, keys in armour, git's stored URLs.

use alloc::string::String;
use alloc::vec::Vec;

use super::style::Style;
use super::{Field, Unparsable, at, whole_file};
use crate::value::Rule;

pub(super) fn token(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let value = bytes.trim_ascii();
    if value.is_empty() {
        return Ok(Vec::new());
    }
    if value.iter().any(|b| *b < b' ' && !b"\t\r\n".contains(b)) {
        return Err(whole_file("not text"));
    }
    let start = bytes.len() - bytes.trim_ascii_start().len();
    let path = String::new();
    Ok(alloc::vec![Field {
        span: start..start + value.len(),
        path,
        style: Style::Verbatim,
        value: value.to_vec(),
        rule: Rule::Forced
    }])
}

pub(super) fn pem(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    if !crate::entropy::contains(bytes, b"-----BEGIN ") {
        return if bytes.trim_ascii().is_empty() {
            Ok(Vec::new())
        } else {
            Err(whole_file("no armoured key"))
        };
    }
    let blocks = crate::pem::blocks(bytes).ok_or_else(|| whole_file("armour without an end"))?;
    let mut out = Vec::new();
    for block in blocks.into_iter().filter(|b| b.private) {
        let value = bytes[block.span.clone()].to_vec();
        out.push(Field {
            span: block.span,
            path: String::from("private key"),
            style: Style::Verbatim,
            value,
            rule: Rule::ByRules,
        });
    }
    Ok(out)
}

pub(super) fn urls(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let mut out = Vec::new();
    let mut start = 0;
    for line in bytes.split(|b| *b == b'\n') {
        let begin = start;
        start += line.len() + 1;
        let value = line.trim_ascii();
        if value.is_empty() || value.starts_with(b"#") {
            continue;
        }
        if !crate::entropy::contains(value, b"://") {
            return Err(at(bytes, begin, "not a URL"));
        }
        out.push(Field {
            span: begin..begin + value.len(),
            path: String::from("url"),
            style: Style::Plain,
            value: value.to_vec(),
            rule: Rule::ByRules,
        });
    }
    Ok(out)
}
