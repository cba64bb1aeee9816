//! The broker between a client and a server that are both real: TLS and HTTP over sockets on loopback.

mod amazon;
mod bombs;
mod floods;
mod frames;
mod harness;
mod inside;
mod leaks;
mod limits;
#[path = "../../../../tests/harness/made_up.rs"]
#[expect(dead_code, reason = "the suite of the whole program plants more")]
mod made_up;
mod odd;
mod requests;
mod segments;
mod spellings;
mod split;
mod streams;
mod strict;
mod tokens;
mod websocket;
