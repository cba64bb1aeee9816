//! How a run reaches the network: only through here, only to where the policy says, and with its
//! synthetic credentials replaced on the wire, outside.
//!
//! Owns the answers to the guest's connections and names: the allowlist's doors, the DNS stub, the proxy
//! protocols, and the TLS broker. Does not make a namespace or a listening socket (the launcher hands
//! them in), does not read a policy file, does not write the record (it tells a [`Ledger`]).
//!
//! ```text
//! door (listeners, DNS, CONNECT, SOCKS5) -> rules -> dial -> relay
//!                                                   \-> broker (TLS, HTTP, swap, scrub) -> dial
//! ```

pub mod broker;
pub mod flow;
pub mod ledger;

mod dial;
mod doors;
mod relay;
mod serve;
mod watch;

pub use dial::{Dialer, Upstream};
pub use doors::Approach;
pub use serve::{Brokerage, Egress, Openings, Settings, Witness};

pub use flow::{Destination, Dial, HostName, Origin};
pub use ledger::{Ledger, Note, Part, Refusal};
