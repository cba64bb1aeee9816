//! AWS's signatures, version 4: a request that was signed with a synthetic key is signed anew with the real one.
//!
//! Owns the canonical form of a request and the key derivation, after AWS's description of them. The guest
//! gets nothing signed that it could not have sent: the key stays outside, the host is one the key is bound to,
//! and what is signed is what is sent.

mod canonical;
mod chunks;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac as _};
use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use sha2::{Digest as _, Sha256};
use shieldrun_secrets::SecretId;
use zeroize::Zeroizing;

use super::field::Around;
use super::head::{Bounds, Found};
use super::stop::Stop;
use crate::ledger::Part;

pub(super) use chunks::Chunks;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const CONTENT_HASH: &str = "x-amz-content-sha256";
/// The hash header's value where each chunk is signed.
const STREAMING: &[u8] = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const STREAMING_TRAILER: &[u8] = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";

/// A signature that is to be made anew.
pub(super) struct Signature {
    secret: SecretId,
    form: Form,
    /// `20150830T123600Z`.
    time: String,
    /// `20150830/us-east-1/iam/aws4_request`.
    scope: String,
    signed: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Header,
    Query,
}

/// What the body has to do with the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// The head says its hash, or that it has none.
    Told,
    /// Its hash is signed, and said nowhere: the body has to be seen before the head is sent.
    Unsaid,
    /// Each chunk has a signature of its own.
    Chunked,
}

/// The key of one day, region and service; and where a chain of signatures stands.
pub(super) struct Seed {
    key: Zeroizing<[u8; 32]>,
    time: String,
    scope: String,
    last: String,
}

impl Signature {
    /// The signature of a request, if it was made with a synthetic key that may be used here.
    ///
    /// In the query form the key's name stands inside a longer value, where nothing else is swapped; so it is
    /// swapped here.
    pub(super) fn find(parts: &mut Parts, bounds: &Bounds, found: &Found) -> Result<Option<Self>, Stop> {
        let stated = match (in_header(&parts.headers), in_query(parts.uri.query())) {
            (Some(stated), None) => (Form::Header, stated),
            (None, Some(stated)) => (Form::Query, stated),
            (None, None) => return Ok(None),
            _ => return Err(Stop::malformed("the request is signed twice")),
        };
        let (form, Stated { credential, signed, time }) = stated;
        let (key_id, scope) =
            credential
                .split_once('/')
                .filter(|(_, scope)| scope.split('/').count() == 4)
                .ok_or_else(|| Stop::malformed("the signature's credential is not understood"))?;
        let Some(id) = bounds.rules.swaps.shown_as(key_id.as_bytes()) else { return Ok(None) };
        let Some(secret) = bounds.rules.swaps.partner(id, "aws-secret-access-key") else { return Ok(None) };
        // The pair belongs where its key's name does: that alone tells whose it is.
        if !bounds.allows(id, Part::Signature, Around::Credential) {
            bounds.unswapped(id, Part::Signature, found)?;
            return Ok(None);
        }
        let time = match time.or_else(|| text(&parts.headers, "x-amz-date")) {
            Some(time) if time.len() == 16 && time.is_ascii() => time,
            _ => return Err(Stop::malformed("the signature has no time")),
        };
        if form == Form::Query {
            reveal_query(parts, bounds, found)?;
        }
        let signed = signed.split(';').map(str::to_ascii_lowercase).collect();
        Ok(Some(Self { secret, form, time, scope: scope.to_owned(), signed }))
    }

    pub(super) fn payload(&self, headers: &HeaderMap) -> Payload {
        match headers.get(CONTENT_HASH).map(HeaderValue::as_bytes) {
            Some(value) if value == STREAMING || value == STREAMING_TRAILER => Payload::Chunked,
            Some(_) => Payload::Told,
            // A presigned request's body is not signed, except by services that none presigns a body for.
            None if self.form == Form::Query && self.service() == "s3" => Payload::Told,
            None => Payload::Unsaid,
        }
    }

    fn service(&self) -> &str {
        self.scope.split('/').nth(2).unwrap_or_default()
    }

    /// Signs the head as it is; `body` is the hash of what goes with it, where the head does not say.
    pub(super) fn sign(
        &self,
        parts: &mut Parts,
        host: &str,
        body: &[u8],
        bounds: &Bounds,
        found: &Found,
    ) -> Result<Seed, Stop> {
        let payload = match parts.headers.get(CONTENT_HASH).map(HeaderValue::to_str) {
            Some(Ok(told)) => told.to_owned(),
            Some(Err(_)) => return Err(Stop::malformed("the hash of the body is no text")),
            None if self.payload(&parts.headers) == Payload::Told => "UNSIGNED-PAYLOAD".to_owned(),
            None => hash(body),
        };
        let request = canonical::request(parts, host, &self.signed, &payload, self.service())?;
        let to_sign = format!("{ALGORITHM}\n{}\n{}\n{}", self.time, self.scope, hash(&request));
        let key = derive(&bounds.rules.swaps.real(self.secret), &self.scope);
        let signature = HEXLOWER.encode(&*hmac(&*key, to_sign.as_bytes()));
        self.write(parts, &signature)?;
        found.swap(self.secret, Part::Signature);
        Ok(Seed { key, time: self.time.clone(), scope: self.scope.clone(), last: signature })
    }

