//! Random-looking bytes for a synthetic, derived from the run's key.
//!
//! Owns the derivation and the draw without bias. Does not know any format.
//! Keyed on the real value, so that the environment, a file and a base64 container that hold the same
//! secret show the same synthetic; and never invertible, because the key stays outside.

use alloc::vec::Vec;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The random key of one run. Never inside; wiped when dropped.
///
/// ```
/// let key = shieldrun_secrets::RunKey::from_bytes([7; 32]);
/// assert_eq!(format!("{key:?}"), "RunKey(..)");
/// ```
pub struct RunKey {
    /// Kept as keyed states, not as bytes: keying anew for each value would cost half of the work.
    kinds: Hkdf<Sha256>,
    tags: Hmac<Sha256>,
    entries: Hmac<Sha256>,
}

impl RunKey {
    /// Takes 32 bytes that nobody inside can guess.
    ///
    /// ```
    /// use shieldrun_secrets::{Checksum, RunKey, synthesize_one};
    /// let made = |byte| {
    ///     let key = RunKey::from_bytes([byte; 32]);
    ///     synthesize_one(key, b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm", None, Checksum::Valid).synthetic
    /// };
    /// assert_eq!(made(1), made(1));
    /// assert_ne!(made(1), made(2));
    /// ```
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let kinds = Hkdf::new(None, bytes.as_slice());
        let keyed = |info| hmac(&expand(&kinds, info));
        Self { tags: keyed("tags"), entries: keyed("drawn per entry"), kinds }
    }

    /// A stream for a value of `kind`: the same value gives the same stream in this run only.
    pub(crate) fn keyed(&self, kind: &str, real: &[u8], attempt: u32) -> Stream {
        let mut mac = hmac(&expand(&self.kinds, kind));
        mac.update(real);
        mac.update(&attempt.to_le_bytes());
        Stream::new(mac)
    }

    /// A stream that depends on nothing of the real value, for values that could be guessed and tried.
    pub(crate) fn drawn(&self, entry: usize, attempt: u32) -> Stream {
        let mut mac = self.entries.clone();
        mac.update(&(entry as u64).to_le_bytes());
        mac.update(&attempt.to_le_bytes());
        Stream::new(mac)
    }

    /// What a real value is looked up under, so that no map needs a second copy of it.
    pub(crate) fn tag(&self, real: &[u8]) -> [u8; 16] {
        let mut mac = self.tags.clone();
        mac.update(real);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut tag = [0; 16];
        tag.copy_from_slice(&full[..16]);
        tag
    }
}

impl Drop for RunKey {
    fn drop(&mut self) {
        // The states cannot be wiped through their crates; writing others over them comes to the same.
        self.kinds = Hkdf::new(None, &[]);
        self.tags = hmac(&[]);
        self.entries = hmac(&[]);
        core::hint::black_box(&*self);
    }
}

impl core::fmt::Debug for RunKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RunKey(..)")
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn expand(kinds: &Hkdf<Sha256>, info: &str) -> [u8; 32] {
    let mut key = [0; 32];
    kinds
        .expand_multi_info(&[b"shieldrun synthetic ", info.as_bytes()], &mut key)
        .expect("32 bytes are less than 255 blocks of SHA-256");
    key
}

/// An endless stream of bytes.
pub(crate) struct Stream {
    seeded: Hmac<Sha256>,
    block: [u8; 32],
    used: usize,
    counter: u64,
}

impl Stream {
    fn new(seed: Hmac<Sha256>) -> Self {
        Self { seeded: hmac(&seed.finalize().into_bytes()), block: [0; 32], used: 32, counter: 0 }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let mut mac = self.seeded.clone();
            mac.update(&self.counter.to_le_bytes());
            self.block = mac.finalize().into_bytes().into();
            self.counter += 1;
            self.used = 0;
        }
        let byte = self.block[self.used];
        self.used += 1;
        byte
    }

    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.byte();
        }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut out = alloc::vec![0; count];
        self.fill(&mut out);
        out
    }

    /// A number below `bound` (1 to 256), by rejection, so that no value is likelier than another.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        debug_assert!((1..=256).contains(&bound));
        let limit = 256 - 256 % bound;
        loop {
            let byte = usize::from(self.byte());
            if byte < limit {
                return byte % bound;
            }
        }
    }

    pub(crate) fn pick(&mut self, alphabet: &[u8]) -> u8 {
        alphabet[self.below(alphabet.len())]
    }
}
