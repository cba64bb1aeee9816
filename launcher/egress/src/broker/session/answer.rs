//! The answer on its way back: scrubbed, and the credentials it hands out learned.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming as Body};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, Version};

use super::{Asked, Session, collected};
use crate::broker::body::Sieved;
use crate::broker::coding::Coding;
use crate::broker::incoming::Incoming;
use crate::broker::secrets::Tables;
use crate::broker::stop::{self, Passing, Stop};
use crate::broker::{head, strict, tokens};
use crate::flow::Dial;
use crate::ledger::{Ledger, Note};

/// An answer of more than this keeps its length.
const KEEPS_LENGTH: u64 = 1 << 20;

impl<L: Ledger, D: Dial> Session<L, D> {
    /// The answer, scrubbed.
    pub(super) async fn receive(
        &self,
        response: Response<Body>,
        asked: &Asked,
    ) -> Result<Response<Passing>, Stop> {
        let (mut parts, body) = response.into_parts();
        strict::strip(&mut parts.headers);
        for secret in head::scrub(&mut parts.headers, &asked.tables)? {
            (self.tell)(Note::Scrubbed { secret, from: self.bounds.to.clone() });
        }
        parts.version = Version::HTTP_11;
        if asked.method == Method::HEAD || body.is_end_stream() {
            return Ok(Response::from_parts(parts, stop::empty()));
        }
        let Some(coding) = Coding::of(&parts.headers) else {
            return Err(Stop::Upstream("the answer is encoded in a way that cannot be looked into".into()));
        };
        if coding != Coding::Identity {
            parts.headers.remove(header::CONTENT_ENCODING);
        }
        let scrubbing = |tables: Arc<Tables>| {
            Incoming::new(tables, self.bounds.to.clone(), Arc::clone(&self.tell), coding)
                .map_err(|e| Stop::Upstream(e.to_string()))
        };
        let renewed = asked.found.swapped();
        if tokens::is_json(&parts)
            && let Some(valid_at) = tokens::handed_out_at(&self.bounds, &asked.method, &asked.path, &renewed)
        {
            let held = self.bounds.rules.settings.limits.held;
            let whole = collected(body, held, &asked.fate).await?;
            let text = scrubbing(Arc::clone(&asked.tables))?.whole(whole)?;
            let text = tokens::replaced(&text, &self.bounds, &valid_at, &renewed)?;
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
            return Ok(Response::from_parts(parts, stop::whole(text)));
        }
        // A replaced value may differ in length by its spelling, if rarely. What is large keeps its length, for
        // the sake of those who download it; should it differ after all, the answer is cut off.
        let length = body.size_hint().exact().filter(|length| {
            coding == Coding::Identity && (*length > KEEPS_LENGTH || !asked.tables.conceal.changes_lengths())
        });
        if length.is_none() {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        let sieve = scrubbing(Arc::clone(&asked.tables))?;
        Ok(Response::from_parts(parts, Sieved::new(body, sieve, asked.fate.clone(), length).boxed_unsync()))
    }
}
