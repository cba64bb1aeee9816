//! The writer's loop: take what is there, fold, chain, hand out; sleep until there is more or a count is due.
//!
//! An idle log writes an event as it comes, and then lets a moment's events gather: under load many go out in one
//! write, and nobody who sends one pays for waking the writer.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use shieldrun_policy::audit::{Action, Dropped, Event, Provider};

use super::chain::Chain;
use super::fold::{Bounds, Fold};
use super::relay::Relay;
use super::sink::{Live, Record, Sink, Started};
use super::{LogSummary, Losses, Message};

/// Events that go out in one write at most.
const BATCH: usize = 512;

/// How long events gather after a write. Whoever ends the log cuts it short.
const GATHER: Duration = Duration::from_millis(2);

/// How often losses are said, and a full disk is tried again.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    chain: Chain,
    fold: Fold,
    record: Record,
    live: Vec<Live>,
    relays: Vec<Relay>,
    losses: Arc<Losses>,
    /// Losses of each provider that a line has said already.
    said: [u64; Provider::ALL.len()],
    said_lost: u64,
    checked: Instant,
    dropped: u64,
    buffer: Vec<u8>,
    buffered: u64,
}

impl Writer {
    pub(super) fn new(record: File, sinks: Vec<Sink>, run_id: &str, losses: Arc<Losses>) -> io::Result<Self> {
        let (mut live, mut relays) = (Vec::new(), Vec::new());
        for sink in sinks {
            match sink.start()? {
                Started::Live(sink) => live.push(sink),
                Started::Relay(relay) => relays.push(relay),
            }
        }
        Ok(Writer {
            chain: Chain::new(run_id),
            fold: Fold::new(Bounds::default()),
            record: Record::new(record),
            live,
            relays,
            losses,
            said: [0; Provider::ALL.len()],
            said_lost: 0,
            checked: Instant::now(),
            dropped: 0,
            buffer: Vec::new(),
            buffered: 0,
        })
    }

    pub(super) fn run(mut self, queue: &Receiver<Message>) -> LogSummary {
        loop {
            let message = match self.wait() {
                Some(deadline) => queue.recv_deadline(deadline),
                None => queue.recv().map_err(RecvTimeoutError::from),
            };
            let mut batch = 0;
            match message {
                Ok(Message::Event(event)) => {
                    // One look at the clock for the batch: folding counts in seconds.
                    let now = Instant::now();
                    self.take(*event, now);
                    batch = 1;
                    for message in queue.try_iter().take(BATCH) {
                        match message {
                            Message::Event(event) => self.take(*event, now),
                            Message::Finish(last) => return self.finish(*last),
                        }
                        batch += 1;
                    }
                }
                Ok(Message::Finish(last)) => return self.finish(*last),
                Err(RecvTimeoutError::Timeout) => {}
                // Every sender is gone without a farewell: the launcher is unwinding. Keep what there is.
                Err(RecvTimeoutError::Disconnected) => return self.end(None),
            }
            self.keep_time();
            self.flush();
            // After a full batch somebody may be waiting for room.
            if (1..BATCH).contains(&batch) {
                std::thread::park_timeout(GATHER);
            }
        }
    }

    /// Until when there is nothing to do without an event.
    fn wait(&self) -> Option<Instant> {
        let retry = (self.record.is_waiting() || self.has_unsaid()).then(|| self.checked + PERIOD);
        [self.fold.due(), retry].into_iter().flatten().min()
    }

    fn take(&mut self, event: Event, now: Instant) {
        if let Some(event) = self.fold.take(event, now) {
            self.append(&event);
        }
    }

    fn append(&mut self, event: &Event) {
        self.dropped += event.dropped_events();
        self.chain.append(event, &mut self.buffer);
        self.buffered += 1;
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if self.fold.due().is_some_and(|due| due <= now) {
            let mut lines = Vec::new();
            self.fold.flush(now, &mut lines);
            lines.iter().for_each(|line| self.append(line));
        }
        if now.saturating_duration_since(self.checked) >= PERIOD {
            self.checked = now;
            self.record.retry();
            self.say_losses();
        }
    }

