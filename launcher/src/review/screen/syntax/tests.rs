//! Colours by language, and what a hostile file can do to them: nothing.

use proptest::prelude::*;
use ratatui::style::{Color, Style};

use super::super::diff::{View, lay_out};
use super::*;

/// What is shown of each line of a patch, with its colours.
fn coloured(file: &str, patch: &str, view: View) -> Vec<Vec<(String, Option<Color>)>> {
    let patch = patch.as_bytes();
    let whole = 0..patch.len();
    let shown = lay_out(patch, &[whole], view);
    let mut syntax = Syntax::of(file);
    syntax.colour(patch, &shown, 0..shown.len());
    let lines = shown.iter().flat_map(lines_of);
    let of_line = |line: Range<usize>| {
        let text: String = text(patch, &line).chars().skip(1).collect();
        let pieces = pieces(&text, syntax.parts(line.start), Style::new());
        pieces.map(|(piece, style)| (piece.to_owned(), style.fg)).collect()
    };
    lines.map(of_line).collect()
}

fn colour_of(lines: &[Vec<(String, Option<Color>)>], piece: &str) -> Option<Color> {
    lines.iter().flatten().find(|(text, _)| text == piece).and_then(|(_, colour)| *colour)
}

#[test]
fn a_language_is_known_by_the_name_of_the_file() {
    let patch = "@@ -0,0 +1,2 @@\n+import os  # why\n+name = \"text\"\n";
    let python = coloured("src/a.py", patch, View::Unified);
    assert_eq!(colour_of(&python, "import"), Some(Color::Magenta), "{python:?}");
    assert_eq!(colour_of(&python, "# why"), Some(Color::DarkGray), "{python:?}");
    assert_eq!(colour_of(&python, "\"text\""), Some(Color::Cyan), "{python:?}");
    // The twin: the same text in a file of no language.
    for name in ["src/a.unknown", "a", "python", ".py/", ""] {
        let plain = coloured(name, patch, View::Unified);
        assert!(plain.iter().flatten().all(|(_, colour)| colour.is_none()), "{name}: {plain:?}");
    }
}

#[test]
fn old_and_new_are_two_texts_and_a_hunk_begins_anew() {
    // The comment opens in what was removed only: what is new after it is no comment.
    let patch = "@@ -1,3 +1,2 @@\n-/* old\n-still old */\n+let x = 1;\n@@ -9 +8 @@\n-/* open\n@@ -20 +20 @@\n return 1;\n";
    for view in [View::Unified, View::SideBySide] {
        let rust = coloured("a.rs", patch, view);
        assert_eq!(colour_of(&rust, "still old */"), Some(Color::DarkGray), "{rust:?}");
        assert_eq!(colour_of(&rust, "let"), Some(Color::Magenta), "{rust:?}");
        assert_eq!(colour_of(&rust, "return"), Some(Color::Magenta), "{rust:?}");
    }
}

#[test]
fn only_the_screen_is_coloured() {
    let mut patch = b"@@ -0,0 +1,100000 @@\n".to_vec();
    patch.extend(b"+let x = 1;\n".repeat(100_000));
    let whole = 0..patch.len();
    let shown = lay_out(&patch, &[whole], View::Unified);
    let mut syntax = Syntax::of("a.rs");
    syntax.colour(&patch, &shown, 50_000..50_040);
    assert_eq!(syntax.known.len(), 40);
    syntax.colour(&patch, &shown, 50_001..50_041);
    assert_eq!(syntax.known.len(), 41);
    // Past the end nothing is.
    syntax.colour(&patch, &shown, 200_000..200_040);
    assert_eq!(syntax.known.len(), 41);
}

#[test]
fn a_line_is_looked_at_as_far_as_a_screen_is_wide() {
    let patch = format!("@@ -0,0 +1 @@\n+{}\n", "\"\\\\ let ".repeat(1_000_000));
    let lines = coloured("a.rs", &patch, View::Unified);
    let length: usize = lines.iter().flatten().map(|(text, _)| text.chars().count()).sum();
    assert!(length < 5_000, "{length}");
    assert!(lines.iter().flatten().any(|(_, colour)| colour.is_some()));
}

const NAMES: &[&str] = &[
    "a.rs",
    "a.py",
    "a.tsx",
    "a.go",
    "a.c",
    "a.sh",
    "a.toml",
    "a.json",
    "a.rb",
    "a.lua",
    "a.sql",
    "a.css",
    "a.html",
    "Dockerfile",
    "Makefile",
    "a.tf",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever is in a file: all of it is shown as it is, in any language.
    #[test]
    fn no_text_is_lost_and_nothing_panics(
        lines in prop::collection::vec("[-+ ](\\PC|[\"'`#/*{}<>\\\\$()=é\u{200d}]){0,40}", 1..12),
        at in 0..NAMES.len(),
        side_by_side: bool,
    ) {
        let patch = format!("@@ -1 +1 @@\n{}\n", lines.join("\n"));
        let view = if side_by_side { View::SideBySide } else { View::Unified };
        let shown: Vec<String> = coloured(NAMES[at], &patch, view)
            .into_iter()
            .map(|line| line.into_iter().map(|(text, _)| text).collect())
            .collect();
        let mut wanted: Vec<String> =
            lines.iter().map(|line| super::super::plain(line).chars().skip(1).collect()).collect();
        for line in shown {
            let found = wanted.iter().position(|wanted| *wanted == line);
            // A line of both sides is there twice where they stand beside each other.
            if let Some(at) = found {
                if view == View::Unified {
                    wanted.remove(at);
                }
            } else {
                prop_assert!(false, "{line:?} is not of {lines:?}");
            }
        }
    }
}
