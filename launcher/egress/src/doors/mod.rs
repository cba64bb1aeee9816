//! The doors: where the guest's connections and questions come in.
//!
//! Owns accepting, telling which host is meant, and asking the rules. Getting there is [`crate::dial`]'s,
//! moving the bytes [`crate::relay`]'s.

mod account;
mod book;
mod dns;
mod guest;
mod http;
mod socks;
mod speech;

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use shieldrun_policy::network::{Host, Rules, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::broker::Broker;
use crate::dial::Dialer;
use crate::flow::{Destination, HostName, Origin};
use crate::ledger::{Ledger, Note, Refusal};
use crate::relay::{self, End};
use crate::serve::{Openings, Witness};
use crate::watch::{Scanners, Watch};

use account::Account;
pub(crate) use account::Counts;
use book::{Book, PROXY};
use guest::Guest;
pub(crate) use speech::{Speech, told};

/// Connections at one time; the next one is refused.
const MOST: usize = 1024;
/// Questions over TCP at one time.
const MOST_QUESTIONS: usize = 64;
/// How long the guest may take to say where it wants to go.
const HEAD: Duration = Duration::from_secs(30);
/// How long a question over TCP may take.
const QUESTION: Duration = Duration::from_secs(10);
/// After an accept that failed because there are no descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// All doors of a run.
pub(crate) struct Doors<L, W> {
    dns: UdpSocket,
    dns_tcp: TcpListener,
    listeners: Vec<TcpListener>,
    gate: Arc<Gate<L, W>>,
}

/// What every connection needs.
pub(crate) struct Gate<L, W> {
    rules: Arc<Rules>,
    dialer: Dialer,
    scanners: Scanners,
    ledger: Arc<L>,
    broker: Option<Broker<Arc<L>, Dialer>>,
    witness: W,
    book: Mutex<Book>,
    open: Arc<AtomicUsize>,
    questions: Arc<AtomicUsize>,
}

/// Makes the doors that are missing, when somebody comes near.
pub struct Approach(Box<Tell>);

type Tell = dyn Fn(&Origin, SocketAddrV4) + Send + Sync;

impl Approach {
    /// The guest waits to be let connect to `to`; when this returns, whoever is to answer there listens.
    pub fn tell(&self, origin: &Origin, to: SocketAddrV4) {
        (self.0)(origin, to);
    }
}

impl fmt::Debug for Approach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Approach")
    }
}

/// Why a connection does not come about, for the guest's ears.
pub(crate) struct Refused {
    pub(crate) why: Refusal,
    pub(crate) reason: String,
}

/// One of a bounded number; given back when dropped.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(of: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let slot = Self(Arc::clone(of));
        (of.fetch_add(1, Ordering::Relaxed) < most).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<L: Ledger, W: Witness> Doors<L, W> {
    /// Takes the sockets over. Called within the runtime.
    pub(crate) fn new(
        openings: Openings,
        rules: Arc<Rules>,
        dialer: Dialer,
        scanners: Scanners,
        ledger: Arc<L>,
        broker: Option<Broker<Arc<L>, Dialer>>,
        witness: W,
    ) -> io::Result<Self> {
        openings.dns.set_nonblocking(true)?;
        let listener = |listener: std::net::TcpListener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let listeners: Vec<_> = openings.listeners.into_iter().map(listener).collect::<io::Result<_>>()?;
        let ports = listeners.iter().filter_map(|listener| Some(listener.local_addr().ok()?.port()));
        let book = Mutex::new(Book::new(openings.spare, ports));
        let gate = Gate {
            rules,
            dialer,
            scanners,
            ledger,
            broker,
            witness,
            book,
            open: Arc::default(),
            questions: Arc::default(),
        };
        Ok(Self {
            dns: UdpSocket::from_std(openings.dns)?,
            dns_tcp: listener(openings.dns_tcp)?,
            listeners,
            gate: Arc::new(gate),
        })
    }

    /// What is to be told before the guest connects to somewhere, from any thread.
    pub(crate) fn approach(&self) -> Approach {
        let (gate, runtime) = (Arc::clone(&self.gate), Handle::current());
        Approach(Box::new(move |origin, to| {
            let _entered = runtime.enter();
            gate.approached(origin, to);
        }))
    }

    /// Serves until the runtime ends.
    pub(crate) async fn serve(self) {
        let Self { dns, dns_tcp, listeners, gate } = self;
        for listener in listeners {
            tokio::spawn(accept(listener, Arc::clone(&gate)));
        }
        tokio::spawn(questions_over_tcp(dns_tcp, Arc::clone(&gate)));
        let mut question = [0; dns::LARGEST];
        loop {
            let Ok((length, from)) = dns.recv_from(&mut question).await else {
                tokio::time::sleep(BREATH).await;
                continue;
            };
            if let Some(answer) = gate.answer(question.get(..length).unwrap_or_default()) {
                let _ = dns.try_send_to(&answer, from);
            }
        }
    }
}

