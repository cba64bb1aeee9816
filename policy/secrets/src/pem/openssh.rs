//! OpenSSH's own container (`openssh-key-v1`), read for its kind and comment, written with a fresh key.

use alloc::vec::Vec;

use super::keys::{Curve, bits, ec_key, ed25519};
use super::rsa;
use crate::derive::Stream;

const MAGIC: &[u8] = b"openssh-key-v1\0";

pub(super) fn fresh(stream: &mut Stream, old: &[u8]) -> Option<Vec<u8>> {
    let mut rest = old.strip_prefix(MAGIC)?;
    let cipher = string(&mut rest)?;
    let kdf = string(&mut rest)?;
    let kdf_options = string(&mut rest)?;
    let count = number(&mut rest)?;
    if count != 1 {
        return None;
    }
    let public = string(&mut rest)?;
    let private = string(&mut rest)?;
    let mut about = public;
    let kind = string(&mut about)?.to_vec();
    let (public, secret) = match kind.as_slice() {
        b"ssh-ed25519" => {
            let (seed, point) = ed25519(stream);
            let public = [field(&kind), field(&point)].concat();
            (public, [field(&point), field(&[seed, point].concat())].concat())
        }
        b"ssh-rsa" => {
            let _exponent = string(&mut about)?;
            let key = rsa::Key::draw(stream, bits(string(&mut about)?));
            let public = [field(&kind), mpint(&key.e), mpint(&key.n)].concat();
            (
                public,
                [&key.n, &key.e, &key.d, &key.qinv, &key.p, &key.q].iter().flat_map(|n| mpint(n)).collect(),
            )
        }
        b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" => {
            let curve = if kind.ends_with(b"256") { Curve::P256 } else { Curve::P384 };
            let key = ec_key(stream, curve);
            let name: &[u8] = if key.curve == Curve::P256 { b"nistp256" } else { b"nistp384" };
            let public = [field(&kind), field(name), field(&key.public)].concat();
            (public, [field(name), field(&key.public), mpint(&key.secret)].concat())
        }
        _ => return None,
    };
    let private = if cipher == b"none" {
        let comment = comment(private, &kind)?;
        let check = stream.bytes(4);
        let mut out = [&check, &check, &field(&kind)[..], &secret, &field(comment)].concat();
        let padding = (8 - out.len() % 8) % 8;
        out.extend((1..=padding).map(|n| n as u8));
        out
    } else {
        // The passphrase is not ours to know, so nobody can tell that no key is inside.
        stream.bytes(private.len())
    };
    let head = [MAGIC, &field(cipher), &field(kdf), &field(kdf_options), &1_u32.to_be_bytes()].concat();
    Some([head, field(&public), field(&private)].concat())
}

/// The comment at the end of an unencrypted private part.
fn comment<'a>(mut private: &'a [u8], kind: &[u8]) -> Option<&'a [u8]> {
    private = private.get(8..)?;
    string(&mut private)?;
    let numbers = match kind {
        b"ssh-ed25519" => 2,
        b"ssh-rsa" => 6,
        _ => 3,
    };
    for _ in 0..numbers {
        string(&mut private)?;
    }
    string(&mut private)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head))
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = number(rest)? as usize;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn mpint(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes.iter().take_while(|b| **b == 0).count();
    let bytes = &bytes[skip..];
    let sign: &[u8] = if bytes.first().is_some_and(|b| b & 0x80 != 0) { &[0] } else { &[] };
    field(&[sign, bytes].concat())
}
