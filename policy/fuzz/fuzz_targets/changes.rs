//! `changes.jsonl` of any content: read back it is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shieldrun_policy::changes::ChangeSet;

fuzz_target!(|data: &[u8]| {
    let lines: Result<Vec<_>, _> = data.split(|byte| *byte == b'\n').map(serde_json::from_slice).collect();
    let Ok(lines) = lines else { return };
    let Some(set) = ChangeSet::from_lines(lines) else { return };
    let again = ChangeSet::from_lines(set.to_lines()).expect("what was written is read");
    assert_eq!(set.digest(), again.digest());
});
