//! A blocked pattern: what it looks for, and where it counts.
//!
//! Owns the two forms (literal, `re:`) and matching in bytes. What a match leads to is the gate's decision.

use regex::bytes::{Regex, RegexBuilder};

use crate::schema::Place;

/// A text that is looked for in commands and changes.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As written, `re:` included.
    pub text: String,
    /// Where it counts; empty where the gate's own rule holds.
    pub places: Vec<Place>,
    needle: Needle,
}

#[derive(Debug, Clone)]
enum Needle {
    Literal(Vec<u8>),
    Regex(Regex),
}

/// A compiled expression larger than this would be felt at every start.
const MOST_COMPILED: usize = 1024 * 1024;

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it, in a few words.
    pub fn new(text: &str, places: Vec<Place>) -> Result<Self, String> {
        let needle = match text.strip_prefix("re:") {
            Some(expression) if expression.trim().is_empty() => {
                return Err("an empty expression matches everything".to_owned());
            }
            Some(expression) => RegexBuilder::new(expression)
                .size_limit(MOST_COMPILED)
                .build()
                .map(Needle::Regex)
                .map_err(|error| last_line(&error.to_string()))?,
            None if text.trim().is_empty() => return Err("an empty pattern matches everything".to_owned()),
            None => Needle::Literal(text.as_bytes().to_vec()),
        };
        Ok(Pattern { text: text.to_owned(), places, needle })
    }

    /// Whether it is found anywhere in `text`.
    pub fn is_in(&self, text: &[u8]) -> bool {
        match &self.needle {
            Needle::Literal(needle) => {
                needle.len() <= text.len() && text.windows(needle.len()).any(|window| window == needle)
            }
            Needle::Regex(regex) => regex.is_match(text),
        }
    }
}

/// The crate draws the expression over several lines and says what is wrong on the last.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or(message).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn literals_and_expressions_are_found_in_bytes() {
        for (pattern, text, expected) in [
            ("rm -rf", &b"sudo rm -rf /"[..], true),
            ("rm -rf", b"rm -r", false),
            ("a.c", b"abc", false),
            ("re:a.c", b"abc", true),
            ("re:^git +push", b"git   push origin", true),
            ("re:^git +push", b"echo git push", false),
            ("caf\u{e9}", "un caf\u{e9}".as_bytes(), true),
            ("x", b"\xff\xfex", true),
        ] {
            let found = Pattern::new(pattern, Vec::new()).expect(pattern).is_in(text);
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_match_everything_or_nothing_are_refused() {
        for pattern in ["", "  ", "re:", "re:(", "re:a{1000}{1000}{1000}"] {
            let reason = Pattern::new(pattern, Vec::new()).expect_err(pattern);
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
        }
    }
}
