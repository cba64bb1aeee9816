//! The part of a patch that is about one file, laid out for the screen: one column, or old and new side by side.

use std::ops::Range;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::plain;
use super::syntax::{Syntax, pieces};

/// How it is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Unified,
    SideBySide,
}

/// One line of the screen, by where it is in the patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// Of the head of a file.
    Head(Range<usize>),
    /// The first of a hunk, with the hunk's number from 1.
    Hunk(usize, Range<usize>),
    /// With its sign.
    Line(Range<usize>),
    /// Old and new.
    Pair(Option<Range<usize>>, Option<Range<usize>>),
}

/// Lays it out.
pub(super) fn lay_out(patch: &[u8], parts: &[Range<usize>], view: View) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut number = 0;
    for part in parts {
        let mut sides: (Vec<Range<usize>>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
        let mut at = part.start;
        let mut in_hunk = false;
        for line in patch.get(part.clone()).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            let range = at..at + line.len() - usize::from(line.ends_with(b"\n"));
            at += line.len();
            match line.first() {
                // Lines of a file have a sign before them, so these are the patch's own.
                Some(b'@') => {
                    pair(&mut sides, &mut shown);
                    (number, in_hunk) = (number + 1, true);
                    shown.push(Shown::Hunk(number, range));
                }
                _ if !in_hunk => shown.push(Shown::Head(range)),
                Some(b'-') if view == View::SideBySide => sides.0.push(range),
                Some(b'+') if view == View::SideBySide => sides.1.push(range),
                Some(b' ') if view == View::SideBySide => {
                    pair(&mut sides, &mut shown);
                    shown.push(Shown::Pair(Some(range.clone()), Some(range)));
                }
                _ => {
                    pair(&mut sides, &mut shown);
                    shown.push(Shown::Line(range));
                }
            }
        }
        pair(&mut sides, &mut shown);
    }
    shown
}

/// Removed and added lines of one stretch stand beside each other.
fn pair(sides: &mut (Vec<Range<usize>>, Vec<Range<usize>>), shown: &mut Vec<Shown>) {
    let (old, new) = std::mem::take(sides);
    let count = old.len().max(new.len());
    let (mut old, mut new) = (old.into_iter(), new.into_iter());
    shown.extend((0..count).map(|_| Shown::Pair(old.next(), new.next())));
}

/// What is read of a line: more is on no screen.
const WIDEST: usize = 4096;

/// The text of a line, with its sign, as far as a screen can show it.
pub(super) fn text(patch: &[u8], line: &Range<usize>) -> String {
    let end = line.end.min(line.start.saturating_add(WIDEST));
    plain(&String::from_utf8_lossy(patch.get(line.start..end).unwrap_or_default()))
}

/// One line, in a width. `left_out`: whether the hunk it is in was left out; `here`: whether that is the one at hand.
pub(super) fn line(
    patch: &[u8],
    shown: &Shown,
    width: usize,
    left_out: bool,
    here: bool,
    syntax: &Syntax,
) -> Line<'static> {
    // What is left out has one colour.
    let faded = Style::new().fg(Color::DarkGray).add_modifier(Modifier::CROSSED_OUT);
    let coloured = |line: &Range<usize>, text: &str, sign: &str| -> Vec<Span<'static>> {
        let (style, parts) = match left_out {
            true => (faded, None),
            false => (Style::new().fg(colour(sign)), syntax.parts(line.start)),
        };
        pieces(text, parts, style).map(|(piece, style)| Span::styled(piece.to_owned(), style)).collect()
    };
    match shown {
        Shown::Head(range) => Line::styled(text(patch, range), Style::new().fg(Color::Cyan)),
        Shown::Hunk(number, range) => {
            let mark = if left_out { "✗" } else { " " };
            let style = Style::new().fg(Color::Magenta);
            let style = if here { style.add_modifier(Modifier::REVERSED) } else { style };
            Line::styled(format!("{mark}{number} {}", text(patch, range)), style)
        }
        Shown::Line(range) => {
            let text = text(patch, range);
            let (sign, source) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
            let style = if left_out { faded } else { Style::new().fg(colour(sign)) };
            let mut spans = vec![Span::styled(sign.to_owned(), style)];
            spans.extend(coloured(range, source, sign));
            Line::from(spans)
        }
        Shown::Pair(old, new) => {
            let half = (width.saturating_sub(3) / 2).max(1);
            let side = |range: &Option<Range<usize>>| -> Vec<Span<'static>> {
                let Some(range) = range else { return vec![Span::raw(" ".repeat(half))] };
                let text = text(patch, range);
                // Without its sign: the column says which it is.
                let mut cut: String = text.chars().skip(1).take(half).collect();
                cut.extend(std::iter::repeat_n(' ', half - cut.chars().count()));
                coloured(range, &cut, &text)
            };
            let mut spans = side(old);
            spans.push(Span::styled(" │ ", Style::new().fg(Color::DarkGray)));
            spans.extend(side(new));
            Line::from(spans)
        }
    }
}

fn colour(text: &str) -> Color {
    match text.as_bytes().first() {
        Some(b'+') => Color::Green,
        Some(b'-') => Color::Red,
        Some(b'\\') => Color::DarkGray,
        _ => Color::Reset,
    }
}
