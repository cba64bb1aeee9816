//! The requests of one connection: each is judged on its own, passed on, and its answer taken back.
//!
//! Owns the order of a request. Does not judge: `strict`, `head` and `outgoing` do. Once a request tried what
//! ends a connection, nothing more of it is believed.

mod answer;
mod forward;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming as Body};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::Mutex as AsyncMutex;

use super::Inner;
use super::authority::Protocol;
use super::body::Sieved;
use super::coding::Coding;
use super::head::{self, Bounds, Found, Tell};
use super::outgoing::{self, Outgoing};
use super::secrets::Tables;
use super::settings::Limits;
use super::signature::{Payload, Signature};
use super::stop::{self, Fate, Passing, Stop};
use super::strict::{self, Continues};
use super::upstream::Sender;
use crate::flow::{Destination, Dial};
use crate::ledger::{Ledger, Note, Refusal};

/// The requests of one connection.
pub(super) struct Session<L, D> {
    inner: Arc<Inner<L, D>>,
    tell: Tell,
    bounds: Bounds,
    protocol: Protocol,
    sender: AsyncMutex<Option<Sender>>,
    over: Arc<AtomicBool>,
}

/// A request on its way.
struct Asked {
    tables: Arc<Tables>,
    found: Found,
    fate: Fate,
    method: Method,
    path: String,
}

impl<L: Ledger, D: Dial> Session<L, D> {
    /// `over` is set once nothing more of the connection is to be believed.
    pub(super) fn new(
        inner: Arc<Inner<L, D>>,
        tell: Tell,
        bounds: Bounds,
        protocol: Protocol,
        sender: Sender,
        over: Arc<AtomicBool>,
    ) -> Self {
        Self { inner, tell, bounds, protocol, sender: AsyncMutex::new(Some(sender)), over }
    }

    /// Passes a request on, or tells why not.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Passing> {
        let version = request.version();
        let fate = self.fate();
        let stop = match self.pass(request, &fate).await {
            Ok(response) => return response,
            Err(stop) => stop,
        };
        fate.seal(stop.clone());
        let mut response = stop.answer();
        if stop.ends_connection() && version != Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Records the first stop of a request, and ends the connection where that is due.
    fn fate(&self) -> Fate {
        let (tell, to, over) = (Arc::clone(&self.tell), self.bounds.to.clone(), Arc::clone(&self.over));
        Fate::new(Arc::new(move |stop| {
            if stop.ends_connection() {
                over.store(true, Ordering::Relaxed);
            }
            tell(note(stop, &to));
        }))
    }

    async fn pass(&self, mut request: Request<Body>, fate: &Fate) -> Result<Response<Passing>, Stop> {
        if self.over.load(Ordering::Relaxed) {
            return Err(Stop::malformed("this connection was ended for what an earlier request tried"));
        }
        let bounds = &self.bounds;
        let settings = &bounds.rules.settings;
        let upgrade = hyper::upgrade::on(&mut request);
        let (mut parts, body) = request.into_parts();
        let tables = bounds.rules.swaps.tables();
        // Before anything else: what is refused below is told to nobody, but it is to be on record as a leak.
        let pace = head::scan(head::text(&parts), &tables).await?;
        head::scan_names(&parts.headers, &tables)?;
        let continues = strict::check(&mut parts, &bounds.to, bounds.scheming, &settings.limits)?;
        self.is_listed(&parts)?;
        let found = Found::new(Arc::clone(&self.tell), bounds.to.clone());
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let asked = Asked { tables, found, fate: fate.clone(), method, path };
        let signature = Signature::find(&mut parts, bounds, &asked.found)?;
        let mut parts = head::swapped(parts, &asked.tables, bounds, &asked.found, pace).await?;
        if let Some(accepted) = parts.headers.get_mut(header::ACCEPT_ENCODING) {
            *accepted = HeaderValue::from_static("identity");
        }
        let body = self.body(&mut parts, body, signature, &asked).await?;
        if continues == Continues::AsWebSocket {
            return self.upgrade(parts, body, upgrade, asked).await;
        }
        let response = self.send(parts, body, &asked.fate).await?;
        self.receive(response, &asked).await
    }

