//! A request on its way to the destination.
//!
//! Owns the one connection there, made anew where the destination has closed it between two requests, and
//! the name under which the destination is addressed: the one that was dialled, never one of the guest's.

use std::io;

use hyper::body::Incoming as Body;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, Uri, Version};

use super::Session;
use crate::broker::Inner;
use crate::broker::authority::Protocol;
use crate::broker::stop::{Fate, Passing, Stop};
use crate::broker::strict::Scheming;
use crate::broker::upstream::{self, Sender};
use crate::flow::{Destination, Dial, HostName};
use crate::ledger::Ledger;

impl<L: Ledger, D: Dial> Session<L, D> {
    /// The destination, as a Host header says it.
    pub(super) fn authority(&self) -> String {
        let default = if self.bounds.scheming == Scheming::Tls { 443 } else { 80 };
        let Destination { host, port } = &self.bounds.to;
        match (host, *port == default) {
            (HostName::Address(address), true) if address.is_ipv6() => format!("[{address}]"),
            (host, true) => host.to_string(),
            (_, false) => self.bounds.to.to_string(),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        mut parts: Parts,
        body: Passing,
        fate: &Fate,
    ) -> Result<Response<Body>, Stop> {
        let unreachable =
            |e: &dyn std::error::Error| Stop::Upstream(format!("{} does not answer: {e}", self.bounds.to));
        let sent = {
            let mut place = self.sender.lock().await;
            let ready = match place.as_mut() {
                Some(sender) => sender.is_ready().await,
                None => false,
            };
            if !ready {
                *place = Some(self.redial().await.map_err(|e| unreachable(&e))?);
            }
            let Some(sender) = place.as_mut() else { return Err(Stop::Upstream("no connection".into())) };
            self.address(&mut parts, sender.protocol())?;
            sender.send(Request::from_parts(parts, body))
        };
        sent.await.map_err(|error| fate.told().unwrap_or_else(|| unreachable(&error)))
    }

    /// Says whom the request is for, in the way of the protocol.
    fn address(&self, parts: &mut Parts, protocol: Protocol) -> Result<(), Stop> {
        let authority = self.authority();
        let wrong = |_| Stop::malformed("the host is no host");
        match protocol {
            Protocol::Http1 => {
                let value = HeaderValue::try_from(authority);
                parts
                    .headers
                    .insert(header::HOST, value.map_err(|_| Stop::malformed("the host is no host"))?);
                parts.version = Version::HTTP_11;
            }
            Protocol::Http2 => {
                parts.headers.remove(header::HOST);
                let path = parts.uri.path_and_query().cloned().ok_or_else(|| Stop::malformed("no path"))?;
                let uri = Uri::builder().scheme("https").authority(authority).path_and_query(path);
                parts.uri = uri.build().map_err(wrong)?;
                parts.version = Version::HTTP_2;
            }
        }
        Ok(())
    }

    async fn redial(&self) -> io::Result<Sender> {
        let Inner { dial, trust, rules, .. } = &*self.inner;
        let limits = &rules.settings.limits;
        let dialled = match self.bounds.scheming {
            Scheming::Tls => {
                upstream::secure(dial, None, &self.bounds.to, trust, self.protocol, limits).await?
            }
            Scheming::Plain => upstream::plain(dial, None, &self.bounds.to, limits).await?,
        };
        Sender::over(dialled, limits).await.map_err(io::Error::other)
    }
}
