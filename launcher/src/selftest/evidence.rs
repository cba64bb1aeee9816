//! Owns the question whether some bytes hold a planted secret, asked by one who does not know it.
//!
//! The program inside must not have the real values to compare with, so it has their digests, and every
//! word of what it got hold of is digested and looked for among them.

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a planted secret looks like from inside: its digest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Digests(HashSet<String>);

impl Digests {
    /// Adds a secret, which must be one word.
    pub(super) fn add(&mut self, secret: &str) {
        self.0.insert(digest(secret.as_bytes()));
    }

    /// Whether one of the words of `bytes` is a planted secret.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        bytes
            .split(|byte| !word(byte))
            .filter(|word| (field_length()).contains(&word.len()))
            .any(|word| self.0.contains(&digest(word)))
    }
}

/// Lengths of planted secrets; words of other lengths need not be digested.
const fn field_length() -> std::ops::RangeInclusive<usize> {
    20..=64
}

/// What stands for a secret among those who must not know it.
pub(super) fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_as_a_word_and_nowhere_else() {
        let mut digests = Digests::default();
        digests.add("abcdefghij0123456789");
        assert!(digests.are_in(b"KEY=abcdefghij0123456789\n"));
        assert!(digests.are_in(b"\x00\xff\"abcdefghij0123456789\""));
        assert!(!digests.are_in(b"KEY=abcdefghij012345678X"));
        assert!(!digests.are_in(b"KEY=xabcdefghij0123456789"));
    }
}
