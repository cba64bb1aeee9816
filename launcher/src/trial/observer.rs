//! Owns what is recorded while the command runs, as facts.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use shieldrun_policy::audit::{self, Action, Event, Outcome, Provider, SecretRef};
use shieldrun_policy::verdict::LeakRecord;
use shieldrun_secrets::Registry;

use super::event;
use crate::audit::Sender;
use crate::limits::{self, Meter, Reached};
use crate::stdio::Stream;
use crate::supervise::{Leak, Observer};

/// Sends what the supervisor sees to the record.
pub(super) struct Watcher {
    sender: Sender,
    kinds: BTreeMap<String, &'static str>,
    /// Leaks, for the result.
    pub leaks: Vec<LeakRecord>,
    /// Measures the run, and ends it by its init.
    meter: Option<(Meter, OwnedFd)>,
    /// The limit that ended it.
    pub reached: Option<Reached>,
}

impl Watcher {
    /// One for a run with these secrets.
    pub(super) fn new(sender: Sender, registry: &Registry) -> Self {
        let kinds = registry.entries().iter().map(|entry| (entry.id.to_string(), entry.kind)).collect();
        Self { sender, kinds, leaks: Vec::new(), meter: None, reached: None }
    }

    /// The same, with an eye on how far the run goes.
    pub(super) fn measuring(self, meter: Option<Meter>, init: OwnedFd) -> Self {
        Self { meter: meter.map(|meter| (meter, init)), ..self }
    }

    /// The kernel ended it, at a limit that it keeps itself. What the watch said before stands.
    pub(super) fn ran_out(&mut self, reached: Reached) {
        if self.reached.is_none() {
            self.tell(reached);
        }
    }

    fn tell(&mut self, reached: Reached) {
        self.reached = Some(reached);
        self.sender.send(
            event(Action::LimitReached)
                .limit(reached.key)
                .message(audit::Text::from_bytes(reached.to_string().as_bytes())),
        );
    }
}

impl Observer for Watcher {
    fn leak(&mut self, stream: Stream, leak: &Leak) {
        let kind = self.kinds.get(&leak.id).copied().unwrap_or("secret");
        let secret = SecretRef { id: leak.id.clone(), kind: kind.into(), name: leak.name.clone() };
        let place = audit::Leak { place: stream.to_string(), encoding: leak.encoding.into() };
        self.sender.send(event(Action::LeakStopped).secret(secret).leak(place).outcome(Outcome::Success));
        self.leaks.push(LeakRecord {
            name: leak.name.clone(),
            kind: kind.to_owned(),
            place: stream.to_string(),
            encoding: leak.encoding.to_owned(),
        });
    }

    fn timed_out(&mut self, limit: Duration) {
        self.sender.send(event(Action::TimedOut).duration(limit).limit("limits.timeout_seconds"));
    }

    fn interval(&self) -> Option<Duration> {
        self.meter.as_ref().map(|_| limits::INTERVAL)
    }

    /// Killed first, told afterwards: each moment counts.
    fn tick(&mut self) {
        let Some((meter, init)) = &mut self.meter else { return };
        let Some(reached) = meter.look() else { return };
        let _ = pidfd_send_signal(&*init, Signal::KILL);
        self.meter = None;
        self.tell(reached);
    }

    fn output_closed(&mut self, stream: Stream, errno: Errno) {
        if errno != Errno::PIPE {
            let lost = audit::Dropped {
                events: 0,
                provider: Some(Provider::Launcher),
                place: stream.to_string().into(),
            };
            let message = format!("the outside took no more of {stream}: {errno}");
            self.sender.send(Event::message(
                event(Action::EventsDropped).dropped(lost),
                message.as_bytes().into_text(),
            ));
        }
    }
}

trait IntoText {
    fn into_text(self) -> audit::Text;
}

impl IntoText for &[u8] {
    fn into_text(self) -> audit::Text {
        audit::Text::from_bytes(self)
    }
}
