//! Which address stands for which host: given out when a name is asked for, and kept for the whole run.
//!
//! An address is the only thing that tells a listener which name was meant. So each name has its own, and a
//! port that the guest could listen on itself is listened on at that address alone.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use shieldrun_policy::network::Host;
use tokio::net::{TcpListener, TcpSocket};

/// Where the proxy's door is.
pub(super) const PROXY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The first address of a name.
const FIRST: u32 = Ipv4Addr::new(198, 18, 0, 2).to_bits();
/// More names than this are not told apart; the block has 131,072 addresses.
const MOST: u32 = 100_000;
/// Below, only a privileged process listens: the doors there stand at every address.
const PRIVILEGED: u16 = 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

pub(super) struct Book {
    by_name: HashMap<String, Ipv4Addr>,
    by_address: Vec<Host>,
    spare: Vec<OwnedFd>,
    /// Where somebody listens: at every address below 1024, at one address above.
    listening: HashSet<(Ipv4Addr, u16)>,
}

impl Book {
    /// `ports` are listened on at every address already.
    pub(super) fn new(spare: Vec<OwnedFd>, ports: impl IntoIterator<Item = u16>) -> Self {
        let listening = ports.into_iter().map(|port| (Ipv4Addr::UNSPECIFIED, port)).collect();
        Self { by_name: HashMap::new(), by_address: Vec::new(), spare, listening }
    }

    /// The address of a name, and whether it is a new one. `None` when there are no more.
    pub(super) fn address_of(&mut self, host: &Host) -> Option<(Ipv4Addr, bool)> {
        let Host::Name(name) = host else { return None };
        if let Some(address) = self.by_name.get(name) {
            return Some((*address, false));
        }
        let number = u32::try_from(self.by_address.len()).ok().filter(|number| *number < MOST)?;
        let address = Ipv4Addr::from_bits(FIRST + number);
        self.by_name.insert(name.clone(), address);
        self.by_address.push(host.clone());
        Some((address, true))
    }

    /// Whom an address stands for; one outside of the block is itself, where it is no address of the guest's.
    pub(super) fn host_of(&self, address: IpAddr) -> Option<Host> {
        match address {
            IpAddr::V4(four) if four.to_bits() >> 17 == FIRST >> 17 => {
                let number = usize::try_from(four.to_bits().checked_sub(FIRST)?).ok()?;
                self.by_address.get(number).cloned()
            }
            _ if address.is_loopback() => None,
            _ => Some(Host::Address(address)),
        }
    }

    /// A listener for a port at this address, where there is none yet: only there, if the guest could listen on
    /// that port itself.
    ///
    /// # Errors
    /// When no socket is left, or the port is taken.
    pub(super) fn listen(&mut self, address: Ipv4Addr, port: u16) -> io::Result<Option<TcpListener>> {
        let at = if port < PRIVILEGED { Ipv4Addr::UNSPECIFIED } else { address };
        if !self.listening.insert((at, port)) {
            return Ok(None);
        }
        let listener = self.take(SocketAddr::from((at, port)));
        if listener.is_err() {
            self.listening.remove(&(at, port));
        }
        listener.map(Some)
    }

    fn take(&mut self, at: SocketAddr) -> io::Result<TcpListener> {
        let spare = self.spare.pop().ok_or(io::ErrorKind::QuotaExceeded)?;
        // A socket that is nowhere is neither listener nor stream; the two wrappers only carry the descriptor.
        let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(spare));
        socket.bind(at)?;
        socket.listen(BACKLOG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_keeps_an_address_of_its_own() {
        let mut book = Book::new(Vec::new(), []);
        let name = |name: &str| Host::Name(name.to_owned());
        let first = book.address_of(&name("a.example"));
        assert_eq!(first, Some((Ipv4Addr::new(198, 18, 0, 2), true)));
        assert_eq!(book.address_of(&name("b.example")), Some((Ipv4Addr::new(198, 18, 0, 3), true)));
        assert_eq!(book.address_of(&name("a.example")), Some((Ipv4Addr::new(198, 18, 0, 2), false)));
        assert_eq!(book.host_of(Ipv4Addr::new(198, 18, 0, 3).into()), Some(name("b.example")));
        assert_eq!(book.host_of(Ipv4Addr::new(198, 18, 0, 4).into()), None);
        assert_eq!(book.host_of(Ipv4Addr::new(198, 18, 0, 0).into()), None);
        assert_eq!(book.host_of(Ipv4Addr::LOCALHOST.into()), None);
        let public = IpAddr::from([1, 1, 1, 1]);
        assert_eq!(book.host_of(public), Some(Host::Address(public)));
    }

    #[test]
    fn names_come_to_an_end() {
        let mut book = Book::new(Vec::new(), []);
        for number in 0..MOST {
            assert!(book.address_of(&Host::Name(format!("n{number}.example"))).is_some());
        }
        assert_eq!(book.address_of(&Host::Name("one.more".to_owned())), None);
    }
}
