//! Owns the pass over all objects of a pack.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shieldrun_secrets::{Scanner, SecretId};

use super::{Base, Inflater, MALFORMED, NONE, Pack, entry};
use crate::history::error::Unreadable;
use crate::history::zlib::LARGEST;
use crate::parallel;

/// A whole object that nothing hangs on need not be held: above this size it is looked at piece by piece.
const STREAMED: u64 = 4 << 20;
/// Whole objects that one thread takes at a time.
const UNIT: usize = 64;

/// An object that holds a real value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::history) struct Held {
    /// Its entry.
    pub(super) number: u32,
    /// Whose value.
    pub secret: SecretId,
}

impl Pack {
    /// The objects that hold a real value, in the order of the pack.
    ///
    /// # Errors
    /// When an object cannot be unpacked.
    pub(in crate::history) fn scan(&self, scanner: &Scanner) -> Result<Vec<Held>, Unreadable> {
        let roots: Vec<u32> = (0..)
            .zip(&self.entries)
            .filter(|(_, entry)| matches!(entry.base, Base::None(_)))
            .map(|(number, _)| number)
            .collect();
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let looked: Vec<Result<Looker<'_>, Unreadable>> = parallel::on_all(roots.len() > UNIT, || {
            let mut looker =
                Looker { pack: self, scanner, inflater: Inflater::new(), held: Vec::new(), seen: 0 };
            while !failed.load(Ordering::Relaxed) {
                let at = next.fetch_add(UNIT, Ordering::Relaxed);
                let Some(unit) = roots.get(at..roots.len().min(at + UNIT)).filter(|unit| !unit.is_empty())
                else {
                    break;
                };
                for root in unit {
                    looker.tree(*root).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                }
            }
            Ok(looker)
        });
        let mut held = Vec::new();
        let mut seen = 0;
        for looker in looked {
            let looker = looker?;
            held.extend(looker.held);
            seen += looker.seen;
        }
        // Deltas that hang on each other in a circle hang on no whole object.
        if seen != self.entries.len() {
            return Err(MALFORMED);
        }
        held.sort_unstable();
        Ok(held)
    }
}

struct Looker<'a> {
    pack: &'a Pack,
    scanner: &'a Scanner,
    inflater: Inflater,
    held: Vec<Held>,
    seen: usize,
}

/// An object on which others hang.
struct Node {
    content: Rc<Vec<u8>>,
    is_clean: bool,
    /// The next of those.
    child: u32,
}

impl Looker<'_> {
    /// A whole object, and all that hangs on it.
    fn tree(&mut self, root: u32) -> Result<(), Unreadable> {
        let entry = self.pack.get(root)?;
        if entry.first_child == NONE && entry.size > STREAMED {
            return self.streamed(root);
        }
        let content = self.pack.inflated(&mut self.inflater, root)?;
        let is_clean = self.note(root, self.scanner.first(&content));
        let mut nodes = vec![Node { content: Rc::new(content), is_clean, child: entry.first_child }];
        while let Some(node) = nodes.last_mut() {
            let number = node.child;
            if number == NONE {
                nodes.pop();
                continue;
            }
            let entry = self.pack.get(number)?;
            node.child = entry.sibling;
            let (base, base_is_clean) = (Rc::clone(&node.content), node.is_clean);
            if node.child == NONE {
                // The last one that hangs on it: it is not needed below.
                nodes.pop();
            }
            let delta = self.pack.inflated(&mut self.inflater, number)?;
            let reach = self.scanner.longest().saturating_sub(1);
            let (content, fresh) = entry::apply(&base, &delta, reach, LARGEST)?;
            drop(base);
            let found = if base_is_clean {
                let part = |range: std::ops::Range<usize>| content.get(range).unwrap_or_default();
                fresh.into_iter().find_map(|range| self.scanner.first(part(range)))
            } else {
                self.scanner.first(&content)
            };
            let is_clean = self.note(number, found);
            if entry.first_child != NONE {
                nodes.push(Node { content: Rc::new(content), is_clean, child: entry.first_child });
            }
        }
        Ok(())
    }

    fn streamed(&mut self, root: u32) -> Result<(), Unreadable> {
        let entry = self.pack.get(root)?;
        let part = entry.offset + u64::from(entry.header)..self.pack.end(root);
        let mut state = self.scanner.stream();
        let (mut found, mut length) = (None, 0);
        self.inflater.stream(&self.pack.file, part, 256 * 1024, |bytes| {
            length += bytes.len() as u64;
            found = state.feed(self.scanner, bytes).map(|hit| hit.id);
            found.is_none()
        })?;
        if found.is_none() && length != entry.size {
            return Err(MALFORMED);
        }
        self.note(root, found);
        Ok(())
    }

    /// Counts an object; true if it is clean.
    fn note(&mut self, number: u32, found: Option<SecretId>) -> bool {
        self.seen += 1;
        self.held.extend(found.map(|secret| Held { number, secret }));
        found.is_none()
    }
}
