//! What a run may reach: entries of the allowlist, the addresses that no name may lead to, and the matcher.
//!
//! Decides and does no I/O: who asks, resolves and connects is the launcher's egress.

mod binding;
mod entry;
mod host;
mod ranges;
mod resolve;
mod rules;
mod sets;

pub use binding::Binding;
pub use entry::{Entry, covers};
pub use host::{Host, host};
pub use ranges::{Range, forbidden};
pub use resolve::Resolve;
pub use rules::{Rules, Verdict, WEB};
pub use sets::{Set, nearest_set, set, sets};