/// One listener.
pub(crate) async fn accept<L: Ledger, W: Witness>(listener: TcpListener, gate: Arc<Gate<L, W>>) {
    loop {
        let Ok((guest, from)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let Ok(to) = guest.local_addr() else { continue };
        let Some(slot) = Slot::take(&gate.open, MOST) else {
            let refused = Note::Denied { to: to.to_string(), why: Refusal::Limit };
            gate.ledger.note(&Origin::default(), refused);
            reset(guest);
            continue;
        };
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            gate.connection(guest, from, to).await;
            drop(slot);
        });
    }
}

async fn questions_over_tcp<L: Ledger, W: Witness>(listener: TcpListener, gate: Arc<Gate<L, W>>) {
    loop {
        let Ok((mut guest, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let Some(slot) = Slot::take(&gate.questions, MOST_QUESTIONS) else { continue };
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            while let Ok(Ok(())) = timeout(QUESTION, question_over_tcp(&mut guest, &gate)).await {}
            drop(slot);
        });
    }
}

async fn question_over_tcp<L: Ledger, W: Witness>(
    guest: &mut TcpStream,
    gate: &Arc<Gate<L, W>>,
) -> io::Result<()> {
    let length = usize::from(guest.read_u16().await?);
    if length > dns::LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut question = vec![0; length];
    guest.read_exact(&mut question).await?;
    let answer = gate.answer(&question).ok_or(io::ErrorKind::InvalidData)?;
    guest.write_u16(u16::try_from(answer.len()).unwrap_or(0)).await?;
    guest.write_all(&answer).await
}

impl<L: Ledger, W: Witness> Gate<L, W> {
    fn answer(self: &Arc<Self>, question: &[u8]) -> Option<Vec<u8>> {
        let note = |note| self.ledger.note(&Origin::default(), note);
        dns::answer(question, &self.rules, note, |host| self.address_of(host))
    }

