//! The one writer of the audit log.
//!
//! Everyone sends events; one thread numbers them, folds repeats, chains the lines and hands them to the sinks.
//! Nobody else writes the log, so its order is one order. What an event is, is the policy crate's; who sends
//! which, is supervision's.

mod chain;
mod fold;
mod relay;
mod sink;
mod writer;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, TrySendError, bounded};
use shieldrun_policy::audit::{Event, Provider};

pub(crate) use chain::{Broken, Verified, verify};
pub(crate) use sink::Sink;

/// The running log.
pub(crate) struct Log {
    sender: Sender,
    thread: JoinHandle<LogSummary>,
}

/// Sends events to the log. One for each thread that has something to say.
#[derive(Clone)]
pub(crate) struct Sender {
    channel: crossbeam_channel::Sender<Message>,
    losses: Arc<Losses>,
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogSummary {
    /// Lines of the record.
    pub(crate) lines: u64,
    /// Events that no line speaks of, other than by a count.
    pub(crate) dropped: u64,
    /// SHA-256 of the last line, which the run's record keeps so that a cut end is seen.
    pub(crate) last_hash: String,
    /// Lines that did not reach a sink, with its name and the reason.
    pub(crate) lost: Vec<Lost>,
}

/// Lines that did not reach one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) sink: String,
    pub(crate) lines: u64,
    pub(crate) reason: String,
}

enum Message {
    Event(Box<Event>),
    Finish(Box<Event>),
}

/// What was not even queued.
#[derive(Default)]
struct Losses {
    by_provider: [AtomicU64; Provider::ALL.len()],
    stalled: AtomicBool,
}

/// Events waiting for the writer. With their names this is a few megabytes at worst. The queue itself is
/// touched as a whole when it is made: its slots are small, and not many more than a burst needs.
const QUEUE: usize = 4096;

/// A fact waits this long for a writer that is stuck (a full disk does not stick, a dead network one does).
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines that follow a log which was checked and is over; and the chain with them.
pub(crate) fn following(run_id: &str, verified: &Verified, events: &[Event]) -> (Vec<u8>, Verified) {
    let mut chain = chain::Chain::after(run_id, verified);
    let mut lines = Vec::new();
    events.iter().for_each(|event| chain.append(event, &mut lines));
    (lines, Verified { lines: chain.lines(), last_hash: chain.last_hash().to_owned() })
}

impl Log {
    /// Starts the writer. `record` is the run's `events.jsonl`, empty; `sinks` get the same lines live.
    pub(crate) fn start(record: File, sinks: Vec<Sink>, run_id: &str) -> io::Result<(Log, Sender)> {
        let (channel, queue) = bounded(QUEUE);
        let losses = Arc::new(Losses::default());
        let writer = writer::Writer::new(record, sinks, run_id, Arc::clone(&losses))?;
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&queue))?;
        let sender = Sender { channel, losses };
        Ok((Log { sender: sender.clone(), thread }, sender))
    }

    /// Writes what is left, then `last`, and ends the writer. Events sent after this are not written.
    pub(crate) fn finish(self, last: Event) -> LogSummary {
        // The writer ends only by this message, so the only failure is a writer that died; the join says so.
        let _ = self.sender.channel.send(Message::Finish(Box::new(last)));
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_else(|_| LogSummary {
            lost: vec![Lost {
                sink: "record".to_owned(),
                lines: 0,
                reason: "the log writer died".to_owned(),
            }],
            ..LogSummary::default()
        })
    }
}

impl Sender {
    /// Hands an event over. A claim that finds the queue full is counted and dropped: the guest can make as many
    /// as it likes. A fact waits; only a writer that is stuck makes it give up, and then it is counted too.
    pub(crate) fn send(&self, event: Event) {
        let provider = event.provider();
        let patient = !event.trust().is_claim() && !self.losses.stalled.load(Ordering::Relaxed);
        let sent = if patient {
            match self.channel.send_timeout(Message::Event(Box::new(event)), PATIENCE) {
                Ok(()) => true,
                Err(SendTimeoutError::Timeout(_)) => {
                    self.losses.stalled.store(true, Ordering::Relaxed);
                    false
                }
                Err(SendTimeoutError::Disconnected(_)) => false,
            }
        } else {
            match self.channel.try_send(Message::Event(Box::new(event))) {
                Ok(()) => {
                    self.losses.stalled.store(false, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            }
        };
        if !sent {
            self.losses.count(provider).fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Losses {
    fn count(&self, provider: Provider) -> &AtomicU64 {
        // Variants are numbered in the order of `ALL`, so there is a place for each.
        &self.by_provider[provider as usize]
    }
}

impl LogSummary {
    /// One line for people, if anything was lost.
    pub(crate) fn warning(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.dropped > 0 {
            parts.push(format!("{} events came too fast and were only counted", self.dropped));
        }
        for lost in &self.lost {
            parts.push(format!("{} lines did not reach {}: {}", lost.lines, lost.sink, lost.reason));
        }
        (!parts.is_empty()).then(|| format!("the audit log is not complete: {}", parts.join("; ")))
    }
}

#[cfg(test)]
mod tests;
