//! A server, a broker before it, and a client of the broker.
//!
//! Owns the sockets and the certificates. The server is reached under a public name, as the broker is told by
//! the dialler; nothing leaves loopback. Values are made up at run time.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use shieldrun_egress::broker::{Broker, Hosts, Settings, Swaps};
use shieldrun_egress::{Destination, Dial, HostName, Ledger, Note, Origin};
use shieldrun_secrets::{EnvOptions, EnvOutcome, Registry, RunKey, substitute_env_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use crate::made_up;

pub(crate) type Body = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What a server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) complete: bool,
}

/// How a server answers.
pub(crate) type Answer = Arc<dyn Fn(&Asked) -> Response<Body> + Send + Sync>;

/// Notes, in order.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

impl Ledger for Notes {
    fn note(&self, _: &Origin, note: Note) {
        self.0.lock().expect("no test panics with it").push(note);
    }
}

impl Notes {
    pub(crate) fn all(&self) -> Vec<Note> {
        self.since(0)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("no test panics with it").len()
    }

    /// Those behind so many.
    pub(crate) fn since(&self, count: usize) -> Vec<Note> {
        self.0.lock().expect("no test panics with it")[count..].to_vec()
    }
}

/// Always dials the server under test.
#[derive(Clone)]
pub(crate) struct To(pub(crate) SocketAddr);

impl Dial for To {
    async fn dial(&self, _: &Destination) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }
}

/// One secret by name, real and synthetic.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) name: &'static str,
    pub(crate) real: String,
    pub(crate) synthetic: String,
}

/// A server, and a broker before it.
pub(crate) struct World {
    _broker: Broker<Notes, To>,
    pub(crate) notes: Notes,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) pairs: Vec<Pair>,
    host: String,
    address: SocketAddr,
    /// Two clients that trust the broker, of HTTP/1.1 and of HTTP/2: who greets again does so faster.
    clients: [Arc<ClientConfig>; 2],
}

/// What a world is made of.
pub(crate) struct Plan {
    pub(crate) host: &'static str,
    pub(crate) secrets: Vec<(&'static str, String)>,
    pub(crate) settings: Settings,
    pub(crate) alpn: Vec<&'static [u8]>,
    pub(crate) answer: Answer,
}

impl Plan {
    /// A server at GitHub's name, and a secret that belongs there.
    pub(crate) fn github() -> Self {
        Self {
            host: "api.github.com",
            secrets: vec![("GITHUB_TOKEN", made_up::github("ghp"))],
            settings: Settings::default(),
            alpn: vec![b"h2", b"http/1.1"],
            answer: Arc::new(|_| Response::new(full("hello"))),
        }
    }

    pub(crate) fn answering(self, answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), ..self }
    }

    pub(crate) fn at(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    pub(crate) fn heard(mut self) -> Self {
        self.settings.heard = Hosts::new([self.host]);
        self
    }

    pub(crate) async fn build(self) -> World {
        let (roots, acceptor) = certified(self.host, &self.alpn);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = serve(acceptor, Arc::clone(&asked), self.answer).await;
        let mut registry = Registry::new(RunKey::from_bytes(random()));
        let names: Vec<&str> = self.secrets.iter().map(|(name, _)| *name).collect();
        let options = EnvOptions { secret: &names, ..EnvOptions::default() };
        let environment: Vec<_> = self
            .secrets
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.clone().into_bytes()))
            .collect();
        let shown = substitute_env_with(&mut registry, &environment, &options);
        let pairs = self
            .secrets
            .iter()
            .zip(shown)
            .map(|((name, real), outcome)| match outcome {
                EnvOutcome::Replaced { value, .. } => {
                    let synthetic = String::from_utf8(value).expect("tokens are text");
                    Pair { name, real: real.clone(), synthetic }
                }
                other => panic!("{name} is no secret: {other:?}"),
            })
            .collect();
        let notes = Notes::default();
        let swaps = Swaps::new(Arc::new(registry), RunKey::from_bytes(random()));
        let settings = Settings { roots: Some(roots), ..self.settings };
        let broker = Broker::new(swaps, notes.clone(), To(server), settings).expect("a broker");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (serving, host) = (broker.clone(), self.host.to_owned());
        tokio::spawn(async move {
            while let Ok((guest, _)) = listener.accept().await {
                let _ = guest.set_nodelay(true);
                let (broker, to) = (serving.clone(), destination(&host));
                tokio::spawn(async move { broker.serve(guest, to, Origin::default()).await });
            }
        });
        let mut roots = RootCertStore::empty();
        let pem = broker.certificate_pem().as_bytes();
        roots.add(CertificateDer::from_pem_slice(pem).expect("a certificate")).expect("an authority");
        let clients = [b"http/1.1".as_slice(), b"h2"].map(|alpn| client(roots.clone(), &[alpn]));
        World { _broker: broker, notes, asked, pairs, host: self.host.to_owned(), address, clients }
    }
}

impl World {
    /// A client's connection to the broker, under TLS.
    pub(crate) async fn connect(&self, alpn: &[u8]) -> TlsStream<TcpStream> {
        self.greet(&self.host, alpn).await.expect("TLS through the broker")
    }

    /// The same, greeting some host.
    pub(crate) async fn greet(&self, host: &str, alpn: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let client = self.clients.iter().find(|client| client.alpn_protocols == [alpn]);
        TlsConnector::from(Arc::clone(client.expect("one of the two"))).connect(name, stream).await
    }

    /// A connection to the broker without TLS.
    pub(crate) async fn connect_plain(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the broker")
    }

