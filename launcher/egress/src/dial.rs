//! Opens connections to where the rules allow: resolves once, looks at every address, keeps them.
//!
//! A name is resolved by the host's own resolver and its addresses are pinned for the run, so that its owner
//! cannot point it elsewhere between the check and the connect. Where the host has a proxy, that resolves.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shieldrun_policy::network::{Rules, forbidden};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::flow::{Destination, Dial, HostName};
use crate::ledger::Refusal;

/// For name and connection together.
const PATIENCE: Duration = Duration::from_secs(20);
/// The next address is tried beside the one before after this time (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// An answer of the host's proxy longer than this is none.
const ANSWER: usize = 16 << 10;
/// Names whose addresses are kept.
const PINNED: usize = 4096;

/// The host's own proxy.
#[derive(Clone)]
pub struct Upstream {
    address: String,
    authorization: Option<String>,
    direct: Vec<String>,
}

/// Dials for all connections of a run.
#[derive(Clone, Debug)]
pub struct Dialer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: Arc<Rules>,
    upstream: Option<Upstream>,
    pinned: Mutex<HashMap<String, Vec<IpAddr>>>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) why: Refusal,
    cause: io::Error,
}

impl Dialer {
    /// One for a run.
    #[must_use]
    pub fn new(rules: Arc<Rules>, upstream: Option<Upstream>) -> Self {
        Self(Arc::new(Inner { rules, upstream, pinned: Mutex::default() }))
    }

    /// Connects, or says why not.
    pub(crate) async fn connect(&self, to: &Destination) -> Result<TcpStream, Failed> {
        timeout(PATIENCE, self.0.connect(to))
            .await
            .unwrap_or_else(|_| Err(Failed::because("nothing answered in time")))
    }
}

impl Dial for Dialer {
    async fn dial(&self, to: &Destination) -> io::Result<TcpStream> {
        self.connect(to).await.map_err(|failed| failed.cause)
    }
}

impl Inner {
    async fn connect(&self, to: &Destination) -> Result<TcpStream, Failed> {
        if let Some(address) = self.rules.resolved(&to.host.to_host(), to.port) {
            return first_of(vec![address]).await;
        }
        if let Some(upstream) = self.upstream.as_ref().filter(|upstream| !upstream.skips(&to.host)) {
            return upstream.connect(to).await;
        }
        let addresses = match &to.host {
            HostName::Address(address) => vec![*address],
            HostName::Name(name) => self.addresses(name).await?,
        };
        if let Some(address) = addresses.iter().find(|address| !self.rules.allows_address(**address, to.port))
        {
            let kind = forbidden(*address).map_or("another", |range| range.word());
            let cause = format!("it leads to {address}, a {kind} address; `--allow {address}` lists it");
            return Err(Failed { why: Refusal::Address, cause: io::Error::other(cause) });
        }
        let made =
            first_of(interleaved(addresses).map(|address| SocketAddr::new(address, to.port)).collect()).await;
        if made.is_err()
            && let HostName::Name(name) = &to.host
        {
            // It may have moved: the next attempt asks again, and looks again.
            self.pinned.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
        made
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Failed> {
        let pinned = || self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = pinned().get(name) {
            return Ok(addresses.clone());
        }
        // Without a final dot, which the names of `/etc/hosts` do not have.
        let found = lookup_host((name, 0)).await.map_err(Failed::from)?;
        let mut addresses: Vec<IpAddr> = found.map(|found| found.ip()).collect();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(Failed::because("it has no address"));
        }
        let mut pinned = pinned();
        if pinned.len() >= PINNED {
            pinned.clear();
        }
        Ok(pinned.entry(name.to_owned()).or_insert(addresses).clone())
    }
}

/// One of each family in turn, IPv6 first.
fn interleaved(addresses: Vec<IpAddr>) -> impl Iterator<Item = IpAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let length = six.len().max(four.len());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    (0..length).flat_map(move |_| [six.next(), four.next()]).flatten()
}

/// The first of these that answers.
async fn first_of(addresses: Vec<SocketAddr>) -> Result<TcpStream, Failed> {
    let mut waiting = addresses.into_iter();
    let mut trying = JoinSet::new();
    let mut failed = Failed::because("it has no address");
    loop {
        let next = waiting.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            trying.spawn(TcpStream::connect(address));
        }
        let made = if is_last {
            match trying.join_next().await {
                None => return Err(failed),
                made => made,
            }
        } else {
            tokio::select! {
                made = trying.join_next() => made,
                () = sleep(STAGGER) => None,
            }
        };
        match made {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failed = error.into(),
            Some(Err(_)) | None => {}
        }
    }
}

