//! Owns the socket of the ssh-agent: made inside, where the guest sees it, and handed out to the launcher.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use shieldrun_policy::plan::SshAgent;

use super::steps::{create, write_all};
use crate::guest;

const BACKLOG: i32 = 16;

/// Makes it, and the file beside it. A socket can be connected to on a mount that is read-only.
pub(super) fn make(agent: &SshAgent) -> io::Result<OwnedFd> {
    let file = create(guest::KNOWN_HOSTS_PATH, Mode::from_raw_mode(0o444))?;
    write_all(&file, &agent.known_hosts)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(guest::AGENT_PATH)?)?;
    rustix::fs::chmodat(CWD, guest::AGENT_PATH, Mode::RUSR | Mode::WUSR, rustix::fs::AtFlags::empty())?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}
