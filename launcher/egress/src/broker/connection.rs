//! One connection of the guest, from its first byte to its last.
//!
//! Owns the order: which host is greeted is checked before anything is dialled; what is spoken inside TLS is
//! what the destination speaks; each request is judged on its own. Does not judge: `strict`, `head` and
//! `outgoing` do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming as Body};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

use super::Inner;
use super::authority::Protocol;
use super::body::Sieved;
use super::coding::Coding;
use super::head::{self, Bounds, Found, Tell};
use super::idle::Idle;
use super::incoming::Incoming;
use super::outgoing::{self, Outgoing};
use super::secrets::Tables;
use super::settings::Limits;
use super::signature::{Payload, Signature};
use super::stop::{self, Fate, Passing, Stop};
use super::strict::{self, Continues, Scheming};
use super::upstream::{self, Dialled, Sender};
use super::{tokens, websocket};
use crate::flow::{Destination, Dial, HostName, Origin};
use crate::ledger::{Ledger, Note, Refusal};

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// An answer of more than this keeps its length.
const KEEPS_LENGTH: u64 = 1 << 20;

/// Serves a connection.
pub(super) async fn serve<L: Ledger, D: Dial, S>(
    inner: &Arc<Inner<L, D>>,
    guest: S,
    to: Destination,
    origin: Origin,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ledger = Arc::clone(&inner.ledger);
    let tell: Tell = Arc::new(move |note| ledger.note(&origin, note));
    let served = Connection { inner: Arc::clone(inner), to: to.clone(), tell: Arc::clone(&tell) };
    let result = served.greet(guest).await;
    if let Err(Broken::Refused(why, _)) = &result {
        tell(Note::Denied { to: to.to_string(), why: *why });
    }
    result.map_err(Broken::into_io)
}

/// Why a connection ended before its time.
enum Broken {
    /// Refused, for the record.
    Refused(Refusal, String),
    /// It broke; nothing is known to be wrong.
    Io(io::Error),
}

impl Broken {
    fn into_io(self) -> io::Error {
        match self {
            Self::Refused(_, message) => io::Error::other(message),
            Self::Io(error) => error,
        }
    }
}

struct Connection<L, D> {
    inner: Arc<Inner<L, D>>,
    to: Destination,
    tell: Tell,
}

impl<L: Ledger, D: Dial> Connection<L, D> {
    /// Reads the first byte and goes on under TLS or without.
    async fn greet<S>(self, guest: S) -> Result<(), Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.inner.rules.settings.limits;
        let mut guest = Idle::new(guest, limits.idle);
        let first = match timeout(limits.handshake, guest.read_u8()).await {
            Ok(Ok(first)) => first,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => return Err(Broken::Io(error)),
            Err(_) => return Err(Broken::Refused(Refusal::Limit, "nothing was said for too long".into())),
        };
        let guest = Again { first: Some(first), inner: guest };
        match first {
            HANDSHAKE => self.secure(guest).await,
            b'A'..=b'Z' => {
                let dialled = upstream::plain(&self.inner.dial, &self.to, limits).await;
                let dialled = dialled.map_err(unreachable)?;
                self.http(guest, dialled, Scheming::Plain).await
            }
            _ => Err(Broken::Refused(Refusal::Malformed, "neither TLS nor HTTP is spoken".into())),
        }
    }

    async fn secure<S>(self, guest: S) -> Result<(), Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.inner.rules.settings.limits;
        let late = |_| Broken::Refused(Refusal::Limit, "the TLS handshake took too long".into());
        let hello = timeout(limits.handshake, LazyConfigAcceptor::new(Acceptor::default(), guest));
        let hello = hello.await.map_err(late)?.map_err(Broken::Io)?;
        let greeted = hello.client_hello();
        if !is_named(greeted.server_name(), &self.to.host) {
            let message = format!("TLS greets another host than the connection goes to, {}", self.to);
            return Err(Broken::Refused(Refusal::HostDiffers, message));
        }
        let offers_h2 = greeted.alpn().is_some_and(|mut all| all.any(|name| name == Protocol::Http2.alpn()));
        let offered = if offers_h2 { Protocol::Http2 } else { Protocol::Http1 };
        // The destination is greeted first: what it speaks is what the guest is offered, and one that cannot be
        // verified is never answered for.
        let dialled = upstream::secure(&self.inner.dial, &self.to, &self.inner.trust, offered, limits).await;
        let dialled = dialled.map_err(unreachable)?;
        let config = self.inner.authority.answer_as(&self.to.host, dialled.protocol).map_err(Broken::Io)?;
        let guest = timeout(limits.handshake, hello.into_stream(config)).await.map_err(late)?;
        self.http(guest.map_err(Broken::Io)?, dialled, Scheming::Tls).await
    }

    async fn http<S>(self, guest: S, dialled: Dialled, scheming: Scheming) -> Result<(), Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let protocol = dialled.protocol;
        let limits = self.inner.rules.settings.limits.clone();
        let sender = Sender::over(dialled, &limits).await.map_err(|e| Broken::Io(io::Error::other(e)))?;
        let bounds = Bounds { rules: Arc::clone(&self.inner.rules), to: self.to.clone(), scheming };
        let over = Arc::new(AtomicBool::new(false));
        let session = Arc::new(Session {
            connection: self,
            bounds,
            protocol,
            sender: AsyncMutex::new(Some(sender)),
            over: Arc::clone(&over),
        });
        let service = service_fn(move |request| {
            let session = Arc::clone(&session);
            async move { Ok::<_, std::convert::Infallible>(session.answer(request).await) }
        });
        let guest = TokioIo::new(guest);
        let result = match protocol {
            Protocol::Http1 => {
                let serve = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits.handshake.max(Duration::from_secs(1)))
                    .max_headers(limits.headers)
                    .max_buf_size(limits.head.max(8 << 10))
                    .preserve_header_case(true)
                    .half_close(true)
                    .serve_connection(guest, service)
                    .with_upgrades();
                serve.await
            }
            Protocol::Http2 => {
                let serve = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .max_header_list_size(limits.head as u32)
                    .max_concurrent_streams(128)
                    .initial_stream_window_size(1 << 20)
                    .initial_connection_window_size(4 << 20)
                    .serve_connection(guest, service);
                serve.await
            }
        };
        let over = over.load(Ordering::Relaxed);
        match result {
            // What hyper refuses by itself never reaches the service, and is to be on record too.
            Err(error) if !over && error.is_parse() => {
                Err(Broken::Refused(Refusal::Malformed, format!("the request is not understood: {error}")))
            }
            Err(error) if !over => Err(Broken::Io(io::Error::other(error))),
            _ => Ok(()),
        }
    }
}

