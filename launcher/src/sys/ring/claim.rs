//! What a record of the ring says, decoded.
//!
//! Every field was written by the guest. Nothing here is checked against the world, only brought into a form
//! that cannot hurt: bounds are the copy's own, bytes stay bytes, what makes no sense is `None`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use shieldrun_abi::record::{self, Kind, Record};
use shieldrun_abi::ring::Key;

/// Something that a process said about itself. `pid` is the one inside, `at` is `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A process was started with the shim in it, or a forked one spoke for the first time.
    Started { at: Duration, pid: u32, ppid: u32, executable: Vec<u8>, args: Vec<Vec<u8>>, truncated: bool },
    /// A secret variable was read; `variable` is the guest table's index.
    EnvRead { at: Duration, pid: u32, variable: u32 },
    /// A synthetic file was opened; `path` is as given, `place` the guest table's index.
    FileRead { at: Duration, pid: u32, path: Vec<u8>, place: u32, truncated: bool },
    /// A blocked file was refused.
    FileDenied { at: Duration, pid: u32, path: Vec<u8>, place: u32, truncated: bool },
    /// A masked directory was opened, or refused.
    DirListed { at: Duration, pid: u32, path: Vec<u8>, place: u32, refused: bool, truncated: bool },
    /// A socket was pointed at an address.
    Connect { at: Duration, pid: u32, address: Address },
    /// A datagram was sent to an address, for the first time in a while.
    Send { at: Duration, pid: u32, address: Address },
    /// A name was looked up.
    Resolve { at: Duration, pid: u32, name: Vec<u8>, truncated: bool },
    /// An executable is about to be started; it may fail yet.
    Exec { at: Duration, pid: u32, path: Vec<u8>, truncated: bool },
}

/// An address as the guest gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// IPv4 or IPv6.
    Inet(SocketAddr),
    /// A path; begins with NUL for an abstract one; empty for an unnamed one.
    Unix(Vec<u8>),
    /// A family that means nothing to us.
    Other(u16),
}

/// How often something was done again since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) pid: u32,
    pub(crate) kind: RepeatKind,
    /// The variable or the place; for [`RepeatKind::Send`] a hash of the address.
    pub(crate) index: u32,
    /// At least 1.
    pub(crate) count: u64,
}

/// Which claims are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RepeatKind {
    EnvRead,
    FileRead,
    FileDenied,
    DirListed,
    Send,
}

impl RepeatKind {
    pub(super) fn of(key: Key) -> Option<RepeatKind> {
        match key.kind {
            Kind::EnvRead => Some(RepeatKind::EnvRead),
            Kind::FileRead => Some(RepeatKind::FileRead),
            Kind::FileDenied => Some(RepeatKind::FileDenied),
            Kind::DirListed => Some(RepeatKind::DirListed),
            Kind::Send => Some(RepeatKind::Send),
            Kind::Started | Kind::Connect | Kind::Resolve | Kind::Exec => None,
        }
    }
}

impl Claim {
    /// When, by `CLOCK_MONOTONIC`.
    pub(crate) fn at(&self) -> Duration {
        match self {
            Claim::Started { at, .. }
            | Claim::EnvRead { at, .. }
            | Claim::FileRead { at, .. }
            | Claim::FileDenied { at, .. }
            | Claim::DirListed { at, .. }
            | Claim::Connect { at, .. }
            | Claim::Send { at, .. }
            | Claim::Resolve { at, .. }
            | Claim::Exec { at, .. } => *at,
        }
    }

    /// Whose it says it is, by the number inside.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Claim::Started { pid, .. }
            | Claim::EnvRead { pid, .. }
            | Claim::FileRead { pid, .. }
            | Claim::FileDenied { pid, .. }
            | Claim::DirListed { pid, .. }
            | Claim::Connect { pid, .. }
            | Claim::Send { pid, .. }
            | Claim::Resolve { pid, .. }
            | Claim::Exec { pid, .. } => *pid,
        }
    }

    /// Decodes a record that was copied out of the ring.
    pub(super) fn decode(record: &Record) -> Option<Claim> {
        let at = Duration::from_nanos(record.at);
        let pid = record.pid;
        let bytes = || record.bytes().to_vec();
        let truncated = record.flags & record::TRUNCATED != 0;
        Some(match Kind::from_number(record.kind)? {
            Kind::Started => {
                let mut strings = strings(record.bytes());
                let executable = if strings.is_empty() { Vec::new() } else { strings.remove(0) };
                Claim::Started { at, pid, ppid: record.aux, executable, args: strings, truncated }
            }
            Kind::EnvRead => Claim::EnvRead { at, pid, variable: record.index },
            Kind::FileRead => Claim::FileRead { at, pid, path: bytes(), place: record.index, truncated },
            Kind::FileDenied => Claim::FileDenied { at, pid, path: bytes(), place: record.index, truncated },
            Kind::DirListed => {
                let refused = record.flags & record::REFUSED != 0;
                Claim::DirListed { at, pid, path: bytes(), place: record.index, refused, truncated }
            }
            Kind::Connect => Claim::Connect { at, pid, address: Address::decode(record.bytes())? },
            Kind::Send => Claim::Send { at, pid, address: Address::decode(record.bytes())? },
            Kind::Resolve => Claim::Resolve { at, pid, name: bytes(), truncated },
            Kind::Exec => Claim::Exec { at, pid, path: bytes(), truncated },
        })
    }
}

impl Address {
    /// Reads a `sockaddr`, whose bytes may stop anywhere.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Address> {
        let (family, rest) = bytes.split_first_chunk()?;
        let family = u16::from_ne_bytes(*family);
        Some(match i32::from(family) {
            libc::AF_INET => {
                let (port, rest) = rest.split_first_chunk()?;
                let address = Ipv4Addr::from(*rest.first_chunk::<4>()?);
                Address::Inet(SocketAddrV4::new(address, u16::from_be_bytes(*port)).into())
            }
            libc::AF_INET6 => {
                let (port, rest) = rest.split_first_chunk()?;
                let (flow, rest) = rest.split_first_chunk()?;
                let (address, rest) = rest.split_first_chunk::<16>()?;
                let scope = rest.first_chunk().map_or(0, |scope| u32::from_ne_bytes(*scope));
                let flow = u32::from_be_bytes(*flow);
                let address = Ipv6Addr::from(*address);
                Address::Inet(SocketAddrV6::new(address, u16::from_be_bytes(*port), flow, scope).into())
            }
            libc::AF_UNIX => {
                let path = match rest {
                    [0, ..] => rest,
                    _ => rest.split(|byte| *byte == 0).next().unwrap_or_default(),
                };
                Address::Unix(path.to_vec())
            }
            _ => Address::Other(family),
        })
    }
}

/// Strings that each end with a NUL; the last one may have been cut.
fn strings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}
