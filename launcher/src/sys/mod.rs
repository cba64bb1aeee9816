//! Owns every system call that the standard library and `rustix` have no safe form of.
//!
//! Thin: descriptors and plain values in, `Result` out, no policy. The only place of the launcher
//! where `unsafe` is allowed.
#![allow(unsafe_code)]

pub(crate) mod attempt;
pub(crate) mod control;
pub(crate) mod descriptors;
#[cfg(test)]
pub(crate) mod fake_init;
pub(crate) mod landlock;
pub(crate) mod loopback;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod open_file;
pub(crate) mod own_network;
pub(crate) mod pidfd;
pub(crate) mod pidns;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod processors;
pub(crate) mod ring;
pub(crate) mod route;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod terminal;
pub(crate) mod unix_socket;
pub(crate) mod version;
