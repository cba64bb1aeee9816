//! The broker between a client and a server that are both real: TLS and HTTP over sockets on loopback.

mod harness;
mod requests;
