//! The same value in somebody else's text: which spellings have a counterpart, and the text with those in
//! their place.
//!
//! Owns the rule that nothing is shown half: what still holds a real value after every replacement that we
//! know is not to be shown at all. Whether the bytes are text, so that other bytes may stand there, is the
//! caller's to judge.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding as Alphabet};
use once_cell::race::OnceBox;
use zeroize::{Zeroize, Zeroizing};

use super::needles::{self, Needle};
use super::{Encoding, Scanner, Table, is_needle};
use crate::registry::{Registry, SecretId, note};

/// Up to this size what is to be shown is looked through below encodings, too.
const CLOSELY: usize = 1 << 20;

/// What can be shown of a body.
///
/// ```
/// # use shieldrun_secrets::{Redacted, Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let shown = registry.redactor().redact(b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm");
/// assert!(matches!(shown, Redacted::Shown { ids, .. } if ids.len() == 1));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Redacted {
    /// It holds no real value.
    Untouched,
    /// The body with synthetic values in it.
    Shown {
        /// The new bytes.
        bytes: Vec<u8>,
        /// Which secrets were in it.
        ids: Vec<SecretId>,
    },
    /// A real value is in it, in a form that has no counterpart.
    Unshowable(SecretId),
}

/// Shows bodies with the synthetic value wherever a real one stood. Holds plaintext, as the scanner does.
///
/// ```
/// # use shieldrun_secrets::{Redacted, Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let redactor = registry.redactor();
/// assert!(redactor.redact(b"nothing of interest") == Redacted::Untouched);
/// ```
pub struct Redactor<'a> {
    registry: &'a Registry,
    scanner: Scanner,
    /// Made at the first hit: most passes over files have none.
    spellings: OnceBox<Spellings>,
}

/// Every way in which a value is written, and the same way of writing its synthetic.
struct Spellings {
    spelled: Table,
    counterparts: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Spellings {
    fn of(registry: &Registry) -> Self {
        let mut counterparts = BTreeMap::new();
        let mut spelled: Vec<Needle> = Vec::new();
        for (id, real, synthetic) in registry.shown() {
            for (encoding, spell) in needles::SPELLINGS {
                let written = spell(real);
                if written.len() >= needles::SHORTEST && !counterparts.contains_key(&written) {
                    spelled.push((Zeroizing::new(written.clone()), id, *encoding));
                    counterparts.insert(written, spell(synthetic));
                }
            }
        }
        Self { spelled: Table::build(spelled), counterparts }
    }
}

impl<'a> Redactor<'a> {
    pub(crate) fn new(registry: &'a Registry, scanner: Scanner) -> Self {
        Self { registry, scanner, spellings: OnceBox::new() }
    }

    /// The scanner whose hits these are: what it finds nothing in needs no redaction.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert!(!registry.redactor().scanner().is_empty());
    /// ```
    pub fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    /// The body as it may be shown.
    ///
    /// ```
    /// # use shieldrun_secrets::{Redacted, Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let redactor = registry.redactor();
    /// let Redacted::Shown { bytes, .. } = redactor.redact(b"KEY = 'k3Jd8sLq0ZpXv7Rt2NwYb6Hm'") else { panic!() };
    /// assert_eq!(bytes.len(), 32);
    /// assert!(redactor.redact(b"KEY = None") == Redacted::Untouched);
    /// ```
    pub fn redact(&self, body: &[u8]) -> Redacted {
        if self.first(body, 0).is_none() {
            return Redacted::Untouched;
        }
        let Spellings { spelled, counterparts } =
            self.spellings.get_or_init(|| Box::new(Spellings::of(self.registry)));
        let mut ids = Vec::new();
        let mut bytes = Vec::with_capacity(body.len());
        let mut done = 0;
        while let Some(found) = spelled.find_longest(body, done) {
            let Some(other) = counterparts.get(body.get(found.start..found.end).unwrap_or_default()) else {
                break;
            };
            bytes.extend_from_slice(&body[done..found.start]);
            bytes.extend_from_slice(other);
            note(&mut ids, found.id);
            done = found.end;
        }
        bytes.extend_from_slice(&body[done..]);
        let mut from = 0;
        while let Some((start, end, id, encoding)) = self.first(&bytes, from) {
            match self.in_base64(&mut bytes, start, end, encoding) {
                // The same span is looked at again: two values may share a run.
                Some(changed) => changed.into_iter().for_each(|id| note(&mut ids, id)),
                None => return Redacted::Unshowable(id),
            }
            from = start;
        }
        // Where one spelling of a value was, another may be: a text of this kind deserves the slow look.
        let left = match bytes.len() <= CLOSELY {
            true => self.scanner.deep(&bytes).map(|hit| hit.id),
            false => self.first(&bytes, 0).map(|found| found.2),
        };
        match left {
            Some(id) => Redacted::Unshowable(id),
            None => Redacted::Shown { bytes, ids },
        }
    }

