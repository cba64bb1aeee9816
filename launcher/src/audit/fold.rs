//! Folding: the same thing again is a count, not a line.
//!
//! The first of its kind is written at once. Repeats are counted and written as one line a second at most, with
//! the times of the first and the last. Memory is bounded, and so is what a guest can make us write: names come
//! from inside, and a guest can make up as many as it likes.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use shieldrun_policy::audit::{Action, Event, Folding, Provider, Timestamp};

/// At most one line of a kind in this time.
const PERIOD: Duration = Duration::from_secs(1);

/// A kind that was not seen for so long makes room for another when room is short.
const IDLE: Duration = Duration::from_secs(10);

/// What may be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of events kept as samples.
    pub(super) memory: usize,
    /// Lines for first claims of their kind in a run; more are counted together.
    pub(super) first_claims: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        // About 10,000 kinds, and about 100 MB of lines.
        Bounds { memory: 4 << 20, first_claims: 200_000 }
    }
}

/// The kinds that are being counted.
pub(super) struct Fold {
    bounds: Bounds,
    kinds: HashMap<u64, Kind>,
    hasher: RandomState,
    weight: usize,
    first_claims: u64,
    others: BTreeMap<(Action, Provider), Others>,
    swept: Option<Instant>,
    due: Option<Instant>,
}

/// One kind: the first event of it, and how many since the last line.
struct Kind {
    sample: Event,
    weight: usize,
    since_line: Count,
    written: Instant,
    touched: Instant,
}

/// Kinds that there is no room to tell apart.
struct Others {
    since_line: Count,
    written: Option<Instant>,
}

#[derive(Default, Clone, Copy)]
struct Count {
    events: u64,
    during: Option<(Timestamp, Timestamp)>,
}

impl Count {
    fn add(&mut self, event: &Event) {
        let (first, last) = event.during().unwrap_or((event.at(), event.at()));
        self.events = self.events.saturating_add(event.count());
        self.during = Some(self.during.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
    }

    /// The count as a line, if there is one to write.
    fn line(&mut self, sample: &Event) -> Option<Event> {
        let Count { events, during } = std::mem::take(self);
        let (first, last) = during?;
        Some(sample.clone().repeated(events, first, last))
    }
}

impl Fold {
    pub(super) fn new(bounds: Bounds) -> Self {
        Fold {
            bounds,
            kinds: HashMap::new(),
            hasher: RandomState::new(),
            weight: 0,
            first_claims: 0,
            others: BTreeMap::new(),
            swept: None,
            due: None,
        }
    }

    /// Takes an event; gives it back if it is to be written now.
    pub(super) fn take(&mut self, event: Event, now: Instant) -> Option<Event> {
        if event.action().folding() == Folding::Never {
            return Some(event);
        }
        let key = self.hasher.hash_one(event.subject());
        if let Some(kind) = self.kinds.get_mut(&key) {
            if kind.sample.subject() != event.subject() {
                // Two kinds of one hash: once in a very long while, and then it is not folded.
                return Some(event);
            }
            kind.since_line.add(&event);
            kind.touched = now;
            self.wake(now);
            return None;
        }
        let weight = event.weight();
        let claim = event.trust().is_claim();
        if !self.has_room(weight, now) || (claim && self.first_claims >= self.bounds.first_claims) {
            let others = self
                .others
                .entry((event.action(), event.provider()))
                .or_insert(Others { since_line: Count::default(), written: None });
            others.since_line.add(&event);
            self.wake(now);
            return None;
        }
        self.first_claims += u64::from(claim);
        self.weight += weight;
        let kind =
            Kind { sample: event.clone(), weight, since_line: Count::default(), written: now, touched: now };
        self.kinds.insert(key, kind);
        Some(event)
    }

    /// When [`Fold::flush`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Gives the counts that are a period old.
    pub(super) fn flush(&mut self, now: Instant, out: &mut Vec<Event>) {
        let ripe = |written: Instant| now.saturating_duration_since(written) >= PERIOD;
        let mut waiting = false;
        for kind in self.kinds.values_mut().filter(|kind| kind.since_line.events > 0) {
            if ripe(kind.written) {
                out.extend(kind.since_line.line(&kind.sample));
                kind.written = now;
            } else {
                waiting = true;
            }
        }
        for ((action, provider), others) in self.others.iter_mut().filter(|(_, o)| o.since_line.events > 0) {
            if others.written.is_none_or(ripe) {
                out.extend(others.line(*action, *provider));
                others.written = Some(now);
            } else {
                waiting = true;
            }
        }
        self.due = waiting.then(|| now + PERIOD);
    }

    /// Gives every count: the log ends.
    pub(super) fn flush_all(&mut self, out: &mut Vec<Event>) {
        for kind in self.kinds.values_mut() {
            out.extend(kind.since_line.line(&kind.sample));
        }
        for ((action, provider), others) in &mut self.others {
            out.extend(others.line(*action, *provider));
        }
        self.due = None;
    }

    fn wake(&mut self, now: Instant) {
        self.due.get_or_insert(now + PERIOD);
    }

    /// Whether another sample fits, after kinds that are idle made room.
    fn has_room(&mut self, weight: usize, now: Instant) -> bool {
        if self.weight + weight <= self.bounds.memory {
            return true;
        }
        // Not at every event: a guest that floods must not make us walk the table each time.
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= PERIOD) {
            self.swept = Some(now);
            let total = &mut self.weight;
            self.kinds.retain(|_, kind| {
                let keep = kind.since_line.events > 0 || now.saturating_duration_since(kind.touched) < IDLE;
                if !keep {
                    *total -= kind.weight;
                }
                keep
            });
        }
        self.weight + weight <= self.bounds.memory
    }
}

impl Others {
    fn line(&mut self, action: Action, provider: Provider) -> Option<Event> {
        let (first, last) = self.since_line.during?;
        let events = std::mem::take(&mut self.since_line).events;
        let event = Event::new(last, action, provider)
            .message("of other processes or names; too many to tell apart")
            .repeated(events, first, last);
        Some(event)
    }
}
