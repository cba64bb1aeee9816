//! JSON: a strict walker that keeps spans. Comments and trailing commas are let pass, as editors' and
//! agents' settings files have them; everything else must be right to the last byte.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::style::Style;
use super::{Field, Unparsable, at};
use crate::value::Rule;

const DEEPEST: usize = 128;

/// A string value, not a key.
pub(crate) struct JsonString {
    pub(crate) path: String,
    /// With its quotes.
    pub(crate) span: Range<usize>,
    pub(crate) value: Vec<u8>,
}

/// What a document holds, as far as it matters here.
pub(super) struct Json {
    /// Every string value, in order.
    pub(super) strings: Vec<JsonString>,
    /// The paths at which `true` stands.
    pub(super) truths: Vec<String>,
}

/// Every string value, in order.
pub(crate) fn strings(bytes: &[u8]) -> Result<Vec<JsonString>, Unparsable> {
    Ok(read(bytes)?.strings)
}

pub(super) fn read(bytes: &[u8]) -> Result<Json, Unparsable> {
    let mut walker = Walker { bytes, at: 0, path: String::new(), found: Vec::new(), truths: Vec::new() };
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        walker.at = 3;
    }
    walker.space()?;
    walker.value(0)?;
    walker.space()?;
    if walker.at != bytes.len() {
        return Err(walker.error("something follows the value"));
    }
    Ok(Json { strings: walker.found, truths: walker.truths })
}

pub(super) fn fields(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    Ok(strings(bytes)?.into_iter().map(field).collect())
}

pub(super) fn field(string: JsonString) -> Field {
    let JsonString { path, span, value } = string;
    Field { span, path, style: Style::Json, value, rule: Rule::ByRules }
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    path: String,
    found: Vec<JsonString>,
    truths: Vec<String>,
}

impl Walker<'_> {
    fn error(&self, reason: &'static str) -> Unparsable {
        at(self.bytes, self.at, reason)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) -> Result<(), Unparsable> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'/') => match self.bytes.get(self.at + 1) {
                    Some(b'/') => {
                        self.at += self.bytes[self.at..].iter().take_while(|b| **b != b'\n').count()
                    }
                    Some(b'*') => match crate::url::find(self.bytes, b"*/", self.at + 2) {
                        Some(end) => self.at = end + 2,
                        None => return Err(self.error("a comment has no end")),
                    },
                    _ => return Err(self.error("unexpected character")),
                },
                _ => return Ok(()),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), Unparsable> {
        if depth > DEEPEST {
            return Err(self.error("nested too deeply"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => {
                let start = self.at;
                let value = self.string()?;
                self.found.push(JsonString { path: self.path.clone(), span: start..self.at, value });
                Ok(())
            }
            Some(b't') => {
                self.truths.push(self.path.clone());
                self.word(b"true")
            }
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error("unexpected character")),
            None => Err(self.error("unexpected end")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Unparsable> {
        self.at += 1;
        loop {
            self.space()?;
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'"') => {}
                _ => return Err(self.error("expected a key or `}`")),
            }
            let key = self.string()?;
            self.space()?;
            if self.peek() != Some(b':') {
                return Err(self.error("expected `:`"));
            }
            self.at += 1;
            self.space()?;
            let length = self.path.len();
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&String::from_utf8_lossy(&key));
            self.value(depth + 1)?;
            self.path.truncate(length);
            self.comma(b'}')?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Unparsable> {
        self.at += 1;
        loop {
            self.space()?;
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(());
            }
            self.value(depth + 1)?;
            self.comma(b']')?;
        }
    }

    /// After a member: a comma, or the end is next.
    fn comma(&mut self, end: u8) -> Result<(), Unparsable> {
        self.space()?;
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(())
            }
            Some(byte) if byte == end => Ok(()),
            _ => Err(self.error("expected `,` or the end")),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, Unparsable> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.error("a string has no end")),
                Some(b'"') => {
                    self.at += 1;
                    return if core::str::from_utf8(&out).is_ok() {
                        Ok(out)
                    } else {
                        Err(self.error("not UTF-8"))
                    };
                }
                Some(b'\\') => self.escape(&mut out)?,
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(byte) => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Unparsable> {
        let simple = match self.bytes.get(self.at + 1) {
            Some(b'"') => b'"',
            Some(b'\\') => b'\\',
            Some(b'/') => b'/',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let mut code = self.four_digits(self.at + 2)?;
                self.at += 6;
                if (0xD800..0xDC00).contains(&code) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
                    let low = self.four_digits(self.at + 2)?;
                    if (0xDC00..0xE000).contains(&low) {
                        self.at += 6;
                        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    }
                }
                let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error("an unknown escape")),
        };
        out.push(simple);
        self.at += 2;
        Ok(())
    }

    fn four_digits(&self, start: usize) -> Result<u32, Unparsable> {
        let digits = self.bytes.get(start..start + 4).ok_or_else(|| self.error("an escape is cut off"))?;
        digits
            .iter()
            .try_fold(0, |n, d| Some(n << 4 | (*d as char).to_digit(16)?))
            .ok_or_else(|| self.error("an escape has no four hex digits"))
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Unparsable> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.error("unexpected word"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Unparsable> {
        let start = self.at;
        self.at += self.bytes[start..].iter().take_while(|b| b"+-.0123456789eE".contains(b)).count();
        let text = core::str::from_utf8(&self.bytes[start..self.at]).unwrap_or("");
        if text.parse::<f64>().is_err() || text.starts_with('+') {
            self.at = start;
            return Err(self.error("not a number"));
        }
        Ok(())
    }
}
