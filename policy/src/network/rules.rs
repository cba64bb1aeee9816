//! The matcher: may this host be asked for, may this connection be made.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::entry::Entry;
use super::host::Host;
use super::ranges::forbidden;
use super::resolve::Resolve;
use crate::schema::{Network, NetworkMode};

/// The ports of an entry that names none.
pub const WEB: [u16; 2] = [80, 443];

/// The policy of a run's network, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    open: bool,
    entries: Vec<Entry>,
    resolve: Vec<Resolve>,
    passthrough: Vec<Entry>,
}

/// What holds for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be made.
    Allowed,
    /// It may be made, for some requests: somebody must look at each.
    Requests,
    /// The host is not on the list.
    NotListed,
    /// The host is, this port is not.
    Port,
    /// The address is not of the public network, and not on the list.
    Address,
}

impl Rules {
    /// Those of a policy. Its entries were checked when it was read; one that is none allows nothing.
    pub fn of(network: &Network) -> Self {
        Self {
            open: network.mode == NetworkMode::Open,
            entries: network.allow.iter().filter_map(|text| Entry::all(text).ok()).flatten().collect(),
            resolve: network.resolve.iter().filter_map(|text| Resolve::parse(text).ok()).collect(),
            passthrough: network.passthrough.iter().filter_map(|text| Entry::whole_host(text).ok()).collect(),
        }
    }

    /// Whether every public host may be reached.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether a name may be asked for.
    pub fn knows(&self, host: &Host) -> bool {
        self.open || self.entries.iter().any(|entry| entry.names(host))
    }

    /// Whether a connection may be made, as far as its name tells.
    pub fn decide(&self, host: &Host, port: u16) -> Verdict {
        let named: Vec<&Entry> = self.entries.iter().filter(|entry| entry.names(host)).collect();
        let here = || named.iter().filter(|entry| entry.ports().contains(&port));
        if here().any(|entry| !entry.is_for_requests()) {
            return Verdict::Allowed;
        }
        if here().next().is_some() {
            return Verdict::Requests;
        }
        match host {
            Host::Address(address) if self.open && forbidden(*address).is_some() => Verdict::Address,
            _ if self.open => Verdict::Allowed,
            Host::Address(address) if named.is_empty() && forbidden(*address).is_some() => Verdict::Address,
            _ if named.is_empty() => Verdict::NotListed,
            _ => Verdict::Port,
        }
    }

    /// Whether an HTTP request may be made. The path without its query.
    pub fn allows_request(&self, host: &Host, port: u16, method: &str, path: &str) -> bool {
        match self.decide(host, port) {
            Verdict::Allowed => true,
            Verdict::Requests => self
                .entries
                .iter()
                .filter(|entry| entry.names(host) && entry.ports().contains(&port))
                .any(|entry| entry.allows_request(method, path)),
            Verdict::NotListed | Verdict::Port | Verdict::Address => false,
        }
    }

    /// Whether an allowed name may be reached at this address.
    pub fn allows_address(&self, address: IpAddr, port: u16) -> bool {
        let host = Host::Address(super::host::plain(address));
        forbidden(address).is_none()
            || self.entries.iter().any(|entry| entry.exact() == Some(&host) && entry.ports().contains(&port))
    }

    /// Whether nobody looks into the TLS of this host, although there is a broker.
    pub fn passes_through(&self, host: &Host) -> bool {
        self.passthrough.iter().any(|entry| entry.names(host))
    }

    /// Where a person said that this host is.
    pub fn resolved(&self, host: &Host, port: u16) -> Option<SocketAddr> {
        self.resolve.iter().find(|entry| entry.host == *host && entry.port == port).map(|entry| entry.to)
    }

    /// The ports that a name may be reached at; those of the web where every one is open.
    pub fn ports_of(&self, host: &Host) -> BTreeSet<u16> {
        let named = self.entries.iter().filter(|entry| entry.names(host)).flat_map(|entry| entry.ports());
        let open = self.open.then_some(WEB).into_iter().flatten();
        named.copied().chain(open).collect()
    }

    /// All ports that any entry names.
    pub fn ports(&self) -> BTreeSet<u16> {
        self.entries.iter().flat_map(Entry::ports).copied().chain(WEB).collect()
    }

    /// The addresses that are listed as literals, with each of their ports.
    pub fn literals(&self) -> BTreeSet<SocketAddr> {
        let literal = |entry: &Entry| match entry.exact() {
            Some(Host::Address(address)) => {
                entry.ports().iter().map(|port| SocketAddr::new(*address, *port)).collect()
            }
            _ => Vec::new(),
        };
        self.entries.iter().flat_map(literal).collect()
    }
}
