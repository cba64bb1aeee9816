//! Owns entering a network namespace in which every address is this process's own: the internet, for a test.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{loopback, route};

/// Enters it. An ordinary user becomes the owner of a user namespace for that, and keeps its ids; the
/// capabilities that come with it end at the next exec.
///
/// # Errors
/// `EPERM` and `ENOSPC` where user namespaces are forbidden, `EINVAL` for a process with threads.
pub(crate) fn enter() -> io::Result<()> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    match leave_for(libc::CLONE_NEWNET) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            leave_for(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("{uid} {uid} 1\n"))?;
            fs::write("/proc/self/gid_map", format!("{gid} {gid} 1\n"))?;
        }
        other => other?,
    }
    loopback::up()?;
    route::make_local(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)?;
    // A kernel without IPv6 has no such way either.
    let _ = route::make_local(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    Ok(())
}

fn leave_for(namespaces: i32) -> io::Result<()> {
    // SAFETY: takes flags only; neither of those used here touches what threads share.
    match unsafe { libc::unshare(namespaces) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
