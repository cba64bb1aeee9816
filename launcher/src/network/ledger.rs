//! Owns the notes of the network as events, and the end of a run that was about to leak.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::process::{Signal, pidfd_send_signal};
use shieldrun_egress::broker::{Learn, Learned};
use shieldrun_egress::{Destination, HostName, Ledger, Note, Origin, Refusal};
use shieldrun_policy::audit::{self, Action, Event, Process, Provider, SecretRef, Text};
use shieldrun_policy::verdict::{Denied, LeakRecord};
use shieldrun_secrets::{Registry, SecretId};

use super::Traffic;
use super::renewals::{Renewals, Renewed};
use crate::audit::Sender;
use crate::procfs;

/// More different refusals than this are not told apart in the result; the record has them all.
const TOLD: usize = 1000;
/// More processes than this are not remembered at once.
const KNOWN: usize = 4096;

#[derive(Debug)]
pub(super) struct Recorder {
    sender: SenderBox,
    /// More of them while the run goes on: what is handed out on the way has a name as well.
    secrets: Mutex<BTreeMap<SecretId, SecretRef>>,
    init: OwnedFd,
    told: Mutex<Told>,
    /// By the host's pid, as last seen.
    known: Mutex<BTreeMap<u32, Process>>,
}

/// A sender says nothing of itself.
struct SenderBox(Sender);

#[derive(Debug, Default)]
struct Told {
    denied: BTreeSet<(&'static str, String, &'static str)>,
    leak: Option<LeakRecord>,
    warnings: BTreeSet<String>,
}

impl Recorder {
    pub(super) fn new(sender: Sender, registry: &Registry, init: OwnedFd) -> Self {
        let secret = |entry: &shieldrun_secrets::Entry| {
            let named =
                SecretRef { id: entry.id.to_string(), kind: entry.kind.into(), name: entry.name.clone() };
            (entry.id, named)
        };
        let secrets = Mutex::new(registry.entries().iter().map(secret).collect());
        Self { sender: SenderBox(sender), secrets, init, told: Mutex::default(), known: Mutex::default() }
    }

    pub(super) fn told(&self) -> Traffic {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let denied = std::mem::take(&mut told.denied).into_iter().map(|(action, what, rule)| Denied {
            action: action.to_owned(),
            what,
            rule: Some(rule.to_owned()),
        });
        let denied = denied.collect();
        let warnings = std::mem::take(&mut told.warnings).into_iter().collect();
        Traffic { denied, leak: told.leak.take(), warnings }
    }

    fn deny(&self, action: Action, what: &str, rule: &'static str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.denied.len() < TOLD {
            told.denied.insert((action.word(), what.to_owned(), rule));
        }
    }

    /// Who it was. It is looked at while it is there: when a connection is over, its number may be another's.
    fn process(&self, origin: &Origin, is_over: bool) -> Option<Process> {
        let pid = origin.pid?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if is_over {
            return known.get(&pid).cloned();
        }
        let process = procfs::look(pid, self.init.as_fd())?;
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(pid, process.clone());
        Some(process)
    }

    /// That a file holds it now, or that the person has to log in anew.
    fn renewed(&self, secret: SecretRef, renewed: Renewed) {
        let path = Text::from_bytes(renewed.file.as_os_str().as_encoded_bytes());
        let event = Event::new(SystemTime::now(), Action::SecretRenewed, Provider::Egress);
        let event = event.secret(secret).file(path.clone());
        match renewed.done {
            Ok(()) => self.sender.0.send(event),
            Err(error) => {
                let message = format!("a renewed login could not be put into `{}`: {error}", path.as_str());
                self.sender.0.send(event.outcome(audit::Outcome::Failure).message(message.clone()));
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                told.warnings.insert(message);
            }
        }
    }

    fn secret(&self, id: SecretId) -> SecretRef {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.get(&id).cloned().unwrap_or_else(|| SecretRef {
            id: id.to_string(),
            kind: "secret".into(),
            name: String::new(),
        })
    }
}

/// Hears of the credentials that are handed out in answers, so that the record can name them and the person's own
/// files have them.
pub(super) struct Names {
    pub(super) recorder: Arc<Recorder>,
    pub(super) renewals: Renewals,
}

impl Learn for Names {
    fn learned(&self, learned: Learned<'_>) {
        let renewed = self.renewals.bring(&learned);
        let named = SecretRef {
            id: learned.secret.to_string(),
            kind: "token".into(),
            name: format!("{} of {}", learned.name, learned.from),
        };
        let mut secrets = self.recorder.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(learned.secret, named.clone());
        drop(secrets);
        if let Some(renewed) = renewed {
            self.recorder.renewed(named, renewed);
        }
    }
}

