//! What the guest writes into the ring, and the table that its shim reads: any bytes are taken for what they can be,
//! and nothing of them is longer than what was there.
#![no_main]

// The decoder is the launcher's own, and a program has no library to link.
#[allow(dead_code, reason = "the launcher uses all of it")]
#[path = "../../../launcher/src/sys/ring/claim.rs"]
mod claim;

use libfuzzer_sys::fuzz_target;
use shieldrun_abi::record::{BYTES, Kind, Record};
use shieldrun_abi::ring::Key;
use shieldrun_abi::table::Table;

use claim::{Address, Claim, RepeatKind};

fuzz_target!(|data: &[u8]| {
    if let Some((head, bytes)) = data.split_first_chunk::<19>() {
        let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mut record = Record::new(Kind::Started, word(0), u64::from(word(4)) << 24, word(8));
        record.push(bytes);
        (record.kind, record.aux) = (head[16], word(12));
        record.flags |= u16::from_ne_bytes([head[17], head[18]]);
        let claim = Claim::decode(&record);
        assert!(claim.is_none() || Kind::from_number(record.kind).is_some(), "a claim of no kind");
        match claim {
            Some(Claim::Started { executable, args, .. }) => {
                let said: usize = args.iter().map(|argument| argument.len() + 1).sum();
                assert!(executable.len() + said <= record.bytes().len(), "more was started than was said");
            }
            Some(Claim::Connect { address: Address::Unix(path), .. }) => assert!(path.len() < BYTES),
            Some(claim) => drop(claim.at()),
            None => {}
        }
    }
    if let Some(word) = data.first_chunk().map(|word| u64::from_ne_bytes(*word))
        && let Some(key) = Key::unpack(word)
    {
        assert_eq!(key.pack(), word, "a key that is another");
        let _ = RepeatKind::of(key);
    }
    // The name to ask for is the end of the table itself, so that it can be found.
    if let Some(table) = Table::parse(data) {
        for length in 0..data.len().min(64) {
            let name = &data[data.len() - length..];
            let _ = (table.variable(name), table.covering(name));
        }
    }
});
