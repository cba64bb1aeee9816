//! Owns the sockets of the guest's network that the launcher answers: made inside while the set-up child
//! still may listen on any port, and handed out.
//!
//! A socket belongs to the network it was made in, whoever holds it. So the spare ones can become listeners
//! later, when a name is asked for whose port the guest itself could listen on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::sockopt::set_ipv6_freebind;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use shieldrun_egress::Openings;
use shieldrun_policy::plan::{Doors, Reach};

use super::report::{DESCRIPTORS, send_doors};
use crate::sys::route;

/// Addresses that stand for names (RFC 2544's, which nobody uses).
const BLOCK: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);
/// Where names are asked for; the guest's `resolv.conf` says so.
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);
const BACKLOG: i32 = 256;
/// Below, a guest cannot listen itself.
const PRIVILEGED: u16 = 1024;
/// Listeners with an address of their own at one time.
const SPARE: usize = 128;

/// Makes them, and hands them to the launcher.
pub(super) fn make(doors: &Doors, control: BorrowedFd<'_>) -> io::Result<()> {
    route::make_local(IpAddr::V4(BLOCK.0), BLOCK.1)?;
    match doors.reach {
        Reach::Listed => {
            let mut last = None;
            for address in literals(doors).map(|literal| literal.ip()) {
                if last.replace(address) == Some(address) {
                    continue;
                }
                match address {
                    IpAddr::V4(_) => route::make_local(address, 32)?,
                    // A kernel without IPv6 has no such way either.
                    IpAddr::V6(_) => drop(route::make_local(address, 128)),
                }
            }
        }
        // Every address is met by a door, which asks the rules.
        Reach::Public => route::make_local(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)?,
    }
    let mut made = [const { None }; DESCRIPTORS];
    let mut slots = made.iter_mut();
    let mut put = |socket: OwnedFd| {
        *slots.next().ok_or(io::ErrorKind::QuotaExceeded)? = Some(socket);
        io::Result::Ok(())
    };
    let dns = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    bind(&dns, &DNS)?;
    put(dns)?;
    put(listener(DNS)?)?;
    let mut listeners = 0;
    for port in doors.ports.iter().filter(|port| **port < PRIVILEGED && **port != DNS.port()) {
        put(listener(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, *port))?)?;
        listeners += 1;
    }
    if doors.reach == Reach::Listed {
        // Beyond this many they are reached by the proxy's door alone.
        let room = (DESCRIPTORS - 2).saturating_sub(listeners) / 2;
        let own = literals(doors).filter(|at| at.is_ipv6() || at.port() >= PRIVILEGED);
        for socket in own.take(room).filter_map(|at| listener_at(*at).ok()) {
            put(socket)?;
            listeners += 1;
        }
    }
    if doors.reach == Reach::Public || doors.ports.iter().any(|port| *port >= PRIVILEGED) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        for _ in 0..SPARE.min(DESCRIPTORS - 2 - listeners) {
            put(socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)?;
        }
    }
    let mut sent = [control; DESCRIPTORS];
    let mut count = 0;
    for (slot, socket) in sent.iter_mut().zip(made.iter().flatten()) {
        *slot = socket.as_fd();
        count += 1;
    }
    send_doors(control, i32::try_from(listeners).unwrap_or(0), sent.get(..count).unwrap_or_default())
}

/// Puts in order what came.
pub(super) fn openings(listeners: usize, sockets: Vec<OwnedFd>) -> Option<Openings> {
    let mut sockets = sockets.into_iter();
    Some(Openings {
        dns: sockets.next()?.into(),
        dns_tcp: sockets.next()?.into(),
        listeners: sockets.by_ref().take(listeners).map(Into::into).collect(),
        spare: sockets.collect(),
    })
}

/// The guest's own loopback stays its own: a listed one of the host's is reached by the proxy's door.
fn literals(doors: &Doors) -> impl Iterator<Item = &SocketAddr> {
    doors.literals.iter().filter(|literal| !literal.ip().is_loopback())
}

/// One at a listed address alone. One of IPv6 is of no interface, and the kernel looks for it there.
fn listener_at(at: SocketAddr) -> io::Result<OwnedFd> {
    let family = if at.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if at.is_ipv6() {
        set_ipv6_freebind(&socket, true)?;
    }
    bind(&socket, &at)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn listener(at: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::V4(at))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}