    /// The body with every part that tells a real value painted over: for what must be shown in some form, such
    /// as an object of a history that others hang on.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let mut body = b"KEY=k3Jd8sLq0ZpXv7Rt2NwYb6Hm\n".to_vec();
    /// registry.redactor().paint_over(&mut body);
    /// assert_eq!(body, b"KEY=xxxxxxxxxxxxxxxxxxxxxxxx\n");
    /// ```
    pub fn paint_over(&self, body: &mut [u8]) {
        while let Some((start, end, ..)) = self.first(body, 0) {
            body[start..end].fill(b'x');
        }
    }

    fn first(&self, body: &[u8], from: usize) -> Option<(usize, usize, SecretId, Encoding)> {
        let found = self.scanner.table.find(body, from, &mut None)?;
        Some((found.start, found.end, found.id, found.encoding))
    }

    /// A value in base64 with other bytes before or behind it in the same run, such as `user:password`: the run
    /// is decoded at the alignment that shows the value, and written again.
    fn in_base64(
        &self,
        bytes: &mut [u8],
        start: usize,
        end: usize,
        encoding: Encoding,
    ) -> Option<Vec<SecretId>> {
        let (alphabet, extra): (&Alphabet, &[u8]) = match encoding {
            Encoding::Base64 => (&BASE64_NOPAD, b"+/"),
            Encoding::Base64Url => (&BASE64URL_NOPAD, b"-_"),
            _ => return None,
        };
        // Most base64 has neither of the two letters in which the alphabets differ.
        let either: [(&Alphabet, &[u8]); 2] = [(alphabet, extra), (&BASE64URL_NOPAD, b"-_")];
        either.iter().find_map(|(alphabet, extra)| {
            let inside = |b: &u8| b.is_ascii_alphanumeric() || extra.contains(b);
            let first = bytes[..start].iter().rposition(|b| !inside(b)).map_or(0, |at| at + 1);
            let last = bytes[end..].iter().position(|b| !inside(b)).map_or(bytes.len(), |at| end + at);
            (0..4).find_map(|shift| {
                let run = bytes.get(first + shift..last)?;
                // What is left over behind the last group of four may carry bits of the last byte.
                let whole = alphabet.decode(run).map(|text| (run.len(), text));
                let cut = run.len() - run.len() % 4;
                let (length, text) =
                    whole.or_else(|_| alphabet.decode(&run[..cut]).map(|text| (cut, text))).ok()?;
                let replaced = self.registry.replace_known(&Zeroizing::new(text))?;
                let written = alphabet.encode(&replaced.bytes).into_bytes();
                if written.len() != length {
                    return None;
                }
                bytes[first + shift..first + shift + length].copy_from_slice(&written);
                Some(replaced.ids)
            })
        })
    }
}

impl Drop for Spellings {
    fn drop(&mut self) {
        for (mut written, _) in core::mem::take(&mut self.counterparts) {
            written.zeroize();
        }
    }
}

impl Scanner {
    /// The first real value in a body that is held whole.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert!(registry.scanner().first(b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm").is_some());
    /// ```
    pub fn first(&self, body: &[u8]) -> Option<SecretId> {
        self.table.find(body, 0, &mut None).map(|found| found.id)
    }

