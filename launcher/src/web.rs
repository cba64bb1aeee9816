//! One request to a server outside: POST, within a time, verified against what the host trusts, through the
//! proxy that the environment names.
//!
//! Owns the client. What is sent, and what an answer means, is the callers'. An URL may be a secret: no error
//! shows one.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The client.
pub(crate) struct Web {
    agent: Agent,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// How long it asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// The beginning of what it wrote.
    pub(crate) body: Vec<u8>,
}

/// More than this of an answer is not read.
const MOST_BODY: u64 = 64 << 10;

impl Web {
    /// One for these URLs: the host's certificates are read only where one of them needs any.
    pub(crate) fn new(needs_tls: bool) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // Elsewhere is not where the person said, and a secret may be in the URL or a header.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("shieldrun/", env!("CARGO_PKG_VERSION")));
        if needs_tls {
            // What cannot be read of the host's store trusts nobody more.
            let roots = rustls_native_certs::load_native_certs().certs;
            let roots = roots.iter().map(|der| Certificate::from_der(der).to_owned());
            config = config.tls_config(
                TlsConfig::builder()
                    .root_certs(RootCerts::from(roots))
                    .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
                    .build(),
            );
        }
        Self { agent: config.build().new_agent() }
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// In words, why there is no answer. The URL is not among them.
    pub(crate) fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        within: Duration,
    ) -> Result<Answer, String> {
        let mut request = self
            .agent
            .post(url)
            .config()
            .timeout_global(Some(within))
            .build()
            .header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body).map_err(|error| said(&error))?;
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| wait_of(value, SystemTime::now()));
        let mut body = Vec::new();
        // The status is the answer; that its words were cut off changes nothing.
        let _ = response.body_mut().as_reader().take(MOST_BODY).read_to_end(&mut body);
        Ok(Answer { status: response.status().as_u16(), retry_after, body })
    }
}

/// Only words that hold nothing of the request.
fn said(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            "no answer in time".to_owned()
        }
        ureq::Error::Io(error) => match error.kind() {
            // What the TLS of the connection says arrives as this.
            std::io::ErrorKind::InvalidData => format!("no trusted connection: {error}"),
            std::io::ErrorKind::UnexpectedEof => "the connection was closed without an answer".to_owned(),
            _ => error.to_string(),
        },
        ureq::Error::HostNotFound => "its host name does not resolve".to_owned(),
        ureq::Error::ConnectionFailed => "cannot connect to it".to_owned(),
        ureq::Error::Rustls(error) => format!("no trusted connection: {error}"),
        ureq::Error::Tls(error) => format!("no trusted connection: {error}"),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "its URL or a header is not valid".to_owned(),
        ureq::Error::InvalidProxyUrl => "the proxy of the environment is not a valid URL".to_owned(),
        ureq::Error::Protocol(_) => "the connection was closed without an answer".to_owned(),
        _ => "the request failed".to_owned(),
    }
}

/// `Retry-After`: seconds, or a date.
fn wait_of(value: &str, now: SystemTime) -> Option<Duration> {
    match value.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let until = httpdate::parse_http_date(value.trim()).ok()?;
            Some(until.duration_since(now).unwrap_or(Duration::ZERO))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("3", Some(3)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(wait_of(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }
}
