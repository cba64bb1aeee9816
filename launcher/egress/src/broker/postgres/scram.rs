//! SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding, both sides of it.
//!
//! Owns what is computed and compared. Does not know which of two passwords is the real one.

use data_encoding::BASE64;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring::default_provider;
use zeroize::Zeroizing;

/// The name of the mechanism.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";

/// What PostgreSQL counts to, by default.
const ITERATIONS: u32 = 4096;
/// A server that asks for more is not one: the launcher would be busy with it for seconds.
const MOST: u32 = 1_000_000;

type Key = Zeroizing<[u8; 32]>;

/// The side that checks a password.
pub(super) struct Server {
    header: String,
    bare: String,
    first: String,
    nonce: String,
    salted: Key,
}

/// The side that proves a password.
pub(super) struct Client {
    nonce: String,
    expected: Option<[u8; 32]>,
}

impl Server {
    /// Takes the client's first message in, and answers it. `None` where it is none.
    pub(super) fn begin(password: &[u8], first: &[u8]) -> Option<(Self, String)> {
        let first = std::str::from_utf8(first).ok()?;
        // `y`: it would have bound the channel, and was not offered that. A name to act for is not known here.
        let header = ["n,,", "y,,"].into_iter().find(|header| first.starts_with(header))?;
        let bare = first.strip_prefix(header)?;
        let mut fields = bare.split(',');
        // The name is that of the start-up; what is said here is ignored, as the real server does.
        fields.next()?.strip_prefix("n=")?;
        let own = fields.next()?.strip_prefix("r=").filter(|nonce| !nonce.is_empty())?;
        let nonce = format!("{own}{}", random()?);
        let salt = random()?;
        let first = format!("r={nonce},s={salt},i={ITERATIONS}");
        let salted = salted(password, BASE64.decode(salt.as_bytes()).ok()?.as_slice(), ITERATIONS);
        let server =
            Self { header: header.to_owned(), bare: bare.to_owned(), first: first.clone(), nonce, salted };
        Some((server, first))
    }

    /// Checks the client's last message; what it is told where it knows the password.
    pub(super) fn finish(&self, last: &[u8]) -> Option<String> {
        let last = std::str::from_utf8(last).ok()?;
        let (without_proof, proof) = last.rsplit_once(",p=")?;
        let mut fields = without_proof.split(',');
        let bound = fields.next()?.strip_prefix("c=")?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        if bound != BASE64.encode(self.header.as_bytes()) || nonce != self.nonce {
            return None;
        }
        let auth = format!("{},{},{without_proof}", self.bare, self.first);
        let proof: [u8; 32] = BASE64.decode(proof.as_bytes()).ok()?.try_into().ok()?;
        let stored = Sha256::digest(*hmac(&*self.salted, b"Client Key"));
        let signature = hmac(&stored, auth.as_bytes());
        let key = xor(&proof, &signature);
        if Sha256::digest(*key) != stored {
            return None;
        }
        Some(format!("v={}", BASE64.encode(&signature_of_server(&self.salted, &auth))))
    }
}

impl Client {
    /// One, and its first message.
    pub(super) fn begin() -> Option<(Self, String)> {
        let nonce = random()?;
        let first = format!("n,,n=,r={nonce}");
        Some((Self { nonce, expected: None }, first))
    }

    /// Answers the server's first message. `None` where it is none.
    pub(super) fn answer(&mut self, password: &[u8], first: &[u8]) -> Option<String> {
        let first = std::str::from_utf8(first).ok()?;
        let mut fields = first.split(',');
        let nonce = fields.next()?.strip_prefix("r=")?;
        let salt = BASE64.decode(fields.next()?.strip_prefix("s=")?.as_bytes()).ok()?;
        let iterations: u32 = fields.next()?.strip_prefix("i=")?.parse().ok()?;
        let is_ours = nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce);
        if !is_ours || !(1..=MOST).contains(&iterations) {
            return None;
        }
        let salted = salted(password, &salt, iterations);
        let without_proof = format!("c={},r={nonce}", BASE64.encode(b"n,,"));
        let auth = format!("n=,r={},{first},{without_proof}", self.nonce);
        let key = hmac(&*salted, b"Client Key");
        let proof = xor(&key, &hmac(&Sha256::digest(*key), auth.as_bytes()));
        self.expected = Some(signature_of_server(&salted, &auth));
        Some(format!("{without_proof},p={}", BASE64.encode(&*proof)))
    }

    /// Whether the server knows the password too.
    pub(super) fn is_server(&self, last: &[u8]) -> bool {
        let said = last.strip_prefix(b"v=").and_then(|said| BASE64.decode(said).ok());
        said.zip(self.expected).is_some_and(|(said, expected)| said == expected)
    }
}

