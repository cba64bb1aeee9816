//! What a file is used for, which decides where a blocked pattern counts.

use super::{later, manifest};
use crate::changes::{Change, Found, Node, NodeKind};
use crate::schema::Place;

/// Extensions of files that a shell or an interpreter of commands runs.
const SCRIPTS: &[&str] = &["sh", "bash", "zsh", "ksh", "fish", "csh", "bat", "cmd", "ps1", "command", "nu"];

/// Extensions and names of files that people read.
const PROSE: &[&str] =
    &["md", "markdown", "txt", "rst", "adoc", "org", "tex", "html", "htm", "po", "csv", "svg", "log"];
const PROSE_NAMES: &[&str] = &["README", "LICENSE", "COPYING", "CHANGELOG", "AUTHORS", "NOTICE", "TODO"];

/// Whether a file of this name is run, whatever is in it.
pub fn is_run(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    listed(SCRIPTS, extension(name)) || manifest::may_run(path).is_some() || later::named(path).is_some()
}

/// A file that is run, other source, or prose: as `in:` of a pattern names it.
pub(super) fn of(change: &Change) -> Place {
    let name = change.path.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let executable = change.after.as_ref().is_some_and(|node| node.kind.is_file() && node.mode & 0o111 != 0);
    let found = |wanted: &Found| change.findings.iter().any(|finding| finding.what == *wanted);
    if executable || found(&Found::Shebang) || is_run(&change.path.0) {
        Place::Scripts
    } else if listed(PROSE, extension(name)) || listed(PROSE_NAMES, name) {
        Place::Prose
    } else {
        Place::Source
    }
}

fn listed(list: &[&str], text: &[u8]) -> bool {
    list.iter().any(|own| text.eq_ignore_ascii_case(own.as_bytes()))
}

/// After the last dot, which is not the first byte.
fn extension(name: &[u8]) -> &[u8] {
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0);
    dot.and_then(|at| name.get(at + 1..)).unwrap_or_default()
}

/// Whether a link leads out of the workspace, as far as its text tells.
///
/// Whatever is not plainly inside counts as outside: an absolute target, one that climbs above the root, and one
/// that climbs after it went down, because what it went down into can be a link itself.
pub(super) fn leads_out(path: &[u8], node: &Node) -> bool {
    let NodeKind::Symlink(target) = &node.kind else { return false };
    if target.0.first() == Some(&b'/') {
        return true;
    }
    let mut depth = path.iter().filter(|byte| **byte == b'/').count();
    let mut went_down = false;
    for part in target.0.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if went_down || depth == 0 => return true,
            b".." => depth -= 1,
            _ => went_down = true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Finding;
    use crate::plan::Bytes;

    fn file(path: &str, mode: u32, findings: Vec<Finding>) -> Change {
        let node =
            Node { kind: NodeKind::Text, mode, size: 1, modified: (0, 0), digest: None, attributes: None };
        Change {
            path: Bytes(path.as_bytes().to_vec()),
            from: None,
            before: None,
            after: Some(node),
            lines: None,
            findings,
        }
    }

    #[test]
    fn files_are_scripts_source_or_prose() {
        for (path, mode, expected) in [
            ("run.sh", 0o644, Place::Scripts),
            ("tool", 0o755, Place::Scripts),
            ("Makefile", 0o644, Place::Scripts),
            ("web/package.json", 0o644, Place::Scripts),
            (".github/workflows/a.yml", 0o644, Place::Scripts),
            ("app.py", 0o644, Place::Source),
            (".sh", 0o644, Place::Source),
            ("README.md", 0o644, Place::Prose),
            ("LICENSE", 0o644, Place::Prose),
        ] {
            assert_eq!(of(&file(path, mode, Vec::new())), expected, "{path}");
        }
        let shebang = vec![Finding { line: Some(1), what: Found::Shebang }];
        assert_eq!(of(&file("deploy", 0o644, shebang)), Place::Scripts);
    }

    #[test]
    fn links_that_are_not_plainly_inside_lead_out() {
        for (path, target, expected) in [
            ("a", "b", false),
            ("d/a", "../b", false),
            ("d/a", "./../b/c", false),
            ("a", "../b", true),
            ("d/a", "../../b", true),
            ("a", "/etc/passwd", true),
            ("d/e/a", "x/../../b", true),
        ] {
            let mut change = file(path, 0o777, Vec::new());
            if let Some(node) = &mut change.after {
                node.kind = NodeKind::Symlink(Bytes(target.as_bytes().to_vec()));
                assert_eq!(leads_out(path.as_bytes(), node), expected, "{path} -> {target}");
            }
        }
    }
}