    fn write(&self, parts: &mut Parts, signature: &str) -> Result<(), Stop> {
        let wrong = || Stop::malformed("the signature is not understood");
        let replaced = |text: &str, name: &str| {
            let start = text.find(name).map(|at| at + name.len()).ok_or_else(wrong)?;
            let length = text[start..].bytes().take_while(u8::is_ascii_hexdigit).count();
            Ok::<_, Stop>(format!("{}{signature}{}", &text[..start], &text[start + length..]))
        };
        match self.form {
            Form::Header => {
                let value = parts.headers.get_mut(header::AUTHORIZATION).ok_or_else(wrong)?;
                let text = replaced(value.to_str().map_err(|_| wrong())?, "Signature=")?;
                *value = HeaderValue::try_from(text).map_err(|_| wrong())?;
                value.set_sensitive(true);
            }
            Form::Query => {
                let whole = parts.uri.path_and_query().ok_or_else(wrong)?.as_str();
                let text = replaced(whole, "X-Amz-Signature=")?;
                parts.uri = text.parse::<PathAndQuery>().map_err(|_| wrong())?.into();
            }
        }
        Ok(())
    }
}

impl Seed {
    /// The next signature of the chain, over what this chunk's rule says.
    fn next(&mut self, rule: &str, hashes: &[String]) -> &str {
        let to_sign = format!("{rule}\n{}\n{}\n{}\n{}", self.time, self.scope, self.last, hashes.join("\n"));
        self.last = HEXLOWER.encode(&*hmac(&*self.key, to_sign.as_bytes()));
        &self.last
    }
}

/// What a request says of its signature.
struct Stated {
    credential: String,
    signed: String,
    time: Option<String>,
}

fn in_header(headers: &HeaderMap) -> Option<Stated> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let rest = value.strip_prefix(ALGORITHM)?;
    let field = |name: &str| {
        let mut fields = rest.split(',').map(str::trim);
        fields.find_map(|field| field.strip_prefix(name)).map(str::to_owned)
    };
    Some(Stated { credential: field("Credential=")?, signed: field("SignedHeaders=")?, time: None })
}

fn in_query(query: Option<&str>) -> Option<Stated> {
    let field = |name: &str| {
        let mut fields = query?.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(own, _)| *own == name).and_then(|(_, value)| canonical::decode(value))
    };
    if field("X-Amz-Algorithm")? != ALGORITHM {
        return None;
    }
    Some(Stated {
        credential: field("X-Amz-Credential")?,
        signed: field("X-Amz-SignedHeaders")?,
        time: field("X-Amz-Date"),
    })
}

