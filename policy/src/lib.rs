//! Policy: pure decisions, no I/O.
