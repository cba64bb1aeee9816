//! What the broker costs: a request on a warm connection and bytes a second, to a TLS server on loopback; direct,
//! through a relay of bytes, through one that ends TLS and begins it anew, through the broker.
//!
//! Client, server and each way have a thread of their own. A machine with fewer cores than that says little by
//! the clock, so what a way moves in a second of a processor's time stands beside it: that is one core's worth. It
//! is all that the process has had but for client and server, so what a way hands to further threads counts too.
//!
//! ```text
//! cargo run --release -p shieldrun-egress --example throughput
//! ```

#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::time::{ClockId, clock_gettime};
use shieldrun_egress::broker::{Broker, Settings, Swaps};
use shieldrun_egress::{Destination, Dial, HostName, Ledger, Note, Origin};
use shieldrun_secrets::{Registry, RunKey, substitute_env};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Failed = Box<dyn Error + Send + Sync>;

const HOST: &str = "api.example.com";
const REQUESTS: usize = 2000;
const LARGE: usize = 256 << 20;
const RELAYED: usize = 64 << 10;

struct Silent;

impl Ledger for Silent {
    fn note(&self, _: &Origin, _: Note) {}
}

struct To(SocketAddr);

impl Dial for To {
    async fn dial(&self, _: &Destination) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }
}

/// A thread that serves, and where.
struct Way {
    at: SocketAddr,
    thread: Handle,
    roots: RootCertStore,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec![HOST.to_owned()])?.self_signed(&key)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone())?;
    let acceptor = acceptor(&certificate, &key)?;
    let large = Bytes::from(text());
    let direct = Way::new(&roots, {
        let (acceptor, large) = (acceptor.clone(), large.clone());
        move |stream| serve(stream, acceptor.clone(), large.clone())
    })?;
    let server = direct.at;

    let relay = Way::new(&roots, move |mut guest| async move {
        let Ok(mut upstream) = dialled(server).await else { return };
        let _ = copy_bidirectional_with_sizes(&mut guest, &mut upstream, RELAYED, RELAYED).await;
    })?;
    let connector = TlsConnector::from(Arc::new(trusting(roots.clone())?));
    let ended = Way::new(&roots, move |guest| {
        let (acceptor, connector) = (acceptor.clone(), connector.clone());
        async move {
            let (Ok(upstream), Ok(name)) = (dialled(server).await, ServerName::try_from(HOST)) else {
                return;
            };
            let Ok(mut guest) = acceptor.accept(guest).await else { return };
            let Ok(mut upstream) = connector.connect(name, upstream).await else { return };
            let _ = copy_bidirectional_with_sizes(&mut guest, &mut upstream, RELAYED, RELAYED).await;
        }
    })?;

    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    let value = |at: u32| (0..32).map(|i| b'a' + ((at * 7 + i * i * 11 + i * at) % 26) as u8).collect();
    let secrets: Vec<(Vec<u8>, Vec<u8>)> =
        (0..20).map(|at| (format!("TOKEN_{at}").into_bytes(), value(at))).collect();
    substitute_env(&mut registry, &secrets);
    let swaps = Swaps::new(Arc::new(registry), RunKey::from_bytes([2; 32]));
    let settings = Settings { roots: Some(roots), ..Settings::default() };
    let broker = Broker::new(swaps, Silent, To(server), settings)?;
    let mut own = RootCertStore::empty();
    own.add(CertificateDer::from_pem_slice(broker.certificate_pem().as_bytes())?)?;
    let brokered = Way::new(&own, move |guest| {
        let broker = broker.clone();
        async move {
            let to = Destination { host: HostName::Name(HOST.into()), port: 443 };
            let _ = broker.serve(guest, to, Origin::default()).await;
        }
    })?;

    println!("{:<18} {:>10} {:>24} {:>24}", "way", "request", "down (one core)", "up (one core)");
    measure("direct", &direct, None, &large).await?;
    for (name, way) in [("relay of bytes", relay), ("relay of TLS", ended), ("broker", brokered)] {
        measure(name, &way, Some(&direct), &large).await?;
    }
    Ok(())
}

