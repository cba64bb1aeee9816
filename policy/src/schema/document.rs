//! The tree that YAML and JSON are both read into: values with the place where each was written.
//!
//! Knows nothing of policies and nothing of either syntax. Depth is bounded where the tree is built, so
//! recursion over it is bounded too.

/// Deeper than this no policy goes; what is deeper is a mistake or an attack on the stack.
pub(crate) const MOST_DEPTH: usize = 32;

/// A place in a source: line and column from 1, width in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) width: u32,
}

impl Span {
    pub(crate) fn new(line: usize, column: usize, width: usize) -> Self {
        let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Span { line: fit(line), column: fit(column), width: fit(width) }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: NodeValue,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeValue {
    /// One word or text. `Bare` ones may also be a number, `true`, `null`.
    Scalar(String, Quoting),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something that a diagnostic already speaks of; readers pass over it.
    Faulty,
}

/// Whether a scalar stood in quotes and so can only be text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    Quoted,
    Bare,
}

/// One line of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// A scalar as the reader sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Flag(bool),
    Number(f64),
    Text(&'a str),
}

impl Node {
    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            NodeValue::Scalar(text, Quoting::Quoted) => Some(Scalar::Text(text)),
            NodeValue::Scalar(text, Quoting::Bare) => Some(bare(text)),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    /// What this is, for "expected …, found …".
    pub(crate) fn kind(&self) -> String {
        match (&self.value, self.scalar()) {
            (NodeValue::List(_), _) => "a list".to_owned(),
            (NodeValue::Map(_), _) => "a map".to_owned(),
            (_, Some(Scalar::Null)) => "nothing".to_owned(),
            (_, Some(Scalar::Flag(flag))) => format!("`{flag}`"),
            (NodeValue::Scalar(text, _), Some(Scalar::Number(_))) => {
                format!("the number `{}`", super::words::shown(text))
            }
            (_, Some(Scalar::Text(text))) => format!("the text `{}`", super::words::shown(text)),
            _ => "something unreadable".to_owned(),
        }
    }
}

/// The core schema of YAML 1.2, less its octal and hexadecimal numbers, which no limit needs.
fn bare(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Flag(true),
        "false" | "False" | "FALSE" => Scalar::Flag(false),
        _ => {
            let begins =
                text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
            match text.parse::<f64>() {
                Ok(number) if begins && number.is_finite() => Scalar::Number(number),
                _ => Scalar::Text(text),
            }
        }
    }
}
