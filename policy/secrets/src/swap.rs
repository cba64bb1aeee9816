//! One value of a pair in place of the other, in text that somebody else wrote.
//!
//! Owns the spellings in which both values of a pair are known, so that what was percent-encoded stays so.
//! Does not decide where which value may stand: the caller asks for the next spot and says. A real value
//! leaves this file only into a buffer that wipes itself.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use zeroize::{Zeroize, Zeroizing};

use crate::registry::{Place, Registry, Replaced, SecretId};
use crate::scan::{Encoding, SPELLINGS, Scanner, Table, is_needle};
use crate::value::{Context, Rule, rewrite};

/// Which value of a pair is looked for.
///
/// ```
/// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let conceal = Swap::new(&[&registry], Direction::Conceal);
/// assert!(conceal.next(b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm", 0).is_some());
/// let reveal = Swap::new(&[&registry], Direction::Reveal);
/// assert!(reveal.next(b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm", 0).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The synthetic, to put the real one in its place.
    Reveal,
    /// The real one, to put the synthetic in its place.
    Conceal,
}

/// Where a value stands that has a counterpart.
///
/// ```
/// # use shieldrun_secrets::{Direction, Encoding, Registry, RunKey, Swap, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let swap = Swap::new(&[&registry], Direction::Conceal);
/// let spot = swap.next(b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm", 0).unwrap();
/// assert_eq!((spot.start, spot.end, spot.encoding), (6, 30, Encoding::Raw));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Whose.
    pub id: SecretId,
    /// How it is written, and its counterpart will be.
    pub encoding: Encoding,
    /// Its first byte.
    pub start: usize,
    /// Just past its last.
    pub end: usize,
}

/// Finds one value of each pair and writes the other. Holds plaintext: never hand it to anything inside.
///
/// ```
/// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let swap = Swap::new(&[&registry], Direction::Conceal);
/// assert!(format!("{swap:?}").ends_with(" spellings)"));
/// ```
pub struct Swap {
    table: Table,
    pairs: BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
    uneven: BTreeSet<SecretId>,
    /// One bit for each two bytes that a value begins with.
    heads: Vec<u64>,
}

impl Swap {
    /// The pairs of these registries.
    ///
    /// ```
    /// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let swap = Swap::new(&[&registry], Direction::Reveal);
    /// let text = [b"Bearer ", registry.entries()[0].synthetic()].concat();
    /// let spot = swap.next(&text, 0).unwrap();
    /// let mut out = zeroize::Zeroizing::new(text[..spot.start].to_vec());
    /// swap.write(&text, &spot, &mut out);
    /// assert_eq!(&out[..], b"Bearer k3Jd8sLq0ZpXv7Rt2NwYb6Hm");
    /// ```
    pub fn new(registries: &[&Registry], direction: Direction) -> Self {
        let mut pairs = BTreeMap::new();
        let mut uneven = BTreeSet::new();
        let mut needles = Vec::new();
        let mut heads = alloc::vec![0_u64; 1 << 10];
        for (id, real, synthetic) in registries.iter().flat_map(|registry| registry.reals()) {
            let (sought, other) = match direction {
                Direction::Reveal => (synthetic, real),
                Direction::Conceal => (real, synthetic),
            };
            if synthetic.is_empty() || !(is_needle(sought) || crate::pem::is_pem(sought)) {
                continue;
            }
            for (encoding, spell) in SPELLINGS {
                let (written, other) = (Zeroizing::new(spell(sought)), Zeroizing::new(spell(other)));
                if pairs.contains_key(&*written) {
                    continue;
                }
                if written.len() != other.len() {
                    uneven.insert(id);
                }
                if let [first, second, ..] = written.as_slice() {
                    let pair = usize::from(u16::from_le_bytes([*first, *second]));
                    heads[pair >> 6] |= 1 << (pair & 63);
                }
                needles.push((written.clone(), id, *encoding));
                pairs.insert(written.to_vec(), other);
            }
        }
        Self { table: Table::build(needles), pairs, uneven, heads }
    }

    /// Whether there is nothing to swap.
    ///
    /// ```
    /// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert!(!Swap::new(&[&registry], Direction::Reveal).is_empty());
    /// assert!(Swap::new(&[], Direction::Reveal).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The first value that begins at `from` or later, in its longest spelling.
    ///
    /// ```
    /// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let swap = Swap::new(&[&registry], Direction::Conceal);
    /// let text = b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm";
    /// assert!(swap.next(text, 0).is_some());
    /// assert!(swap.next(text, 1).is_none());
    /// ```
    pub fn next(&self, text: &[u8], from: usize) -> Option<Spot> {
        let found = self.table.find_longest(text, from)?;
        Some(Spot { id: found.id, encoding: found.encoding, start: found.start, end: found.end })
    }

