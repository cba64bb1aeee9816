//! `changes.patch`: what `git apply` takes, with git's words for modes, moves, links and binary files.
//!
//! What is not in it is named in it, in a line that git passes over. A line that holds a real value shows whose
//! it is instead.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;

use shieldrun_policy::changes::{Change, ChangeKind, Found, Node, NodeKind};
use shieldrun_policy::plan::Bytes;

use super::binary::{blob_id, literal};
use super::content::MOST_BINARY;
use super::text::{Block, TextDiff};
use super::{Eyes, Read};

/// The patch, being written.
pub(super) struct Patch<W> {
    out: W,
    left: usize,
}

/// Lines around a change.
const CONTEXT: usize = 3;

/// Beyond this the rest of the changes is named only.
const MOST_PATCH: usize = 256 << 20;

impl<W: Write> Patch<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, left: MOST_PATCH }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes one change.
    pub(super) fn add(&mut self, read: &Read, eyes: &Eyes<'_>) -> io::Result<()> {
        let change = &read.change;
        if change.is_directory() || change.kind() == ChangeKind::Time {
            return Ok(());
        }
        let mut text = Vec::new();
        match (&change.before, &change.after) {
            // Another kind of thing: git says that as a removal and a creation.
            (Some(before), Some(after)) if kind_of(before) != kind_of(after) => {
                one(change, Some(before), None, read, &mut text);
                one(change, None, Some(after), read, &mut text);
            }
            (before, after) => one(change, before.as_ref(), after.as_ref(), read, &mut text),
        }
        // No value is in a patch, whichever side it stood on.
        let holds_real = change.findings.iter().any(|found| matches!(found.what, Found::RealSecret { .. }));
        if holds_real || eyes.real_in(&text).is_some() {
            text = veiled(&text, eyes, change);
        }
        if text.len() > self.left {
            text.clear();
            name_it(change, "the patch would become too large", &mut text);
        }
        self.left = self.left.saturating_sub(text.len());
        self.out.write_all(&text)
    }
}

/// What git tells apart; none for what it does not keep.
fn kind_of(node: &Node) -> Option<&'static str> {
    match node.kind {
        NodeKind::Text | NodeKind::Binary => Some("file"),
        NodeKind::Symlink(_) => Some("link"),
        NodeKind::Directory | NodeKind::Fifo | NodeKind::Special => None,
    }
}

fn mode(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Symlink(_) => "120000",
        _ if node.mode & 0o100 != 0 => "100755",
        _ => "100644",
    }
}

