//! The secrets as the broker needs them: tables for both directions, and which secret belongs to which host.
//!
//! Owns what is learned while the run goes on, in a registry that goes on where the run's own ends. Does not
//! decide over a request: it says what may be swapped, `head` and `outgoing` act on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use shieldrun_secrets::{Direction, Entry, Hit, Place, Registry, RunKey, Scanner, SecretId, Swap};
use zeroize::Zeroizing;

use super::settings::{Binding, Fields, Hosts};
use crate::flow::HostName;
use crate::ledger::Part;

/// Kinds that are used in a path, and nowhere else.
const IN_PATHS: &[&str] = &["slack-webhook", "discord-webhook", "telegram-bot-token"];

/// The secrets of a run.
pub struct Swaps {
    registry: Arc<Registry>,
    learned: Mutex<Registry>,
    valid_at: RwLock<HashMap<SecretId, Hosts>>,
    tables: RwLock<Arc<Tables>>,
    learner: Option<Box<dyn Learn>>,
}

/// Hears of a credential that was handed out while the run goes on. Must not block.
pub trait Learn: Send + Sync + 'static {
    /// One more.
    fn learned(&self, learned: Learned<'_>);
}

/// A credential that was handed out, and what the guest sees of it.
pub struct Learned<'a> {
    /// Its number, which goes on where the run's registry ends.
    pub secret: SecretId,
    /// The field it came in.
    pub name: &'a str,
    /// The host that handed it out.
    pub from: &'a HostName,
    /// What the guest was shown.
    pub synthetic: &'a [u8],
    /// What it is; wiped when dropped.
    pub real: Zeroizing<Vec<u8>>,
    /// The secrets that the request was made with: what it renews, where it renews something.
    pub asked_with: &'a [SecretId],
}

/// What is looked for on the wire.
pub(super) struct Tables {
    /// Real values, in every encoding.
    pub(super) leak: Scanner,
    /// Synthetic values, in every encoding.
    pub(super) trip: Scanner,
    /// Synthetic to real.
    pub(super) reveal: Swap,
    /// Real to synthetic.
    pub(super) conceal: Swap,
    /// Both scanners for names of headers, made when one is looked at.
    small: OnceLock<[Scanner; 2]>,
}

/// How a secret may be used in a part of a request to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Not at all.
    Not,
    /// As the value of a field that is named like a credential.
    Named,
    /// As the value of any field.
    Any,
}

impl Swaps {
    /// The secrets of this registry; `key` is for those that are learned and must be fresh.
    pub fn new(registry: Arc<Registry>, key: RunKey) -> Self {
        let learned = registry.following(key);
        let tables = RwLock::new(Arc::new(Tables::over(&[&registry, &learned])));
        Self { registry, learned: Mutex::new(learned), valid_at: RwLock::default(), tables, learner: None }
    }

    /// Tells somebody of each credential that is handed out.
    #[must_use]
    pub fn telling(self, learner: impl Learn) -> Self {
        Self { learner: Some(Box::new(learner)), ..self }
    }

    /// What to look for now.
    pub(super) fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How this secret may be used there.
    pub(super) fn usable(&self, id: SecretId, at: &HostName, part: Part, bindings: &[Binding]) -> Use {
        let Some(entry) = self.registry.entry(id) else {
            let valid = self.valid_at.read().unwrap_or_else(PoisonError::into_inner);
            let here = valid.get(&id).is_some_and(|hosts| hosts.contains(at));
            return if here && part != Part::Path { Use::Named } else { Use::Not };
        };
        let ours = |b: &&Binding| b.secret.is(entry) && b.hosts.contains(at) && b.parts.contains(&part);
        let mut bound = bindings.iter().filter(ours).map(|binding| binding.fields).peekable();
        if bound.peek().is_some() {
            let only_named =
                matches!(part, Part::Query | Part::Body) && bound.all(|of| of == Fields::Credentials);
            return if only_named { Use::Named } else { Use::Any };
        }
        if !by_kind(entry).is_some_and(|hosts| hosts.contains(at)) {
            return Use::Not;
        }
        match (part, IN_PATHS.contains(&entry.kind)) {
            (Part::Path, true) | (Part::Header | Part::Signature, false) => Use::Any,
            // AWS is asked with signatures; its secrets stand in no field.
            (Part::Query | Part::Body, false) if !entry.kind.starts_with("aws-") => Use::Named,
            _ => Use::Not,
        }
    }

    /// Whether a body to this host may change its length by a swap.
    pub(super) fn is_uneven(&self, at: &HostName, bindings: &[Binding]) -> bool {
        let tables = self.tables();
        let learned = self.valid_at.read().unwrap_or_else(PoisonError::into_inner);
        let ids: Vec<SecretId> =
            self.registry.entries().iter().map(|entry| entry.id).chain(learned.keys().copied()).collect();
        drop(learned);
        ids.into_iter()
            .any(|id| tables.reveal.is_uneven(id) && self.usable(id, at, Part::Body, bindings) != Use::Not)
    }

