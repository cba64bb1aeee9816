//! Secrets: find, synthesize, recognise. No I/O.
