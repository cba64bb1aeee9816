//! `unix:PATH`: lines of JSON to a socket of somebody who listens.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::{Carried, Carrier, Trouble};
use crate::sys::unix_socket::is_read;

/// The connection, if there is one.
pub(super) struct Stream {
    path: PathBuf,
    socket: Option<UnixStream>,
    /// Bytes of the lines at hand that were written and not read yet.
    sent: usize,
}

/// How often it is looked whether the peer has read.
const LOOK: Duration = Duration::from_millis(2);

impl Stream {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, socket: None, sent: 0 }
    }

    /// Nothing here waits longer than a moment for a listener that does not accept.
    fn connected(&mut self, within: Duration) -> io::Result<&mut UnixStream> {
        if self.socket.is_none() {
            self.sent = 0;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            set_socket_timeout(&socket, Timeout::Send, Some(within.max(Duration::from_millis(1))))?;
            connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
            self.socket = Some(UnixStream::from(socket));
        }
        self.socket.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn send(&mut self, lines: &[u8], within: Duration) -> io::Result<()> {
        let until = Instant::now() + within;
        self.connected(within)?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read"));
            }
            let rest = lines.get(self.sent..).unwrap_or_default();
            let Some(socket) = &mut self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
            if rest.is_empty() {
                // Written is not read. In this order: the kernel marks the end of a peer before it throws away
                // what that one has not read.
                let is_read = is_read(socket.as_fd())?;
                if is_gone(socket) {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                if is_read {
                    return Ok(());
                }
                std::thread::sleep(LOOK.min(left));
                continue;
            }
            socket.set_write_timeout(Some(left))?;
            match socket.write(rest) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Carrier for Stream {
    fn carry(&mut self, lines: &[u8], within: Duration) -> Result<Carried, Trouble> {
        match self.send(lines, within) {
            Ok(()) => {
                self.sent = 0;
                Ok(Carried { bytes: lines.len(), refused: 0 })
            }
            Err(error) => {
                // A peer that is slow keeps its connection, and what it has of these lines.
                if error.kind() != io::ErrorKind::TimedOut {
                    self.socket = None;
                }
                Err(error.into())
            }
        }
    }
}

/// Whether the peer has closed its end.
fn is_gone(socket: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0)
}
