//! Owns one route: addresses that are this network's own although no interface has them.
//!
//! As `ip route add local 198.18.0.0/15 dev lo`: what the guest sends there comes to a socket of the same
//! network, whose local address is the one that was meant. Asked of the kernel by rtnetlink(7), so no
//! program is needed; nothing is allocated, because the set-up child asks.

use std::io;
use std::net::IpAddr;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// `struct nlmsghdr`, `struct rtmsg`, and attributes: destination of up to 16 bytes, interface.
const LONGEST: usize = 16 + 12 + (4 + 16) + (4 + 4);
/// `lo` is the first interface of each network.
const LOOPBACK: u32 = 1;

const NLMSG_ERROR: u16 = 2;
const RTM_NEWROUTE: u16 = 24;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
/// Request, acknowledge, make, and no other like it.
const FLAGS: u16 = 0x1 | 0x4 | 0x400 | 0x200;
const TABLE_LOCAL: u8 = 255;
const PROTOCOL_STATIC: u8 = 4;
const SCOPE_HOST: u8 = 254;
const TYPE_LOCAL: u8 = 2;

/// Makes a block of addresses local.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` in this network namespace.
pub(crate) fn make_local(block: IpAddr, length: u8) -> io::Result<()> {
    let (message, used) = request(block, length);
    // Protocol 0 is that of routes.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, message.get(..used).unwrap_or_default(), SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    let (got, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let answer = answer.get(..got).unwrap_or_default();
    let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let code = answer.get(16..20).map(|bytes| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn request(block: IpAddr, length: u8) -> ([u8; LONGEST], usize) {
    let (family, four, six);
    let address: &[u8] = match block {
        IpAddr::V4(address) => {
            family = libc::AF_INET;
            four = address.octets();
            &four
        }
        IpAddr::V6(address) => {
            family = libc::AF_INET6;
            six = address.octets();
            &six
        }
    };
    let mut message = Message { bytes: [0; LONGEST], used: 0 };
    let total = 16 + 12 + (if length == 0 { 0 } else { 4 + address.len() }) + 8;
    message.put(&u32::try_from(total).unwrap_or(0).to_ne_bytes());
    message.put(&RTM_NEWROUTE.to_ne_bytes());
    message.put(&FLAGS.to_ne_bytes());
    message.put(&[0; 8]);
    let family = u8::try_from(family).unwrap_or(0);
    message.put(&[family, length, 0, 0, TABLE_LOCAL, PROTOCOL_STATIC, SCOPE_HOST, TYPE_LOCAL]);
    message.put(&[0; 4]);
    if length > 0 {
        message.attribute(RTA_DST, address);
    }
    message.attribute(RTA_OIF, &LOOPBACK.to_ne_bytes());
    (message.bytes, message.used)
}

struct Message {
    bytes: [u8; LONGEST],
    used: usize,
}

impl Message {
    fn put(&mut self, part: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.used).zip(part) {
            *to = *from;
        }
        self.used += part.len();
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).unwrap_or(0);
        self.put(&length.to_ne_bytes());
        self.put(&kind.to_ne_bytes());
        self.put(value);
    }
}
