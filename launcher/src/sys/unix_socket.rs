//! What a peer has not read yet of a unix socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether the peer has read everything that was written. The kernel counts buffers, not bytes, so the number
/// itself says nothing.
pub(crate) fn is_read(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut waiting: libc::c_int = 0;
    // SAFETY: `TIOCOUTQ` writes one `int` to the pointer, which is that of a local of this type; the descriptor
    // is borrowed for the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut waiting) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(waiting == 0) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::is_read;

    #[test]
    fn what_was_read_no_longer_waits() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.write_all(b"abc").expect("written");
        assert!(!is_read(ours.as_fd()).expect("a number"));
        theirs.read_exact(&mut [0; 3]).expect("read");
        assert!(is_read(ours.as_fd()).expect("a number"));
    }
}
