//! Colours of source text, in the language that a file's name says.
//!
//! Only what is on the screen is coloured. Of what comes from a run no more is looked at than a screen is wide, and
//! some lines above it. Colours are of the terminal's own sixteen, so they go with a light and a dark one.
//!
//! Which words a language has is `language`'s. Own tables, as the libraries for it match by expressions that go back,
//! so that a hostile line takes them seconds, or rest on a licence that we do not take in.

mod language;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use ratatui::style::{Color, Style};

use super::diff::{Shown, text};
use language::{Inside, Kind, Language};

/// A line's parts, in order: how many bytes, and their colour if they have one.
pub(super) type Parts = Vec<(usize, Option<Color>)>;

/// What of a line is looked at.
const MOST_CHARACTERS: usize = 400;

/// How many lines above the screen are looked at: a comment or a string may have begun there.
const ABOVE: usize = 100;

/// The colours of one file's diff, as far as it was on the screen.
#[derive(Default)]
pub(super) struct Syntax {
    language: Option<&'static Language>,
    /// By where a line begins in the patch.
    known: HashMap<usize, Parts>,
}

impl Syntax {
    /// For a file of this name; nothing is coloured yet.
    pub(super) fn of(file: &str) -> Self {
        Self { language: Language::of(file), ..Self::default() }
    }

    /// The parts of the line that begins here in the patch, without its sign.
    pub(super) fn parts(&self, begin: usize) -> Option<&Parts> {
        self.known.get(&begin)
    }

    /// Colours the lines of the screen that have no colours yet.
    pub(super) fn colour(&mut self, patch: &[u8], shown: &[Shown], screen: Range<usize>) {
        let Some(language) = self.language else { return };
        let visible = shown.get(screen.start..screen.end.min(shown.len())).unwrap_or_default();
        let wanted: HashSet<usize> = visible
            .iter()
            .flat_map(lines_of)
            .map(|line| line.start)
            .filter(|begin| !self.known.contains_key(begin))
            .collect();
        if wanted.is_empty() {
            return;
        }
        // Old and new are two texts, and each hunk begins anew.
        let (mut old, mut new) = (Inside::Code, Inside::Code);
        let until = screen.end.min(shown.len());
        for one in shown.get(screen.start.saturating_sub(ABOVE)..until).unwrap_or_default() {
            if matches!(one, Shown::Head(_) | Shown::Hunk(..)) {
                (old, new) = (Inside::Code, Inside::Code);
            }
            for line in lines_of(one) {
                let source = source(patch, &line);
                let parts = match patch.get(line.start) {
                    Some(b'+') => language.parts(&mut new, &source),
                    Some(b'-') => language.parts(&mut old, &source),
                    Some(b' ') => {
                        language.parts(&mut old, &source);
                        language.parts(&mut new, &source)
                    }
                    _ => continue,
                };
                if wanted.contains(&line.start) {
                    let parts = parts.into_iter().map(|(length, kind)| (length, colour(kind))).collect();
                    self.known.insert(line.start, parts);
                }
            }
        }
        // A line that is of no side has no colours, and is not asked for again.
        for begin in wanted {
            self.known.entry(begin).or_default();
        }
    }
}

/// The lines of a file in one line of the screen.
fn lines_of(shown: &Shown) -> Vec<Range<usize>> {
    match shown {
        Shown::Head(_) | Shown::Hunk(..) => Vec::new(),
        Shown::Line(line) => vec![line.clone()],
        // What did not change is one line on both sides.
        Shown::Pair(old, new) if old == new => old.iter().cloned().collect(),
        Shown::Pair(old, new) => old.iter().chain(new).cloned().collect(),
    }
}

/// What is looked at of a line, without its sign.
fn source(patch: &[u8], line: &Range<usize>) -> String {
    text(patch, line).chars().skip(1).take(MOST_CHARACTERS).collect()
}

fn colour(kind: Kind) -> Option<Color> {
    match kind {
        // These keep the colour of the line: what was added is to be seen at a glance.
        Kind::Plain => None,
        Kind::Word => Some(Color::Magenta),
        Kind::Text => Some(Color::Cyan),
        Kind::Comment => Some(Color::DarkGray),
        Kind::Number => Some(Color::LightBlue),
    }
}

/// What of a line is shown, in its style and in the colours of its parts.
pub(super) fn pieces<'text>(
    text: &'text str,
    parts: Option<&Parts>,
    style: Style,
) -> impl Iterator<Item = (&'text str, Style)> {
    let mut rest = text;
    let parts = parts.into_iter().flatten().map(|(length, colour)| (*length, *colour));
    // What is past its parts, and what is narrower than they are.
    let pieces = parts.chain([(usize::MAX, None)]).map(move |(length, colour)| {
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        (piece, colour.map_or(style, |colour| style.fg(colour)))
    });
    pieces.filter(|(piece, _)| !piece.is_empty())
}

#[cfg(test)]
mod tests;
