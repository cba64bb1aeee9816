//! Fermat's test to base 2, in Montgomery form on 64-bit words: what drawing an RSA key spends its time on.

use alloc::vec::Vec;

/// Whether 2^(n-1) is 1 modulo `n`: true for primes, and for so few other numbers that none is ever drawn.
///
/// `n` is odd, least word first, with the highest bit set; that makes 2^64k modulo n a subtraction.
pub(super) fn passes(n: &[u64]) -> bool {
    let Some(&lowest) = n.first() else { return false };
    let inverse = minus_inverse(lowest);
    let one = negated(n);
    let mut value = doubled(&one, n);
    let mut product = alloc::vec![0; n.len() + 2];
    let top = n.len() * 64 - 1;
    for bit in (0..top).rev() {
        square(&mut value, n, inverse, &mut product);
        // n is odd, so n - 1 differs from it in the lowest bit only, which is 0 there.
        if bit > 0 && n[bit / 64] >> (bit % 64) & 1 == 1 {
            value = doubled(&value, n);
        }
    }
    value == one
}

/// -1/n modulo 2^64, by Newton's iteration.
fn minus_inverse(n: u64) -> u64 {
    let mut x = n;
    for _ in 0..6 {
        x = x.wrapping_mul(2_u64.wrapping_sub(n.wrapping_mul(x)));
    }
    x.wrapping_neg()
}

/// 2^64k - n.
fn negated(n: &[u64]) -> Vec<u64> {
    let mut carry = true;
    n.iter()
        .map(|word| {
            let (word, over) = (!word).overflowing_add(u64::from(carry));
            carry = over;
            word
        })
        .collect()
}

fn doubled(value: &[u64], n: &[u64]) -> Vec<u64> {
    let mut carry = 0;
    let mut out: Vec<u64> = Vec::with_capacity(n.len());
    for word in value {
        out.push(word << 1 | carry);
        carry = word >> 63;
    }
    reduce(&mut out, carry, n);
    out
}

/// value = value² / 2^64k modulo n.
fn square(value: &mut [u64], n: &[u64], inverse: u64, t: &mut [u64]) {
    let k = n.len();
    t.fill(0);
    for &word in value.iter() {
        add_product(t, word, value);
        let m = t[0].wrapping_mul(inverse);
        // This makes the lowest word zero, which is then shifted out.
        add_product(t, m, n);
        t.copy_within(1.., 0);
        t[k + 1] = 0;
    }
    value.copy_from_slice(&t[..k]);
    reduce(value, t[k], n);
}

/// t += word * by, where t has two words more than `by`.
#[inline]
fn add_product(t: &mut [u64], word: u64, by: &[u64]) {
    let (low, high) = t.split_at_mut(by.len());
    let mut carry = 0;
    for (place, factor) in low.iter_mut().zip(by) {
        (*place, carry) = multiply_add(word, *factor, *place, carry);
    }
    let (sum, over) = high[0].overflowing_add(carry);
    high[0] = sum;
    high[1] += u64::from(over);
}

#[inline]
fn multiply_add(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let sum = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(carry);
    (sum as u64, (sum >> 64) as u64)
}

/// Subtracts n once if the value, with what ran over, is not below it.
fn reduce(value: &mut [u64], over: u64, n: &[u64]) {
    let below = over == 0 && value.iter().rev().lt(n.iter().rev());
    if below {
        return;
    }
    let mut borrow = false;
    for (word, minus) in value.iter_mut().zip(n) {
        let (first, under) = word.overflowing_sub(*minus);
        let (second, again) = first.overflowing_sub(u64::from(borrow));
        *word = second;
        borrow = under || again;
    }
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn known_primes_pass_and_others_do_not() {
        // 2^64 - 59 and 2^128 - 159 are the largest primes of their size.
        assert!(passes(&[0u64.wrapping_sub(59)]));
        assert!(passes(&[0u64.wrapping_sub(159), u64::MAX]));
        for minus in (1..59).step_by(2) {
            assert!(!passes(&[0u64.wrapping_sub(minus)]), "2^64 - {minus}");
        }
        assert!(!passes(&[0u64.wrapping_sub(157), u64::MAX]));
    }
}
