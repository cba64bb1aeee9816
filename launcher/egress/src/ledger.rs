//! What the network side observed, for the record: facts, in the order they happened.
//!
//! Owns the vocabulary. Does not write it down: the launcher's ledger turns a note into an event.

use shieldrun_secrets::SecretId;

use crate::flow::{Destination, Origin};

/// Takes notes; called from the network's threads, so it must not block.
pub trait Ledger: Send + Sync + 'static {
    /// Takes one note.
    fn note(&self, origin: &Origin, note: Note);
}

impl<L: Ledger> Ledger for std::sync::Arc<L> {
    fn note(&self, origin: &Origin, note: Note) {
        (**self).note(origin, note);
    }
}

/// One observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A connection was let through.
    Allowed(Destination),
    /// The same, to a host that the broker does not look into, because the policy says so.
    PassedThrough(Destination),
    /// A connection ended, after so many bytes from and to the guest and so many milliseconds.
    Closed {
        /// Where it went.
        to: Destination,
        /// Bytes from the guest.
        sent: u64,
        /// Bytes to the guest.
        received: u64,
        /// How long it was open, in milliseconds.
        milliseconds: u64,
    },
    /// A connection was refused.
    Denied {
        /// Where it wanted to go, as the guest said it.
        to: String,
        /// Why.
        why: Refusal,
    },
    /// A name was asked for that is not on the list.
    NameDenied(String),
    /// A synthetic became the real value in a request.
    Swapped {
        /// Which secret.
        secret: SecretId,
        /// Where to.
        to: Destination,
        /// In which part of the request.
        part: Part,
    },
    /// A real value in a response became its synthetic.
    Scrubbed {
        /// Which secret.
        secret: SecretId,
        /// Where it came from.
        from: Destination,
    },
    /// A synthetic was about to leave for a host that it is not bound to.
    SyntheticSeen {
        /// Which secret.
        secret: SecretId,
        /// Where to.
        to: Destination,
        /// In which part of the request.
        part: Part,
    },
    /// A synthetic was told to a host that may be told one, and stayed what it is.
    SyntheticHeard {
        /// Which secret.
        secret: SecretId,
        /// Where to.
        to: Destination,
        /// In which part of the request.
        part: Part,
    },
    /// A real value was about to leave: the run ends.
    Leak {
        /// Which secret.
        secret: SecretId,
        /// In which encoding.
        encoding: String,
        /// Where to.
        to: Destination,
    },
}

/// A part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The request line: path.
    Path,
    /// The query.
    Query,
    /// A header.
    Header,
    /// The body.
    Body,
    /// A signature, made anew.
    Signature,
    /// A protocol that is not HTTP.
    Stream,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The host is not on the list.
    NotListed,
    /// The host is, this port is not.
    Port,
    /// The address is private, link-local, loopback or a metadata service, and not listed as a literal.
    Address,
    /// The request cannot be understood in one way only.
    Malformed,
    /// TLS names one host and the request another.
    HostDiffers,
    /// The method or the path is not listed.
    Request,
    /// A password is not the one that the guest was given, or belongs to somebody else.
    Credential,
    /// Nothing answered.
    Unreachable,
    /// A limit on sizes, times or the number of connections.
    Limit,
}
