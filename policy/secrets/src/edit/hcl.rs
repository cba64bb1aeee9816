//! HCL as far as it is data: Terraform's `*.tfvars` and `.terraformrc`.
//!
//! A strict walker that keeps spans. Names with literal values, blocks, lists and objects are understood;
//! whatever must be evaluated (a template, a reference, a call) is an error, since what it holds is known to
//! Terraform alone.

use alloc::string::String;
use alloc::vec::Vec;

use super::style::Style;
use super::{Field, Unparsable, at};
use crate::value::Rule;

const DEEPEST: usize = 128;

pub(super) fn fields(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let mut walker = Walker { bytes, at: 0, path: String::new(), found: Vec::new() };
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        walker.at = 3;
    }
    walker.body(0)?;
    match walker.peek() {
        None => Ok(walker.found),
        Some(_) => Err(walker.error("a `}` without its `{`")),
    }
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    path: String,
    found: Vec<Field>,
}

/// Whether a line's end is a blank or ends what came before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Skipped,
    Kept,
}

impl Walker<'_> {
    fn error(&self, reason: &'static str) -> Unparsable {
        at(self.bytes, self.at, reason)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn takes(&mut self, text: &[u8]) -> bool {
        let is_next = self.bytes[self.at..].starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    fn space(&mut self, lines: Lines) -> Result<(), Unparsable> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\n') if lines == Lines::Skipped => self.at += 1,
                Some(b'#') => self.comment(1),
                Some(b'/') if self.bytes[self.at..].starts_with(b"//") => self.comment(2),
                Some(b'/') if self.bytes[self.at..].starts_with(b"/*") => {
                    match crate::url::find(self.bytes, b"*/", self.at + 2) {
                        Some(end) => self.at = end + 2,
                        None => return Err(self.error("a comment has no end")),
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// A secret that was commented out is still a secret: a line that reads as a name with a string is one.
    fn comment(&mut self, mark: usize) {
        let end = self.line_end();
        let mut inside = Walker {
            bytes: &self.bytes[..end],
            at: self.at + mark,
            path: self.path.clone(),
            found: Vec::new(),
        };
        let blanks = |bytes: &[u8]| bytes.iter().take_while(|b| b"#/ \t".contains(b)).count();
        inside.at += blanks(&inside.bytes[inside.at..]);
        let begins = inside.word().is_some_and(|name| {
            inside.step(&name);
            inside.at += blanks(&inside.bytes[inside.at..]);
            inside.takes(b"=")
        });
        if begins {
            inside.at += blanks(&inside.bytes[inside.at..]);
            // What is no string is a remark that has an equals sign in it.
            if inside.peek() == Some(b'"') && inside.string_value().is_ok() {
                self.found.append(&mut inside.found);
            }
        }
        self.at = end;
    }

    fn line_end(&self) -> usize {
        self.bytes[self.at..].iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |p| self.at + p)
    }

    /// Attributes and blocks, up to a `}` or the end.
    fn body(&mut self, depth: usize) -> Result<(), Unparsable> {
        if depth > DEEPEST {
            return Err(self.error("nested too deeply"));
        }
        loop {
            self.space(Lines::Skipped)?;
            if matches!(self.peek(), None | Some(b'}')) {
                return Ok(());
            }
            let name = self.word().ok_or_else(|| self.error("expected a name"))?;
            let length = self.path.len();
            self.step(&name);
            self.space(Lines::Kept)?;
            if self.takes(b"=") {
                self.space(Lines::Kept)?;
                self.value(depth)?;
            } else {
                self.block(depth)?;
            }
            self.path.truncate(length);
            self.space(Lines::Kept)?;
            if !matches!(self.peek(), None | Some(b'\n' | b'}')) {
                return Err(self.error("something follows the value"));
            }
        }
    }

    /// Labels, then a body in braces.
    fn block(&mut self, depth: usize) -> Result<(), Unparsable> {
        loop {
            self.space(Lines::Kept)?;
            match self.peek() {
                Some(b'{') => break,
                Some(b'"') => drop(self.string()?),
                _ => drop(self.word().ok_or_else(|| self.error("expected `=` or a block"))?),
            }
        }
        self.at += 1;
        self.body(depth + 1)?;
        if self.takes(b"}") { Ok(()) } else { Err(self.error("a block has no end")) }
    }

    fn value(&mut self, depth: usize) -> Result<(), Unparsable> {
        if depth > DEEPEST {
            return Err(self.error("nested too deeply"));
        }
        match self.peek() {
            Some(b'"') => self.string_value(),
            Some(b'<') => self.heredoc(),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => match self.word().as_deref() {
                Some("true" | "false" | "null") => Ok(()),
                _ => Err(self.error("a value that must be evaluated")),
            },
            None => Err(self.error("a value is missing")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<(), Unparsable> {
        self.at += 1;
        loop {
            self.space(Lines::Skipped)?;
            if self.takes(b"]") {
                return Ok(());
            }
            self.value(depth + 1)?;
            self.space(Lines::Skipped)?;
            if !self.takes(b",") && self.peek() != Some(b']') {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Unparsable> {
        self.at += 1;
        loop {
            self.space(Lines::Skipped)?;
            if self.takes(b"}") {
                return Ok(());
            }
            let key = match self.peek() {
                Some(b'"') => String::from_utf8_lossy(&self.string()?).into_owned(),
                _ => self.word().ok_or_else(|| self.error("expected a key or `}`"))?,
            };
            let length = self.path.len();
            self.step(&key);
            self.space(Lines::Kept)?;
            if !self.takes(b"=") && !self.takes(b":") {
                return Err(self.error("expected `=`"));
            }
            self.space(Lines::Kept)?;
            self.value(depth + 1)?;
            self.path.truncate(length);
            self.space(Lines::Kept)?;
            if !self.takes(b",") && !matches!(self.peek(), Some(b'\n' | b'}')) {
                return Err(self.error("expected `,`, a new line or `}`"));
            }
        }
    }

    fn number(&mut self) -> Result<(), Unparsable> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
        let text = core::str::from_utf8(&rest[..length]).unwrap_or("");
        if text.parse::<f64>().is_err() {
            return Err(self.error("not a number"));
        }
        self.at += length;
        Ok(())
    }

    fn string_value(&mut self) -> Result<(), Unparsable> {
        let start = self.at;
        let value = self.string()?;
        self.push(start, self.at, Style::Hcl, value);
        Ok(())
    }

    fn push(&mut self, start: usize, end: usize, style: Style, value: Vec<u8>) {
        let path = self.path.clone();
        self.found.push(Field { span: start..end, path, style, value, rule: Rule::ByRules });
    }

    fn string(&mut self) -> Result<Vec<u8>, Unparsable> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let rest = &self.bytes[self.at..];
            match rest {
                [] | [b'\n', ..] => return Err(self.error("a string has no end")),
                [b'"', ..] => {
                    self.at += 1;
                    return match core::str::from_utf8(&out) {
                        Ok(_) => Ok(out),
                        Err(_) => Err(self.error("not UTF-8")),
                    };
                }
                [b'\\', ..] => self.escape(&mut out)?,
                // Doubled, it stands for itself.
                [mark @ (b'$' | b'%'), again, b'{', ..] if mark == again => {
                    out.extend([*mark, b'{']);
                    self.at += 3;
                }
                [b'$' | b'%', b'{', ..] => return Err(self.error("a template, which must be evaluated")),
                [byte, ..] => {
                    out.push(*byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Unparsable> {
        let letter = self.bytes.get(self.at + 1).copied();
        let simple = match letter {
            Some(b'n') => Some(b'\n'),
            Some(b'r') => Some(b'\r'),
            Some(b't') => Some(b'\t'),
            Some(b'"' | b'\\') => letter,
            _ => None,
        };
        if let Some(byte) = simple {
            out.push(byte);
            self.at += 2;
            return Ok(());
        }
        let digits = match letter {
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => return Err(self.error("an unknown escape")),
        };
        let text = self.bytes.get(self.at + 2..self.at + 2 + digits);
        let code = text.and_then(|t| {
            t.iter().try_fold(0_u32, |n, d| Some(n.checked_mul(16)? + (*d as char).to_digit(16)?))
        });
        let Some(letter) = code.and_then(char::from_u32) else {
            return Err(self.error("an escape names no character"));
        };
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += 2 + digits;
        Ok(())
    }

    /// `<<WORD`, lines, and a line that is the word; with `<<-` the lines' common indentation is no part of it.
    fn heredoc(&mut self) -> Result<(), Unparsable> {
        if !self.takes(b"<<") {
            return Err(self.error("a value that must be evaluated"));
        }
        let indented = self.takes(b"-");
        let word = self.word().ok_or_else(|| self.error("expected a word behind `<<`"))?;
        let first = self.line_end();
        if !self.bytes[self.at..first].trim_ascii().is_empty() || first == self.bytes.len() {
            return Err(self.error("something follows the word of a text"));
        }
        let start = first + 1;
        self.at = start;
        let mut indents = usize::MAX;
        loop {
            let end = self.line_end();
            let line = &self.bytes[self.at..end];
            if line.trim_ascii() == word.as_bytes() {
                break;
            }
            if end == self.bytes.len() {
                return Err(self.error("a text has no end"));
            }
            if line.windows(2).any(|two| two == b"${" || two == b"%{") {
                return Err(self.error("a template, which must be evaluated"));
            }
            if !line.trim_ascii().is_empty() {
                indents = indents.min(line.iter().take_while(|b| **b == b' ').count());
            }
            self.at = end + 1;
        }
        let content = &self.bytes[start..self.at];
        if core::str::from_utf8(content).is_err() {
            return Err(self.error("not UTF-8"));
        }
        let cut = if indented && indents != usize::MAX { indents } else { 0 };
        let mut value = Vec::new();
        for line in content.split_inclusive(|b| *b == b'\n') {
            value.extend_from_slice(line.get(cut..).unwrap_or(b"\n"));
        }
        let style = if cut > 0 { Style::Block } else { Style::Verbatim };
        let end = self.at;
        self.at = self.line_end();
        if start < end {
            self.push(start, end, style, value);
        }
        Ok(())
    }

    /// An identifier, or a number as a key has it.
    fn word(&mut self) -> Option<String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-".contains(b)).count();
        self.at += length;
        (length > 0).then(|| String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn step(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }
}
