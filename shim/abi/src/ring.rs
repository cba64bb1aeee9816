//! The ring that all processes of a run share, and the writer's half of its protocol.
//!
//! One file: a header, the repeat counters, the slots. Every field is an atomic, so a reference to it stays sound
//! while others write, whoever they are.
//!
//! A bounded queue of many writers and one reader. Position `p` is in slot `p % SLOTS` on [`lap`]`(p)`. The slot is
//! free for it when its sequence is that lap, full when it is one more; the reader frees it with the lap after. An
//! empty file of zeros is therefore an empty ring, and setting one up touches no slot.
//!
//! A writer takes a position by moving `head`, fills the slot and publishes it by exchanging the sequence, which
//! fails if the reader gave the slot up in the meantime (a writer that died half-way does not stop the reader for
//! ever). No writer waits for anything: when the ring is full, or others are too quick, the record is dropped
//! and counted.
//!
//! The repeat counters keep loops from flooding it: the first touch of a (process, kind, index) takes a counter
//! and goes into the ring, later ones only count.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::hash;
use crate::record::{Kind, Record, Slot};

/// Slots in the ring; a power of two.
pub const SLOTS: usize = 512;
/// Repeat counters; a power of two.
pub const COUNTERS: usize = 4096;
/// Counters that one key may land on.
pub const PROBES: usize = 16;
/// `shieldr` and the version of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"shieldr\x01");
/// How often a writer tries to take a position before it counts its record as dropped.
const TRIES: usize = 64;

/// The file, as it is mapped.
#[repr(C, align(4096))]
pub struct Shared {
    /// See [`Header`].
    pub header: Header,
    /// See [`Counter`].
    pub counters: [Counter; COUNTERS],
    /// The queue.
    pub slots: [Slot; SLOTS],
}

/// The first page. What writers change and what they read lie on different cache lines.
#[repr(C, align(4096))]
pub struct Header {
    /// [`MAGIC`], written last: a file without it is no ring.
    pub magic: AtomicU64,
    /// The length of the file, for whoever opens it.
    pub length: AtomicU64,
    /// Not zero: the kernel tells the reader of each program that is started. A process then says no more of its
    /// start than that the shim is in it, and wakes nobody.
    pub starts_are_told: AtomicU64,
    /// The next position to be taken.
    pub head: Line,
    /// The futex word the reader sleeps on; changed by whoever wakes it.
    pub wake: Futex,
    /// Records that found no room, by kind; kind 0 stands for unknown ones.
    pub dropped: [AtomicU64; Kind::ALL.len() + 1],
}

/// A counter on a cache line of its own.
#[repr(C, align(64))]
pub struct Line(pub AtomicU64);

/// A futex word on a cache line of its own.
#[repr(C, align(64))]
pub struct Futex(pub AtomicU32);

/// How often something was touched after the first time. Key 0 is free.
#[repr(C)]
pub struct Counter {
    /// See [`Key`].
    pub key: AtomicU64,
    /// Touches after the first.
    pub count: AtomicU64,
}

const _: () = {
    assert!(core::mem::size_of::<Header>() == 4096);
    assert!(core::mem::offset_of!(Header, head) == 64);
    assert!(core::mem::offset_of!(Header, wake) == 128);
    assert!(core::mem::offset_of!(Header, dropped) == 192);
    assert!(core::mem::size_of::<Counter>() == 16);
    assert!(core::mem::offset_of!(Shared, counters) == 4096);
    assert!(core::mem::offset_of!(Shared, slots) == 4096 + 16 * COUNTERS);
    assert!(core::mem::size_of::<Shared>() == 4096 + 16 * COUNTERS + 1024 * SLOTS);
    assert!(SLOTS.is_power_of_two() && COUNTERS.is_power_of_two());
};

/// What a repeat counter counts: 32 bits of pid, 8 of kind, 24 of index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The process.
    pub pid: u32,
    /// What it did.
    pub kind: Kind,
    /// To which variable or place; 24 bits of it.
    pub index: u32,
}