    /// One request over HTTP/1.1; the answer's head and body.
    pub(crate) async fn ask(&self, request: Request<Body>) -> (Response<()>, Vec<u8>) {
        let stream = TokioIo::new(self.connect(b"http/1.1").await);
        let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.expect("an answer");
        taken(response).await
    }

    /// One request over HTTP/2.
    pub(crate) async fn ask_h2(&self, request: Request<Body>) -> (Response<()>, Vec<u8>) {
        let stream = TokioIo::new(self.connect(b"h2").await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        let (mut parts, body) = request.into_parts();
        parts.version = Version::HTTP_2;
        parts.headers.remove("host");
        let path = parts.uri.path_and_query().expect("a path").as_str().to_owned();
        parts.uri = format!("https://{}{path}", self.host).parse().expect("a URI");
        let response = sender.send_request(Request::from_parts(parts, body)).await.expect("an answer");
        taken(response).await
    }

    /// A request to the host of this world.
    pub(crate) fn request(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(path).header("host", &self.host)
    }

    /// What the server was asked, once.
    pub(crate) fn asked_once(&self) -> Asked {
        let asked = self.asked.lock().expect("no test panics with it");
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }

    /// Whether anything that the server got holds this.
    pub(crate) fn server_saw(&self, value: &str) -> bool {
        let asked = self.asked.lock().expect("no test panics with it");
        asked.iter().any(|asked| format!("{asked:?}{}", String::from_utf8_lossy(&asked.body)).contains(value))
    }
}

pub(crate) async fn taken(response: Response<Incoming>) -> (Response<()>, Vec<u8>) {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(|all| all.to_bytes().to_vec()).unwrap_or_default();
    (Response::from_parts(parts, ()), body)
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body of unknown length, cut behind so many bytes and then into single ones around there.
pub(crate) fn pieces(bytes: &[u8], cut: usize) -> Body {
    let cut = cut.min(bytes.len());
    let end = (cut + 8).min(bytes.len());
    let mut pieces = vec![bytes[..cut].to_vec()];
    pieces.extend(bytes[cut..end].iter().map(|byte| vec![*byte]));
    pieces.push(bytes[end..].to_vec());
    parts(pieces)
}

/// A body of unknown length, in these frames.
pub(crate) fn parts(parts: impl IntoIterator<Item = Vec<u8>>) -> Body {
    let frames =
        parts.into_iter().filter(|part| !part.is_empty()).map(|part| Ok(Frame::data(Bytes::from(part))));
    BoxBody::new(StreamBody::new(Frames(frames.collect::<Vec<_>>().into_iter())))
}

type Piece = Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// Frames that are there already, one at each poll.
struct Frames(std::vec::IntoIter<Piece>);

impl Stream for Frames {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Piece>> {
        Poll::Ready(self.0.next())
    }
}

/// Compressed, as gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("into memory")
}

pub(crate) fn destination(host: &str) -> Destination {
    Destination { host: HostName::Name(host.to_owned()), port: 443 }
}

pub(crate) fn client(roots: RootCertStore, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn certified(host: &str, alpn: &[&[u8]]) -> (RootCertStore, TlsAcceptor) {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec![host.to_owned()])
        .and_then(|params| params.self_signed(&key))
        .expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("an authority");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a server");
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    (roots, TlsAcceptor::from(Arc::new(config)))
}

async fn serve(acceptor: TlsAcceptor, asked: Arc<Mutex<Vec<Asked>>>, answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (acceptor, asked, answer) = (acceptor.clone(), Arc::clone(&asked), Arc::clone(&answer));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(move |request| {
                    let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                    async move { Ok::<_, Infallible>(take(request, &asked, &answer).await) }
                });
                let stream = TokioIo::new(stream);
                let _ = match h2 {
                    true => {
                        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .serve_connection(stream, service)
                            .await
                    }
                    false => {
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(stream, service)
                            .with_upgrades()
                            .await
                    }
                };
            });
        }
    });
    address
}

/// Takes a request as far as it comes: what was cut off is on record as well.
async fn take(
    mut request: Request<Incoming>,
    asked: &Arc<Mutex<Vec<Asked>>>,
    answer: &Answer,
) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, mut body) = request.into_parts();
    let mut one = Asked {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body: Vec::new(),
        trailers: None,
        complete: false,
    };
    let at = {
        let mut asked = asked.lock().expect("no test panics with it");
        asked.push(one.clone());
        asked.len() - 1
    };
    let mut is_whole = true;
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data().map_err(|frame| frame.into_trailers())) {
            Ok(Ok(data)) => one.body.extend_from_slice(&data),
            Ok(Err(trailers)) => one.trailers = trailers.ok(),
            Err(_) => {
                is_whole = false;
                break;
            }
        }
        asked.lock().expect("no test panics with it")[at] = one.clone();
    }
    // Only now: a test may look while the rest is on its way.
    one.complete = is_whole;
    asked.lock().expect("no test panics with it")[at] = one.clone();
    let response = answer(&one);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let asked = Arc::clone(asked);
        tokio::spawn(async move {
            let Ok(socket) = upgrade.await else { return };
            let (mut socket, mut buffer) = (TokioIo::new(socket), [0; 1024]);
            while let Ok(read @ 1..) = socket.read(&mut buffer).await {
                asked.lock().expect("no test panics with it")[at].body.extend_from_slice(&buffer[..read]);
                if socket.write_all(b"\x81\x02ok").await.is_err() || socket.flush().await.is_err() {
                    return;
                }
            }
        });
    }
    response
}

fn random<const N: usize>() -> [u8; N] {
    std::array::from_fn(|_| RandomState::new().build_hasher().finish() as u8)
}