    /// Appends the counterpart of what stands at a spot of this text.
    ///
    /// ```
    /// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let swap = Swap::new(&[&registry], Direction::Conceal);
    /// let text = b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm";
    /// let mut out = zeroize::Zeroizing::new(Vec::new());
    /// swap.write(text, &swap.next(text, 0).unwrap(), &mut out);
    /// assert_eq!(&out[..], registry.entries()[0].synthetic());
    /// ```
    pub fn write(&self, text: &[u8], spot: &Spot, out: &mut Zeroizing<Vec<u8>>) {
        let written = text.get(spot.start..spot.end).unwrap_or_default();
        let other = self.pairs.get(written).map_or(written, |other| other.as_slice());
        // What a growing vector leaves behind is not wiped, so it grows here, where the old one can be.
        if out.capacity() - out.len() < other.len() {
            let mut roomier = Zeroizing::new(Vec::with_capacity((out.len() + other.len()) * 2));
            roomier.extend_from_slice(out);
            core::mem::swap(out, &mut roomier);
        }
        out.extend_from_slice(other);
    }

    /// How many bytes at the end of a text may be the beginning of a value.
    ///
    /// Unlike a scan, which may let a few bytes of a value go, a swap has to have it whole.
    ///
    /// ```
    /// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let swap = Swap::new(&[&registry], Direction::Conceal);
    /// assert_eq!(swap.pending(b"it is k3Jd8"), 5);
    /// assert_eq!(swap.pending(b"it is not"), 0);
    /// ```
    pub fn pending(&self, text: &[u8]) -> usize {
        let most = text.len().min(self.table.longest().saturating_sub(1));
        let begins = |tail: &&[u8]| {
            // Nearly every tail is decided by its first two bytes.
            if let [first, second, ..] = tail {
                let pair = usize::from(u16::from_le_bytes([*first, *second]));
                if self.heads[pair >> 6] >> (pair & 63) & 1 == 0 {
                    return false;
                }
            }
            let from = (Bound::Included(*tail), Bound::Unbounded);
            self.pairs.range::<[u8], _>(from).next().is_some_and(|(written, _)| written.starts_with(tail))
        };
        (text.len() - most..text.len()).map(|at| &text[at..]).find(begins).map_or(0, <[u8]>::len)
    }

    /// Whether any swap may change the length of a text.
    ///
    /// ```
    /// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert!(!Swap::new(&[], Direction::Conceal).changes_lengths());
    /// ```
    pub fn changes_lengths(&self) -> bool {
        !self.uneven.is_empty()
    }

    /// Whether a swap of this secret may change the length of a text.
    ///
    /// ```
    /// # use shieldrun_secrets::{Direction, Registry, RunKey, Swap, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let swap = Swap::new(&[&registry], Direction::Conceal);
    /// assert_eq!(swap.is_uneven(registry.entries()[0].id), swap.changes_lengths());
    /// ```
    pub fn is_uneven(&self, id: SecretId) -> bool {
        self.uneven.contains(&id)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        for (mut written, _) in core::mem::take(&mut self.pairs) {
            written.zeroize();
        }
    }
}

impl core::fmt::Debug for Swap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Swap({} spellings)", self.pairs.len())
    }
}

impl Scanner {
    /// A leak scanner over the real values of these registries.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, Scanner, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let scanner = Scanner::over(&[&registry]);
    /// assert!(scanner.first(b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm").is_some());
    /// ```
    pub fn over(registries: &[&Registry]) -> Self {
        Self::build(
            registries
                .iter()
                .flat_map(|r| r.entries().iter().zip(r.reals()))
                .map(|(entry, (id, real, _))| (id, entry.kind, real)),
        )
    }

    /// A scanner over their synthetic values: a tripwire.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, Scanner, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let tripwire = Scanner::over_synthetics(&[&registry]);
    /// assert!(tripwire.first(registry.entries()[0].synthetic()).is_some());
    /// assert!(tripwire.first(b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm").is_none());
    /// ```
    pub fn over_synthetics(registries: &[&Registry]) -> Self {
        Self::build(registries.iter().flat_map(|r| r.entries().iter()).map(|e| (e.id, e.kind, e.synthetic())))
    }
}

impl Registry {
    /// An empty registry whose numbers go on where this one's end: for what is learned while a run goes on
    /// and the first registry is shared.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let mut later = registry.following(RunKey::from_bytes([2; 32]));
    /// substitute_env(&mut later, &[(b"B_TOKEN".to_vec(), b"p9QwErTy5UiOpAsDf3GhJkLz".to_vec())]);
    /// assert_eq!(later.entries()[0].id.to_string(), "s1");
    /// ```
    pub fn following(&self, key: crate::RunKey) -> Self {
        Self::numbered_from(key, self.next_number())
    }

    /// The bytes of a credential that came up under this name, with its synthetic in its place; the secret is
    /// in the registry from now on.
    ///
    /// ```
    /// use shieldrun_secrets::{Place, Registry, RunKey};
    /// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// let place = Place::File { path: "https://auth.example".into(), field: "access_token".into() };
    /// let shown = registry.learn_value("access_token", place, b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm").unwrap();
    /// assert_eq!(shown.bytes, registry.entries()[0].synthetic());
    /// ```
    pub fn learn_value(&mut self, name: &str, place: Place, real: &[u8]) -> Option<Replaced> {
        let place = match place {
            Place::File { path, field } => Place::File { path, field: field.chars().take(64).collect() },
            other => other,
        };
        rewrite(self, &Context { name: &String::from(name), place: &place, rule: Rule::Forced }, real)
    }

