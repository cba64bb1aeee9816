//! What a language looks like, as far as colours go: its comments, its strings and its words.
//!
//! One pass over a line, and a state that goes on to the next: nothing here goes back, so nothing in a text can make
//! it slow. It is no parser, and colours wrongly what only a parser tells apart.

/// What a part of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Word,
    Text,
    Comment,
    Number,
}

/// What the end of a line is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Inside {
    #[default]
    Code,
    Comment(&'static str),
    Text(&'static Quotes),
}

/// How a string begins and ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quotes {
    begin: &'static str,
    end: &'static str,
    escaped: bool,
    lines: Lines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    One,
    Many,
}

/// A language, or some that look alike.
#[derive(Debug)]
pub(super) struct Language {
    /// Endings of names, or whole names.
    names: &'static [&'static str],
    /// From here to the end of the line.
    comments: &'static [&'static str],
    block: Option<(&'static str, &'static str)>,
    quotes: &'static [Quotes],
    /// In order of the alphabet.
    words: &'static [&'static str],
}

const fn quotes(begin: &'static str, end: &'static str, escaped: bool, lines: Lines) -> Quotes {
    Quotes { begin, end, escaped, lines }
}

const DOUBLE: Quotes = quotes("\"", "\"", true, Lines::One);
const SINGLE: Quotes = quotes("'", "'", true, Lines::One);
const SCRIPT: &[Quotes] = &[DOUBLE, SINGLE, quotes("`", "`", true, Lines::Many)];
const PLAIN: &[Quotes] = &[DOUBLE, SINGLE];
const C: Option<(&str, &str)> = Some(("/*", "*/"));

