//! The leak scan: every real value, in every encoding, in a stream of chunks of any size.
//!
//! Owns the needles (plaintext, wiped when dropped) and the state of a stream. What encrypts or splits a
//! secret byte by byte passes any scan; that is what the network policy is for.

mod needles;
mod normalise;
mod packed;
mod redact;
mod stream;
mod table;

pub use needles::Encoding;
pub(crate) use needles::{SPELLINGS, is_needle};
pub use normalise::{DeepHit, Layer, TooMuch};
pub use redact::{Redacted, Redactor};
pub use stream::{Hit, StreamState};
pub(crate) use table::Table;

use alloc::sync::Arc;

use crate::registry::SecretId;

/// The needles of a run, ready to be looked for. Holds plaintext: never hand it to anything inside.
///
/// A copy shares the needles with the original.
///
/// ```
/// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let scanner = registry.scanner();
/// assert!(scanner.first(b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm").is_some());
/// assert!(scanner.first(registry.entries()[0].synthetic()).is_none());
/// ```
#[derive(Clone)]
pub struct Scanner {
    pub(crate) table: Arc<Table>,
}

impl Scanner {
    pub(crate) fn build<'a>(secrets: impl Iterator<Item = (SecretId, &'static str, &'a [u8])>) -> Self {
        let mut all = alloc::vec::Vec::new();
        for (id, kind, real) in secrets {
            needles::of(id, kind, real, &mut all);
        }
        Self { table: Arc::new(Table::build(all)) }
    }

    /// Whether there is nothing to look for, so that scanning can be left out.
    ///
    /// ```
    /// use shieldrun_secrets::{Registry, RunKey};
    /// assert!(Registry::new(RunKey::from_bytes([1; 32])).scanner().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The same, for text whose letters have all become small ones, as those of a header's name do.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let scanner = registry.scanner();
    /// assert!(scanner.first(b"k3jd8slq0zpxv7rt2nwyb6hm").is_none());
    /// assert!(scanner.in_small_letters().first(b"k3jd8slq0zpxv7rt2nwyb6hm").is_some());
    /// ```
    #[must_use]
    pub fn in_small_letters(&self) -> Self {
        Self { table: Arc::new(self.table.in_small_letters()) }
    }

    /// The state of a new stream.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let scanner = registry.scanner();
    /// let (mut stdout, mut stderr) = (scanner.stream(), scanner.stream());
    /// assert!(stdout.feed(&scanner, b"k3Jd8sLq0ZpX").is_none());
    /// assert!(stderr.feed(&scanner, b"v7Rt2NwYb6Hm").is_none(), "another stream");
    /// assert!(stdout.feed(&scanner, b"v7Rt2NwYb6Hm").is_some());
    /// ```
    pub fn stream(&self) -> StreamState {
        StreamState::new()
    }
}

impl core::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Scanner({} needles)", self.table.len())
    }
}
