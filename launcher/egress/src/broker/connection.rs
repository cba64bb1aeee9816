//! One connection of the guest, from its first byte to its last.
//!
//! Owns the order: which host is greeted is checked before anything is dialled, and what is spoken inside TLS
//! is what the destination speaks. Does not judge a request: `session` does, one by one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;

use super::Inner;
use super::again::Again;
use super::authority::Protocol;
use super::head::{Bounds, Tell};
use super::idle::Idle;
use super::session::Session;
use super::strict::Scheming;
use super::upstream::{self, Dialled, Sender};
use crate::flow::{Destination, Dial, HostName, Origin};
use crate::ledger::{Ledger, Note, Refusal};

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// Serves a connection.
pub(super) async fn serve<L: Ledger, D: Dial, S>(
    inner: &Arc<Inner<L, D>>,
    guest: S,
    made: Option<TcpStream>,
    to: Destination,
    origin: Origin,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ledger = Arc::clone(&inner.ledger);
    let tell: Tell = Arc::new(move |note| ledger.note(&origin, note));
    let served = Connection { inner: Arc::clone(inner), to: to.clone(), tell: Arc::clone(&tell) };
    let result = served.greet(guest, made).await;
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
    async fn greet<S>(self, guest: S, made: Option<TcpStream>) -> Result<(), Broken>
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
        let guest = Again::new(first, guest);
        match first {
            HANDSHAKE => self.secure(guest, made).await,
            b'A'..=b'Z' => {
                let dialled = upstream::plain(&self.inner.dial, made, &self.to, limits).await;
                let dialled = dialled.map_err(unreachable)?;
                self.http(guest, dialled, Scheming::Plain).await
            }
            _ => Err(Broken::Refused(Refusal::Malformed, "neither TLS nor HTTP is spoken".into())),
        }
    }

    async fn secure<S>(self, guest: S, made: Option<TcpStream>) -> Result<(), Broken>
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
        let Inner { dial, trust, .. } = &*self.inner;
        let dialled = upstream::secure(dial, made, &self.to, trust, offered, limits).await;
        let dialled = dialled.map_err(unreachable)?;
        let config =
            self.inner.authority.answer_as(&self.to.host, dialled.protocol.alpn()).map_err(Broken::Io)?;
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
        let session = Arc::new(Session::new(
            Arc::clone(&self.inner),
            Arc::clone(&self.tell),
            bounds,
            protocol,
            sender,
            Arc::clone(&over),
        ));
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

/// Whether the name in the TLS greeting is that of the destination; an address is greeted without one.
pub(super) fn is_named(greeted: Option<&str>, host: &HostName) -> bool {
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
