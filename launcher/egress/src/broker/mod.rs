//! The broker: ends the guest's TLS, reads each request, swaps what may be swapped, and speaks TLS to the
//! destination itself.
//!
//! Owns the authority of the run, the reading of HTTP in one way only, the swap and the scan of both
//! directions. Does not decide whether a destination is allowed, does not resolve a name, does not write
//! the record. No decision rests on what the guest says of itself: the host is the one that was dialled.
//!
//! ```text
//! guest -> idle -> connection (TLS, authority) -> session: strict -> head, signature -> outgoing -> upstream
//! guest <--------------------------------------------------- head <- tokens, incoming <------------ upstream
//! guest <-> postgres (TLS, login, splice) <-> a database
//! ```
//!
//! Both directions stream. What is held back is what may be the beginning of a value, and no more, but for
//! two bodies that have to be seen whole and are bounded: an answer of a token endpoint, and a request
//! whose length changes with the swap.

mod again;
mod authority;
mod body;
mod coding;
mod connection;
mod field;
mod head;
mod idle;
mod incoming;
mod inside;
mod look;
mod outgoing;
mod postgres;
mod secrets;
mod session;
mod settings;
mod signature;
mod stop;
mod strict;
mod tokens;
mod upstream;
mod websocket;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use authority::Authority;
pub use postgres::{Database, Protection};
pub use secrets::{Learn, Learned, Swaps};
pub use settings::{Binding, Bound, Fields, Hosts, Limits, Settings, TokenEndpoint};

use crate::flow::{Destination, Dial, Origin};
use crate::ledger::{Ledger, Note, Refusal};
use head::Rules;
use upstream::Trust;

/// The broker of one run. Cheap to clone.
pub struct Broker<L, D> {
    inner: Arc<Inner<L, D>>,
}

struct Inner<L, D> {
    authority: Authority,
    rules: Arc<Rules>,
    ledger: Arc<L>,
    dial: D,
    trust: Trust,
    room: Semaphore,
}

impl<L: Ledger, D: Dial> Broker<L, D> {
    /// A broker with an authority of its own, whose key never leaves this process's memory.
    ///
    /// # Errors
    ///
    /// Where no key can be made, or the host trusts no authority at all.
    pub fn new(swaps: Swaps, ledger: L, dial: D, settings: Settings) -> io::Result<Self> {
        Self::with_authority(Authority::new()?, swaps, ledger, dial, settings)
    }

    /// The same, with an authority that was made before.
    ///
    /// # Errors
    ///
    /// Where the host trusts no authority at all.
    pub fn with_authority(
        authority: Authority,
        swaps: Swaps,
        ledger: L,
        dial: D,
        settings: Settings,
    ) -> io::Result<Self> {
        let trust = Trust::new(settings.roots.as_ref())?;
        let room = Semaphore::new(settings.limits.connections);
        let (rules, ledger) = (Arc::new(Rules { swaps, settings }), Arc::new(ledger));
        Ok(Self { inner: Arc::new(Inner { authority, rules, ledger, dial, trust, room }) })
    }

    /// The certificate of the run's authority, for the guest's trust bundle.
    pub fn certificate_pem(&self) -> &str {
        self.inner.authority.certificate_pem()
    }

    /// Serves one connection of the guest to a destination that the rules allow, until either side ends it.
    ///
    /// # Errors
    ///
    /// Where the connection was refused or broke; what is worth knowing of it is in the ledger already.
    pub async fn serve<S>(&self, guest: S, destination: Destination, origin: Origin) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.carry(guest, None, destination, origin).await
    }

    /// The same over a connection to the destination that is made already.
    ///
    /// # Errors
    ///
    /// As [`Broker::serve`].
    pub async fn serve_over<S>(
        &self,
        guest: S,
        upstream: TcpStream,
        destination: Destination,
        origin: Origin,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.carry(guest, Some(upstream), destination, origin).await
    }

    /// Whether a password of a database is known for there.
    pub fn has_database(&self, to: &Destination) -> bool {
        self.inner.rules.settings.databases.iter().any(|known| known.is_at(to))
    }

    /// Serves one connection of the guest to a database that a password is known for.
    ///
    /// # Errors
    ///
    /// As [`Broker::serve`].
    pub async fn serve_database<S>(
        &self,
        guest: S,
        server: TcpStream,
        destination: Destination,
        origin: Origin,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(_room) = self.room(&destination, &origin) else { return Err(full()) };
        postgres::serve(&self.inner, guest, server, destination, origin).await
    }

    /// A place among the connections that may be open at once; that there is none is on record.
    fn room(&self, destination: &Destination, origin: &Origin) -> Option<SemaphorePermit<'_>> {
        let room = self.inner.room.try_acquire().ok();
        if room.is_none() {
            let denied = Note::Denied { to: destination.to_string(), why: Refusal::Limit };
            self.inner.ledger.note(origin, denied);
        }
        room
    }

    async fn carry<S>(
        &self,
        guest: S,
        made: Option<TcpStream>,
        destination: Destination,
        origin: Origin,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let inner = &self.inner;
        if inner.rules.settings.passthrough.contains(&destination.host) {
            return Err(io::Error::other("the policy passes this host through; it is not for the broker"));
        }
        let Some(_room) = self.room(&destination, &origin) else { return Err(full()) };
        connection::serve(inner, guest, made, destination, origin).await
    }
}

fn full() -> io::Error {
    io::Error::other("too many connections are open at once")
}

impl<L, D> Clone for Broker<L, D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<L, D> std::fmt::Debug for Broker<L, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("swaps", &self.inner.rules.swaps).finish_non_exhaustive()
    }
}