    /// The address by which the guest reaches a host, with a listener behind each of its ports.
    fn address_of(self: &Arc<Self>, host: &Host) -> Option<std::net::Ipv4Addr> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let (address, fresh) = book.address_of(host)?;
        if fresh {
            for port in self.rules.ports_of(host) {
                if let Ok(Some(listener)) = book.listen(address, port) {
                    tokio::spawn(accept(listener, Arc::clone(self)));
                }
            }
        }
        Some(address)
    }

    /// The guest is about to connect to `to`. Where every public host may be reached, any port may be asked for: a
    /// door is made for it before the guest gets there. Called within the runtime.
    fn approached(self: &Arc<Self>, origin: &Origin, to: SocketAddrV4) {
        if !self.rules.is_open() || to.port() == 0 || *to.ip() == PROXY {
            return;
        }
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(host) = book.host_of(IpAddr::V4(*to.ip())) else { return };
        match book.listen(*to.ip(), to.port()) {
            Ok(Some(listener)) => drop(tokio::spawn(accept(listener, Arc::clone(self)))),
            Ok(None) => {}
            Err(_) => self.deny(origin, &format!("{host}:{}", to.port()), Refusal::Limit),
        }
    }

    async fn connection(self: &Arc<Self>, guest: TcpStream, from: SocketAddr, to: SocketAddr) {
        let origin = self.witness.who(from, to);
        let address = to.ip();
        if address == IpAddr::V4(PROXY) {
            self.proxy(guest, origin).await;
            return;
        }
        let known = self.book.lock().unwrap_or_else(PoisonError::into_inner).host_of(address);
        let Some(host) = known else {
            // A door stands at every address of its port, also at those of the guest's own; nobody is there.
            reset(guest);
            return;
        };
        let destination = Destination { host: host.clone().into(), port: to.port() };
        match self.rules.decide(&host, to.port()) {
            Verdict::Allowed => self.carry(guest, destination, origin, Vec::new()).await,
            Verdict::Requests if self.broker_for(&destination).is_some() => {
                self.carry(guest, destination, origin, Vec::new()).await;
            }
            Verdict::Requests => http::transparent(self, guest, destination, origin).await,
            verdict => {
                self.deny(&origin, &destination.to_string(), refusal(verdict));
                reset(guest);
            }
        }
    }

    /// The proxy's door: SOCKS5 by its first byte, else HTTP.
    async fn proxy(self: &Arc<Self>, guest: TcpStream, origin: Origin) {
        let mut first = [0];
        match timeout(HEAD, guest.peek(&mut first)).await {
            Ok(Ok(1)) if first == [socks::VERSION] => socks::serve(self, guest, origin).await,
            Ok(Ok(1)) => http::serve(self, guest, origin).await,
            _ => {}
        }
    }

    /// Whether a host that the guest named may be reached.
    fn admit(&self, origin: &Origin, text: &str, port: u16) -> Result<(Destination, Verdict), Refused> {
        let shown = format!("{}:{port}", shown(text));
        let host = shieldrun_policy::network::host(text).map_err(|reason| {
            self.deny(origin, &shown, Refusal::Malformed);
            Refused { why: Refusal::Malformed, reason: format!("`{shown}` is refused: {reason}") }
        })?;
        // A proxy is asked for an address by programs that resolved the name themselves.
        let host = match &host {
            Host::Address(address) => {
                self.book.lock().unwrap_or_else(PoisonError::into_inner).host_of(*address).unwrap_or(host)
            }
            Host::Name(_) => host,
        };
        match self.rules.decide(&host, port) {
            verdict @ (Verdict::Allowed | Verdict::Requests) => {
                Ok((Destination { host: host.into(), port }, verdict))
            }
            verdict => {
                let why = refusal(verdict);
                self.deny(origin, &shown, why);
                Err(Refused { why, reason: reason(&host, port, why) })
            }
        }
    }

    /// The broker, where there is one and it is to look into what goes there.
    fn broker_for(&self, to: &Destination) -> Option<&Broker<Arc<L>, Dialer>> {
        self.broker.as_ref().filter(|_| !self.rules.passes_through(&to.host.to_host()))
    }

    fn deny(&self, origin: &Origin, to: &str, why: Refusal) {
        self.ledger.note(origin, Note::Denied { to: to.to_owned(), why });
    }

    /// Gets there; a refusal is on record by then.
    async fn dial(&self, origin: &Origin, to: &Destination) -> Result<TcpStream, Refused> {
        self.dialer.connect(to).await.map_err(|failed| {
            self.deny(origin, &to.to_string(), failed.why);
            Refused { why: failed.why, reason: format!("`{to}`: {failed}") }
        })
    }

    /// From an allowed destination to the last byte, where nothing has to be said to the guest first.
    async fn carry(&self, guest: TcpStream, to: Destination, origin: Origin, first: Vec<u8>) {
        match self.dial(&origin, &to).await {
            Ok(upstream) => self.join(guest, upstream, to, origin, first).await,
            Err(_) => reset(guest),
        }
    }

    /// Moves the bytes. `first` was read from the guest already.
    async fn join(
        &self,
        guest: TcpStream,
        upstream: TcpStream,
        to: Destination,
        origin: Origin,
        first: Vec<u8>,
    ) {
        self.join_at_most(guest, upstream, to, origin, first, None).await;
    }

    /// The same, with at most so many bytes more from the guest.
    async fn join_at_most(
        &self,
        guest: TcpStream,
        upstream: TcpStream,
        to: Destination,
        origin: Origin,
        mut first: Vec<u8>,
        more: Option<u64>,
    ) {
        let passes = self.broker.is_some() && self.broker_for(&to).is_none();
        let allowed = if passes { Note::PassedThrough } else { Note::Allowed };
        let account =
            || Account::open(Arc::clone(&self.ledger), origin.clone(), to.clone(), allowed(to.clone()));
        let mut watch = Watch::new(&self.scanners);
        if let Some(broker) = self.broker_for(&to) {
            let speech = speech::hear(&guest, &upstream, &mut first).await;
            if matches!(speech, Speech::Tls | Speech::Http) {
                let account = account();
                let guest = Guest::new(guest, first, more, Arc::clone(account.counts()));
                // What is worth knowing of its end is in the ledger.
                let _ = broker.serve_over(guest, upstream, to.clone(), origin.clone()).await;
                return;
            }
            if self.rules.decide(&to.host.to_host(), to.port) != Verdict::Allowed {
                self.deny(&origin, &to.to_string(), Refusal::Request);
                reset(guest);
                return reset(upstream);
            }
            if speech == Speech::Postgres && broker.has_database(&to) {
                let account = account();
                let guest = Guest::new(guest, first, more, Arc::clone(account.counts()));
                let _ = broker.serve_database(guest, upstream, to.clone(), origin.clone()).await;
                return;
            }
            watch = watch.beside_a_broker();
        }
        let account = account();
        let end = relay::run(&guest, &upstream, relay::Sent { first, more }, watch, account.counts()).await;
        if let End::Seen(seen) = &end {
            self.ledger.note(&origin, seen.note(to));
        }
        if !matches!(end, End::Closed) {
            reset(guest);
            reset(upstream);
        }
    }
}

fn refusal(verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Port => Refusal::Port,
        Verdict::Address => Refusal::Address,
        Verdict::Requests => Refusal::Request,
        Verdict::NotListed | Verdict::Allowed => Refusal::NotListed,
    }
}

/// What the person in front of the agent reads, in the body of the refusal.
fn reason(host: &Host, port: u16, why: Refusal) -> String {
    let to = Destination { host: HostName::from(host.clone()), port };
    match why {
        Refusal::Port => format!("port {port} of `{host}` is not on the allowlist (`--allow {to}`)"),
        Refusal::Address => {
            format!("`{host}` is not an address of the public network (`--allow {to}` lists it as a literal)")
        }
        _ => format!("`{host}` is not on the allowlist (`--allow {host}`)"),
    }
}

/// As the guest wrote it, fit for a line of text.
fn shown(text: &str) -> String {
    const LONGEST: usize = 300;
    text.chars().take(LONGEST).flat_map(char::escape_default).collect()
}

/// Ends a connection so that the other side knows it was cut.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}
