//! The leak scan: every real value, in every encoding, in a stream of chunks of any size.
//!
//! Owns the needles (plaintext, wiped when dropped) and the state of a stream. What encrypts or splits a
//! secret byte by byte passes any scan; that is what the network policy is for.

mod needles;
mod normalise;
mod stream;
mod table;

pub use needles::Encoding;
pub(crate) use needles::is_needle;
pub use normalise::{DeepHit, Layer};
pub use stream::{Hit, StreamState};
pub(crate) use table::Table;

use crate::registry::SecretId;

/// The needles of a run, ready to be looked for. Holds plaintext: never hand it to anything inside.
pub struct Scanner {
    pub(crate) table: Table,
}

impl Scanner {
    pub(crate) fn build<'a>(secrets: impl Iterator<Item = (SecretId, &'static str, &'a [u8])>) -> Self {
        let mut all = alloc::vec::Vec::new();
        for (id, kind, real) in secrets {
            needles::of(id, kind, real, &mut all);
        }
        Self { table: Table::build(all) }
    }

    /// Whether there is nothing to look for, so that scanning can be left out.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The state of a new stream.
    pub fn stream(&self) -> StreamState {
        StreamState::new()
    }
}

impl core::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Scanner({} needles)", self.table.len())
    }
}
