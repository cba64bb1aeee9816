//! Owns which password belongs to which database: what the person's own programs would send where.
//!
//! Read from what is shown inside, in which each password is a synthetic already: no real value is looked at. A
//! synthetic counts only where its secret was found, so that nobody who knows one can write down another host for it.

use std::fs;

use shieldrun_egress::broker::{Database, Hosts, Protection};
use shieldrun_policy::network::host;
use shieldrun_policy::plan::{Cover, Mask, Plan};
use shieldrun_policy::schema::Policy;
use shieldrun_secrets::{Entry, Place, Registry, SecretId};

/// Where PostgreSQL listens if nobody says otherwise.
const PORT: u16 = 5432;
/// The kind of a password that stands in the URL of a database.
const KIND: &str = "database-password";
/// What libpq calls the file of passwords.
const PASSWORD_FILE: &[u8] = b"/.pgpass";

/// All that are known.
pub(super) fn of(plan: &Plan, registry: &Registry, policy: &Policy) -> Vec<Database> {
    let variables: Vec<_> = plan.environment.iter().filter_map(|variable| split(&variable.entry.0)).collect();
    let value =
        |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
    let mut all = Vec::new();
    for (name, text) in &variables {
        let known =
            |shown: &[u8]| found(registry, shown, |place| matches!(place, Place::Env(own) if own == name));
        urls(text, &known, &mut all);
        if *name == "PGPASSWORD" {
            settings(&value, &known, &mut all);
        }
    }
    let password_file = value("PGPASSFILE");
    let mode = value("PGSSLMODE");
    for Mask { at, cover, .. } in &plan.masks {
        let (Cover::Synthetic { content, .. } | Cover::Scratch { content, .. }) = cover else { continue };
        let Ok(text) = std::str::from_utf8(content) else { continue };
        let known = |shown: &[u8]| found(registry, shown, |place| is_file(place, &at.0));
        if at.0.ends_with(PASSWORD_FILE) || password_file.as_ref().is_some_and(|own| own.as_bytes() == at.0) {
            lines(text, mode.as_deref(), &known, &mut all);
            continue;
        }
        urls(text, &known, &mut all);
        if text.contains("PGPASSWORD") {
            settings(&|name| assigned(text, name), &known, &mut all);
        }
    }
    all.extend(bound(registry, policy, mode.as_deref()));
    all
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
    use std::os::unix::ffi::OsStrExt as _;
    let Place::File { path, .. } = place else { return false };
    path.as_bytes() == at || fs::canonicalize(path).is_ok_and(|path| path.as_os_str().as_bytes() == at)
}

type Known<'a> = &'a dyn Fn(&[u8]) -> Option<SecretId>;

/// `postgres://user:password@host:port/database?sslmode=…`, wherever such a URL stands.
fn urls(text: &str, known: Known<'_>, all: &mut Vec<Database>) {
    for (at, _) in text.match_indices("://") {
        let before = text.get(..at).unwrap_or_default();
        let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && !"+.-".contains(c)).next();
        let base = scheme.unwrap_or_default().split('+').next().unwrap_or_default();
        if !["postgres", "postgresql"].contains(&base) {
            continue;
        }
        let rest = text.get(at + 3..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || "\"'`<>".contains(c)).unwrap_or(rest.len());
        url(rest.get(..end).unwrap_or_default(), known, all);
    }
}

fn url(url: &str, known: Known<'_>, all: &mut Vec<Database>) {
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
    let Some((secret, user)) = password.and_then(|password| known(password.as_bytes())).zip(user) else {
        return;
    };
    let protection = asked(&["sslmode", "ssl"]).map(|mode| Protection::of_mode(&mode)).unwrap_or_default();
    for (name, port) in hosts.split(',').filter_map(place) {
        all.push(Database {
            secret,
            hosts: Hosts::new([name]),
            port: Some(port.unwrap_or(PORT)),
            user: Some(user.clone()),
            database: Some(decoded(database)).filter(|database| !database.is_empty()),
            protection,
        });
    }
}

