//! The command line's word: options, and the JSON of `--config`.
//!
//! Owns the two forms and their order (an option wins over `--config`). Parsing argv is the launcher's.

use std::time::Duration;

use super::diagnostic::{Diagnostic, SourceText, decode};
use super::read::{Form, Setting, settings};
use super::table::leaf;
use super::value::{Item, Layer, Origin, Value};
use super::words::{Isolation, NetworkMode, Review, SecretsMode, Writes};
use super::{document::Span, json};
use crate::profiles::Choice;

/// What the command line says. Fields are the options; `--config` is beneath them.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--network`.
    pub network: Option<NetworkMode>,
    /// `--allow`, each.
    pub allow: Vec<String>,
    /// `--ssh-agent`, each.
    pub ssh_hosts: Vec<String>,
    /// `--secrets`.
    pub secrets: Option<SecretsMode>,
    /// `--writes`.
    pub writes: Option<Writes>,
    /// `--review`.
    pub review: Option<Review>,
    /// `--isolation`.
    pub isolation: Option<Isolation>,
    /// `--profile`.
    pub profile: Option<Choice>,
    /// The command, which tells the agent.
    pub command: Vec<Vec<u8>>,
    /// The workspace, whose sessions with the agent are kept.
    pub workspace: Vec<u8>,
    /// `--sink`, each.
    pub sinks: Vec<String>,
    /// What `--config` said.
    config: Vec<Setting>,
}

/// Reads the contents of `--config`; `name` is what messages call it.
pub fn overrides_from_json(name: &str, text: &[u8]) -> Result<Overrides, Vec<Diagnostic>> {
    let text = decode(name, text).map_err(|diagnostic| vec![diagnostic])?;
    let source = SourceText::new(name, text);
    let mut diagnostics = Vec::new();
    let config = match json::parse(&source, &mut diagnostics) {
        Some(root) => settings(&source, Layer::Flags, Form::Config, &root, &mut diagnostics),
        None => Vec::new(),
    };
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    if diagnostics.is_empty() { Ok(Overrides { config, ..Overrides::default() }) } else { Err(diagnostics) }
}

impl Overrides {
    /// Everything as settings, in the order in which it is laid on: `--config` first, options over it.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let word = |option, path, word: Option<&'static str>| setting(option, path, word.map(Value::Word));
        let timeout = self
            .timeout
            .map(|timeout| Value::Limit(Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1))));
        let options = [
            setting("--timeout", "limits.timeout_seconds", timeout),
            word("--network", "network.mode", self.network.map(NetworkMode::word)),
            word("--secrets", "secrets.mode", self.secrets.map(SecretsMode::word)),
            word("--writes", "files.writes", self.writes.map(Writes::word)),
            word("--review", "review", self.review.map(Review::word)),
            word("--isolation", "isolation.mode", self.isolation.map(Isolation::word)),
            word("--profile", "profile", self.profile.map(Choice::word)),
            setting("--sink", "trace.sinks", items("--sink", &self.sinks)),
            setting("--ssh-agent", "ssh.hosts", items("--ssh-agent", &self.ssh_hosts)),
        ];
        let allow = setting("--allow", "network.allow", items("--allow", &self.allow));
        self.config.iter().cloned().chain(options.into_iter().flatten()).chain(allow).collect()
    }
}

/// What an option said that may be given more than once.
fn items(option: &str, texts: &[String]) -> Option<Value> {
    let item = |text: &String| Item {
        text: text.clone(),
        word: None,
        places: Vec::new(),
        origin: Origin::option(option),
        span: Span::default(),
    };
    (!texts.is_empty()).then(|| Value::Items(texts.iter().map(item).collect()))
}

fn setting(option: &str, path: &str, value: Option<Value>) -> Option<Setting> {
    Some(Setting { key: leaf(path)?, value: value?, origin: Origin::option(option), span: Span::default() })
}
