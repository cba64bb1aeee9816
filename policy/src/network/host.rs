//! Strict reading of hosts: one spelling for each, or a refusal that says why.
//!
//! Resolvers, proxies and clients disagree about odd spellings; what two of them read differently is how a
//! filter is walked around. So there is one form (lower case, ASCII, no final dot) and nothing is guessed.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host: a DNS name in its one form, or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// Lower case, ASCII, without a final dot.
    Name(String),
    /// An address, an IPv4 one never as IPv6.
    Address(IpAddr),
}

/// The longest name of DNS.
const LONGEST: usize = 253;
/// The longest label.
const LABEL: usize = 63;

/// Reads a host as the policy or the guest writes it.
///
/// # Errors
/// A reason, for a person.
pub fn host(text: &str) -> Result<Host, String> {
    if text.contains('\0') {
        return Err("a host has no NUL in it".to_owned());
    }
    if !text.is_ascii() {
        return Err("write the host in ASCII, an international name as punycode (`xn--…`)".to_owned());
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("the `[` of an IPv6 address is not closed")?;
        let address: Ipv6Addr = inner.parse().map_err(|_| "between `[` and `]` stands an IPv6 address")?;
        return Ok(Host::Address(plain(IpAddr::V6(address))));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Host::Address(plain(address)));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() || name.len() > LONGEST {
        return Err("this is no host name; write it as `host`, `*.host` or `host:port`".to_owned());
    }
    if !name.split('.').all(is_label) {
        return Err("this is no host name; write it in ASCII, as `host`, `*.host` or `host:port`".to_owned());
    }
    if name.rsplit('.').next().is_some_and(is_number) {
        return Err("this is an address in an odd notation; write it as `192.0.2.1`".to_owned());
    }
    Ok(Host::Name(name.to_ascii_lowercase()))
}

/// Splits `host:port` and `[v6]:port`; an IPv6 address without brackets has no port.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port),
        _ => return Ok((text, None)),
    };
    let good = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if good && number != 0 => Ok((name, Some(number))),
        _ => Err("a port is a number from 1 to 65535".to_owned()),
    }
}

/// An IPv4 address that is written as IPv6 is the IPv4 address.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty()
        && label.len() <= LABEL
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(inside)
}

/// What `inet_aton` takes for a part of an address: decimal, octal and hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    hex.map_or_else(
        || label.bytes().all(|byte| byte.is_ascii_digit()),
        |hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => out.write_str(name),
            Self::Address(address) => address.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_one_form() {
        for (text, form) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com.", "example.com"),
            ("a_b.c", "a_b.c"),
            ("xn--caf-dma.fr", "xn--caf-dma.fr"),
            ("localhost", "localhost"),
            ("1password.com", "1password.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("[::ffff:169.254.169.254]", "169.254.169.254"),
        ] {
            assert_eq!(host(text).map(|host| host.to_string()).as_deref(), Ok(form), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "..",
            "-a.b",
            "a-.b",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "a.b\0.c",
            "caf\u{e9}.fr",
            "a/b",
            "a@b",
            "a#b",
            "a?b",
            "a%62",
            "*",
            "a.*",
            "[::1",
            "::1]",
            "[10.0.0.1]",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "127.1",
            "0x7f000001",
            "1.2.3.4.5",
            "127.0.0.01",
            "1.2.3.0x4",
            "a.b.1",
            "fe80::1%eth0",
            "\u{ff11}.1.1.1",
            "a\u{3002}b",
        ] {
            assert!(host(text).is_err(), "{text:?} gave {:?}", host(text));
        }
        assert!(host(&"a".repeat(64)).is_err());
        assert!(host(&["a".repeat(60).as_str(); 5].join(".")).is_err());
    }

    #[test]
    fn ports_are_plain_numbers() {
        assert_eq!(split_port("h:80"), Ok(("h", Some(80))));
        assert_eq!(split_port("[::1]:80"), Ok(("[::1]", Some(80))));
        assert_eq!(split_port("::1"), Ok(("::1", None)));
        for text in ["h:", "h:0", "h:+80", "h:65536", "h: 80", "h:0x50", "h:080808"] {
            assert!(split_port(text).is_err(), "{text}");
        }
    }
}
