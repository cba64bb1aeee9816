//! The registry: every real value of a run, its synthetic, where it was found.
//!
//! Owns the real values, and wipes them when dropped. Nothing here prints one. Does not decide what is a
//! secret, nor how a synthetic looks.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use once_cell::race::OnceBox;
use zeroize::Zeroizing;

pub use crate::derive::RunKey;
use crate::derive::Stream;
use crate::scan::{Scanner, Table, is_needle};

/// The number of a secret in its run; prints as `s3`.
///
/// ```
/// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// assert_eq!(registry.entries()[0].id.to_string(), "s0");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId(u32);

/// Where a secret was found.
///
/// ```
/// # use shieldrun_secrets::{Place, Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// assert_eq!(registry.entries()[0].places, [Place::Env("A_TOKEN".into())]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An environment variable, by name.
    Env(String),
    /// A field of a file; the field is empty where the whole file is the secret.
    File {
        /// As the caller named it.
        path: String,
        /// Dotted, as in `auths.ghcr.io.auth`.
        field: String,
    },
    /// A word of the command line, counted from 0.
    Argv(usize),
}

/// One secret of the run.
///
/// ```
/// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let entry = &registry.entries()[0];
/// assert_eq!((entry.kind, &*entry.name, entry.real_len()), ("generic-secret", "A_TOKEN", 24));
/// ```
pub struct Entry {
    /// Its number in this run.
    pub id: SecretId,
    /// `github-token`, `aws-secret-access-key`, …
    pub kind: &'static str,
    /// The best name known: that of a variable or of a field.
    pub name: String,
    /// Every place it was found at.
    pub places: Vec<Place>,
    /// Entries with the same number belong together: an AWS key id and its secret.
    pub group: Option<u32>,
    real: Zeroizing<Vec<u8>>,
    synthetic: Vec<u8>,
}

/// Every secret of one run.
///
/// ```
/// use shieldrun_secrets::{Registry, RunKey, substitute_env};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// assert_eq!(registry.entries().len(), 1);
/// ```
pub struct Registry {
    key: RunKey,
    /// The number of the first entry.
    first: u32,
    entries: Vec<Entry>,
    by_tag: BTreeMap<[u8; 16], u32>,
    by_synthetic: BTreeMap<[u8; 16], u32>,
    known: OnceBox<Table>,
    leaks: OnceBox<Scanner>,
    /// Whether what is found now is shown to nobody, so that no synthetic is needed.
    pub(crate) hidden: bool,
}

/// Bytes in which real values became synthetic ones.
///
/// ```
/// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
/// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
/// let replaced = registry.replace_known(b"it is k3Jd8sLq0ZpXv7Rt2NwYb6Hm").unwrap();
/// assert_eq!(replaced.ids, [registry.entries()[0].id]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The new bytes.
    pub bytes: Vec<u8>,
    /// Which secrets were in them, in order, each once.
    pub ids: Vec<SecretId>,
}

/// How a synthetic is drawn.
pub(crate) enum Draw {
    /// From the real value: same value, same synthetic, whatever the order.
    Keyed,
    /// At random per entry: the real value is guessable, so nothing may depend on it.
    Random,
}

impl Registry {
    /// An empty registry for a run with this key.
    ///
    /// ```
    /// use shieldrun_secrets::{Registry, RunKey};
    /// assert!(Registry::new(RunKey::from_bytes([1; 32])).entries().is_empty());
    /// ```
    pub fn new(key: RunKey) -> Self {
        Self::numbered_from(key, 0)
    }

    /// An empty registry that numbers its entries from here on.
    pub(crate) fn numbered_from(key: RunKey, first: u32) -> Self {
        Self {
            key,
            first,
            entries: Vec::new(),
            by_tag: BTreeMap::new(),
            by_synthetic: BTreeMap::new(),
            known: OnceBox::new(),
            leaks: OnceBox::new(),
            hidden: false,
        }
    }

    /// Every secret, in the order found.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert_eq!(registry.entries()[0].name, "A_TOKEN");
    /// ```
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry with this number.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let id = registry.entries()[0].id;
    /// assert_eq!(registry.entry(id).unwrap().kind, "generic-secret");
    /// ```
    pub fn entry(&self, id: SecretId) -> Option<&Entry> {
        self.entries.get(self.index(id)?)
    }

    fn index(&self, id: SecretId) -> Option<usize> {
        id.0.checked_sub(self.first).map(|index| index as usize)
    }

    /// The number that the next entry gets.
    pub(crate) fn next_number(&self) -> u32 {
        self.first + self.entries.len() as u32
    }

    /// The leak scanner over all real values. Ask once the registry is complete.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert!(!registry.scanner().is_empty());
    /// ```
    pub fn scanner(&self) -> Scanner {
        let build = || {
            let all = self.entries.iter().map(|e| (e.id, e.kind, e.real.as_slice()));
            alloc::boxed::Box::new(Scanner::build(all))
        };
        self.leaks.get_or_init(build).clone()
    }

