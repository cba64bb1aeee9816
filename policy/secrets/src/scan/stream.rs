//! The state of one stream: what came before, as far as a needle could reach back.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::table::Found;
use super::{Encoding, Scanner};
use crate::registry::SecretId;

/// A real value that was seen.
///
/// ```
/// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let scanner = registry.scanner();
/// let mut stream = scanner.stream();
/// assert!(stream.feed(&scanner, b"it is k3Jd8sLq0Zp").is_none());
/// let hit = stream.feed(&scanner, b"Xv7Rt2NwYb6Hm, it is").unwrap();
/// assert_eq!((hit.start, hit.end), (-11, 13));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Whose.
    pub id: SecretId,
    /// How it was written.
    pub encoding: Encoding,
    /// Where it begins, counted from the start of this chunk; negative if in an earlier one.
    pub start: i64,
    /// Just past its end, in this chunk.
    pub end: usize,
}

/// One stream's state. Feed it every byte of the stream, in chunks of any size.
///
/// ```
/// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let scanner = registry.scanner();
/// let mut stream = scanner.stream();
/// let seen = b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm".iter().any(|byte| stream.feed(&scanner, &[*byte]).is_some());
/// assert!(seen);
/// ```
pub struct StreamState {
    carry: Zeroizing<Vec<u8>>,
    suspected: Option<Hit>,
}

impl StreamState {
    pub(super) fn new() -> Self {
        Self { carry: Zeroizing::new(Vec::new()), suspected: None }
    }

    /// The first whole value that ends in this chunk. After a hit the state has taken the whole chunk in.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let scanner = registry.scanner();
    /// let hit = scanner.stream().feed(&scanner, b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm").unwrap();
    /// assert_eq!((hit.start, hit.end), (6, 30));
    /// ```
    pub fn feed(&mut self, scanner: &Scanner, chunk: &[u8]) -> Option<Hit> {
        let table = &scanner.table;
        if table.is_empty() || chunk.is_empty() {
            return None;
        }
        let reach = table.longest() - 1;
        let before = self.carry.len();
        // The seam: what was carried and as much of the chunk as a needle from there could cover.
        self.carry.extend_from_slice(&chunk[..chunk.len().min(reach)]);
        let mut hit = None;
        let mut part = None;
        if before > 0 {
            let mut from = 0;
            while let Some(found) = table.find(&self.carry, from, &mut part) {
                if found.end > before {
                    hit = Some(Hit::at(found, before));
                    break;
                }
                from = found.start + 1;
            }
            self.suspect(part.filter(|p| p.end > before), before);
        }
        if hit.is_none() {
            part = None;
            hit = table.find(chunk, 0, &mut part).map(|found| Hit::at(found, 0));
            self.suspect(part, 0);
        }
        if chunk.len() >= reach {
            self.carry.clear();
            self.carry.extend_from_slice(&chunk[chunk.len() - reach..]);
        } else {
            let excess = self.carry.len().saturating_sub(reach);
            self.carry.drain(..excess);
        }
        hit
    }

    /// A part of a value that was seen since this was last asked. Worth an event, not the end of a run.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let scanner = registry.scanner();
    /// let mut state = scanner.stream();
    /// assert!(state.feed(&scanner, b"nothing here").is_none() && state.take_suspected().is_none());
    /// ```
    pub fn take_suspected(&mut self) -> Option<Hit> {
        self.suspected.take()
    }

    fn suspect(&mut self, part: Option<Found>, before: usize) {
        self.suspected = self.suspected.or(part.map(|found| Hit::at(found, before)));
    }

    /// How many bytes at the end of what was fed may be the beginning of a needle; the caller holds those
    /// back for a moment, so that a secret split over two writes does not leave in two halves.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let scanner = registry.scanner();
    /// let mut state = scanner.stream();
    /// state.feed(&scanner, b"it is k3Jd8sLq");
    /// assert_eq!(state.pending(&scanner), 8);
    /// ```
    pub fn pending(&self, scanner: &Scanner) -> usize {
        scanner.table.pending(&self.carry)
    }
}

impl Hit {
    /// A find in a text whose first `before` bytes came in earlier chunks.
    fn at(found: Found, before: usize) -> Self {
        Self {
            id: found.id,
            encoding: found.encoding,
            start: found.start as i64 - before as i64,
            end: found.end.saturating_sub(before),
        }
    }
}

impl core::fmt::Debug for StreamState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "StreamState({} bytes carried)", self.carry.len())
    }
}