impl Way {
    /// A thread with a runtime and a listener of its own.
    fn new<F>(roots: &RootCertStore, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Result<Self, Failed>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (at, thread) = (listener.local_addr()?, runtime.handle().clone());
        std::thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream));
                }
            });
        });
        Ok(Self { at, thread, roots: roots.clone() })
    }

    /// How much of a processor the thread has had.
    async fn spent(&self) -> Result<Duration, Failed> {
        self.thread.spawn(async { spent(ClockId::ThreadCPUTime) }).await?
    }
}

fn spent(clock: ClockId) -> Result<Duration, Failed> {
    let now = clock_gettime(clock);
    Ok(Duration::new(u64::try_from(now.tv_sec)?, u32::try_from(now.tv_nsec)?))
}

/// All but the client, which is this thread, and the server, where it is not what is measured.
async fn spent_on_the_way(server: Option<&Way>) -> Result<Duration, Failed> {
    let server = match server {
        Some(server) => server.spent().await?,
        None => Duration::ZERO,
    };
    Ok(spent(ClockId::ProcessCPUTime)? - spent(ClockId::ThreadCPUTime)? - server)
}

/// Bytes a second, by the clock and by the processor's time.
async fn rate(
    server: Option<&Way>,
    moved: impl Future<Output = Result<(), Failed>>,
) -> Result<String, Failed> {
    let (begun, spent) = (Instant::now(), spent_on_the_way(server).await?);
    moved.await?;
    let (time, own) = (begun.elapsed(), spent_on_the_way(server).await? - spent);
    let rate = |time: Duration| LARGE as f64 * 8.0 / time.as_secs_f64() / 1e9;
    Ok(format!("{:.2} ({:.2}) Gbit/s", rate(time), rate(own)))
}

async fn measure(name: &str, way: &Way, server: Option<&Way>, large: &Bytes) -> Result<(), Failed> {
    let stream = dialled(way.at).await?;
    let connector = TlsConnector::from(Arc::new(trusting(way.roots.clone())?));
    let stream = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        expect(&ask(&mut sender, "/small", Bytes::from_static(b"{}")).await?.1, b"2")?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let down = rate(server, async { whole(ask(&mut sender, "/large", Bytes::new()).await?.0) }).await?;
    let up = async {
        let told = ask(&mut sender, "/small", large.clone()).await?.1;
        expect(&told, LARGE.to_string().as_bytes())
    };
    let up = rate(server, up).await?;
    println!("{name:<18} {:>7} µs {down:>24} {up:>24}", times[REQUESTS / 2].as_micros());
    Ok(())
}

/// Asks, and takes the answer: how long it is, and what it says, if that is short. What was refused is no figure.
async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    path: &str,
    body: Bytes,
) -> Result<(usize, Vec<u8>), Failed> {
    sender.ready().await?;
    let request = Request::post(path).header("host", HOST).body(Full::new(body))?;
    let response: Response<Incoming> = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(format!("the answer is {}", response.status()).into());
    }
    let mut body = response.into_body();
    let (mut length, mut told) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let data = frame.data_ref().map_or(b"".as_slice(), |data| data);
        length += data.len();
        if length < 64 {
            told.extend_from_slice(data);
        }
    }
    Ok((length, told))
}

/// The server says how many bytes it was sent.
fn expect(told: &[u8], wanted: &[u8]) -> Result<(), Failed> {
    if told == wanted { Ok(()) } else { Err("not every byte arrived at the server".into()) }
}

fn whole(length: usize) -> Result<(), Failed> {
    if length == LARGE { Ok(()) } else { Err("not every byte of the answer arrived".into()) }
}

/// Base64 of drawn bytes, which costs a scan more than one letter many times over.
fn text() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let drawn: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(LARGE / 4 * 3)
    .collect();
    BASE64.encode(&drawn).into_bytes()
}

async fn dialled(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, Failed> {
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn acceptor(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> Result<TlsAcceptor, Failed> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der())?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Says how long the body was, or all of the large text.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, large: Bytes) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let large = (request.uri().path() == "/large").then(|| large.clone());
        async move {
            let (mut asked, mut length) = (request.into_body(), 0);
            while let Some(Ok(frame)) = asked.frame().await {
                length += frame.data_ref().map_or(0, Bytes::len);
            }
            let body = large.unwrap_or_else(|| Bytes::from(length.to_string()));
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
