//! The answer of a token endpoint: each credential in it becomes a synthetic before the guest sees it.
//!
//! Owns which endpoints hand out credentials and which fields hold them. What is handed out is learned, so that
//! it is swapped back where it is used, and looked for everywhere else.

use bytes::Bytes;
use hyper::header;
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method};
use serde_json::Value;
use shieldrun_secrets::SecretId;
use zeroize::Zeroizing;

use super::head::Bounds;
use super::settings::Hosts;
use super::stop::Stop;

/// The fields that hold credentials.
const FIELDS: &[&str] = &["access_token", "refresh_token", "id_token"];
/// How the paths of token endpoints end.
const ENDINGS: &[&str] = &["token", "access_token", "tokens", "refresh"];

/// Whether an answer is to be looked at: where its tokens will be valid.
pub(super) fn handed_out_at(
    bounds: &Bounds,
    method: &Method,
    path: &str,
    asked_with: &[SecretId],
) -> Option<Hosts> {
    if method != Method::POST {
        return None;
    }
    let settings = &bounds.rules.settings;
    let host = &bounds.to.host;
    let mut valid = Hosts::new([host.to_string()]);
    let mut endpoints = settings.token_endpoints.iter();
    let path = path.split('?').next().unwrap_or(path);
    if let Some(known) = endpoints.find(|known| known.hosts.contains(host) && path.starts_with(&known.path)) {
        valid.extend(&known.valid_at);
    } else if !path.rsplit('/').next().is_some_and(|last| ENDINGS.contains(&last))
        || !bounds.rules.swaps.is_bound(host, &settings.bindings)
    {
        return None;
    }
    valid.extend(&bounds.rules.swaps.hosts_of(asked_with, &settings.bindings));
    Some(valid)
}

/// Whether it is an answer that may hold tokens.
pub(super) fn is_json(parts: &Parts) -> bool {
    parts.status.is_success() && says_json(&parts.headers)
}

fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// The answer as the guest gets it.
pub(super) fn replaced(
    body: &[u8],
    bounds: &Bounds,
    valid_at: &Hosts,
    asked_with: &[SecretId],
) -> Result<Bytes, Stop> {
    let unread =
        || Stop::Upstream("the answer of a token endpoint is not the JSON that it says it is".into());
    let mut parsed: Value = serde_json::from_slice(body).map_err(|_| unread())?;
    let mut found = Vec::new();
    collect(&parsed, 0, &mut found);
    let mut pairs = Vec::new();
    for (name, real) in found {
        let shown = bounds.rules.swaps.learn(name, &bounds.to.host, real.as_bytes(), valid_at, asked_with);
        // What is no secret by any rule may be shown, and what cannot be told from one may not.
        let shown = shown.ok_or_else(unread)?;
        let shown = String::from_utf8(shown).map_err(|_| unread())?;
        pairs.push((Zeroizing::new(real.to_owned()), shown));
    }
    let mut text = Zeroizing::new(body.to_vec());
    for (real, shown) in &pairs {
        let (old, new) =
            (Zeroizing::new(Value::from(real.as_str()).to_string()), Value::from(shown.as_str()));
        let Some(replaced) = replace_all(&text, old.as_bytes(), new.to_string().as_bytes()) else {
            // It is written with escapes that it does not need; then the answer is written anew.
            rewrite(&mut parsed, &pairs);
            return serde_json::to_vec(&parsed).map(Bytes::from).map_err(|_| unread());
        };
        text = replaced;
    }
    Ok(Bytes::from_owner(text))
}

fn rewrite(value: &mut Value, pairs: &[(Zeroizing<String>, String)]) {
    match value {
        Value::String(text) => {
            if let Some((_, shown)) = pairs.iter().find(|(real, _)| **real == *text) {
                text.clone_from(shown);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rewrite(value, pairs)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rewrite(value, pairs)),
        _ => {}
    }
}

fn collect<'a>(value: &'a Value, depth: usize, found: &mut Vec<(&'static str, &'a str)>) {
    if depth > 4 {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (FIELDS.iter().find(|known| *known == name), value) {
                    (Some(name), Value::String(real)) if !real.is_empty() => found.push((name, real)),
                    (_, value) => collect(value, depth + 1, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, depth + 1, found)),
        _ => {}
    }
}

/// `None` where it is not there.
fn replace_all(text: &[u8], old: &[u8], new: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 2 + new.len()));
    let mut done = 0;
    let mut at = 0;
    while let Some(window) = text.get(at..at + old.len()) {
        if window != old {
            at += 1;
            continue;
        }
        out.extend_from_slice(&text[done..at]);
        out.extend_from_slice(new);
        at += old.len();
        done = at;
    }
    out.extend_from_slice(&text[done..]);
    (done > 0).then_some(out)
}
