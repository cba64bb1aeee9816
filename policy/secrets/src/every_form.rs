//! What must hold for the kinds that are no line of the table: keys, tokens with an inside, URLs, passwords.
//!
//! `SHIELDRUN_CASES=10000` is the long run, as in `every_kind`.

use alloc::string::String;
use alloc::vec::Vec;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use num_bigint::BigUint;
use sha2::{Digest, Sha256};

use crate::checksum::luhn_holds;
use crate::derive::{RunKey, Stream};
use crate::every_kind::{cases, on_all_cores};
use crate::{EnvOutcome, Registry, Subject, detect, substitute_env};

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A variable, and what is secret in it.
struct Sample {
    name: &'static str,
    value: Vec<u8>,
    secret: Vec<u8>,
}

/// Makes a sample; says what kind it is of, and whether a synthetic is sound.
struct Form {
    kind: &'static str,
    /// The marker has room, so it must be there.
    marked: bool,
    sample: fn(&mut Stream, u32) -> Sample,
    sound: fn(&Sample, &[u8]) -> bool,
}

fn word(stream: &mut Stream, alphabet: &[u8], len: usize) -> Vec<u8> {
    (0..len).map(|_| stream.pick(alphabet)).collect()
}

/// A word that has a digit and both cases, as drawn passwords have.
fn mixed(stream: &mut Stream, len: usize) -> Vec<u8> {
    let mut out = word(stream, ALNUM, len);
    out[1] = stream.pick(LOWER);
    out[2] = stream.pick(b"0123456789");
    out[3] = stream.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    out
}

fn sample(name: &'static str, before: &[u8], secret: Vec<u8>, after: &[u8]) -> Sample {
    Sample { name, value: [before, &secret, after].concat(), secret }
}

fn framed(sample: &Sample, shown: &[u8], before: &[u8], after: &[u8]) -> bool {
    shown.len() == sample.value.len() && shown.starts_with(before) && shown.ends_with(after)
}