/// The key's name and the session's token in a presigned query.
fn reveal_query(parts: &mut Parts, bounds: &Bounds, found: &Found) -> Result<(), Stop> {
    let query = parts.uri.query().unwrap_or_default();
    let mut whole = Zeroizing::new(Vec::with_capacity(query.len() * 4 + parts.uri.path().len() + 4096));
    whole.extend_from_slice(parts.uri.path().as_bytes());
    let mut mark = b'?';
    for field in query.split('&') {
        whole.push(mark);
        mark = b'&';
        let split = field.split_once('=').and_then(|(name, value)| Some((name, canonical::decode(value)?)));
        let value = match &split {
            Some(("X-Amz-Credential", value)) => value.split_once('/'),
            Some(("X-Amz-Security-Token", value)) => Some((value.as_str(), "")),
            _ => None,
        };
        let known = value.and_then(|(value, rest)| {
            let id = bounds.rules.swaps.shown_as(value.as_bytes())?;
            bounds.allows(id, Part::Signature, Around::Credential).then_some((id, rest))
        });
        let (Some((id, rest)), Some((name, _))) = (known, &split) else {
            whole.extend_from_slice(field.as_bytes());
            continue;
        };
        found.swap(id, Part::Query);
        whole.extend_from_slice(name.as_bytes());
        whole.push(b'=');
        let real = bounds.rules.swaps.real(id);
        canonical::encode(&real, canonical::Slash::Encoded, &mut whole);
        if !rest.is_empty() {
            canonical::encode(b"/", canonical::Slash::Encoded, &mut whole);
            canonical::encode(rest.as_bytes(), canonical::Slash::Encoded, &mut whole);
        }
    }
    let path = PathAndQuery::from_maybe_shared(Bytes::from_owner(whole));
    parts.uri = path.map_err(|_| Stop::malformed("the presigned query is not understood"))?.into();
    Ok(())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn hmac(key: &[u8], bytes: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(bytes);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// The signing key of a scope.
fn derive(secret: &[u8], scope: &str) -> Zeroizing<[u8; 32]> {
    let mut first = Zeroizing::new(Vec::with_capacity(secret.len() + 4));
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret);
    let mut parts = scope.split('/');
    let day = hmac(&first, parts.next().unwrap_or_default().as_bytes());
    parts.fold(day, |key, part| hmac(&*key, part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's own example key, in two pieces so that no scanner takes it for a real one.
    fn example(joint: &str) -> Vec<u8> {
        format!("wJalrXUtnFEMI/K7MDENG{joint}bPxRfiCYEXAMPLEKEY").into_bytes()
    }

    fn signed(secret: &[u8], time: &str, scope: &str, request: &[u8]) -> String {
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(request));
        HEXLOWER.encode(&*hmac(&*derive(secret, scope), to_sign.as_bytes()))
    }

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn the_published_examples_come_out() {
        let empty = hash(b"");
        let iam = "20150830/us-east-1/iam/aws4_request";
        let key = derive(&example("+"), iam);
        assert_eq!(
            HEXLOWER.encode(&*key),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let list = parts(
            "GET",
            "/?Action=ListUsers&Version=2010-05-08",
            &[("content-type", form), ("x-amz-date", "20150830T123600Z")],
        );
        let names = ["content-type", "host", "x-amz-date"].map(String::from);
        let request =
            canonical::request(&list, "iam.amazonaws.com", &names, &empty, "iam").expect("canonical");
        assert_eq!(
            signed(&example("+"), "20150830T123600Z", iam, &request),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        let object = parts(
            "GET",
            "/test.txt",
            &[("range", "bytes=0-9"), (CONTENT_HASH, &empty), ("x-amz-date", "20130524T000000Z")],
        );
        let names = ["host", "range", CONTENT_HASH, "x-amz-date"].map(String::from);
        let host = "examplebucket.s3.amazonaws.com";
        let s3 = "20130524/us-east-1/s3/aws4_request";
        let request = canonical::request(&object, host, &names, &empty, "s3").expect("canonical");
        assert_eq!(
            signed(&example("/"), "20130524T000000Z", s3, &request),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }

    #[test]
    fn the_published_presigned_request_comes_out() {
        // Its own signature is in the query as it is sent, and no part of what is signed.
        let query = format!(
            "X-Amz-Algorithm={ALGORITHM}\
             &X-Amz-Credential=AKIA{}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=00",
            "IOSFODNN7EXAMPLE"
        );
        let object = parts("GET", &format!("/test.txt?{query}"), &[]);
        let stated = in_query(object.uri.query()).expect("a signature");
        assert_eq!((stated.signed.as_str(), stated.time.as_deref()), ("host", Some("20130524T000000Z")));
        let (_, scope) = stated.credential.split_once('/').expect("a scope");
        let host = "examplebucket.s3.amazonaws.com";
        let signature = |payload: &str| {
            let request = canonical::request(&object, host, &["host".to_owned()], payload, "s3");
            signed(&example("/"), "20130524T000000Z", scope, &request.expect("canonical"))
        };
        let published = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(signature("UNSIGNED-PAYLOAD"), published);
        assert_ne!(signature(&hash(b"")), published);
    }

    #[test]
    fn the_published_chain_of_chunks_comes_out() {
        let scope = "20130524/us-east-1/s3/aws4_request".to_owned();
        let seed = Seed {
            key: derive(&example("/"), &scope),
            time: "20130524T000000Z".into(),
            scope,
            last: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9".into(),
        };
        let mut chunks = Chunks::new(seed, 1 << 20);
        let mut wire = Vec::new();
        for length in [65_536, 1024, 0] {
            wire.extend_from_slice(format!("{length:x};chunk-signature={}\r\n", "0".repeat(64)).as_bytes());
            wire.extend_from_slice(&vec![b'a'; length]);
            wire.extend_from_slice(b"\r\n");
        }
        let mut out = Vec::new();
        for piece in wire.chunks(1000) {
            chunks.push(piece, &mut |_| Ok(()), &mut out).expect("chunks");
        }
        chunks.end().expect("whole");
        assert_eq!(out.len(), wire.len());
        let text = String::from_utf8(out).expect("text");
        for signature in [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ] {
            assert!(text.contains(signature), "{signature}");
        }
    }
}