/// The requests of one connection.
struct Session<L, D> {
    connection: Connection<L, D>,
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
    /// Passes a request on, or tells why not.
    async fn answer(&self, request: Request<Body>) -> Response<Passing> {
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
        let (tell, to, over) =
            (Arc::clone(&self.connection.tell), self.bounds.to.clone(), Arc::clone(&self.over));
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
        head::scan(&head::text(&parts), &tables)?;
        let continues = strict::check(&mut parts, &bounds.to, bounds.scheming, &settings.limits)?;
        let found = Found::new(Arc::clone(&self.connection.tell), bounds.to.clone());
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let asked = Asked { tables, found, fate: fate.clone(), method, path };
        let signature = Signature::find(&mut parts, bounds, &asked.found)?;
        head::swap(&mut parts, &asked.tables, bounds, &asked.found)?;
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

    /// Asks for a WebSocket, and relays it where the destination agrees.
    async fn upgrade(
        &self,
        mut parts: Parts,
        body: Passing,
        guest: OnUpgrade,
        asked: Asked,
    ) -> Result<Response<Passing>, Stop> {
        let wanted = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "websocket")];
        for (name, value) in &wanted {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
        // A compressed frame could not be looked into piece by piece.
        parts.headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        let mut response = self.send(parts, body, &asked.fate).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.receive(response, &asked).await;
        }
        let upstream = hyper::upgrade::on(&mut response);
        let Asked { tables, found, fate, .. } = asked;
        let (mut head, _) = response.into_parts();
        strict::strip(&mut head.headers);
        head::scrub(&mut head.headers, &tables)?;
        for (name, value) in wanted {
            head.headers.insert(name, HeaderValue::from_static(value));
        }
        let (bounds, tell) = (self.bounds.clone(), Arc::clone(&self.connection.tell));
        tokio::spawn(async move {
            let (Ok(guest), Ok(upstream)) = (guest.await, upstream.await) else { return };
            let (guest, upstream) = (TokioIo::new(guest), TokioIo::new(upstream));
            let relayed = websocket::relay(guest, upstream, tables, bounds, found, tell).await;
            // That a socket broke off is nothing to record; that it was stopped is.
            if let Err(stop) = relayed
                && !matches!(stop, Stop::Upstream(_) | Stop::Unshowable { .. })
            {
                fate.seal(stop);
            }
        });
        Ok(Response::from_parts(head, stop::empty()))
    }

    /// The destination, as a Host header says it.
    fn authority(&self) -> String {
        let default = if self.bounds.scheming == Scheming::Tls { 443 } else { 80 };
        let Destination { host, port } = &self.bounds.to;
        match (host, *port == default) {
            (HostName::Address(address), true) if address.is_ipv6() => format!("[{address}]"),
            (host, true) => host.to_string(),
            (_, false) => self.bounds.to.to_string(),
        }
    }

    async fn send(&self, mut parts: Parts, body: Passing, fate: &Fate) -> Result<Response<Body>, Stop> {
        let unreachable =
            |e: &dyn std::error::Error| Stop::Upstream(format!("{} does not answer: {e}", self.bounds.to));
        let sent = {
            let mut place = self.sender.lock().await;
            let ready = match place.as_mut() {
                Some(sender) => sender.is_ready().await,
                None => false,
            };
            if !ready {
                *place = Some(self.redial().await.map_err(|e| unreachable(&e))?);
            }
            let Some(sender) = place.as_mut() else { return Err(Stop::Upstream("no connection".into())) };
            self.address(&mut parts, sender.protocol())?;
            sender.send(Request::from_parts(parts, body))
        };
        sent.await.map_err(|error| fate.told().unwrap_or_else(|| unreachable(&error)))
    }

    /// Says whom the request is for, in the way of the protocol.
    fn address(&self, parts: &mut Parts, protocol: Protocol) -> Result<(), Stop> {
        let authority = self.authority();
        let wrong = |_| Stop::malformed("the host is no host");
        match protocol {
            Protocol::Http1 => {
                let value = HeaderValue::try_from(authority);
                parts
                    .headers
                    .insert(header::HOST, value.map_err(|_| Stop::malformed("the host is no host"))?);
                parts.version = Version::HTTP_11;
            }
            Protocol::Http2 => {
                parts.headers.remove(header::HOST);
                let path = parts.uri.path_and_query().cloned().ok_or_else(|| Stop::malformed("no path"))?;
                let uri = Uri::builder().scheme("https").authority(authority).path_and_query(path);
                parts.uri = uri.build().map_err(wrong)?;
                parts.version = Version::HTTP_2;
            }
        }
        Ok(())
    }

    async fn redial(&self) -> io::Result<Sender> {
        let Inner { dial, trust, rules, .. } = &*self.connection.inner;
        let limits = &rules.settings.limits;
        let dialled = match self.bounds.scheming {
            Scheming::Tls => upstream::secure(dial, &self.bounds.to, trust, self.protocol, limits).await?,
            Scheming::Plain => upstream::plain(dial, &self.bounds.to, limits).await?,
        };
        Sender::over(dialled, limits).await.map_err(io::Error::other)
    }

    /// The answer, scrubbed.
    async fn receive(&self, response: Response<Body>, asked: &Asked) -> Result<Response<Passing>, Stop> {
        let (mut parts, body) = response.into_parts();
        strict::strip(&mut parts.headers);
        for secret in head::scrub(&mut parts.headers, &asked.tables)? {
            (self.connection.tell)(Note::Scrubbed { secret, from: self.bounds.to.clone() });
        }
        parts.version = Version::HTTP_11;
        if asked.method == Method::HEAD || body.is_end_stream() {
            return Ok(Response::from_parts(parts, stop::empty()));
        }
        let Some(coding) = Coding::of(&parts.headers) else {
            return Err(Stop::Upstream("the answer is encoded in a way that cannot be looked into".into()));
        };
        if coding != Coding::Identity {
            parts.headers.remove(header::CONTENT_ENCODING);
        }
        let scrubbing = |tables: Arc<Tables>| {
            Incoming::new(tables, self.bounds.to.clone(), Arc::clone(&self.connection.tell), coding)
                .map_err(|e| Stop::Upstream(e.to_string()))
        };
        let renewed = asked.found.swapped();
        if tokens::is_json(&parts)
            && let Some(valid_at) = tokens::handed_out_at(&self.bounds, &asked.method, &asked.path, &renewed)
        {
            let held = self.bounds.rules.settings.limits.held;
            let whole = collected(body, held, &asked.fate).await?;
            let text = scrubbing(Arc::clone(&asked.tables))?.whole(whole)?;
            let text = tokens::replaced(&text, &self.bounds, &valid_at, &renewed)?;
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
            return Ok(Response::from_parts(parts, stop::whole(text)));
        }
        // A replaced value may differ in length by its spelling, if rarely. What is large keeps its length, for
        // the sake of those who download it; should it differ after all, the answer is cut off.
        let length = body.size_hint().exact().filter(|length| {
            coding == Coding::Identity && (*length > KEEPS_LENGTH || !asked.tables.conceal.changes_lengths())
        });
        if length.is_none() {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        let sieve = scrubbing(Arc::clone(&asked.tables))?;
        Ok(Response::from_parts(parts, Sieved::new(body, sieve, asked.fate.clone(), length).boxed_unsync()))
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

/// Whether the name in the TLS greeting is that of the destination; an address is greeted without one.
fn is_named(greeted: Option<&str>, host: &HostName) -> bool {
    match host {
        HostName::Name(name) => {
            greeted.is_some_and(|greeted| greeted.trim_end_matches('.').eq_ignore_ascii_case(name))
        }
        HostName::Address(_) => greeted.is_none(),
    }
}

fn unreachable(error: io::Error) -> Broken {
    Broken::Refused(Refusal::Unreachable, format!("the destination does not answer: {error}"))
}

/// A stream whose first byte has been read, and is read again.
struct Again<S> {
    first: Option<u8>,
    inner: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Again<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() > 0
            && let Some(first) = self.first.take()
        {
            into.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Again<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