static FORMS: &[Form] = &[
    Form {
        kind: "database-password",
        marked: false,
        sample: |stream, case| {
            let secret = mixed(stream, 6 + case as usize % 40);
            sample("DATABASE_URL", b"postgresql://app:", secret, b"@db.internal:5432/shop?sslmode=require")
        },
        sound: |s, shown| framed(s, shown, b"postgresql://app:", b"@db.internal:5432/shop?sslmode=require"),
    },
    Form {
        kind: "url-password",
        marked: false,
        sample: |stream, case| {
            let secret = mixed(stream, 6 + case as usize % 40);
            sample("PROXY", b"http://ada:", secret, b"@proxy.internal:3128/")
        },
        sound: |s, shown| framed(s, shown, b"http://ada:", b"@proxy.internal:3128/"),
    },
    Form {
        kind: "url-token",
        marked: false,
        sample: |stream, _| sample("REMOTE", b"https://", mixed(stream, 40), b"@git.internal/a.git"),
        sound: |s, shown| framed(s, shown, b"https://", b"@git.internal/a.git"),
    },
    Form {
        kind: "generic-secret",
        marked: false,
        sample: |stream, case| sample("SHOP_TOKEN", b"", mixed(stream, 16 + case as usize % 60), b""),
        sound: |s, shown| shown.len() == s.value.len() && shown.iter().all(u8::is_ascii_alphanumeric),
    },
    Form {
        kind: "password",
        marked: false,
        sample: |stream, case| sample("DB_PASSWORD", b"", mixed(stream, 5 + case as usize % 30), b""),
        sound: |s, shown| shown.len() == s.value.len() && shown.iter().all(u8::is_ascii_alphanumeric),
    },
    Form {
        kind: "high-entropy-string",
        marked: false,
        sample: |stream, _| {
            // Under a name that says nothing only what is surely drawn is taken for a secret.
            let secret = loop {
                let secret = word(stream, ALNUM, 48);
                if crate::entropy::surely_random(&secret) {
                    break secret;
                }
            };
            sample("THING", b"", secret, b"")
        },
        sound: |s, shown| shown.len() == s.value.len(),
    },
    Form {
        kind: "bearer-token",
        marked: false,
        sample: |stream, _| sample("AUTHORIZATION", b"Bearer ", mixed(stream, 32), b""),
        sound: |s, shown| framed(s, shown, b"Bearer ", b""),
    },
    Form {
        kind: "aws-secret-access-key",
        marked: true,
        sample: |stream, _| {
            let mut secret = word(stream, BASE64_DIGITS, 40);
            secret[..4].copy_from_slice(b"a1B2");
            sample("AWS_SECRET_ACCESS_KEY", b"", secret, b"")
        },
        sound: |_, shown| shown.len() == 40 && shown.iter().all(|b| BASE64_DIGITS.contains(b)),
    },
    Form {
        kind: "aws-session-token",
        marked: true,
        sample: |stream, case| {
            let secret = word(stream, BASE64_DIGITS, 120 + 4 * (case as usize % 200));
            sample("AWS_SESSION_TOKEN", b"IQoJ", secret, b"")
        },
        sound: |s, shown| shown.len() == s.value.len() && BASE64.decode(shown).is_ok(),
    },
    Form {
        kind: "connection-string-secret",
        marked: false,
        sample: |stream, _| {
            let secret = BASE64.encode(&stream.bytes(64)).into_bytes();
            let before = b"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=";
            sample("STORE", before, secret, b";EndpointSuffix=core.windows.net")
        },
        sound: |s, shown| {
            let (before, after) = (
                &b"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey="[..],
                &b";EndpointSuffix=core.windows.net"[..],
            );
            framed(s, shown, before, after)
                && BASE64.decode(&shown[before.len()..shown.len() - after.len()]).is_ok()
        },
    },
    Form {
        kind: "basic-auth-password",
        marked: false,
        sample: |stream, case| {
            let password = mixed(stream, 12 + case as usize % 20);
            let value = BASE64.encode(&[b"ada:", &password[..]].concat()).into_bytes();
            Sample { name: "REGISTRY_AUTH", value, secret: password }
        },
        sound: |s, shown| {
            shown.len() == s.value.len() && BASE64.decode(shown).is_ok_and(|inner| inner.starts_with(b"ada:"))
        },
    },
    Form {
        kind: "jwt",
        marked: false,
        sample: |stream, case| {
            let subject = String::from_utf8(word(stream, ALNUM, 12 + case as usize % 9)).unwrap_or_default();
            let payload = std::format!(r#"{{"sub":"{subject}","exp":1893456000,"role":"admin"}}"#);
            let head = BASE64URL_NOPAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
            let parts =
                [head, BASE64URL_NOPAD.encode(payload.as_bytes()), BASE64URL_NOPAD.encode(&stream.bytes(32))];
            let secret = parts[2].clone().into_bytes();
            Sample { name: "SESSION_JWT", value: parts.join(".").into_bytes(), secret }
        },
        sound: |s, shown| {
            let parts = |text: &[u8]| -> Vec<Vec<u8>> {
                text.split(|b| *b == b'.').filter_map(|p| BASE64URL_NOPAD.decode(p).ok()).collect()
            };
            let (real, shown) = (parts(&s.value), parts(shown));
            let kept: &[u8] = br#","exp":1893456000,"role":"admin"}"#;
            shown.len() == 3
                && real[0] == shown[0]
                && shown[1].ends_with(kept)
                && real[1].len() == shown[1].len()
        },
    },
    Form {
        kind: "recovery-phrase",
        marked: false,
        sample: |stream, case| {
            let words = 12 + 3 * (case as usize % 5);
            let value = crate::special::phrase(stream, "a ".repeat(words).as_bytes());
            Sample { name: "SEED", secret: value.clone(), value }
        },
        sound: |s, shown| {
            let words = |text: &[u8]| text.split(|b| *b == b' ').count();
            words(shown) == words(&s.value) && phrase_holds(shown)
        },
    },
    Form {
        kind: "card-number",
        marked: false,
        sample: |stream, _| {
            let value = crate::special::card(stream, b"4242 4242 4242 4242");
            Sample { name: "CARD", secret: value[7..].to_vec(), value }
        },
        sound: |s, shown| {
            let digits: Vec<u8> = shown.iter().copied().filter(u8::is_ascii_digit).collect();
            shown.len() == s.value.len() && shown[..7] == s.value[..7] && luhn_holds(&digits)
        },
    },
    Form {
        kind: "rsa-private-key",
        marked: false,
        sample: |s, c| pem("RSA PRIVATE KEY", &rsa(s, c)),
        sound: rsa_holds,
    },
    Form {
        kind: "private-key",
        marked: false,
        sample: |s, c| pem("PRIVATE KEY", &pkcs8(&RSA_ALGORITHM, &rsa(s, c))),
        sound: rsa_holds,
    },
    Form {
        kind: "ec-private-key",
        marked: false,
        sample: |stream, case| pem("EC PRIVATE KEY", &sec1(stream, case)),
        sound: armoured,
    },
    Form {
        kind: "private-key",
        marked: false,
        sample: |stream, _| pem("PRIVATE KEY", &pkcs8(&ED25519_ALGORITHM, &tagged(4, &stream.bytes(32)))),
        sound: armoured,
    },
    Form {
        kind: "openssh-private-key",
        marked: false,
        sample: |stream, case| pem("OPENSSH PRIVATE KEY", &openssh(stream, case)),
        sound: armoured,
    },
    Form {
        kind: "pgp-private-key",
        marked: false,
        sample: |stream, _| pem("PGP PRIVATE KEY BLOCK", &stream.bytes(600)),
        sound: armoured,
    },
];

#[test]
fn every_form_keeps_its_promises() {
    on_all_cores(FORMS, keeps_its_promises);
}

fn keeps_its_promises(form: &'static Form) {
    let index = FORMS.iter().position(|other| core::ptr::eq(other, form)).unwrap_or(0);
    let mut stream = RunKey::from_bytes([43; 32]).keyed(form.kind, &index.to_le_bytes(), 0);
    let new = |key| Registry::new(RunKey::from_bytes([key; 32]));
    let (mut met, mut missed) = (0, 0);
    let (mut first, mut same, mut other) = (new(1), new(1), new(2));
    for case in 0..cases() {
        let sample = (form.sample)(&mut stream, case);
        let (shown, kind) = shown(&mut first, &sample, form);
        let about = || {
            std::format!(
                "{}: {} became {}",
                form.kind,
                String::from_utf8_lossy(&sample.value),
                String::from_utf8_lossy(&shown)
            )
        };
        assert_eq!(kind, form.kind, "{}", about());
        assert!((form.sound)(&sample, &shown), "{}", about());
        assert_ne!(shown, sample.value, "{}", about());
        assert_eq!(shown, self::shown(&mut same, &sample, form).0, "not stable: {}", about());
        // Of the RSA keys of a size there are 130,816, so two runs choose the same by chance, if seldom.
        let again = self::shown(&mut other, &sample, form).0 == shown;
        met += u32::from(again);
        let chance =
            if core::ptr::fn_addr_eq(form.sound, rsa_holds as fn(&Sample, &[u8]) -> bool) { 5 } else { 0 };
        assert!(met <= chance, "the same in another run: {}", about());
        // Words of a list and digits recur by chance.
        let drawn = !["recovery-phrase", "card-number"].contains(&form.kind);
        let inside = BASE64.decode(&shown).unwrap_or_default();
        for run in sample.secret.windows(8).filter(|_| drawn) {
            let seen = [&shown, &inside].iter().any(|text| crate::entropy::contains(text, run));
            assert!(!seen, "{}", about());
        }
        let found = |text: &[u8]| !detect(text, Subject { name: Some(sample.name) }).is_empty();
        // Some real ones are known by their place alone: seventeen small letters in a row look like words,
        // and what is shown has them at the same places.
        assert!(found(&shown) || !found(&sample.value), "not found again: {}", about());
        missed += u32::from(!found(&sample.value));
        let marked = crate::entropy::contains(&shown.to_ascii_uppercase(), b"SHIELDRUN");
        assert!(marked || !form.marked, "no marker: {}", about());
    }
    // It stays the exception.
    assert!(missed * 500 <= cases().max(500), "{}: {missed} are not found", form.kind);
}

/// What a run shows for the sample, and of what kind the first secret in it is.
fn shown(registry: &mut Registry, sample: &Sample, form: &Form) -> (Vec<u8>, &'static str) {
    let vars = [(sample.name.as_bytes().to_vec(), sample.value.clone())];
    let Some(EnvOutcome::Replaced { value, ids }) = substitute_env(registry, &vars).pop() else {
        panic!("{}: {} was not replaced", form.kind, String::from_utf8_lossy(&sample.value));
    };
    let kind = ids.first().and_then(|id| registry.entry(*id)).map_or("", |entry| entry.kind);
    (value, kind)
}

const RSA_ALGORITHM: [u8; 15] = *b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const ED25519_ALGORITHM: [u8; 7] = *b"\x30\x05\x06\x03\x2b\x65\x70";

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = match len {
        0..0x80 => std::vec![tag, len as u8],
        0x80..0x100 => std::vec![tag, 0x81, len as u8],
        _ => std::vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [head, content.to_vec()].concat()
}

/// As much of a key as its size is read from: no reader but ours sees it.
fn rsa(stream: &mut Stream, case: u32) -> Vec<u8> {
    let size = [2048, 1024, 2048, 3072, 4096][case as usize % 5] / 8;
    let number = |stream: &mut Stream, bytes: usize| {
        let mut out = stream.bytes(bytes);
        out[0] |= 0x80;
        tagged(2, &[&[0], &out[..]].concat())
    };
    let mut parts =
        std::vec![tagged(2, &[0]), number(stream, size), tagged(2, &[1, 0, 1]), number(stream, size)];
    parts.extend((0..5).map(|_| number(stream, size / 2)));
    tagged(0x30, &parts.concat())
}

fn pkcs8(algorithm: &[u8], inner: &[u8]) -> Vec<u8> {
    tagged(0x30, &[&tagged(2, &[0]), algorithm, &tagged(4, inner)].concat())
}

fn sec1(stream: &mut Stream, case: u32) -> Vec<u8> {
    let (size, curve): (usize, &[u8]) = match case % 4 {
        0 => (48, b"\x06\x05\x2b\x81\x04\x00\x22"),
        _ => (32, b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
    };
    let public = tagged(3, &[&[0, 4], &stream.bytes(2 * size)[..]].concat());
    let secret = tagged(4, &stream.bytes(size));
    tagged(0x30, &[tagged(2, &[1]), secret, tagged(0xa0, curve), tagged(0xa1, &public)].concat())
}

fn openssh(stream: &mut Stream, case: u32) -> Vec<u8> {
    let field = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let (kind, numbers): (&[u8], Vec<Vec<u8>>) = match case % 4 {
        0 => (b"ssh-rsa", std::vec![stream.bytes(3), [&[0, 0xc1], &stream.bytes(255)[..]].concat()]),
        1 => (b"ecdsa-sha2-nistp256", std::vec![b"nistp256".to_vec(), stream.bytes(65)]),
        _ => (b"ssh-ed25519", std::vec![stream.bytes(32)]),
    };
    let public: Vec<u8> = [field(kind), numbers.iter().flat_map(|n| field(n)).collect()].concat();
    let more: &[usize] = match case % 4 {
        0 => &[256, 128, 128, 128],
        1 => &[32],
        _ => &[64],
    };
    let secret: Vec<u8> = more.iter().flat_map(|len| field(&stream.bytes(*len))).collect();
    let private = [&stream.bytes(8)[..], &public, &secret, &field(b"ada@laptop"), &[1, 2, 3]].concat();
    let none = field(b"none");
    let head = [b"openssh-key-v1\0", &none[..], &none, &field(b""), &1_u32.to_be_bytes()].concat();
    [head, field(&public), field(&private)].concat()
}

fn pem(label: &str, der: &[u8]) -> Sample {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|l| core::str::from_utf8(l).ok()).collect();
    let value = std::format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"));
    // Numbers, whatever the container; a comment comes last in OpenSSH's.
    let comment = if label.starts_with("OPENSSH") { 40 } else { 4 };
    let secret = text.as_bytes()[text.len() - comment - 40..text.len() - comment].to_vec();
    Sample { name: "DEPLOY_KEY", value: value.into_bytes(), secret }
}

fn body(shown: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> =
        shown.split(|b| *b == b'\n').filter(|l| !l.starts_with(b"-----")).collect::<Vec<_>>().concat();
    BASE64.decode(&text).ok()
}

fn armoured(sample: &Sample, shown: &[u8]) -> bool {
    // A number may be a byte shorter or longer.
    let head = &sample.value[..30];
    shown.starts_with(head) && shown.len().abs_diff(sample.value.len()) <= 16 && body(shown).is_some()
}

/// The numbers of a key fit together, which is what programs check.
fn rsa_holds(sample: &Sample, shown: &[u8]) -> bool {
    let Some(der) = body(shown).filter(|_| armoured(sample, shown)) else { return false };
    // PKCS#8 has the key in an octet string, which ends where all ends.
    let start = crate::url::find(&der, &[2, 1, 0, 2, 0x82], 0)
        .or_else(|| crate::url::find(&der, &[2, 1, 0, 2, 0x81], 0));
    let Some(start) = start else { return false };
    let mut rest = &der[start..];
    let mut numbers = Vec::new();
    while let Some((&[2, first], tail)) = rest.split_first_chunk::<2>() {
        let count = usize::from(first & 0x7f) * usize::from(first >= 0x80);
        let len = if count == 0 {
            usize::from(first)
        } else {
            tail[..count].iter().fold(0, |n, b| n << 8 | usize::from(*b))
        };
        numbers.push(BigUint::from_bytes_be(&tail[count..count + len]));
        rest = &tail[count + len..];
    }
    let [_, n, e, d, p, q, dp, dq, qinv] = &numbers[..] else { return false };
    let one = BigUint::from(1_u32);
    n == &(p * q)
        && (e * d) % ((p - &one) * (q - &one)) == one
        && *dp == d % (p - &one)
        && *dq == d % (q - &one)
        && (q * qinv) % p == one
}

/// The checksum of BIP 39, worked out bit by bit.
fn phrase_holds(phrase: &[u8]) -> bool {
    let words: Vec<&str> = include_str!("bip39.txt").lines().collect();
    let mut bits = Vec::new();
    for word in phrase.split(|b| *b == b' ') {
        let Some(index) = words.iter().position(|w| w.as_bytes() == word) else { return false };
        bits.extend((0..11).rev().map(|bit| index >> bit & 1 == 1));
    }
    let entropy = bits.len() * 32 / 33;
    let bytes: Vec<u8> =
        bits[..entropy].chunks(8).map(|byte| byte.iter().fold(0, |n, bit| n << 1 | u8::from(*bit))).collect();
    let sum = Sha256::digest(&bytes);
    bits[entropy..].iter().enumerate().all(|(at, bit)| (sum[at / 8] >> (7 - at % 8) & 1 == 1) == *bit)
}
