//! A request to leave HTTP for a WebSocket.
//!
//! Owns the handshake of both sides. What is said in the frames is for `websocket`.

use std::sync::Arc;

use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::{Asked, Session};
use crate::broker::stop::{self, Passing, Stop};
use crate::broker::{head, strict, websocket};
use crate::flow::Dial;
use crate::ledger::Ledger;

impl<L: Ledger, D: Dial> Session<L, D> {
    /// Asks for a WebSocket, and relays it where the destination agrees.
    pub(super) async fn upgrade(
        &self,
        mut parts: Parts,
        body: Passing,
        guest: OnUpgrade,
        asked: Asked,
    ) -> Result<Response<Passing>, Stop> {
        let wanted = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "websocket")];
        for (name, value) in &wanted {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
        // A compressed frame could not be looked into piece by piece.
        parts.headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        let mut response = self.send(parts, body, &asked.fate).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.receive(response, &asked).await;
        }
        let upstream = hyper::upgrade::on(&mut response);
        let Asked { tables, found, fate, .. } = asked;
        let (mut head, _) = response.into_parts();
        strict::strip(&mut head.headers);
        head::scrub(&mut head.headers, &tables)?;
        for (name, value) in wanted {
            head.headers.insert(name, HeaderValue::from_static(value));
        }
        let (bounds, tell) = (self.bounds.clone(), Arc::clone(&self.tell));
        tokio::spawn(async move {
            let (Ok(guest), Ok(upstream)) = (guest.await, upstream.await) else { return };
            let (guest, upstream) = (TokioIo::new(guest), TokioIo::new(upstream));
            let relayed = websocket::relay(guest, upstream, tables, bounds, found, tell).await;
            // That a socket broke off is nothing to record; that it was stopped is.
            if let Err(stop) = relayed
                && !matches!(stop, Stop::Upstream(_) | Stop::Unshowable { .. })
            {
                fate.seal(stop);
            }
        });
        Ok(Response::from_parts(head, stop::empty()))
    }
}
