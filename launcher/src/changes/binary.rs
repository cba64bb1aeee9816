//! Binary files as git writes them into a patch: deflated, in its base 85, with the ids of both blobs.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

/// The alphabet of git's base 85, in order.
const ALPHABET: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// Bytes on a line at most.
const LINE: usize = 52;

/// The name that git has for this content.
pub(super) fn blob_id(content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

/// One side, whole.
pub(super) fn literal(content: &[u8], out: &mut Vec<u8>) {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    // Into memory: this does not fail.
    let deflated = encoder.write_all(content).and_then(|()| encoder.finish()).unwrap_or_default();
    out.extend_from_slice(format!("literal {}\n", content.len()).as_bytes());
    for line in deflated.chunks(LINE) {
        let length = u8::try_from(line.len()).unwrap_or_default();
        out.push(if length <= 26 { b'A' + length - 1 } else { b'a' + length - 27 });
        for group in line.chunks(4) {
            let mut bytes = [0u8; 4];
            for (to, from) in bytes.iter_mut().zip(group) {
                *to = *from;
            }
            let mut number = u32::from_be_bytes(bytes);
            let mut digits = [0u8; 5];
            for digit in digits.iter_mut().rev() {
                *digit = ALPHABET.get((number % 85) as usize).copied().unwrap_or_default();
                number /= 85;
            }
            out.extend_from_slice(&digits);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_gits() {
        assert_eq!(blob_id(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob_id(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