/// The lines of one change, or of one half of it.
fn one(change: &Change, before: Option<&Node>, after: Option<&Node>, read: &Read, out: &mut Vec<u8>) {
    let (before, after) = (before.filter(|n| kind_of(n).is_some()), after.filter(|n| kind_of(n).is_some()));
    if before.is_none() && after.is_none() {
        if change.after.as_ref().is_some_and(|node| !node.is_directory()) {
            name_it(change, "git has no such thing", out);
        }
        return;
    }
    let old_path = change.from.as_ref().filter(|_| before.is_some()).unwrap_or(&change.path);
    let mut head = first_line(old_path, &change.path);
    head.push(b'\n');
    match (before, after) {
        (None, Some(after)) => head.extend_from_slice(format!("new file mode {}\n", mode(after)).as_bytes()),
        (Some(before), None) => {
            head.extend_from_slice(format!("deleted file mode {}\n", mode(before)).as_bytes());
        }
        (Some(before), Some(after)) if mode(before) != mode(after) => {
            head.extend_from_slice(
                format!("old mode {}\nnew mode {}\n", mode(before), mode(after)).as_bytes(),
            );
        }
        _ => {}
    }
    if change.from.is_some() && before.is_some() && after.is_some() {
        head.extend_from_slice(b"similarity index 100%\nrename from ");
        quoted(b"", old_path, &mut head);
        head.extend_from_slice(b"\nrename to ");
        quoted(b"", &change.path, &mut head);
        head.push(b'\n');
        out.extend_from_slice(&head);
        return;
    }
    let is_binary = [before, after].into_iter().flatten().any(|node| node.kind == NodeKind::Binary);
    let is_large = [before, after].into_iter().flatten().any(|node| node.size > MOST_BINARY);
    if is_binary && is_large {
        match change.kind() {
            // Of the content nothing is other.
            ChangeKind::Mode if head.iter().filter(|byte| **byte == b'\n').count() > 1 => {
                out.extend_from_slice(&head);
            }
            ChangeKind::Mode => {}
            _ => name_it(change, "a large binary file", out),
        }
        return;
    }
    let old = before.map(|_| read.old.as_deref());
    let new = after.map(|_| read.new.as_deref());
    let (Some(old), Some(new)) = (old.unwrap_or(Some(b"")), new.unwrap_or(Some(b""))) else {
        name_it(change, "too large for a patch, or not readable", out);
        return;
    };
    if is_binary && old != new {
        let id = |side: Option<&Node>, bytes: &[u8]| side.map_or_else(|| "0".repeat(40), |_| blob_id(bytes));
        head.extend_from_slice(format!("index {}..{}", id(before, old), id(after, new)).as_bytes());
        if let (Some(before), Some(after)) = (before, after)
            && mode(before) == mode(after)
        {
            head.extend_from_slice(format!(" {}", mode(after)).as_bytes());
        }
        head.extend_from_slice(b"\nGIT binary patch\n");
        out.extend_from_slice(&head);
        literal(new, out);
        literal(old, out);
        return;
    }
    let diff = TextDiff::new(old, new);
    if head.iter().filter(|byte| **byte == b'\n').count() == 1 && diff.blocks.is_empty() {
        // Only what git does not keep is other: other bits of the mode, an attribute.
        return;
    }
    out.extend_from_slice(&head);
    if !diff.blocks.is_empty() {
        names(before.is_some(), after.is_some(), change, out);
        hunks(&diff, out);
    }
}

/// The line that the part of a change in a patch begins with.
pub(crate) fn patch_header(change: &Change) -> Vec<u8> {
    let old = change.from.as_ref().filter(|_| change.before.is_some()).unwrap_or(&change.path);
    first_line(old, &change.path)
}

/// Where each change is in the patch, by its first line.
pub(crate) fn sections(patch: &[u8]) -> HashMap<&[u8], Vec<Range<usize>>> {
    let mut found: HashMap<&[u8], Vec<Range<usize>>> = HashMap::new();
    let mut open: Option<(&[u8], usize)> = None;
    let mut at = 0;
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        let begins = line.starts_with(b"diff --git ") || line.starts_with(b"# not in this patch: ");
        if begins {
            if let Some((head, start)) = open.take() {
                found.entry(head).or_default().push(start..at);
            }
            open = Some((line.strip_suffix(b"\n").unwrap_or(line), at));
        }
        at += line.len();
    }
    if let Some((head, start)) = open {
        found.entry(head).or_default().push(start..at);
    }
    found
}

/// The hunks that make one text the other, and nothing else.
pub(crate) fn unified(old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    hunks(&TextDiff::new(old, new), &mut out);
    out
}

fn first_line(old: &Bytes, new: &Bytes) -> Vec<u8> {
    let mut line = b"diff --git ".to_vec();
    quoted(b"a/", old, &mut line);
    line.push(b' ');
    quoted(b"b/", new, &mut line);
    line
}

fn names(before: bool, after: bool, change: &Change, out: &mut Vec<u8>) {
    for (sign, there, prefix) in [(&b"--- "[..], before, &b"a/"[..]), (b"+++ ", after, b"b/")] {
        out.extend_from_slice(sign);
        if there {
            quoted(prefix, &change.path, out);
            // Without it git takes a name with a space in it to end there.
            if change.path.0.contains(&b' ') {
                out.push(b'\t');
            }
        } else {
            out.extend_from_slice(b"/dev/null");
        }
        out.push(b'\n');
    }
}

