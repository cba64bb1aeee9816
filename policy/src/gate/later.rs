//! What runs on the user's machine later, without anybody starting it by name.
//!
//! A file is in the table when some everyday tool executes it, or what it names, as a side effect of another step:
//! opening the folder, entering the directory, committing, building, testing. A program that a person starts
//! by its own name is not in it.

mod table;

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::changes::{Node, NodeKind};

use By::{At, Beginning, Ending, In, Name, Path};
use table::TABLE;

/// What a file is known by. Case does not count: some of these tools look for several spellings, and some file
/// systems have but one.
enum By {
    /// Its name, at any depth.
    Name(&'static str),
    /// The beginning of its name, at any depth.
    Beginning(&'static str),
    /// The end of its name, at any depth.
    Ending(&'static str),
    /// The path from the root of the workspace.
    Path(&'static str),
    /// The last parts of its path, at any depth.
    At(&'static str),
    /// Anything in this directory, which lies at any depth.
    In(&'static str),
}

/// Ends the sentence "runs on your machine when …", if a file of this name is such a file.
pub(super) fn named(path: &[u8]) -> Option<&'static str> {
    let path = path.to_ascii_lowercase();
    let index = INDEX.get_or_init(Index::new);
    let end_of_above = path.iter().rposition(|byte| *byte == b'/');
    let name = path.get(end_of_above.map_or(0, |at| at + 1)..).unwrap_or_default();
    let by_name = index.names.get(name).copied();
    // Each directory above it, by its own name first and by those before it then.
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let by_directory = ends.filter_map(|end| {
        let directory = path.get(..end)?;
        let own = directory.rsplit(|byte| *byte == b'/').next()?;
        index.directories.get(own)?.iter().copied().find(|row| is(*row, |by| by.is_directory(directory)))
    });
    let by_rest = index.rest.iter().copied().find(|row| is(*row, |by| by.is(&path, name)));
    let found = by_name.into_iter().chain(by_directory).chain(by_rest);
    let is_installed = is_installed(&path);
    let counts =
        |row: &usize| !is_installed || TABLE.get(*row).is_some_and(|(by, when)| everywhere(by, when));
    found.filter(counts).min().and_then(|first| TABLE.get(first)).map(|(_, when)| *when)
}

/// Whether it is part of a package that an installer put there: how that package is built, tested and published is
/// nobody's business here, and what it does when it is used is code like any other.
pub(super) fn is_installed(path: &[u8]) -> bool {
    let mut above = path.split(|byte| *byte == b'/').rev().skip(1);
    above
        .any(|part| [&b"node_modules"[..], b"site-packages"].iter().any(|own| part.eq_ignore_ascii_case(own)))
}

/// Whether it takes effect wherever it lies.
fn everywhere(by: &By, when: &str) -> bool {
    let (Name(own) | Beginning(own) | Ending(own) | Path(own) | At(own) | In(own)) = by;
    own.starts_with(".git/") || when == table::REPOSITORY || when == table::STARTS
}

/// The table by what can be looked up: a run may have changed a hundred thousand files.
struct Index {
    names: HashMap<Vec<u8>, usize>,
    /// By the last part of their path.
    directories: HashMap<Vec<u8>, Vec<usize>>,
    rest: Vec<usize>,
}

static INDEX: OnceLock<Index> = OnceLock::new();

impl Index {
    fn new() -> Self {
        let mut index = Self { names: HashMap::new(), directories: HashMap::new(), rest: Vec::new() };
        for (row, (by, _)) in TABLE.iter().enumerate() {
            match by {
                Name(own) => drop(index.names.entry(lower(own)).or_insert(row)),
                In(own) => {
                    let last = own.rsplit('/').next().unwrap_or(own);
                    index.directories.entry(lower(last)).or_default().push(row);
                }
                Beginning(_) | Ending(_) | Path(_) | At(_) => index.rest.push(row),
            }
        }
        index
    }
}

fn lower(text: &str) -> Vec<u8> {
    text.as_bytes().to_ascii_lowercase()
}

fn is(row: usize, test: impl FnOnce(&By) -> bool) -> bool {
    TABLE.get(row).is_some_and(|(by, _)| test(by))
}

/// The same for what is there: a link that takes the place of such a directory, or of one above it, brings files
/// there that have other paths in the list of changes.
pub(super) fn when(path: &[u8], node: &Node) -> Option<&'static str> {
    named(path).or_else(|| match node.kind {
        NodeKind::Symlink(_) => TABLE.iter().find(|(by, _)| by.can_be_below(path)).map(|(_, when)| *when),
        _ => None,
    })
}

impl By {
    /// What no lookup finds.
    fn is(&self, path: &[u8], name: &[u8]) -> bool {
        match self {
            Beginning(own) => name.get(..own.len()).is_some_and(|part| same(part, own)),
            Ending(own) => ends(name, own),
            Path(own) => same(path, own),
            At(own) => ends_in_parts(path, own),
            Name(_) | In(_) => false,
        }
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        matches!(self, In(own) if ends_in_parts(path, own))
    }

    /// Whether a directory of this path can hold such a file by its name alone.
    fn can_be_below(&self, path: &[u8]) -> bool {
        let (own, whole) = match self {
            In(own) => (own, true),
            At(own) => (own, false),
            Name(_) | Beginning(_) | Ending(_) | Path(_) => return false,
        };
        let ends = own.match_indices('/').map(|(at, _)| at).chain(whole.then_some(own.len()));
        ends.filter_map(|end| own.get(..end)).any(|above| ends_in_parts(path, above))
    }
}

fn same(part: &[u8], own: &str) -> bool {
    part.eq_ignore_ascii_case(own.as_bytes())
}

fn ends(name: &[u8], own: &str) -> bool {
    name.len().checked_sub(own.len()).and_then(|at| name.get(at..)).is_some_and(|end| same(end, own))
}

/// Whether these are the last parts of the path, whole ones.
fn ends_in_parts(path: &[u8], own: &str) -> bool {
    let begins = path.len().checked_sub(own.len() + 1).is_none_or(|at| path.get(at) == Some(&b'/'));
    begins && ends(path, own)
}

#[cfg(test)]
mod tests {
    use super::{named, when};
    use crate::changes::{Node, NodeKind};
    use crate::plan::Bytes;

    #[test]
    fn what_runs_later_is_known_and_what_does_not_is_left_alone() {
        for (path, expected) in [
            (".git/hooks/pre-commit", true),
            ("vendor/thing/.git/hooks/post-checkout", true),
            (".git/config", true),
            (".git/info/attributes", true),
            (".github/workflows/ci.yml", true),
            ("sub/.vscode/tasks.json", true),
            ("MAKEFILE", true),
            ("rules.mk", true),
            ("a/b/conftest.py", true),
            ("build.rs", true),
            (".envrc", true),
            ("docker/app.Dockerfile", true),
            (".cargo/config.toml", true),
            ("vendor/x/.git/config", true),
            ("vendor/x/.git", true),
            ("docs/HEAD", true),
            ("Dockerfile.dev", true),
            ("web/vite.config.mts", true),
            (".config/fish/config.fish", true),
            ("node_modules/x/.git/hooks/pre-commit", true),
            ("node_modules/x/.git", true),
            (".venv/lib/python3.12/site-packages/x.pth", true),
            (".venv/lib/python3.12/site-packages/x/setup.py", false),
            ("web/node_modules/@a/x/.github/workflows/ci.yml", false),
            ("web/node_modules/x/Makefile", false),
            ("node_modules.d/Makefile", true),
            ("node_modules", false),
            ("xgit/config", false),
            ("x.git/config", false),
            ("docs/HEADER", false),
            ("src/app/app.config.ts", false),
            ("shop/tasks.py", false),
            ("tasks.py", true),
            ("src/main.rs", false),
            ("app.py", false),
            ("README.md", false),
            (".github/CODEOWNERS", false),
            ("package.json", false),
            ("vscode/tasks.json", false),
            ("x.vscode/y", false),
            (".vscode", false),
            ("makefile.txt", false),
            ("", false),
        ] {
            assert_eq!(named(path.as_bytes()).is_some(), expected, "{path}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_such_a_directory_is_as_such_a_file() {
        let node =
            |kind| Node { kind, mode: 0o777, size: 0, modified: (0, 0), digest: None, attributes: None };
        let link = node(NodeKind::Symlink(Bytes(b"conf".to_vec())));
        for (path, expected) in [
            (".vscode", true),
            ("sub/.vscode", true),
            (".github", true),
            (".github/workflows", true),
            ("vendor/x/.git", true),
            ("workflows", false),
            ("x.vscode", false),
            ("github", false),
            ("src", false),
        ] {
            assert_eq!(when(path.as_bytes(), &link).is_some(), expected, "{path}");
            // The twin: a file of that name is no directory.
            let file = when(path.as_bytes(), &node(NodeKind::Text)).is_some();
            assert_eq!(file, path.ends_with(".git"), "{path}");
        }
    }
}
