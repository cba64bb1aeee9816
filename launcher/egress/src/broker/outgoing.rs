//! The body of a request on its way out: scanned as the guest wrote it, then swapped.
//!
//! Owns what is held back: what may be the beginning of a value, and the byte behind one, which tells
//! whether it is the whole of a field. A compressed body is looked into and passes as it is; nothing is
//! swapped in it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use super::body::Sieve;
use super::coding::{Coding, Decoder};
use super::field::{REACH, around};
use super::head::{self, Bounds, Found};
use super::look::{Costly, Look};
use super::secrets::Tables;
use super::signature::{Chunks, Seed};
use super::stop::Stop;
use crate::ledger::Part;

pub(super) struct Outgoing {
    look: Look,
    signed: Option<Signed>,
    coded: Option<Coded>,
    /// Not let through yet.
    held: Vec<u8>,
    /// What was let through last, as the guest wrote it.
    before: Vec<u8>,
    left: u64,
}

/// A compressed body. What it says and what it is written in are two streams, each with a scan of its own.
struct Coded {
    decoder: Decoder,
    look: Look,
}

/// An upload in chunks that are signed anew; a second scan looks at what they hold, without their framing.
struct Signed {
    chunks: Chunks,
    look: Look,
}

impl Outgoing {
    pub(super) fn new(tables: Arc<Tables>, bounds: Bounds, found: Found, coding: Coding) -> io::Result<Self> {
        let left = bounds.rules.settings.limits.body;
        let look = Look::new(tables, bounds, found, Part::Body);
        let coded = Decoder::new(coding)?.map(|decoder| Coded { decoder, look: look.another() });
        let look = if coded.is_some() { look.of_compressed() } else { look };
        Ok(Self { look, signed: None, coded, held: Vec::new(), before: Vec::new(), left })
    }

    /// With each chunk of a signed upload signed anew.
    pub(super) fn signed(mut self, seed: Seed) -> Self {
        let look = self.look.another();
        let chunks = Chunks::new(seed, look.bounds().rules.settings.limits.held);
        self.signed = Some(Signed { chunks, look });
        self
    }

    /// Signs what may pass.
    fn sign(&mut self, from: usize, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let Some(Signed { chunks, look }) = &mut self.signed else { return Ok(()) };
        let mut out = Vec::new();
        for bytes in passed.drain(from..) {
            chunks.push(&bytes, &mut |text| look.see_bounded(text), &mut out)?;
        }
        if !out.is_empty() {
            passed.push_back(Bytes::from(out));
        }
        Ok(())
    }

    fn count(&mut self, chunk: &[u8]) -> Result<(), Stop> {
        self.left = self.left.checked_sub(chunk.len() as u64).ok_or_else(too_large)?;
        Ok(())
    }

    /// A chunk of a compressed body: its text is looked at, then it passes.
    fn decode(&mut self, chunk: &[u8], passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let Some(Coded { decoder, look }) = &mut self.coded else { return Ok(()) };
        let lags = decoder.lags();
        let decoded = decoder.push(chunk, &mut |text| look.see_bounded(text));
        decoded.map_err(|e| e.unwrap_or_else(undecodable))?;
        // It may tell the rest of a value that has begun; then it waits for what follows.
        self.held.extend_from_slice(chunk);
        let most = look.bounds().rules.settings.limits.held;
        if self.held.len() > most {
            return Err(too_large());
        }
        if !lags && look.pending() == 0 {
            passed.push_back(Bytes::from(std::mem::take(&mut self.held)));
        }
        Ok(())
    }

    /// Lets through what may pass of `held` and this chunk.
    fn swap(&mut self, chunk: &[u8], passed: &mut VecDeque<Bytes>, at: Place) -> Result<(), Stop> {
        self.held.extend_from_slice(chunk);
        let text = std::mem::take(&mut self.held);
        let (tables, bounds, found) = (self.look.tables(), self.look.bounds(), self.look.found());
        let pending = match at {
            Place::Within => tables.reveal.pending(&text).max(self.look.pending()),
            Place::End => 0,
        };
        let mut cut = text.len().saturating_sub(pending);
        let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 2));
        let mut done = 0;
        while let Some(spot) = tables.reveal.next(&text, done) {
            if spot.end == text.len() && at == Place::Within {
                cut = cut.min(spot.start);
                break;
            }
            let near = &text[spot.start.saturating_sub(REACH)..spot.start];
            let joined;
            let near = match spot.start < REACH {
                true => {
                    joined = [self.before.as_slice(), near].concat();
                    joined.as_slice()
                }
                false => near,
            };
            out.extend_from_slice(&text[done..spot.start]);
            if bounds.allows(spot.id, Part::Body, around(near, &text[spot.end..])) {
                found.swap(spot.id, Part::Body);
                tables.reveal.write(&text, &spot, &mut out);
            } else {
                bounds.unswapped(spot.id, Part::Body, found)?;
                out.extend_from_slice(&text[spot.start..spot.end]);
            }
            done = spot.end;
        }
        let cut = cut.max(done);
        out.extend_from_slice(&text[done..cut]);
        self.remember(&text[..cut]);
        self.held = text[cut..].to_vec();
        if !out.is_empty() {
            passed.push_back(Bytes::from_owner(out));
        }
        Ok(())
    }

    fn remember(&mut self, text: &[u8]) {
        if text.len() >= REACH {
            self.before.clear();
            self.before.extend_from_slice(&text[text.len() - REACH..]);
        } else {
            self.before.extend_from_slice(text);
            let excess = self.before.len().saturating_sub(REACH);
            self.before.drain(..excess);
        }
    }
}

