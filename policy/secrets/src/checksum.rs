//! The checksums that credentials carry. Knows no format: `mold` says over what each is taken.

use alloc::vec::Vec;

use data_encoding::{BASE32_NOPAD, BASE64};
use sha2::{Digest, Sha256};

/// The ASCII of `Default0` and `MastRW00`, read as a number.
const STORAGE_SEED: u64 = u64::from_be_bytes(*b"Default0");
const COSMOS_SEED: u64 = u64::from_be_bytes(*b"MastRW00");

/// A number in these digits, first the highest, padded to a width.
pub(crate) fn radix(mut value: u32, digits: &[u8], width: usize) -> Vec<u8> {
    let mut out = alloc::vec![digits[0]; width];
    for place in out.iter_mut().rev() {
        *place = digits[value as usize % digits.len()];
        value /= digits.len() as u32;
    }
    out
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut c = n as u32;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[n] = c;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |c, b| TABLE[usize::from(c as u8 ^ b)] ^ (c >> 8))
}

/// Eight characters of base32 over SHA-256.
pub(crate) fn sha256_base32(before: &[u8]) -> Vec<u8> {
    BASE32_NOPAD.encode(&Sha256::digest(before)[..5]).into_bytes()
}

/// Six characters of base64 over a little-endian CRC32.
pub(crate) fn crc32_base64(body: &[u8]) -> Vec<u8> {
    BASE64.encode(&crc32(body).to_le_bytes()).into_bytes()[..6].to_vec()
}

/// Microsoft's Marvin32, the 64-bit state folded to 32.
pub(crate) fn marvin32(seed: u64, bytes: &[u8]) -> u32 {
    let state = marvin(seed, bytes);
    state.0 ^ state.1
}

fn marvin(seed: u64, bytes: &[u8]) -> (u32, u32) {
    fn mix((mut a, mut b): (u32, u32), word: u32) -> (u32, u32) {
        a = a.wrapping_add(word);
        b ^= a;
        a = a.rotate_left(20).wrapping_add(b);
        b = b.rotate_left(9) ^ a;
        a = a.rotate_left(27).wrapping_add(b);
        (a, b.rotate_left(19))
    }
    let mut state = (seed as u32, (seed >> 32) as u32);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        state = mix(state, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    mix(mix(state, u32::from_le_bytes(last)), 0)
}

/// What follows the first 80 characters of an Azure Storage (or Cosmos) key.
pub(crate) fn marvin_storage(before: &[u8], cosmos: bool) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(before).ok()?;
    let sum = marvin32(if cosmos { COSMOS_SEED } else { STORAGE_SEED }, &bytes);
    Some(BASE64.encode(&sum.to_le_bytes()).into_bytes())
}

/// What follows the first 80 characters of Azure's other keys.
pub(crate) fn marvin_key(before: &[u8]) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(before).ok()?;
    Some(BASE64.encode(&marvin32(STORAGE_SEED, &bytes).to_le_bytes()[..3]).into_bytes())
}

const BECH32: &[u8] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";

/// The six characters after `HRP1DATA`, all in upper case.
pub(crate) fn bech32(before: &[u8]) -> Option<Vec<u8>> {
    let one = before.iter().rposition(|b| *b == b'1')?;
    let (hrp, data) = (&before[..one], &before[one + 1..]);
    let mut sum = 1_u32;
    let mut step = |value: u8| {
        let top = sum >> 25;
        sum = (sum & 0x1ff_ffff) << 5 ^ u32::from(value);
        for (bit, generator) in
            [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3].iter().enumerate()
        {
            if top >> bit & 1 == 1 {
                sum ^= generator;
            }
        }
    };
    hrp.iter().for_each(|b| step(b.to_ascii_lowercase() >> 5));
    step(0);
    hrp.iter().for_each(|b| step(b.to_ascii_lowercase() & 31));
    for letter in data {
        step(BECH32.iter().position(|b| b == letter)? as u8);
    }
    (0..6).for_each(|_| step(0));
    sum ^= 1;
    Some((0..6).map(|at| BECH32[(sum >> (5 * (5 - at)) & 31) as usize]).collect())
}

/// The last four of the 58 characters of a NATS seed: two bits of data, the CRC, two bits of nothing.
pub(crate) fn nkey(all: &[u8]) -> Option<Vec<u8>> {
    let bytes = BASE32_NOPAD.decode(&pad_bits(all)).ok()?;
    let (data, _) = bytes.split_at_checked(34)?;
    let crc = data.iter().fold(0_u16, |crc, byte| {
        (0..8)
            .fold(crc ^ u16::from(*byte) << 8, |c, _| if c & 0x8000 != 0 { c << 1 ^ 0x1021 } else { c << 1 })
    });
    let whole = [data, &crc.to_le_bytes()].concat();
    BASE32_NOPAD.encode(&whole).into_bytes().get(54..58).map(<[u8]>::to_vec)
}

/// The text with the two unused bits of its last character cleared, as the decoder wants them.
fn pad_bits(all: &[u8]) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut out = all.to_vec();
    if let Some(last) = out.last_mut()
        && let Some(value) = alphabet.iter().position(|b| b == last)
    {
        *last = alphabet[value & !3];
    }
    out
}

/// Whether a number ends in its Luhn digit.
pub(crate) fn luhn_holds(digits: &[u8]) -> bool {
    digits.last().is_some_and(|last| *last == luhn(&digits[..digits.len() - 1]))
}

/// The Luhn digit that belongs behind these.
pub(crate) fn luhn(digits: &[u8]) -> u8 {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, d)| {
            let value = u32::from(d.wrapping_sub(b'0'));
            if at % 2 == 0 { value * 2 / 10 + value * 2 % 10 } else { value }
        })
        .sum();
    b'0' + ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SymCrypt's own vectors, and two of Microsoft's library of identifiable keys.
    #[test]
    fn marvin_matches_published_vectors() {
        let whole = |seed, bytes: &[u8]| {
            let (low, high) = marvin(seed, bytes);
            u64::from(high) << 32 | u64::from(low)
        };
        assert_eq!(whole(0xd53c_d9ce_cd08_93b7, b"abc"), 0x22c7_4339_4927_69bf);
        assert_eq!(whole(0x0ddd_deee_efff_f000, b"abcdefghijklmnopqrstuvwxyz"), 0xa128_eb7e_7260_aca2);
        assert_eq!(marvin32(0xd53c_d9ce_cd08_93b7, b"abc"), 0x6be0_2a86);
        assert_eq!(marvin32(0x004f_b61a_001b_dbcc, &[231, 15]), 0xfdab_5e04);
    }

    /// The token of a published description of the format, long revoked.
    #[test]
    fn base62_crc_matches_a_published_token() {
        let body = b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ";
        let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        assert_eq!(radix(crc32(body), digits, 6), b"0mLq17");
    }

    /// The seed that NATS' documentation uses throughout.
    #[test]
    fn nkey_matches_the_documentation() {
        let seed = b"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
        assert_eq!(nkey(seed).as_deref(), seed.get(54..));
    }

    /// BIP 173's first example.
    #[test]
    fn bech32_matches_bip_173() {
        assert_eq!(bech32(b"A1").as_deref(), Some(&b"2UEL5L"[..]));
    }

    #[test]
    fn luhn_matches_test_cards() {
        assert!(
            luhn_holds(b"4242424242424242")
                && luhn_holds(b"378282246310005")
                && !luhn_holds(b"4242424242424241")
        );
    }
}