    /// The length of the longest text that is looked for: how far what is new in a body reaches into what is not.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert!(registry.scanner().longest() >= 24);
    /// ```
    pub fn longest(&self) -> usize {
        self.table.longest()
    }
}

impl Registry {
    /// The redactor over all real values. Ask once the registry is complete.
    ///
    /// ```
    /// use shieldrun_secrets::{Registry, RunKey};
    /// assert!(Registry::new(RunKey::from_bytes([1; 32])).redactor().scanner().is_empty());
    /// ```
    pub fn redactor(&self) -> Redactor<'_> {
        Redactor::new(self, self.scanner())
    }

    /// Every entry that has a synthetic and can be told from other text.
    fn shown(&self) -> impl Iterator<Item = (SecretId, &[u8], &[u8])> {
        self.reals().filter(|(_, real, synthetic)| {
            !synthetic.is_empty() && (is_needle(real) || crate::pem::is_pem(real))
        })
    }
}

impl core::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Untouched => f.write_str("Untouched"),
            Self::Shown { bytes, ids } => write!(f, "Shown({} bytes, {ids:?})", bytes.len()),
            Self::Unshowable(id) => write!(f, "Unshowable({id})"),
        }
    }
}

impl core::fmt::Debug for Redactor<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Redactor({:?})", self.scanner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EnvOptions, RunKey, substitute_env_with};
    use alloc::format;
    use alloc::string::String;
    use data_encoding::{BASE64, HEXLOWER};

    const REAL: &[u8] = b"k3Jd8sLq/ZpXv7Rt\"NwYb6Hm";

    fn registry() -> Registry {
        let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
        let options = EnvOptions { secret: &["A"], ..EnvOptions::default() };
        substitute_env_with(&mut registry, &[(b"A".to_vec(), REAL.to_vec())], &options);
        registry
    }

    fn shown(body: &[u8]) -> Option<Vec<u8>> {
        let registry = registry();
        match registry.redactor().redact(body) {
            Redacted::Shown { bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    #[test]
    fn every_spelling_is_replaced_by_the_same_spelling() {
        let registry = registry();
        let synthetic = registry.entries()[0].synthetic().to_vec();
        let spelled: [needles::Spell; 4] = [
            |value| value.to_vec(),
            |value| HEXLOWER.encode(value).into_bytes(),
            |value| BASE64.encode(&[b"ada:", value].concat()).into_bytes(),
            |value| String::from_utf8_lossy(value).replace('"', "\\\"").into_bytes(),
        ];
        for spell in spelled {
            let around = |inner: Vec<u8>| [b"x = \"".as_slice(), &inner, b"\" # end"].concat();
            assert_eq!(shown(&around(spell(REAL))), Some(around(spell(&synthetic))));
        }
    }

    #[test]
    fn base64_keeps_its_neighbours_at_every_alignment() {
        for before in 0..5 {
            for behind in 0..4 {
                let body = format!("{}{}{}", "a".repeat(before), "{}", "b".repeat(behind));
                let whole = body.replace("{}", core::str::from_utf8(REAL).unwrap_or_default());
                let text = BASE64.encode(whole.as_bytes());
                let now = shown(text.as_bytes()).unwrap_or_default();
                let decoded = BASE64.decode(&now).unwrap_or_default();
                assert_eq!(decoded.len(), whole.len(), "{before} {behind}");
                assert!(decoded.starts_with(&whole.as_bytes()[..before]));
                assert!(decoded.ends_with(&whole.as_bytes()[whole.len() - behind..]));
            }
        }
    }

    #[test]
    fn what_has_no_counterpart_is_not_shown() {
        // Wrapped: only a part of the value is in each run.
        let text = BASE64.encode(&[REAL, REAL].concat());
        let wrapped = format!("{}\n{}", &text[..40], &text[40..]);
        let registry = registry();
        assert!(matches!(registry.redactor().redact(wrapped.as_bytes()), Redacted::Unshowable(_)));
    }

    #[test]
    fn values_that_meet_are_replaced_each() {
        let body = [REAL, REAL, b" ", REAL].concat();
        let now = shown(&body).unwrap_or_default();
        assert_eq!(now.len(), body.len());
        assert!(!now.windows(8).any(|part| REAL.windows(8).any(|own| own == part)));
    }
}