    fn has_unsaid(&self) -> bool {
        self.record.lost() > self.said_lost
            || Provider::ALL.iter().any(|provider| {
                self.losses.count(*provider).load(Ordering::Relaxed) > self.said[*provider as usize]
            })
    }

    /// A line for what was lost since the last such line.
    fn say_losses(&mut self) {
        for provider in Provider::ALL {
            let lost = self.losses.count(provider).load(Ordering::Relaxed);
            let said = &mut self.said[provider as usize];
            let events = lost - *said;
            *said = lost;
            if events > 0 {
                self.say_loss(Dropped { events, provider: Some(provider), place: "queue".into() });
            }
        }
        // While the disk takes nothing this line would be lost too.
        let lost = self.record.lost();
        if lost > self.said_lost && !self.record.is_waiting() {
            let events = lost - self.said_lost;
            self.said_lost = lost;
            let line = dropped(Dropped { events, provider: None, place: "record".into() });
            self.chain.append(&line, &mut self.buffer);
            self.buffered += 1;
        }
    }

    fn say_loss(&mut self, loss: Dropped) {
        self.append(&dropped(loss));
    }

    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        self.record.write(&self.buffer, self.buffered);
        if !self.live.is_empty() {
            let bytes: Arc<[u8]> = self.buffer.as_slice().into();
            self.live.iter_mut().for_each(|live| live.offer(&bytes, self.buffered));
        }
        // The record is what they read.
        let there = self.chain.lines().saturating_sub(self.record.lost());
        self.relays.iter().for_each(|relay| relay.written(there));
        self.buffer.clear();
        self.buffered = 0;
        // One line of a megabyte must not keep a megabyte for the rest of the run.
        self.buffer.shrink_to(256 << 10);
    }

    /// What each receiver that was down or is behind has not taken.
    fn settle_relays(&self) -> Vec<(String, u64)> {
        std::thread::scope(|scope| {
            let settle = |relay: &'_ Relay| (relay.name().to_owned(), relay.settle());
            let threads: Vec<_> =
                self.relays.iter().map(|relay| scope.spawn(move || settle(relay))).collect();
            let settled = threads.into_iter().filter_map(|thread| thread.join().ok());
            settled.filter(|(_, events)| *events > 0).collect()
        })
    }

    fn finish(self, last: Event) -> LogSummary {
        self.end(Some(last))
    }

    fn end(mut self, last: Option<Event>) -> LogSummary {
        let mut lines = Vec::new();
        self.fold.flush_all(&mut lines);
        lines.iter().for_each(|line| self.append(line));
        self.record.retry();
        self.say_losses();
        self.flush();
        // Before the last line, which closes the record: all of them at once, or the times add up.
        for (name, events) in self.settle_relays() {
            let line = dropped(Dropped { events, provider: None, place: name.into() });
            self.chain.append(&line, &mut self.buffer);
            self.buffered += 1;
        }
        if let Some(last) = last {
            // The end says how much is missing, unless whoever made it has said so.
            let last = if self.dropped > 0 && last.dropped_events() == 0 {
                last.dropped(Dropped { events: self.dropped, provider: None, place: "run".into() })
            } else {
                last
            };
            self.chain.append(&last, &mut self.buffer);
            self.buffered += 1;
        }
        self.flush();
        let mut lost: Vec<_> = self.record.finish().into_iter().collect();
        let missing: u64 = lost.iter().map(|lost| lost.lines).sum();
        lost.extend(self.live.into_iter().filter_map(Live::finish));
        lost.extend(self.relays.into_iter().filter_map(Relay::finish));
        LogSummary {
            lines: self.chain.lines().saturating_sub(missing),
            dropped: self.dropped,
            last_hash: self.chain.last_hash().to_owned(),
            lost,
        }
    }
}

fn dropped(loss: Dropped) -> Event {
    Event::new(SystemTime::now(), Action::EventsDropped, Provider::Launcher).dropped(loss)
}
