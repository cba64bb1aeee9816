//! Armoured private keys in text: found, and replaced by throwaway keys of the same kind.
//!
//! Owns the armour and its layouts (lines, CRLF, indented, `\n` as two characters in an environment
//! variable). What is inside is `keys`' business.

mod der;
mod fermat;
mod keys;
mod openssh;
mod pool;
mod rsa;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use data_encoding::BASE64;
use zeroize::{Zeroize, Zeroizing};

use crate::derive::Stream;
use crate::generic::Symbols;
use crate::registry::{Draw, Registry, SecretId};
use crate::url::find;
use crate::value::{Context, unknown};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const WIDTH: usize = 64;
/// No key in armour is longer.
const LONGEST: usize = 128 << 10;

/// One armoured block.
pub(crate) struct Block {
    pub(crate) span: Range<usize>,
    pub(crate) private: bool,
    label: String,
    body: Range<usize>,
}

/// Every block, or `None` if one has no end.
pub(crate) fn blocks(text: &[u8]) -> Option<Vec<Block>> {
    let mut out = Vec::new();
    let mut from = 0;
    while let Some(start) = find(text, BEGIN, from) {
        let block = block_at(text, start)?;
        from = block.span.end;
        out.push(block);
    }
    Some(out)
}

/// The block that begins here, if it ends.
fn block_at(text: &[u8], start: usize) -> Option<Block> {
    let label_at = start + BEGIN.len();
    let label_end = find(text, DASHES, label_at)?;
    let label = &text[label_at..label_end];
    let body_at = label_end + DASHES.len();
    let end_mark = [END, label, DASHES].concat();
    let body_end = find(text, &end_mark, body_at)?;
    let label = String::from_utf8_lossy(label).into_owned();
    let private = label.contains("PRIVATE KEY");
    Some(Block { span: start..body_end + end_mark.len(), private, label, body: body_at..body_end })
}

/// The armour in a text of any kind: what has no end within reach is none.
pub(crate) struct Armour {
    pub(crate) blocks: Vec<Block>,
    /// The first that has no end here, but could if the text went on.
    pub(crate) open: Option<usize>,
}

/// Looks for armour in a text of any kind.
pub(crate) fn armour(text: &[u8]) -> Armour {
    let mut out = Armour { blocks: Vec::new(), open: None };
    let mut from = 0;
    while let Some(start) = find(text, BEGIN, from) {
        let reach = (start + LONGEST).min(text.len());
        match block_at(&text[..reach], start) {
            Some(block) => {
                from = block.span.end;
                out.blocks.push(block);
            }
            None => {
                from = start + BEGIN.len();
                out.open = out.open.or((reach == text.len()).then_some(start));
            }
        }
    }
    out
}

/// Adds every private key in `value` with its replacement.
pub(crate) fn in_text(
    reg: &mut Registry,
    cx: &Context<'_>,
    value: &[u8],
    spans: &mut Vec<(Range<usize>, Vec<u8>, SecretId)>,
) {
    let Some(blocks) = blocks(value) else { return };
    for block in blocks.into_iter().filter(|b| b.private) {
        let inside = &value[block.body.clone()];
        let kind = kind_of(&block.label);
        let sound = Layout::of(inside)
            .map(|layout| (layout.strip(inside), layout))
            .filter(|(body, _)| body.is_sound());
        let Some((body, layout)) = sound else {
            // Not what armour should hold, but somebody called it a private key: other characters of the same class.
            if inside.iter().any(|b| !b.is_ascii_whitespace()) {
                let id = unknown(reg, cx, kind, inside, Symbols::Kept);
                spans.push((block.body, reg.synthetic_of(id).to_vec(), id));
            }
            continue;
        };
        let real = Zeroizing::new(canonical(&block.label, &body));
        let label = &block.label;
        let id = reg.intern(kind, cx.name, cx.place, &real, Draw::Keyed, |stream, _| {
            canonical(label, &fresh_body(stream, label, &body))
        });
        let fresh = reg.synthetic_of(id).to_vec();
        spans.push((block.span, layout.lay(&fresh), id));
    }
}

