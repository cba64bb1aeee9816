//! Owns what is known of coding agents, as data: which hosts, keys, files and switches each one needs.
//!
//! A profile helps an agent and loosens nothing. What it shows of the home holds settings; what it keeps
//! between runs is data that nothing executes; its hosts count only where a person chose the allowlist.

mod command;
mod table;

pub use command::of_command;
pub use table::PROFILES;

use crate::schema::{UnknownWord, Word};

/// What one agent needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// As written in a policy.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Base names of its command, beside `name`.
    pub commands: &'static [&'static str],
    /// Packages of npm or PyPI that are the agent: what `npx` and `uvx` are given, and the directory a script lies in.
    pub packages: &'static [&'static str],
    /// Where its model and its account are: entries of the allowlist.
    pub hosts: &'static [&'static str],
    /// Variables that hold a key.
    pub keys: &'static [Token],
    /// Files that hold its login.
    pub logins: &'static [Login],
    /// Settings of the home, readable inside; writes go to a layer of the run.
    pub visible: &'static [&'static str],
    /// Data of the home that is kept from one run to the next. `{workspace}` is the workspace's path with `-`
    /// for whatever is no letter or digit, so that a run sees the sessions of its own project only.
    pub persist: &'static [&'static str],
    /// Variables it needs inside, where the user has not set them.
    pub switches: &'static [Switch],
    /// How it is to be started where there are no namespaces for a sandbox of its own.
    pub without_its_sandbox: Option<&'static str>,
}

/// A secret, and where it belongs.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// The name of its variable, or of its field in a file: dotted, `*` being any text.
    pub name: &'static str,
    /// The hosts that it was made for, and no others.
    pub hosts: &'static [&'static str],
}

/// A file that holds a login.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    /// Beneath the home.
    pub path: &'static str,
    /// The secrets in it.
    pub tokens: &'static [Token],
}

/// A variable, and its value inside.
#[derive(Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub variable: &'static str,
    /// Its value.
    pub value: &'static str,
}

/// Which profile a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// Told by the command.
    #[default]
    Auto,
    /// This one, whatever the command.
    Named(&'static Profile),
    /// None.
    None,
}

/// The words of `profile:`, in the order of the table; `none`, the strictest, is the last.
pub(crate) const WORDS: &[Word] = &ALL_WORDS;

/// The word for what the command tells.
pub(crate) const AUTO: &str = "auto";

const NONE: &str = "none";

const ALL_WORDS: [Word; PROFILES.len() + 2] = {
    let mut words =
        [const { Word { word: AUTO, doc: "the one that the command tells" } }; PROFILES.len() + 2];
    let mut at = 0;
    while at < PROFILES.len() {
        words[at + 1] = Word { word: PROFILES[at].name, doc: PROFILES[at].title };
        at += 1;
    }
    words[PROFILES.len() + 1] = Word { word: NONE, doc: "no profile" };
    words
};

/// The profile of a name.
pub fn named(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

impl Choice {
    /// As written in a policy.
    pub fn word(self) -> &'static str {
        match self {
            Choice::Auto => AUTO,
            Choice::Named(profile) => profile.name,
            Choice::None => NONE,
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word {
            AUTO => Some(Choice::Auto),
            NONE => Some(Choice::None),
            name => named(name).map(Choice::Named),
        }
    }

    /// The profile of a command.
    pub fn of(self, command: &[Vec<u8>]) -> Option<&'static Profile> {
        match self {
            Choice::Auto => of_command(command),
            Choice::Named(profile) => Some(profile),
            Choice::None => None,
        }
    }
}

impl std::str::FromStr for Choice {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::from_word(word).ok_or_else(|| UnknownWord::new(word, WORDS))
    }
}

impl Profile {
    /// What is kept between runs in this workspace.
    pub(crate) fn kept_in(&self, workspace: &[u8]) -> Vec<String> {
        const PLACE: &str = "{workspace}";
        // Claude Code's own spelling. A path that is not UTF-8 has no place of its own, so nothing is kept for it.
        let folded = std::str::from_utf8(workspace).ok().filter(|path| !path.is_empty()).map(|path| {
            path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>()
        });
        self.persist
            .iter()
            .filter_map(|path| match &folded {
                Some(folded) => Some(path.replace(PLACE, folded)),
                None => (!path.contains(PLACE)).then(|| (*path).to_owned()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
