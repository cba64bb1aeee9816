//! Looks at what the guest sends where it is readable: a real value ends the run, a synthetic the connection.
//!
//! TLS is opaque and passes: as long as what goes by is one TLS record after the other. What only begins like
//! TLS is looked at from where it stops being that.

use std::sync::Arc;

use shieldrun_secrets::{Encoding, Hit, Registry, Scanner, SecretId, StreamState};

use crate::doors::{Speech, told};
use crate::flow::Destination;
use crate::ledger::{Note, Part, Refusal};

/// What is looked for in every connection.
#[derive(Debug, Clone)]
pub(crate) struct Scanners {
    real: Arc<Scanner>,
    synthetic: Arc<Scanner>,
}

impl Scanners {
    pub(crate) fn of(registry: &Registry) -> Self {
        Self::over(registry.scanner(), registry.tripwire())
    }

    /// With tables that were made before.
    pub(crate) fn over(real: Scanner, synthetic: Scanner) -> Self {
        Self { real: Arc::new(real), synthetic: Arc::new(synthetic) }
    }
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Real(SecretId, Encoding),
    Synthetic(SecretId),
    /// What is the broker's, begun after the other side had spoken.
    Late,
}

impl Seen {
    pub(crate) fn note(self, to: Destination) -> Note {
        match self {
            Self::Real(secret, encoding) => Note::Leak { secret, encoding: word(encoding).to_owned(), to },
            Self::Synthetic(secret) => Note::SyntheticSeen { secret, to, part: Part::Stream },
            Self::Late => Note::Denied { to: to.to_string(), why: Refusal::Malformed },
        }
    }
}

/// One connection's.
pub(crate) struct Watch<'a> {
    scanners: &'a Scanners,
    records: Option<Records>,
    /// The first bytes, as long as it is not clear what they begin.
    opening: Option<Vec<u8>>,
    real: StreamState,
    synthetic: StreamState,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(scanners: &'a Scanners) -> Self {
        Self {
            scanners,
            records: Some(Records::default()),
            opening: None,
            real: scanners.real.stream(),
            synthetic: scanners.synthetic.stream(),
        }
    }

    /// What is known to be no TLS: nothing in it is opaque by its form.
    pub(crate) fn of_plain_text(scanners: &'a Scanners) -> Self {
        Self { records: None, ..Self::new(scanners) }
    }

    /// Where a broker looks into TLS and HTTP, neither is relayed, and nothing is opaque by its form.
    pub(crate) fn beside_a_broker(self) -> Self {
        Self { records: None, opening: Some(Vec::new()), ..self }
    }

    /// Whether these next bytes may go as they are, without a look: TLS, or nothing to look for. Where not,
    /// they are to be given to [`Self::look`].
    pub(crate) fn is_clean(&mut self, chunk: &[u8]) -> bool {
        if self.opening.is_some() {
            return false;
        }
        if self.scanners.real.is_empty() && self.scanners.synthetic.is_empty() {
            return true;
        }
        let Some(records) = &mut self.records else { return false };
        if records.go_on(chunk) {
            return true;
        }
        self.records = None;
        false
    }

    /// Takes the next bytes in.
    pub(crate) fn look(&mut self, chunk: &[u8]) -> Result<(), Seen> {
        if let Some(opening) = &mut self.opening {
            opening.extend_from_slice(chunk);
            match told(opening) {
                None => {}
                Some(Speech::Postgres | Speech::Other) => self.opening = None,
                Some(Speech::Tls | Speech::Http) => return Err(Seen::Late),
            }
        }
        if let Some(records) = &mut self.records {
            if records.go_on(chunk) {
                return Ok(());
            }
            self.records = None;
        }
        if let Some(Hit { id, encoding, .. }) = self.real.feed(&self.scanners.real, chunk) {
            return Err(Seen::Real(id, encoding));
        }
        match self.synthetic.feed(&self.scanners.synthetic, chunk) {
            Some(hit) => Err(Seen::Synthetic(hit.id)),
            None => Ok(()),
        }
    }

    /// How many of the last bytes may be the beginning of what must not leave.
    pub(crate) fn pending(&self) -> usize {
        let real = self.real.pending(&self.scanners.real);
        real.max(self.synthetic.pending(&self.scanners.synthetic))
    }
}

/// Follows TLS records by their heads.
#[derive(Debug, Default, Clone)]
struct Records {
    /// Bytes of the record that are still to come.
    left: usize,
    /// Of a head that is not whole yet.
    head: [u8; HEAD],
    known: usize,
}

const HEAD: usize = 5;
/// A record's body, with what encryption adds.
const LARGEST: usize = (1 << 14) + 2048;

impl Records {
    /// Whether it still is TLS after these bytes.
    fn go_on(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else { break };
            let good = match self.known {
                0 => (20..=23).contains(first),
                1 => *first == 3,
                2 => *first <= 4,
                _ => true,
            };
            if !good {
                return false;
            }
            self.head[self.known] = *first;
            self.known += 1;
            bytes = rest;
            if self.known == HEAD {
                self.known = 0;
                self.left = usize::from(u16::from_be_bytes([self.head[3], self.head[4]]));
                if self.left > LARGEST {
                    return false;
                }
            }
        }
        true
    }
}

fn word(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Raw => "raw",
        Encoding::Base64 => "base64",
        Encoding::Base64Url => "base64url",
        Encoding::Hex => "hex",
        Encoding::Percent => "percent",
        _ => "encoded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_brokers_is_not_relayed_however_it_is_cut() {
        let nothing = Registry::new(shieldrun_secrets::RunKey::from_bytes([7; 32]));
        let scanners = Scanners::of(&nothing);
        for (said, passes) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], false),
            (b"POST /x HTTP/1.1\r\n", false),
            (b"SSH-2.0-client\r\n", true),
            (b"EHLO here\r\n", true),
        ] {
            for size in [1, 2, said.len()] {
                let mut watch = Watch::new(&scanners).beside_a_broker();
                // As the relay does it: what is clean is not looked at.
                let seen = said.chunks(size).find_map(|chunk| match watch.is_clean(chunk) {
                    true => None,
                    false => watch.look(chunk).err(),
                });
                assert_eq!(seen, (!passes).then_some(Seen::Late), "{} {size}", said.escape_ascii());
            }
        }
        let mut alone = Watch::new(&scanners);
        assert!(alone.is_clean(b"POST /x HTTP/1.1\r\n"), "without a broker it is relayed");
    }

    #[test]
    fn tls_is_one_record_after_the_other_however_it_is_cut() {
        let record = |kind: u8, length: u16| {
            let mut bytes = vec![kind, 3, 3];
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.resize(bytes.len() + usize::from(length), b'x');
            bytes
        };
        let stream = [record(22, 300), record(20, 1), record(23, 16384)].concat();
        for size in [1, 2, 3, 7, 305, stream.len()] {
            let mut records = Records::default();
            assert!(stream.chunks(size).all(|chunk| records.go_on(chunk)), "{size}");
            assert!(!records.go_on(b"GET / HTTP/1.1"), "{size}");
        }
        for other in [&b"GET /"[..], b"SSH-2.0", b"\x16\x01", b"\x16\x03\x01\xff\xff", b"\x00"] {
            assert!(!Records::default().go_on(other), "{other:?}");
        }
    }
}