/// Every private key with its kind, and whether what is inside is one.
pub(crate) fn private_keys(text: &[u8]) -> Vec<(Range<usize>, &'static str, bool)> {
    let private = armour(text).blocks.into_iter().filter(|b| b.private).map(|block| {
        let inside = &text[block.body.clone()];
        let body = Layout::of(inside).map(|layout| layout.strip(inside));
        let decodes = body.is_some_and(|b| {
            b.base64.len() >= 48
                && BASE64.decode(&b.base64).map(Zeroizing::new).is_ok_and(|d| !d.iter().all(|x| *x == d[0]))
        });
        (block.span, kind_of(&block.label), decodes)
    });
    private.collect()
}

/// Whether this is an armoured block and nothing else.
pub(crate) fn is_pem(real: &[u8]) -> bool {
    real.starts_with(BEGIN)
}

/// The lines between the armour, of a canonical block.
pub(crate) fn body_lines(real: &[u8]) -> Vec<&[u8]> {
    real.split(|b| *b == b'\n')
        .filter(|l| !l.starts_with(DASHES) && !l.is_empty() && !l.contains(&b':'))
        .collect()
}

fn kind_of(label: &str) -> &'static str {
    match label {
        "OPENSSH PRIVATE KEY" => "openssh-private-key",
        "RSA PRIVATE KEY" => "rsa-private-key",
        "EC PRIVATE KEY" => "ec-private-key",
        "PRIVATE KEY" => "private-key",
        "ENCRYPTED PRIVATE KEY" => "encrypted-private-key",
        "PGP PRIVATE KEY BLOCK" => "pgp-private-key",
        _ => "other-private-key",
    }
}

/// The same key always in one form, so that a file and an environment variable agree.
fn canonical(label: &str, body: &Body) -> Vec<u8> {
    // As much as it can take, so that no copy is left behind where it grew.
    let headers: usize = body.headers.iter().map(|header| header.len() + 1).sum();
    let room = body.base64.len() + body.base64.len() / WIDTH + headers + 2 * label.len() + 64;
    let mut out = Vec::with_capacity(room);
    for piece in [BEGIN, label.as_bytes(), DASHES, b"\n"] {
        out.extend_from_slice(piece);
    }
    for header in &body.headers {
        out.extend_from_slice(header);
        out.push(b'\n');
    }
    if !body.headers.is_empty() {
        out.push(b'\n');
    }
    for line in body.base64.chunks(WIDTH) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    if let Some(sum) = &body.checksum {
        out.extend_from_slice(sum);
        out.push(b'\n');
    }
    out.extend_from_slice(END);
    out.extend_from_slice(label.as_bytes());
    out.extend_from_slice(DASHES);
    out
}

/// What is between the armour, without its layout.
struct Body {
    headers: Vec<Vec<u8>>,
    base64: Vec<u8>,
    /// OpenPGP's `=XXXX` line.
    checksum: Option<Vec<u8>>,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.base64.zeroize();
    }
}

impl Body {
    /// Whether it reads as armour does: header lines with a name, then base64.
    fn is_sound(&self) -> bool {
        let header = |line: &Vec<u8>| {
            let name = line.iter().position(|b| *b == b':').unwrap_or(0);
            name > 0 && line[..name].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        };
        !self.base64.is_empty()
            && self.base64.iter().all(|b| crate::kinds::Set::Base64.has(*b))
            && self.headers.iter().all(header)
    }
}

