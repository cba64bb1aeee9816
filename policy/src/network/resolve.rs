//! `network.resolve`: where a host of the allowlist really is, said by a person.

use std::net::SocketAddr;

use super::host::{Host, host, plain, split_port};

/// One entry: `host:port=address:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// The host as the guest names it.
    pub host: Host,
    /// The port as the guest names it.
    pub port: u16,
    /// Where it goes instead.
    pub to: SocketAddr,
}

impl Resolve {
    /// Reads `api.example.com:443=127.0.0.1:8443`; a colon and a blank do for the `=`.
    ///
    /// # Errors
    /// A reason, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "write it as `host:port=address:port`";
        let (from, to) = text.split_once('=').or_else(|| text.split_once(": ")).ok_or(FORM)?;
        let (name, port) = split_port(from.trim())?;
        let port = port.ok_or(FORM)?;
        let to: SocketAddr = to.trim().parse().map_err(|_| FORM)?;
        if to.port() == 0 {
            return Err("a port is a number from 1 to 65535".to_owned());
        }
        Ok(Self { host: host(name)?, port, to: SocketAddr::new(plain(to.ip()), to.port()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_a_port_and_the_right_one_is_an_address() {
        let found = Resolve::parse("API.example.com:443: 127.0.0.1:8443").expect("valid");
        assert_eq!((found.host.to_string().as_str(), found.port), ("api.example.com", 443));
        assert_eq!(found.to.to_string(), "127.0.0.1:8443");
        assert!(Resolve::parse("a.example:443: [::1]:8443").is_ok());
        for text in ["", "a", "a:443", "a: 127.0.0.1:1", "a:443: b:1", "a:443: 127.0.0.1", "a:0: 127.0.0.1:1"]
        {
            assert!(Resolve::parse(text).is_err(), "{text}");
        }
    }
}
