//! `shieldrun selftest`: the whole list of known ways out, in the product's own hands.

use crate::harness::{World, binary};
use serde_json::Value;
use std::process::Command;

/// Ways that lead nowhere for an ordinary user, or without a program or a device that not every host has.
/// All others must lead out without shieldrun, or the list has rotted.
const MAY_BE_UNAVAILABLE: &[&str] = &[
    "address-ipv6",
    "bpf",
    "block-device",
    "capabilities",
    "enter-parent",
    "file-handle",
    "i386",
    "kernel-log",
    "kernel-memory",
    "kernel-setting",
    "packet",
    "proc-parent-root",
    "tcp6",
    "unix-run",
    "session-bus",
    "userfaultfd",
    "vsock",
    "x32",
];

#[test]
fn every_known_way_out_is_held() {
    let world = World::new();
    // The name of a socket is short.
    let cache = tempfile::Builder::new().prefix("s").tempdir_in("/var/tmp").expect("a cache directory");
    let output = Command::new(binary())
        .args(["selftest", "--json"])
        .env("HOME", &world.home)
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .expect("start the self-test");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let ways = report["ways"].as_array().expect("a list of ways");
    let named = |verdict: &str| -> Vec<&str> {
        let with = ways.iter().filter(|way| way["verdict"] == verdict);
        with.filter_map(|way| way["name"].as_str()).collect()
    };
    assert!(named("breached").is_empty(), "{report:#}");
    let rotten: Vec<&str> =
        named("unavailable").into_iter().filter(|name| !MAY_BE_UNAVAILABLE.contains(name)).collect();
    assert!(rotten.is_empty(), "these lead nowhere without shieldrun: {rotten:?}\n{report:#}");
    assert!(named("held").len() >= 150, "{report:#}");
    let left: Vec<_> = std::fs::read_dir(cache.path().join("shieldrun")).expect("the cache").collect();
    assert!(left.is_empty(), "{left:?}");
}
