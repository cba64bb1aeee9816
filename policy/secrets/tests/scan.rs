//! The leak scan: every encoding, every place in a stream, every chunk size.

use shieldrun_secrets::*;

const REAL: &str = "k3Jd8sLq/0ZpXv7Rt2N+YbH?m4Gc9Fa5T";

fn scanner(values: &[&str]) -> (Registry, Scanner) {
    let mut reg = Registry::new(RunKey::from_bytes([5; 32]));
    let vars: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(n, v)| (format!("V{n}_TOKEN").into_bytes(), v.as_bytes().to_vec()))
        .collect();
    substitute_env(&mut reg, &vars);
    let scanner = reg.scanner();
    (reg, scanner)
}

fn base64(bytes: &[u8], alphabet: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for k in 0..=chunk.len() {
            out.push(alphabet[(n >> (18 - 6 * k) & 63) as usize]);
        }
    }
    out
}

fn encodings(real: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
    let standard = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let url = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = vec![(Encoding::Raw, real.to_vec())];
    for before in ["", "x", "xy"] {
        let text = [before.as_bytes(), real, b"tail"].concat();
        out.push((Encoding::Base64, base64(&text, standard)));
        out.push((Encoding::Base64Url, base64(&text, url)));
    }
    let hex = |upper: bool| -> Vec<u8> {
        real.iter()
            .flat_map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }.into_bytes())
            .collect()
    };
    out.push((Encoding::Hex, hex(true)));
    out.push((Encoding::Hex, hex(false)));
    for upper in [true, false] {
        for every in [true, false] {
            let text = real
                .iter()
                .flat_map(|b| match (every || !(b.is_ascii_alphanumeric() || b"-._~".contains(b)), upper) {
                    (false, _) => vec![*b],
                    (true, true) => format!("%{b:02X}").into_bytes(),
                    (true, false) => format!("%{b:02x}").into_bytes(),
                })
                .collect();
            out.push((Encoding::Percent, text));
        }
    }
    out
}

#[test]
fn every_encoding_at_every_offset_in_chunks_of_every_size() {
    let (_reg, scanner) = scanner(&[REAL, "another-Secret-9f8e7d6c5b", "zzYYxx1122334455667788"]);
    for (encoding, text) in encodings(REAL.as_bytes()) {
        for offset in 0..12 {
            let stream: Vec<u8> = [&b"............."[..offset], &text, b" after it, more"].concat();
            for size in 1..=stream.len() {
                let mut state = scanner.stream();
                let hit = stream.chunks(size).find_map(|c| state.feed(&scanner, c));
                let hit =
                    hit.unwrap_or_else(|| panic!("{encoding:?} at {offset} in chunks of {size} passed"));
                // Where a text has neither `+` nor `/`, the two alphabets of base64 agree.
                let alike = encoding == Encoding::Base64Url && hit.encoding == Encoding::Base64;
                assert!(
                    alike || hit.encoding == encoding,
                    "{encoding:?} at {offset} in chunks of {size}: {hit:?}"
                );
            }
        }
    }
}

#[test]
fn every_split_of_a_stream_in_two() {
    let (_reg, scanner) = scanner(&[REAL]);
    let stream = [b"before ", REAL.as_bytes(), b" after"].concat();
    for split in 0..=stream.len() {
        let mut state = scanner.stream();
        let first = state.feed(&scanner, &stream[..split]);
        let hit = first.or_else(|| state.feed(&scanner, &stream[split..])).expect("found");
        let end = if first.is_some() { hit.end } else { hit.end + split };
        assert_eq!(end, 7 + REAL.len());
    }
}

#[test]
fn the_beginning_of_a_needle_is_held_back() {
    let (_reg, scanner) = scanner(&[REAL]);
    for matched in 0..REAL.len() {
        let mut state = scanner.stream();
        assert!(state.feed(&scanner, &[b"before ", &REAL.as_bytes()[..matched]].concat()).is_none());
        assert_eq!(state.pending(&scanner), if matched >= 6 { matched } else { 0 }, "{matched}");
    }
}

#[test]
fn ordinary_text_and_guessable_values_do_not_alarm() {
    let (_reg, scanner) =
        scanner(&["postgres", "localhost", "password123", "Summer2024!", "my-service.internal", "admin"]);
    assert!(scanner.is_empty());
}

#[test]
fn the_scanner_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Scanner>();
    shared::<StreamState>();
    shared::<Registry>();
}
