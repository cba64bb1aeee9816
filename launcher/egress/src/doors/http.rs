//! HTTP as far as a door must read it: CONNECT, a request in absolute form, and a request whose host is
//! listed for some requests only.
//!
//! One request a connection: what follows its body is not forwarded, so nothing can be hidden behind it. A
//! head that two servers could read in two ways is refused.

use std::io;
use std::sync::Arc;

use shieldrun_policy::network::Verdict;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Gate, HEAD, Refused, reset};
use crate::flow::{Destination, HostName, Origin};
use crate::ledger::{Ledger, Refusal};
use crate::serve::Witness;

/// A longer head is refused.
const LONGEST: usize = 64 << 10;
/// More headers are.
const HEADERS: usize = 128;
/// The port of `http:`.
const HTTP: u16 = 80;

/// A request's head, read in one way only.
struct Head {
    method: String,
    /// As it stands in the request line.
    target: String,
    /// In their order; names as they were sent.
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked,
}

/// The proxy's door.
pub(super) async fn serve<L: Ledger, W: Witness>(
    gate: &Arc<Gate<L, W>>,
    mut guest: TcpStream,
    origin: Origin,
) {
    let Ok(Ok((head, rest))) = timeout(HEAD, read(&mut guest)).await else {
        gate.deny(&origin, "a request that cannot be read", Refusal::Malformed);
        say(guest, 400, "this request cannot be read in one way only").await;
        return;
    };
    if head.method == "CONNECT" {
        return connect(gate, guest, head, rest, origin).await;
    }
    let Some((authority, path)) = head.target.strip_prefix("http://").map(split_path) else {
        return say(guest, 400, "this is a proxy: ask for `http://host/path`, or CONNECT").await;
    };
    let (name, port) = match split_port(authority) {
        Some((name, port)) => (name, port.unwrap_or(HTTP)),
        None => (authority, HTTP),
    };
    let (to, verdict) = match gate.admit(&origin, name, port) {
        Ok(admitted) => admitted,
        Err(refused) => return say_refused(guest, &refused).await,
    };
    forward(gate, guest, &head, rest, path, to, verdict, origin).await;
}

/// A connection to a host that is listed for some requests only.
pub(super) async fn transparent<L: Ledger, W: Witness>(
    gate: &Arc<Gate<L, W>>,
    mut guest: TcpStream,
    to: Destination,
    origin: Origin,
) {
    const TLS: u8 = 0x16;
    let mut first = [0];
    let peeked = timeout(HEAD, guest.peek(&mut first)).await;
    if !matches!(peeked, Ok(Ok(1))) || first == [TLS] {
        gate.deny(&origin, &to.to_string(), Refusal::Request);
        return reset(guest);
    }
    let Ok(Ok((head, rest))) = timeout(HEAD, read(&mut guest)).await else {
        gate.deny(&origin, &to.to_string(), Refusal::Malformed);
        return say(guest, 400, "this request cannot be read in one way only").await;
    };
    let path = head.target.clone();
    if !path.starts_with('/') {
        gate.deny(&origin, &to.to_string(), Refusal::Malformed);
        return say(guest, 400, "this request does not begin with a path").await;
    }
    forward(gate, guest, &head, rest, &path, to, Verdict::Requests, origin).await;
}

async fn connect<L: Ledger, W: Witness>(
    gate: &Arc<Gate<L, W>>,
    mut guest: TcpStream,
    head: Head,
    rest: Vec<u8>,
    origin: Origin,
) {
    let Some((name, Some(port))) = split_port(&head.target) else {
        gate.deny(&origin, &super::shown(&head.target), Refusal::Malformed);
        return say(guest, 400, "CONNECT is to `host:port`").await;
    };
    let reached = match gate.admit(&origin, name, port) {
        Ok((to, verdict)) if verdict == Verdict::Allowed || gate.broker_for(&to).is_some() => {
            gate.dial(&origin, &to).await.map(|upstream| (to, upstream))
        }
        Ok((to, _)) => {
            gate.deny(&origin, &to.to_string(), Refusal::Request);
            let reason =
                format!("`{to}` is listed for some requests only, and nobody can look into a tunnel");
            Err(Refused { why: Refusal::Request, reason })
        }
        Err(refused) => Err(refused),
    };
    match reached {
        Ok((to, upstream)) => {
            if guest.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
                gate.join(guest, upstream, to, origin, rest).await;
            }
        }
        Err(refused) => say_refused(guest, &refused).await,
    }
}

