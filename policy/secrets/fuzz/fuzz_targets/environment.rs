//! Any variable with any value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shieldrun_secrets::{EnvOutcome, Registry, RunKey, substitute_env};

fuzz_target!(|data: &[u8]| {
    let vars: Vec<(Vec<u8>, Vec<u8>)> = data
        .split(|b| *b == 0)
        .filter_map(|pair| {
            let equals = pair.iter().position(|b| *b == b'=')?;
            Some((pair[..equals].to_vec(), pair[equals + 1..].to_vec()))
        })
        .collect();
    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    let outcome = substitute_env(&mut registry, &vars);
    for (outcome, (_, value)) in outcome.iter().zip(&vars) {
        if let EnvOutcome::Replaced { value: shown, .. } = outcome {
            assert_ne!(shown, value);
        }
    }
});
