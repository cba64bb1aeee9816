//! PostgreSQL: the guest logs in with the synthetic password, the launcher with the real one.
//!
//! Owns the start-up of a connection: towards the guest this is the server, which checks the synthetic; towards
//! the server it is the client, which knows the real one. What follows is spliced, and what the guest says in it
//! is scanned. Only databases that a secret is known for are served here, and only the user that it belongs to.
//!
//! ```text
//! guest -> wire (SSLRequest, StartupMessage) -> login (scram) -> splice -> server
//! ```
//!
//! Channel binding ties a login to one TLS connection, and here are two: it is never offered, and who insists on
//! it is refused.

mod login;
mod scram;
mod secure;
mod splice;
mod wire;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use shieldrun_secrets::SecretId;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Inner;
use super::connection::is_named;
use super::idle::Idle;
use super::settings::Hosts;
use crate::flow::{Destination, Dial, Origin};
use crate::ledger::{Ledger, Note, Refusal};
use crate::relay::IDLE;
use crate::watch::{Scanners, Seen, Watch};
use wire::{Opening, Startup};

pub(super) use secure::Anybody;
pub use secure::Protection;

/// A password of a database, and where it belongs. Holds no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Which secret.
    pub secret: SecretId,
    /// At these hosts,
    pub hosts: Hosts,
    /// at this port, or at any.
    pub port: Option<u16>,
    /// Of this user, or of any.
    pub user: Option<String>,
    /// Of two passwords of one user, this is that for this database.
    pub database: Option<String>,
    /// How the server is reached.
    pub protection: Protection,
    /// Who vouches for it, in PEM, where that is not for the host's authorities.
    pub authorities: Option<Vec<u8>>,
}

impl Database {
    /// Whether it belongs to what is reached there.
    pub(super) fn is_at(&self, to: &Destination) -> bool {
        self.hosts.contains(&to.host) && self.port.is_none_or(|port| port == to.port)
    }
}

/// Its name in ALPN.
pub(super) const ALPN: &[u8] = b"postgresql";

/// Both ends of a connection, under TLS or not.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

type Line = Box<dyn Duplex>;

/// Why a connection ended before its time.
#[derive(Debug)]
enum Broken {
    /// Refused by us; the guest is told in the protocol's own words.
    Refused(Refusal, Report),
    /// Something was seen that must not leave.
    Seen(Seen),
    /// It broke, or the server refused and said so itself.
    Io(io::Error),
}

/// What a server says when it refuses.
#[derive(Debug)]
struct Report {
    /// SQLSTATE.
    code: &'static str,
    message: String,
}

/// The login was refused: the server's own code for that.
const WRONG_PASSWORD: &str = "28P01";
const NO_SUCH_LOGIN: &str = "28000";
const NOT_SUPPORTED: &str = "0A000";
const NOT_UNDERSTOOD: &str = "08P01";
const NO_CONNECTION: &str = "08001";

/// Serves one connection of the guest to a server that a password is known for.
pub(super) async fn serve<L: Ledger, D: Dial, S>(
    inner: &Arc<Inner<L, D>>,
    guest: S,
    server: TcpStream,
    to: Destination,
    origin: Origin,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let session = Session { inner, to: &to, origin: &origin };
    let result = session.run(Box::new(Idle::new(guest, IDLE)), server).await;
    match &result {
        Err(Broken::Refused(why, _)) => session.note(Note::Denied { to: to.to_string(), why: *why }),
        Err(Broken::Seen(seen)) => session.note(seen.note(to.clone())),
        Err(Broken::Io(_)) | Ok(()) => {}
    }
    result.map_err(io::Error::other)
}

struct Session<'a, L, D> {
    inner: &'a Inner<L, D>,
    to: &'a Destination,
    origin: &'a Origin,
}

