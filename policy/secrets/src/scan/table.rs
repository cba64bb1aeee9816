//! Many needles in one pass.
//!
//! If every needle has at least `m` bytes, then of the blocks of `b` bytes that start at every
//! `m - b + 1`-th position of the text one lies wholly inside the needle's first `m` bytes, wherever it
//! begins. We look at those positions only, ask a bitmap whether that block occurs there in any needle, and
//! compare in full on a hit. The steps do not depend on each other, so the processor overlaps them; an
//! automaton waits for each state.
//!
//! With thousands of secrets the bitmap outgrows the caches, and what counts is how rarely it is asked and how
//! rarely it is wrong. Then each block has two bits in one word, and text outside ASCII is not asked about at
//! all if no needle is.

use alloc::vec::Vec;

use zeroize::Zeroize;

use super::needles::{Encoding, Needle, SHORTEST};
use crate::registry::SecretId;

/// Fewer matched bytes than this at the end of a chunk are not worth holding back.
const LEAST_PENDING: usize = 6;
/// A longer head would lengthen the stride, but also the table.
const LONGEST_HEAD: usize = 16;
const LOAD: usize = 8;
/// From so many blocks on a block has two bits.
const MANY: usize = 1 << 16;
/// Blocks a round: one branch for all of them, since nearly always none is a candidate.
const ROUND: usize = 4;

pub(crate) struct Table {
    /// Sorted, without duplicates.
    needles: Vec<Needle>,
    longest: usize,
    /// Every needle is looked for by its first so many bytes.
    head: usize,
    stride: usize,
    /// Which bytes of a load are the block.
    mask: u64,
    /// One bit per hash of a block, or two in one word.
    bitmap: Vec<u64>,
    many: bool,
    /// The bits of a block that no needle has set.
    unset: u64,
    bitmap_shift: u32,
    /// `slots[starts[h]..starts[h + 1]]` are the needles with a block of hash `h`.
    starts: Vec<u32>,
    starts_shift: u32,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    block: u64,
    needle: u32,
    offset: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) id: SecretId,
    pub(crate) encoding: Encoding,
}

impl Found {
    /// A whole value and a part of one are kept apart; of each, the first counts.
    fn sort(self, whole: &mut Option<Self>, part: &mut Option<Self>) {
        let place = if self.encoding == Encoding::Partial { part } else { whole };
        *place = place.or(Some(self));
    }
}

impl Table {
    pub(crate) fn build(mut needles: Vec<Needle>) -> Self {
        needles.retain(|n| n.0.len() >= SHORTEST);
        needles.sort_unstable_by(|a, b| (a.0.as_slice(), a.1, a.2).cmp(&(b.0.as_slice(), b.1, b.2)));
        needles.dedup_by(|a, b| *a.0 == *b.0);
        let longest = needles.iter().map(|n| n.0.len()).max().unwrap_or(0);
        let head = needles.iter().map(|n| n.0.len()).min().unwrap_or(SHORTEST).min(LONGEST_HEAD);
        // Four bytes are shared by chance too often when there are many needles; six need room.
        let block = if head >= 12 { 6 } else { 4 };
        let stride = head - block + 1;
        let mask = u64::MAX >> (64 - 8 * block);
        let blocks = needles.len() * stride;
        let many = blocks >= MANY;
        // At most one bit in thirty-two set, or two pairs in thirty-two: a miss is then nearly always decided
        // by the bitmap alone.
        let room = if many { 16 } else { 32 };
        let bitmap_shift = 64 - (blocks.max(1) * room).next_power_of_two().ilog2().clamp(14, 26);
        let starts_shift = 64 - blocks.max(1).next_power_of_two().ilog2().clamp(8, 22);
        let mut bitmap = alloc::vec![0_u64; 1 << (64 - bitmap_shift - 6)];
        let mut starts = alloc::vec![0_u32; (1 << (64 - starts_shift)) + 1];
        let each = |needles: &[Needle], f: &mut dyn FnMut(Slot)| {
            for (index, needle) in needles.iter().enumerate() {
                for offset in 0..stride {
                    let block = load(&needle.0, offset) & mask;
                    f(Slot { block, needle: index as u32, offset: offset as u32 });
                }
            }
        };
        let mut set = 0;
        each(&needles, &mut |slot| {
            let (word, bits) =
                if many { two_bits(slot.block, bitmap_shift) } else { one_bit(slot.block, bitmap_shift) };
            bitmap[word] |= bits;
            set |= slot.block;
            starts[hash(slot.block, starts_shift) + 1] += 1;
        });
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut slots = alloc::vec![Slot { block: 0, needle: 0, offset: 0 }; blocks];
        each(&needles, &mut |slot| {
            let place = &mut next[hash(slot.block, starts_shift)];
            slots[*place as usize] = slot;
            *place += 1;
        });
        let unset = mask & !set;
        Self {
            needles,
            longest,
            head,
            stride,
            mask,
            bitmap,
            many,
            unset,
            bitmap_shift,
            starts,
            starts_shift,
            slots,
        }
    }