    /// Whether anything at all is swapped at this host.
    pub(super) fn is_bound(&self, at: &HostName, bindings: &[Binding]) -> bool {
        let learned = self.valid_at.read().unwrap_or_else(PoisonError::into_inner);
        self.registry.entries().iter().any(|entry| by_kind(entry).is_some_and(|hosts| hosts.contains(at)))
            || bindings.iter().any(|binding| binding.hosts.contains(at))
            || learned.values().any(|hosts| hosts.contains(at))
    }

    /// Everywhere that these secrets belong.
    pub(super) fn hosts_of(&self, ids: &[SecretId], bindings: &[Binding]) -> Hosts {
        let mut all = Hosts::default();
        let valid = self.valid_at.read().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if let Some(hosts) = valid.get(id) {
                all.extend(hosts);
            }
            let Some(entry) = self.registry.entry(*id) else { continue };
            if let Some(hosts) = by_kind(entry) {
                all.extend(&hosts);
            }
            for binding in bindings.iter().filter(|binding| binding.secret.is(entry)) {
                all.extend(&binding.hosts);
            }
        }
        all
    }

    /// The secret whose synthetic is just this text.
    pub(super) fn shown_as(&self, text: &[u8]) -> Option<SecretId> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        self.registry.shown_as(text).or_else(|| learned.shown_as(text))
    }

    /// The real value of a secret, in a buffer that wipes itself.
    pub(super) fn real(&self, id: SecretId) -> Zeroizing<Vec<u8>> {
        let mut real = Zeroizing::new(Vec::new());
        self.registry.write_real(id, &mut real);
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).write_real(id, &mut real);
        real
    }

    /// What the guest was given in the place of a secret of the run's.
    pub(super) fn synthetic(&self, id: SecretId) -> Option<Vec<u8>> {
        self.registry.entry(id).map(|entry| entry.synthetic().to_vec())
    }

    /// The secrets that belong together with this one, by kind.
    pub(super) fn partner(&self, id: SecretId, kind: &str) -> Option<SecretId> {
        let group = self.registry.entry(id)?.group?;
        let partner = |entry: &&Entry| entry.group == Some(group) && entry.kind == kind;
        self.registry.entries().iter().find(|entry| partner(entry)).map(|entry| entry.id)
    }

    /// Takes in a credential that was handed out, valid at these hosts; says what to show in its place.
    pub(super) fn learn(
        &self,
        name: &str,
        from: &HostName,
        real: &[u8],
        valid_at: &Hosts,
        asked_with: &[SecretId],
    ) -> Option<Vec<u8>> {
        if let Some(known) = self.registry.hidden_as(real) {
            return self.registry.entry(known).map(|entry| entry.synthetic().to_vec());
        }
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Place::File { path: format!("https://{from}"), field: name.to_owned() };
        let shown = learned.learn_value(name, place, real)?;
        let mut valid = self.valid_at.write().unwrap_or_else(PoisonError::into_inner);
        for id in &shown.ids {
            valid.entry(*id).or_default().extend(valid_at);
        }
        let tables = Arc::new(Tables::over(&[&self.registry, &learned]));
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = tables;
        if let (Some(learner), Some(secret)) = (&self.learner, shown.ids.first()) {
            let real = Zeroizing::new(real.to_vec());
            let (secret, synthetic) = (*secret, shown.bytes.as_slice());
            learner.learned(Learned { secret, name, from, synthetic, real, asked_with });
        }
        Some(shown.bytes)
    }
}

impl Tables {
    fn over(registries: &[&Registry]) -> Self {
        Self {
            leak: Scanner::over(registries),
            trip: Scanner::over_synthetics(registries),
            reveal: Swap::new(registries, Direction::Reveal),
            conceal: Swap::new(registries, Direction::Conceal),
            small: OnceLock::new(),
        }
    }

    /// A real value, and a synthetic one, that a header has for its name. They are known in small letters only, but
    /// may go on in those that the guest wrote.
    pub(super) fn in_name(&self, name: &[u8]) -> [Option<Hit>; 2] {
        let small = self.small.get_or_init(|| [&self.leak, &self.trip].map(Scanner::in_small_letters));
        small.each_ref().map(|small| small.stream().feed(small, name))
    }
}

fn by_kind(entry: &Entry) -> Option<Hosts> {
    entry.host().map(Hosts::at_and_below)
}

impl std::fmt::Debug for Swaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Swaps").field("secrets", &self.registry.entries().len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Learned<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learned")
            .field("secret", &self.secret)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
