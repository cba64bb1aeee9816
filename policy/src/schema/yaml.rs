//! YAML into the tree, with a place for every value and a message for every mistake of syntax.
//!
//! The grammar is `saphyr-parser`'s; from its events we build the tree on a stack of our own, so depth is ours
//! to bound. Left out on purpose: aliases, tags, several documents. A policy that can be read from top to
//! bottom is worth more than one that is short, and without aliases no small file becomes a large tree.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as YamlSpan};

use super::diagnostic::{Diagnostic, SourceText};
use super::document::{Entry, MOST_DEPTH, Node, NodeValue, Quoting, Span};
use super::words::shown;

/// What was understood, and every mistake. An empty file is `None` without a mistake.
pub(crate) fn parse(source: &SourceText<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    let first = diagnostics.len();
    let (tree, error) = build(source, source.text, diagnostics);
    let Some(error) = error else { return tree };

    // The grammar stops at its first error. Two mistakes are so common that we mend them in a copy and read
    // on, so that one run shows all: a glob without quotes (`*` begins an alias) and tabs for indentation.
    let mut mended = Mended::new(source);
    mended.untab();
    let (mut tree, mut error) = if mended.faults.is_empty() {
        (tree, Some(error))
    } else {
        diagnostics.truncate(first);
        build(source, &mended.text, diagnostics)
    };
    while let Some(fault) = &error {
        if !mended.unstar(fault) {
            break;
        }
        diagnostics.truncate(first);
        (tree, error) = build(source, &mended.text, diagnostics);
    }
    diagnostics.append(&mut mended.faults);
    if let Some(error) = error {
        let span = Span::new(error.marker().line(), error.marker().col() + 1, 1);
        diagnostics.push(source.diagnostic(span, format!("not YAML: {}", plain_words(error.info()))));
    }
    tree
}

/// The grammar's own words, less what speaks of its insides.
fn plain_words(info: &str) -> String {
    shown(
        info.split_once(", ")
            .map_or(info, |(context, rest)| if context.starts_with("while") { rest } else { info }),
    )
}

/// A container that is still open.
struct Open {
    span: Span,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    /// Entries, and the key that waits for its value; a key that is no word takes its value with it.
    Map(Vec<Entry>, Option<(Option<String>, Span)>),
}

/// Reads `text`, which has the lines of `source`, as far as it is YAML.
fn build(
    source: &SourceText<'_>,
    text: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<Node>, Option<ScanError>) {
    let mut parser = Parser::new_from_str(text);
    let mut stack: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    let mut failure = None;
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, yaml_span) = match event {
            Ok(event) => event,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        let span = place(&yaml_span);
        let node = match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    diagnostics.push(source.diagnostic(span, "a second document; a policy is one document"));
                    break;
                }
                continue;
            }
            Event::Scalar(text, style, _, tag) => {
                if tag.is_some() {
                    diagnostics.push(source.diagnostic(span, "tags (`!…`) have no meaning in a policy"));
                }
                let quoting = if style == ScalarStyle::Plain { Quoting::Bare } else { Quoting::Quoted };
                Node { span, value: NodeValue::Scalar(text.into_owned(), quoting) }
            }
            Event::Alias(_) => {
                let message = "aliases (`*…`) are not read in a policy; write the value out";
                diagnostics.push(source.diagnostic(span, message));
                Node { span, value: NodeValue::Faulty }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if stack.len() >= MOST_DEPTH => {
                let message = format!("nested deeper than {MOST_DEPTH} levels");
                diagnostics.push(source.diagnostic(span, message));
                break;
            }
            Event::SequenceStart(..) => {
                stack.push(Open { span, kind: OpenKind::List(Vec::new()) });
                continue;
            }
            Event::MappingStart(..) => {
                stack.push(Open { span, kind: OpenKind::Map(Vec::new(), None) });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(open) => open.close(source, diagnostics),
                None => continue,
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
        };
        place_in(source, &mut stack, &mut root, node, diagnostics);
    }
    // After a mistake, what was read so far still counts: its own mistakes are shown in the same run.
    while let Some(open) = stack.pop() {
        let node = open.close(source, diagnostics);
        place_in(source, &mut stack, &mut root, node, diagnostics);
    }
    (root, failure)
}