impl<L: Ledger, D: Dial> Session<'_, L, D> {
    async fn run(&self, guest: Line, server: TcpStream) -> Result<(), Broken> {
        server.set_nodelay(true)?;
        let patience = self.inner.rules.settings.limits.handshake;
        let (mut guest, opening) = in_time(patience, self.greet(guest)).await?;
        let startup = match opening {
            Opening::Startup(startup) => startup,
            Opening::Cancel(packet) => return in_time(patience, self.cancel(server, &packet)).await,
        };
        let tables = self.inner.rules.swaps.tables();
        let scanners = Scanners::over(tables.leak.clone(), tables.trip.clone());
        let mut watch = Watch::of_plain_text(&scanners);
        let connected = async {
            watch.look(startup.packet()).map_err(Broken::Seen)?;
            let known = self.password_of(&startup)?;
            let mut server = secure::connect(server, self.to, &self.inner.trust, Some(known)).await?;
            server.write_all(startup.packet()).await?;
            server.flush().await?;
            self.log_in(&mut guest, &mut server, &startup, known).await?;
            Ok::<_, Broken>(server)
        };
        let server = match in_time(patience, connected).await {
            Ok(server) => server,
            Err(broken) => {
                if let Broken::Refused(_, report) = &broken {
                    let _ = wire::refuse(&mut guest, report.code, &report.message).await;
                }
                return Err(broken);
            }
        };
        splice::run(guest, server, watch).await
    }

    /// From the first byte to the message that says who is there; under TLS, if the guest asks for that.
    async fn greet(&self, guest: Line) -> Result<(Line, Opening), Broken> {
        let mut guest = guest;
        let mut is_secure = false;
        // One question for TLS and one for Kerberos: more is no start-up.
        for _ in 0..3 {
            match wire::read_opening(&mut guest).await? {
                Some(wire::First::Encryption) => {
                    guest.write_all(b"N").await?;
                    guest.flush().await?;
                }
                Some(wire::First::Tls) if !is_secure => {
                    guest.write_all(b"S").await?;
                    guest.flush().await?;
                    guest = self.secure(guest).await?;
                    is_secure = true;
                }
                Some(wire::First::Opening(opening)) => return Ok((guest, opening)),
                Some(wire::First::Tls) | None => break,
            }
        }
        Err(Broken::refused(Refusal::Malformed, NOT_UNDERSTOOD, "the start-up is not understood"))
    }

    async fn secure(&self, guest: Line) -> Result<Line, Broken> {
        let config = self.inner.authority.answer_as(&self.to.host, ALPN)?;
        let guest = TlsAcceptor::from(config).accept(guest).await?;
        // Older clients greet nobody by name.
        let greeted = guest.get_ref().1.server_name();
        if greeted.is_some() && !is_named(greeted, &self.to.host) {
            let message = "TLS greets another host than the connection goes to";
            return Err(Broken::refused(Refusal::HostDiffers, NO_SUCH_LOGIN, message));
        }
        Ok(Box::new(guest))
    }

    /// Carries a request to cancel a query: a number that the server gave, and nothing else.
    async fn cancel(&self, server: TcpStream, packet: &[u8]) -> Result<(), Broken> {
        let known = self.inner.rules.settings.databases.iter().find(|known| known.is_at(self.to));
        let mut server = secure::connect(server, self.to, &self.inner.trust, known).await?;
        server.write_all(packet).await?;
        Ok(server.shutdown().await?)
    }

    /// The password that belongs to who wants to log in here. Of several, that for the database.
    fn password_of(&self, startup: &Startup) -> Result<&Database, Broken> {
        let belongs = |known: &&Database| {
            known.is_at(self.to) && known.user.as_ref().is_none_or(|user| *user == startup.user)
        };
        let all: Vec<_> = self.inner.rules.settings.databases.iter().filter(belongs).collect();
        let database = startup.database.as_ref().unwrap_or(&startup.user);
        let own = all.iter().find(|known| known.database.as_ref() == Some(database));
        own.or(all.first()).copied().ok_or_else(|| {
            let user = startup.user.escape_debug();
            let message = format!(
                "shieldrun: no password is known for user \"{user}\" at {}; the one of another user stays there",
                self.to
            );
            Broken::refused(Refusal::Credential, NO_SUCH_LOGIN, message)
        })
    }

    fn note(&self, note: Note) {
        self.inner.ledger.note(self.origin, note);
    }
}

async fn in_time<T>(patience: Duration, what: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
    timeout(patience, what).await.unwrap_or_else(|_| {
        Err(Broken::refused(Refusal::Limit, NO_CONNECTION, "shieldrun: the login took too long"))
    })
}

impl Broken {
    fn refused(why: Refusal, code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused(why, Report { code, message: message.into() })
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_, report) => out.write_str(&report.message),
            Self::Seen(_) => out.write_str("a secret was about to leave"),
            Self::Io(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for Broken {}
