//! Local stand-in of this branch.
#![allow(unsafe_code)]

pub mod control;
#[cfg(test)]
pub mod fake_init;
pub mod open_file;
pub mod signals;
pub mod terminal;
