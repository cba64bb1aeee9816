//! `changes.jsonl` read back, for a decision after the run. What was found in the changes is not in it: the
//! verdict has that.

use serde_json::Value as Json;

use super::{Change, ChangeSet, Commits, LeftOut, Lines, Node, NodeKind};
use crate::plan::Bytes;

impl ChangeSet {
    /// Reads the lines back; none where one of them is not as it was written.
    pub fn from_lines(lines: impl IntoIterator<Item = Json>) -> Option<Self> {
        let mut set = ChangeSet::default();
        for line in lines {
            if line.get("references").is_some() {
                set.commits = Some(Commits::from_json(&line)?);
                continue;
            }
            match line.get("left_out") {
                Some(reason) => set
                    .left_out
                    .push(LeftOut { path: name(&line, "path")?, reason: reason.as_str()?.to_owned() }),
                None => set.changes.push(change(&line)?),
            }
        }
        Some(set)
    }
}

fn change(line: &Json) -> Option<Change> {
    let side = |key: &str| match line.get(key) {
        None | Some(Json::Null) => Some(None),
        Some(node) => self::node(node).map(Some),
    };
    let lines = match line.get("lines") {
        None | Some(Json::Null) => None,
        Some(lines) => {
            Some(Lines { added: lines.get("added")?.as_u64()?, removed: lines.get("removed")?.as_u64()? })
        }
    };
    let from = match line.get("from") {
        None | Some(Json::Null) => None,
        Some(_) => Some(name(line, "from")?),
    };
    Some(Change {
        path: name(line, "path")?,
        from,
        before: side("before")?,
        after: side("after")?,
        lines,
        findings: Vec::new(),
    })
}

fn node(node: &Json) -> Option<Node> {
    let kind = match node.get("type")?.as_str()? {
        "text" => NodeKind::Text,
        "binary" => NodeKind::Binary,
        "directory" => NodeKind::Directory,
        "symlink" => NodeKind::Symlink(name(node, "target")?),
        "fifo" => NodeKind::Fifo,
        "special" => NodeKind::Special,
        _ => return None,
    };
    let (seconds, nanos) = node.get("modified")?.as_str()?.split_once('.')?;
    let digest = |key: &str| match node.get(key) {
        None => Some(None),
        Some(text) => {
            let bytes = data_encoding::HEXLOWER.decode(text.as_str()?.as_bytes()).ok()?;
            Some(Some(<[u8; 32]>::try_from(bytes).ok()?))
        }
    };
    Some(Node {
        kind,
        mode: u32::from_str_radix(node.get("mode")?.as_str()?, 8).ok()?,
        size: node.get("size").map_or(Some(0), Json::as_u64)?,
        modified: (seconds.parse().ok()?, nanos.parse().ok()?),
        digest: digest("sha256")?,
        attributes: digest("attributes")?,
    })
}

fn name(map: &Json, key: &str) -> Option<Bytes> {
    match map.get(format!("{key}_raw")) {
        Some(raw) => data_encoding::BASE64.decode(raw.as_str()?.as_bytes()).ok().map(Bytes),
        None => Some(Bytes(map.get(key)?.as_str()?.as_bytes().to_vec())),
    }
}
