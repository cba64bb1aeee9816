//! Policy: what is allowed, decided without the kernel.
//!
//! Owns the schema of `sandbox-policy.yaml` and its layers, the vocabulary of the audit log, the exit codes
//! and the forms of verdict and result. It does no I/O of any kind (`clippy.toml` beside this crate forbids
//! it): texts come in as bytes, decisions go out as plain data, and the launcher carries them out.

pub mod audit;
pub mod changes;
pub mod exit;
pub mod gate;
pub mod home;
pub mod network;
pub mod plan;
pub mod profiles;
pub mod schema;
pub mod verdict;

pub mod glob;
pub mod pattern;
