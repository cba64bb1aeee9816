//! Owns which ids exist inside.
//!
//! An ordinary user may map its own id and no other: files of others then belong to nobody inside, and an
//! overlay cannot copy such a file up. Root may map every id that it sees, to itself, from outside; that
//! gives the guest nothing, which has no capability over any of them, but a file of another owner in its
//! workspace can be moved and, where its permission bits say so, written, as natively.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{RecvFlags, SendFlags};

use crate::sys::control::{Message, SIZE, tag};

/// Who writes the maps of the set-up child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MappedBy {
    /// Itself: one id.
    Child,
    /// The launcher, for root: all of them.
    Launcher,
}

/// Maps all ids of the launcher's own namespace into that of `pid`, and says whether that was possible.
pub(super) fn map_all(pid: i32, control: BorrowedFd<'_>) -> io::Result<()> {
    let mapped = i32::from(write_maps(pid).is_ok());
    let message = Message { tag: tag::MAPPED, value: mapped }.encode();
    rustix::net::send(control, &message, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn write_maps(pid: i32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
    for map in ["uid_map", "gid_map"] {
        let own = fs::read_to_string(format!("/proc/self/{map}"))?;
        fs::write(format!("/proc/{pid}/{map}"), identity(&own))?;
    }
    Ok(())
}

/// Each range of ids that exists here, to itself.
fn identity(map: &str) -> String {
    let mut out = String::new();
    for line in map.lines() {
        let mut words = line.split_whitespace();
        if let (Some(first), Some(count)) = (words.next(), words.nth(1)) {
            out.push_str(&format!("{first} {first} {count}\n"));
        }
    }
    out
}

/// In the child: whether the launcher could. Nothing is allocated.
pub(super) fn await_maps(control: BorrowedFd<'_>) -> io::Result<bool> {
    let mut bytes = [0; SIZE];
    loop {
        match rustix::net::recv(control.as_fd(), &mut bytes, RecvFlags::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    match Message::decode(&bytes) {
        Some(Message { tag: tag::MAPPED, value }) => Ok(value != 0),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::identity;

    #[test]
    fn each_range_is_mapped_to_itself() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
