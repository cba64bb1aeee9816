//! The detector and `synthesize_one` on any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shieldrun_secrets::{Checksum, RunKey, Subject, detect, synthesize_one};

fuzz_target!(|data: &[u8]| {
    let found = detect(data, Subject::default());
    assert!(found.windows(2).all(|w| w[0].span.end <= w[1].span.start));
    detect(data, Subject { name: Some("API_KEY") });
    if data.len() < 4096 {
        synthesize_one(RunKey::from_bytes([1; 32]), data, None, Checksum::Invalid);
    }
});
