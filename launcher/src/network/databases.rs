//! Owns which password belongs to which database: what the person's own programs would send where.
//!
//! Read from what is shown inside, in which each password is a synthetic already: no real value is looked at. A
//! synthetic counts only where its secret was found, so that nobody who knows one can write down another host for it.

mod services;
mod vouching;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use shieldrun_egress::broker::{Database, Hosts};
use shieldrun_policy::network::host;
use shieldrun_policy::plan::{Cover, Mask, Plan};
use shieldrun_policy::schema::Policy;
use shieldrun_secrets::{Entry, Place, Registry, SecretId};

use services::Service;
use vouching::{Vouched, Vouching};

/// Where PostgreSQL listens if nobody says otherwise.
const PORT: u16 = 5432;
/// The kind of a password that stands in the URL of a database.
const KIND: &str = "database-password";
/// What libpq calls the file of passwords.
const PASSWORD_FILE: &[u8] = b"/.pgpass";

/// All that are known, and the files that say who vouches for some server.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) databases: Vec<Database>,
    pub(super) authorities: Vec<PathBuf>,
}

/// How a server is reached whose password stands elsewhere.
struct Way {
    name: String,
    port: u16,
    vouched: Vouched,
}

/// What was read so far.
struct Read<'a> {
    databases: Vec<Database>,
    ways: Vec<Way>,
    vouching: &'a Vouching<'a>,
}

/// All that are known.
pub(super) fn of(plan: &Plan, registry: &Registry, policy: &Policy, home: Option<&Path>) -> Known {
    let variables: Vec<_> = plan.environment.iter().filter_map(|variable| split(&variable.entry.0)).collect();
    let value =
        |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
    let vouching = Vouching::new(&value, home);
    let mut read = Read { databases: Vec::new(), ways: Vec::new(), vouching: &vouching };
    for (name, text) in &variables {
        let known =
            |shown: &[u8]| found(registry, shown, |place| matches!(place, Place::Env(own) if own == name));
        read.urls(text, &known);
        if *name == "PGPASSWORD" {
            read.settings(&value, &known);
        }
    }
    for (path, text) in services::files(plan, &value, home) {
        let known =
            |shown: &[u8]| found(registry, shown, |place| is_file(place, path.as_os_str().as_bytes()));
        services::of(&text).iter().for_each(|service| read.service(service, &known));
    }
    let password_file = value("PGPASSFILE");
    for Mask { at, cover, .. } in &plan.masks {
        let (Cover::Synthetic { content, .. } | Cover::Scratch { content, .. }) = cover else { continue };
        let Ok(text) = std::str::from_utf8(content) else { continue };
        let known = |shown: &[u8]| found(registry, shown, |place| is_file(place, &at.0));
        if at.0.ends_with(PASSWORD_FILE) || password_file.as_ref().is_some_and(|own| own.as_bytes() == at.0) {
            read.lines(text, &known);
            continue;
        }
        read.urls(text, &known);
        if text.contains("PGPASSWORD") {
            read.settings(&|name| assigned(text, name), &known);
        }
    }
    read.bound(registry, policy);
    let databases = read.databases;
    // Where the client looks for authorities, also if nobody's password is known.
    vouching.of(None, None);
    Known { databases, authorities: vouching.files() }
}

fn split(entry: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(entry).ok()?.split_once('=')
}

/// The secret that is shown as this text, where it was found at such a place.
fn found(registry: &Registry, shown: &[u8], is_there: impl Fn(&Place) -> bool) -> Option<SecretId> {
    let entry = registry.entry(registry.shown_as(shown)?)?;
    entry.places.iter().any(is_there).then_some(entry.id)
}

/// Whether a place is in the file at this path, by whatever name it was looked at.
fn is_file(place: &Place, at: &[u8]) -> bool {
    let Place::File { path, .. } = place else { return false };
    let real = |path: &Path| fs::canonicalize(path).ok().filter(|path| path.is_file());
    path.as_bytes() == at
        || real(Path::new(path)).is_some_and(|path| {
            path.as_os_str().as_bytes() == at || real(Path::new(OsStr::from_bytes(at))) == Some(path)
        })
}

/// The secret that is shown as a text.
type Look<'a> = &'a dyn Fn(&[u8]) -> Option<SecretId>;

