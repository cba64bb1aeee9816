//! What the shim and the launcher agree on, byte for byte.
//!
//! Owns: the names of the guest's files, the read-only guest table ([`table`]), the shared ring ([`ring`]) and
//! the records in it ([`record`]). Core only, no allocation, no `unsafe`, no system call: it is compiled into
//! other people's processes, and a shared crate with more in it could pull std in there.
//!
//! Does not own: mapping (each side does that for itself), building a table (the launcher), and trust. Whatever
//! is in a ring was written by the guest; the launcher's reader treats all of it as hostile.
#![no_std]
#![forbid(unsafe_code)]

pub mod hash;
pub mod record;
pub mod ring;
pub mod table;

/// Where the three files below are inside; the shim falls back to it when it cannot tell where it came from.
pub const GUEST_DIRECTORY: &str = "/run/shieldrun";
/// The preload library, as it is named in `LD_PRELOAD`.
pub const SHIM_FILE: &str = "libshieldrun.so";
/// The guest table, read-only.
pub const TABLE_FILE: &str = "table";
/// The ring, the only thing of ours that the guest may write.
pub const RING_FILE: &str = "ring";
