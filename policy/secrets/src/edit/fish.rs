//! fish's start-up files: programs, of which we take what gives a name a value (`set`, `export`, `NAME=value
//! command`) and let the rest pass by what the text itself shows.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::style::Style;
use super::{Field, Unparsable, at};
use crate::names::{NameSays, says};
use crate::value::Rule;

/// Substitutions inside of quotes inside of substitutions.
const DEEPEST: usize = 32;

pub(super) fn fields(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let mut out = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut pos = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    while let Some(&byte) = bytes.get(pos) {
        match byte {
            b' ' | b'\t' | b'\r' => pos += 1,
            b'\\' if bytes.get(pos + 1) == Some(&b'\n') => pos += 2,
            b'\n' | b';' | b'|' | b'&' | b'(' | b')' | b'<' | b'>' => {
                command(bytes, &core::mem::take(&mut words), &mut out)?;
                pos += 1;
            }
            b'#' => pos = comment(bytes, pos, &mut out),
            _ => {
                let word = word(bytes, pos)?;
                pos = word.span.end;
                words.push(word);
            }
        }
    }
    command(bytes, &words, &mut out)?;
    out.sort_by_key(|field| field.span.start);
    Ok(out)
}

/// A secret that was commented out is still a secret: read on as if it were not, and let pass what cannot be.
fn comment(bytes: &[u8], start: usize, out: &mut Vec<Field>) -> usize {
    let end = bytes[start..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |p| start + p);
    let mut words = Vec::new();
    let mut pos = start + bytes[start..end].iter().take_while(|b| **b == b'#').count();
    while let Some(&byte) = bytes[..end].get(pos) {
        if b" \t\r;|&()<>".contains(&byte) {
            pos += 1;
            continue;
        }
        let Ok(word) = word(&bytes[..end], pos) else { return end };
        pos = word.span.end;
        words.push(word);
    }
    let mut found = Vec::new();
    if command(bytes, &words, &mut found).is_ok() {
        out.append(&mut found);
    }
    end
}

/// One word of a command, of one piece or of several: `a"b"'c'`.
struct Word {
    span: Range<usize>,
    pieces: Vec<Piece>,
}

struct Piece {
    span: Range<usize>,
    style: Style,
    /// As fish reads it, but for what it would put in place of a variable.
    value: Vec<u8>,
}

impl Word {
    fn is(&self, text: &str) -> bool {
        matches!(&self.pieces[..], [one] if one.style == Style::FishPlain && one.value == text.as_bytes())
    }

    /// The name in front of a `=`, and how long it is.
    fn assigned(&self) -> Option<&[u8]> {
        let first = self.pieces.first().filter(|piece| piece.style == Style::FishPlain)?;
        let equals = first.value.iter().position(|b| *b == b'=')?;
        let name = &first.value[..equals];
        (is_name(name) && !name.is_empty()).then_some(name)
    }
}

fn command(bytes: &[u8], words: &[Word], out: &mut Vec<Field>) -> Result<(), Unparsable> {
    if let Some(set) = words.iter().position(|word| word.is("set")) {
        let option = |word: &Word| matches!(word.pieces.first(), Some(p) if p.value.first() == Some(&b'-'));
        let mut rest = words[set + 1..].iter().skip_while(|word| option(word));
        let Some([name]) = rest.next().map(|word| &word.pieces[..]) else { return Ok(()) };
        // A place in a list may be given: `set path[1] …`.
        let name = name.value.split(|b| *b == b'[').next().unwrap_or(&name.value);
        return rest.try_for_each(|word| value(bytes, name, &word.pieces, out));
    }
    for word in words {
        let Some(name) = word.assigned() else { continue };
        let Some((first, others)) = word.pieces.split_first() else { continue };
        let begin = first.span.start + name.len() + 1;
        // What stands behind the equals sign without quotes is a piece of its own.
        let head = Piece {
            span: begin..first.span.end,
            style: Style::FishPlain,
            value: first.value[name.len() + 1..].to_vec(),
        };
        let pieces: Vec<&Piece> =
            core::iter::once(&head).filter(|p| !p.span.is_empty()).chain(others).collect();
        value(bytes, name, pieces, out)?;
    }
    Ok(())
}

