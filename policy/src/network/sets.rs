//! Hosts that belong together, by name: `set:npm` in the allowlist.
//!
//! Data. An entry is here because the tool of that name cannot do its everyday work without it; uploads,
//! telemetry and whole clouds are not.

use crate::schema::nearest;

/// A named list of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// What follows `set:`.
    pub name: &'static str,
    /// Its entries, as one would write them.
    pub entries: &'static [&'static str],
}

const SETS: &[Set] = &[
    Set { name: "npm", entries: &["registry.npmjs.org", "registry.yarnpkg.com"] },
    Set { name: "pypi", entries: &["pypi.org", "files.pythonhosted.org"] },
    Set { name: "crates", entries: &["crates.io", "index.crates.io", "static.crates.io"] },
    Set { name: "rust", entries: &["static.rust-lang.org"] },
    Set { name: "go", entries: &["proxy.golang.org", "sum.golang.org"] },
    Set { name: "rubygems", entries: &["rubygems.org", "index.rubygems.org"] },
    Set { name: "maven", entries: &["repo.maven.apache.org", "repo1.maven.org"] },
    Set { name: "nuget", entries: &["api.nuget.org"] },
    Set { name: "packagist", entries: &["repo.packagist.org", "packagist.org"] },
    Set { name: "debian", entries: &["deb.debian.org", "security.debian.org"] },
    Set { name: "ubuntu", entries: &["archive.ubuntu.com", "security.ubuntu.com", "ports.ubuntu.com"] },
    Set {
        name: "github",
        entries: &[
            "github.com",
            "github.com:22",
            "api.github.com",
            "codeload.github.com",
            "raw.githubusercontent.com",
            "objects.githubusercontent.com",
            "release-assets.githubusercontent.com",
        ],
    },
    Set { name: "gitlab", entries: &["gitlab.com", "gitlab.com:22"] },
    Set { name: "bitbucket", entries: &["bitbucket.org", "bitbucket.org:22", "api.bitbucket.org"] },
    Set { name: "openai", entries: &["api.openai.com", "auth.openai.com", "chatgpt.com"] },
    Set { name: "anthropic", entries: &["api.anthropic.com", "console.anthropic.com", "claude.ai"] },
    Set {
        name: "google",
        entries: &[
            "generativelanguage.googleapis.com",
            "cloudcode-pa.googleapis.com",
            "oauth2.googleapis.com",
            "accounts.google.com",
        ],
    },
    Set { name: "mistral", entries: &["api.mistral.ai", "codestral.mistral.ai"] },
    Set { name: "openrouter", entries: &["openrouter.ai"] },
    Set { name: "groq", entries: &["api.groq.com"] },
    Set { name: "deepseek", entries: &["api.deepseek.com"] },
    Set { name: "xai", entries: &["api.x.ai"] },
    Set {
        name: "huggingface",
        entries: &["huggingface.co", "cdn-lfs.huggingface.co", "router.huggingface.co"],
    },
];

/// All sets.
pub const fn sets() -> &'static [Set] {
    SETS
}

/// The set of this name.
pub fn set(name: &str) -> Option<&'static Set> {
    SETS.iter().find(|set| set.name == name)
}

/// The name that was probably meant.
pub fn nearest_set(name: &str) -> Option<&'static str> {
    nearest(name, &SETS.iter().map(|set| set.name).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::*;

    #[test]
    fn every_entry_of_a_set_is_one() {
        for set in SETS {
            for entry in set.entries {
                assert!(Entry::parse(entry).is_ok(), "{} {entry}", set.name);
                assert!(!entry.starts_with("set:"), "{}", set.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_a_wrong_one_leads_to_the_right_one() {
        let mut names: Vec<_> = SETS.iter().map(|set| set.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETS.len());
        assert_eq!(nearest_set("githab"), Some("github"));
        assert_eq!(nearest_set("zzzzzzzz"), None);
    }
}
