//! The head of a request: scanned, then swapped; and the head of an answer, scrubbed.
//!
//! Owns the request line and the headers. Does not know bodies. The scan is over what the guest wrote, so it
//! comes before the swap: afterwards the real value is there by right.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use data_encoding::BASE64;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use shieldrun_secrets::{SecretId, Spot, Swap, TooMuch};
use zeroize::Zeroizing;

use super::field::{Around, around};
use super::look::{self, Costly};
use super::secrets::{Swaps, Tables, Use};
use super::settings::Settings;
use super::stop::Stop;
use super::strict::Scheming;
use crate::flow::Destination;
use crate::ledger::{Note, Part};

/// A header of an answer that unfolds to more than this is refused.
const UNFOLDED: usize = 4 << 20;

/// What may be done with the secrets in a request to one host.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) rules: Arc<Rules>,
    pub(super) to: Destination,
    pub(super) scheming: Scheming,
}

/// The secrets, and what the policy says of them.
pub(super) struct Rules {
    pub(super) swaps: Swaps,
    pub(super) settings: Settings,
}

/// Takes notes of one connection.
pub(super) type Tell = Arc<dyn Fn(Note) + Send + Sync>;

/// What was found in one request; each is told once.
#[derive(Clone)]
pub(super) struct Found {
    tell: Tell,
    to: Destination,
    told: Arc<Mutex<Vec<(Way, SecretId, Part)>>>,
}

/// How a synthetic went out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Swapped,
    AsItIs,
}

impl Found {
    pub(super) fn new(tell: Tell, to: Destination) -> Self {
        Self { tell, to, told: Arc::default() }
    }

    /// A synthetic became real.
    pub(super) fn swap(&self, secret: SecretId, part: Part) {
        if note(&mut self.told(), (Way::Swapped, secret, part)) {
            (self.tell)(Note::Swapped { secret, to: self.to.clone(), part });
        }
    }

    /// A synthetic goes out as it is.
    pub(super) fn see(&self, secret: SecretId, part: Part) {
        if note(&mut self.told(), (Way::AsItIs, secret, part)) {
            (self.tell)(Note::SyntheticHeard { secret, to: self.to.clone(), part });
        }
    }

    /// The secrets that the request was made with.
    pub(super) fn swapped(&self) -> Vec<SecretId> {
        self.told().iter().filter(|(way, ..)| *way == Way::Swapped).map(|(_, id, _)| *id).collect()
    }

    fn told(&self) -> MutexGuard<'_, Vec<(Way, SecretId, Part)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    /// Whether this spot is swapped.
    pub(super) fn allows(&self, id: SecretId, part: Part, around: Around) -> bool {
        // Without TLS anybody on the way could read it.
        self.scheming == Scheming::Tls
            && match self.rules.swaps.usable(id, &self.to.host, part, &self.rules.settings.bindings) {
                Use::Not => false,
                Use::Named => around == Around::Credential || part == Part::Header,
                Use::Any => around != Around::Text || !matches!(part, Part::Query | Part::Body),
            }
    }

    /// What becomes of a synthetic that is not swapped: it is noted, and it goes on only where it is heard.
    pub(super) fn unswapped(&self, id: SecretId, part: Part, found: &Found) -> Result<(), Stop> {
        if self.rules.settings.heard.contains(&self.to.host) {
            found.see(id, part);
            return Ok(());
        }
        Err(Stop::Synthetic { secret: id, part })
    }
}

/// The head of a request, in the order that it is written in: what a scan looks at. The path follows once more by
/// its segments, and from its second to its fourth byte on: a slash is a digit of base64, and where it is none of
/// the value's, it shifts all digits behind it.
pub(super) fn text(parts: &Parts) -> Vec<u8> {
    let path = parts.uri.path();
    let mut text =
        format!("{} {}\r\n{}\r\n", parts.method, parts.uri, path.replace('/', "\r\n")).into_bytes();
    for shifted in (1..4).filter_map(|shift| path.as_bytes().get(shift..)) {
        text.extend_from_slice(shifted);
        text.extend_from_slice(b"\r\n");
    }
    for (name, value) in &parts.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// How long a head takes to be looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nobody notices.
    Quick,
    /// Too long for a thread that others wait for.
    Slow,
}

