//! The scan of what a guest says: a body, or the messages of a WebSocket.
//!
//! Owns the two streams, the look below encodings, and what of that would take too long for a thread that other
//! connections wait for. Does not swap, and does not decide what is held back.

use std::sync::Arc;

use shieldrun_secrets::{DeepHit, Hit, StreamState, TooMuch};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::head::{Bounds, Found};
use super::inside::Inside;
use super::outgoing::too_large;
use super::secrets::Tables;
use super::stop::Stop;
use crate::ledger::Part;

/// Of each body, so much is looked through below encodings too; behind it the scan goes by spellings only.
const CLOSELY: usize = 4 << 20;
/// How far back the look below encodings goes from a chunk, and from one of a few bytes: otherwise a body sent
/// byte by byte would cost a thousand times its size.
const NEAR: usize = 4 << 10;
const NEAR_FEW: usize = 1 << 10;
const FEW: usize = 64;
/// What a look may unfold while others wait: a few milliseconds. Text of 64 KiB stays below it.
const QUICK: usize = 2 << 20;
/// What is compressed within something compressed is looked into as far as this.
const DEEPEST: u8 = 3;

/// Longer looks at once, in the whole launcher: each may need the memory of what it unfolds.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The scan of one stream.
pub(super) struct Look {
    tables: Arc<Tables>,
    bounds: Bounds,
    found: Found,
    part: Part,
    leak: StreamState,
    trip: StreamState,
    left: u64,
    /// What was last seen, for the look below encodings.
    near: Zeroizing<Vec<u8>>,
    /// How much more is looked at that closely.
    closely: usize,
    costly: Vec<Zeroizing<Vec<u8>>>,
    /// Where it is not for others to look into what is compressed.
    inside: Option<Inside>,
    depth: u8,
}

/// Texts that unfold to more than a thread can look through that others wait for. Until they have been looked
/// through nothing of them may pass.
pub(super) struct Costly {
    tables: Arc<Tables>,
    texts: Vec<Zeroizing<Vec<u8>>>,
}

impl Look {
    pub(super) fn new(tables: Arc<Tables>, bounds: Bounds, found: Found, part: Part) -> Self {
        let left = bounds.rules.settings.limits.body;
        let (leak, trip) = (tables.leak.stream(), tables.trip.stream());
        let (near, costly) = (Zeroizing::default(), Vec::new());
        let (closely, inside) = (CLOSELY, (!tables.leak.is_empty()).then(Inside::new));
        Self { tables, bounds, found, part, leak, trip, left, near, closely, costly, inside, depth: 0 }
    }

    /// Without a look into gzip within it: it is compressed itself, and somebody looks into that.
    pub(super) fn of_compressed(self) -> Self {
        Self { inside: None, ..self }
    }

    /// For another stream of the same request.
    pub(super) fn another(&self) -> Self {
        Self::new(Arc::clone(&self.tables), self.bounds.clone(), self.found.clone(), self.part)
    }

    pub(super) fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    /// Scans a text; whether a synthetic is in it that may be swapped is for the caller to say.
    pub(super) fn scan(&mut self, text: &[u8]) -> Result<Option<Hit>, Stop> {
        if let Some(hit) = self.leak.feed(&self.tables.leak, text) {
            return Err(Stop::Leak { secret: hit.id, encoding: hit.encoding });
        }
        self.look_closely(text)?;
        self.look_inside(text)?;
        Ok(self.trip.feed(&self.tables.trip, text))
    }

    /// Scans a text in which nothing is swapped.
    pub(super) fn see(&mut self, text: &[u8]) -> Result<(), Stop> {
        match self.scan(text)? {
            Some(hit) => self.unswapped(hit),
            None => Ok(()),
        }
    }

    /// The same, of a text that is bounded in length.
    pub(super) fn see_bounded(&mut self, text: &[u8]) -> Result<(), Stop> {
        self.left = self.left.checked_sub(text.len() as u64).ok_or_else(too_large)?;
        self.see(text)
    }