    /// Whether the list of hosts has this request, where it speaks of requests.
    fn is_listed(&self, parts: &Parts) -> Result<(), Stop> {
        let Destination { host, port } = &self.bounds.to;
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        match &self.bounds.rules.settings.requests {
            Some(rules) if !rules.allows_request(&host.to_host(), *port, method, path) => {
                Err(Stop::Refused {
                    why: Refusal::Request,
                    status: StatusCode::FORBIDDEN,
                    message: format!("{method} {path} of `{}` is not on the allowlist", self.bounds.to),
                })
            }
            _ => Ok(()),
        }
    }

    /// The request's body behind its sieve, and what of the head depends on it: its length, a signature.
    async fn body(
        &self,
        parts: &mut Parts,
        body: Body,
        signature: Option<Signature>,
        asked: &Asked,
    ) -> Result<Passing, Stop> {
        let bounds = &self.bounds;
        let Limits { body: most, held, .. } = bounds.rules.settings.limits;
        let sign = |parts: &mut Parts, body: &[u8]| match &signature {
            Some(signature) => signature.sign(parts, &self.authority(), body, bounds, &asked.found).map(Some),
            None => Ok(None),
        };
        if body.is_end_stream() {
            sign(parts, b"")?;
            return Ok(stop::empty());
        }
        let Some(coding) = Coding::of(&parts.headers) else {
            return Err(Stop::Refused {
                why: Refusal::Malformed,
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                message: "the request's body is encoded in a way that cannot be looked into".into(),
            });
        };
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length > most) {
            return Err(outgoing::too_large());
        }
        let payload = signature.as_ref().map_or(Payload::Told, |signature| signature.payload(&parts.headers));
        let sieve = Outgoing::new(Arc::clone(&asked.tables), bounds.clone(), asked.found.clone(), coding)
            .map_err(|e| Stop::Upstream(e.to_string()))?;
        let uneven = bounds.rules.swaps.is_uneven(&bounds.to.host, &bounds.rules.settings.bindings);
        let short = length.is_some_and(|length| length <= held as u64);
        if payload == Payload::Unsaid || (uneven && short) {
            let whole =
                collected(Sieved::new(body, sieve, asked.fate.clone(), None), held, &asked.fate).await?;
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
            sign(parts, &whole)?;
            return Ok(stop::whole(whole));
        }
        let length = length.filter(|_| !uneven);
        if length.is_none() {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        let seed = sign(parts, b"")?;
        let sieve = match (seed, payload) {
            (Some(seed), Payload::Chunked) => sieve.signed(seed),
            _ => sieve,
        };
        Ok(Sieved::new(body, sieve, asked.fate.clone(), length).boxed_unsync())
    }
}

/// What the record says of a stop.
fn note(stop: &Stop, to: &Destination) -> Note {
    let denied = |why| Note::Denied { to: to.to_string(), why };
    match stop {
        Stop::Leak { secret, encoding } => {
            let encoding = format!("{encoding:?}").to_lowercase();
            Note::Leak { secret: *secret, encoding, to: to.clone() }
        }
        Stop::Synthetic { secret, part } => {
            Note::SyntheticSeen { secret: *secret, to: to.clone(), part: *part }
        }
        Stop::Refused { why, .. } => denied(*why),
        Stop::Unshowable { secret } => Note::Scrubbed { secret: *secret, from: to.clone() },
        Stop::Upstream(_) => denied(Refusal::Unreachable),
    }
}

/// A body that has to be seen whole.
async fn collected<B>(mut body: B, most: usize, fate: &Fate) -> Result<Bytes, Stop>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            fate.told().unwrap_or_else(|| Stop::Upstream(format!("the body broke off: {error}")))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > most {
            return Err(outgoing::too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from_owner(zeroize::Zeroizing::new(whole)))
}