/// Looks for real values in a head, below encodings too.
pub(super) async fn scan(text: Vec<u8>, tables: &Arc<Tables>) -> Result<Pace, Stop> {
    match look::at_once(tables, &text) {
        Ok(looked) => looked.map(|()| Pace::Quick),
        Err(TooMuch) => Costly::of(tables, Zeroizing::new(text)).look().await.map(|()| Pace::Slow),
    }
}

/// Looks for real values in the names of headers.
pub(super) fn scan_names(headers: &HeaderMap, tables: &Tables) -> Result<(), Stop> {
    if tables.leak.is_empty() {
        return Ok(());
    }
    let mut hits = headers.keys().filter_map(|name| tables.in_name(name.as_str().as_bytes())[0]);
    hits.next().map_or(Ok(()), |hit| Err(Stop::Leak { secret: hit.id, encoding: hit.encoding }))
}

/// Swaps what may be swapped in a request's head, at the pace that its scan had: the look for synthetics takes as
/// long as the one for real values.
pub(super) async fn swapped(
    mut parts: Parts,
    tables: &Arc<Tables>,
    bounds: &Bounds,
    found: &Found,
    pace: Pace,
) -> Result<Parts, Stop> {
    if pace == Pace::Quick {
        return swap(&mut parts, tables, bounds, found).map(|()| parts);
    }
    let (tables, bounds, found) = (Arc::clone(tables), bounds.clone(), found.clone());
    look::elsewhere(move || swap(&mut parts, &tables, &bounds, &found).map(|()| parts)).await
}

fn swap(parts: &mut Parts, tables: &Tables, bounds: &Bounds, found: &Found) -> Result<(), Stop> {
    if tables.reveal.is_empty() {
        return Ok(());
    }
    if let Some(whole) = in_uri(parts, tables, bounds, found)? {
        let path = PathAndQuery::from_maybe_shared(Bytes::from_owner(whole));
        parts.uri = path.map(Into::into).map_err(|_| Stop::malformed("a secret does not fit into a path"))?;
    }
    if let Some(hit) = tables.trip.stream().feed(&tables.trip, parts.method.as_str().as_bytes()) {
        bounds.unswapped(hit.id, Part::Header, found)?;
    }
    for (name, value) in &mut parts.headers {
        let swapped = match basic(name, value) {
            Some(plain) => in_basic(&plain, tables, bounds, found)?,
            None => in_text(value.as_bytes(), Part::Header, tables, bounds, found)?,
        };
        if let Some(bytes) = swapped {
            *value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))
                .map_err(|_| Stop::malformed("a secret does not fit into a header"))?;
            value.set_sensitive(true);
        }
        if let [_, Some(hit)] = tables.in_name(name.as_str().as_bytes()) {
            bounds.unswapped(hit.id, Part::Header, found)?;
        }
    }
    Ok(())
}

fn in_uri(
    parts: &Parts,
    tables: &Tables,
    bounds: &Bounds,
    found: &Found,
) -> Result<Option<Zeroizing<Vec<u8>>>, Stop> {
    let path = in_text(parts.uri.path().as_bytes(), Part::Path, tables, bounds, found)?;
    let query = match parts.uri.query() {
        Some(query) => in_text(query.as_bytes(), Part::Query, tables, bounds, found)?,
        None => None,
    };
    if path.is_none() && query.is_none() {
        return Ok(None);
    }
    let path = path.as_ref().map_or(parts.uri.path().as_bytes(), |path| path.as_slice());
    let rest =
        query.as_ref().map_or(parts.uri.query().unwrap_or_default().as_bytes(), |query| query.as_slice());
    let mut whole = Zeroizing::new(Vec::with_capacity(path.len() + rest.len() + 1));
    whole.extend_from_slice(path);
    if parts.uri.query().is_some() {
        whole.push(b'?');
        whole.extend_from_slice(rest);
    }
    Ok(Some(whole))
}

/// A text that is there whole, with every spot swapped that may be; `None` where none is.
pub(super) fn in_text(
    text: &[u8],
    part: Part,
    tables: &Tables,
    bounds: &Bounds,
    found: &Found,
) -> Result<Option<Zeroizing<Vec<u8>>>, Stop> {
    // What remains is looked at again, without the spots: an encoding that cannot be swapped is seen there.
    let mut rest = Vec::new();
    let mut spots = Vec::new();
    let mut done = 0;
    while let Some(spot) = tables.reveal.next(text, done) {
        rest.extend_from_slice(&text[done..spot.start]);
        rest.push(b'\n');
        done = spot.end;
        match bounds.allows(spot.id, part, around(&text[..spot.start], &text[spot.end..])) {
            true => {
                found.swap(spot.id, part);
                spots.push(spot);
            }
            false => bounds.unswapped(spot.id, part, found)?,
        }
    }
    rest.extend_from_slice(&text[done..]);
    if let Some(hit) = tables.trip.deep(&rest) {
        bounds.unswapped(hit.id, part, found)?;
    }
    Ok((!spots.is_empty()).then(|| write(text, &spots, &tables.reveal)))
}

