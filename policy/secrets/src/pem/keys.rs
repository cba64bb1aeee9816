//! Throwaway private keys of the same algorithm and size: real keys, that real programs load.

use alloc::vec::Vec;

use super::der::{BIT_STRING, INTEGER, OCTETS, OID, SEQUENCE, element, integer, take};
use super::{openssh, rsa};
use crate::derive::Stream;

const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Curve {
    P256,
    P384,
}

/// A curve's private scalar and public point, uncompressed.
pub(super) struct EcKey {
    pub(super) curve: Curve,
    pub(super) secret: Vec<u8>,
    pub(super) public: Vec<u8>,
}

/// The binary of another key like this one, in the same container; `None` for what we cannot make.
pub(super) fn fresh(stream: &mut Stream, label: &str, old: &[u8]) -> Option<Vec<u8>> {
    match label {
        "RSA PRIVATE KEY" => Some(pkcs1(&rsa::Key::draw(stream, pkcs1_bits(old)?))),
        "EC PRIVATE KEY" => sec1_like(stream, old, None),
        "PRIVATE KEY" => pkcs8(stream, old),
        "OPENSSH PRIVATE KEY" => openssh::fresh(stream, old),
        _ => None,
    }
}

fn pkcs1_bits(der: &[u8]) -> Option<usize> {
    let (body, _) = take(SEQUENCE, der)?;
    let (_version, rest) = take(INTEGER, body)?;
    let (modulus, _) = take(INTEGER, rest)?;
    Some(bits(modulus))
}

pub(super) fn bits(number: &[u8]) -> usize {
    let number = number.strip_prefix(&[0]).unwrap_or(number);
    number.len() * 8 - number.first().map_or(0, |b| b.leading_zeros() as usize)
}

fn pkcs1(key: &rsa::Key) -> Vec<u8> {
    let numbers: Vec<u8> = [&[0][..], &key.n, &key.e, &key.d, &key.p, &key.q, &key.dp, &key.dq, &key.qinv]
        .iter()
        .flat_map(|n| integer(n))
        .collect();
    element(SEQUENCE, &[&numbers])
}

fn pkcs8(stream: &mut Stream, old: &[u8]) -> Option<Vec<u8>> {
    let (body, _) = take(SEQUENCE, old)?;
    let (version, rest) = take(INTEGER, body)?;
    let (algorithm, rest) = take(SEQUENCE, rest)?;
    let (inner, _) = take(OCTETS, rest)?;
    let (oid, parameters) = take(OID, algorithm)?;
    let fresh = if oid == OID_RSA {
        pkcs1(&rsa::Key::draw(stream, pkcs1_bits(inner)?))
    } else if oid == OID_EC {
        let (curve, _) = take(OID, parameters)?;
        sec1_like(stream, inner, Some(curve))?
    } else if oid == OID_ED25519 {
        element(OCTETS, &[&stream.bytes(32)])
    } else {
        return None;
    };
    // A second version carries the public key as well; the first is enough for every reader.
    let _ = version;
    Some(element(SEQUENCE, &[&integer(&[0]), &element(SEQUENCE, &[algorithm]), &element(OCTETS, &[&fresh])]))
}

/// SEC 1, with those optional parts that the old one has.
fn sec1_like(stream: &mut Stream, old: &[u8], outer_curve: Option<&[u8]>) -> Option<Vec<u8>> {
    let (body, _) = take(SEQUENCE, old)?;
    let (_version, rest) = take(INTEGER, body)?;
    let (_secret, rest) = take(OCTETS, rest)?;
    let (parameters, rest) = match take(0xa0, rest) {
        Some((parameters, rest)) => (Some(parameters), rest),
        None => (None, rest),
    };
    let oid = match (parameters, outer_curve) {
        (Some(parameters), _) => take(OID, parameters)?.0,
        (None, Some(curve)) => curve,
        (None, None) => return None,
    };
    let key = ec_key(stream, curve_of(oid)?);
    let mut parts = alloc::vec![integer(&[1]), element(OCTETS, &[&key.secret])];
    if let Some(parameters) = parameters {
        parts.push(element(0xa0, &[parameters]));
    }
    if take(0xa1, rest).is_some() {
        parts.push(element(0xa1, &[&element(BIT_STRING, &[&[0], &key.public])]));
    }
    Some(element(SEQUENCE, &[&parts.concat()]))
}

fn curve_of(oid: &[u8]) -> Option<Curve> {
    match oid {
        OID_P256 => Some(Curve::P256),
        OID_P384 => Some(Curve::P384),
        _ => None,
    }
}

pub(super) fn ec_key(stream: &mut Stream, curve: Curve) -> EcKey {
    // A drawn string is a scalar in range but for one in 2^32 or less; then the next is taken.
    loop {
        let secret = stream.bytes(if curve == Curve::P256 { 32 } else { 48 });
        let public = match curve {
            Curve::P256 => {
                use p256::elliptic_curve::sec1::ToEncodedPoint;
                p256::SecretKey::from_slice(&secret)
                    .map(|k| k.public_key().to_encoded_point(false).as_bytes().to_vec())
            }
            Curve::P384 => {
                use p384::elliptic_curve::sec1::ToEncodedPoint;
                p384::SecretKey::from_slice(&secret)
                    .map(|k| k.public_key().to_encoded_point(false).as_bytes().to_vec())
            }
        };
        if let Ok(public) = public {
            return EcKey { curve, secret, public };
        }
    }
}

pub(super) fn ed25519(stream: &mut Stream) -> ([u8; 32], [u8; 32]) {
    let mut seed = [0; 32];
    stream.fill(&mut seed);
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    (seed, public)
}
