//! The values that are planted, and every way in which a program may write one.
//!
//! Owns the list of ways; that it is whole is asked of the scanner itself, which names what it undid.

use std::collections::BTreeSet;
use std::io::Write as _;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use rcgen::KeyPair;
use shieldrun_secrets::{EnvOptions, Registry, RunKey, substitute_env_with};

use crate::harness::{Plan, gzip};
use crate::made_up::{self, word};

/// A value as some program writes it.
pub(crate) type Spelling = (&'static str, fn(&[u8]) -> Vec<u8>);

pub(crate) const SPELLINGS: &[Spelling] = &[
    ("raw", <[u8]>::to_vec),
    ("base64", |value| BASE64.encode(value).into_bytes()),
    ("base64 behind one byte", |value| BASE64.encode(&around("a", value, "bc")).into_bytes()),
    ("base64 behind two bytes", |value| BASE64.encode(&around("ab", value, "c")).into_bytes()),
    ("base64url", |value| BASE64URL_NOPAD.encode(value).into_bytes()),
    ("base64url behind one byte", |value| BASE64URL_NOPAD.encode(&around("a", value, "bc")).into_bytes()),
    ("base64url behind two bytes", |value| BASE64URL_NOPAD.encode(&around("ab", value, "c")).into_bytes()),
    ("base64 twice", |value| BASE64.encode(BASE64.encode(value).as_bytes()).into_bytes()),
    ("base64 in lines", |value| between(BASE64.encode(value).as_bytes(), 12, b"\r\n")),
    ("base64 in an URL", |value| percent(BASE64.encode(value).as_bytes(), |b| b.is_ascii_alphanumeric())),
    ("hex", |value| HEXLOWER.encode(value).into_bytes()),
    ("upper hex", |value| HEXUPPER.encode(value).into_bytes()),
    ("hex behind a digit", |value| around("7", HEXLOWER.encode(value).as_bytes(), "")),
    ("hex in lines", |value| between(HEXLOWER.encode(value).as_bytes(), 30, b"\n")),
    ("spaced hex", |value| between(HEXLOWER.encode(value).as_bytes(), 2, b" ")),
    ("hex between colons", |value| between(HEXUPPER.encode(value).as_bytes(), 2, b":")),
    ("percent", |value| percent(value, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))),
    ("percent of all but letters", |value| percent(value, |b| b.is_ascii_alphanumeric())),
    ("lower percent", |value| {
        escaped(value, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b), |b| format!("%{b:02x}"))
    }),
    ("all percent", |value| percent(value, |_| false)),
    ("all lower percent", |value| escaped(value, |_| false, |b| format!("%{b:02x}"))),
    ("percent twice", |value| percent(&percent(value, |_| false), |b| b.is_ascii_alphanumeric())),
    ("quoted-printable", |value| escaped(value, |b| b.is_ascii_alphanumeric(), |b| format!("={b:02X}"))),
    ("quoted-printable of all", |value| escaped(value, |_| false, |b| format!("={b:02X}"))),
    ("lines of quoted-printable", |value| between(value, 11, b"=\r\n")),
    ("letters between pluses", |value| between(value, 1, b"+")),
    ("json", |value| escaped(value, |b| !b"\"\\\n".contains(&b), short)),
    ("json of PHP", |value| escaped(value, |b| !b"\"\\/\n".contains(&b), short)),
    ("json of Go", |value| {
        escaped(
            value,
            |b| !b"\"\\\n<>&'".contains(&b),
            |b| match b {
                b'"' | b'\\' | b'\n' => short(b),
                _ => format!("\\u{b:04x}"),
            },
        )
    }),
    ("json of all", |value| escaped(value, |_| false, |b| format!("\\u{b:04x}"))),
    ("json in json", |value| escaped(value, |_| false, |b| format!("\\\\u{b:04X}"))),
    ("escapes of JavaScript", |value| escaped(value, |_| false, |b| format!("\\u{{{b:x}}}"))),
    ("escapes of Python", |value| escaped(value, |_| false, |b| format!("\\U{b:08x}"))),
    ("x escapes", |value| escaped(value, |_| false, |b| format!("\\x{b:02x}"))),
    ("octal escapes", |value| escaped(value, |_| false, |b| format!("\\{b:03o}"))),
    ("single quotes", |value| escaped(value, |b| b != b'\'', |_| r"'\''".to_owned())),
    ("double quotes", |value| {
        escaped(value, |b| !b"\"\\$`".contains(&b), |b| format!("\\{}", char::from(b)))
    }),
    ("printf %q", |value| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=+@%,\n".contains(&b);
        escaped(value, plain, |b| format!("\\{}", char::from(b)))
    }),
    ("a backslash before all but letters", |value| {
        escaped(value, |b| b.is_ascii_alphanumeric() || b == b'\n', |b| format!("\\{}", char::from(b)))
    }),
    ("reversed", |value| value.iter().rev().copied().collect()),
    ("one letter at a time", |value| between(value, 1, b" ")),
    ("a list of pieces", |value| around("['", &between(value, 7, b"', '"), "']")),
    ("lines", |value| between(value, 9, b"\n")),
    ("UTF-16", |value| value.iter().flat_map(|b| [*b, 0]).collect()),
    ("UTF-16 of the other order", |value| value.iter().flat_map(|b| [0, *b]).collect()),
    ("gzip", |value| gzip(&around(&"text ".repeat(20), value, ""))),
    ("zlib", |value| zlib(&around(&"text ".repeat(20), value, ""))),
    ("gzip in base64", |value| BASE64.encode(&gzip(&around(&"text ".repeat(20), value, ""))).into_bytes()),
    ("zlib in base64url", |value| BASE64URL_NOPAD.encode(&zlib(value)).into_bytes()),
    ("gzip in hex", |value| HEXLOWER.encode(&gzip(value)).into_bytes()),
];

