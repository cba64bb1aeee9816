//! A value of one key, as every layer holds it, and where it came from.
//!
//! Values are few in form so that layering, printing and the digest are each one `match`.

use std::fmt;

use super::document::Span;

/// Where a value comes from, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// What holds when nobody says anything.
    BuiltIn,
    /// What is known of the agent that is run.
    Profile,
    /// The user's own file.
    User,
    /// The workspace's file. It came with the code, so it may only tighten.
    Project,
    /// The command line: options, `--config`, and a file named by `--policy`.
    Flags,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::BuiltIn => "built in",
            Layer::Profile => "profile",
            Layer::User => "user",
            Layer::Project => "project",
            Layer::Flags => "command line",
        })
    }
}

/// Which layer set a value, and where in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The file, or the option.
    pub file: String,
    /// Line and column, where it is a file.
    pub position: Option<(u32, u32)>,
}

impl Origin {
    pub(crate) fn built_in() -> Self {
        Origin { layer: Layer::BuiltIn, file: String::new(), position: None }
    }

    pub(crate) fn profile(name: &str) -> Self {
        Origin { layer: Layer::Profile, file: name.to_owned(), position: None }
    }

    pub(crate) fn option(name: &str) -> Self {
        Origin { layer: Layer::Flags, file: name.to_owned(), position: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.layer)?;
        if !self.file.is_empty() {
            write!(f, ", {}", self.file)?;
        }
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Word(&'static str),
    Flag(bool),
    /// Seconds in milliseconds, counts, bytes; `None` is no limit.
    Limit(Option<u64>),
    Items(Vec<Item>),
    /// One text, or nothing.
    Text(Option<String>),
}

/// One entry of a list or of a map of paths.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    /// The pattern, glob, path or host. It identifies the entry.
    pub(crate) text: String,
    /// The word after a path.
    pub(crate) word: Option<&'static str>,
    /// The words of `in:`.
    pub(crate) places: Vec<&'static str>,
    pub(crate) origin: Origin,
    pub(crate) span: Span,
}

impl Item {
    /// An entry that holds when nobody says anything.
    pub(crate) fn built_in(text: &str) -> Self {
        Item {
            text: text.to_owned(),
            word: None,
            places: Vec::new(),
            origin: Origin::built_in(),
            span: Span::default(),
        }
    }
}