fn write(text: &[u8], spots: &[Spot], swap: &Swap) -> Zeroizing<Vec<u8>> {
    // Room for spellings that grow, so that no copy is left behind.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 2 + 256));
    let mut done = 0;
    for spot in spots {
        out.extend_from_slice(&text[done..spot.start]);
        swap.write(text, spot, &mut out);
        done = spot.end;
    }
    out.extend_from_slice(&text[done..]);
    out
}

/// `user:password` of a basic authorization.
fn basic(name: &header::HeaderName, value: &HeaderValue) -> Option<Vec<u8>> {
    if *name != header::AUTHORIZATION {
        return None;
    }
    let (scheme, rest) = value.as_bytes().split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    BASE64.decode(rest.trim_ascii()).ok()
}

fn in_basic(
    plain: &[u8],
    tables: &Tables,
    bounds: &Bounds,
    found: &Found,
) -> Result<Option<Zeroizing<Vec<u8>>>, Stop> {
    let swapped = match in_text(plain, Part::Header, tables, bounds, found)? {
        Some(swapped) => swapped,
        // A password may be too short or too simple to be looked for in a text; here it stands alone.
        None => {
            let at = plain.iter().position(|b| *b == b':').map_or(0, |colon| colon + 1);
            let Some(id) = bounds.rules.swaps.shown_as(&plain[at..]) else { return Ok(None) };
            if !bounds.allows(id, Part::Header, Around::Field) {
                bounds.unswapped(id, Part::Header, found)?;
                return Ok(None);
            }
            found.swap(id, Part::Header);
            let real = bounds.rules.swaps.real(id);
            let mut whole = Zeroizing::new(Vec::with_capacity(at + real.len()));
            whole.extend_from_slice(&plain[..at]);
            whole.extend_from_slice(&real);
            whole
        }
    };
    let encoded = Zeroizing::new(BASE64.encode(&swapped));
    let mut value = Zeroizing::new(Vec::with_capacity(encoded.len() + 6));
    value.extend_from_slice(b"Basic ");
    value.extend_from_slice(encoded.as_bytes());
    Ok(Some(value))
}

/// Puts synthetics in the place of real values in the headers of an answer.
pub(super) fn scrub(headers: &mut HeaderMap, tables: &Tables) -> Result<Vec<SecretId>, Stop> {
    let mut ids = Vec::new();
    if tables.conceal.is_empty() {
        return Ok(ids);
    }
    for value in headers.values_mut() {
        let text = value.as_bytes();
        let spots: Vec<Spot> = spots(text, &tables.conceal);
        let scrubbed = (!spots.is_empty()).then(|| write(text, &spots, &tables.conceal));
        let shown = scrubbed.as_ref().map_or(text, |scrubbed| scrubbed.as_slice());
        match tables.leak.deep_within(shown, UNFOLDED) {
            Ok(None) => {}
            Ok(Some(hit)) => return Err(Stop::Unshowable { secret: hit.id }),
            Err(TooMuch) => {
                return Err(Stop::Upstream(
                    "a header of the answer unfolds to more than can be shown".into(),
                ));
            }
        }
        if let Some(scrubbed) = scrubbed {
            for spot in &spots {
                note(&mut ids, spot.id);
            }
            *value = HeaderValue::from_bytes(&scrubbed)
                .map_err(|_| Stop::Upstream("a header of the answer cannot be shown".into()))?;
        }
    }
    Ok(ids)
}

/// Every spot of a text.
pub(super) fn spots(text: &[u8], swap: &Swap) -> Vec<Spot> {
    let mut done = 0;
    std::iter::from_fn(|| {
        let spot = swap.next(text, done)?;
        done = spot.end;
        Some(spot)
    })
    .collect()
}

/// Whether it is new.
pub(super) fn note<T: PartialEq>(all: &mut Vec<T>, one: T) -> bool {
    let new = !all.contains(&one);
    if new {
        all.push(one);
    }
    new
}
