//! The scanner: what is found does not depend on where the stream is cut; the second pass never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shieldrun_secrets::{Registry, RunKey, Scanner, substitute_env};

fn found(scanner: &Scanner, data: &[u8], size: usize) -> bool {
    let mut state = scanner.stream();
    data.chunks(size).any(|chunk| state.feed(scanner, chunk).is_some())
}

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5T".to_vec())]);
    let scanner = registry.scanner();
    let whole = found(&scanner, text, text.len().max(1));
    assert_eq!(whole, found(&scanner, text, usize::from(*first).max(1)));
    scanner.deep(text);
});
