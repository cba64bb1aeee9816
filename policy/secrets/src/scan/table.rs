//! Many needles in one pass.
//!
//! Every needle has at least 8 bytes, so of the 4-byte blocks that start at every fifth position of the text
//! one lies wholly inside its first 8 bytes, wherever the needle begins. We look at every fifth position
//! only, ask a bitmap whether that block occurs there in any needle, and compare in full on a hit. The steps
//! do not depend on each other, so the processor overlaps them; an automaton waits for each state.

use alloc::vec::Vec;

use zeroize::Zeroize;

use super::needles::{Encoding, Needle, SHORTEST};
use crate::registry::SecretId;

const BLOCK: usize = 4;
const STRIDE: usize = SHORTEST - BLOCK + 1;
/// Fewer matched bytes than this at the end of a chunk are not worth holding back.
const LEAST_PENDING: usize = 6;

pub(crate) struct Table {
    /// Sorted, without duplicates.
    needles: Vec<Needle>,
    longest: usize,
    /// One bit per hash of a block.
    bitmap: Vec<u64>,
    bits: u32,
    /// `slots[starts[h]..starts[h + 1]]` are the needles with a block of hash `h`.
    starts: Vec<u32>,
    slots: Vec<Slot>,
    start_bits: u32,
}

#[derive(Clone, Copy)]
struct Slot {
    block: u32,
    needle: u32,
    offset: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) id: SecretId,
    pub(crate) encoding: Encoding,
}

impl Table {
    pub(crate) fn build(mut needles: Vec<Needle>) -> Self {
        needles.retain(|n| n.0.len() >= SHORTEST);
        needles.sort_by(|a, b| a.0.cmp(&b.0));
        needles.dedup_by(|a, b| *a.0 == *b.0);
        let longest = needles.iter().map(|n| n.0.len()).max().unwrap_or(0);
        let blocks = needles.len() * STRIDE;
        // At most one bit in sixteen set: a miss is then nearly always decided by the bitmap alone.
        let bits = (blocks.max(1) * 16).next_power_of_two().ilog2().clamp(14, 24);
        let start_bits = blocks.max(1).next_power_of_two().ilog2().clamp(8, 22);
        let mut bitmap = alloc::vec![0_u64; 1 << (bits - 6)];
        let mut starts = alloc::vec![0_u32; (1 << start_bits) + 1];
        let each = |needles: &[Needle], f: &mut dyn FnMut(Slot)| {
            for (index, needle) in needles.iter().enumerate() {
                for offset in 0..STRIDE {
                    if let Some(block) = block_at(&needle.0, offset) {
                        f(Slot { block, needle: index as u32, offset: offset as u8 });
                    }
                }
            }
        };
        each(&needles, &mut |slot| {
            let bit = hash(slot.block, bits);
            bitmap[bit >> 6] |= 1 << (bit & 63);
            starts[hash(slot.block, start_bits) + 1] += 1;
        });
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut slots = alloc::vec![Slot { block: 0, needle: 0, offset: 0 }; blocks];
        each(&needles, &mut |slot| {
            let place = &mut next[hash(slot.block, start_bits)];
            slots[*place as usize] = slot;
            *place += 1;
        });
        Self { needles, longest, bitmap, bits, starts, slots, start_bits }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.needles.len()
    }

    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The occurrence that ends first, of those that begin at `from` or later.
    pub(crate) fn find(&self, text: &[u8], from: usize) -> Option<Found> {
        let at = self.next_candidate(text, from)?;
        // A needle that begins a little earlier or is shorter may be found at a later block.
        let limit = (at.end + STRIDE).min(text.len());
        let mut best = at;
        let mut block = at.start;
        while block + BLOCK <= limit {
            self.verify(text, block, from, &mut |found| {
                if (found.end, found.start) < (best.end, best.start) {
                    best = found;
                }
            });
            block += 1;
        }
        Some(best)
    }

    /// The leftmost occurrence, the longest of those that begin there.
    pub(crate) fn find_longest(&self, text: &[u8], from: usize) -> Option<Found> {
        let first = self.next_candidate(text, from)?;
        let mut best = first;
        let begin = first.start.saturating_sub(SHORTEST).max(from);
        for block in begin..(first.start + SHORTEST).min(text.len()) {
            self.verify(text, block, from, &mut |found| {
                if found.start < best.start || (found.start == best.start && found.end > best.end) {
                    best = found;
                }
            });
        }
        Some(best)
    }

    /// How many bytes at the end of `text` may be the beginning of a needle.
    pub(crate) fn pending(&self, text: &[u8]) -> usize {
        let most = text.len().min(self.longest.saturating_sub(1));
        for start in text.len() - most..(text.len() + 1).saturating_sub(LEAST_PENDING) {
            let tail = &text[start..];
            let at = self.needles.partition_point(|n| n.0.as_slice() < tail);
            if self.needles.get(at).is_some_and(|n| n.0.starts_with(tail)) {
                return tail.len();
            }
        }
        0
    }

    fn next_candidate(&self, text: &[u8], from: usize) -> Option<Found> {
        if self.needles.is_empty() || text.len() < SHORTEST {
            return None;
        }
        let mut found = None;
        let mut at = from;
        // Four blocks a round: one branch for all of them, since nearly always none is a candidate.
        const ROUND: usize = 4;
        while let Some(window) = text.get(at..at + STRIDE * (ROUND - 1) + BLOCK) {
            let mut any = 0;
            for lane in 0..ROUND {
                any |= self.bit(block_of(window, lane * STRIDE)) << lane;
            }
            if any != 0 {
                for lane in 0..ROUND {
                    if any & (1 << lane) != 0 {
                        self.verify(text, at + lane * STRIDE, from, &mut |f| found = found.or(Some(f)));
                        if found.is_some() {
                            return found;
                        }
                    }
                }
            }
            at += STRIDE * ROUND;
        }
        while let Some(block) = block_at(text, at) {
            if self.bit(block) != 0 {
                self.verify(text, at, from, &mut |f| found = found.or(Some(f)));
                if found.is_some() {
                    return found;
                }
            }
            at += STRIDE;
        }
        None
    }

    #[inline]
    fn bit(&self, block: u32) -> u64 {
        let bit = hash(block, self.bits);
        self.bitmap[bit >> 6] >> (bit & 63) & 1
    }

    /// Reports every needle that lies in `text[from..]` and has the block at `at` among its first.
    fn verify(&self, text: &[u8], at: usize, from: usize, report: &mut dyn FnMut(Found)) {
        let Some(block) = block_at(text, at) else { return };
        let bucket = hash(block, self.start_bits);
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        for slot in &self.slots[range] {
            if slot.block != block {
                continue;
            }
            let Some(start) = at.checked_sub(usize::from(slot.offset)).filter(|s| *s >= from) else {
                continue;
            };
            let (needle, id, encoding) = &self.needles[slot.needle as usize];
            if text[start..].starts_with(needle) {
                report(Found { start, end: start + needle.len(), id: *id, encoding: *encoding });
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // The needles wipe themselves; the slots hold four bytes of them each.
        for slot in &mut self.slots {
            slot.block.zeroize();
        }
    }
}

#[inline]
fn block_of(text: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]])
}

fn block_at(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + BLOCK).map(|b| block_of(b, 0))
}

#[inline]
fn hash(block: u32, bits: u32) -> usize {
    (block.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as usize
}