#[expect(clippy::too_many_arguments, reason = "all that there is to say of one request, once")]
async fn forward<L: Ledger, W: Witness>(
    gate: &Arc<Gate<L, W>>,
    guest: TcpStream,
    head: &Head,
    mut rest: Vec<u8>,
    path: &str,
    to: Destination,
    verdict: Verdict,
    origin: Origin,
) {
    let authority = authority(&to);
    if !head.names(&to) {
        gate.deny(&origin, &to.to_string(), Refusal::HostDiffers);
        return say(guest, 400, "the header `Host` names another host than the request").await;
    }
    let bare = path.split(['?', '#']).next().unwrap_or(path);
    if !gate.rules.allows_request(&to.host.to_host(), to.port, &head.method, bare) {
        gate.deny(&origin, &format!("{} {to}{}", head.method, super::shown(bare)), Refusal::Request);
        return say(guest, 403, &format!("{} {bare} of `{to}` is not on the allowlist", head.method)).await;
    }
    let limit = match head.body {
        Body::Length(length) => Some(length),
        Body::Chunked if verdict == Verdict::Requests => {
            gate.deny(&origin, &to.to_string(), Refusal::Malformed);
            return say(
                guest,
                411,
                "a request to a host that is listed for some requests only states its length",
            )
            .await;
        }
        Body::Chunked => None,
    };
    let mut first = format!("{} {path} HTTP/1.1\r\nHost: {authority}\r\n", head.method).into_bytes();
    for (name, value) in &head.headers {
        let lower = name.to_ascii_lowercase();
        if ["host", "connection", "keep-alive", "upgrade"].contains(&lower.as_str())
            || lower.starts_with("proxy-")
        {
            continue;
        }
        first.extend_from_slice(name.as_bytes());
        first.extend_from_slice(b": ");
        first.extend_from_slice(value);
        first.extend_from_slice(b"\r\n");
    }
    first.extend_from_slice(b"Connection: close\r\n\r\n");
    let upstream = match gate.dial(&origin, &to).await {
        Ok(upstream) => upstream,
        Err(refused) => return say_refused(guest, &refused).await,
    };
    let still = limit.map(|limit| {
        let here = usize::try_from(limit).unwrap_or(usize::MAX).min(rest.len());
        rest.truncate(here);
        limit - here as u64
    });
    first.append(&mut rest);
    gate.join_at_most(guest, upstream, to, origin, first, still).await;
}

impl Head {
    /// Whether the header `Host`, where there is one, means this destination.
    fn names(&self, to: &Destination) -> bool {
        let hosts: Vec<_> =
            self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).collect();
        let [(_, value)] = hosts.as_slice() else { return hosts.is_empty() };
        let Ok(text) = std::str::from_utf8(value) else { return false };
        let (name, port) = split_port(text).map_or((text, None), |(name, port)| (name, port));
        let same = shieldrun_policy::network::host(name).is_ok_and(|host| HostName::from(host) == to.host);
        same && port.is_none_or(|port| port == to.port)
    }
}

/// The head, and what came after it. Byte by byte would be slow, so more may have been read.
async fn read(guest: &mut TcpStream) -> io::Result<(Head, Vec<u8>)> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let mut bytes = Vec::with_capacity(2048);
    loop {
        if guest.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((head, length)) = parse(&bytes).map_err(|()| malformed())? {
            return Ok((head, bytes.split_off(length)));
        }
        if bytes.len() > LONGEST {
            return Err(malformed());
        }
    }
}

/// `None` for a head that goes on.
fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes).map_err(drop)? else { return Ok(None) };
    // A line that ends with a bare line feed is read in two ways.
    let head = bytes.get(..length).unwrap_or_default();
    if head.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r') {
        return Err(());
    }
    let headers: Vec<_> =
        request.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
    let all = |wanted: &str| {
        let own = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        own.map(|(_, value)| value.as_slice()).collect::<Vec<_>>()
    };
    let body = match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
        ([], []) => Body::Length(0),
        ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            Body::Length(std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()).ok_or(())?)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Body::Chunked,
        _ => return Err(()),
    };
    let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version) else {
        return old(&request, headers.clone(), body, length);
    };
    Ok(Some((Head { method: method.to_owned(), target: target.to_owned(), headers, body }, length)))
}

/// HTTP/1.0 has no chunks; else it is the same.
fn old(
    request: &httparse::Request<'_, '_>,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
    length: usize,
) -> Result<Option<(Head, usize)>, ()> {
    match (request.method, request.path, request.version) {
        (Some(method), Some(target), Some(0)) if body != Body::Chunked => {
            Ok(Some((Head { method: method.to_owned(), target: target.to_owned(), headers, body }, length)))
        }
        _ => Err(()),
    }
}

fn split_path(rest: &str) -> (&str, &str) {
    match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('/') => rest.split_at(at),
        _ => (rest, "/"),
    }
}

/// `host:port`; an IPv6 address only in brackets. `None` for a port that is none.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            Some((name, Some(port.parse().ok().filter(|_| digits)?)))
        }
        _ => Some((authority, None)),
    }
}

fn authority(to: &Destination) -> String {
    let whole = to.to_string();
    if to.port == HTTP { whole.trim_end_matches(":80").to_owned() } else { whole }
}

async fn say_refused(guest: TcpStream, refused: &Refused) {
    let code = if refused.why == Refusal::Unreachable { 502 } else { 403 };
    say(guest, code, &refused.reason).await;
}

/// An answer of our own, and the end.
async fn say(mut guest: TcpStream, code: u16, reason: &str) {
    let phrase = match code {
        400 => "Bad Request",
        403 => "Forbidden",
        411 => "Length Required",
        _ => "Bad Gateway",
    };
    let body = format!("shieldrun: {reason}\n");
    let head = format!(
        "HTTP/1.1 {code} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         X-Shieldrun: {}\r\nConnection: close\r\n\r\n",
        body.len(),
        reason.chars().filter(|letter| letter.is_ascii() && !letter.is_ascii_control()).collect::<String>(),
    );
    let all = [head.as_bytes(), body.as_bytes()].concat();
    if timeout(HEAD, guest.write_all(&all)).await.is_ok() {
        let _ = timeout(HEAD, guest.shutdown()).await;
    }
}
