//! One synthetic for one credential, outside any run: for fixtures and scripts.

use alloc::string::String;
use alloc::vec::Vec;

use crate::detect::{Confidence, Subject, detect};
use crate::mold::{Weak, form_of};
use crate::registry::{Place, Registry, RunKey};
use crate::value::{Context, Rule, rewrite};

/// Whether a synthetic's checksum holds.
///
/// ```
/// use shieldrun_secrets::{Checksum, Confidence, RunKey, Subject, detect, synthesize_one};
/// let form = ["ghp_", &"k3Jd8sLq0Z".repeat(4)[..36]].concat();
/// let sure = |checksum| {
///     let made = synthesize_one(RunKey::from_bytes([1; 32]), form.as_bytes(), None, checksum);
///     detect(&made.synthetic, Subject::default())[0].confidence
/// };
/// assert_eq!(sure(Checksum::Valid), Confidence::High);
/// assert_eq!(sure(Checksum::Invalid), Confidence::Low);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// As in a real one.
    #[default]
    Valid,
    /// Wrong, so that scanners which check it stay quiet.
    Invalid,
}

/// What stands in for a credential.
///
/// ```
/// use shieldrun_secrets::{Checksum, Confidence, RunKey, synthesize_one};
/// let made = synthesize_one(RunKey::from_bytes([1; 32]), b"correct horse", Some("PIN"), Checksum::Valid);
/// assert_eq!((made.kind, made.synthetic.len()), ("password", 13));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synthesis {
    /// What the credential is; `generic-secret` if its form is unknown.
    pub kind: &'static str,
    /// How sure that is.
    pub confidence: Confidence,
    /// Another one like it.
    pub synthetic: Vec<u8>,
}

/// Another credential like this one. The same key gives the same answer.
///
/// ```
/// use shieldrun_secrets::{Checksum, RunKey, synthesize_one};
/// let made = synthesize_one(RunKey::from_bytes([1; 32]), b"postgres://app:s3cr3t-w0rd@db/app", None, Checksum::Valid);
/// assert_eq!(made.kind, "database-password");
/// assert!(made.synthetic.starts_with(b"postgres://app:") && made.synthetic.ends_with(b"@db/app"));
/// ```
pub fn synthesize_one(key: RunKey, real: &[u8], name: Option<&str>, checksum: Checksum) -> Synthesis {
    let mut registry = Registry::new(key);
    let place = Place::Env(String::from(name.unwrap_or("")));
    let mut made = None;
    for rule in [Rule::ByRules, Rule::Forced] {
        let cx = Context { name: name.unwrap_or("secret"), place: &place, rule };
        made = made.or_else(|| rewrite(&mut registry, &cx, real));
    }
    let Some(made) = made else {
        return Synthesis { kind: "generic-secret", confidence: Confidence::Low, synthetic: real.to_vec() };
    };
    let kind = made.ids.first().and_then(|id| registry.entry(*id)).map_or("generic-secret", |e| e.kind);
    let found = detect(real, Subject { name });
    let confidence = found.iter().map(|f| f.confidence).max().unwrap_or(Confidence::Low);
    let mut synthetic = made.bytes;
    if checksum == Checksum::Invalid
        && let Some(form) = form_of(&synthetic, Weak::Count)
    {
        form.break_checksum(&mut synthetic);
    }
    Synthesis { kind, confidence, synthetic }
}