    /// A scanner over all synthetic values instead: to see one leave is no leak, but a tripwire.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let tripwire = registry.tripwire();
    /// let shown = registry.entries()[0].synthetic().to_vec();
    /// assert!(tripwire.stream().feed(&tripwire, &shown).is_some());
    /// ```
    pub fn tripwire(&self) -> Scanner {
        Scanner::build(self.entries.iter().map(|e| (e.id, e.kind, e.synthetic.as_slice())))
    }

    /// Replaces raw occurrences of known real values in bytes that are no credential themselves.
    ///
    /// Only values of 8 bytes or more that are not easily guessed take part: replacing every `postgres`
    /// would do more harm than good.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let replaced = registry.replace_known(b"Bearer k3Jd8sLq0ZpXv7Rt2NwYb6Hm").unwrap();
    /// assert!(replaced.bytes.ends_with(registry.entries()[0].synthetic()));
    /// ```
    pub fn replace_known(&self, bytes: &[u8]) -> Option<Replaced> {
        if bytes.len() < 8 || self.entries.is_empty() {
            return None;
        }
        let table = self.known.get_or_init(|| {
            let shown = |e: &&Entry| !e.synthetic.is_empty() && is_needle(&e.real);
            let values = self.entries.iter().filter(shown);
            alloc::boxed::Box::new(Table::build(
                values.map(|e| (Zeroizing::new(e.real.to_vec()), e.id, crate::scan::Encoding::Raw)).collect(),
            ))
        });
        let mut out = Vec::new();
        let mut ids = Vec::new();
        let mut done = 0;
        while let Some(found) = table.find_longest(bytes, done) {
            let entry = self.entry(found.id)?;
            out.extend_from_slice(&bytes[done..found.start]);
            out.extend_from_slice(&entry.synthetic);
            note(&mut ids, found.id);
            done = found.end;
        }
        if ids.is_empty() {
            return None;
        }
        out.extend_from_slice(&bytes[done..]);
        Some(Replaced { bytes: out, ids })
    }

    /// The entry of a real value, made with `mold` if it is new. `mold` gets a stream and the real value
    /// and is called again with another stream while the result is not acceptable.
    pub(crate) fn intern(
        &mut self,
        kind: &'static str,
        name: &str,
        place: &Place,
        real: &[u8],
        draw: Draw,
        mut mold: impl FnMut(&mut Stream, &[u8]) -> Vec<u8>,
    ) -> SecretId {
        let tag = self.key.tag(real);
        let known = self.by_tag.get(&tag).map(|index| *index as usize);
        if let Some(entry) = known.and_then(|index| self.entries.get_mut(index)) {
            if !entry.places.contains(place) {
                entry.places.push(place.clone());
            }
            if self.hidden || !entry.synthetic.is_empty() {
                return entry.id;
            }
        }
        let index = known.unwrap_or(self.entries.len());
        let id = SecretId(self.first + index as u32);
        if self.hidden {
            self.by_tag.insert(tag, index as u32);
            self.forget_tables();
            self.entries.push(Entry::new(id, kind, name, place, real, Vec::new()));
            return id;
        }
        let mut attempt = 0;
        let (synthetic, synthetic_tag) = loop {
            let mut stream = match draw {
                Draw::Keyed => self.key.keyed(kind, real, attempt),
                Draw::Random => self.key.drawn(index, attempt),
            };
            let synthetic = mold(&mut stream, real);
            let synthetic_tag = self.key.tag(&synthetic);
            attempt += 1;
            let taken =
                self.by_tag.contains_key(&synthetic_tag) || self.by_synthetic.contains_key(&synthetic_tag);
            // A value of one digit has nine others; after 64 tries a collision with another entry is
            // the lesser evil, being the real value is not.
            if synthetic != real && (attempt > 64 || (!taken && !shares_run(&synthetic, real))) {
                break (synthetic, synthetic_tag);
            }
            if attempt > 256 {
                let synthetic = self.key.drawn(index, attempt).bytes(real.len().max(8));
                let text = synthetic.iter().map(|b| b'a' + b % 26).collect::<Vec<u8>>();
                let tag = self.key.tag(&text);
                break (text, tag);
            }
        };
        self.by_tag.insert(tag, index as u32);
        self.by_synthetic.insert(synthetic_tag, index as u32);
        self.forget_tables();
        match self.entries.get_mut(index) {
            // It was hidden until now.
            Some(entry) => entry.synthetic = synthetic,
            None => self.entries.push(Entry::new(id, kind, name, place, real, synthetic)),
        }
        id
    }

    /// What was built over the values there were.
    fn forget_tables(&mut self) {
        self.known = OnceBox::new();
        self.leaks = OnceBox::new();
    }