/// Secrets of every form that the suite of the whole program plants, and one that every escape has to do something
/// with.
pub(crate) fn planted(plan: Plan) -> Plan {
    let key = KeyPair::generate().expect("a key").serialize_pem().replace('\r', "");
    let secrets = vec![
        ("GITHUB_TOKEN", made_up::github("ghp")),
        ("APP_PASSWORD", format!("{}\"/'???<$&\\{}", word(14), word(14))),
        ("OPENAI_API_KEY", made_up::openai()),
        ("ANTHROPIC_API_KEY", made_up::anthropic()),
        ("AWS_ACCESS_KEY_ID", made_up::aws_key_id()),
        ("AWS_SECRET_ACCESS_KEY", made_up::aws_secret()),
        ("AWS_SESSION_TOKEN", made_up::aws_session_token()),
        ("SLACK_BOT_TOKEN", made_up::slack()),
        ("STRIPE_SECRET_KEY", made_up::stripe()),
        ("NPM_TOKEN", made_up::npm()),
        ("SESSION_JWT", made_up::jwt()),
        ("MY_SERVICE_TOKEN", made_up::custom()),
        ("DEPLOY_KEY", key.trim_end().to_owned()),
    ];
    Plan { secrets, ..plan }
}

/// Whether nothing of a value passes before all of it is seen. Others are seen by what they are unfolded to, a
/// moment later; and of some values only a part is secret.
pub(crate) fn is_held_back(name: &str, spelling: &str) -> bool {
    let in_lines = ["in lines", "spaced", "between", "twice", "behind a digit", "in an URL"];
    let whole = ["GITHUB_TOKEN", "APP_PASSWORD", "AWS_SECRET_ACCESS_KEY", "NPM_TOKEN", "MY_SERVICE_TOKEN"];
    whole.contains(&name)
        && ["raw", "base64", "hex", "upper hex", "reversed"].iter().any(|held| spelling.starts_with(held))
        && !in_lines.iter().any(|other| spelling.contains(other))
}

/// One of so many cuts is tried, unless all are asked for.
pub(crate) fn step(of: usize) -> usize {
    if std::env::var("SHIELDRUN_CASES").is_ok_and(|cases| cases == "full") { 1 } else { of }
}

/// Says how many there were, to who asks to see it.
#[expect(clippy::print_stdout, reason = "the runner keeps it to itself unless it is asked for")]
pub(crate) fn told(count: &str) {
    println!("{count}");
}

fn around(before: &str, value: &[u8], behind: &str) -> Vec<u8> {
    [before.as_bytes(), value, behind.as_bytes()].concat()
}

fn between(text: &[u8], every: usize, what: &[u8]) -> Vec<u8> {
    text.chunks(every).collect::<Vec<_>>().join(what)
}

fn escaped(value: &[u8], as_it_is: fn(u8) -> bool, otherwise: fn(u8) -> String) -> Vec<u8> {
    value.iter().flat_map(|b| if as_it_is(*b) { vec![*b] } else { otherwise(*b).into_bytes() }).collect()
}

fn percent(value: &[u8], as_it_is: fn(u8) -> bool) -> Vec<u8> {
    escaped(value, as_it_is, |b| format!("%{b:02X}"))
}

/// As JSON writes what it has to escape.
fn short(byte: u8) -> String {
    if byte == b'\n' { "\\n".to_owned() } else { format!("\\{}", char::from(byte)) }
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("into memory")
}

#[test]
fn the_list_has_every_encoding_and_every_layer_of_the_scanner() {
    let plan = planted(Plan::github());
    let mut registry = Registry::new(RunKey::from_bytes([7; 32]));
    let names: Vec<&str> = plan.secrets.iter().map(|(name, _)| *name).collect();
    let environment: Vec<_> = plan
        .secrets
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.clone().into_bytes()))
        .collect();
    let options = EnvOptions { secret: &names, ..EnvOptions::default() };
    substitute_env_with(&mut registry, &environment, &options);
    let scanner = registry.scanner();
    let (mut encodings, mut layers, mut unseen) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (name, value) in &plan.secrets {
        for (spelling, spell) in SPELLINGS {
            let Some(hit) = scanner.deep(&spell(value.as_bytes())) else {
                unseen.push(format!("{name}, {spelling}"));
                continue;
            };
            encodings.insert(format!("{:?}", hit.encoding));
            layers.extend(hit.layers.iter().map(|layer| format!("{layer:?}")));
        }
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    // A part alone is a suspicion, and no hit.
    let known = ["Raw", "Base64", "Base64Url", "Hex", "Percent", "Json", "Shell", "Reversed"];
    assert_eq!(encodings, all(&known));
    let known = ["Percent", "Quoted", "Escapes", "Split", "Utf16", "Gzip", "Zlib", "Base64", "Hex"];
    assert_eq!(layers, all(&known));
}
