//! Secrets: find them, make synthetic ones of the same form, recognise the real ones on their way out.
//!
//! Owns: which names, places and formats hold credentials; the run's registry of real and synthetic
//! values; editing files by span; the leak scanner.
//! Does not: read a file, an environment or a clock. It gets bytes and gives bytes back, and being
//! `no_std` it could not do otherwise.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod checksum;
mod derive;
mod detect;
mod detector;
mod edit;
mod entropy;
mod env;
#[cfg(test)]
mod every_form;
#[cfg(test)]
mod every_kind;
mod generic;
mod jwt;
mod kinds;
mod lanes;
mod mold;
mod names;
mod parts;
mod pem;
mod places;
mod registry;
mod runs;
mod scan;
mod sieve;
mod special;
mod swap;
mod synthesize;
mod url;
mod value;
mod words;

pub use detect::{Confidence, Finding, Subject, detect};
pub use detector::Detector;
#[doc(hidden)]
pub use detector::InSight;
pub use edit::{Edited, Format, MAX_PARSE, Unparsable, edit, learn};
pub use env::{EnvMode, EnvOptions, EnvOutcome, substitute_env, substitute_env_with};
pub use parts::separable;
pub use places::{
    Handling, KnownPlace, Scope, home_places, pointer_variables, runtime_places, system_places,
    workspace_place,
};
pub use registry::{Entry, Place, Registry, Replaced, RunKey, SecretId};
pub use scan::{DeepHit, Encoding, Hit, Layer, Redacted, Redactor, Scanner, StreamState, TooMuch};
pub use swap::{Direction, Spot, Swap};
pub use synthesize::{Checksum, Synthesis, synthesize_one};