fn signature_of_server(salted: &Key, auth: &str) -> [u8; 32] {
    *hmac(&*hmac(&**salted, b"Server Key"), auth.as_bytes())
}

/// The password as SASL wants it, salted.
fn salted(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    // What cannot be prepared is taken as it is: PostgreSQL does the same on both sides.
    let prepared = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    let prepared = prepared.map(|text| Zeroizing::new(text.into_owned().into_bytes()));
    let bytes = prepared.as_ref().map_or(password, |prepared| prepared.as_slice());
    Zeroizing::new(pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(bytes, salt, iterations))
}

fn hmac(key: &[u8], text: &[u8]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length does");
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn xor(one: &[u8; 32], other: &[u8; 32]) -> Key {
    let mut out = Zeroizing::new([0; 32]);
    for (out, (one, other)) in out.iter_mut().zip(one.iter().zip(other)) {
        *out = one ^ other;
    }
    out
}

/// 18 random bytes as base64, without padding by their number. `None` where there are none to be had.
fn random() -> Option<String> {
    let mut bytes = [0; 18];
    default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(BASE64.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides against each other.
    fn talk(server: &[u8], client: &[u8]) -> Option<bool> {
        let (mut own, first) = Client::begin().expect("random bytes");
        let (other, answer) = Server::begin(server, first.as_bytes()).expect("a first message");
        let proof = own.answer(client, answer.as_bytes()).expect("an answer");
        let last = other.finish(proof.as_bytes())?;
        Some(own.is_server(last.as_bytes()))
    }

    #[test]
    fn who_knows_the_password_is_let_in_and_nobody_else() {
        assert_eq!(talk(b"right", b"right"), Some(true));
        assert_eq!(talk(b"right", b"wrong"), None);
        // A soft hyphen is nothing to SASL; bytes that are no text are taken as they are.
        assert_eq!(talk("p\u{ad}w".as_bytes(), b"pw"), Some(true));
        assert_eq!(talk(b"\xff\xfe", b"\xff\xfe"), Some(true));
    }

    /// The example of RFC 7677.
    #[test]
    fn the_proof_is_that_of_the_standard() {
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        let first = format!("r={nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let auth = format!("n=user,r={nonce},{first},c=biws,r={nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let salt = BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let salted = salted(b"pencil", &salt, 4096);
        let key = hmac(&*salted, b"Client Key");
        let proof = xor(&key, &hmac(&Sha256::digest(*key), auth.as_bytes()));
        assert_eq!(BASE64.encode(&*proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let signature = signature_of_server(&salted, &auth);
        assert_eq!(BASE64.encode(&signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for first in ["", "n,,", "n,,n=,r=", "p=tls-server-end-point,,n=,r=x", "n,a=root,n=,r=x", "n,,r=x"] {
            assert!(Server::begin(b"pw", first.as_bytes()).is_none(), "{first}");
        }
        let (server, _) = Server::begin(b"pw", b"n,,n=,r=x").expect("a first message");
        for last in ["", "c=biws", "c=biws,r=x,p=AAAA", "c=eSws,r=x,p=AAAA"] {
            assert!(server.finish(last.as_bytes()).is_none(), "{last}");
        }
        let (mut client, first) = Client::begin().expect("random bytes");
        let nonce = first.rsplit_once("r=").expect("a nonce").1.to_owned();
        for answer in [
            String::new(),
            "r=other,s=AAAA,i=4096".to_owned(),
            format!("r={nonce},s=AAAA,i=4096"),
            format!("r={nonce}x,s=AAAA,i=0"),
            format!("r={nonce}x,s=AAAA,i=2000000000"),
        ] {
            assert!(client.answer(b"pw", answer.as_bytes()).is_none(), "{answer}");
        }
        assert!(client.answer(b"pw", format!("r={nonce}x,s=AAAA,i=4096").as_bytes()).is_some());
        assert!(!client.is_server(b"v=AAAA"));
    }
}
