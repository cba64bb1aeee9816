//! The closed words of the policy, each an enum that knows its spelling.
//!
//! Variants stand in order of strictness, loosest first: `Ord` is the strictness, and that is what the layers
//! compare. The table of keys takes its words from here, so parser and JSON Schema cannot drift from the types.

use std::fmt;

/// One word that a key accepts, with its meaning.
#[derive(Debug)]
pub struct Word {
    /// As written in the file.
    pub word: &'static str,
    /// One sentence for people.
    pub doc: &'static str,
}

/// A word that is none of those expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    found: String,
    expected: &'static [Word],
}

impl UnknownWord {
    pub(crate) fn new(found: &str, expected: &'static [Word]) -> Self {
        UnknownWord { found: found.to_owned(), expected }
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&unknown_word(&self.found, self.expected))
    }
}

impl std::error::Error for UnknownWord {}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl Eq for Word {}

macro_rules! words {
    ($(#[$meta:meta])* $Name:ident { $($Variant:ident = $word:literal: $doc:literal,)+ } default $Default:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Name {
            $(#[doc = $doc] $Variant,)+
        }

        impl $Name {
            /// Every word, loosest first.
            pub const WORDS: &'static [Word] = &[$(Word { word: $word, doc: $doc },)+];

            /// What holds where no layer says anything.
            pub const DEFAULT: Self = $Name::$Default;

            /// As written in a policy.
            pub const fn word(self) -> &'static str {
                match self { $($Name::$Variant => $word,)+ }
            }

            pub(crate) fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($Name::$Variant),)+ _ => None }
            }
        }

        impl Default for $Name {
            fn default() -> Self { Self::DEFAULT }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.word()) }
        }

        impl std::str::FromStr for $Name {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::from_word(word)
                    .ok_or_else(|| UnknownWord { found: word.to_owned(), expected: Self::WORDS })
            }
        }
    };
}

words! {
    /// What stands in the place of a real secret.
    SecretsMode {
        Broker = "broker": "a synthetic inside, swapped for the real one on the wire to its own host",
        Synthetic = "synthetic": "a synthetic of the same form",
        Block = "block": "nothing: the variable is absent and the file is unreadable",
    } default Synthetic
}
words! {
    /// What a known secret file shows inside.
    FileMode {
        Allow = "allow": "the real file",
        Synthetic = "synthetic": "the same file with synthetic values",
        Block = "block": "the file is there and cannot be opened",
    } default Synthetic
}
words! {
    /// What becomes of real values in the repository's history.
    History {
        Allow = "allow": "history is readable as it is",
        Mask = "mask": "objects that hold a real value show the synthetic",
        Block = "block": "a repository whose history holds a real value is unreadable",
    } default Mask
}
words! {
    /// Where writes to the workspace go.
    Writes {
        Direct = "direct": "into the real tree at once",
        Overlay = "overlay": "into a layer of the run; promoted after the gate",
        None = "none": "nowhere: the workspace is read-only",
    } default Overlay
}
words! {
    /// What the command can reach.
    NetworkMode {
        Open = "open": "every public host, through the launcher",
        Allowlist = "allowlist": "the hosts of `network.allow`, through the launcher",
        None = "none": "only its own loopback",
    } default None
}
words! {
    /// What somebody is told of.
    Notice {
        Held = "held": "changes wait for a person",
        Refused = "refused": "changes were refused",
        Leak = "leak": "a real secret was about to leave, and the run was stopped",
    } default Held
}
words! {
    /// How strong the walls must be.
    Isolation {
        Preload = "preload": "the preload shim and the substituted environment alone; a weaker mode",
        Landlock = "landlock": "Landlock and a filter of system calls, where namespaces are forbidden; between the two",
        Full = "full": "the kernel's walls; refuses to start without them",
    } default Full
}
words! {
    /// When a person looks at the changes.
    Review {
        Never = "never": "nobody is asked",
        Auto = "auto": "what the policy holds waits for a person",
        Always = "always": "every change waits for a person",
    } default Auto
}
words! {
    /// Where a blocked pattern counts.
    Place {
        Command = "command": "an executed command: stopped",
        Scripts = "scripts": "an added line of a file that is run: refused",
        Source = "source": "an added line of other source: refused",
        Prose = "prose": "an added line of text: refused",
        Output = "output": "what the command prints: noted",
    } default Command
}

/// The message for a word that is none of `expected`, with the nearest right one.
pub(crate) fn unknown_word(found: &str, expected: &[Word]) -> String {
    let words: Vec<&str> = expected.iter().map(|word| word.word).collect();
    let list = one_of(&words);
    match nearest(found, &words) {
        Some(word) => format!("unknown word `{}`; did you mean `{word}`? (expected {list})", shown(found)),
        None => format!("unknown word `{}`; expected {list}", shown(found)),
    }
}

/// The nearest of `words`, if it is near enough to be what was meant.
///
/// Case and the choice between `-`, `_` and nothing are no distance at all: that is how such words go wrong.
pub(crate) fn nearest<'a>(found: &str, words: &[&'a str]) -> Option<&'a str> {
    // Nobody means a key by a page of text, and the distance is quadratic.
    if found.is_empty() || found.len() > 64 {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(found);
    words
        .iter()
        .map(|word| (strsim::damerau_levenshtein(&wanted, &plain(word)), *word))
        .filter(|(distance, word)| *distance <= (word.len().max(wanted.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
        // `timeout` for `timeout_seconds`.
        .or_else(|| words.iter().copied().find(|word| wanted.len() >= 4 && plain(word).starts_with(&wanted)))
}

/// `a`, `b` or `c`, each in backticks.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", most.join(", "))
        }
    }
}

/// Text of the file as it may stand in a message: short, on one line, nothing that moves a terminal.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut out: String =
        text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictness_is_the_order_of_the_variants() {
        assert!(SecretsMode::Broker < SecretsMode::Synthetic && SecretsMode::Synthetic < SecretsMode::Block);
        assert!(Writes::Direct < Writes::Overlay && Writes::Overlay < Writes::None);
        assert!(NetworkMode::Open < NetworkMode::Allowlist && NetworkMode::Allowlist < NetworkMode::None);
        assert!(Isolation::Preload < Isolation::Full);
        for (index, word) in Review::WORDS.iter().enumerate() {
            assert_eq!(Review::from_word(word.word).map(|review| review as usize), Some(index));
        }
    }

    #[test]
    fn nearest_word_is_what_a_hand_meant() {
        let words = ["blocked_patterns", "require_human_review", "secrets", "files", "network", "limits"];
        for (found, expected) in [
            ("blocked_pattern", Some("blocked_patterns")),
            ("blockedPatterns", Some("blocked_patterns")),
            ("BLOCKED-PATTERNS", Some("blocked_patterns")),
            ("sercets", Some("secrets")),
            ("secret", Some("secrets")),
            ("netwrok", Some("network")),
            ("flies", Some("files")),
            ("blocked", Some("blocked_patterns")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(found, &words), expected, "{found}");
        }
    }
}
