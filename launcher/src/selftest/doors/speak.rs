//! Owns how the ways through a listed network speak: DNS, HTTP, also inside TLS, and the two kinds of proxy.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Where a run's programs find a proxy.
const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)), 80);
/// The port of TLS.
const TLS: u16 = 443;
/// Far more than any answer on this machine needs.
const PATIENCE: Duration = Duration::from_secs(2);

/// A question for an address, whose name consists of these labels.
pub(super) fn question(labels: &[&[u8]]) -> Vec<u8> {
    question_of_type(labels, 1)
}

/// A question of any type.
pub(super) fn question_of_type(labels: &[&[u8]], kind: u16) -> Vec<u8> {
    let mut out = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in labels {
        out.push(u8::try_from(label.len()).unwrap_or(63));
        out.extend_from_slice(label);
    }
    out.push(0);
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out
}

/// The server of names that this machine is told of.
pub(super) fn resolver() -> SocketAddr {
    let settings = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut servers =
        settings.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    SocketAddr::new(servers.next().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), 53)
}

/// One datagram, and the answer to it.
pub(super) fn datagram(to: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    socket.send(bytes)?;
    let mut answer = vec![0; 2048];
    let count = socket.recv(&mut answer)?;
    answer.truncate(count);
    Ok(answer)
}

/// The address that a name has here.
pub(super) fn address_of(name: &str) -> io::Result<IpAddr> {
    let labels: Vec<_> = name.split('.').map(str::as_bytes).collect();
    let answer = datagram(resolver(), &question(&labels))?;
    let has_one = answer.get(6..8) == Some(&[0, 1]);
    let last = answer.last_chunk::<4>().filter(|_| has_one);
    last.map(|octets| IpAddr::from(*octets)).ok_or_else(|| io::Error::other("the name has no address"))
}

/// Says something there, and waits for a word.
pub(super) fn say(to: impl Into<SocketAddr>, bytes: &[u8]) -> io::Result<()> {
    let mut stream = connected(to.into())?;
    stream.write_all(bytes)?;
    heard(&mut stream).map(drop)
}

/// The same at a port of a host by its name.
pub(super) fn say_to(name: &str, port: u16, bytes: &[u8]) -> io::Result<()> {
    say((address_of(name)?, port), bytes)
}

/// Says something inside TLS at a host by its name, and gives what is answered. `greeting` is the name that TLS greets.
pub(super) fn tls(name: &str, greeting: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    within(connected(SocketAddr::new(address_of(name)?, TLS))?, greeting, bytes)
}

/// The same at an address.
pub(super) fn tls_of(address: [u8; 4], greeting: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    within(connected(SocketAddr::from((address, TLS)))?, greeting, bytes)
}

fn within(stream: TcpStream, greeting: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = super::tls::greet(stream, greeting)?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    // Most servers end it without a farewell.
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let refused = answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 5");
    if refused { Err(first_line(&answer)) } else { Ok(answer) }
}

fn first_line(answer: &[u8]) -> io::Error {
    let first = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    io::Error::other(String::from_utf8_lossy(first).into_owned())
}

/// Asks the proxy for something by HTTP, and says no more.
pub(super) fn ask_proxy(request: &str) -> io::Result<()> {
    say(PROXY, request.as_bytes())
}

/// Through a tunnel of the proxy, if it makes one.
pub(super) fn tunnel(authority: &str, bytes: &[u8]) -> io::Result<()> {
    let mut stream = connected(PROXY)?;
    stream.write_all(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes())?;
    let answer = heard(&mut stream)?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(first_line(&answer));
    }
    stream.write_all(bytes)?;
    heard(&mut stream).map(drop)
}

/// Through SOCKS5; `address` with its kind before it, `command` 1 to connect.
pub(super) fn socks(command: u8, address: &[u8], port: u16, bytes: &[u8]) -> io::Result<()> {
    let mut stream = connected(PROXY)?;
    stream.write_all(&[5, 1, 0])?;
    heard(&mut stream)?;
    stream.write_all(&[&[5, command, 0], address, &port.to_be_bytes()].concat())?;
    granted(&mut stream, &[5, 0])?;
    stream.write_all(bytes)?;
    heard(&mut stream).map(drop)
}

/// A name, as SOCKS5 writes it.
pub(super) fn socks_name(name: &[u8]) -> Vec<u8> {
    [&[3, u8::try_from(name.len()).unwrap_or(u8::MAX)], name].concat()
}

/// Through SOCKS4 with a name.
pub(super) fn socks4(name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut stream = connected(PROXY)?;
    stream.write_all(&[&[4, 1, 0, 80, 0, 0, 0, 1, 0], name.as_bytes(), &[0]].concat())?;
    granted(&mut stream, &[0, 0x5a])?;
    stream.write_all(bytes)?;
    heard(&mut stream).map(drop)
}

fn granted(stream: &mut TcpStream, yes: &[u8]) -> io::Result<()> {
    let answer = heard(stream)?;
    if answer.starts_with(yes) {
        return Ok(());
    }
    let first = answer.get(..yes.len()).unwrap_or_default();
    Err(io::Error::other(format!("refused: it answered {first:?}")))
}

fn connected(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn heard(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1024];
    let count = stream.read(&mut bytes)?;
    bytes.truncate(count);
    if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}
