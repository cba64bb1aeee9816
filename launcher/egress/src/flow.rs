//! One connection of the guest: where it wants to go, who asked, and how to get there.
//!
//! Owns the types that the doors and the broker share. Does not decide whether a destination is allowed.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;

use shieldrun_policy::network::Host;
use tokio::net::TcpStream;

/// A host as the allowlist names it: lowercase, no final dot, ASCII (IDN as punycode), or an IP literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostName {
    /// A DNS name.
    Name(String),
    /// An address that the policy lists as a literal.
    Address(IpAddr),
}

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The host.
    pub host: HostName,
    /// The TCP port.
    pub port: u16,
}

/// Which process of the guest asked, as far as the kernel told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The host's pid.
    pub pid: Option<u32>,
}

/// Opens a connection to a destination that is allowed: resolves once, pins, goes through the host's own
/// proxy where it has one. Never reaches an address that the rules forbid.
pub trait Dial: Send + Sync + 'static {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Where the name has no usable address or nothing answers.
    fn dial(&self, to: &Destination) -> impl Future<Output = io::Result<TcpStream>> + Send;
}

impl From<Host> for HostName {
    fn from(host: Host) -> Self {
        match host {
            Host::Name(name) => Self::Name(name),
            Host::Address(address) => Self::Address(address),
        }
    }
}

impl HostName {
    /// The same, as the policy asks about it.
    #[must_use]
    pub fn to_host(&self) -> Host {
        match self {
            Self::Name(name) => Host::Name(name.clone()),
            Self::Address(address) => Host::Address(*address),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostName::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}
