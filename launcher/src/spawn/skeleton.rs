//! Owns what must be in a private home before anything is mounted in it: mount points, copies and links.
//!
//! Worked out before clone from the plan, as relative paths, each directory once and before what is in it.

use std::collections::BTreeSet;
use std::ffi::{CString, NulError};
use std::path::Path;

use shieldrun_policy::plan::{Bytes, Cover, Mount, Plan};

use crate::inventory::path::{as_path, contains};

/// One entry, relative to the home.
#[derive(Debug)]
pub(super) enum Point<'a> {
    Directory(CString),
    File { at: CString, content: &'a [u8], mode: u32 },
    Link { at: CString, target: CString },
}

/// Those of a plan with a private home at `home`.
pub(super) fn points<'a>(plan: &'a Plan, home: &Bytes) -> Result<Vec<Point<'a>>, NulError> {
    let mut skeleton = Skeleton { home: &home.0, made: BTreeSet::new(), points: Vec::new() };
    // Mounted over whatever is there: what lies beneath is theirs.
    let mut trees: Vec<&[u8]> = Vec::new();
    for mount in &plan.mounts {
        match mount {
            Mount::Overlay { at, .. } => trees.push(&at.0),
            Mount::Keep { at, .. } if as_path(&at.0).is_dir() => trees.push(&at.0),
            _ => {}
        }
    }
    let beneath = |path: &[u8]| trees.iter().any(|tree| path != *tree && contains(tree, path));
    for mount in &plan.mounts {
        match mount {
            Mount::Overlay { at, .. } if !beneath(&at.0) => skeleton.directory(&at.0)?,
            Mount::Keep { at, .. } if !beneath(&at.0) && trees.contains(&at.0.as_slice()) => {
                skeleton.directory(&at.0)?;
            }
            Mount::Keep { at, .. } if !beneath(&at.0) => skeleton.file(&at.0, &[], 0o600)?,
            Mount::Copy { at, content, mode } => skeleton.file(&at.0, content, *mode)?,
            Mount::Link { at, target } => skeleton.link(at, target)?,
            _ => {}
        }
    }
    for mask in plan.masks.iter().filter(|mask| !trees.iter().any(|tree| contains(tree, &mask.at.0))) {
        if mask.cover == Cover::BlockedDirectory {
            skeleton.directory(&mask.at.0)?;
        } else {
            skeleton.file(&mask.at.0, &[], 0)?;
        }
    }
    Ok(skeleton.points)
}

struct Skeleton<'a, 'h> {
    home: &'h [u8],
    made: BTreeSet<Vec<u8>>,
    points: Vec<Point<'a>>,
}

impl<'a> Skeleton<'a, '_> {
    fn directory(&mut self, path: &[u8]) -> Result<(), NulError> {
        let Some(relative) = self.relative(path) else { return Ok(()) };
        self.directories(as_path(&relative))
    }

    fn file(&mut self, path: &[u8], content: &'a [u8], mode: u32) -> Result<(), NulError> {
        let Some(relative) = self.begin(path)? else { return Ok(()) };
        self.points.push(Point::File { at: relative, content, mode });
        Ok(())
    }

    fn link(&mut self, at: &Bytes, target: &Bytes) -> Result<(), NulError> {
        let Some(relative) = self.begin(&at.0)? else { return Ok(()) };
        self.points.push(Point::Link { at: relative, target: CString::new(target.0.as_slice())? });
        Ok(())
    }

    /// The directories above; `None` where the path is made already or not in the home.
    fn begin(&mut self, path: &[u8]) -> Result<Option<CString>, NulError> {
        let Some(relative) = self.relative(path) else { return Ok(None) };
        if let Some(parent) = as_path(&relative).parent() {
            self.directories(parent)?;
        }
        if !self.made.insert(relative.clone()) {
            return Ok(None);
        }
        CString::new(relative).map(Some)
    }

    fn directories(&mut self, relative: &Path) -> Result<(), NulError> {
        let mut above: Vec<_> =
            relative.ancestors().map(|path| path.as_os_str().as_encoded_bytes().to_vec()).collect();
        above.pop();
        for path in above.into_iter().rev() {
            if self.made.insert(path.clone()) {
                self.points.push(Point::Directory(CString::new(path)?));
            }
        }
        Ok(())
    }

    fn relative(&self, path: &[u8]) -> Option<Vec<u8>> {
        let relative = path.strip_prefix(self.home)?.strip_prefix(b"/")?;
        (!relative.is_empty()).then(|| relative.to_vec())
    }
}
