//! Whatever is in a text, nothing panics, and each mistake has a place that exists.

use super::*;
use proptest::prelude::*;

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let valid = include_str!("valid.yaml").as_bytes().to_vec();
    let length = valid.len();
    let edit = (0..length, 0..6usize, any::<u8>(), 0..8usize);
    proptest::collection::vec(edit, 0..12).prop_map(move |edits| {
        let mut text = valid.clone();
        let special = b"\t:-*&!|>[]{}\"'#,?%@`\n \0~";
        for (at, kind, byte, length) in edits {
            if text.is_empty() {
                break;
            }
            let at = at.min(text.len() - 1);
            let end = (at + length).min(text.len());
            match kind {
                0 => text.insert(at, byte),
                1 => text.insert(at, special[byte as usize % special.len()]),
                2 => drop(text.drain(at..end)),
                3 => text[at] = byte,
                4 => {
                    let copy = text[at..end].to_vec();
                    text.splice(at..at, copy);
                }
                _ => text.truncate(at.max(1)),
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_never_panics_and_its_places_exist(text in mutated()) {
        for layer in [Layer::User, Layer::Project] {
            let source = Source { name: NAME.to_owned(), text: text.clone(), layer };
            if let Err(diagnostics) = load(&[source], &Overrides::default()) {
                prop_assert!(!diagnostics.is_empty());
                let lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).count();
                for diagnostic in diagnostics {
                    prop_assert!(diagnostic.line as usize <= lines + 1, "{}", diagnostic);
                    prop_assert!(!diagnostic.message.chars().any(char::is_control), "{}", diagnostic);
                    prop_assert!(!diagnostic.rendered().chars().any(|c| c.is_control() && c != '\n'));
                }
            }
        }
    }

    #[test]
    fn damaged_json_never_panics(text in mutated(), json in any::<bool>()) {
        let text = if json {
            let mut wrapped = b"{\"blocked_patterns\": [\"".to_vec();
            wrapped.extend(text);
            wrapped
        } else {
            text
        };
        let _ = overrides_from_json("--config", &text);
    }
}

#[test]
fn the_file_that_is_damaged_is_valid() {
    let text = include_str!("valid.yaml");
    assert_eq!(messages(user(text)), [""; 0]);
}