impl Ledger for Recorder {
    fn note(&self, origin: &Origin, note: Note) {
        let is_over = matches!(note, Note::Closed { .. });
        let event = |action| {
            let event = Event::new(SystemTime::now(), action, Provider::Egress);
            match self.process(origin, is_over) {
                Some(process) => event.process(process),
                None => event,
            }
        };
        let send = |event| self.sender.0.send(event);
        match note {
            Note::Allowed(to) => send(event(Action::ConnectionAllowed).destination(destination(&to))),
            Note::PassedThrough(to) => send(
                event(Action::ConnectionAllowed)
                    .destination(destination(&to))
                    .rule("network.passthrough")
                    .message("nobody looks into what is said to this host"),
            ),
            Note::Closed { to, sent, received, milliseconds } => send(
                event(Action::ConnectionClosed)
                    .destination(destination(&to))
                    .traffic(sent, received)
                    .duration(Duration::from_millis(milliseconds)),
            ),
            Note::Denied { to, why } => {
                let (rule, reason) = words(why);
                self.deny(Action::ConnectionDenied, &to, rule);
                send(event(Action::ConnectionDenied).destination(as_said(&to)).rule(rule).message(reason));
            }
            Note::NameDenied(name) => {
                let (rule, reason) = words(Refusal::NotListed);
                self.deny(Action::NameDenied, &name, rule);
                send(event(Action::NameDenied).destination(as_said(&name)).rule(rule).message(reason));
            }
            Note::Swapped { secret, to, .. } => {
                send(event(Action::SecretSwapped).secret(self.secret(secret)).destination(destination(&to)))
            }
            Note::Scrubbed { secret, from } => send(
                event(Action::SecretScrubbed).secret(self.secret(secret)).destination(destination(&from)),
            ),
            Note::SyntheticSeen { secret, to, .. } => {
                self.deny(Action::SyntheticSeen, &to.to_string(), "secrets");
                send(event(Action::SyntheticSeen).secret(self.secret(secret)).destination(destination(&to)));
            }
            Note::SyntheticHeard { secret, to, .. } => send(
                event(Action::SyntheticSeen)
                    .secret(self.secret(secret))
                    .destination(destination(&to))
                    .message("a model was told of it; it stayed a synthetic"),
            ),
            Note::Leak { secret, encoding, to } => {
                // Ended first, told afterwards: each moment counts.
                let _ = pidfd_send_signal(&self.init, Signal::KILL);
                let secret = self.secret(secret);
                let place = to.to_string();
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                told.leak.get_or_insert_with(|| LeakRecord {
                    name: secret.name.clone(),
                    kind: secret.kind.to_string(),
                    place: place.clone(),
                    encoding: encoding.clone(),
                });
                drop(told);
                send(
                    event(Action::LeakStopped)
                        .secret(secret)
                        .destination(destination(&to))
                        .leak(audit::Leak { place, encoding: encoding.into() })
                        .outcome(audit::Outcome::Success),
                );
            }
        }
    }
}

/// The rule that refused, and what it means.
const fn words(why: Refusal) -> (&'static str, &'static str) {
    match why {
        Refusal::NotListed => ("network.allow", "the host is not on the allowlist"),
        Refusal::Port => ("network.allow", "this port of the host is not on the allowlist"),
        Refusal::Address => ("network.address", "the address is not of the public network"),
        Refusal::Malformed => ("network.form", "it can be understood in more than one way"),
        Refusal::HostDiffers => ("network.form", "it names two different hosts"),
        Refusal::Request => ("network.allow", "the host is listed for some requests only"),
        Refusal::Credential => ("secrets", "the password is not the one that was given out for it"),
        Refusal::Unreachable => ("network.reach", "nothing answered"),
        Refusal::Limit => ("network.limit", "more at one time than there may be"),
    }
}

fn destination(to: &Destination) -> audit::Destination {
    let (domain, ip) = match &to.host {
        HostName::Name(name) => (Some(name.clone()), None),
        HostName::Address(address) => (None, Some(*address)),
    };
    audit::Destination {
        address: Some(Text::from_bytes(to.to_string().as_bytes())),
        domain,
        ip,
        port: Some(to.port),
    }
}

/// What the guest named, which may be anything.
fn as_said(text: &str) -> audit::Destination {
    let split = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = split.map_or((text, None), |(host, port)| (host, Some(port)));
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    audit::Destination {
        address: Some(Text::from_bytes(text.as_bytes())),
        domain: ip.is_none().then(|| host.to_owned()),
        ip,
        port,
    }
}

impl std::fmt::Debug for SenderBox {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sender")
    }
}
