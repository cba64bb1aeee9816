//! RSA keys, drawn from the run's stream.
//!
//! A throwaway key must load in every program, no more: nothing is ever signed with it that matters. So two
//! primes of a pool that everybody knows will do, and where the pool has none of the size, one Fermat test a
//! candidate, after a sieve, is enough proof.

use alloc::vec::Vec;

use num_bigint::BigUint;

use super::{fermat, pool};
use crate::derive::Stream;

const EXPONENT: u32 = 65537;
const SIZES: core::ops::RangeInclusive<usize> = 1024..=8192;

/// Big-endian numbers.
pub(super) struct Key {
    pub(super) n: Vec<u8>,
    pub(super) e: Vec<u8>,
    pub(super) d: Vec<u8>,
    pub(super) p: Vec<u8>,
    pub(super) q: Vec<u8>,
    pub(super) dp: Vec<u8>,
    pub(super) dq: Vec<u8>,
    pub(super) qinv: Vec<u8>,
}

impl Key {
    /// A key whose modulus has this many bits, within what programs accept.
    pub(super) fn draw(stream: &mut Stream, bits: usize) -> Self {
        let bits = bits.clamp(*SIZES.start(), *SIZES.end());
        loop {
            // Whole words: the test wants the highest bit of the highest word set.
            let (p, q) = pool::pair(stream, bits)
                .unwrap_or_else(|| (prime(stream, bits.div_ceil(128)), prime(stream, bits / 128)));
            let (p, q) = if p > q { (p, q) } else { (q, p) };
            let (p1, q1) = (&p - 1_u32, &q - 1_u32);
            let Some(qinv) = q.modinv(&p) else { continue };
            return Self {
                n: (&p * &q).to_bytes_be(),
                e: BigUint::from(EXPONENT).to_bytes_be(),
                d: inverse_of_exponent(&(&p1 * &q1)).to_bytes_be(),
                dp: inverse_of_exponent(&p1).to_bytes_be(),
                dq: inverse_of_exponent(&q1).to_bytes_be(),
                qinv: qinv.to_bytes_be(),
                p: p.to_bytes_be(),
                q: q.to_bytes_be(),
            };
        }
    }
}

/// 1/e modulo `m`, by way of 1/m modulo e, which fits a word: with k = -1/m modulo e it is (1 + k m) / e.
fn inverse_of_exponent(m: &BigUint) -> BigUint {
    let e = u64::from(EXPONENT);
    let rest = (m % e).to_u64_digits().first().copied().unwrap_or(0);
    // The exponent is prime: a^(e-2) is 1/a.
    let (mut inverse, mut power, mut left) = (1, rest, e - 2);
    while left > 0 {
        if left & 1 == 1 {
            inverse = inverse * power % e;
        }
        power = power * power % e;
        left >>= 1;
    }
    (m * (e - inverse) + 1_u32) / e
}

/// A prime of exactly this many words, its two highest bits set so that a product has its full length.
fn prime(stream: &mut Stream, words: usize) -> BigUint {
    loop {
        let mut start: Vec<u64> = Vec::with_capacity(words);
        for _ in 0..words {
            let mut word = [0; 8];
            stream.fill(&mut word);
            start.push(u64::from_le_bytes(word));
        }
        framed(&mut start);
        if let Some((_, prime)) = next_prime(&start) {
            return number(&prime);
        }
    }
}

/// Odd, and its two highest bits set.
pub(super) fn framed(start: &mut [u64]) {
    if let Some(lowest) = start.first_mut() {
        *lowest |= 1;
    }
    if let Some(highest) = start.last_mut() {
        *highest |= 3 << 62;
    }
}

pub(super) fn number(words: &[u64]) -> BigUint {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    BigUint::from_bytes_le(&bytes)
}

/// The first k for which start + 2k is a prime that goes with our exponent, and that prime.
pub(super) fn next_prime(start: &[u64]) -> Option<(usize, Vec<u64>)> {
    const SPAN: usize = 1 << 14;
    let mut composite = alloc::vec![false; SPAN];
    for small in small_primes() {
        // The first k with start + 2k divisible by `small`: k = -start / 2 modulo it.
        let minus = (small - remainder(start, small)) % small;
        let mut k = (if minus.is_multiple_of(2) { minus / 2 } else { (minus + small) / 2 }) as usize;
        while k < SPAN {
            composite[k] = true;
            k += small as usize;
        }
    }
    (0..SPAN).filter(|k| !composite[*k]).find_map(|k| {
        let candidate = plus(start, 2 * k as u64)?;
        let prime = remainder(&candidate, u64::from(EXPONENT)) != 1 && fermat::passes(&candidate);
        prime.then_some((k, candidate))
    })
}

/// The rest by a number of 32 bits or less, a half word at a time so that no wide division is needed.
fn remainder(words: &[u64], small: u64) -> u64 {
    words.iter().rev().fold(0, |rest, word| {
        let high = (rest << 32 | word >> 32) % small;
        (high << 32 | word & 0xffff_ffff) % small
    })
}

pub(super) fn plus(words: &[u64], mut add: u64) -> Option<Vec<u64>> {
    let sum = words
        .iter()
        .map(|word| {
            let (word, over) = word.overflowing_add(add);
            add = u64::from(over);
            word
        })
        .collect();
    (add == 0).then_some(sum)
}

/// The odd primes below 2^14.
fn small_primes() -> Vec<u64> {
    const END: usize = 1 << 14;
    let mut composite = alloc::vec![false; END];
    let mut out = Vec::new();
    for n in (3..END).step_by(2) {
        if composite[n] {
            continue;
        }
        out.push(n as u64);
        for multiple in (n * n..END).step_by(2 * n) {
            composite[multiple] = true;
        }
    }
    out
}
