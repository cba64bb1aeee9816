//! `sandbox-policy.yaml`: from texts to the policy of a run.
//!
//! One table of keys drives everything: reading, layering, explaining, the JSON Schema. Texts come in as bytes
//! with a name; what comes out is a `Policy`, or every mistake of every text at once.

mod table;
mod words;

mod diagnostic;
mod document;
mod json;
mod yaml;

mod entry;
mod layer;
mod quantity;
mod read;
mod value;

mod agent;
mod effective;
mod overrides;
mod rendered;
mod telling;

mod explain;
mod json_schema;

pub use diagnostic::Diagnostic;
pub use effective::{
    EnvRule, FileRule, Files, GateLimits, Limits, Network, Policy, Retention, ReviewGlob, RuleForce, Secrets,
    Trace,
};
pub use explain::example;
pub use json_schema::json_schema;
pub use overrides::{Overrides, overrides_from_json};
pub use quantity::bytes;
pub use telling::{Address, Linear, Notify, Reference, SinkName, Webhook};
pub use value::{Layer, Origin};
pub use words::{
    FileMode, History, Isolation, NetworkMode, Notice, Place, Review, SecretsMode, UnknownWord, Word, Writes,
};

pub(crate) use words::nearest;

use diagnostic::{SourceText, decode};
use layer::Effective;
use read::{Form, settings};

/// A policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As messages name it.
    pub name: String,
    /// Its bytes. That they are UTF-8 is checked here, so that the message can say where they are not.
    pub text: Vec<u8>,
    /// Whose it is.
    pub layer: Layer,
}

/// Reads every source, lays them on top of each other in the order of their layers, and the command line last.
///
/// Sources of one layer apply in the order given. Any mistake makes this an error, and the error has them all:
/// a policy that is half understood protects half.
pub fn load(sources: &[Source], overrides: &Overrides) -> Result<Policy, Vec<Diagnostic>> {
    let plain = laid(layer::built_in(), sources, overrides)?;
    // Which agent it is, and whether its hosts count, is known only when all have spoken. Its entries lie
    // beneath theirs, so everybody is heard a second time, on top of them.
    let Some(profile) = agent::chosen(&plain).of(&overrides.command) else {
        return Ok(Policy::from_settings(plain, None));
    };
    let base = agent::beneath(profile, &overrides.workspace, agent::hosts_count(&plain));
    Ok(Policy::from_settings(laid(base, sources, overrides)?, Some(profile)))
}

fn laid(
    mut effective: Vec<Effective>,
    sources: &[Source],
    overrides: &Overrides,
) -> Result<Vec<Effective>, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut ordered: Vec<&Source> = sources.iter().collect();
    ordered.sort_by_key(|source| source.layer);
    for source in ordered {
        match decode(&source.name, &source.text) {
            Err(diagnostic) => diagnostics.push(diagnostic),
            Ok(text) => {
                let text = SourceText::new(&source.name, text);
                let mut own = Vec::new();
                if let Some(root) = yaml::parse(&text, &mut own) {
                    let found = settings(&text, source.layer, Form::File, &root, &mut own);
                    layer::lay(&mut effective, found, Some(&text), &mut own);
                }
                own.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
                diagnostics.append(&mut own);
            }
        }
    }
    layer::lay(&mut effective, overrides.settings(), None, &mut diagnostics);
    layer::find_halves(&effective, &mut diagnostics);
    if diagnostics.is_empty() { Ok(effective) } else { Err(diagnostics) }
}

#[cfg(test)]
mod tests;
