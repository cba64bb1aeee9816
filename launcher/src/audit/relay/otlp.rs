//! `otlp:URL`: batches of log records to an OpenTelemetry collector, over HTTP as JSON.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::otel::log_record;
use super::{Carried, Carrier, Trouble};
use crate::web::Web;

/// The collector.
pub(super) struct Otlp {
    url: String,
    host: String,
    web: Option<Web>,
}

/// Records in one request: collectors have limits, and a refused request refuses all in it.
const MOST: usize = 256;

impl Otlp {
    pub(super) fn new(base: &str) -> Self {
        let url = if base.ends_with("/v1/logs") { base.to_owned() } else { format!("{base}/v1/logs") };
        Self { url, host: rustix::system::uname().nodename().to_string_lossy().into_owned(), web: None }
    }

    fn body(&self, records: Vec<Json>) -> Vec<u8> {
        let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let body = json!({"resourceLogs": [{
            "resource": {"attributes": [
                attribute("service.name", "shieldrun"),
                attribute("service.version", env!("CARGO_PKG_VERSION")),
                attribute("host.name", &self.host),
            ]},
            "scopeLogs": [{
                "scope": {"name": "shieldrun", "version": env!("CARGO_PKG_VERSION")},
                "logRecords": records,
            }],
        }]});
        body.to_string().into_bytes()
    }
}

impl Carrier for Otlp {
    fn carry(&mut self, lines: &[u8], within: Duration) -> Result<Carried, Trouble> {
        let mut bytes = 0;
        let mut records = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n').take(MOST) {
            bytes += line.len();
            // A line of our own that is no JSON does not exist; it would be refused for its form.
            records.extend(serde_json::from_slice::<Json>(line).ok().map(|event| log_record(&event)));
        }
        let count = records.len() as u64;
        let body = self.body(records);
        let is_https = self.url.starts_with("https:");
        let web = self.web.get_or_insert_with(|| Web::new(is_https));
        let answer = web.post(&self.url, &[], &body, within).map_err(|why| Trouble {
            why,
            pause: None,
            is_absent: true,
        })?;
        match answer.status {
            200..=299 => {
                let said: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
                let refused = said.pointer("/partialSuccess/rejectedLogRecords").and_then(number);
                Ok(Carried { bytes, refused: refused.unwrap_or(0).min(count) })
            }
            408 | 429 | 500..=599 => Err(Trouble {
                why: format!("it answered {}", answer.status),
                pause: answer.retry_after,
                is_absent: false,
            }),
            // It will say the same to the same.
            _ => Ok(Carried { bytes, refused: count }),
        }
    }
}

/// 64-bit numbers are strings in the JSON form of Protocol Buffers.
fn number(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