impl Key {
    /// Never 0, as no kind is.
    #[must_use]
    pub fn pack(self) -> u64 {
        u64::from(self.pid) << 32 | (self.kind as u64) << 24 | u64::from(self.index & 0x00ff_ffff)
    }

    /// The key in a counter, if it is one.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "each cast takes the low part of a packed word")]
    pub fn unpack(word: u64) -> Option<Key> {
        let kind = Kind::from_number((word >> 24) as u8)?;
        Some(Key { pid: (word >> 32) as u32, kind, index: word as u32 & 0x00ff_ffff })
    }
}

/// What [`Shared::touch`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// The first of its kind, or no counter was to be had: say it in the ring.
    Say,
    /// Counted.
    Counted,
}

/// A position that was taken and must be published.
pub struct Reserved<'a> {
    slot: &'a Slot,
    position: u64,
}

/// The lap of a position: what a slot's sequence is while it is free for that position.
#[must_use]
pub fn lap(position: u64) -> u64 {
    position - position % SLOTS as u64
}

impl Shared {
    /// The slot for a position.
    #[must_use]
    pub fn slot(&self, position: u64) -> Option<&Slot> {
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits count")]
        self.slots.get(position as usize % SLOTS)
    }

    /// Puts a record into the ring, or counts it as dropped.
    pub fn publish(&self, record: &Record) {
        match self.reserve() {
            Some(reserved) => {
                reserved.slot.store(record);
                reserved.publish();
            }
            None => self.drop_one(record.kind),
        }
    }

    /// Takes a position. Public for tests, which stop here.
    #[must_use]
    pub fn reserve(&self) -> Option<Reserved<'_>> {
        let mut position = self.header.head.0.load(Ordering::Relaxed);
        for _ in 0..TRIES {
            let slot = self.slot(position)?;
            let sequence = slot.sequence.load(Ordering::Acquire);
            if sequence == lap(position) {
                let next = position.wrapping_add(1);
                match self.header.head.0.compare_exchange_weak(
                    position,
                    next,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Some(Reserved { slot, position }),
                    Err(now) => position = now,
                }
            } else if sequence < lap(position) {
                return None;
            } else {
                position = self.header.head.0.load(Ordering::Relaxed);
            }
        }
        None
    }

    /// Counts a record that found no room.
    pub fn drop_one(&self, kind: u8) {
        let [unknown, ..] = &self.header.dropped;
        let counter = self.header.dropped.get(usize::from(kind)).unwrap_or(unknown);
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a touch, and says whether it is to be said in the ring.
    pub fn touch(&self, key: Key) -> Touch {
        let word = key.pack();
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits count")]
        let start = hash::key(word) as usize;
        for probe in 0..PROBES {
            let Some(counter) = self.counters.get(start.wrapping_add(probe) % COUNTERS) else { break };
            let found = match counter.key.load(Ordering::Relaxed) {
                0 => match counter.key.compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return Touch::Say,
                    Err(other) => other,
                },
                found => found,
            };
            if found == word {
                counter.count.fetch_add(1, Ordering::Relaxed);
                return Touch::Counted;
            }
        }
        Touch::Say
    }
}

impl Reserved<'_> {
    /// Hands the slot to the reader. If the reader gave the slot up already, it has counted the record as lost.
    pub fn publish(self) {
        let free = lap(self.position);
        let full = free.wrapping_add(1);
        let _ = self.slot.sequence.compare_exchange(free, full, Ordering::Release, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        for kind in Kind::ALL {
            let key = Key { pid: u32::MAX, kind, index: 0x00ab_cdef };
            assert_eq!(Key::unpack(key.pack()), Some(key));
            assert_ne!(Key { pid: 0, kind, index: 0 }.pack(), 0);
        }
        assert_eq!(Key::unpack(0), None);
        assert_eq!(Key::unpack(u64::MAX), None);
    }
}
