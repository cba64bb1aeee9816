//! How a value is quoted where it stands, and how another is written in its place.

use alloc::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is, on one line.
    Plain,
    /// As it is, lines too.
    Verbatim,
    /// Between double quotes with backslash escapes.
    Double,
    /// Between single quotes; nothing is escaped.
    Single,
    /// A JSON string.
    Json,
    /// A string of HCL, in which `${` begins a template.
    Hcl,
    /// Between double quotes, as fish reads them.
    FishDouble,
    /// Between single quotes, in which fish has two escapes.
    FishSingle,
    /// Without quotes, as fish reads it.
    FishPlain,
    /// `:` and `\` escaped.
    Pgpass,
    /// Java properties.
    Properties,
    /// A YAML scalar on one line.
    Yaml,
    /// The lines of a YAML block scalar.
    Block,
    /// Text or an attribute of XML.
    Xml,
}

impl Style {
    /// `value` in this style, or `None` if it cannot be written so. `raw` is what it replaces, quotes too.
    pub(super) fn encode(self, value: &[u8], raw: &[u8]) -> Option<Vec<u8>> {
        let one_line = !value.iter().any(|b| b"\r\n".contains(b));
        match self {
            Style::Verbatim => Some(value.to_vec()),
            Style::Plain => one_line.then(|| value.to_vec()),
            Style::Single => (!value.contains(&b'\'')).then(|| [b"'", value, b"'"].concat()),
            Style::Double => {
                let lines = raw.contains(&b'\n');
                let mut out = alloc::vec![b'"'];
                for byte in value {
                    match byte {
                        b'\n' if !lines => out.extend(b"\\n"),
                        b'\r' if !lines => out.extend(b"\\r"),
                        b'"' | b'\\' | b'$' | b'`' => out.extend([b'\\', *byte]),
                        _ => out.push(*byte),
                    }
                }
                out.push(b'"');
                Some(out)
            }
            Style::Json => Some(json(value)),
            Style::Hcl => Some(hcl(value)),
            Style::FishDouble => Some(quoted(value, b'"', b"\"\\$")),
            Style::FishSingle => Some(quoted(value, b'\'', b"'\\")),
            Style::FishPlain => one_line.then(|| {
                let safe = |b: &u8| b.is_ascii_alphanumeric() || b"-._/+=@:,%^".contains(b) || *b >= 0x80;
                if value.iter().all(safe) && !value.is_empty() {
                    value.to_vec()
                } else {
                    quoted(value, b'\'', b"'\\")
                }
            }),
            Style::Yaml => Some(match raw.first() {
                Some(b'\'') if one_line && !value.contains(&b'\'') => [b"'", value, b"'"].concat(),
                Some(b'"' | b'\'') => json(value),
                _ if plain_in_yaml(value) => value.to_vec(),
                _ => json(value),
            }),
            Style::Block => Some(block(value, raw)),
            Style::Xml => {
                let mut out = Vec::new();
                for byte in value {
                    match byte {
                        b'&' => out.extend(b"&amp;"),
                        b'<' => out.extend(b"&lt;"),
                        b'>' => out.extend(b"&gt;"),
                        b'"' => out.extend(b"&quot;"),
                        b'\'' => out.extend(b"&apos;"),
                        _ => out.push(*byte),
                    }
                }
                Some(out)
            }
            Style::Pgpass => one_line.then(|| {
                value
                    .iter()
                    .flat_map(|b| if b":\\".contains(b) { alloc::vec![b'\\', *b] } else { alloc::vec![*b] })
                    .collect()
            }),
            Style::Properties => {
                let mut out = Vec::new();
                for byte in value {
                    match byte {
                        b'\n' => out.extend(b"\\n"),
                        b'\r' => out.extend(b"\\r"),
                        b'\\' => out.extend(b"\\\\"),
                        _ => out.push(*byte),
                    }
                }
                Some(out)
            }
        }
    }
}

fn quoted(value: &[u8], quote: u8, escaped: &[u8]) -> Vec<u8> {
    let mut out = alloc::vec![quote];
    for byte in value {
        if escaped.contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(quote);
    out
}

/// As JSON, but for the beginning of a template.
fn hcl(value: &[u8]) -> Vec<u8> {
    let text = json(value);
    let mut out = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        if b"$%".contains(byte) && text.get(at + 1) == Some(&b'{') {
            out.push(*byte);
        }
        out.push(*byte);
    }
    out
}

fn json(value: &[u8]) -> Vec<u8> {
    let mut out = alloc::vec![b'"'];
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..=0x1f | 0x7f => {
                let digit = |n: u8| b"0123456789abcdef"[usize::from(n)];
                out.extend(b"\\u00");
                out.extend([digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}

/// Whether the value can stand without quotes and still be itself.
fn plain_in_yaml(value: &[u8]) -> bool {
    let safe = |b: &u8| b.is_ascii_alphanumeric() || b"-._~/+=@".contains(b);
    value.first().is_some_and(u8::is_ascii_alphanumeric) && value.iter().all(safe)
        || (value.iter().all(|b| safe(b) || *b == b':')
            && crate::entropy::contains(value, b"://")
            && !value.ends_with(b":"))
}

/// Each line at the indentation of the first one that was there, and the same end.
fn block(value: &[u8], raw: &[u8]) -> Vec<u8> {
    let indent = &raw[..raw.iter().take_while(|b| **b == b' ').count()];
    let mut out = Vec::with_capacity(raw.len());
    for (index, line) in value.trim_ascii_end().split(|b| *b == b'\n').enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        if !line.is_empty() {
            out.extend_from_slice(indent);
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(&raw[raw.trim_ascii_end().len()..]);
    out
}
