//! The black-box suite: the built `shieldrun` on real programs and on probes that try what is forbidden.
//!
//! One test program with a module per theme rather than one program each: it links once, and its
//! closing line speaks for the whole suite. Nothing here uses the launcher's own code.

mod harness;

mod agents;
mod answers;
mod broker;
mod builds;
mod cast;
mod changes;
mod clients;
mod closed;
mod crash;
mod databases;
mod doctor;
mod egress;
mod elsewhere;
mod environment;
mod exec;
mod files;
mod history;
mod home;
mod hosts;
mod input;
mod installers;
mod landlock;
mod leak;
mod limits;
mod names;
mod namespaces;
mod notify;
mod overlay;
mod policy;
mod promotion;
mod prune;
mod record;
mod scan;
mod selftest;
mod sinks;
mod ssh;
mod stores;
mod streams;
mod stress;
mod terminal;
mod tripwire;
mod wires;
mod wrapper;
