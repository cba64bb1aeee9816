//! Owns one bit: whether what the command last wrote to where we speak ended its line.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::stdio::Stream;
use crate::supervise::Tee;

/// Watches stderr and the terminal, which is where our own lines go.
#[derive(Debug, Default)]
pub(crate) struct LastLine(AtomicBool);

impl LastLine {
    /// Whether a line of ours would begin in the middle of one.
    pub(super) fn is_unfinished(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tee for LastLine {
    fn bytes(&self, stream: Stream, bytes: &[u8]) {
        if let (Stream::Stderr | Stream::Terminal, Some(last)) = (stream, bytes.last()) {
            self.0.store(*last != b'\n', Ordering::Relaxed);
        }
    }
}
