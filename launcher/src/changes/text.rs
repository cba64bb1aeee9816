//! The difference of two texts, line by line.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use shieldrun_policy::changes::Lines;
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// One stretch of lines that are others: which of the old, which of the new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) old: Range<usize>,
    pub(crate) new: Range<usize>,
}

/// Two texts as lines, each with its end, and where they differ.
pub(crate) struct TextDiff<'a> {
    pub(crate) old: Vec<&'a [u8]>,
    pub(crate) new: Vec<&'a [u8]>,
    pub(crate) blocks: Vec<Block>,
}

/// After this the diff becomes coarser instead of better.
const PATIENCE: Duration = Duration::from_millis(200);

/// How much of a file git looks at to tell text from the rest.
const LOOK: usize = 8000;

/// Whether it is text, by git's rule: no NUL near its beginning.
pub(crate) fn is_text(beginning: &[u8]) -> bool {
    !beginning.iter().take(LOOK).any(|byte| *byte == 0)
}

impl<'a> TextDiff<'a> {
    pub(crate) fn new(old: &'a [u8], new: &'a [u8]) -> Self {
        let (old, new) = (lines(old), lines(new));
        // Most of what a build or an install writes is new: all of it is other, and there is nothing to compare.
        if old.is_empty() || new.is_empty() {
            let all = Block { old: 0..old.len(), new: 0..new.len() };
            let blocks = if old.is_empty() && new.is_empty() { Vec::new() } else { vec![all] };
            return Self { old, new, blocks };
        }
        // Numbers compare faster than lines, and each line is hashed once.
        let mut known: HashMap<&[u8], u32> = HashMap::with_capacity(old.len());
        let mut number = |line: &&'a [u8]| {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *known.entry(line).or_insert(next)
        };
        let old_numbers: Vec<u32> = old.iter().map(&mut number).collect();
        let new_numbers: Vec<u32> = new.iter().map(&mut number).collect();
        let deadline = Some(Instant::now() + PATIENCE);
        let operations = capture_diff_slices_deadline(Algorithm::Myers, &old_numbers, &new_numbers, deadline);
        let mut blocks: Vec<Block> = Vec::new();
        // Counted here: where a removal stands in the new text, and an insertion in the old, the operations do not
        // always say rightly. Their order and their lengths are right.
        let (mut at_old, mut at_new) = (0, 0);
        for operation in operations {
            let (old, new) = (operation.old_range().len(), operation.new_range().len());
            let (old, new) = (at_old..at_old + old, at_new..at_new + new);
            (at_old, at_new) = (old.end, new.end);
            if matches!(operation, DiffOp::Equal { .. }) {
                continue;
            }
            match blocks.last_mut() {
                Some(last) if last.old.end == old.start && last.new.end == new.start => {
                    last.old.end = old.end;
                    last.new.end = new.end;
                }
                _ => blocks.push(Block { old, new }),
            }
        }
        Self { old, new, blocks }
    }

    pub(crate) fn counts(&self) -> Lines {
        let count = |of: fn(&Block) -> usize| self.blocks.iter().map(|block| of(block) as u64).sum();
        Lines { added: count(|block| block.new.len()), removed: count(|block| block.old.len()) }
    }

    /// Lines that are new, with their number in the new text, from 1.
    pub(crate) fn added(&self) -> impl Iterator<Item = (u64, &'a [u8])> + '_ {
        self.blocks.iter().flat_map(|block| {
            let lines = self.new.get(block.new.clone()).unwrap_or_default();
            (block.new.start as u64 + 1..).zip(lines.iter().copied())
        })
    }
}

/// Lines with their ends.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_what_differs() {
        let diff = TextDiff::new(b"a\nb\nc\n", b"a\nB\nC\nc\nd");
        assert_eq!(diff.blocks, [Block { old: 1..2, new: 1..3 }, Block { old: 3..3, new: 4..5 }]);
        assert_eq!(diff.counts(), Lines { added: 3, removed: 1 });
        let added: Vec<_> = diff.added().collect();
        assert_eq!(added, [(2, &b"B\n"[..]), (3, b"C\n"), (5, b"d")]);
        assert!(TextDiff::new(b"same\n", b"same\n").blocks.is_empty());
        assert!(TextDiff::new(b"", b"").blocks.is_empty());
        assert_eq!(TextDiff::new(b"", b"x\n").counts(), Lines { added: 1, removed: 0 });
        assert_eq!(TextDiff::new(b"x\ny", b"").blocks, [Block { old: 0..2, new: 0..0 }]);
    }

    #[test]
    fn a_hopeless_case_ends() {
        let text = |step: u64| {
            let mut state = step;
            (0..60_000)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(step);
                    format!("{}\n", state >> 60)
                })
                .collect::<String>()
        };
        let (old, new) = (text(3), text(5));
        let started = Instant::now();
        let diff = TextDiff::new(old.as_bytes(), new.as_bytes());
        assert!(!diff.blocks.is_empty());
        assert!(started.elapsed() < PATIENCE * 20, "{:?}", started.elapsed());
    }

    #[test]
    fn text_has_no_nul_near_its_beginning() {
        assert!(is_text(b"") && is_text("caf\u{e9}".as_bytes()));
        assert!(!is_text(b"a\0b"));
        let mut late = vec![b'a'; LOOK];
        late.push(0);
        assert!(is_text(&late));
    }
}