    /// What becomes of a synthetic that was seen and is not swapped.
    pub(super) fn unswapped(&self, hit: Hit) -> Result<(), Stop> {
        self.bounds.unswapped(hit.id, self.part, &self.found)
    }

    /// How many of the last bytes may be the beginning of a real value.
    pub(super) fn pending(&self) -> usize {
        self.leak.pending(&self.tables.leak)
    }

    /// Another message begins, which is looked at as closely as the one before.
    pub(super) fn begin_message(&mut self) {
        self.closely = CLOSELY;
    }

    /// Looks below encodings that depend on what stands around: escapes, base64 over several lines.
    fn look_closely(&mut self, text: &[u8]) -> Result<(), Stop> {
        if self.closely == 0 || self.tables.leak.is_empty() {
            return Ok(());
        }
        self.closely = self.closely.saturating_sub(text.len());
        let keep = if text.len() < FEW { NEAR_FEW } else { NEAR };
        let excess = self.near.len().saturating_sub(keep);
        self.near.drain(..excess);
        self.near.extend_from_slice(text);
        match self.tables.leak.deep_within(&self.near, QUICK) {
            Ok(hit) => stopped(hit),
            Err(TooMuch) => {
                self.costly.push(self.near.clone());
                Ok(())
            }
        }
    }

    /// Looks into members of gzip, from their beginning on.
    fn look_inside(&mut self, text: &[u8]) -> Result<(), Stop> {
        let Some(mut inside) = self.inside.take() else { return Ok(()) };
        let depth = self.depth + 1;
        let seen = inside.see(text, || {
            let another = Self { depth, ..self.another() };
            if depth < DEEPEST { another } else { another.of_compressed() }
        });
        self.costly.append(&mut inside.costly);
        self.inside = Some(inside);
        seen
    }

    /// What is still to be looked through before anything passes that was seen so far.
    pub(super) fn costly(&mut self) -> Option<Costly> {
        let texts = self.costly_texts();
        (!texts.is_empty()).then(|| Costly { tables: Arc::clone(&self.tables), texts })
    }

    pub(super) fn costly_texts(&mut self) -> Vec<Zeroizing<Vec<u8>>> {
        std::mem::take(&mut self.costly)
    }

    /// What another stream of the same request has left to be looked through.
    pub(super) fn take_over(&mut self, mut other: Self) {
        self.costly.append(&mut other.costly);
    }
}

impl Costly {
    pub(super) fn of(tables: &Arc<Tables>, text: Zeroizing<Vec<u8>>) -> Self {
        Self { tables: Arc::clone(tables), texts: vec![text] }
    }

    /// Beside another's.
    pub(super) fn and(mut self, other: Option<Self>) -> Self {
        self.texts.extend(other.into_iter().flat_map(|other| other.texts));
        self
    }

    /// Looks through all of it, where nobody else waits.
    pub(super) async fn look(self) -> Result<(), Stop> {
        elsewhere(move || self.texts.iter().try_for_each(|text| stopped(self.tables.leak.deep(text)))).await
    }
}

/// A text that is there whole, as far as can be said at once.
pub(super) fn at_once(tables: &Tables, text: &[u8]) -> Result<Result<(), Stop>, TooMuch> {
    tables.leak.deep_within(text, QUICK).map(stopped)
}

/// Does what takes long on a thread of its own.
pub(super) async fn elsewhere<T, F>(work: F) -> Result<T, Stop>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Stop> + Send + 'static,
{
    let broken = || Stop::Upstream("the request could not be looked through".into());
    let _turn = TURNS.acquire().await.map_err(|_| broken())?;
    spawn_blocking(work).await.map_err(|_| broken())?
}

fn stopped(hit: Option<DeepHit>) -> Result<(), Stop> {
    hit.map_or(Ok(()), |hit| Err(Stop::Leak { secret: hit.id, encoding: hit.encoding }))
}
