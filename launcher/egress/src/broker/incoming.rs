//! The body of an answer on its way in: decoded, and real values replaced by their synthetics.
//!
//! Owns what is held back: what may be the beginning of a real value. What holds one in a form that has no
//! counterpart ends there.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use shieldrun_secrets::{SecretId, StreamState};
use zeroize::Zeroizing;

use super::body::Sieve;
use super::coding::{Coding, Decoder};
use super::head::{self, Tell, note};
use super::secrets::Tables;
use super::stop::Stop;
use crate::flow::Destination;
use crate::ledger::Note;

/// More text than this from one chunk is no answer but a bomb.
const EXPANDED: usize = 64 << 20;

pub(super) struct Incoming {
    scrub: Scrub,
    decoder: Option<Decoder>,
}

struct Scrub {
    tables: Arc<Tables>,
    tell: Tell,
    from: Destination,
    told: Vec<SecretId>,
    leak: StreamState,
    held: Zeroizing<Vec<u8>>,
}

impl Incoming {
    pub(super) fn new(
        tables: Arc<Tables>,
        from: Destination,
        tell: Tell,
        coding: Coding,
    ) -> io::Result<Self> {
        let leak = tables.leak.stream();
        let held = Zeroizing::new(Vec::new());
        let scrub = Scrub { tables, tell, from, told: Vec::new(), leak, held };
        Ok(Self { scrub, decoder: Decoder::new(coding)? })
    }
}

impl Incoming {
    /// A body that is there whole.
    pub(super) fn whole(mut self, body: Bytes) -> Result<Vec<u8>, Stop> {
        let mut passed = VecDeque::new();
        self.push(body, &mut passed)?;
        self.end(&mut passed)?;
        Ok(passed.iter().flat_map(|part| part.iter().copied()).collect())
    }
}

impl Scrub {
    fn push(&mut self, chunk: Bytes, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let tables = Arc::clone(&self.tables);
        if self.held.is_empty()
            && tables.conceal.next(&chunk, 0).is_none()
            && tables.conceal.pending(&chunk) == 0
        {
            return self.pass(chunk, passed);
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(&chunk);
        let pending = tables.conceal.pending(&text);
        self.replace(&text, text.len() - pending, passed)
    }

    fn end(&mut self, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let text = std::mem::take(&mut self.held);
        self.replace(&text, text.len(), passed)
    }

    fn replace(&mut self, text: &[u8], cut: usize, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let tables = Arc::clone(&self.tables);
        let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 2));
        let mut done = 0;
        while let Some(spot) = tables.conceal.next(text, done) {
            out.extend_from_slice(&text[done..spot.start]);
            tables.conceal.write(text, &spot, &mut out);
            done = spot.end;
            self.told(spot.id);
        }
        let cut = cut.max(done);
        out.extend_from_slice(&text[done..cut]);
        self.held = Zeroizing::new(text[cut..].to_vec());
        self.pass(Bytes::from_owner(out), passed)
    }

    fn pass(&mut self, text: Bytes, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        if let Some(hit) = self.leak.feed(&self.tables.leak, &text) {
            self.told(hit.id);
            return Err(Stop::Unshowable { secret: hit.id });
        }
        if !text.is_empty() {
            passed.push_back(text);
        }
        Ok(())
    }

    fn told(&mut self, secret: SecretId) {
        if note(&mut self.told, secret) {
            (self.tell)(Note::Scrubbed { secret, from: self.from.clone() });
        }
    }
}

impl Sieve for Incoming {
    fn push(&mut self, chunk: Bytes, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let Some(decoder) = &mut self.decoder else { return self.scrub.push(chunk, passed) };
        let scrub = &mut self.scrub;
        let mut total = 0;
        let decoded = decoder.push(&chunk, &mut |text| {
            total += text.len();
            if total > EXPANDED {
                return Err(Stop::Upstream("the answer expands beyond all measure".into()));
            }
            scrub.push(Bytes::copy_from_slice(text), passed)
        });
        decoded.map_err(|e| e.unwrap_or_else(undecodable))
    }

    fn end(&mut self, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let scrub = &mut self.scrub;
        if let Some(decoder) = self.decoder.take() {
            let rest = decoder.finish(&mut |text| scrub.push(Bytes::copy_from_slice(text), passed));
            rest.map_err(|e| e.unwrap_or_else(undecodable))?;
        }
        scrub.end(passed)
    }

    fn trailers(&mut self, trailers: &mut HeaderMap) -> Result<(), Stop> {
        let tables = Arc::clone(&self.scrub.tables);
        head::scrub(trailers, &tables)?.into_iter().for_each(|id| self.scrub.told(id));
        Ok(())
    }
}

fn undecodable() -> Stop {
    Stop::Upstream("the answer is not compressed as it says, so it cannot be looked into".into())
}
