//! The policy for people: what holds and why, and a file to begin with.

use std::fmt::Write;

use super::effective::Policy;
use super::layer::{plain, plain_item};
use super::table::{KEYS, Key, Kind, Shape};
use super::value::Value;

impl Policy {
    /// Every key with its value and where that comes from; entries of lists one a line.
    pub fn explain(&self) -> String {
        let mut rows: Vec<(String, String)> = Vec::new();
        for setting in &self.settings {
            let path = setting.key.path;
            match &setting.value {
                Value::Items(items) if !items.is_empty() => {
                    rows.push((format!("{path}:"), String::new()));
                    for item in items {
                        rows.push((format!("  - {}", plain_item(item)), item.origin.to_string()));
                    }
                }
                value => {
                    let mut said = setting.origin.to_string();
                    if let ("profile", Some(profile)) = (path, self.profile) {
                        said = format!("{said}; this is {}", profile.title);
                    }
                    rows.push((format!("{path}: {}", plain(setting.kind, value)), said));
                }
            }
        }
        let width =
            rows.iter().map(|(left, _)| left.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
        let mut out = String::new();
        for (left, right) in rows {
            if right.is_empty() {
                out.push_str(&left);
            } else {
                let pad = " ".repeat(width.saturating_sub(left.chars().count()));
                out.push_str(&format!("{left}{pad}  # {right}"));
            }
            out.push('\n');
        }
        let _ = writeln!(out, "digest: {}", self.digest());
        out
    }
}

/// A file to begin with: every key, commented out, so that it says what the defaults say.
pub fn example() -> String {
    let mut out = String::from(
        "# What a run may do. Every line here is commented out and shows an example; what is not set keeps its\n\
         # default. A project's file may only tighten what your own file and the command line allow.\n",
    );
    for key in KEYS {
        out.push('\n');
        write_key(key, 0, &mut out);
    }
    out
}

fn write_key(key: &Key, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for line in wrapped(key.doc, 96) {
        out.push_str(&format!("# {indent}# {line}\n"));
    }
    match &key.shape {
        Shape::Section { keys, .. } => {
            out.push_str(&format!("# {indent}{}:\n", key.name));
            for key in *keys {
                write_key(key, depth + 1, out);
            }
        }
        Shape::Leaf(kind, _) => {
            if let Kind::Word { words, .. } = kind {
                for word in *words {
                    out.push_str(&format!("# {indent}#   {}: {}\n", word.word, word.doc));
                }
            }
            out.push_str(&format!("# {indent}{}: {}\n", key.name, key.example));
        }
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
