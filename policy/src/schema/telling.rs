//! Who is told of a run: the typed form of `notify` and of the sinks of `trace`.
//!
//! A secret is never in a policy, only the place where it is: policies are part of the record.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::words::Notice;

/// Who is told that a run waits, was refused, or was stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// When.
    pub on: Vec<Notice>,
    /// How long all notices together may take.
    pub deadline: Duration,
    /// Where the URL of a Slack webhook is.
    pub slack: Option<Reference>,
    /// An issue in Linear.
    pub linear: Option<Linear>,
    /// Any other server.
    pub webhook: Option<Webhook>,
    /// A program and its arguments; empty for none.
    pub command: Vec<String>,
}

/// An issue in Linear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// Where the API key is.
    pub api_key: Reference,
    /// The team's id.
    pub team: String,
    /// The endpoint, where it is not Linear's own.
    pub url: Option<Address>,
}

/// A server that takes JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its URL.
    pub url: Address,
    /// Where the value of the `Authorization` header is.
    pub authorization: Option<Reference>,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `env:NAME`: a variable of the launcher's environment.
    Variable(String),
    /// `file:PATH`: absolute, or under `~/`.
    File(String),
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A URL that is no secret.
    Plain(String),
    /// One that is.
    Secret(Reference),
}

/// Who gets the events beside the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkName {
    /// A unix socket that takes lines of JSON.
    Unix(PathBuf),
    /// A syslog daemon that reads RFC 5424.
    Syslog(PathBuf),
    /// The journal, by its own protocol.
    Journald(PathBuf),
    /// An OpenTelemetry collector: the base of its URL.
    Otlp(String),
}

impl Notify {
    /// Whether anybody is to be told of this.
    pub fn wants(&self, notice: Notice) -> bool {
        let somebody = self.slack.is_some()
            || self.linear.is_some()
            || self.webhook.is_some()
            || !self.command.is_empty();
        somebody && self.on.contains(&notice)
    }

    /// Every place with a secret. What is in it is as secret inside as anything.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let webhook = self.webhook.as_ref();
        self.slack
            .iter()
            .chain(self.linear.iter().map(|linear| &linear.api_key))
            .chain(self.linear.iter().filter_map(|linear| linear.url.as_ref()?.secret()))
            .chain(webhook.and_then(|webhook| webhook.url.secret()))
            .chain(webhook.and_then(|webhook| webhook.authorization.as_ref()))
    }
}

impl Reference {
    /// Reads `env:NAME` or `file:PATH`.
    ///
    /// # Errors
    /// What is wrong with it, without showing it: it may be the secret itself.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("env:") {
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            return match starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                true => Ok(Reference::Variable(name.to_owned())),
                false => Err("after `env:` stands the name of a variable".to_owned()),
            };
        }
        if let Some(path) = text.strip_prefix("file:") {
            let fits = (path.starts_with('/') || path.starts_with("~/"))
                && !path.contains('\0')
                && !path.split('/').any(|part| part == "..");
            return match fits {
                true => Ok(Reference::File(path.to_owned())),
                false => {
                    Err("after `file:` stands an absolute path, or one under `~/`, without `..`".to_owned())
                }
            };
        }
        Err("a secret is not written in a policy; say where it is: `env:NAME` or `file:PATH`".to_owned())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Variable(name) => write!(f, "env:{name}"),
            Reference::File(path) => write!(f, "file:{path}"),
        }
    }
}

impl Address {
    /// Reads a reference or a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Reference::parse(text).map(Address::Secret).map_err(|_| {
                "it is `https://…`, or where the URL is, if it is a secret: `env:NAME` or `file:PATH`"
                    .to_owned()
            });
        }
        url(text)?;
        Ok(Address::Plain(text.to_owned()))
    }

    fn secret(&self) -> Option<&Reference> {
        match self {
            Address::Plain(_) => None,
            Address::Secret(reference) => Some(reference),
        }
    }
}

impl SinkName {
    /// Reads one entry of `trace.sinks`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        let path = |or: Option<&str>| match rest.or(or) {
            Some(path) if path.starts_with('/') && !path.contains('\0') => Ok(Path::new(path).to_owned()),
            _ => Err(format!("after `{name}:` stands the absolute path of a socket")),
        };
        match name {
            "unix" => path(None).map(SinkName::Unix),
            "syslog" => path(Some("/dev/log")).map(SinkName::Syslog),
            "journald" => path(Some("/run/systemd/journal/socket")).map(SinkName::Journald),
            "otlp" => {
                let base = rest.unwrap_or_default();
                url(base)?;
                Ok(SinkName::Otlp(base.trim_end_matches('/').to_owned()))
            }
            _ => Err("it is `unix:PATH`, `syslog`, `journald` or `otlp:URL`".to_owned()),
        }
    }
}

impl fmt::Display for SinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkName::Unix(path) => write!(f, "unix:{}", path.display()),
            SinkName::Syslog(path) => write!(f, "syslog:{}", path.display()),
            SinkName::Journald(path) => write!(f, "journald:{}", path.display()),
            SinkName::Otlp(base) => write!(f, "otlp:{base}"),
        }
    }
}

/// A URL in a policy is on record: nothing in it may be a credential by its place.
fn url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| "a URL begins with `https://` or `http://`".to_owned())?;
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("this is no URL".to_owned());
    }
    if text.contains(['@', '?', '#']) {
        return Err("a URL with a user or a query may be a secret; say where it is: `env:NAME` or \
                    `file:PATH`"
            .to_owned());
    }
    if host == "hooks.slack.com" {
        return Err("a Slack webhook is a secret; say where its URL is: `env:NAME` or `file:PATH`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_its_place_only() {
        for good in ["env:HOOK", "env:_A1", "file:/etc/hook", "file:~/.config/hook"] {
            assert_eq!(Reference::parse(good).map(|found| found.to_string()), Ok(good.to_owned()));
        }
        for bad in ["env:", "env:1A", "env:A*", "file:hook", "file:~x/hook", "file:/a/../b", "s3cret", ""] {
            let said = Reference::parse(bad).expect_err(bad);
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn a_url_holds_no_credential() {
        for good in ["https://h.example/x", "http://127.0.0.1:8080", "https://h.example:8443/a/b"] {
            assert!(matches!(Address::parse(good), Ok(Address::Plain(_))), "{good}");
        }
        assert!(matches!(Address::parse("env:HOOK"), Ok(Address::Secret(_))));
        for bad in [
            "https://u:p@h.example/",
            "https://h.example/?k=v",
            "https://h.example/#f",
            "https://hooks.slack.com/services/T/B/x",
            "https:///x",
            "ftp://h",
            "h.example",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sinks_have_their_usual_places() {
        for (text, whole) in [
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("syslog", "syslog:/dev/log"),
            ("syslog:/tmp/log", "syslog:/tmp/log"),
            ("journald", "journald:/run/systemd/journal/socket"),
            ("otlp:http://127.0.0.1:4318/", "otlp:http://127.0.0.1:4318"),
        ] {
            assert_eq!(SinkName::parse(text).map(|sink| sink.to_string()), Ok(whole.to_owned()));
        }
        for bad in ["unix", "unix:a", "syslog:", "otlp", "otlp:127.0.0.1:4318", "kafka:x", ""] {
            assert!(SinkName::parse(bad).is_err(), "{bad}");
        }
    }
}
