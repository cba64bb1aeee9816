//! Owns the join between the leak scanner and the streams: one automaton, one state a stream.

use std::sync::Arc;

use shieldrun_secrets::{Encoding, Registry, Scanner, StreamState};

use crate::supervise::{Leak, LeakScan};

/// The scanner of a run, shared by its streams.
#[derive(Clone)]
pub(crate) struct LeakScanner {
    scanner: Arc<Scanner>,
    names: Arc<Vec<(String, String)>>,
}

impl LeakScanner {
    /// `None` when there is nothing to look for.
    pub(crate) fn new(registry: &Registry) -> Option<Self> {
        let scanner = registry.scanner();
        if scanner.is_empty() {
            return None;
        }
        let names =
            registry.entries().iter().map(|entry| (entry.id.to_string(), entry.name.clone())).collect();
        Some(Self { scanner: Arc::new(scanner), names: Arc::new(names) })
    }

    /// The automaton itself, for whoever looks at the same bytes again.
    pub(crate) fn shared(&self) -> Arc<Scanner> {
        Arc::clone(&self.scanner)
    }

    /// A state for one stream.
    pub(crate) fn stream(&self) -> Box<dyn LeakScan> {
        Box::new(StreamScan { of: self.clone(), state: self.scanner.stream() })
    }
}

struct StreamScan {
    of: LeakScanner,
    state: StreamState,
}

impl LeakScan for StreamScan {
    fn feed(&mut self, chunk: &[u8]) -> Option<Leak> {
        let hit = self.state.feed(&self.of.scanner, chunk)?;
        let id = hit.id.to_string();
        let name = self
            .of
            .names
            .iter()
            .find(|(own, _)| *own == id)
            .map_or_else(String::new, |(_, name)| name.clone());
        Some(Leak {
            id,
            name,
            encoding: word(hit.encoding),
            // The whole chunk is withheld: a needle may begin behind a known prefix, so what stands
            // just before it may belong to the value as well.
            start_in_chunk: 0,
        })
    }

    fn pending(&self) -> usize {
        self.state.pending(&self.of.scanner)
    }
}

fn word(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Raw => "raw",
        Encoding::Base64 => "base64",
        Encoding::Base64Url => "base64url",
        Encoding::Hex => "hex",
        Encoding::Percent => "percent",
        _ => "encoded",
    }
}

/// A scan that finds nothing, where there is nothing to look for.
pub(crate) fn nothing() -> Box<dyn LeakScan> {
    struct Nothing;
    impl LeakScan for Nothing {
        fn feed(&mut self, _: &[u8]) -> Option<Leak> {
            None
        }
        fn pending(&self) -> usize {
            0
        }
    }
    Box::new(Nothing)
}
