//! What the broker costs: a request on a warm connection and bytes a second, to a TLS server on loopback; direct,
//! through a plain relay, through the broker.
//!
//! ```text
//! cargo run --release -p shieldrun-egress --example throughput
//! ```

#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use shieldrun_egress::broker::{Broker, Settings, Swaps};
use shieldrun_egress::{Destination, Dial, HostName, Ledger, Note, Origin};
use shieldrun_secrets::{Registry, RunKey, substitute_env};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const HOST: &str = "api.example.com";
const REQUESTS: usize = 2000;
const LARGE: usize = 256 << 20;

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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec![HOST.to_owned()])?.self_signed(&key)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone())?;
    let server = serve(&certificate, &key).await?;

    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    let value = |at: u32| (0..32).map(|i| b'a' + ((at * 7 + i * i * 11 + i * at) % 26) as u8).collect();
    let secrets: Vec<(Vec<u8>, Vec<u8>)> =
        (0..20).map(|at| (format!("TOKEN_{at}").into_bytes(), value(at))).collect();
    substitute_env(&mut registry, &secrets);
    let swaps = Swaps::new(Arc::new(registry), RunKey::from_bytes([2; 32]));
    let settings = Settings { roots: Some(roots.clone()), ..Settings::default() };
    let broker = Broker::new(swaps, Silent, To(server), settings)?;
    let mut own = RootCertStore::empty();
    own.add(CertificateDer::from_pem_slice(broker.certificate_pem().as_bytes())?)?;

    let relay = listen(move |mut guest| async move {
        let Ok(mut upstream) = TcpStream::connect(server).await else { return };
        let _ = upstream.set_nodelay(true);
        let _ = tokio::io::copy_bidirectional(&mut guest, &mut upstream).await;
    })
    .await?;
    let brokered = listen(move |guest| {
        let broker = broker.clone();
        async move {
            let to = Destination { host: HostName::Name(HOST.into()), port: 443 };
            let _ = broker.serve(guest, to, Origin::default()).await;
        }
    })
    .await?;

    println!("{:<10} {:>14} {:>14} {:>14}", "way", "request", "down", "up");
    for (name, at, roots) in
        [("direct", server, &roots), ("relay", relay, &roots), ("broker", brokered, &own)]
    {
        measure(name, at, roots.clone()).await?;
    }
    Ok(())
}

async fn measure(name: &str, at: SocketAddr, roots: RootCertStore) -> Result<(), Box<dyn std::error::Error>> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(HOST)?, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let ask = |path: &str, body: Bytes| Request::post(path).header("host", HOST).body(Full::new(body));
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        sender.ready().await?;
        let told = taken(sender.send_request(ask("/small", Bytes::from_static(b"{}"))?).await?).await?;
        expect(&told.1, b"2")?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let begun = Instant::now();
    sender.ready().await?;
    let down = taken(sender.send_request(ask("/large", Bytes::new())?).await?).await?;
    let down = rate(whole(down.0)?, begun.elapsed());
    let begun = Instant::now();
    sender.ready().await?;
    let told = taken(sender.send_request(ask("/small", Bytes::from(vec![b'x'; LARGE]))?).await?).await?;
    let up = rate(LARGE, begun.elapsed());
    expect(&told.1, LARGE.to_string().as_bytes())?;
    println!("{name:<10} {:>11} µs {down:>7.2} Gbit/s {up:>7.2} Gbit/s", times[REQUESTS / 2].as_micros());
    Ok(())
}

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 * 8.0 / time.as_secs_f64() / 1e9
}

/// How long an answer is, and what it says, if that is short. What was refused is no figure.
async fn taken(response: Response<Incoming>) -> Result<(usize, Vec<u8>), Box<dyn std::error::Error>> {
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
fn expect(told: &[u8], wanted: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    if told == wanted { Ok(()) } else { Err("not every byte arrived at the server".into()) }
}

fn whole(length: usize) -> Result<usize, Box<dyn std::error::Error>> {
    if length == LARGE { Ok(length) } else { Err("not every byte of the answer arrived".into()) }
}

async fn serve(
    certificate: &rcgen::Certificate,
    key: &rcgen::KeyPair,
) -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der())?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let large = Bytes::from(vec![b'y'; LARGE]);
    let address = listen(move |stream| {
        let (acceptor, large) = (acceptor.clone(), large.clone());
        async move {
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
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await?;
    Ok(address)
}

async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> io::Result<SocketAddr>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}
