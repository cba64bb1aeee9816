//! Primes to make throwaway RSA keys of, so that showing one costs no search.
//!
//! Nothing about them is secret: each is the first prime after a number that SHA-256 gives for its index, and
//! the table holds how far that is. Any two make a key, so a size has 130,816 keys, and whoever wants to can
//! list them all. A synthetic key stands where a real one would; it must never be trusted to prove anything.

mod offsets;

use alloc::vec::Vec;

use num_bigint::BigUint;
use sha2::{Digest, Sha256};

use super::rsa::{framed, number, plus};
use crate::derive::Stream;

/// A power of two, so that two bytes choose without bias.
const COUNT: usize = 512;
/// Of each size so many 64-bit words: keys of 1024, 2048, 3072 and 4096 bits.
const WORDS: [usize; 4] = [8, 16, 24, 32];

/// Two different primes for a modulus of this many bits, or `None` if the pool has none of that size.
pub(super) fn pair(stream: &mut Stream, bits: usize) -> Option<(BigUint, BigUint)> {
    let size = WORDS.iter().position(|words| words * 128 == bits)?;
    let first = choose(stream);
    let second = loop {
        let second = choose(stream);
        if second != first {
            break second;
        }
    };
    Some((number(&prime(size, first)?), number(&prime(size, second)?)))
}

fn choose(stream: &mut Stream) -> usize {
    usize::from(u16::from_le_bytes([stream.byte(), stream.byte()])) % COUNT
}

fn prime(size: usize, index: usize) -> Option<Vec<u64>> {
    let offset = *offsets::OFFSETS.get(size)?.get(index)?;
    plus(&start(*WORDS.get(size)?, index), 2 * u64::from(offset))
}

/// Where the search for a prime began.
fn start(words: usize, index: usize) -> Vec<u64> {
    let mut out: Vec<u64> = Vec::with_capacity(words);
    for block in 0..words.div_ceil(4) {
        let mut hash = Sha256::new_with_prefix(b"a throwaway prime of shieldrun");
        for count in [words, index, block] {
            hash.update((count as u64).to_le_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        out.extend(digest.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)));
    }
    out.truncate(words);
    framed(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::super::{fermat, rsa};
    use super::*;

    /// All of them in the long run, else some.
    fn every(step: usize) -> impl Iterator<Item = (usize, usize)> {
        let step = if std::env::var_os("SHIELDRUN_CASES").is_some() { 1 } else { step };
        (0..WORDS.len()).flat_map(move |size| (0..COUNT).step_by(step).map(move |index| (size, index)))
    }

    #[test]
    fn the_pool_holds_primes_and_no_two_are_the_same() {
        let mut seen = std::collections::BTreeSet::new();
        for (size, index) in every(8) {
            let prime = prime(size, index).expect("the table is whole");
            assert!(fermat::passes(&prime), "{size} {index}");
            assert!(seen.insert(prime), "{size} {index}");
        }
    }

    #[test]
    fn each_is_the_first_prime_after_its_start() {
        for (size, index) in every(128) {
            let (offset, _) = rsa::next_prime(&start(WORDS[size], index)).expect("near");
            assert_eq!(offset, usize::from(offsets::OFFSETS[size][index]), "{size} {index}");
        }
    }

    #[test]
    #[ignore = "takes minutes: prints `offsets.rs` anew"]
    #[expect(clippy::print_stdout, reason = "that is what it is for")]
    fn print_the_table() {
        for words in WORDS {
            let offset = |index| rsa::next_prime(&start(words, index)).expect("near").0;
            let row: Vec<usize> = (0..COUNT).map(offset).collect();
            std::println!("    {row:?},");
        }
    }
}