/// Whether more follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Within,
    End,
}

impl Outgoing {
    fn let_through(&mut self, chunk: Bytes, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        self.count(&chunk)?;
        let tripped = self.look.scan(&chunk)?;
        if self.coded.is_some() {
            if let Some(hit) = tripped {
                self.look.unswapped(hit)?;
            }
            return self.decode(&chunk, passed);
        }
        let tables = Arc::clone(self.look.tables());
        // Every spelling that can be swapped is one that the tripwire knows, and with nothing held each one that
        // ends here begins here: what the tripwire did not see need not be looked for again.
        let plain = self.held.is_empty()
            && (tripped.is_none() || tables.reveal.next(&chunk, 0).is_none())
            && tables.reveal.pending(&chunk) == 0
            && self.look.pending() == 0;
        if let Some(hit) = tripped
            && (plain || !is_spelled(hit.encoding))
        {
            self.look.unswapped(hit)?;
        }
        if plain {
            self.remember(&chunk);
            passed.push_back(chunk);
            return Ok(());
        }
        self.swap(&chunk, passed, Place::Within)
    }

    fn let_rest_through(&mut self, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let Some(Coded { decoder, mut look }) = self.coded.take() else {
            return self.swap(&[], passed, Place::End);
        };
        decoder.finish(&mut |text| look.see_bounded(text)).map_err(|e| e.unwrap_or_else(undecodable))?;
        self.look.take_over(look);
        if !self.held.is_empty() {
            passed.push_back(Bytes::from(std::mem::take(&mut self.held)));
        }
        Ok(())
    }
}

impl Sieve for Outgoing {
    fn push(&mut self, chunk: Bytes, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let from = passed.len();
        self.let_through(chunk, passed)?;
        self.sign(from, passed)
    }

    fn end(&mut self, passed: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let from = passed.len();
        self.let_rest_through(passed)?;
        self.sign(from, passed)?;
        self.signed.as_ref().map_or(Ok(()), |signed| signed.chunks.end())
    }

    fn trailers(&mut self, trailers: &mut HeaderMap) -> Result<(), Stop> {
        head::scan_names(trailers, self.look.tables())?;
        for (name, value) in trailers.iter() {
            if let [_, Some(hit)] = self.look.tables().in_name(name.as_str().as_bytes()) {
                self.look.unswapped(hit)?;
            }
            self.look.see_bounded(name.as_str().as_bytes())?;
            self.look.see_bounded(b"\r\n")?;
            self.look.see_bounded(value.as_bytes())?;
            self.look.see_bounded(b"\r\n")?;
        }
        Ok(())
    }

    fn costly(&mut self) -> Option<Costly> {
        let looks = [
            Some(&mut self.look),
            self.signed.as_mut().map(|signed| &mut signed.look),
            self.coded.as_mut().map(|coded| &mut coded.look),
        ];
        looks.into_iter().flatten().filter_map(Look::costly).reduce(|all, one| all.and(Some(one)))
    }
}

/// Whether a swap knows the spelling.
fn is_spelled(encoding: shieldrun_secrets::Encoding) -> bool {
    use shieldrun_secrets::Encoding::{Hex, Json, Percent, Raw, Reversed, Shell};
    matches!(encoding, Raw | Json | Percent | Hex | Shell | Reversed)
}

pub(super) fn too_large() -> Stop {
    Stop::limit(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is larger than the policy allows")
}

fn undecodable() -> Stop {
    Stop::Refused {
        why: crate::ledger::Refusal::Malformed,
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        message: "the request's body is not compressed as it says, so it cannot be looked into".into(),
    }
}
