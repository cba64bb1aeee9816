//! Owns every system call that the standard library and `rustix` have no safe form of.
//!
//! Thin: descriptors and plain values in, `Result` out, no policy. The only place of the launcher
//! where `unsafe` is allowed.
#![allow(unsafe_code)]

pub mod control;
pub mod descriptors;
#[cfg(test)]
pub mod fake_init;
pub mod loopback;
pub mod mount;
pub mod open_file;
pub mod pidns;
pub mod privileges;
pub mod process;
pub mod ring;
pub mod signals;
pub mod terminal;
