//! Ways to something that listens on the host.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::time::Duration;

use super::{Way, act, shell};
use crate::selftest::field::GPG_AGENT;

/// Far more than a listener on this machine needs.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) const WAYS: &[Way] = &[
    act("tcp4", "a service on the host's 127.0.0.1", |field| {
        greeted(TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, field.tcp4)), PATIENCE)?)
    }),
    act("tcp6", "a service on the host's [::1]", |field| {
        greeted(TcpStream::connect_timeout(&SocketAddr::from((Ipv6Addr::LOCALHOST, field.tcp6)), PATIENCE)?)
    }),
    act("udp4", "a datagram to the host's 127.0.0.1, and its answer", |field| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect((Ipv4Addr::LOCALHOST, field.udp4))?;
        socket.send(b"hello")?;
        socket.recv(&mut [0; 16]).map(drop)
    }),
    act("unix-project", "a socket of the host within the project", |field| {
        greeted(UnixStream::connect(&field.unix_project)?)
    }),
    act("unix-tmp", "a socket of the host in /tmp", |field| greeted(UnixStream::connect(&field.unix_tmp)?)),
    act("unix-run", "a socket of the host in /run, as a bus or a container engine has", |field| {
        greeted(UnixStream::connect(&field.unix_run)?)
    }),
    act("unix-elsewhere", "a socket of the host in a directory of no kind", |field| {
        greeted(UnixStream::connect(&field.unix_elsewhere)?)
    }),
    act("ssh-agent", "the ssh-agent that the environment names", |_| named("SSH_AUTH_SOCK", "")),
    act("session-bus", "the bus that the environment names", |_| {
        named("DBUS_SESSION_BUS_ADDRESS", "unix:path=")
    }),
    act("docker-socket", "the docker engine that the environment names", |_| named("DOCKER_HOST", "unix://")),
    act("gpg-agent", "the gpg-agent of the home", |field| {
        greeted(UnixStream::connect(field.home.join(GPG_AGENT))?)
    }),
    act("unix-abstract", "an abstract socket of the host", |field| {
        greeted(UnixStream::connect_addr(&UnixAddr::from_abstract_name(&field.unix_abstract)?)?)
    }),
    shell(
        "proc-net",
        "the host's table of sockets",
        "grep -h shieldrun-selftest /proc/net/unix | sed 's/.*selftest-word-//'",
    ),
];

/// A socket by the variable that it is known by.
fn named(variable: &str, scheme: &str) -> io::Result<()> {
    let value = std::env::var(variable).map_err(io::Error::other)?;
    let path = value.strip_prefix(scheme).unwrap_or(&value);
    greeted(UnixStream::connect(path)?)
}

/// The listener says a word to whoever comes.
fn greeted(mut stream: impl Read + Write) -> io::Result<()> {
    stream.read_exact(&mut [0; 2])
}
