//! A request is understood in one way only, or refused.
//!
//! Owns what of HTTP may be ambiguous: whose request it is, how long it is, which headers belong to the
//! connection. Does not look for secrets. What passes is written anew towards the destination, so no byte of
//! the guest's own framing reaches it.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Method, StatusCode, Uri, Version};

use super::settings::Limits;
use super::stop::Stop;
use crate::flow::Destination;

/// Headers that speak of one connection; none is passed on.
const OF_THE_CONNECTION: &[&str] =
    &["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade"];

/// Whether a connection is under TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheming {
    /// `https`.
    Tls,
    /// `http`.
    Plain,
}

/// Whether the request asks to leave HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continues {
    /// No.
    AsHttp,
    /// As a WebSocket, if the destination agrees.
    AsWebSocket,
}

/// Checks a request and takes out of it what concerns the guest's connection alone.
pub(super) fn check(
    parts: &mut Parts,
    to: &Destination,
    scheming: Scheming,
    limits: &Limits,
) -> Result<Continues, Stop> {
    if parts.method == Method::CONNECT {
        return Err(Stop::malformed("CONNECT is for a proxy, and this is the destination"));
    }
    if parts.headers.len() > limits.headers {
        let message = format!("the request has more than {} headers", limits.headers);
        return Err(Stop::limit(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message));
    }
    let size: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
    if size + path.len() > limits.head {
        let message = format!("the request's head has more than {} bytes", limits.head);
        return Err(Stop::limit(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message));
    }
    whose(parts, to, scheming)?;
    how_long(&parts.headers, parts.version)?;
    // In HTTP/2 `*` and an empty path would have to be told apart from what HTTP/1 makes of them.
    if !(path.starts_with('/') || path == "*" && parts.method == Method::OPTIONS) {
        return Err(Stop::malformed("the path does not begin with a slash"));
    }
    if path.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'\\') {
        return Err(Stop::malformed("the path holds a control character or a backslash"));
    }
    let continues = leaves(parts)?;
    strip(&mut parts.headers);
    parts.uri =
        path.parse::<PathAndQuery>().map(Uri::from).map_err(|_| Stop::malformed("the path is no path"))?;
    Ok(continues)
}

/// Every name that the request gives to its host is the one that was dialled.
fn whose(parts: &Parts, to: &Destination, scheming: Scheming) -> Result<(), Stop> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let named = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(Stop::malformed("the request has two Host headers"));
    }
    let authority = parts.uri.authority();
    if named.is_none() && authority.is_none() {
        return Err(Stop::malformed("the request does not say which host it is for"));
    }
    if let Some(scheme) = parts.uri.scheme() {
        let own = if scheming == Scheming::Tls { &Scheme::HTTPS } else { &Scheme::HTTP };
        if scheme != own {
            return Err(Stop::differs(format!(
                "the request names the scheme `{scheme}` on another connection"
            )));
        }
    }
    let default = if scheming == Scheming::Tls { 443 } else { 80 };
    let same = |authority: &Authority| {
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        !authority.as_str().contains('@')
            && bare.trim_end_matches('.') == to.host.to_string()
            && authority.port().map_or(!authority.as_str().ends_with(':'), |_| true)
            && authority.port_u16().unwrap_or(default) == to.port
    };
    let header = match named.map(Authority::try_from) {
        Some(Ok(authority)) => Some(authority),
        Some(Err(_)) => return Err(Stop::malformed("the Host header is no host")),
        None => None,
    };
    if header.as_ref().into_iter().chain(authority).all(same) {
        return Ok(());
    }
    Err(Stop::differs(format!("the request is for another host than the connection, which goes to {to}")))
}

/// One way to tell where the body ends.
fn how_long(headers: &HeaderMap, version: Version) -> Result<(), Stop> {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if lengths > 1 || codings.next().is_some() || (lengths == 1 && coding.is_some()) {
        return Err(Stop::malformed("the request tells its length twice"));
    }
    let digits = |value: &HeaderValue| value.as_bytes().iter().all(u8::is_ascii_digit) && !value.is_empty();
    if !headers.get(header::CONTENT_LENGTH).is_none_or(digits) {
        return Err(Stop::malformed("the Content-Length is no number"));
    }
    match coding {
        Some(_) if version == Version::HTTP_2 => Err(Stop::malformed("HTTP/2 has no transfer encodings")),
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Err(Stop::malformed("the only transfer encoding that is understood is `chunked`"))
        }
        _ => Ok(()),
    }
}

fn leaves(parts: &Parts) -> Result<Continues, Stop> {
    let Some(to) = parts.headers.get(header::UPGRADE) else { return Ok(Continues::AsHttp) };
    if parts.version == Version::HTTP_2 {
        return Err(Stop::malformed("HTTP/2 has no Upgrade header"));
    }
    // An offer of h2c may be ignored; curl makes one.
    let wanted = parts.method == Method::GET && to.as_bytes().eq_ignore_ascii_case(b"websocket");
    Ok(if wanted { Continues::AsWebSocket } else { Continues::AsHttp })
}

/// Takes out what belongs to the connection, and what a Connection header says belongs to it.
pub(super) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let trailers = headers.get(header::TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    // One that says where the body ends or whom it is for stays, whatever is claimed of it.
    for name in named.iter().filter(|name| {
        ![header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::AUTHORIZATION]
            .contains(name)
    }) {
        headers.remove(name);
    }
    for name in OF_THE_CONNECTION {
        headers.remove(*name);
    }
    headers.remove(header::TRANSFER_ENCODING);
    if trailers {
        // gRPC servers insist on it.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}
