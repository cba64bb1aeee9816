//! What every test stands on: a world with planted secrets, runs in it, and what they left behind.

pub(crate) mod database;
pub(crate) mod documented;
pub(crate) mod host;
pub(crate) mod made_up;
pub(crate) mod probe;
pub(crate) mod record;
pub(crate) mod server;
pub(crate) mod shield;
pub(crate) mod terminal;
pub(crate) mod world;

pub(crate) use record::{Record, text};
pub(crate) use shield::{Ran, binary};
pub(crate) use world::{World, put};

use std::io::Write as _;

/// Says that a test could not run here. In CI that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "a test would be skipped in CI: {reason}");
    // Not `eprintln`: the test runner would keep it to itself.
    drop(writeln!(std::io::stderr(), "SKIPPED: {reason}"));
}

/// Debian's interpreter, not one of a version manager in somebody's home.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// The interpreter that has the client libraries; `ci/test.sh` makes it.
pub(crate) fn python_with_clients() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("SHIELDRUN_TEST_PYTHON");
    if python.is_none() {
        skip("no client libraries: SHIELDRUN_TEST_PYTHON is not set (ci/test.sh sets it)");
    }
    python
}
