//! `supervise` around real programs, without namespaces: bytes, exits, signals, the terminal.

mod bytes;
pub(crate) mod driver;
mod ends;
mod launch;
mod screen;
mod terminal;
