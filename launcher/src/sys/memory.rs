//! Owns reading the memory of another process. What is there is the other's to write, at any moment.

use std::io;

/// A piece of another's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// Where it begins.
    pub(crate) address: u64,
    /// How long it is.
    pub(crate) length: usize,
}

/// More pieces than this are not read in one call.
pub(crate) const PIECES: usize = 64;

/// Reads pieces, one behind the other, into `into`. The number of bytes read: a piece that is not mapped ends
/// it early.
///
/// # Errors
/// `ESRCH` when the thread has gone, `EPERM` where this process may not look, `EFAULT` when nothing is there.
pub(crate) fn read(thread: u32, pieces: &[Piece], into: &mut [u8]) -> io::Result<usize> {
    const NONE: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
    let mut remote = [NONE; PIECES];
    let mut wanted = 0;
    for (slot, piece) in remote.iter_mut().zip(pieces) {
        let address = usize::try_from(piece.address).map_err(|_| io::ErrorKind::InvalidInput)?;
        *slot = libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: piece.length };
        wanted += piece.length;
    }
    let thread = libc::pid_t::try_from(thread).map_err(|_| io::ErrorKind::InvalidInput)?;
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: wanted.min(into.len()) };
    let count = pieces.len().min(PIECES) as libc::c_ulong;
    // SAFETY: the kernel writes at most `iov_len` bytes to `into`, which is borrowed; the remote addresses
    // are the other process's and are only looked up there.
    let got = unsafe { libc::process_vm_readv(thread, &raw const local, 1, remote.as_ptr(), count, 0) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_is_read_in_pieces_and_a_hole_ends_it() {
        let text = *b"hello, world";
        let address = text.as_ptr() as u64;
        let (mut into, me) = ([0; 16], std::process::id());
        let pieces = [
            Piece { address: address + 7, length: 5 },
            Piece { address, length: 5 },
            Piece { address: 8, length: 3 },
        ];
        assert_eq!(read(me, &pieces, &mut into).ok(), Some(10));
        assert_eq!(&into[..10], b"worldhello");
        assert!(read(me, &pieces[2..], &mut into).is_err());
        assert!(read(u32::MAX, &pieces, &mut into).is_err());
    }
}
