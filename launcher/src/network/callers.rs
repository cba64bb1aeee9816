//! Owns which process made a connection: what the filter of system calls was asked, joined with the socket.
//!
//! The filter knows the thread and the descriptor before the kernel connects; the door knows the two addresses
//! afterwards. The number of the socket is what both can find out, so it is no guess; where it cannot be
//! found, nobody is named.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use shieldrun_egress::{Approach, Origin, Witness};

use crate::sys::pidns::first_pid;

/// Connections that were asked for and are not accepted yet; the oldest are forgotten.
const REMEMBERED: usize = 4096;
/// More lines of the kernel's table than this are not looked at.
const LINES: usize = 20_000;

/// Who asked to connect, lately.
#[derive(Debug)]
pub(crate) struct Callers {
    asked: Mutex<VecDeque<Asked>>,
    init: OwnedFd,
    /// Who is told of a connection before it is made, once the doors stand.
    approach: OnceLock<Approach>,
}

#[derive(Debug)]
struct Asked {
    inode: u64,
    pid: u32,
}

impl Callers {
    /// `init` is the pidfd of the first process inside: its network is the one that is looked at.
    pub(crate) fn new(init: OwnedFd) -> Self {
        Self { asked: Mutex::default(), init, approach: OnceLock::new() }
    }

    /// Tells the doors of each connection from now on.
    pub(super) fn telling(&self, approach: Approach) {
        // There is one network.
        let _ = self.approach.set(approach);
    }

    /// Takes note of a caller that waits for the answer: its descriptor is looked at now.
    pub(crate) fn asks(&self, thread: u32, descriptor: u64, pid: u32) {
        // The kernel takes the lower half.
        let link = fs::read_link(format!("/proc/{thread}/fd/{}", descriptor & 0xffff_ffff));
        let Some(inode) = link.ok().as_deref().and_then(|link| inode_of(link.to_str()?)) else { return };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= REMEMBERED {
            asked.pop_front();
        }
        asked.push_back(Asked { inode, pid });
    }

    /// The same caller wants to get there. When this returns, a door stands where one is to stand.
    pub(crate) fn approaches(&self, to: SocketAddr, pid: u32) {
        if let (Some(approach), IpAddr::V4(address)) = (self.approach.get(), to.ip().to_canonical()) {
            approach.tell(&Origin { pid: Some(pid) }, SocketAddrV4::new(address, to.port()));
        }
    }

    fn pid_of(&self, from: SocketAddr, to: SocketAddr) -> Option<u32> {
        // Nobody asked: then there is no need to look.
        if self.asked.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return None;
        }
        let init = first_pid(self.init.as_fd())?;
        let inode = ["tcp", "tcp6"].iter().find_map(|table| {
            let file = fs::File::open(format!("/proc/{init}/net/{table}")).ok()?;
            let lines = BufReader::new(file).lines().map_while(Result::ok).take(LINES);
            lines.skip(1).find_map(|line| socket(&line, from, to))
        })?;
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().rev().find(|asked| asked.inode == inode).map(|asked| asked.pid)
    }
}

impl Witness for Callers {
    fn who(&self, from: SocketAddr, to: SocketAddr) -> Origin {
        Origin { pid: self.pid_of(from, to) }
    }
}

fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The number of the socket in a line of the kernel's table, where it is the caller's.
fn socket(line: &str, from: SocketAddr, to: SocketAddr) -> Option<u64> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let own = address(words.next()?)?;
    let other = address(words.next()?)?;
    if own != from || other != to {
        return None;
    }
    // State, queues, timers, retransmits, owner, timeout; then the number.
    words.nth(6)?.parse().ok().filter(|inode| *inode != 0)
}

/// `0100007F:0035`: each word of the address in the order of the machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (part, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                part.copy_from_slice(&word(at)?);
            }
            let six = std::net::Ipv6Addr::from(bytes);
            six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_of_the_table_gives_the_socket_of_the_caller() {
        let line = "   3: 020012C6:C350 020012C6:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 30 10 -1";
        let from = "198.18.0.2:50000".parse().expect("address");
        let to = "198.18.0.2:443".parse().expect("address");
        assert_eq!(socket(line, from, to), Some(4711));
        assert_eq!(socket(line, to, from), None);
        assert_eq!(address("0000000000000000FFFF0000020012C6:01BB"), Some(to));
        assert_eq!(socket("sl local_address", from, to), None);
    }
}
