//! The hashes and prefilters behind the table and the repeat counters.
//!
//! Cheap and fixed, since both sides compute them. None is meant to withstand an adversary: a collision costs a
//! comparison, never an answer.

/// Bits in each of the two prefilters.
pub const FILTER_BITS: usize = 4096;
/// The same in bytes.
pub const FILTER_BYTES: usize = FILTER_BITS / 8;

/// FNV-1a, 32 bits.
#[must_use]
pub fn name(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Spreads the key of a repeat counter over its table.
#[must_use]
pub fn key(key: u64) -> u64 {
    (key ^ (key >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// The filter bit for a variable, from its first four bytes (zeros after its end).
#[must_use]
pub fn variable_bit(head: [u8; 4]) -> usize {
    // The top twelve of 32 bits: below FILTER_BITS.
    (u32::from_le_bytes(head).wrapping_mul(0x9e37_79b1) >> 20) as usize
}

/// The filter bit for a path component: its first two bytes, its last one and its length.
///
/// It can be kept up to date while one walks a path once, so an ordinary open pays a load a component.
#[must_use]
pub fn component_bit(first: u8, second: u8, last: u8, length: usize) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "only the low byte counts; two lengths may share a bit"
    )]
    let word = u32::from_le_bytes([first, second, last, length as u8]);
    (word.wrapping_mul(0x9e37_79b1) >> 20) as usize
}

/// [`component_bit`] of a whole component.
#[must_use]
pub fn component_bit_of(component: &[u8]) -> usize {
    let first = component.first().copied().unwrap_or(0);
    let second = component.get(1).copied().unwrap_or(0);
    let last = component.last().copied().unwrap_or(0);
    component_bit(first, second, last, component.len())
}

/// [`variable_bit`] of a whole name.
#[must_use]
pub fn variable_bit_of(name: &[u8]) -> usize {
    let mut head = [0; 4];
    for (to, from) in head.iter_mut().zip(name) {
        *to = *from;
    }
    variable_bit(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_fits_the_filter() {
        for byte in 0..=u8::MAX {
            assert!(variable_bit([byte, byte, !byte, 7]) < FILTER_BITS);
            assert!(component_bit(byte, !byte, byte, usize::from(byte) * 1000) < FILTER_BITS);
        }
    }

    #[test]
    fn a_short_name_is_padded_with_zeros() {
        assert_eq!(variable_bit_of(b"A"), variable_bit([b'A', 0, 0, 0]));
        assert_eq!(variable_bit_of(b"ABCDEFG"), variable_bit(*b"ABCD"));
        assert_eq!(component_bit_of(b""), component_bit(0, 0, 0, 0));
        assert_eq!(component_bit_of(b"a"), component_bit(b'a', 0, b'a', 1));
    }
}
