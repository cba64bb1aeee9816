//! For tests: random trees and random work in them.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::fixture::{Step, step, write};

/// Each case starts programs and mounts: few of them, unless `PROPTEST_CASES` asks for more.
pub(crate) fn cases() -> Config {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let usual = Config { failure_persistence: None, ..Config::default() };
    if asked { usual } else { Config { cases: 24, ..usual } }
}

/// Few names, so that steps meet each other's paths: files replaced by directories, and back.
fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c c", "d\u{e9}", "e\n\"\\", ".hidden"]);
    prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"))
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"one\ntwo\nthree\n".to_vec()),
        Just(b"one\nTWO\nthree".to_vec()),
        prop::collection::vec(prop::sample::select(b"xy\n\0\xff".to_vec()), 0..60),
        "[a-d\n]{0,200}".prop_map(String::into_bytes),
    ]
}

/// What the user's own tree has: all of it can be read.
const READABLE: &[&str] = &["644", "755", "600", "700", "640", "555", "500"];
/// What a run gives: files and directories that not even their owner may enter, read or write.
const ANY: &[&str] = &["644", "755", "600", "700", "555", "000", "111", "300", "444", "2755"];

fn one(modes: &'static [&'static str]) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (path(), content()).prop_map(|(path, content)| write(&path, &content)),
        2 => (path(), content()).prop_map(|(path, content)| step(&["append", &path, &data_encoding::HEXLOWER.encode(&content)])),
        4 => path().prop_map(|path| step(&["mkdir", &path])),
        3 => (path(), path()).prop_map(|(from, to)| step(&["rename", &from, &to])),
        1 => (path(), path()).prop_map(|(from, to)| step(&["link", &from, &to])),
        2 => (path(), path()).prop_map(|(at, to)| step(&["symlink", &at, &to])),
        2 => (path(), prop::sample::select(modes)).prop_map(|(path, mode)| step(&["chmod", &path, mode])),
        3 => path().prop_map(|path| step(&["remove", &path])),
        3 => path().prop_map(|path| step(&["clear", &path])),
        1 => path().prop_map(|path| step(&["fifo", &path])),
        1 => (path(), 1u64..2_000_000_000).prop_map(|(path, at)| step(&["touch", &path, &format!("{at}000000007")])),
        2 => path().prop_map(|path| step(&["attribute", &path, "noted"])),
        1 => path().prop_map(|path| step(&["unattribute", &path])),
    ]
}

/// Steps that make a tree, and steps that change it.
pub(crate) fn work() -> impl Strategy<Value = (Vec<Step>, Vec<Step>)> {
    (prop::collection::vec(one(READABLE), 0..30), prop::collection::vec(one(ANY), 0..25))
}
