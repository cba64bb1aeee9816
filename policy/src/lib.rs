//! Policy: pure decisions, no I/O.

pub mod plan;
