//! One mistake in a policy: where it is, what it is, and how it looks to a person.
//!
//! Owns the text of a source, cut into lines, and the excerpt with its caret. What counts as a mistake is
//! decided by the readers.

use std::fmt;

use super::document::Span;
use super::words::shown;

/// A mistake, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as it was named to us, or the option (`--network`).
    pub file: String,
    /// Line, from 1; 0 where the place is no file.
    pub line: u32,
    /// Column in characters, from 1; 0 where the place is no file.
    pub column: u32,
    /// What is wrong and what would be right, on one line.
    pub message: String,
    excerpt: Option<Excerpt>,
}

/// The source line, and where the caret stands beneath it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    line: String,
    before: usize,
    width: usize,
}

impl Diagnostic {
    /// A mistake that lies in no file: an option, or a source as a whole.
    pub(crate) fn without_place(file: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic { file: file.into(), line: 0, column: 0, message: message.into(), excerpt: None }
    }

    /// Without the line it is about, which may show what nobody should see.
    pub(crate) fn without_excerpt(self) -> Self {
        Diagnostic { excerpt: None, ..self }
    }

    /// The message and, beneath it, the source line with a caret.
    pub fn rendered(&self) -> String {
        let mut out = self.to_string();
        if let Some(excerpt) = &self.excerpt {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            out.push_str(&format!(
                "\n {number} | {}\n {gutter} | {}{}",
                excerpt.line,
                " ".repeat(excerpt.before),
                "^".repeat(excerpt.width)
            ));
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&file_name(&self.file))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// A file name is outside data too: nothing in it may move the terminal.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A source whose bytes were understood as text, cut into lines.
pub(crate) struct SourceText<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    starts: Vec<usize>,
}

impl<'a> SourceText<'a> {
    pub(crate) fn new(name: &'a str, text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for (at, byte) in bytes.iter().enumerate() {
            // A carriage return alone ends a line too, by YAML's grammar.
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                starts.push(at + 1);
            }
        }
        SourceText { name, text, starts }
    }

    /// A line without its end, by number from 1; empty where there is none.
    pub(crate) fn line(&self, number: u32) -> &'a str {
        let index = (number as usize).saturating_sub(1);
        let Some(start) = self.starts.get(index) else { return "" };
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text.get(*start..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }

    /// The span of `text[start..end]`, bytes.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let index = self.starts.partition_point(|at| *at <= start).saturating_sub(1);
        let line_start = self.starts.get(index).copied().unwrap_or(0);
        let column = self.text.get(line_start..start).map_or(0, |before| before.chars().count());
        let width =
            self.text.get(start..end).map_or(1, |inside| inside.lines().next().unwrap_or("").chars().count());
        Span::new(index + 1, column + 1, width)
    }

    pub(crate) fn diagnostic(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            file: self.name.to_owned(),
            line: span.line,
            column: span.column,
            message: message.into(),
            excerpt: Some(Excerpt::of(self.line(span.line), span)),
        }
    }
}

impl Excerpt {
    /// Cuts a long line to a window around the caret, and takes out what would move a terminal.
    fn of(line: &str, span: Span) -> Self {
        const BEFORE: usize = 50;
        const WINDOW: usize = 100;
        let column = (span.column as usize).saturating_sub(1);
        let from = if column > BEFORE + 10 { column - BEFORE } else { 0 };
        let cut: String = line.chars().skip(from).take(WINDOW).collect();
        let more = line.chars().nth(from + WINDOW).is_some();
        let cut: String = cut.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let length = cut.chars().count();
        let mut text: String = cut.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let mut before = column - from;
        if from > 0 {
            text.insert(0, '…');
            before += 1;
        }
        if more {
            text.push('…');
        }
        let room = (length + 1).saturating_sub(column - from).max(1);
        Excerpt { line: text, before, width: (span.width as usize).clamp(1, room) }
    }
}

/// The text of a source, or why it has none.
pub(crate) fn decode<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Diagnostic> {
    if bytes.len() > MOST_BYTES {
        return Err(Diagnostic::without_place(
            name,
            format!("a policy may be {} KiB long; this has {} KiB", MOST_BYTES / 1024, bytes.len() / 1024),
        ));
    }
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) if utf16 => {
            Err(Diagnostic::without_place(name, "this is UTF-16; a policy is UTF-8, so save it as that"))
        }
        Err(error) => {
            // Everything before the bad byte is text, so line and column can be told.
            let (before, rest) = bytes.split_at(error.valid_up_to());
            let before = std::str::from_utf8(before).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let start_of_line = &before[line_start..];
            let line = before.matches('\n').count() + 1;
            let column = start_of_line.chars().count() + 1;
            let byte = rest.first().copied().unwrap_or_default();
            let span = Span::new(line, column, 1);
            let shown_line = format!("{}\u{fffd}", shown_tail(start_of_line));
            Err(Diagnostic {
                file: name.to_owned(),
                line: span.line,
                column: span.column,
                message: format!("byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"),
                excerpt: Some(Excerpt { before: shown_line.chars().count() - 1, line: shown_line, width: 1 }),
            })
        }
    }
}

/// A policy is written by hand. The bound keeps a wrong file (a disk image, a log) from being read as one.
const MOST_BYTES: usize = 1024 * 1024;

fn shown_tail(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(60);
    shown(&text.chars().skip(skip).collect::<String>())
}