impl Read<'_> {
    /// `postgres://user:password@host:port/database?sslmode=…`, wherever such a URL stands.
    fn urls(&mut self, text: &str, known: Look<'_>) {
        for (at, _) in text.match_indices("://") {
            let before = text.get(..at).unwrap_or_default();
            let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && !"+.-".contains(c)).next();
            let base = scheme.unwrap_or_default().split('+').next().unwrap_or_default();
            if !["postgres", "postgresql"].contains(&base) {
                continue;
            }
            let rest = text.get(at + 3..).unwrap_or_default();
            let end = rest.find(|c: char| c.is_whitespace() || "\"'`<>".contains(c)).unwrap_or(rest.len());
            self.url(rest.get(..end).unwrap_or_default(), known);
        }
    }

    fn url(&mut self, url: &str, known: Look<'_>) {
        let (rest, query) = url.split_once('?').unwrap_or((url, ""));
        let asked = |names: &[&str]| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(name, _)| names.contains(name)).map(|(_, value)| decoded(value)).next()
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let password = if password.is_empty() { asked(&["password"]) } else { Some(decoded(password)) };
        let user = if user.is_empty() { asked(&["user"]) } else { Some(decoded(user)) };
        let secret = password.as_ref().and_then(|password| known(password.as_bytes()));
        let vouched =
            self.vouching.of(asked(&["sslmode", "ssl"]).as_deref(), asked(&["sslrootcert"]).as_deref());
        for (name, port) in hosts.split(',').filter_map(place) {
            let port = port.unwrap_or(PORT);
            let Some((secret, user)) = secret.zip(user.clone()) else {
                if password.is_none() {
                    self.ways.push(Way { name, port, vouched: vouched.clone() });
                }
                continue;
            };
            let (protection, authorities) = vouched.clone();
            self.databases.push(Database {
                secret,
                hosts: Hosts::new([name]),
                port: Some(port),
                user: Some(user),
                database: Some(decoded(database)).filter(|database| !database.is_empty()),
                protection,
                authorities,
            });
        }
    }

    /// The variables of libpq, from wherever they are set.
    fn settings(&mut self, value: &dyn Fn(&str) -> Option<String>, known: Look<'_>) {
        let secret = value("PGPASSWORD").and_then(|password| known(password.as_bytes()));
        let user = value("PGUSER").or_else(login);
        let Some(((secret, hosts), user)) = secret.zip(value("PGHOST")).zip(user) else { return };
        let (mode, root) = (value("PGSSLMODE"), value("PGSSLROOTCERT"));
        let vouched = self.vouching.of(mode.as_deref(), root.as_deref());
        for (name, port) in places(&hosts, value("PGPORT").as_deref()) {
            let (protection, authorities) = vouched.clone();
            self.databases.push(Database {
                secret,
                hosts: Hosts::new([name]),
                port: Some(port),
                user: Some(user.clone()),
                database: value("PGDATABASE"),
                protection,
                authorities,
            });
        }
    }

    /// A service that names a host.
    fn service(&mut self, service: &Service, known: Look<'_>) {
        let value = |name: &str| service.get(name).map(String::as_str);
        let vouched = self.vouching.of(value("sslmode"), value("sslrootcert"));
        let secret = value("password").and_then(|password| known(password.as_bytes()));
        let user = value("user").map(str::to_owned).or_else(login);
        for (name, port) in places(value("host").unwrap_or_default(), value("port")) {
            let Some((secret, user)) = secret.zip(user.clone()) else {
                if value("password").is_none() {
                    self.ways.push(Way { name, port, vouched: vouched.clone() });
                }
                continue;
            };
            let (protection, authorities) = vouched.clone();
            self.databases.push(Database {
                secret,
                hosts: Hosts::new([name]),
                port: Some(port),
                user: Some(user),
                database: value("dbname").map(str::to_owned),
                protection,
                authorities,
            });
        }
    }

    /// `host:port:database:user:password`. A password of every host is one of none: whoever is asked would get it.
    fn lines(&mut self, text: &str, known: Look<'_>) {
        for line in text.lines() {
            let fields = fields(line);
            let [name, port, database, user, password] = fields.as_slice() else { continue };
            let Some(secret) = known(password.as_bytes()) else { continue };
            let any = |field: &String| (field != "*").then(|| field.clone());
            let (Ok(name), Ok(port)) = (host(name), any(port).map(|port| port.parse()).transpose()) else {
                continue;
            };
            let name = name.to_string();
            // How it is reached, whoever names the host without a password says.
            let mut ways = self.ways.iter();
            let way = ways.find(|way| way.name == name && port.is_none_or(|port| port == way.port));
            let vouched = way.map_or_else(|| self.vouching.of(None, None), |way| way.vouched.clone());
            let (protection, authorities) = vouched;
            self.databases.push(Database {
                secret,
                hosts: Hosts::new([name]),
                port,
                user: any(user),
                database: any(database),
                protection,
                authorities,
            });
        }
    }

    /// What a person bound to a host, where it is the password of a database.
    fn bound(&mut self, registry: &Registry, policy: &Policy) {
        let is_one = |entry: &&Entry| entry.kind == KIND || entry.name == "PGPASSWORD";
        for binding in &policy.secrets.bindings {
            for entry in registry.entries().iter().filter(is_one).filter(|entry| entry.name == binding.secret)
            {
                let (protection, authorities) = self.vouching.of(None, None);
                self.databases.push(Database {
                    secret: entry.id,
                    hosts: Hosts::new([binding.host.as_str()]),
                    port: None,
                    user: None,
                    database: None,
                    protection,
                    authorities,
                });
            }
        }
    }
}

/// Each host of a list with its port. One port is that of all hosts.
fn places(hosts: &str, ports: Option<&str>) -> Vec<(String, u16)> {
    let mut ports = ports.unwrap_or_default().split(',').map(str::parse::<u16>);
    let mut last = ports.next().and_then(Result::ok).unwrap_or(PORT);
    let mut all = Vec::new();
    for (index, name) in hosts.split(',').enumerate() {
        if index > 0 {
            last = ports.next().and_then(Result::ok).unwrap_or(last);
        }
        all.extend(host(name).map(|name| (name.to_string(), last)));
    }
    all
}

/// Who logs in where nobody is named.
fn login() -> Option<String> {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty())
}

/// `NAME=value` on a line of its own, as in a `.env`.
fn assigned(text: &str, name: &str) -> Option<String> {
    let of_line = |line: &str| {
        let line = line.trim();
        let (own, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        (own.trim() == name).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    text.lines().find_map(of_line)
}

fn fields(line: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let own = match character {
            ':' if all.len() < 5 => {
                all.push(String::new());
                continue;
            }
            '\\' => characters.next(),
            other => Some(other),
        };
        if let Some(last) = all.last_mut() {
            last.extend(own);
        }
    }
    all
}

/// `host`, `host:port`, `[v6]:port`.
fn place(text: &str) -> Option<(String, Option<u16>)> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    Some((host(name).ok()?.to_string(), port))
}

/// `%40` and the like.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests;
