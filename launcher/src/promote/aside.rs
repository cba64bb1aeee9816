//! Plans for a directory that is not the tree: it gets the new and changed files at their paths, with the directories
//! above them, and loses nothing. What is there already and is another stands against it.

use std::collections::HashSet;
use std::io;

use shieldrun_policy::changes::{Change, ChangeKind};
use shieldrun_policy::plan::Bytes;

use super::journal::{Step, What};
use super::plan::{Planned, Planning, is_already, order, put};
use crate::beneath::{Tree, above};
use crate::changes::stat_kind;

/// Plans. A removal has nothing to do there: what the run removed is not in the directory.
pub(super) fn plan(changes: &[&Change], target: &mut Tree<'_>) -> io::Result<Planning> {
    let mut planning = Planning::default();
    let mut made: HashSet<&[u8]> = HashSet::new();
    for change in changes {
        let path = &change.path;
        let there = planning.look(&path.0, target)?;
        let Some(after) = &change.after else {
            if there.is_some() && !change.is_directory() {
                planning.against(path, "it is there, and the run removed it");
            }
            continue;
        };
        // What was only touched is as it was.
        if change.kind() == ChangeKind::Time {
            continue;
        }
        for above in above(&path.0) {
            if !made.insert(above) {
                continue;
            }
            match target.stat(above)? {
                None => {
                    planning.is_missing(above);
                    planning.steps.push(directory(above));
                }
                Some(stat) if stat_kind(&stat) == "directory" => {}
                Some(_) => planning.against(&Bytes(above.to_vec()), "it is there, and is no directory"),
            }
        }
        match there {
            Some(there) if is_already(&there, after, path, target)? => {}
            Some(_) => planning.against(path, "it is there already, and is another"),
            // A directory that something was put into before it came itself.
            None if after.is_directory() && !made.insert(&path.0) => {}
            None => put(path, None, after, &mut planning),
        }
    }
    order(&mut planning.steps);
    Ok(planning)
}

/// One that the run did not make, as the layer has it.
fn directory(path: &[u8]) -> Planned {
    let step = Step { path: path.to_vec(), what: What::Put { inode: 0 }, expected: None, result: None };
    Planned { step, source: Some(path.to_vec()), digest: None, mode: None }
}
