//! `secrets scan`: what is found in files of every length, and that no value is shown.

use crate::changes::{said, verb, world};
use crate::harness::{World, made_up};
use serde_json::Value;
use std::fs;

/// A file is read in parts of this size.
const PART: usize = 136 << 10;

/// What is found in the world's `scanned`, as (path, line, column, kind, confidence), and that nothing shows `secret`.
fn found(world: &World, secret: &str, code: i32) -> Vec<(String, u64, u64, String, String)> {
    let directory = world.beside("scanned");
    let text = said(&verb(world, &["secrets", "scan", "--json", directory.to_str().expect("UTF-8")]), code);
    assert!(!text.contains(secret), "a value was shown");
    let root = format!("{}/", directory.display());
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines
        .map(|line| {
            let word = |key: &str| line[key].as_str().expect("text").to_owned();
            let number = |key: &str| line[key].as_u64().expect("a number");
            let path = word("path").replacen(&root, "", 1);
            (path, number("line"), number("column"), word("kind"), word("confidence"))
        })
        .collect()
}

#[test]
fn a_secret_is_found_at_the_beginning_in_the_middle_and_at_the_end_of_files_of_every_length() {
    let world = world();
    let scanned = world.beside("scanned");
    let token = made_up::github("ghp");
    let mut wanted = Vec::new();
    // A file is read in parts, looked at in blocks of 64 bytes, passed over for a NUL in its first 8 KiB, and
    // waits for the others if it is longer than a mebibyte.
    for length in
        [41, 63, 64, 65, 200, 8_191, 8_193, 65_537, PART - 1, PART, PART + 1, 2 * PART, 600_000, 1_500_000]
    {
        for (place, at) in [("first", 0), ("middle", (length - 40) / 2), ("last", length - 40)] {
            let mut text = "x = 1\n".repeat(length / 6 + 1).into_bytes();
            text.truncate(length);
            if at > 0 {
                text[at - 1] = b'\n';
            }
            text[at..at + 40].copy_from_slice(token.as_bytes());
            if let Some(next) = text.get_mut(at + 40) {
                *next = b'\n';
            }
            let name = format!("{length:06}-{place}.py");
            let line = 1 + text[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            fs::write(scanned.join(&name), text).expect("written");
            wanted.push((name, line, 1, "github-token".to_owned(), "high".to_owned()));
        }
    }
    wanted.sort();
    assert_eq!(found(&world, &token, 1), wanted);
}

#[test]
fn what_is_no_text_is_passed_over_and_what_holds_nothing_is_clean() {
    let world = world();
    let scanned = world.beside("scanned");
    let token = made_up::github("ghp");
    fs::write(scanned.join("empty"), "").expect("written");
    fs::write(scanned.join("plain.py"), "x = 1\n".repeat(50_000)).expect("written");
    fs::write(scanned.join("binary"), format!("\0\n{token}\n")).expect("written");
    std::os::unix::fs::symlink("/etc/passwd", scanned.join("link")).expect("linked");
    assert_eq!(found(&world, &token, 0), []);
    // The twin: the same without the NUL, three directories down.
    fs::create_dir_all(scanned.join("a/b/c")).expect("made");
    fs::write(scanned.join("a/b/c/text"), format!("\n{token}\n")).expect("written");
    assert_eq!(found(&world, &token, 1).len(), 1);
}

#[test]
fn a_secret_is_found_where_two_parts_of_a_file_meet() {
    let world = world();
    let scanned = world.beside("scanned");
    let token = made_up::github("ghp");
    let mut wanted = Vec::new();
    // Lines, one line with brackets, and one without anything that it could be cut at.
    for (name, filler) in [("lines", "x = 1\n"), ("brackets", "if(a){b"), ("words", "x = 1 ")] {
        for at in (PART - 50..PART + 20).step_by(7) {
            let mut text = filler.repeat(160_000 / filler.len()).into_bytes();
            text[at - 1..at + 41].fill(b' ');
            text[at..at + 40].copy_from_slice(token.as_bytes());
            let before = &text[..at];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
            let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            let name = format!("{name}-{at}.js");
            fs::write(scanned.join(&name), &text).expect("written");
            wanted.push((name, line, (at - start) as u64 + 1, "github-token".to_owned(), "high".to_owned()));
        }
    }
    let body = made_up::base64_standard(made_up::word(1_200).as_bytes());
    let body: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII")).collect();
    let (begin, end) =
        (["-----BEGIN ", "PRIVATE KEY-----"].concat(), ["-----END ", "PRIVATE KEY-----"].concat());
    let key = format!("{begin}\n{}\n{end}\n", body.join("\n"));
    let text = format!("{}{key}{}", "x = 1\n".repeat(139_200 / 6), "x = 1\n".repeat(100));
    fs::write(scanned.join("key"), text).expect("written");
    wanted.push(("key".to_owned(), 139_200 / 6 + 1, 1, "private-key".to_owned(), "high".to_owned()));
    // Armour that begins and never ends: what is behind it is still found.
    let text = format!("{begin}\n{}{token}\n{}", "x = 1\n".repeat(60_000), "x = 1\n".repeat(100));
    fs::write(scanned.join("unended"), text).expect("written");
    wanted.push(("unended".to_owned(), 60_002, 1, "github-token".to_owned(), "high".to_owned()));
    wanted.sort();
    assert_eq!(found(&world, &token, 1), wanted);
}
