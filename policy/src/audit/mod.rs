//! The vocabulary of the audit log, and one event as a line of JSON in ECS form.
//!
//! Owns what can be said and how it is spelled. Sequence, chain and files are the launcher's one writer's.
//! No real secret fits in: an event names a secret by id, kind and name, and has no place for a value.

mod action;
mod event;
mod line;
mod text;
mod time;

pub use action::{Action, Folding, Outcome, Provider, Trust};
pub use event::{
    Ancestor, Destination, Dropped, Event, Exit, File, Leak, Process, SecretRef, Subject, Treatment,
};
pub use line::{ECS_VERSION, LinePlace};
pub use text::Text;
pub use time::{NotATime, Timestamp};
