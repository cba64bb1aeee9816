//! Addresses that no name may lead to: what is not the public network.
//!
//! A name's owner decides where it points. One that points into the user's own network, at this machine or
//! at a cloud's metadata service would turn the launcher into a way in; so such an address is reached only
//! where the policy lists it as a literal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// This machine.
    Loopback,
    /// A network of somebody's own, or a provider's between it and us.
    Private,
    /// The wire only; clouds answer for their metadata here.
    LinkLocal,
    /// A cloud's metadata service that lies elsewhere.
    Metadata,
    /// To many at once.
    Multicast,
    /// Set aside: documentation, benchmarks, the future, "this network".
    Reserved,
}

impl Range {
    /// For a person.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }
}

use Range::{LinkLocal, Loopback, Metadata, Multicast, Private, Reserved};

const V4: &[(Ipv4Addr, u32, Range)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Reserved),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Private),
    (Ipv4Addr::new(100, 100, 100, 200), 32, Metadata),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Loopback),
    (Ipv4Addr::new(168, 63, 129, 16), 32, Metadata),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Reserved),
];

/// Why this address is not of the public network; `None` where it is.
pub fn forbidden(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(four) => {
            let bits = four.to_bits();
            let found = V4.iter().find(|(net, length, _)| (bits ^ net.to_bits()) >> (32 - length) == 0);
            found.map(|(_, _, range)| *range)
        }
        IpAddr::V6(six) => forbidden_v6(six),
    }
}

fn forbidden_v6(six: Ipv6Addr) -> Option<Range> {
    let parts = six.segments();
    let four = |high: u16, low: u16| {
        let bits = u32::from(high) << 16 | u32::from(low);
        forbidden(IpAddr::V4(Ipv4Addr::from_bits(bits)))
    };
    match parts {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Loopback),
        // An IPv4 address in another dress: mapped, translated, compatible; NAT64; 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => four(high, low),
        [0, 0, 0, 0, 0, 0, ..] => Some(Reserved),
        // A network's own NAT64 may lead to anything.
        [0x64, 0xff9b, 1, ..] => Some(Private),
        [0x2002, high, low, ..] => four(high, low).or(Some(Reserved)),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Some(Metadata),
        [first, ..] if first & 0xfe00 == 0xfc00 => Some(Private),
        [first, ..] if first & 0xffc0 == 0xfe80 => Some(LinkLocal),
        [first, ..] if first & 0xffc0 == 0xfec0 => Some(Private),
        [first, ..] if first & 0xff00 == 0xff00 => Some(Multicast),
        // Teredo, benchmarks, ORCHID; documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => Some(Reserved),
        [0x3fff, second, ..] if second < 0x1000 => Some(Reserved),
        // All that was ever given out begins with the bits 001.
        [first, ..] if first & 0xe000 != 0x2000 => Some(Reserved),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Range> {
        forbidden(text.parse().expect("an address"))
    }

    #[test]
    fn what_is_not_public_is_told_by_its_kind() {
        for (text, range) in [
            ("0.0.0.0", Reserved),
            ("10.1.2.3", Private),
            ("100.64.0.1", Private),
            ("100.127.255.255", Private),
            ("100.100.100.200", Metadata),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("168.63.129.16", Metadata),
            ("169.254.169.254", LinkLocal),
            ("172.31.255.255", Private),
            ("192.168.0.1", Private),
            ("198.18.0.1", Reserved),
            ("198.19.255.255", Reserved),
            ("224.0.0.1", Multicast),
            ("255.255.255.255", Reserved),
            ("::", Reserved),
            ("::1", Loopback),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:0:127.0.0.1", Loopback),
            ("::127.0.0.1", Reserved),
            ("64:ff9b::a9fe:a9fe", LinkLocal),
            ("64:ff9b:1::1", Private),
            ("2002:7f00:1::", Loopback),
            ("2001::1", Reserved),
            ("2001:db8::1", Reserved),
            ("fc00::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fe80::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Multicast),
            ("4000::1", Reserved),
        ] {
            assert_eq!(of(text), Some(range), "{text}");
        }
    }

    #[test]
    fn the_public_network_is_not_forbidden() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