fn fresh_body(stream: &mut Stream, label: &str, old: &Body) -> Body {
    let decoded = BASE64.decode(&old.base64).ok().map(Zeroizing::new);
    let encrypted = !old.headers.is_empty();
    let fresh = decoded.filter(|_| !encrypted).and_then(|der| keys::fresh(stream, label, &der));
    // The head of an encrypted key names its cipher and is the same for all of a kind.
    let kept = if old.base64.len() > 160 { 40 } else { 0 };
    let base64 = match fresh {
        Some(der) => BASE64.encode(&der).into_bytes(),
        // Encrypted, or of a kind we do not make: other bytes of the same length.
        None => {
            old.base64
                .iter()
                .enumerate()
                .map(|(at, b)| {
                    if *b == b'=' || at < kept {
                        *b
                    } else {
                        stream.pick(crate::kinds::Set::Base64.alphabet())
                    }
                })
                .collect()
        }
    };
    let checksum = old.checksum.as_ref().map(|sum| {
        sum.iter()
            .map(|b| if *b == b'=' { *b } else { stream.pick(crate::kinds::Set::Alnum.alphabet()) })
            .collect()
    });
    Body { headers: old.headers.clone(), base64, checksum }
}

/// How the lines of a block are separated where it stands.
struct Layout {
    separator: Vec<u8>,
    /// How long a line of base64 is.
    width: usize,
}

impl Layout {
    fn of(body: &[u8]) -> Option<Self> {
        let escaped = body.starts_with(b"\\n") || body.starts_with(b"\\r\\n");
        let separator: Vec<u8> = if escaped {
            if body.starts_with(b"\\r") { b"\\r\\n".to_vec() } else { b"\\n".to_vec() }
        } else {
            body.iter().copied().take_while(u8::is_ascii_whitespace).collect()
        };
        // Blank lines after the header belong to no separator.
        let separator = match separator.iter().position(|b| *b == b'\n') {
            Some(first) => {
                let next = separator[first + 1..]
                    .iter()
                    .position(|b| *b == b'\n')
                    .map_or(separator.len(), |p| first + 1 + p);
                separator[..next].to_vec()
            }
            None => separator,
        };
        let text = if separator.is_empty() { body } else { body.strip_prefix(separator.as_slice())? };
        let first = |text: &[u8]| match find(text, &separator, 0) {
            Some(end) if !separator.is_empty() => end,
            _ => text.len(),
        };
        // Encrypted keys have header lines and a blank one before the base64.
        let mut width = first(text);
        if text[..width].contains(&b':') {
            width = WIDTH;
        }
        // A single line stays single, though its replacement may be some bytes longer.
        if text.len() <= width + separator.len() {
            width = usize::MAX;
        }
        Some(Self { separator, width: width.max(1) })
    }

    fn strip(&self, body: &[u8]) -> Body {
        let mut text = Zeroizing::new(Vec::with_capacity(body.len()));
        let mut bytes = body.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            let escaped = byte == b'\\' && matches!(bytes.peek(), Some(b'n' | b'r'));
            text.push(if escaped { b'\n' } else { byte });
            if escaped {
                bytes.next();
            }
        }
        let mut out = Body { headers: Vec::new(), base64: Vec::with_capacity(text.len()), checksum: None };
        for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty()) {
            if line.contains(&b':') {
                out.headers.push(line.to_vec());
            } else if line.len() == 5 && line[0] == b'=' {
                out.checksum = Some(line.to_vec());
            } else {
                out.base64.extend(line.iter().filter(|b| !b.is_ascii_whitespace()));
            }
        }
        out
    }

    fn lay(&self, canonical: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(canonical.len());
        let mut base64: Vec<u8> = Vec::new();
        for line in canonical.split(|b| *b == b'\n') {
            let plain =
                !line.starts_with(DASHES) && !line.contains(&b':') && !line.is_empty() && line[0] != b'=';
            if plain {
                base64.extend_from_slice(line);
                continue;
            }
            for piece in base64.chunks(self.width) {
                out.extend_from_slice(piece);
                out.extend_from_slice(&self.separator);
            }
            base64.clear();
            out.extend_from_slice(line);
            if !line.starts_with(END) {
                out.extend_from_slice(&self.separator);
            }
        }
        out
    }
}
