//! One record: what a slot of the ring holds, and the two names inside its bytes.
//!
//! A record is plain words, so any bit pattern is one. What it means is for the reader to find out.

use core::sync::atomic::{AtomicU64, Ordering};

/// Room for a record's bytes: a path, a name, an address, a command line.
pub const BYTES: usize = 984;
const WORDS: usize = BYTES / 8;

/// What a record says. The number is in the ring; an unknown one is dropped by the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A process started or forked: `aux` is its parent, the bytes are its executable and arguments, each ended by a NUL.
    Started = 1,
    /// A variable was read: `index` is the table's.
    EnvRead = 2,
    /// A synthetic file was opened: `index` is its place, the bytes are the path as given.
    FileRead = 3,
    /// A blocked file was refused.
    FileDenied = 4,
    /// A masked directory was opened.
    DirListed = 5,
    /// A socket was pointed at an address: the bytes are a `sockaddr`.
    Connect = 6,
    /// A datagram was addressed; as `Connect`.
    Send = 7,
    /// A name was looked up: the bytes are the name.
    Resolve = 8,
    /// An executable is about to be started: the bytes are its path as given.
    Exec = 9,
}

impl Kind {
    /// Every kind, in order of its number.
    pub const ALL: [Kind; 9] = [
        Kind::Started,
        Kind::EnvRead,
        Kind::FileRead,
        Kind::FileDenied,
        Kind::DirListed,
        Kind::Connect,
        Kind::Send,
        Kind::Resolve,
        Kind::Exec,
    ];

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The bytes did not all fit.
pub const TRUNCATED: u16 = 1;
/// The directory that [`Kind::DirListed`] names was refused.
pub const REFUSED: u16 = 2;

/// A record outside the ring.
#[derive(Clone)]
pub struct Record {
    /// A [`Kind`], if the writer was honest.
    pub kind: u8,
    /// [`TRUNCATED`], [`REFUSED`].
    pub flags: u16,
    /// The writer's pid, as it knows itself.
    pub pid: u32,
    /// The parent's pid for [`Kind::Started`], else 0.
    pub aux: u32,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub at: u64,
    /// The variable or the place.
    pub index: u32,
    length: u16,
    bytes: [u8; BYTES],
}

impl Record {
    /// An empty record.
    #[must_use]
    pub fn new(kind: Kind, pid: u32, at: u64, index: u32) -> Record {
        Record { kind: kind as u8, flags: 0, pid, aux: 0, at, index, length: 0, bytes: [0; BYTES] }
    }

    /// What it carries. Never longer than [`BYTES`], whatever the ring said.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }

    /// The room that is left.
    #[must_use]
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(usize::from(self.length)..).unwrap_or(&mut [])
    }

    /// Takes `count` bytes of the room as written.
    pub fn advance(&mut self, count: usize) {
        let length = usize::from(self.length).saturating_add(count).min(BYTES);
        self.length = u16::try_from(length).unwrap_or(0);
    }

    /// Adds bytes, as many as fit, and says so in the flags when that was not all.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut count = 0;
        for (to, from) in self.room().iter_mut().zip(bytes) {
            *to = *from;
            count += 1;
        }
        self.advance(count);
        if count < bytes.len() {
            self.flags |= TRUNCATED;
        }
    }
}

/// A record inside the ring: words only, each an atomic, so that a hostile writer beside us is no data race.
#[repr(C, align(64))]
pub struct Slot {
    /// The lap for which this slot is free, or one more: full. See [`crate::ring`].
    pub sequence: AtomicU64,
    words: [AtomicU64; 4],
    bytes: [AtomicU64; WORDS],
}

const _: () = {
    assert!(core::mem::size_of::<Slot>() == 1024);
    assert!(core::mem::offset_of!(Slot, words) == 8);
    assert!(core::mem::offset_of!(Slot, bytes) == 40);
    assert!(BYTES.is_multiple_of(8) && BYTES < u16::MAX as usize);
};

impl Slot {
    /// Puts the record's words here. Whoever calls owns the slot and publishes it afterwards.
    pub fn store(&self, record: &Record) {
        let [shape, who, at, index] = &self.words;
        let length = u64::from(record.length);
        shape.store(u64::from(record.kind) | u64::from(record.flags) << 16 | length << 32, Ordering::Relaxed);
        who.store(u64::from(record.pid) | u64::from(record.aux) << 32, Ordering::Relaxed);
        at.store(record.at, Ordering::Relaxed);
        index.store(u64::from(record.index), Ordering::Relaxed);
        let (chunks, _) = record.bytes.as_chunks::<8>();
        let used = usize::from(record.length).div_ceil(8);
        for (word, chunk) in self.bytes.iter().zip(chunks).take(used) {
            word.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
        }
    }

    /// Copies the words out, once; everything after works on the copy. The length is cut to what there is.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "each cast takes the low part of a packed word")]
    pub fn load(&self) -> Record {
        let [shape, who, at, index] = self.words.each_ref().map(|word| word.load(Ordering::Relaxed));
        let length = ((shape >> 32) as usize).min(BYTES);
        let mut record = Record {
            kind: shape as u8,
            flags: (shape >> 16) as u16,
            pid: who as u32,
            aux: (who >> 32) as u32,
            at,
            index: index as u32,
            length: length as u16,
            bytes: [0; BYTES],
        };
        let (chunks, _) = record.bytes.as_chunks_mut::<8>();
        for (word, chunk) in self.bytes.iter().zip(chunks).take(length.div_ceil(8)) {
            *chunk = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        record
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn empty() -> Slot {
        Slot {
            sequence: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; 4],
            bytes: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    #[test]
    fn a_record_comes_back_as_it_went_in() {
        let slot = empty();
        for length in [0, 1, 7, 8, 9, 500, BYTES] {
            let mut record = Record::new(Kind::Connect, 7, 99, 3);
            record.aux = 12;
            record.flags = REFUSED;
            let bytes: std::vec::Vec<u8> = (0..length).map(|at| at as u8 | 1).collect();
            record.push(&bytes);
            slot.store(&record);
            let back = slot.load();
            assert_eq!((back.kind, back.flags, back.pid, back.aux), (Kind::Connect as u8, REFUSED, 7, 12));
            assert_eq!((back.at, back.index), (99, 3));
            assert_eq!(back.bytes(), bytes);
        }
    }

    #[test]
    fn too_long_is_cut_and_says_so() {
        let mut record = Record::new(Kind::Exec, 1, 1, 0);
        record.push(&[b'a'; BYTES - 1]);
        assert_eq!(record.flags, 0);
        record.push(b"bc");
        assert_eq!(record.flags, TRUNCATED);
        assert_eq!(record.bytes().len(), BYTES);
        assert_eq!(record.bytes().last(), Some(&b'b'));
        record.advance(usize::MAX);
        assert!(record.room().is_empty());
    }

    #[test]
    fn a_forged_length_is_cut() {
        let slot = empty();
        for word in &slot.words {
            word.store(u64::MAX, Ordering::Relaxed);
        }
        assert_eq!(slot.load().bytes().len(), BYTES);
    }

    #[test]
    fn kinds_have_their_numbers() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind as u8), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
        assert_eq!(Kind::from_number(200), None);
    }
}
