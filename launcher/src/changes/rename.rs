//! Files that moved: gone here, new there, the same content.
//!
//! Found by size first, so that only files which could be the same are read twice.

use std::collections::HashMap;

use rustix::fs::{FileType, Stat};

use super::content::{self, Owner};
use super::walk::{Touched, file_type};
use crate::beneath::Tree;

/// Which went where, by index.
#[derive(Debug, Default)]
pub(super) struct Moved {
    source_of: HashMap<usize, usize>,
    sources: std::collections::HashSet<usize>,
}

impl Moved {
    pub(super) fn is_source(&self, index: usize) -> bool {
        self.sources.contains(&index)
    }

    pub(super) fn source_of(&self, index: usize) -> Option<usize> {
        self.source_of.get(&index).copied()
    }
}

/// Finds them. What cannot be read did not move.
pub(super) fn find(lower: &mut Tree<'_>, upper: &mut Tree<'_>, touched: &[Touched]) -> Moved {
    let mut gone: HashMap<i64, Vec<usize>> = HashMap::new();
    for (index, path) in touched.iter().enumerate() {
        if let (Some(before), None) = (&path.before, &path.after)
            && is_candidate(before)
        {
            gone.entry(before.st_size).or_default().push(index);
        }
    }
    let mut moved = Moved::default();
    if gone.is_empty() {
        return moved;
    }
    let mut known: HashMap<usize, Option<[u8; 32]>> = HashMap::new();
    for (index, path) in touched.iter().enumerate() {
        let (None, Some(after)) = (&path.before, &path.after) else { continue };
        let Some(sources) = gone.get(&after.st_size).filter(|_| is_candidate(after)) else { continue };
        let Ok(own) = content::digest(upper, &path.path, after, Owner::Run) else { continue };
        let mut matching: Vec<usize> = Vec::new();
        for &source in sources.iter().filter(|source| !moved.sources.contains(source)) {
            let digest = *known.entry(source).or_insert_with(|| {
                let source = touched.get(source)?;
                content::digest(lower, &source.path, source.before.as_ref()?, Owner::User).ok()
            });
            if digest == Some(own) {
                matching.push(source);
            }
        }
        // Of several with the same content the one with the same name.
        let name = crate::beneath::split(&path.path).1;
        let same_name = |source: &&usize| {
            touched.get(**source).is_some_and(|source| crate::beneath::split(&source.path).1 == name)
        };
        if let Some(&source) = matching.iter().find(same_name).or(matching.first()) {
            moved.sources.insert(source);
            moved.source_of.insert(index, source);
        }
    }
    moved
}

/// An empty file is like every other.
fn is_candidate(stat: &Stat) -> bool {
    file_type(stat) == FileType::RegularFile && stat.st_size > 0
}
