//! What must hold for every kind in the table, over generated credentials.
//!
//! `SHIELDRUN_CASES=10000 cargo test -p shieldrun-secrets every_` is the long run; `ci/secrets-report.sh` does it.

use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZero;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::derive::{RunKey, Stream};
use crate::kinds::{Check, KINDS, Kind, Part, Set};
use crate::mold::{Form, Weak, form_of, forms_in};
use crate::registry::{Draw, Place, Registry};

pub(crate) fn cases() -> u32 {
    std::env::var("SHIELDRUN_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

/// A credential of this kind as its issuer would draw it; the checksum is put right by the interpreter.
fn generated(kind: &Kind, stream: &mut Stream, case: u32) -> Vec<u8> {
    let mut out = Vec::new();
    if !kind.prefixes.is_empty() {
        out.extend_from_slice(kind.prefixes[case as usize % kind.prefixes.len()].as_bytes());
    }
    for part in kind.parts {
        match *part {
            Part::Lit(text) => out.extend_from_slice(text.as_bytes()),
            Part::Any(words) => out.extend_from_slice(words[case as usize % words.len()].as_bytes()),
            Part::Body(set, min, max) | Part::Kept(set, min, max) => {
                let spread = usize::from((max - min).min(40)) + 1;
                let len = usize::from(min) + case as usize % spread;
                if set == Set::HexDash && len == 36 {
                    out.extend((0..36).map(|at| {
                        if [8, 13, 18, 23].contains(&at) {
                            b'-'
                        } else {
                            stream.pick(Set::HexLower.alphabet())
                        }
                    }));
                    continue;
                }
                // What may only stand inside does not stand at an end.
                let alphabet: Vec<u8> =
                    set.alphabet().iter().copied().filter(u8::is_ascii_alphanumeric).collect();
                out.extend((0..len).map(|_| stream.pick(&alphabet)));
            }
            Part::Sum(set, len) => out.extend((0..len).map(|_| stream.pick(set.alphabet()))),
        }
    }
    out
}

fn form(text: &[u8]) -> Form {
    form_of(text, Weak::Count).unwrap_or_else(|| panic!("{} is of no kind", String::from_utf8_lossy(text)))
}

/// What one run makes of credentials.
struct Run(Registry, Place);

impl Run {
    fn new(key: u8) -> Self {
        Self(Registry::new(RunKey::from_bytes([key; 32])), Place::Env(String::from("X")))
    }

    fn make(&mut self, kind: &'static str, real: &[u8]) -> Vec<u8> {
        let form = form(real);
        let id =
            self.0.intern(kind, "X", &self.1, real, Draw::Keyed, |stream, real| form.synthetic(stream, real));
        self.0.synthetic_of(id).to_vec()
    }
}

#[test]
fn every_kind_keeps_its_promises() {
    on_all_cores(KINDS, keeps_its_promises);
}

pub(crate) fn on_all_cores<T: Sync>(items: &'static [T], each: impl Fn(&'static T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    each(item);
                }
            });
        }
    });
}

fn keeps_its_promises(kind: &'static Kind) {
    let key = RunKey::from_bytes([42; 32]);
    let index = KINDS.iter().position(|other| core::ptr::eq(other, kind)).unwrap_or(0);
    let mut stream = key.keyed(kind.name, &index.to_le_bytes(), 0);
    let (mut first, mut same, mut other) = (Run::new(1), Run::new(1), Run::new(2));
    for case in 0..cases() {
        let raw = generated(kind, &mut stream, case);
        // An issuer's checksum is right: putting it right is what `synthetic` does last.
        let real = if kind.check == Check::None { raw } else { form(&raw).synthetic(&mut stream, &raw) };
        let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let found = form(&real);
        assert_eq!(found.kind.name, kind.name, "{}", shown(&real));
        let synthetic = first.make(kind.name, &real);
        let about = || std::format!("{}: {} became {}", kind.name, shown(&real), shown(&synthetic));
        assert_eq!(synthetic.len(), real.len(), "{}", about());
        let again = form(&synthetic);
        assert_eq!(again.kind.name, kind.name, "{}", about());
        assert_ne!(again.checksum_holds(&synthetic), Some(false), "{}", about());
        let checked = found.kind.check != Check::None;
        assert_eq!(again.checksum_holds(&synthetic).is_some(), checked, "{}", about());
        let prefix = kind
            .prefixes
            .iter()
            .any(|p| real.starts_with(p.as_bytes()) && synthetic.starts_with(p.as_bytes()));
        assert!(prefix || kind.prefixes.is_empty(), "{}", about());
        // A generated credential whose checksum was put right has the marker as well; that may be shared.
        let plain = without_marker(&real);
        let mut real_runs: Vec<u64> = found.runs(&plain).collect();
        real_runs.sort_unstable();
        assert!(again.runs(&synthetic).all(|run| real_runs.binary_search(&run).is_err()), "{}", about());
        // Inside a text it is found by the fast pass, wherever it begins.
        if !kind.weak {
            let before = case as usize % 9;
            let text = [&b"\"= \":=  "[..before], &real, b"\n"].concat();
            let places: Vec<_> = forms_in(&text).iter().map(|(at, form)| (*at, form.len)).collect();
            assert_eq!(places, [(before, real.len())], "not found in a text: {}", about());
        }
        assert_ne!(synthetic, real, "{}", about());
        assert_eq!(synthetic, same.make(kind.name, &real), "not stable: {}", about());
        assert_ne!(synthetic, other.make(kind.name, &real), "the same in another run: {}", about());
        let room = found.secret_ranges().any(|r| r.len() >= 17) && kind.parts.iter().any(has_letters);
        let marked = crate::entropy::contains(&synthetic.to_ascii_uppercase(), b"SHIELDRUN");
        assert!(marked || !room, "no marker: {}", about());
    }
}

fn without_marker(text: &[u8]) -> Vec<u8> {
    let upper = text.to_ascii_uppercase();
    let mut out = text.to_vec();
    if let Some(at) = crate::url::find(&upper, b"SHIELDRUN", 0) {
        out[at..at + 9].fill(0);
    }
    out
}

fn has_letters(part: &Part) -> bool {
    let marker =
        |set: Set| b"SHIELDRUN".iter().all(|b| set.has(*b)) || b"shieldrun".iter().all(|b| set.has(*b));
    matches!(part, Part::Body(set, min, _) if *min >= 17 && marker(*set))
}

#[test]
fn there_are_many_kinds_and_each_has_a_secret() {
    let mut names: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
    names.dedup();
    assert!(names.len() >= 150, "{}", names.len());
    for kind in KINDS {
        assert!(kind.parts.iter().any(|p| matches!(p, Part::Body(..))), "{}", kind.name);
        assert!(!kind.prefixes.is_empty() || kind.anchor.is_some(), "{}", kind.name);
        assert!(kind.weak || kind.prefixes.iter().all(|p| p.len() >= 2), "{}", kind.name);
    }
}
