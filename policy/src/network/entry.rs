//! One entry of the allowlist: `[METHODS ]host[:port][/path]`.
//!
//! Owns reading one and what it covers. `set:NAME` stands for several and is unfolded by [`Entry::all`].

use std::path::Path;

use super::host::{Host, host, split_port};
use super::rules::WEB;
use super::sets::{nearest_set, set};
use crate::glob::PathGlob;

/// What an entry allows.
#[derive(Clone, Debug)]
pub struct Entry {
    name: Name,
    port: Option<u16>,
    request: Option<Request>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Exact(Host),
    /// Everything beneath this name, and not the name itself.
    Beneath(String),
}

/// Which requests, where it is HTTP.
#[derive(Clone, Debug)]
struct Request {
    methods: Vec<String>,
    path: Option<PathGlob>,
}

impl Entry {
    /// Reads one that is not a set.
    ///
    /// # Errors
    /// A reason, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err("write the host alone, without scheme".to_owned());
        }
        let (methods, rest) = match text.split_once(' ') {
            Some((methods, rest)) => (methods.split(',').map(method).collect::<Result<Vec<_>, _>>()?, rest),
            None => (Vec::new(), text),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (name, port) = split_port(authority)?;
        let name = match name.strip_prefix("*.") {
            Some(tail) => match host(tail)? {
                Host::Name(tail) => Name::Beneath(tail),
                Host::Address(_) => return Err("an address has no names beneath it".to_owned()),
            },
            None if name.contains('*') => {
                return Err("`*` stands only at the front, as `*.example.org`".to_owned());
            }
            None => Name::Exact(host(name)?),
        };
        let path = match path {
            "" => None,
            path => Some(PathGlob::new(path).map_err(|error| error.to_string())?),
        };
        let request = (!methods.is_empty() || path.is_some()).then_some(Request { methods, path });
        Ok(Self { name, port, request })
    }

    /// Reads one, or the entries of a set.
    ///
    /// # Errors
    /// A reason, for a person.
    pub fn all(text: &str) -> Result<Vec<Self>, String> {
        let Some(name) = text.strip_prefix("set:") else { return Ok(vec![Self::parse(text)?]) };
        match set(name) {
            Some(set) => set.entries.iter().map(|entry| Self::parse(entry)).collect(),
            None => Err(match nearest_set(name) {
                Some(near) => format!("there is no set `{name}`; did you mean `set:{near}`?"),
                None => format!("there is no set `{name}`; `shieldrun policy schema` lists them"),
            }),
        }
    }

    /// Reads one that is a host and nothing else: no port, no methods, no path, no set.
    ///
    /// # Errors
    /// A reason, for a person.
    pub fn whole_host(text: &str) -> Result<Self, String> {
        let entry = Self::parse(text)?;
        if entry.port.is_some() || entry.request.is_some() {
            return Err("write the host alone, as `api.example.com` or `*.example.com`".to_owned());
        }
        Ok(entry)
    }

    /// The host, or `*.` and the name that the hosts are beneath.
    pub fn pattern(&self) -> String {
        match &self.name {
            Name::Exact(host) => host.to_string(),
            Name::Beneath(tail) => format!("*.{tail}"),
        }
    }

    /// Whether it speaks of this host.
    pub fn names(&self, host: &Host) -> bool {
        match (&self.name, host) {
            (Name::Exact(own), host) => own == host,
            (Name::Beneath(tail), Host::Name(name)) => {
                name.strip_suffix(tail.as_str()).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }
            (Name::Beneath(_), Host::Address(_)) => false,
        }
    }

    /// The ports: its own, or those of the web.
    pub fn ports(&self) -> &[u16] {
        self.port.as_ref().map_or(&WEB, std::slice::from_ref)
    }

    /// The host, where it is one and not many.
    pub fn exact(&self) -> Option<&Host> {
        match &self.name {
            Name::Exact(host) => Some(host),
            Name::Beneath(_) => None,
        }
    }

    /// Whether it allows some requests only.
    pub fn is_for_requests(&self) -> bool {
        self.request.is_some()
    }

    /// Whether it allows this request to a host that it names. The path without its query, as it was sent.
    pub fn allows_request(&self, wanted: &str, path: &str) -> bool {
        let Some(Request { methods, path: glob }) = &self.request else { return true };
        let method = methods.is_empty() || methods.iter().any(|own| own == wanted);
        method
            && glob
                .as_ref()
                .is_none_or(|glob| is_plain(path) && glob.matches(Path::new(path.trim_start_matches('/'))))
    }

    fn covers(&self, other: &Self) -> bool {
        let name = match (&self.name, &other.name) {
            (own, other) if own == other => true,
            (_, Name::Exact(host)) => self.names(host),
            (Name::Beneath(own), Name::Beneath(other)) => {
                other.strip_suffix(own.as_str()).is_some_and(|front| front.ends_with('.'))
            }
            (Name::Exact(_), Name::Beneath(_)) => false,
        };
        // Of two that speak of requests only the same text is the same, and that was compared before.
        name && self.request.is_none() && other.ports().iter().all(|port| self.ports().contains(port))
    }
}

/// Whether what `old` grants includes all that `new` grants.
pub fn covers(old: &str, new: &str) -> bool {
    let (Ok(old), Ok(new)) = (Entry::all(old), Entry::all(new)) else { return false };
    new.iter().all(|new| old.iter().any(|old| old.covers(new)))
}

/// A path that every server reads in the same way: nothing encoded that could be a separator or a dot.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    !["%2f", "%2e", "%5c", "%00", "\\"].iter().any(|odd| lower.contains(odd))
        && !path.split('/').any(|part| part == "." || part == "..")
}

fn method(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        return Err("before the host stand methods, as `GET,HEAD host`".to_owned());
    }
    Ok(text.to_owned())
}
