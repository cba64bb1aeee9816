//! RSA keys, drawn from the run's stream.
//!
//! A throwaway key must load in every program, no more: nothing is ever signed with it that matters. So one
//! Fermat test a candidate, after a sieve, is enough proof.

use alloc::vec::Vec;

use num_bigint::BigUint;

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
        let e = BigUint::from(EXPONENT);
        loop {
            let (p, q) = (prime(stream, bits.div_ceil(2)), prime(stream, bits / 2));
            let (p, q) = if p > q { (p, q) } else { (q, p) };
            let (p1, q1) = (&p - 1_u32, &q - 1_u32);
            let (Some(d), Some(qinv)) = (e.modinv(&(&p1 * &q1)), q.modinv(&p)) else { continue };
            return Self {
                n: (&p * &q).to_bytes_be(),
                e: e.to_bytes_be(),
                dp: (&d % &p1).to_bytes_be(),
                dq: (&d % &q1).to_bytes_be(),
                d: d.to_bytes_be(),
                qinv: qinv.to_bytes_be(),
                p: p.to_bytes_be(),
                q: q.to_bytes_be(),
            };
        }
    }
}

/// A prime of exactly this many bits, its two highest set so that a product has its full length.
fn prime(stream: &mut Stream, bits: usize) -> BigUint {
    let sieve = small_primes();
    loop {
        let mut bytes = stream.bytes(bits.div_ceil(8));
        let spare = bytes.len() * 8 - bits;
        bytes[0] &= 0xff >> spare;
        let mut start = BigUint::from_bytes_be(&bytes);
        start.set_bit(bits as u64 - 1, true);
        start.set_bit(bits as u64 - 2, true);
        start.set_bit(0, true);
        const SPAN: usize = 4096;
        let mut composite = alloc::vec![false; SPAN];
        for &small in &sieve {
            let rest = (&start % small).to_u32_digits().first().copied().unwrap_or(0);
            // The first k with start + 2k divisible by `small`: k = -rest / 2 modulo it.
            let minus = (small - rest) % small;
            let mut k = (if minus % 2 == 0 { minus / 2 } else { minus.div_ceil(2) + small / 2 }) as usize;
            while k < SPAN {
                composite[k] = true;
                k += small as usize;
            }
        }
        for k in (0..SPAN).filter(|k| !composite[*k]) {
            let candidate = &start + (2 * k) as u32;
            if candidate.bits() != bits as u64 {
                break;
            }
            let one_less = &candidate - 1_u32;
            if (&one_less % EXPONENT) != BigUint::ZERO
                && BigUint::from(2_u32).modpow(&one_less, &candidate) == BigUint::from(1_u32)
            {
                return candidate;
            }
        }
    }
}

/// The odd primes below 2^14.
fn small_primes() -> Vec<u32> {
    const END: usize = 1 << 14;
    let mut composite = alloc::vec![false; END];
    let mut out = Vec::new();
    for n in (3..END).step_by(2) {
        if composite[n] {
            continue;
        }
        out.push(n as u32);
        for multiple in (n * n..END).step_by(2 * n) {
            composite[multiple] = true;
        }
    }
    out
}
