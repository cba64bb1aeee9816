//! What the policy says about brokered connections: which secret belongs where, and the limits.
//!
//! Plain data. Does not know a secret's value.

use std::sync::Arc;
use std::time::Duration;

use shieldrun_policy::network::Rules;
use shieldrun_secrets::{Entry, SecretId};
use tokio_rustls::rustls::RootCertStore;

use super::postgres::Database;
use crate::flow::HostName;
use crate::ledger::Part;

/// Some hosts: `api.example.com` is that one, `*.example.com` those below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

/// Where the policy lets a secret be swapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Which secret.
    pub secret: Bound,
    /// At these hosts.
    pub hosts: Hosts,
    /// In these parts of a request. In a query and in a body it has to be the whole value of a field,
    pub parts: Vec<Part>,
    /// of these fields.
    pub fields: Fields,
}

/// In which fields of a query or of a body a secret is swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// In those that are named like a credential: what else is said there may be a conversation.
    Credentials,
    /// In any.
    Any,
}

/// The secret of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Every one of this name.
    Named(String),
    /// This one.
    One(SecretId),
}

/// Where new credentials are handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// At these hosts,
    pub hosts: Hosts,
    /// under this path.
    pub path: String,
    /// What is handed out there may be swapped at these, and at the endpoint itself.
    pub valid_at: Hosts,
}

/// How much a guest may ask of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Bytes of a request's body, before and after it is decoded.
    pub body: u64,
    /// A body that has to be held whole.
    pub held: usize,
    /// For a handshake, and for a head that has begun.
    pub handshake: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
}

/// Everything the broker is told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The policy's own bindings, beside those that a secret's kind tells.
    pub bindings: Vec<Binding>,
    /// Hosts that may be told a synthetic as text, because what is said there is a conversation: a model's.
    /// It stays a synthetic, the request goes through, and it is noted.
    pub heard: Hosts,
    /// Token endpoints beside those that are recognised.
    pub token_endpoints: Vec<TokenEndpoint>,
    /// Hosts whose TLS is not ended here; the broker refuses them.
    pub passthrough: Hosts,
    /// Passwords of databases, and where they belong.
    pub databases: Vec<Database>,
    /// Which requests may be made of a host that is listed for some only; all, where nobody says so.
    pub requests: Option<Arc<Rules>>,
    /// The limits.
    pub limits: Limits,
    /// Which authorities vouch for a destination; `None` for those the host trusts.
    pub roots: Option<RootCertStore>,
}

impl Hosts {
    /// From the names as the policy writes them.
    ///
    /// ```
    /// use shieldrun_egress::{HostName, broker::Hosts};
    /// let hosts = Hosts::new(["api.example.com", "*.example.org"]);
    /// assert!(hosts.contains(&HostName::Name("api.example.com".into())));
    /// assert!(hosts.contains(&HostName::Name("a.b.example.org".into())));
    /// assert!(!hosts.contains(&HostName::Name("example.org".into())));
    /// ```
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(|name| name.into().to_ascii_lowercase()).collect())
    }

    /// Whether the host is one of these.
    pub fn contains(&self, host: &HostName) -> bool {
        let host = host.to_string();
        self.0.iter().any(|name| match name.strip_prefix('*') {
            Some(below) if below.starts_with('.') => host.len() > below.len() && host.ends_with(below),
            _ => *name == host,
        })
    }

    /// A host and those below it.
    pub(super) fn at_and_below(host: &str) -> Self {
        Self(vec![host.to_owned(), format!("*.{host}")])
    }

    pub(super) fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().filter(|name| !self.0.contains(name)).cloned().collect::<Vec<_>>());
    }
}

impl Bound {
    pub(super) fn is(&self, entry: &Entry) -> bool {
        match self {
            Bound::Named(name) => *name == entry.name,
            Bound::One(id) => *id == entry.id,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: 64 << 10,
            headers: 128,
            body: 8 << 30,
            held: 8 << 20,
            handshake: Duration::from_secs(20),
            // A model may think for minutes before its first byte.
            idle: Duration::from_secs(15 * 60),
        }
    }
}
