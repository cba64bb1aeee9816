//! The two kinds of globs of a policy: paths by git's rules, and names of variables.
//!
//! Owns their translation and matching. Walking a tree is somebody else's; paths come as bytes, relative to the
//! root of the workspace and without a leading slash.

use std::fmt;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// Why a glob is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadGlob {
    reason: String,
}

impl fmt::Display for BadGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for BadGlob {}

fn bad(reason: impl Into<String>) -> BadGlob {
    BadGlob { reason: reason.into() }
}

/// A line as in `.gitignore`.
#[derive(Debug, Clone)]
pub struct PathGlob {
    /// The entry itself, or anything beneath it.
    matchers: Vec<GlobMatcher>,
    meaning: Meaning,
}

/// Whether a matching path is taken in or let out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A plain glob.
    Matches,
    /// `!glob`.
    Excepts,
}

impl PathGlob {
    /// Reads a glob by git's rules.
    ///
    /// A slash at the front or inside ties it to the root, else it matches at any depth; a slash at the end
    /// makes it a directory; a directory takes in all that is beneath it; `!` at the front makes an exception.
    pub fn new(text: &str) -> Result<Self, BadGlob> {
        let (meaning, body) = match text.strip_prefix('!') {
            Some(rest) => (Meaning::Excepts, rest),
            None => (Meaning::Matches, text),
        };
        let body = body.strip_prefix("./").unwrap_or(body);
        let directory = body.ends_with('/');
        let body = body.strip_suffix('/').unwrap_or(body);
        let tied = body.contains('/');
        let body = body.strip_prefix('/').unwrap_or(body);
        if body.is_empty() {
            return Err(bad("an empty glob matches nothing"));
        }
        if body.split('/').any(|part| part == "..") {
            return Err(bad("`..` leads out of the workspace"));
        }
        let at = if tied { body.to_owned() } else { format!("**/{body}") };
        let mut matchers = Vec::with_capacity(2);
        // A path is what changed, and a directory itself is no change: beneath it everything is.
        if !directory {
            matchers.push(compile(&at)?);
        }
        matchers.push(compile(&format!("{at}/**"))?);
        Ok(PathGlob { matchers, meaning })
    }

    /// Whether it takes in or lets out.
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Whether the path, or a directory above it, is meant.
    pub fn matches(&self, path: &Path) -> bool {
        self.matchers.iter().any(|matcher| matcher.is_match(path))
    }
}

fn compile(glob: &str) -> Result<GlobMatcher, BadGlob> {
    GlobBuilder::new(&without_braces(glob))
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| bad(error.kind().to_string()))
}

/// Git knows no `{a,b}`: there a brace is a brace.
fn without_braces(glob: &str) -> String {
    let mut out = String::with_capacity(glob.len());
    let mut escaped = false;
    for c in glob.chars() {
        if !escaped && matches!(c, '{' | '}') {
            out.push('\\');
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// A glob over the name of a variable: `*` and `?`, all else literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameGlob {
    text: String,
}

impl NameGlob {
    /// Reads a glob; a variable's name is not empty and has no `=`.
    pub fn new(text: &str) -> Result<Self, BadGlob> {
        if text.is_empty() {
            return Err(bad("an empty name matches nothing"));
        }
        if let Some(found) = text.chars().find(|c| matches!(c, '=' | '\0' | '[' | '{' | '/')) {
            return Err(bad(format!("`{}` is in no variable's name", found.escape_default())));
        }
        Ok(NameGlob { text: text.to_owned() })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the name is meant. Names are bytes.
    pub fn matches(&self, name: &[u8]) -> bool {
        wildcard(self.text.as_bytes(), name)
    }
}

/// `*` and `?` over bytes, in time linear in the product at worst: on a mismatch only the last star moves.
fn wildcard(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == name.get(n) => {
                g += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    g = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob.iter().skip(g).all(|byte| *byte == b'*')
}

/// Whether a path is meant by a list in which, as in `.gitignore`, the last word counts.
pub fn last_match(globs: &[PathGlob], path: &Path) -> Option<usize> {
    let last = globs.iter().rposition(|glob| glob.matches(path))?;
    (globs.get(last)?.meaning() == Meaning::Matches).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_globs_follow_gits_rules() {
        for (glob, path, expected) in [
            ("*.yml", "ci.yml", true),
            ("*.yml", "deep/down/ci.yml", true),
            ("*.yml", "ci.yml/inside", true),
            ("*.yml", "ci.yaml", false),
            ("/*.yml", "ci.yml", true),
            ("/*.yml", "deep/ci.yml", false),
            (".github/**", ".github/workflows/ci.yml", true),
            (".github/**", "sub/.github/x", false),
            (".github/", ".github/workflows/ci.yml", true),
            (".github/", "sub/.github/x", true),
            (".github/", ".github", false),
            ("**/secrets/*.txt", "a/b/secrets/x.txt", true),
            ("**/secrets/*.txt", "secrets/x.txt", true),
            ("src/*.rs", "src/main.rs", true),
            ("src/*.rs", "src/deep/main.rs", false),
            ("Makefile", "sub/Makefile", true),
            ("./Makefile", "Makefile", true),
            ("data[0-9]?.bin", "data1x.bin", true),
            ("a{b,c}", "a{b,c}", true),
            ("a{b,c}", "ab", false),
            (r"lit\*eral", "lit*eral", true),
            (r"lit\*eral", "litXeral", false),
        ] {
            let glob = PathGlob::new(glob).expect(glob);
            assert_eq!(glob.matches(Path::new(path)), expected, "{glob:?} {path}");
        }
    }

    #[test]
    fn the_last_matching_glob_decides() {
        let globs: Vec<_> =
            ["*.yml", "!keep.yml"].iter().map(|glob| PathGlob::new(glob).expect(glob)).collect();
        assert_eq!(last_match(&globs, Path::new("a.yml")), Some(0));
        assert_eq!(last_match(&globs, Path::new("keep.yml")), None);
        assert_eq!(last_match(&globs, Path::new("a.rs")), None);
    }

    #[test]
    fn bad_globs_say_why() {
        for glob in ["", "!", "/", "a[", "../x", "a/../../b"] {
            assert!(PathGlob::new(glob).is_err(), "{glob}");
        }
        for glob in ["", "A=B", "A[0]", "a/b"] {
            assert!(NameGlob::new(glob).is_err(), "{glob}");
        }
    }

    #[test]
    fn name_globs_are_wildcards_over_bytes() {
        for (glob, name, expected) in [
            ("*_TOKEN", &b"MY_TOKEN"[..], true),
            ("*_TOKEN", b"MY_TOKENS", false),
            ("A*B*C", b"AxxBxxBxC", true),
            ("A?C", b"ABC", true),
            ("A?C", b"AC", false),
            ("*", b"", true),
            ("X*", b"X\xff\xfe", true),
            ("**a", b"bbba", true),
        ] {
            assert_eq!(NameGlob::new(glob).expect(glob).matches(name), expected, "{glob}");
        }
    }
}
