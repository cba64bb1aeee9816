//! XML as Maven, NuGet and .NET write it, parsed by `quick-xml`.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::style::Style;
use super::{Field, Unparsable, at, utf8};
use crate::value::Rule;

pub(super) fn fields(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let text = utf8(bytes)?;
    let mut reader = Reader::from_str(text);
    let mut names: Vec<String> = Vec::new();
    let mut out = Vec::new();
    // Text is cut at each `&entity;`, so it is put together again until a tag comes.
    let mut pending: Option<Range<usize>> = None;
    loop {
        let before = reader.buffer_position() as usize;
        let event = reader.read_event().map_err(|_| at(bytes, before, "not valid XML"))?;
        let after = reader.buffer_position() as usize;
        match &event {
            Event::Text(_) | Event::GeneralRef(_) => {
                pending = Some(pending.map_or(before, |p| p.start)..after);
                continue;
            }
            _ => {}
        }
        if let Some(span) = pending.take() {
            text_field(bytes, span, &names, &mut out);
        }
        match event {
            Event::Start(tag) => {
                attributes(bytes, before, &tag, &names, &mut out)?;
                names.push(String::from(tag.name().as_ref()));
            }
            Event::Empty(tag) => attributes(bytes, before, &tag, &names, &mut out)?,
            Event::End(_) => {
                names.pop();
            }
            Event::CData(_) => {
                let start = before + b"<![CDATA[".len();
                let value = bytes[start..after - b"]]>".len()].to_vec();
                out.push(Field {
                    span: start..start + value.len(),
                    path: names.join("."),
                    style: Style::Verbatim,
                    value,
                    rule: Rule::ByRules,
                });
            }
            Event::DocType(_) => return Err(at(bytes, before, "a document type may define entities")),
            Event::Eof if names.is_empty() => return Ok(out),
            Event::Eof => return Err(at(bytes, before, "an element has no end")),
            _ => {}
        }
    }
}

fn text_field(bytes: &[u8], span: Range<usize>, names: &[String], out: &mut Vec<Field>) {
    let raw = &bytes[span.clone()];
    let value = raw.trim_ascii();
    if value.is_empty() {
        return;
    }
    let start = span.start + raw.len() - raw.trim_ascii_start().len();
    out.push(Field {
        span: start..start + value.len(),
        path: names.join("."),
        style: Style::Xml,
        value: unescape(value),
        rule: Rule::ByRules,
    });
}

fn attributes(
    bytes: &[u8],
    tag_start: usize,
    tag: &BytesStart<'_>,
    names: &[String],
    out: &mut Vec<Field>,
) -> Result<(), Unparsable> {
    let mut all = Vec::new();
    // The tag's bytes begin after `<`.
    let content = &bytes[tag_start + 1..];
    let base = tag_start + 1;
    let mut search = tag.name().as_ref().len();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| at(bytes, tag_start, "a malformed attribute"))?;
        let key = attribute.key.as_ref();
        // Attributes come in order, so the first match behind the one before is this one.
        let found = crate::url::find(content, key.as_bytes(), search).and_then(|at| {
            Some((at, content[at..].iter().position(|b| *b == b'"' || *b == b'\'')? + at + 1))
        });
        let Some((_, value_at)) = found else { return Err(at(bytes, tag_start, "a malformed attribute")) };
        let span = base + value_at..base + value_at + attribute.value.len();
        search = value_at + attribute.value.len() + 1;
        all.push((String::from(key), span, unescape(attribute.value.as_bytes())));
    }
    // `<add key="Password" value="…"/>`: the value goes by what the key says.
    let label = all
        .iter()
        .find(|(key, _, _)| ["key", "name"].iter().any(|n| key.eq_ignore_ascii_case(n)))
        .map(|(_, _, value)| String::from_utf8_lossy(value).into_owned());
    for (key, span, value) in all {
        let name = match (&label, key.eq_ignore_ascii_case("value")) {
            (Some(label), true) => label.clone(),
            _ => key,
        };
        let path = [names.join("."), name].join(".");
        out.push(Field { span, path, style: Style::Xml, value, rule: Rule::ByRules });
    }
    Ok(())
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    match core::str::from_utf8(raw).ok().and_then(|text| quick_xml::escape::unescape(text).ok()) {
        Some(text) => text.as_bytes().to_vec(),
        None => raw.to_vec(),
    }
}