fn value<'a>(
    bytes: &[u8],
    name: &[u8],
    pieces: impl IntoIterator<Item = &'a Piece>,
    out: &mut Vec<Field>,
) -> Result<(), Unparsable> {
    let mut pieces = pieces.into_iter();
    let Some(first) = pieces.next() else { return Ok(()) };
    if pieces.next().is_some() {
        return match says(name) {
            NameSays::Secret | NameSays::Password => {
                Err(at(bytes, first.span.start, "a secret in more than one piece"))
            }
            _ => Ok(()),
        };
    }
    out.push(Field {
        span: first.span.clone(),
        path: String::from_utf8_lossy(name).into_owned(),
        style: first.style,
        value: first.value.clone(),
        rule: Rule::ByRules,
    });
    Ok(())
}

fn is_name(text: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

fn word(bytes: &[u8], start: usize) -> Result<Word, Unparsable> {
    let mut pos = start;
    let mut pieces = Vec::new();
    while let Some(&byte) = bytes.get(pos) {
        let piece = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'|' | b'&' | b'(' | b')' | b'<' | b'>' => break,
            b'\'' | b'"' => {
                let end = closing(bytes, pos, byte, 0).ok_or_else(|| at(bytes, pos, "a quote has no end"))?;
                let (style, escaped): (_, &[u8]) = match byte {
                    b'"' => (Style::FishDouble, b"\"\\$"),
                    _ => (Style::FishSingle, b"'\\"),
                };
                Piece { span: pos..end + 1, style, value: unescape(&bytes[pos + 1..end], escaped) }
            }
            _ => plain(bytes, pos),
        };
        pos = piece.span.end;
        pieces.push(piece);
    }
    Ok(Word { span: start..pos, pieces })
}

fn plain(bytes: &[u8], start: usize) -> Piece {
    let mut pos = start;
    while let Some(&byte) = bytes.get(pos) {
        match byte {
            b'\\' if pos + 1 < bytes.len() => pos += 2,
            _ if b" \t\r\n;|&()<>'\"".contains(&byte) => break,
            _ => pos += 1,
        }
    }
    let raw = &bytes[start..pos];
    let mut value = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => match rest.next() {
                Some(b'n') => value.push(b'\n'),
                Some(b't') => value.push(b'\t'),
                Some(b'\n') | None => {}
                Some(other) => value.push(*other),
            },
            _ => value.push(*byte),
        }
    }
    Piece { span: start..pos, style: Style::FishPlain, value }
}

/// The quote that ends what begins at `open`. Inside of double quotes a `$(…)` may hold quotes of its own.
fn closing(bytes: &[u8], open: usize, quote: u8, depth: usize) -> Option<usize> {
    if depth > DEEPEST {
        return None;
    }
    let mut pos = open + 1;
    let mut inside = 0_usize;
    while let Some(&byte) = bytes.get(pos) {
        match byte {
            b'\\' => pos += 1,
            b'$' if quote == b'"' && bytes.get(pos + 1) == Some(&b'(') => {
                inside += 1;
                pos += 1;
            }
            b'(' if inside > 0 => inside += 1,
            b')' if inside > 0 => inside -= 1,
            b'\'' | b'"' if inside > 0 => pos = closing(bytes, pos, byte, depth + 1)?,
            _ if byte == quote => return Some(pos),
            _ => {}
        }
        pos += 1;
    }
    None
}

fn unescape(raw: &[u8], escaped: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut pos = 0;
    while pos < raw.len() {
        if raw[pos] == b'\\' && raw.get(pos + 1).is_some_and(|next| escaped.contains(next)) {
            pos += 1;
        }
        out.push(raw[pos]);
        pos += 1;
    }
    out
}
