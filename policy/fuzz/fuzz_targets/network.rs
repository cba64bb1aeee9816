//! Entries of hosts, bindings, addresses, globs: what is read back from what was understood means the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use shieldrun_policy::glob::PathGlob;
use shieldrun_policy::network::{Binding, Entry, Resolve, covers, host};

fuzz_target!(|text: &str| {
    if let Ok(entry) = Entry::parse(text) {
        assert!(host(text).is_err() || covers(text, text), "an entry does not cover itself");
        let _ = entry.allows_request("GET", "/");
        assert!(!entry.pattern().is_empty());
    }
    if let Ok(host) = host(text) {
        let again = host.to_string();
        assert_eq!(shieldrun_policy::network::host(&again).map(|host| host.to_string()), Ok(again));
    }
    let _ = Binding::parse(text);
    let _ = Resolve::parse(text);
    if let Ok(glob) = PathGlob::new(text) {
        let _ = glob.matches(Path::new("a/b.yml"));
        let _ = glob.matches(Path::new(text));
    }
});
