//! One connection on record: that it was allowed when it opens, what went through it when it closes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::flow::{Destination, Origin};
use crate::ledger::{Ledger, Note};

/// Bytes that went through, either way.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// From the guest.
    pub(crate) sent: AtomicU64,
    /// To the guest.
    pub(crate) received: AtomicU64,
}

/// Closes itself in the record when it is dropped, also when a run ends in the middle.
pub(super) struct Account<L: Ledger> {
    ledger: Arc<L>,
    origin: Origin,
    to: Destination,
    counts: Arc<Counts>,
    opened: Instant,
}

impl<L: Ledger> Account<L> {
    pub(super) fn open(ledger: Arc<L>, origin: Origin, to: Destination, opening: Note) -> Self {
        ledger.note(&origin, opening);
        Self { ledger, origin, to, counts: Arc::default(), opened: Instant::now() }
    }

    pub(super) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl<L: Ledger> Drop for Account<L> {
    fn drop(&mut self) {
        let closed = Note::Closed {
            to: self.to.clone(),
            sent: self.counts.sent.load(Ordering::Relaxed),
            received: self.counts.received.load(Ordering::Relaxed),
            milliseconds: u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.ledger.note(&self.origin, closed);
    }
}