/// The variables of libpq, from wherever they are set.
fn settings(value: &dyn Fn(&str) -> Option<String>, known: Known<'_>, all: &mut Vec<Database>) {
    let secret = value("PGPASSWORD").and_then(|password| known(password.as_bytes()));
    let user = value("PGUSER").or_else(login);
    let Some(((secret, hosts), user)) = secret.zip(value("PGHOST")).zip(user) else { return };
    let ports = value("PGPORT").unwrap_or_default();
    let mut ports = ports.split(',').map(str::parse::<u16>);
    let first = ports.next().and_then(Result::ok).unwrap_or(PORT);
    let mut last = first;
    for (index, name) in hosts.split(',').enumerate() {
        // One port is that of all hosts.
        if index > 0 {
            last = ports.next().and_then(Result::ok).unwrap_or(last);
        }
        let Ok(name) = host(name) else { continue };
        all.push(Database {
            secret,
            hosts: Hosts::new([name.to_string()]),
            port: Some(last),
            user: Some(user.clone()),
            database: value("PGDATABASE"),
            protection: value("PGSSLMODE").map(|mode| Protection::of_mode(&mode)).unwrap_or_default(),
        });
    }
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

/// `host:port:database:user:password`. A password of every host is one of none: whoever is asked would get it.
fn lines(text: &str, mode: Option<&str>, known: Known<'_>, all: &mut Vec<Database>) {
    for line in text.lines() {
        let fields = fields(line);
        let [name, port, database, user, password] = fields.as_slice() else { continue };
        let Some(secret) = known(password.as_bytes()) else { continue };
        let any = |field: &String| (field != "*").then(|| field.clone());
        let (Ok(name), Ok(port)) = (host(name), any(port).map(|port| port.parse()).transpose()) else {
            continue;
        };
        all.push(Database {
            secret,
            hosts: Hosts::new([name.to_string()]),
            port,
            user: any(user),
            database: any(database),
            protection: mode.map(Protection::of_mode).unwrap_or_default(),
        });
    }
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

/// What a person bound to a host, where it is the password of a database.
fn bound(registry: &Registry, policy: &Policy, mode: Option<&str>) -> Vec<Database> {
    let protection = mode.map(Protection::of_mode).unwrap_or_default();
    let is_one = |entry: &&Entry| entry.kind == KIND || entry.name == "PGPASSWORD";
    let mut all = Vec::new();
    for binding in &policy.secrets.bindings {
        for entry in registry.entries().iter().filter(is_one).filter(|entry| entry.name == binding.secret) {
            let hosts = Hosts::new([binding.host.as_str()]);
            all.push(Database {
                secret: entry.id,
                hosts,
                port: None,
                user: None,
                database: None,
                protection,
            });
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
mod tests {
    use super::*;
    use shieldrun_secrets::{RunKey, substitute_env};

    /// Some secret, known by this word.
    fn secret() -> SecretId {
        let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
        substitute_env(&mut registry, &[(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())]);
        registry.entries()[0].id
    }

    fn found_by(read: impl Fn(Known<'_>, &mut Vec<Database>)) -> Vec<String> {
        let id = secret();
        let mut all = Vec::new();
        read(&|shown| (shown == b"shown").then_some(id), &mut all);
        let told = |known: Database| {
            let any = |text: Option<String>| text.unwrap_or_else(|| "*".to_owned());
            let hosts = format!("{:?}", known.hosts);
            let port = any(known.port.map(|port| port.to_string()));
            let host = hosts.split('"').nth(1).unwrap_or_default();
            format!("{host}:{port}:{}:{} {:?}", any(known.database), any(known.user), known.protection)
        };
        all.into_iter().map(told).collect()
    }

    #[test]
    fn a_url_says_host_port_user_and_how_it_is_reached() {
        let of = |text: &str| found_by(|known, all| urls(text, known, all));
        for (text, expected) in [
            ("postgres://app:shown@db.example/shop", "db.example:5432:shop:app Preferred"),
            ("x='postgresql+psycopg://a%40b:shown@DB.example:6000'", "db.example:6000:*:a@b Preferred"),
            ("postgresql://app:shown@[2001:db8::1]:6000/?sslmode=require", "2001:db8::1:6000:*:app Required"),
            ("jdbc:postgresql://db/shop?user=app&password=shown&sslmode=disable", "db:5432:shop:app Off"),
            ("postgres://app:shown@db/?sslmode=verify-full&a=b", "db:5432:*:app Verified"),
        ] {
            assert_eq!(of(text), [expected], "{text}");
        }
        assert_eq!(of("postgres://app:shown@a:1,b/x").len(), 2);
        for other in [
            "postgres://app:another@db/shop",
            "mysql://app:shown@db/shop",
            "postgres://:shown@db/shop",
            "postgres://app:shown@db:port/shop",
            "postgres://app:shown@%2Frun%2Fpostgresql/shop",
            "://app:shown@db",
        ] {
            assert!(of(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn the_password_file_has_no_password_for_every_host() {
        let text = "# hosts\ndb.example:*:shop:a\\:b:shown\n*:5432:*:app:shown\ndb:6000:*:*:shown\ndb:1:x:y:z\nodd\n";
        let all = found_by(|known, all| lines(text, Some("require"), known, all));
        assert_eq!(all, ["db.example:*:shop:a:b Required", "db:6000:*:* Required"]);
    }

    #[test]
    fn the_variables_belong_together() {
        let text = "PGHOST=a.example,/run,b.example\nexport PGPASSWORD=\"shown\"\nPGPORT=6000\nPGUSER=app\n";
        let all = found_by(|known, all| settings(&|name| assigned(text, name), known, all));
        assert_eq!(all, ["a.example:6000:*:app Preferred", "b.example:6000:*:app Preferred"]);
        let alone = "PGPASSWORD=shown\nPGUSER=app\n";
        assert!(found_by(|known, all| settings(&|name| assigned(alone, name), known, all)).is_empty());
    }
}
