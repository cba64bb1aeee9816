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
    /// `:` and `\` escaped.
    Pgpass,
    /// Java properties.
    Properties,
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
            Style::Json => {
                let mut out = alloc::vec![b'"'];
                for byte in value {
                    match byte {
                        b'"' | b'\\' => out.extend([b'\\', *byte]),
                        b'\n' => out.extend(b"\\n"),
                        b'\r' => out.extend(b"\\r"),
                        b'\t' => out.extend(b"\\t"),
                        0..=0x1f => {
                            let digit = |n: u8| b"0123456789abcdef"[usize::from(n)];
                            out.extend(b"\\u00");
                            out.extend([digit(byte >> 4), digit(byte & 15)]);
                        }
                        _ => out.push(*byte),
                    }
                }
                out.push(b'"');
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