/// Unified hunks, those that would touch in one.
fn hunks(diff: &TextDiff<'_>, out: &mut Vec<u8>) {
    let mut rest = diff.blocks.as_slice();
    while let Some(first) = rest.first() {
        let near = rest.windows(2).take_while(|pair| match pair {
            [one, next] => next.old.start - one.old.end <= 2 * CONTEXT,
            _ => false,
        });
        let count = near.count() + 1;
        let (blocks, after) = rest.split_at(count);
        let last = blocks.last().unwrap_or(first);
        hunk(diff, first, last, blocks, out);
        rest = after;
    }
}

fn hunk(diff: &TextDiff<'_>, first: &Block, last: &Block, blocks: &[Block], out: &mut Vec<u8>) {
    let before = first.old.start.min(CONTEXT);
    let after = (diff.old.len() - last.old.end).min(CONTEXT);
    let (old_start, old_end) = (first.old.start - before, last.old.end + after);
    let (new_start, new_end) = (first.new.start - before, last.new.end + after);
    let range = |start: usize, end: usize| match end - start {
        // An empty range is told by the line before it.
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        count => format!("{},{count}", start + 1),
    };
    let head = format!("@@ -{} +{} @@\n", range(old_start, old_end), range(new_start, new_end));
    out.extend_from_slice(head.as_bytes());
    let mut at = old_start;
    for block in blocks {
        lines(b' ', diff.old.get(at..block.old.start), out);
        lines(b'-', diff.old.get(block.old.clone()), out);
        lines(b'+', diff.new.get(block.new.clone()), out);
        at = block.old.end;
    }
    lines(b' ', diff.old.get(at..old_end), out);
}

fn lines(sign: u8, lines: Option<&[&[u8]]>, out: &mut Vec<u8>) {
    for line in lines.unwrap_or_default() {
        out.push(sign);
        out.extend_from_slice(line);
        if line.last() != Some(&b'\n') {
            out.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

/// A name as git quotes it.
fn quoted(prefix: &[u8], path: &Bytes, out: &mut Vec<u8>) {
    let plain = path.0.iter().all(|byte| (0x20..0x7f).contains(byte) && !matches!(byte, b'"' | b'\\'));
    if plain {
        out.extend_from_slice(prefix);
        out.extend_from_slice(&path.0);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(prefix);
    for byte in &path.0 {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x20..0x7f => out.push(*byte),
            other => out.extend_from_slice(format!("\\{other:03o}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// A line for what is not in the patch. It begins with nothing that git looks for.
fn name_it(change: &Change, why: &str, out: &mut Vec<u8>) {
    let node = change.after.as_ref().or(change.before.as_ref());
    let size = node.map_or(0, |node| node.size);
    let digest = node.and_then(|node| node.digest).map(|digest| data_encoding::HEXLOWER.encode(&digest));
    let digest = digest.map(|digest| format!(", sha256 {digest}")).unwrap_or_default();
    let line = format!(
        "# not in this patch: {} {} ({size} bytes{digest}): {why}\n",
        change.kind().word(),
        change.path
    );
    out.extend_from_slice(line.as_bytes());
}

/// The same lines, where each that holds a real value says whose. What still holds one is left out.
fn veiled(text: &[u8], eyes: &Eyes<'_>, change: &Change) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match eyes.real_in(line) {
            Some((id, _)) => {
                out.extend(line.first().copied().filter(|sign| matches!(sign, b'+' | b'-' | b' ')));
                out.extend_from_slice(format!("[a line with {id}]\n").as_bytes());
            }
            None => out.extend_from_slice(line),
        }
    }
    if eyes.real_in(&out).is_some() {
        out.clear();
        let line = format!(
            "# not in this patch: {} {}: it holds a real secret\n",
            change.kind().word(),
            change.path
        );
        out.extend_from_slice(line.as_bytes());
    }
    out
}