    /// One tag for each value that the scan looks for, sorted: the same value has the same tag under the same
    /// key, so that what was found clean of it need not be scanned for it again. Nothing can be learned from a
    /// tag without the key.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// let mine = RunKey::from_bytes([2; 32]);
    /// assert_eq!(registry.tags(&mine), registry.tags(&mine));
    /// assert_ne!(registry.tags(&mine), registry.tags(&RunKey::from_bytes([3; 32])));
    /// ```
    pub fn tags(&self, key: &RunKey) -> Vec<[u8; 16]> {
        let told = |entry: &&Entry| is_needle(&entry.real) || crate::pem::is_pem(&entry.real);
        // The kind decides which part of a value is looked for.
        let tag =
            |entry: &Entry| key.tag(&Zeroizing::new([entry.kind.as_bytes(), b"\0", &entry.real].concat()));
        let mut tags: Vec<_> = self.entries.iter().filter(told).map(tag).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Each entry with its real and its synthetic value, for those who put one in the other's place.
    pub(crate) fn reals(&self) -> impl Iterator<Item = (SecretId, &[u8], &[u8])> {
        self.entries.iter().map(|entry| (entry.id, entry.real.as_slice(), entry.synthetic.as_slice()))
    }

    pub(crate) fn synthetic_of(&self, id: SecretId) -> &[u8] {
        self.entry(id).map_or(&[], |e| &e.synthetic)
    }

    pub(crate) fn join(&mut self, ids: &[SecretId]) {
        let Some(first) = ids.first() else { return };
        let group = self.entry(*first).and_then(|e| e.group).unwrap_or(first.0);
        for id in ids {
            if let Some(entry) = self.index(*id).and_then(|index| self.entries.get_mut(index)) {
                entry.group = Some(group);
            }
        }
    }
}

impl Entry {
    fn new(
        id: SecretId,
        kind: &'static str,
        name: &str,
        place: &Place,
        real: &[u8],
        synthetic: Vec<u8>,
    ) -> Self {
        let (name, places) = (name.to_string(), alloc::vec![place.clone()]);
        Self { id, kind, name, places, group: None, real: Zeroizing::new(real.to_vec()), synthetic }
    }

    /// What is shown inside in place of the real value; empty where nothing is, because every place that
    /// it was found at is unreadable.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert_eq!(registry.entries()[0].synthetic().len(), 24);
    /// ```
    pub fn synthetic(&self) -> &[u8] {
        &self.synthetic
    }

    /// The host this credential belongs to, and those below it; `None` if its kind does not tell.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert_eq!(registry.entries()[0].host(), None);
    /// ```
    pub fn host(&self) -> Option<&'static str> {
        crate::kinds::KINDS.iter().find(|kind| kind.name == self.kind)?.host
    }

    /// One JSON object with everything but the real value.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert!(registry.entries()[0].to_json().starts_with(r#"{"id":"s0","kind":"generic-secret""#));
    /// ```
    pub fn to_json(&self) -> String {
        let text = |s: &str| String::from_utf8_lossy(&crate::edit::json_string(s.as_bytes())).into_owned();
        let places: Vec<String> = self
            .places
            .iter()
            .map(|place| match place {
                Place::Env(name) => alloc::format!("{{\"env\":{}}}", text(name)),
                Place::File { path, field } => {
                    alloc::format!("{{\"file\":{},\"field\":{}}}", text(path), text(field))
                }
                Place::Argv(index) => alloc::format!("{{\"argv\":{index}}}"),
            })
            .collect();
        let group = self.group.map_or(String::from("null"), |g| alloc::format!("{g}"));
        let host = self.host().map_or(String::from("null"), text);
        alloc::format!(
            "{{\"id\":\"{}\",\"kind\":\"{}\",\"name\":{},\"places\":[{}],\"group\":{group},\"host\":{host},\"length\":{},\"synthetic\":{}}}",
            self.id,
            self.kind,
            text(&self.name),
            places.join(","),
            self.real.len(),
            text(&String::from_utf8_lossy(&self.synthetic)),
        )
    }

    /// The length of the real value; all that can be asked about it.
    ///
    /// ```
    /// # use shieldrun_secrets::{Registry, RunKey, substitute_env};
    /// # let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    /// # substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
    /// assert_eq!(registry.entries()[0].real_len(), 24);
    /// ```
    pub fn real_len(&self) -> usize {
        self.real.len()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

pub(crate) fn note(ids: &mut Vec<SecretId>, id: SecretId) {
    if !ids.contains(&id) {
        ids.push(id);
    }
}

/// Whether the two agree in eight or more places in a row where something could have been drawn.
///
/// Only the same offsets are compared: prefixes, separators and the marker agree by design, so runs that
/// hold fewer than eight alphanumeric characters in a row do not count; a whole kept prefix is shorter.
fn shares_run(synthetic: &[u8], real: &[u8]) -> bool {
    if synthetic.len() != real.len() || real.len() > 4096 {
        return false;
    }
    let mut run = 0;
    for (a, b) in synthetic.iter().zip(real).rev().take(real.len().saturating_sub(12)) {
        run = if a == b && a.is_ascii_alphanumeric() { run + 1 } else { 0 };
        if run >= 8 {
            return true;
        }
    }
    false
}