impl Upstream {
    /// Reads the value of `HTTPS_PROXY` and that of `NO_PROXY`.
    ///
    /// # Errors
    /// A reason, for a person; the value itself, which may hold a password, is not in it.
    pub fn parse(proxy: &str, direct: &str) -> Result<Self, String> {
        let rest = match proxy.split_once("://") {
            None => proxy,
            Some(("http", rest)) => rest,
            Some(_) => return Err("the host's proxy is not one of `http://`".to_owned()),
        };
        let rest = rest.split('/').next().unwrap_or(rest);
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authorization = user.map(|user| {
            format!("Proxy-Authorization: Basic {}\r\n", data_encoding::BASE64.encode(&decoded(user)))
        });
        let direct = direct.split(',').map(|host| host.trim().trim_start_matches('.').to_ascii_lowercase());
        Ok(Self {
            address: if has_port { address.to_owned() } else { format!("{address}:80") },
            authorization,
            direct: direct.filter(|host| !host.is_empty()).collect(),
        })
    }

    /// Whether a host is reached without it.
    fn skips(&self, host: &HostName) -> bool {
        let name = host.to_string();
        self.direct.iter().any(|own| {
            own == "*"
                || *own == name
                || name.strip_suffix(own.as_str()).is_some_and(|front| front.ends_with('.'))
        })
    }

    async fn connect(&self, to: &Destination) -> Result<TcpStream, Failed> {
        let mut stream = TcpStream::connect(&self.address).await.map_err(Failed::from)?;
        let authorization = self.authorization.as_deref().unwrap_or_default();
        let head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n");
        stream.write_all(head.as_bytes()).await.map_err(Failed::from)?;
        // Byte by byte, so that nothing of what follows is taken.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() > ANSWER {
                return Err(Failed::because("the host's proxy gave no answer that can be read"));
            }
            answer.push(stream.read_u8().await.map_err(Failed::from)?);
        }
        let granted = answer.starts_with(b"HTTP/1.") && answer.get(9..12) == Some(b"200");
        if granted { Ok(stream) } else { Err(Failed::because("the host's proxy refused it")) }
    }
}

/// `%40` and the like.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let hex = rest.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                bytes = rest.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    out
}

impl Failed {
    fn because(reason: &str) -> Self {
        Self { why: Refusal::Unreachable, cause: io::Error::other(reason.to_owned()) }
    }
}

impl From<io::Error> for Failed {
    fn from(cause: io::Error) -> Self {
        Self { why: Refusal::Unreachable, cause }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(out)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Upstream({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shieldrun_policy::schema::{Network, NetworkMode};
    use tokio::net::TcpListener;

    /// A dialer that has resolved `moving.example` to this address before, with nobody to ask now.
    fn pinned_to(address: &str, port: u16) -> Dialer {
        let network = Network {
            mode: NetworkMode::Allowlist,
            allow: vec![format!("moving.example:{port}"), format!("127.0.0.1:{port}")],
            ..Network::default()
        };
        let dialer = Dialer::new(Arc::new(Rules::of(&network)), None);
        let address: IpAddr = address.parse().expect("an address");
        dialer.0.pinned.lock().expect("not poisoned").insert("moving.example".to_owned(), vec![address]);
        dialer
    }

    #[tokio::test]
    async fn a_name_keeps_the_address_that_was_looked_at_until_nobody_answers_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let to = Destination { host: HostName::Name("moving.example".to_owned()), port };
        let dialer = pinned_to("127.0.0.1", port);
        for _ in 0..2 {
            assert!(dialer.connect(&to).await.is_ok(), "it goes where it went, whatever the name says now");
        }
        drop(listener);
        assert!(dialer.connect(&to).await.is_err());
        assert!(
            dialer.0.pinned.lock().expect("not poisoned").is_empty(),
            "the next one asks, and looks, again"
        );
        // One that was never looked at: the address is judged, not the name.
        let refused = pinned_to("127.0.0.2", port).connect(&to).await.expect_err("a loopback address");
        assert_eq!(refused.why, Refusal::Address);
    }
}
