//! The little of DER that private keys need, read and written.

use alloc::vec::Vec;

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;

/// The value of the element at the front, which must have this tag, and what follows it.
pub(super) fn take(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let len = rest.get(..count)?.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b));
            (len, &rest[count..])
        }
        _ => return None,
    };
    (found == tag && rest.len() >= len).then(|| rest.split_at(len))
}

pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|p| p.len()).sum();
    let mut out = alloc::vec![tag];
    if len < 0x80 {
        out.push(len as u8);
    } else {
        let bytes = len.to_be_bytes();
        let skip = bytes.iter().take_while(|b| **b == 0).count();
        out.push(0x80 | (bytes.len() - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// An unsigned integer from big-endian bytes.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes.iter().take_while(|b| **b == 0).count().min(bytes.len().saturating_sub(1));
    let bytes = &bytes[skip..];
    let sign: &[u8] = if bytes.first().is_some_and(|b| b & 0x80 != 0) { &[0] } else { &[] };
    element(INTEGER, &[sign, bytes])
}
