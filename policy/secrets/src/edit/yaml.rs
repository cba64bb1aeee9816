//! YAML, parsed by `saphyr-parser`, whose markers tell where each scalar stands.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::style::Style;
use super::{Field, Unparsable, at, utf8};
use crate::value::Rule;

const DEEPEST: usize = 128;

/// Where we are in the document.
enum Level {
    Sequence,
    /// The key whose value comes next, or none if a key comes next.
    Mapping(Option<String>),
}

pub(super) fn fields(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let text = utf8(bytes)?;
    let mut offsets = Offsets { text, chars: 0, byte: 0 };
    let mut levels: Vec<Level> = Vec::new();
    let mut out: Vec<Field> = Vec::new();
    let mut document = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            Unparsable { line, column: error.marker().col() + 1, reason: "not valid YAML" }
        })?;
        match event {
            Event::MappingStart(..) => levels.push(Level::Mapping(None)),
            Event::SequenceStart(..) => levels.push(Level::Sequence),
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                value_done(&mut levels);
            }
            Event::Alias(_) => value_done(&mut levels),
            Event::DocumentStart(_) => {
                force_kubernetes_secret(&mut out[document..]);
                document = out.len();
            }
            Event::Scalar(value, style, _, _) => {
                if let Some(Level::Mapping(key @ None)) = levels.last_mut() {
                    *key = Some(value.to_string());
                    continue;
                }
                let start = offsets.byte_of(span.start.index());
                let end = offsets.byte_of(span.end.index());
                if let Some(field) = field(bytes, start, end, &value, style, path(&levels)) {
                    out.push(field);
                }
                value_done(&mut levels);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        if levels.len() > DEEPEST {
            return Err(at(bytes, offsets.byte, "nested too deeply"));
        }
    }
    force_kubernetes_secret(&mut out[document..]);
    Ok(out)
}

fn field(
    bytes: &[u8],
    start: usize,
    end: usize,
    value: &str,
    style: ScalarStyle,
    path: String,
) -> Option<Field> {
    let raw = bytes.get(start..end)?;
    let kept = raw.len() - raw.iter().rev().take_while(|b| b.is_ascii_whitespace()).count();
    let (style, start, end) = match style {
        // The marker stands behind the indentation of the first line; we want that too.
        ScalarStyle::Literal | ScalarStyle::Folded => {
            let indent = bytes[..start].iter().rev().take_while(|b| **b == b' ').count();
            (Style::Block, start - indent, end)
        }
        _ => (Style::Yaml, start, start + kept),
    };
    let value = value.as_bytes().to_vec();
    (start < end).then_some(Field { span: start..end, path, style, value, rule: Rule::ByRules })
}

fn path(levels: &[Level]) -> String {
    let keys = levels.iter().filter_map(|level| match level {
        Level::Mapping(Some(key)) => Some(key.as_str()),
        _ => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// After a value the next scalar of its mapping is a key. A collection as a key ends up here as well; what
/// follows it is then taken for a key, and its own path lacks a step: it is still seen.
fn value_done(levels: &mut [Level]) {
    if let Some(Level::Mapping(key)) = levels.last_mut() {
        *key = match key {
            Some(_) => None,
            None => Some(String::from("?")),
        };
    }
}

/// In a manifest of kind `Secret` every value is one, whatever its key.
fn force_kubernetes_secret(fields: &mut [Field]) {
    if fields.iter().any(|f| f.path == "kind" && f.value == b"Secret") {
        for field in
            fields.iter_mut().filter(|f| f.path.starts_with("data.") || f.path.starts_with("stringData."))
        {
            field.rule = if field.path.starts_with("data.") { Rule::ForcedBase64 } else { Rule::Forced };
        }
    }
}

/// Markers count characters; spans count bytes. Both only go forward, nearly always.
struct Offsets<'a> {
    text: &'a str,
    chars: usize,
    byte: usize,
}

impl Offsets<'_> {
    fn byte_of(&mut self, chars: usize) -> usize {
        if chars < self.chars {
            (self.chars, self.byte) = (0, 0);
        }
        let ahead = chars - self.chars;
        let rest = &self.text[self.byte..];
        self.byte += rest.char_indices().nth(ahead).map_or(rest.len(), |(at, _)| at);
        self.chars = chars;
        self.byte
    }
}
