//! The connection to the destination: dialled by the rules, verified against what the host trusts.
//!
//! Owns the one connection that belongs to a connection of the guest, and makes it anew where the
//! destination has closed it between two requests. Does not repeat a request.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::authority::Protocol;
use super::postgres::{self, Anybody};
use super::settings::Limits;
use super::stop::Passing;
use crate::flow::{Destination, Dial, HostName};

/// What is trusted upstream, with one configuration for each set of protocols that a guest may offer.
pub(super) struct Trust {
    http1: Arc<ClientConfig>,
    both: Arc<ClientConfig>,
    /// A database that has to be verified.
    pub(super) database: Arc<ClientConfig>,
    /// A database whose certificate nobody asked to verify.
    pub(super) anybody: Arc<ClientConfig>,
}

impl Trust {
    /// With these authorities, or with those of the host.
    pub(super) fn new(roots: Option<&RootCertStore>) -> io::Result<Self> {
        let roots = match roots {
            Some(roots) => roots.clone(),
            None => of_the_host()?,
        };
        let base = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let offering = |protocols: &[&[u8]]| {
            let mut config = base.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        let database = offering(&[postgres::ALPN]);
        let mut anybody = (*database).clone();
        anybody.dangerous().set_certificate_verifier(Arc::new(Anybody::new()));
        Ok(Self {
            http1: offering(&[Protocol::Http1.alpn()]),
            both: offering(&[Protocol::Http2.alpn(), Protocol::Http1.alpn()]),
            database,
            anybody: Arc::new(anybody),
        })
    }
}

fn of_the_host() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(io::Error::other(
            "the host has no trusted certificates to verify a destination with; install ca-certificates",
        ));
    }
    Ok(roots)
}

/// A connection under TLS, and what is spoken in it.
pub(super) struct Dialled {
    stream: Stream,
    pub(super) protocol: Protocol,
}

enum Stream {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

/// Connects under TLS, offering what the guest offers.
pub(super) async fn secure<D: Dial>(
    dial: &D,
    made: Option<TcpStream>,
    to: &Destination,
    trust: &Trust,
    offered: Protocol,
    limits: &Limits,
) -> io::Result<Dialled> {
    let name = name_of(&to.host)?;
    let config = if offered == Protocol::Http2 { &trust.both } else { &trust.http1 };
    let connect = async {
        let stream = connected(dial, made, to).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await
    };
    let stream = timeout(limits.handshake, connect).await??;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(name) if name == Protocol::Http2.alpn() => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok(Dialled { stream: Stream::Tls(Box::new(stream)), protocol })
}

/// The name that a certificate has to be made out for.
pub(super) fn name_of(host: &HostName) -> io::Result<ServerName<'static>> {
    Ok(match host {
        HostName::Name(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
        HostName::Address(address) => ServerName::from(*address),
    })
}

/// Connects without TLS.
pub(super) async fn plain<D: Dial>(
    dial: &D,
    made: Option<TcpStream>,
    to: &Destination,
    limits: &Limits,
) -> io::Result<Dialled> {
    let stream = timeout(limits.handshake, connected(dial, made, to)).await??;
    stream.set_nodelay(true)?;
    Ok(Dialled { stream: Stream::Plain(stream), protocol: Protocol::Http1 })
}

/// The connection that is there already, or a new one.
async fn connected<D: Dial>(dial: &D, made: Option<TcpStream>, to: &Destination) -> io::Result<TcpStream> {
    match made {
        Some(stream) => Ok(stream),
        None => dial.dial(to).await,
    }
}

/// Sends requests.
pub(super) enum Sender {
    /// One after the other.
    Http1(http1::SendRequest<Passing>),
    /// Beside each other.
    Http2(http2::SendRequest<Passing>),
}

impl Sender {
    pub(super) async fn over(dialled: Dialled, limits: &Limits) -> hyper::Result<Self> {
        match dialled.stream {
            Stream::Tls(stream) if dialled.protocol == Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .max_header_list_size(limits.head as u32)
                    .initial_stream_window_size(1 << 20)
                    .initial_connection_window_size(4 << 20)
                    .handshake(TokioIo::new(*stream))
                    .await?;
                tokio::spawn(connection);
                Ok(Self::Http2(sender))
            }
            Stream::Tls(stream) => Self::http1(TokioIo::new(*stream)).await,
            Stream::Plain(stream) => Self::http1(TokioIo::new(stream)).await,
        }
    }

    async fn http1<S>(stream: S) -> hyper::Result<Self>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new().preserve_header_case(true).handshake(stream).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(Self::Http1(sender))
    }

    /// Whether another request can be sent; waits until the one before is through.
    pub(super) async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request and tells when the answer begins.
    pub(super) fn send(
        &mut self,
        request: Request<Passing>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + 'static {
        enum Either<A, B> {
            Left(A),
            Right(B),
        }
        let sent = match self {
            Self::Http1(sender) => Either::Left(sender.send_request(request)),
            Self::Http2(sender) => Either::Right(sender.send_request(request)),
        };
        async move {
            match sent {
                Either::Left(sent) => sent.await,
                Either::Right(sent) => sent.await,
            }
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http1,
            Self::Http2(_) => Protocol::Http2,
        }
    }
}
