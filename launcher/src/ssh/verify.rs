//! Whether the key of a host signed something: the forms that hosts have, by `ring`.
//!
//! A form that is not here (DSA, P-521, certificates) proves nothing.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use super::wire::Reader;

/// Whether `signature` is that of `key` over `data`.
pub(super) fn is_signed(key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    check(key, data, signature).is_some()
}

fn check(key: &[u8], data: &[u8], signature: &[u8]) -> Option<()> {
    let (mut key, mut signature) = (Reader::new(key), Reader::new(signature));
    let (form, signed_as, blob) = (key.string()?, signature.string()?, signature.string()?);
    signature.end()?;
    let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8], blob: &[u8]| {
        UnparsedPublicKey::new(algorithm, key).verify(data, blob).ok()
    };
    match form {
        b"ssh-ed25519" if signed_as == form => by(&ED25519, key.string()?, blob),
        b"ecdsa-sha2-nistp256" if signed_as == form => {
            let _curve = key.string()?;
            by(&ECDSA_P256_SHA256_FIXED, key.string()?, &both(blob, 32)?)
        }
        b"ecdsa-sha2-nistp384" if signed_as == form => {
            let _curve = key.string()?;
            by(&ECDSA_P384_SHA384_FIXED, key.string()?, &both(blob, 48)?)
        }
        b"ssh-rsa" => {
            let (e, n) = (key.number()?, key.number()?);
            let algorithm = match signed_as {
                b"rsa-sha2-256" => &RSA_PKCS1_2048_8192_SHA256,
                b"rsa-sha2-512" => &RSA_PKCS1_2048_8192_SHA512,
                _ => return None,
            };
            RsaPublicKeyComponents { n, e }.verify(algorithm, data, blob).ok()
        }
        _ => None,
    }
}

/// The two numbers of an ECDSA signature, at their full length.
fn both(blob: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut reader = Reader::new(blob);
    let mut out = Vec::with_capacity(2 * length);
    for _ in 0..2 {
        let number = reader.number()?;
        out.resize(out.len() + length.checked_sub(number.len())?, 0);
        out.extend_from_slice(number);
    }
    reader.end()?;
    Some(out)
}
