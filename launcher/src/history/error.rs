//! Owns why an object store cannot be read: each of these makes it unreadable inside, none ends the run.

use std::{fmt, io};

use rustix::io::Errno;

/// What is wrong with it.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The system says so.
    System(Errno),
    /// It is not as git writes it.
    Malformed(&'static str),
    /// An object is too large to be held.
    TooLarge,
}

impl From<Errno> for Unreadable {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::System(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(out, "cannot be read: {error}"),
            Self::Malformed(what) => write!(out, "cannot be read: {what}"),
            Self::TooLarge => write!(out, "an object in it is too large to be searched"),
        }
    }
}

impl std::error::Error for Unreadable {}