    /// The entry whose synthetic is just this text, however short it is.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let entry = &registry.entries()[0];
    /// assert_eq!(registry.shown_as(entry.synthetic()), Some(entry.id));
    /// assert_eq!(registry.shown_as(b"another"), None);
    /// ```
    pub fn shown_as(&self, text: &[u8]) -> Option<SecretId> {
        self.reals().find(|(_, _, synthetic)| !synthetic.is_empty() && *synthetic == text).map(|(id, ..)| id)
    }

    /// The entry whose real value is just this text.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert!(registry.hidden_as(b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm").is_some());
    /// assert!(registry.hidden_as(registry.entries()[0].synthetic()).is_none());
    /// ```
    pub fn hidden_as(&self, text: &[u8]) -> Option<SecretId> {
        self.reals().find(|(_, real, _)| *real == text).map(|(id, ..)| id)
    }

    /// Appends the real value to a buffer that wipes itself: for what is put on the wire, outside.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let mut out = zeroize::Zeroizing::new(Vec::new());
    /// registry.write_real(registry.entries()[0].id, &mut out);
    /// assert_eq!(out.len(), 24);
    /// ```
    pub fn write_real(&self, id: SecretId, out: &mut Zeroizing<Vec<u8>>) {
        if let Some((_, real, _)) = self.reals().find(|(other, ..)| *other == id) {
            let mut whole = Zeroizing::new(Vec::with_capacity(out.len() + real.len()));
            whole.extend_from_slice(out);
            whole.extend_from_slice(real);
            *out = whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EnvOptions, RunKey, substitute_env_with};

    const REAL: &[u8] = b"k3Jd8sLq/ZpXv7Rt+NwYb6Hm";

    fn registry() -> Registry {
        let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
        let options = EnvOptions { secret: &["A"], ..EnvOptions::default() };
        substitute_env_with(&mut registry, &[(b"A".to_vec(), REAL.to_vec())], &options);
        registry
    }

    fn swapped(swap: &Swap, text: &[u8]) -> Vec<u8> {
        let mut out = Zeroizing::new(Vec::new());
        let mut done = 0;
        while let Some(spot) = swap.next(text, done) {
            out.extend_from_slice(&text[done..spot.start]);
            swap.write(text, &spot, &mut out);
            done = spot.end;
        }
        out.extend_from_slice(&text[done..]);
        out.to_vec()
    }

    #[test]
    fn every_spelling_comes_back_as_it_went() {
        let registry = registry();
        let synthetic = registry.entries()[0].synthetic();
        let reveal = Swap::new(&[&registry], Direction::Reveal);
        let conceal = Swap::new(&[&registry], Direction::Conceal);
        for (_, spell) in SPELLINGS {
            let around = |value: &[u8]| [b"<", spell(value).as_slice(), b">"].concat();
            assert_eq!(swapped(&reveal, &around(synthetic)), around(REAL));
            assert_eq!(swapped(&conceal, &around(REAL)), around(synthetic));
        }
    }

    #[test]
    fn a_value_cut_anywhere_is_pending() {
        let registry = registry();
        let synthetic = registry.entries()[0].synthetic().to_vec();
        let reveal = Swap::new(&[&registry], Direction::Reveal);
        for cut in 1..synthetic.len() {
            let text = [b"token: ".as_slice(), &synthetic[..cut]].concat();
            assert!(reveal.pending(&text) >= cut, "{cut}");
        }
        assert_eq!(reveal.pending(b"token: #"), 0);
    }

    #[test]
    fn numbers_go_on_in_a_registry_that_follows() {
        let first = registry();
        let mut second = first.following(RunKey::from_bytes([2; 32]));
        let place = Place::File { path: "https://auth.example".into(), field: "access_token".into() };
        let shown = second.learn_value("access_token", place, b"uQ8wZr2LmT5xVn7KcY3bHs6D").expect("learnt");
        let id = shown.ids[0];
        assert!(first.entry(id).is_none());
        assert_eq!(second.entry(id).expect("an entry").synthetic(), shown.bytes);
        let both = Swap::new(&[&first, &second], Direction::Reveal);
        assert_eq!(swapped(&both, &shown.bytes), b"uQ8wZr2LmT5xVn7KcY3bHs6D");
        assert_eq!(second.shown_as(&shown.bytes), Some(id));
        assert!(Scanner::over(&[&first, &second]).first(b"x uQ8wZr2LmT5xVn7KcY3bHs6D").is_some());
        assert!(Scanner::over(&[&first, &second]).first(REAL).is_some());
        assert!(Scanner::over_synthetics(&[&first, &second]).first(&shown.bytes).is_some());
    }
}