/// Puts a finished node where the innermost open container wants it.
fn place_in(
    source: &SourceText<'_>,
    stack: &mut [Open],
    root: &mut Option<Node>,
    node: Node,
    diagnostics: &mut Vec<Diagnostic>,
) {
    match stack.last_mut().map(|open| &mut open.kind) {
        None => *root = Some(node),
        Some(OpenKind::List(items)) => items.push(node),
        Some(OpenKind::Map(entries, key)) => match key.take() {
            Some((Some(key), key_span)) => entries.push(Entry { key, key_span, value: node }),
            Some((None, _)) => {}
            None => {
                let text = match node.value {
                    NodeValue::Scalar(text, _) => Some(text),
                    NodeValue::Faulty => None,
                    NodeValue::List(_) | NodeValue::Map(_) => {
                        diagnostics
                            .push(source.diagnostic(node.span, "a key is one word, not a list or a map"));
                        None
                    }
                };
                *key = Some((text, node.span));
            }
        },
    }
}

impl Open {
    fn close(self, source: &SourceText<'_>, diagnostics: &mut Vec<Diagnostic>) -> Node {
        let value = match self.kind {
            OpenKind::List(items) => NodeValue::List(items),
            OpenKind::Map(entries, _) => NodeValue::Map(without_duplicates(source, entries, diagnostics)),
        };
        Node { span: self.span, value }
    }
}

/// Keeps the first of each key and says where the others are.
pub(crate) fn without_duplicates(
    source: &SourceText<'_>,
    entries: Vec<Entry>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Entry> {
    let mut seen = std::collections::HashMap::new();
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        match seen.get(&entry.key) {
            Some(line) => {
                let message = format!("key `{}` again; it is already on line {line}", shown(&entry.key));
                diagnostics.push(source.diagnostic(entry.key_span, message));
            }
            None => {
                seen.insert(entry.key.clone(), entry.key_span.line);
                kept.push(entry);
            }
        }
    }
    kept
}

fn place(span: &YamlSpan) -> Span {
    let width = if span.start.line() == span.end.line() {
        span.end.col().saturating_sub(span.start.col())
    } else {
        // The rest of the first line; the excerpt cuts it there.
        usize::MAX
    };
    Span::new(span.start.line(), span.start.col() + 1, width)
}

/// A copy of the text in which common mistakes are mended, one character for one, so that places stay.
struct Mended<'a> {
    source: &'a SourceText<'a>,
    text: String,
    faults: Vec<Diagnostic>,
}

impl<'a> Mended<'a> {
    fn new(source: &'a SourceText<'a>) -> Self {
        Mended { source, text: source.text.to_owned(), faults: Vec::new() }
    }

    /// Tabs in indentation become spaces.
    fn untab(&mut self) {
        let mut out = String::with_capacity(self.text.len());
        for (index, line) in self.source.text.split_inclusive('\n').enumerate() {
            let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
            let (white, rest) = line.split_at(indent);
            if let (Some(at), false) = (white.find('\t'), rest.trim().is_empty()) {
                let span = Span::new(index + 1, at + 1, white.len() - at);
                let message = "a tab in the indentation; YAML indents with spaces only";
                self.faults.push(self.source.diagnostic(span, message));
                out.push_str(&white.replace('\t', " "));
                out.push_str(rest);
            } else {
                out.push_str(line);
            }
        }
        if !self.faults.is_empty() {
            self.text = out;
        }
    }

    /// If the grammar stumbled over a glob without quotes: says so, makes it a plain word, and is true.
    fn unstar(&mut self, error: &ScanError) -> bool {
        const MOST: usize = 20;
        if self.faults.len() >= MOST || !(error.info().contains("anchor") || error.info().contains("alias")) {
            return false;
        }
        let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
        // The grammar may speak of the token after; the star is on this line or the one before.
        for line in [line, line.saturating_sub(1)] {
            let mended = SourceText::new(self.source.name, &self.text);
            let text = mended.line(line);
            let Some(at) = star(text) else { continue };
            let end = text[at..].find([' ', ',', ']', '}']).map_or(text.len(), |length| at + length);
            let glob = &text[at..end];
            let span = Span::new(line as usize, text[..at].chars().count() + 1, glob.chars().count());
            let message = format!("`*` begins an alias in YAML; put the glob in quotes: \"{}\"", shown(glob));
            self.faults.push(self.source.diagnostic(span, message));
            let offset = text.as_ptr() as usize - self.text.as_ptr() as usize + at;
            self.text.replace_range(offset..=offset, "_");
            return true;
        }
        false
    }
}

/// The byte of a `*` that stands where a value begins.
fn star(line: &str) -> Option<usize> {
    line.match_indices('*').map(|(at, _)| at).find(|at| {
        let before = line[..*at].trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with(['-', ':', '[', ',', '{'])
    })
}