    /// One of the same needles in small letters.
    pub(crate) fn in_small_letters(&self) -> Self {
        let small = |(needle, id, encoding): &Needle| (needle.to_ascii_lowercase().into(), *id, *encoding);
        Self::build(self.needles.iter().map(small).collect())
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

    /// The whole value that ends first, of those that begin at `from` or later. The first part of one that is
    /// passed on the way is put into `suspected`.
    pub(crate) fn find(&self, text: &[u8], from: usize, suspected: &mut Option<Found>) -> Option<Found> {
        let first = self.candidate(text, from, suspected)?;
        // Another that ends before this one has a block before that end.
        let mut best = first;
        for at in first.start.saturating_sub(self.head).max(from)..first.end {
            self.verify(text, at, from, &mut |found| {
                if found.encoding != Encoding::Partial && (found.end, found.start) < (best.end, best.start) {
                    best = found;
                }
            });
        }
        Some(best)
    }

    /// The leftmost occurrence, the longest of those that begin there.
    pub(crate) fn find_longest(&self, text: &[u8], from: usize) -> Option<Found> {
        let first = self.candidate(text, from, &mut None)?;
        let mut best = first;
        for at in first.start.saturating_sub(self.head).max(from)..first.start + self.head {
            self.verify(text, at, from, &mut |found| {
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

    /// Some occurrence that begins at `from` or later; no other ends before this one begins.
    fn candidate(&self, text: &[u8], from: usize, suspected: &mut Option<Found>) -> Option<Found> {
        if self.many {
            self.search(text, from, suspected, |block| {
                if block & self.unset != 0 {
                    return 0;
                }
                let (word, bits) = two_bits(block, self.bitmap_shift);
                u64::from(self.bitmap[word] & bits == bits)
            })
        } else {
            self.search(text, from, suspected, |block| {
                let bit = hash(block, self.bitmap_shift);
                self.bitmap[bit >> 6] >> (bit & 63) & 1
            })
        }
    }

    /// `seen` tells by its lowest bit whether a needle may have the block.
    #[inline]
    fn search(
        &self,
        text: &[u8],
        from: usize,
        suspected: &mut Option<Found>,
        seen: impl Fn(u64) -> u64,
    ) -> Option<Found> {
        if self.needles.is_empty() || text.len() < self.head {
            return None;
        }
        let mut found = None;
        let mut at = from;
        let round = self.stride * (ROUND - 1) + LOAD;
        while let Some(window) = text.get(at..at + round) {
            let mut any = 0;
            for lane in 0..ROUND {
                any |= seen(load_whole(window, lane * self.stride) & self.mask) << lane;
            }
            while any != 0 {
                let lane = any.trailing_zeros() as usize;
                any &= any - 1;
                self.verify(text, at + lane * self.stride, from, &mut |f| f.sort(&mut found, suspected));
                if found.is_some() {
                    return found;
                }
            }
            at += self.stride * ROUND;
        }
        while at < text.len() {
            self.verify(text, at, from, &mut |f| f.sort(&mut found, suspected));
            if found.is_some() {
                return found;
            }
            at += self.stride;
        }
        None
    }

    /// Reports every needle that lies in `text[from..]` and has the block at `at` in its head.
    fn verify(&self, text: &[u8], at: usize, from: usize, report: &mut dyn FnMut(Found)) {
        let block = load(text, at) & self.mask;
        let bucket = hash(block, self.starts_shift);
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        for slot in &self.slots[range] {
            if slot.block != block {
                continue;
            }
            let Some(start) = at.checked_sub(slot.offset as usize).filter(|s| *s >= from) else { continue };
            let (needle, id, encoding) = &self.needles[slot.needle as usize];
            if text[start..].starts_with(needle) {
                report(Found { start, end: start + needle.len(), id: *id, encoding: *encoding });
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // The needles wipe themselves; the slots hold some bytes of each.
        for slot in &mut self.slots {
            slot.block.zeroize();
        }
    }
}

/// Eight bytes, zeros behind the end.
fn load(text: &[u8], at: usize) -> u64 {
    let mut bytes = [0; LOAD];
    let rest = text.get(at..).unwrap_or_default();
    let count = rest.len().min(LOAD);
    bytes[..count].copy_from_slice(&rest[..count]);
    u64::from_le_bytes(bytes)
}

#[inline]
fn load_whole(text: &[u8], at: usize) -> u64 {
    text[at..].first_chunk::<LOAD>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline]
fn hash(block: u64, shift: u32) -> usize {
    (block.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize
}

/// The word of the bitmap and the bit in it.
#[inline]
fn one_bit(block: u64, shift: u32) -> (usize, u64) {
    let bit = hash(block, shift);
    (bit >> 6, 1 << (bit & 63))
}

/// The same with a second bit, from the hash's next digits.
#[inline]
fn two_bits(block: u64, shift: u32) -> (usize, u64) {
    let bit = hash(block, shift);
    let next = hash(block, shift - 6);
    (bit >> 6, 1 << (bit & 63) | 1 << (next & 63))
}
