//! The leak scan: every encoding, every place in a stream, every chunk size.

use shieldrun_secrets::*;

const REAL: &str = "k3Jd8s\"q/0ZpXv7R$2N+YbH?m4Gc9Fa5T";

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
    out.push((Encoding::Reversed, real.iter().rev().copied().collect()));
    let quoted = |special: &[u8]| -> Vec<u8> {
        real.iter().flat_map(|b| if special.contains(b) { vec![b'\\', *b] } else { vec![*b] }).collect()
    };
    out.push((Encoding::Json, quoted(b"\"\\")));
    out.push((Encoding::Json, quoted(b"\"\\/")));
    out.push((Encoding::Shell, quoted(b"\"\\$`")));
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
                // `\"` is both JSON's and the shell's.
                let quotes = [Encoding::Json, Encoding::Shell];
                if quotes.contains(&encoding) && quotes.contains(&hit.encoding) {
                    continue;
                }
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
fn every_encoding_at_every_split_in_two_and_three() {
    let (_reg, scanner) = scanner(&[REAL]);
    for (encoding, text) in encodings(REAL.as_bytes()) {
        let stream = [b"before ", &text[..], b" after"].concat();
        let whole = scanner.stream().feed(&scanner, &stream).expect("found in one piece");
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let mut state = scanner.stream();
                let mut hit = None;
                for chunk in [0..first, first..second, second..stream.len()] {
                    let start = chunk.start;
                    hit = hit.or_else(|| {
                        state.feed(&scanner, &stream[chunk]).map(|h| (h.start + start as i64, h.end + start))
                    });
                }
                let at = (whole.start, whole.end);
                assert_eq!(hit, Some(at), "{encoding:?} cut at {first} and {second}");
            }
        }
        // The twin: another byte in the middle, and it is no longer the secret.
        let mut other = stream.clone();
        other[7 + text.len() / 2] = 7;
        for split in 0..=other.len() {
            let mut state = scanner.stream();
            let seen =
                state.feed(&scanner, &other[..split]).or_else(|| state.feed(&scanner, &other[split..]));
            assert_eq!(seen, None, "{encoding:?} with another byte, cut at {split}");
        }
    }
}

#[test]
fn ten_thousand_secrets_are_each_found_and_none_in_what_is_not_theirs() {
    // As many blocks as this have two bits in the table.
    let mut noise = 7_u64;
    let mut word = || -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut letter = || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            char::from(alphabet[(noise % 62) as usize])
        };
        (0..40).map(|_| letter()).collect()
    };
    let values: Vec<String> = (0..10_000).map(|_| word()).collect();
    let names: Vec<&str> = values.iter().map(String::as_str).collect();
    let (reg, scanner) = scanner(&names);
    for (value, entry) in values.iter().zip(reg.entries()) {
        let stream = ["é: ", value, " ö"].concat();
        let hit = scanner.stream().feed(&scanner, stream.as_bytes());
        assert_eq!(hit.map(|h| (h.id, h.encoding, h.start)), Some((entry.id, Encoding::Raw, 4)), "{value}");
    }
    for _ in 0..10_000 {
        assert_eq!(scanner.stream().feed(&scanner, word().as_bytes()), None);
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

#[test]
fn a_part_is_a_suspicion_and_not_a_hit() {
    let (_reg, scanner) = scanner(&[REAL]);
    for offset in 0..=REAL.len() - 24 {
        for size in [1, 7, 100] {
            let stream = [b"see ", &REAL.as_bytes()[offset..offset + 24], b" there"].concat();
            let mut state = scanner.stream();
            assert!(stream.chunks(size).all(|c| state.feed(&scanner, c).is_none()));
            assert_eq!(
                state.take_suspected().map(|h| h.encoding),
                Some(Encoding::Partial),
                "{offset} {size}"
            );
            assert_eq!(state.take_suspected(), None);
        }
    }
}

#[test]
fn the_second_pass_sees_through_layers() {
    let (_reg, scanner) = scanner(&[REAL]);
    let real = REAL.as_bytes();
    let standard = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let wrapped = |text: &[u8], width: usize| text.chunks(width).collect::<Vec<_>>().join(&b'\n');
    let escaped = real.iter().flat_map(|b| format!("\\u{:04x}", b).into_bytes()).collect::<Vec<_>>();
    let octal = real.iter().flat_map(|b| format!("\\x{b:02x}").into_bytes()).collect::<Vec<_>>();
    let wide: Vec<u8> = real.iter().flat_map(|b| [*b, 0]).collect();
    let wide_other: Vec<u8> = real.iter().flat_map(|b| [0, *b]).collect();
    let spaced: Vec<u8> = real.iter().flat_map(|b| format!("{b:02x} ").into_bytes()).collect();
    let twice = base64(&base64(&[b"x=", real].concat(), standard), standard);
    // Enough before it for the compressor to pack it, not only store it.
    let packed = [b"some text before ".repeat(30).as_slice(), real].concat();
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(&packed, 6);
    let mut gzip = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
    gzip.extend(b"name\0");
    gzip.extend(miniz_oxide::deflate::compress_to_vec(&packed, 6));
    let in_base64 = base64(&gzip, standard);
    let characters =
        real.iter().map(|b| (*b as char).to_string()).collect::<Vec<_>>().join("\n").into_bytes();
    for (what, body) in [
        ("wrapped", wrapped(real, 7)),
        ("wrapped base64", wrapped(&base64(&[b"....", real, b"....."].concat(), standard), 12)),
        ("\\u", escaped),
        ("\\x", octal),
        ("utf-16le", wide),
        ("utf-16be", wide_other),
        ("spaced hex", spaced),
        ("base64 twice", twice),
        ("zlib", zlib),
        ("gzip", gzip),
        ("gzip in base64", in_base64),
        ("one character a line", characters),
        ("plain", real.to_vec()),
    ] {
        let hit = scanner.deep(&body).unwrap_or_else(|| panic!("{what} passed"));
        assert_eq!(hit.layers.is_empty(), what == "plain", "{what}");
    }
    assert!(scanner.deep(b"nothing \\u0041 %41 QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=").is_none());
}

#[test]
fn a_synthetic_that_leaves_is_a_tripwire_and_no_leak() {
    let (reg, scanner) = scanner(&[REAL]);
    let tripwire = reg.tripwire();
    let text = [b"token=", reg.entries()[0].synthetic(), b"\n"].concat();
    assert!(scanner.stream().feed(&scanner, &text).is_none());
    let hit = tripwire.stream().feed(&tripwire, &text).expect("seen");
    assert_eq!(hit.id, reg.entries()[0].id);
}

#[test]
fn a_registry_is_told_without_real_values() {
    let (reg, _) = scanner(&[REAL]);
    let text = reg.entries()[0].to_json();
    assert!(
        text.contains("\"kind\":\"generic-secret\"")
            && text.contains("\"env\":\"V0_TOKEN\"")
            && !text.contains("k3Jd8s"),
        "{text}"
    );
}
