//! The `connect` family: who went where. Notes and forwards, nothing else.

use libc::{addrinfo, c_char, c_void, msghdr, sockaddr, socklen_t};
use redhook::hook;
use shieldrun_abi::hash;
use shieldrun_abi::record::Kind;

use crate::real::{self, CONNECT, GETADDRINFO, SENDMSG, SENDTO};
use crate::{say, text};

/// As long as a `sockaddr_storage`, longer than any address.
const ADDRESS_MAX: usize = 128;
/// Longer than any host name can be.
const NAME_MAX: usize = 1025;

hook! {
    unsafe fn connect(socket: i32, address: *const sockaddr, length: socklen_t) -> i32 => note_connect {
        // SAFETY: the program's own arguments.
        if let Some(address) = unsafe { address_bytes(address, length) } {
            say::once(Kind::Connect, address);
        }
        let Some(real) = CONNECT.get() else { real::fail_with(libc::ENOSYS); return -1 };
        // SAFETY: the program's own arguments.
        unsafe { real(socket, address, length) }
    }
}

hook! {
    unsafe fn sendto(
        socket: i32, data: *const c_void, size: usize, flags: i32, address: *const sockaddr, length: socklen_t
    ) -> isize => note_sendto {
        // SAFETY: the program's own arguments.
        unsafe { note_datagram(address, length) };
        let Some(real) = SENDTO.get() else { real::fail_with(libc::ENOSYS); return -1 };
        // SAFETY: the program's own arguments.
        unsafe { real(socket, data, size, flags, address, length) }
    }
}

hook! {
    unsafe fn sendmsg(socket: i32, message: *const msghdr, flags: i32) -> isize => note_sendmsg {
        if message.addr() >= 4096 {
            // SAFETY: the program's own argument.
            let name = unsafe { &raw const (*message).msg_name };
            // SAFETY: as above.
            let name = unsafe { name.read() };
            // SAFETY: as above.
            let length = unsafe { &raw const (*message).msg_namelen };
            // SAFETY: as above.
            let length = unsafe { length.read() };
            // SAFETY: as above.
            unsafe { note_datagram(name.cast(), length) };
        }
        let Some(real) = SENDMSG.get() else { real::fail_with(libc::ENOSYS); return -1 };
        // SAFETY: the program's own arguments.
        unsafe { real(socket, message, flags) }
    }
}

hook! {
    unsafe fn getaddrinfo(
        name: *const c_char, service: *const c_char, hints: *const addrinfo, result: *mut *mut addrinfo
    ) -> i32 => note_getaddrinfo {
        // SAFETY: the program's own arguments.
        if let Some(name) = unsafe { text::bytes(name, NAME_MAX) } {
            say::once(Kind::Resolve, name);
        }
        let Some(real) = GETADDRINFO.get() else { return libc::EAI_FAIL };
        // SAFETY: the program's own arguments.
        unsafe { real(name, service, hints, result) }
    }
}

/// A program may send a thousand datagrams a second to one place: said once, then counted.
unsafe fn note_datagram(address: *const sockaddr, length: socklen_t) {
    // SAFETY: the caller's.
    if let Some(address) = unsafe { address_bytes(address, length) } {
        say::folded(Kind::Send, hash::name(address), 0, address);
    }
}

/// The address, unless it is none: a null, or the AF_UNSPEC that ends an association.
unsafe fn address_bytes<'a>(address: *const sockaddr, length: socklen_t) -> Option<&'a [u8]> {
    let length = usize::try_from(length).ok()?.min(ADDRESS_MAX);
    if address.addr() < 4096 {
        return None;
    }
    // SAFETY: by the call's contract the address has that many bytes.
    let bytes = unsafe { core::slice::from_raw_parts(address.cast::<u8>(), length) };
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    (i32::from(family) != libc::AF_UNSPEC).then_some(bytes)
}
