//! What holds for any input: no panic, nothing lost, nothing of a real value left.

use proptest::prelude::*;
use shieldrun_secrets::*;

const FORMATS: [Format; 21] = [
    Format::Dotenv,
    Format::Shell,
    Format::Fish,
    Format::Ini,
    Format::Toml,
    Format::Yaml,
    Format::Json,
    Format::Hcl,
    Format::Tfstate,
    Format::Netrc,
    Format::Npmrc,
    Format::Pgpass,
    Format::GitConfig,
    Format::GitCredentials,
    Format::Xml,
    Format::Properties,
    Format::Pem,
    Format::PlainToken,
    Format::DockerConfig,
    Format::Kubeconfig,
    Format::GcpJson,
];

fn registry() -> Registry {
    Registry::new(RunKey::from_bytes([7; 32]))
}

/// Cases a test: `SHIELDRUN_CASES=10000` for the long run.
fn config() -> ProptestConfig {
    let cases = std::env::var("SHIELDRUN_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Text made of what formats are made of, so that parsers get past the first byte.
fn bits_of_files() -> impl Strategy<Value = Vec<u8>> {
    let bits = prop::sample::select(vec![
        "password",
        "API_KEY",
        "token",
        "=",
        ": ",
        "\"",
        "'",
        "\n",
        " ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        ",",
        "#",
        "\\",
        "\\n",
        "export ",
        "machine ",
        "login ",
        "<a>",
        "</a>",
        "<a b=\"c\"/>",
        "- ",
        "|\n  ",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "hunter2x",
        "postgres://u:s3cret@h/d",
        "eyJhbGciOiJIUzI1NiJ9.e30.abcdefghijklmnopqrstu",
        "é",
        "\u{feff}",
        "${X}",
        "changeme",
        "1",
        "true",
        "dXNlcjpwYXNzd29yZA==",
        "AKIAABCDEFGHIJKLMNOP",
        "&amp;",
        "<![CDATA[x]]>",
        "set -gx ",
        "<<EOF\n",
        "<<-EOF\n",
        "EOF\n",
        "$(",
        "(",
        ")",
        "//",
        "/*",
        "*/",
        ";",
        "$${",
        "\"sensitive\": true",
    ]);
    let piece = prop_oneof![8 => bits.prop_map(|b| b.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..6)];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_editor_never_panics_and_changes_nothing_where_it_finds_nothing(text in bits_of_files()) {
        for format in FORMATS {
            let mut registry = registry();
            if let Ok(edited) = edit(&mut registry, format, "file", &text) {
                prop_assert_eq!(edited.ids.is_empty(), edited.bytes == text, "{:?}", format);
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_never_stop_a_parser(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in FORMATS {
            let _ = edit(&mut registry(), format, "file", &bytes);
        }
        detect(&bytes, Subject::default());
        synthesize_one(RunKey::from_bytes([1; 32]), &bytes, None, Checksum::Invalid);
    }

    #[test]
    fn what_was_edited_can_be_edited_again(text in bits_of_files()) {
        for format in FORMATS {
            let mut first = registry();
            let Ok(edited) = edit(&mut first, format, "file", &text) else { continue };
            let mut second = registry();
            prop_assert!(edit(&mut second, format, "file", &edited.bytes).is_ok(), "{:?} {:?} {:?}", format, String::from_utf8_lossy(&text), String::from_utf8_lossy(&edited.bytes));
        }
    }

    #[test]
    fn a_secret_in_json_is_gone_and_the_rest_is_there(
        name in "(api_key|password|authToken|client-secret)",
        secret in "[A-Za-z0-9!?/+ \"\\\\é]{6,60}",
        other in "[a-z \\n\"\\\\]{0,30}",
    ) {
        prop_assume!(!secret.trim().is_empty());
        let text = serde_json::json!({"note": other, "x": {name.clone(): secret}}).to_string();
        let mut registry = registry();
        let edited = edit(&mut registry, Format::Json, "x", text.as_bytes()).expect("valid JSON");
        let after: serde_json::Value = serde_json::from_slice(&edited.bytes).expect("still valid JSON");
        prop_assert_eq!(after["note"].as_str(), Some(other.as_str()));
        if !edited.ids.is_empty() {
            let shown = after["x"][&name].as_str().unwrap_or("");
            prop_assert_ne!(shown, secret.as_str());
            prop_assert_eq!(shown.len(), secret.len());
        }
    }

    #[test]
    fn an_environment_is_decided_whole(vars in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), bits_of_files()), 0..20)) {
        let mut registry = registry();
        let outcome = substitute_env(&mut registry, &vars);
        prop_assert_eq!(outcome.len(), vars.len());
        for (outcome, (_, value)) in outcome.iter().zip(&vars) {
            if let EnvOutcome::Replaced { value: shown, ids } = outcome {
                prop_assert!(shown != value && !ids.is_empty());
            }
        }
    }

    #[test]
    fn detection_never_panics_and_its_spans_are_in_order(text in bits_of_files()) {
        let found = detect(&text, Subject::default());
        prop_assert!(found.windows(2).all(|w| w[0].span.end <= w[1].span.start));
        prop_assert!(found.iter().all(|f| f.span.end <= text.len() && f.span.start < f.span.end));
        detect(&text, Subject { name: Some("API_KEY") });
    }

    #[test]
    fn a_needle_is_found_wherever_the_stream_is_cut(
        before in prop::collection::vec(any::<u8>(), 0..300),
        after in prop::collection::vec(any::<u8>(), 0..50),
        sizes in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let secret = "k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5T";
        let mut registry = registry();
        substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), secret.as_bytes().to_vec())]);
        let scanner = registry.scanner();
        let stream = [before, secret.as_bytes().to_vec(), after].concat();
        let mut state = scanner.stream();
        let (mut rest, mut hit, mut turn) = (stream.as_slice(), None, 0);
        while !rest.is_empty() && hit.is_none() {
            let (chunk, tail) = rest.split_at(sizes[turn % sizes.len()].min(rest.len()));
            hit = state.feed(&scanner, chunk);
            rest = tail;
            turn += 1;
        }
        prop_assert!(hit.is_some());
    }

    #[test]
    fn the_second_pass_never_panics(body in prop::collection::vec(any::<u8>(), 0..400), text in bits_of_files()) {
        let mut registry = registry();
        substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5T".to_vec())]);
        let scanner = registry.scanner();
        prop_assert!(scanner.deep(&body).is_none());
        prop_assert!(scanner.deep(&text).is_none());
    }

    #[test]
    fn a_synthetic_of_anything_differs_and_keeps_its_length(text in "[ -~]{1,80}") {
        let made = synthesize_one(RunKey::from_bytes([1; 32]), text.as_bytes(), None, Checksum::Valid);
        if !text.trim().is_empty() {
            prop_assert_ne!(&made.synthetic, &text.into_bytes());
        }
    }
}
