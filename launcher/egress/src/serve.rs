//! Owns the thread of the network: one runtime for all doors, from the first listener to the last byte.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use shieldrun_policy::network::Rules;
use shieldrun_secrets::Registry;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::broker::{self, Authority, Broker, Swaps};
use crate::dial::{Dialer, Upstream};
use crate::doors::{Approach, Doors};
use crate::flow::Origin;
use crate::ledger::Ledger;
use crate::watch::Scanners;

/// Sockets of the guest's network, made inside and handed out.
#[derive(Debug)]
pub struct Openings {
    /// Where names are asked for.
    pub dns: UdpSocket,
    /// The same over TCP.
    pub dns_tcp: TcpListener,
    /// One for each port that only a privileged process may listen on, at every address.
    pub listeners: Vec<TcpListener>,
    /// Sockets that are nowhere yet: each becomes a listener when it is needed, for a port of a name that was asked
    /// for or, where every public host may be reached, for a port that somebody connects to.
    pub spare: Vec<OwnedFd>,
}

/// What the doors go by.
#[derive(Debug)]
pub struct Settings {
    /// What may be reached.
    pub rules: Rules,
    /// The host's own proxy, where it has one.
    pub upstream: Option<Upstream>,
    /// Who looks into TLS, where somebody does.
    pub broker: Option<Brokerage>,
}

/// What a broker is made of.
#[derive(Debug)]
pub struct Brokerage {
    /// What the guest was told to trust.
    pub authority: Authority,
    /// The secrets.
    pub swaps: Swaps,
    /// How far it goes.
    pub settings: broker::Settings,
}

/// Knows which process of the guest made a connection.
pub trait Witness: Send + Sync + 'static {
    /// Who connected from `from` to `to`; nobody rather than a wrong one.
    fn who(&self, from: SocketAddr, to: SocketAddr) -> Origin;
}

impl<W: Witness> Witness for Arc<W> {
    fn who(&self, from: SocketAddr, to: SocketAddr) -> Origin {
        (**self).who(from, to)
    }
}

/// The thread.
#[derive(Debug)]
pub struct Egress {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    approach: Option<Approach>,
}

/// How long names that are still being asked for may keep the end of a run.
const LAST: Duration = Duration::from_millis(50);

impl Egress {
    /// Opens the doors.
    ///
    /// # Errors
    /// When there is no thread or no descriptor to be had.
    pub fn start(
        openings: Openings,
        settings: Settings,
        registry: &Registry,
        ledger: Arc<impl Ledger>,
        witness: impl Witness,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(8)
            .thread_name("resolver")
            .build()?;
        let rules = Arc::new(settings.rules);
        let dialer = Dialer::new(Arc::clone(&rules), settings.upstream);
        let doors = {
            let _entered = runtime.enter();
            let broker = settings.broker.map(|Brokerage { authority, swaps, mut settings }| {
                settings.requests = Some(Arc::clone(&rules));
                Broker::with_authority(authority, swaps, Arc::clone(&ledger), dialer.clone(), settings)
            });
            let broker = broker.transpose()?;
            Doors::new(openings, rules, dialer, Scanners::of(registry), ledger, broker, witness)?
        };
        let approach = {
            let _entered = runtime.enter();
            Some(doors.approach())
        };
        let (stop, stopped) = oneshot::channel();
        let body = move || {
            runtime.block_on(until(stopped, doors.serve()));
            runtime.shutdown_timeout(LAST);
        };
        let thread = thread::Builder::new().name("network".to_owned()).spawn(body)?;
        Ok(Self { thread, stop, approach })
    }

    /// What is to be told of each connection before it is made. There is one.
    pub fn approach(&mut self) -> Option<Approach> {
        self.approach.take()
    }

    /// Closes the doors. Everybody inside has ended.
    pub fn finish(self) {
        // It is gone already: then there is nothing to stop.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

async fn until(stopped: oneshot::Receiver<()>, serving: impl Future<Output = ()>) {
    tokio::select! {
        _ = stopped => {}
        () = serving => {}
    }
}
