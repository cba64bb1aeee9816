//! Why a request does not go through, and what the guest is told of it.
//!
//! Owns the answers. Never holds a value, real or synthetic: a secret is named by its number.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{Response, StatusCode, header};
use shieldrun_secrets::{Encoding, SecretId};

use crate::ledger::{Part, Refusal};

/// A body on its way, in either direction.
pub(super) type Passing = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A real value was about to leave.
    Leak { secret: SecretId, encoding: Encoding },
    /// A synthetic was about to leave for where it is of no use.
    Synthetic { secret: SecretId, part: Part },
    /// The request is not understood, not consistent, or too large.
    Refused { why: Refusal, status: StatusCode, message: String },
    /// A real value came back in a form that has no counterpart.
    Unshowable { secret: SecretId },
    /// The destination did not answer as it should.
    Upstream(String),
}

/// The first stop of a request, recorded once: a body may stop it where no answer can be returned any more.
#[derive(Clone)]
pub(super) struct Fate {
    stop: Arc<Mutex<Option<Stop>>>,
    record: Arc<dyn Fn(&Stop) + Send + Sync>,
}

impl Fate {
    pub(super) fn new(record: Arc<dyn Fn(&Stop) + Send + Sync>) -> Self {
        Self { stop: Arc::default(), record }
    }

    pub(super) fn seal(&self, stop: Stop) {
        let mut place = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            (self.record)(&stop);
            *place = Some(stop);
        }
    }

    pub(super) fn told(&self) -> Option<Stop> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Stop {
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::Refused { why: Refusal::Malformed, status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(super) fn differs(message: impl Into<String>) -> Self {
        Self::Refused {
            why: Refusal::HostDiffers,
            status: StatusCode::MISDIRECTED_REQUEST,
            message: message.into(),
        }
    }

    pub(super) fn limit(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Refused { why: Refusal::Limit, status, message: message.into() }
    }

    /// Whether nothing more of this connection is to be believed.
    pub(super) fn ends_connection(&self) -> bool {
        !matches!(self, Self::Synthetic { .. } | Self::Refused { why: Refusal::Request, .. })
    }

    /// What the guest gets instead of an answer.
    pub(super) fn answer(&self) -> Response<Passing> {
        let status = match self {
            Self::Leak { .. } | Self::Synthetic { .. } => StatusCode::FORBIDDEN,
            Self::Refused { status, .. } => *status,
            Self::Unshowable { .. } | Self::Upstream(_) => StatusCode::BAD_GATEWAY,
        };
        let mut response = Response::new(whole(format!("shieldrun: {self}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert("x-shieldrun", header::HeaderValue::from_static("refused"));
        response
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leak { secret, .. } => {
                write!(f, "a real secret ({secret}) was about to leave in this request; it was stopped")
            }
            Self::Synthetic { secret, part } => write!(
                f,
                "this request carries the synthetic value of {secret} in its {}, and that secret is not \
                 swapped there; if it belongs to this host, `secrets.bindings` of your own policy says so",
                part_name(*part)
            ),
            Self::Refused { message, .. } | Self::Upstream(message) => f.write_str(message),
            Self::Unshowable { secret } => write!(
                f,
                "the answer holds a real secret ({secret}) in a form that cannot be replaced; it was stopped"
            ),
        }
    }
}

impl std::error::Error for Stop {}

/// A body that is there already.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Passing {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body of nothing.
pub(super) fn empty() -> Passing {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Path => "path",
        Part::Query => "query",
        Part::Header => "headers",
        Part::Body => "body",
        Part::Signature => "signature",
        Part::Stream => "stream",
    }
}