const LANGUAGES: &[Language] = &[
    Language {
        names: &["rs"],
        comments: &["//"],
        block: C,
        // A quote alone is a lifetime as often as a character.
        quotes: &[quotes("r#\"", "\"#", false, Lines::Many), quotes("\"", "\"", true, Lines::Many)],
        words: &[
            "Err", "None", "Ok", "Self", "Some", "as", "async", "await", "bool", "break", "char", "const",
            "continue", "crate", "dyn", "else", "enum", "extern", "f32", "f64", "false", "fn", "for", "i32",
            "i64", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return",
            "self", "static", "str", "struct", "super", "trait", "true", "type", "u16", "u32", "u64", "u8",
            "unsafe", "use", "usize", "where", "while",
        ],
    },
    Language {
        names: &["py", "pyi", "pyw", "bzl", "SConstruct"],
        comments: &["#"],
        block: None,
        quotes: &[
            quotes("\"\"\"", "\"\"\"", true, Lines::Many),
            quotes("'''", "'''", true, Lines::Many),
            DOUBLE,
            SINGLE,
        ],
        words: &[
            "False", "None", "True", "and", "as", "assert", "async", "await", "break", "case", "class",
            "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if",
            "import", "in", "is", "lambda", "match", "nonlocal", "not", "or", "pass", "raise", "return",
            "self", "try", "while", "with", "yield",
        ],
    },
    Language {
        names: &["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "vue", "svelte"],
        comments: &["//"],
        block: C,
        quotes: SCRIPT,
        words: &[
            "abstract",
            "as",
            "async",
            "await",
            "boolean",
            "break",
            "case",
            "catch",
            "class",
            "const",
            "continue",
            "declare",
            "default",
            "delete",
            "do",
            "else",
            "enum",
            "export",
            "extends",
            "false",
            "finally",
            "for",
            "from",
            "function",
            "get",
            "if",
            "implements",
            "import",
            "in",
            "instanceof",
            "interface",
            "let",
            "namespace",
            "new",
            "null",
            "number",
            "of",
            "private",
            "protected",
            "public",
            "readonly",
            "return",
            "set",
            "static",
            "string",
            "super",
            "switch",
            "this",
            "throw",
            "true",
            "try",
            "type",
            "typeof",
            "undefined",
            "var",
            "void",
            "while",
            "yield",
        ],
    },
    Language {
        names: &["go"],
        comments: &["//"],
        block: C,
        quotes: &[DOUBLE, SINGLE, quotes("`", "`", false, Lines::Many)],
        words: &[
            "bool",
            "break",
            "byte",
            "case",
            "chan",
            "const",
            "continue",
            "default",
            "defer",
            "else",
            "error",
            "fallthrough",
            "false",
            "for",
            "func",
            "go",
            "goto",
            "if",
            "import",
            "int",
            "int64",
            "interface",
            "map",
            "nil",
            "package",
            "range",
            "return",
            "rune",
            "select",
            "string",
            "struct",
            "switch",
            "true",
            "type",
            "var",
        ],
    },
    Language {
        names: &[
            "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "m", "mm", "java", "kt", "kts", "cs", "swift",
            "dart", "scala", "php", "groovy", "gradle", "proto", "zig",
        ],
        comments: &["//"],
        block: C,
        quotes: PLAIN,
        words: &[
            "abstract",
            "as",
            "async",
            "auto",
            "await",
            "bool",
            "boolean",
            "break",
            "byte",
            "case",
            "catch",
            "char",
            "class",
            "const",
            "constexpr",
            "continue",
            "default",
            "delete",
            "do",
            "double",
            "echo",
            "else",
            "enum",
            "explicit",
            "extends",
            "extern",
            "false",
            "final",
            "finally",
            "float",
            "fn",
            "for",
            "foreach",
            "fun",
            "func",
            "function",
            "goto",
            "if",
            "implements",
            "import",
            "in",
            "inline",
            "int",
            "interface",
            "internal",
            "is",
            "let",
            "long",
            "message",
            "namespace",
            "new",
            "nil",
            "null",
            "nullptr",
            "object",
            "operator",
            "override",
            "package",
            "private",
            "protected",
            "protocol",
            "public",
            "return",
            "self",
            "short",
            "signed",
            "sizeof",
            "static",
            "struct",
            "super",
            "switch",
            "template",
            "this",
            "throw",
            "throws",
            "true",
            "try",
            "typedef",
            "typename",
            "union",
            "unsigned",
            "use",
            "using",
            "val",
            "var",
            "virtual",
            "void",
            "volatile",
            "when",
            "while",
            "yield",
        ],
    },
    Language {
        names: &["sh", "bash", "zsh", "ksh", "bashrc", "zshrc", "profile", "bash_profile", "env"],
        comments: &["#"],
        block: None,
        quotes: &[quotes("\"", "\"", true, Lines::Many), quotes("'", "'", false, Lines::Many)],
        words: &[
            "case", "do", "done", "elif", "else", "esac", "exec", "exit", "export", "fi", "for", "function",
            "if", "in", "local", "readonly", "return", "set", "shift", "source", "then", "trap", "unset",
            "until", "while",
        ],
    },
    Language {
        names: &[
            "yaml",
            "yml",
            "toml",
            "ini",
            "cfg",
            "conf",
            "service",
            "properties",
            "editorconfig",
            "lock",
        ],
        comments: &["#", ";"],
        block: None,
        quotes: PLAIN,
        words: &["false", "no", "null", "off", "on", "true", "yes"],
    },
    Language {
        names: &["json", "jsonc", "json5", "ipynb"],
        comments: &["//"],
        block: C,
        quotes: &[DOUBLE],
        words: &["false", "null", "true"],
    },
    Language {
        names: &["rb", "Gemfile", "Rakefile", "gemspec", "ex", "exs"],
        comments: &["#"],
        block: None,
        quotes: PLAIN,
        words: &[
            "alias",
            "and",
            "begin",
            "break",
            "case",
            "class",
            "def",
            "defmodule",
            "defp",
            "do",
            "else",
            "elsif",
            "end",
            "ensure",
            "false",
            "fn",
            "for",
            "if",
            "in",
            "module",
            "next",
            "nil",
            "not",
            "or",
            "require",
            "rescue",
            "return",
            "self",
            "super",
            "then",
            "true",
            "unless",
            "until",
            "when",
            "while",
            "yield",
        ],
    },
    Language {
        names: &["lua"],
        comments: &["--"],
        block: None,
        quotes: &[quotes("[[", "]]", false, Lines::Many), DOUBLE, SINGLE],
        words: &[
            "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
            "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
        ],
    },
    Language {
        names: &["sql"],
        comments: &["--"],
        block: C,
        quotes: &[quotes("'", "'", false, Lines::Many)],
        words: &[
            "ALTER", "AND", "AS", "BY", "CREATE", "DELETE", "DROP", "FROM", "GRANT", "GROUP", "INSERT",
            "INTO", "JOIN", "NOT", "NULL", "ON", "OR", "ORDER", "SELECT", "SET", "TABLE", "UPDATE", "VALUES",
            "WHERE",
        ],
    },
    Language { names: &["css", "scss", "less"], comments: &[], block: C, quotes: PLAIN, words: &[] },
    Language {
        names: &["html", "htm", "xml", "svg", "xhtml", "csproj"],
        comments: &[],
        block: Some(("<!--", "-->")),
        quotes: &[DOUBLE],
        words: &[],
    },
    Language {
        names: &["Dockerfile", "Containerfile", "dockerfile"],
        comments: &["#"],
        block: None,
        quotes: PLAIN,
        words: &[
            "ADD",
            "ARG",
            "CMD",
            "COPY",
            "ENTRYPOINT",
            "ENV",
            "EXPOSE",
            "FROM",
            "HEALTHCHECK",
            "LABEL",
            "RUN",
            "SHELL",
            "USER",
            "VOLUME",
            "WORKDIR",
        ],
    },
    Language {
        names: &["Makefile", "makefile", "GNUmakefile", "mk", "cmake"],
        comments: &["#"],
        block: None,
        quotes: PLAIN,
        words: &["define", "else", "endef", "endif", "export", "ifdef", "ifeq", "ifndef", "ifneq", "include"],
    },
    Language {
        names: &["tf", "hcl", "nix"],
        comments: &["#", "//"],
        block: C,
        quotes: &[DOUBLE],
        words: &["else", "false", "if", "in", "inherit", "let", "null", "rec", "then", "true", "with"],
    },
];

impl Language {
    /// The language of a file of this name.
    pub(super) fn of(path: &str) -> Option<&'static Language> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        LANGUAGES.iter().find(|language| {
            language.names.contains(&name)
                || ending.as_deref().is_some_and(|end| language.names.contains(&end))
        })
    }

    /// The parts of a line: how many bytes each has, and what it is.
    pub(super) fn parts(&self, inside: &mut Inside, line: &str) -> Vec<(usize, Kind)> {
        let mut parts: Vec<(usize, Kind)> = Vec::new();
        let mut rest = line;
        while !rest.is_empty() {
            let (length, kind) = self.next(inside, rest);
            // Never none, and never in the middle of a character.
            let length = rest.len().min(length.max(1));
            let length = (length..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
            match parts.last_mut() {
                Some((before, last)) if *last == kind => *before += length,
                _ => parts.push((length, kind)),
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        if matches!(inside, Inside::Text(quotes) if quotes.lines == Lines::One) {
            *inside = Inside::Code;
        }
        parts
    }

    /// The part that this begins with.
    fn next(&self, inside: &mut Inside, rest: &str) -> (usize, Kind) {
        match *inside {
            Inside::Comment(end) => (until(inside, rest, end, false), Kind::Comment),
            Inside::Text(quotes) => (until(inside, rest, quotes.end, quotes.escaped), Kind::Text),
            Inside::Code => self.code(inside, rest),
        }
    }

    fn code(&self, inside: &mut Inside, rest: &str) -> (usize, Kind) {
        if self.comments.iter().any(|begin| rest.starts_with(begin)) {
            return (rest.len(), Kind::Comment);
        }
        if let Some((begin, end)) = self.block.filter(|(begin, _)| rest.starts_with(begin)) {
            *inside = Inside::Comment(end);
            return (begin.len(), Kind::Comment);
        }
        if let Some(quotes) = self.quotes.iter().find(|quotes| rest.starts_with(quotes.begin)) {
            *inside = Inside::Text(quotes);
            return (quotes.begin.len(), Kind::Text);
        }
        let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let found = rest.get(..word).unwrap_or_default();
        match found.bytes().next() {
            None => (1, Kind::Plain),
            Some(digit) if digit.is_ascii_digit() => (word, Kind::Number),
            Some(_) if self.words.binary_search(&found).is_ok() => (word, Kind::Word),
            Some(_) => (word, Kind::Plain),
        }
    }
}

/// How far it is to this end, and past it; then it is code again.
fn until(inside: &mut Inside, rest: &str, end: &str, escaped: bool) -> usize {
    let mut at = 0;
    while let Some(left) = rest.get(at..).filter(|left| !left.is_empty()) {
        if left.starts_with(end) {
            *inside = Inside::Code;
            return at + end.len();
        }
        let mut characters = left.chars();
        at += characters.next().map_or(1, |first| match first {
            '\\' if escaped => 1 + characters.next().map_or(0, char::len_utf8),
            other => other.len_utf8(),
        });
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_order_so_that_they_are_found() {
        for language in LANGUAGES {
            assert!(language.words.is_sorted(), "{:?}", language.names);
            for word in language.words {
                let mut inside = Inside::Code;
                assert_eq!(language.parts(&mut inside, word), [(word.len(), Kind::Word)], "{word}");
            }
        }
    }
}
