//! The policy of a run: every layer applied, every value typed, each with the place it came from.
//!
//! Owns the types that the rest of the program reads. How a value is found is `layer`'s; what it leads to is
//! for those who read it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;

use super::layer::{Effective, built_in};
use super::rendered::{digest, nested};
use super::telling::{Address, Linear, Notify, Reference, SinkName, Webhook};
use super::value::{Item, Layer, Origin, Value};
use super::words::{FileMode, History, Isolation, NetworkMode, Notice, Place, Review, SecretsMode, Writes};
use crate::glob::{NameGlob, PathGlob};
use crate::network::{Binding, Entry};
use crate::pattern::Pattern;
use crate::profiles::Profile;

/// What holds for a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Policy {
    /// Texts that stop a command or refuse a change.
    pub blocked_patterns: Vec<Pattern>,
    /// What waits for a person.
    pub require_human_review: Vec<ReviewGlob>,
    /// What is known of the agent that is run.
    pub profile: Option<&'static Profile>,
    /// Whether accepted files are promoted beside refused ones.
    pub partial: bool,
    /// What becomes of real secrets.
    pub secrets: Secrets,
    /// What of the host is there, and where writes go.
    pub files: Files,
    /// What can be reached.
    pub network: Network,
    /// What the person's keys may be used for.
    pub ssh: Ssh,
    /// Limits of the run.
    pub limits: Limits,
    /// How much may change without a person.
    pub gate: GateLimits,
    /// What the record keeps.
    pub trace: Trace,
    /// Who is told.
    pub notify: Notify,
    /// How strong the walls must be.
    pub isolation: Isolation,
    /// Whether there may be sandboxes inside.
    pub nested: bool,
    /// When a person looks.
    pub review: Review,
    pub(crate) settings: Vec<Effective>,
    digest: String,
}

/// One glob of `require_human_review`.
#[derive(Debug, Clone)]
pub struct ReviewGlob {
    /// As written.
    pub text: String,
    /// By git's rules.
    pub glob: PathGlob,
}

/// What becomes of real secrets.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// What stands in their place.
    pub mode: SecretsMode,
    /// Variables that are secret whatever they look like.
    pub env_mask: Vec<NameGlob>,
    /// Variables that are none; `env_mask` wins.
    pub env_allow: Vec<NameGlob>,
    /// Words about single files.
    pub files: Vec<FileRule>,
    /// What becomes of the repository's history.
    pub history: History,
    /// Where secrets belong, beside what their form tells.
    pub bindings: Vec<Binding>,
}

/// What the policy says about one variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvRule {
    /// A secret.
    Mask,
    /// No secret.
    Allow,
    /// Nothing: detection decides.
    Detect,
}

/// What the policy says about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRule {
    /// As written: absolute, under `~/`, or relative to the workspace.
    pub path: String,
    /// What it shows.
    pub mode: FileMode,
    /// Whether this is the last word or the least.
    pub force: RuleForce,
}

/// How much a file rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleForce {
    /// A person said so: this and nothing else.
    Exactly,
    /// The project said so: this or stricter.
    AtLeast,
    /// A profile said so: this or stricter, where no person said anything.
    Unless,
}

/// What of the host is there, and where writes go.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Readable beside the toolchains.
    pub visible: Vec<String>,
    /// Kept from one run to the next.
    pub persist: Vec<String>,
    /// Where writes go.
    pub writes: Writes,
}

/// What can be reached.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// How much.
    pub mode: NetworkMode,
    /// The hosts of the allowlist.
    pub allow: Vec<String>,
    /// Where some of them really are.
    pub resolve: Vec<String>,
    /// Whose TLS is not looked into.
    pub passthrough: Vec<String>,
}

/// What the keys of the person's ssh-agent may be used for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ssh {
    /// Hosts where they may log in: `host`, `*.host`.
    pub hosts: Vec<String>,
    /// Whether they may sign commits.
    pub sign_commits: bool,
}

/// Limits of a run; none is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Wall clock of the run.
    pub timeout: Option<Duration>,
    /// Processor time of a process.
    pub cpu: Option<Duration>,
    /// Processes at one time.
    pub processes: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of the largest file.
    pub file_size: Option<u64>,
    /// Bytes written in all.
    pub disk: Option<u64>,
}

/// How much a run may change before a person looks; none is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateLimits {
    /// Changed files.
    pub files: Option<u64>,
    /// Bytes of all new and changed files.
    pub bytes: Option<u64>,
    /// Bytes of one.
    pub file_bytes: Option<u64>,
}

/// What the record keeps.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// What is typed.
    pub stdin: bool,
    /// Bytes of what is printed and typed.
    pub stdio_size: u64,
    /// Who gets the events too.
    pub sinks: Vec<SinkName>,
    /// For how long.
    pub retention: Retention,
}

/// How long records are kept; none is for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Age in days.
    pub days: Option<u64>,
    /// How many.
    pub runs: Option<u64>,
    /// Bytes of all of them.
    pub size: Option<u64>,
}

impl Policy {
    /// What holds when nobody says anything.
    pub fn built_in() -> Self {
        Policy::from_settings(built_in(), None)
    }

    /// Whether every host of a profile is allowed.
    pub fn allows_hosts_of(&self, profile: &Profile) -> bool {
        profile.hosts.iter().all(|host| self.network.allow.iter().any(|allowed| allowed == host))
    }

    pub(crate) fn from_settings(settings: Vec<Effective>, profile: Option<&'static Profile>) -> Self {
        let read = Reader(&settings);
        let notify = notify(&read);
        let mut secrets = Secrets {
            mode: read.word("secrets.mode", SecretsMode::from_word),
            env_mask: read.map("secrets.env.mask", |item| NameGlob::new(&item.text).ok()),
            env_allow: read.map("secrets.env.allow", |item| NameGlob::new(&item.text).ok()),
            files: read.map("secrets.files", file_rule),
            history: read.word("secrets.history", History::from_word),
            bindings: read.map("secrets.bindings", |item| Binding::parse(&item.text).ok()),
        };
        secrets.hide(notify.references());
        let limits = Limits {
            timeout: read.limit("limits.timeout_seconds").map(Duration::from_millis),
            cpu: read.limit("limits.cpu_seconds").map(Duration::from_millis),
            processes: read.limit("limits.processes"),
            memory: read.limit("limits.memory"),
            file_size: read.limit("limits.file_size"),
            disk: read.limit("limits.disk"),
        };
        let text = |item: &Item| Some(item.text.clone());
        Policy {
            blocked_patterns: read.map("blocked_patterns", |item| {
                let places = item.places.iter().filter_map(|word| Place::from_word(word)).collect();
                Pattern::new(&item.text, places).ok()
            }),
            require_human_review: read.map("require_human_review", |item| {
                let glob = PathGlob::new(&item.text).ok()?;
                Some(ReviewGlob { text: item.text.clone(), glob })
            }),
            profile,
            partial: read.flag("partial"),
            secrets,
            files: Files {
                visible: read.map("files.visible", text),
                persist: read.map("files.persist", text),
                writes: read.word("files.writes", Writes::from_word),
            },
            network: Network {
                mode: read.word("network.mode", NetworkMode::from_word),
                allow: read.map("network.allow", text),
                resolve: read.map("network.resolve", text),
                passthrough: read.map("network.passthrough", text),
            },
            ssh: Ssh {
                hosts: read.map("ssh.hosts", |item| Some(Entry::whole_host(&item.text).ok()?.pattern())),
                sign_commits: read.flag("ssh.sign_commits"),
            },
            limits,
            gate: GateLimits {
                files: read.limit("gate.max_files"),
                bytes: read.limit("gate.max_bytes"),
                file_bytes: read.limit("gate.max_file_bytes"),
            },
            trace: Trace {
                stdin: read.flag("trace.stdin"),
                stdio_size: read.limit("trace.stdio_size").unwrap_or_default(),
                sinks: read.map("trace.sinks", |item| SinkName::parse(&item.text).ok()),
                retention: Retention {
                    days: read.limit("trace.retention.max_days"),
                    runs: read.limit("trace.retention.max_runs"),
                    size: read.limit("trace.retention.max_size"),
                },
            },
            notify,
            isolation: read.word("isolation.mode", Isolation::from_word),
            nested: read.flag("isolation.nested"),
            review: read.word("review", Review::from_word),
            digest: digest(&settings),
            settings,
        }
    }

    /// `sha256:…` over the values, whatever layer they came from and however they were written.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The values as JSON, nested as in a policy file: what the digest is over. File rules are a list here,
    /// because two layers may speak of one path.
    pub fn to_json(&self) -> Json {
        nested(&self.settings)
    }

    /// Where the value of a key (`secrets.mode`) comes from. For a list: the layer that changed it last.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.settings.iter().find(|setting| setting.key.path == path).map(|setting| &setting.origin)
    }
}

impl Ssh {
    /// Whether an agent is there inside.
    pub fn has_agent(&self) -> bool {
        !self.hosts.is_empty() || self.sign_commits
    }
}

impl Secrets {
    /// The secrets that the launcher uses itself are as secret inside as any, whatever they look like.
    fn hide<'a>(&mut self, references: impl Iterator<Item = &'a Reference>) {
        for reference in references {
            match reference {
                Reference::Variable(name) => self.env_mask.extend(NameGlob::new(name).ok()),
                Reference::File(path) => self.files.push(FileRule {
                    path: path.clone(),
                    mode: FileMode::Block,
                    force: RuleForce::AtLeast,
                }),
            }
        }
    }

    /// What the policy says about a variable.
    pub fn env_rule(&self, name: &[u8]) -> EnvRule {
        if self.env_mask.iter().any(|glob| glob.matches(name)) {
            EnvRule::Mask
        } else if self.env_allow.iter().any(|glob| glob.matches(name)) {
            EnvRule::Allow
        } else {
            EnvRule::Detect
        }
    }

    /// What the file at `path` shows; `own` is what the inventory would do by itself, if anything.
    ///
    /// Of a person's rules the nearest to the file counts, of the project's every one, as a least.
    pub fn file_mode(
        &self,
        path: &Path,
        home: &Path,
        workspace: &Path,
        own: Option<FileMode>,
    ) -> Option<FileMode> {
        let above = |rule: &&FileRule| path.starts_with(rule.host_path(home, workspace));
        let unless = self.strictest(RuleForce::Unless, &above);
        let exact = self
            .files
            .iter()
            .filter(|rule| rule.force == RuleForce::Exactly)
            .filter(above)
            .max_by_key(|rule| rule.host_path(home, workspace).components().count())
            .map(|rule| rule.mode);
        exact.or(own.max(unless)).max(self.strictest(RuleForce::AtLeast, &above))
    }

    fn strictest(&self, force: RuleForce, above: &dyn Fn(&&FileRule) -> bool) -> Option<FileMode> {
        self.files.iter().filter(|rule| rule.force == force).filter(above).map(|rule| rule.mode).max()
    }
}

impl FileRule {
    /// The path on the host.
    pub fn host_path(&self, home: &Path, workspace: &Path) -> PathBuf {
        match self.path.strip_prefix('~') {
            Some(rest) => home.join(rest.trim_start_matches('/')),
            // An absolute path replaces the workspace.
            None => workspace.join(&self.path),
        }
    }
}

/// Typed access to the flat list. Every path asked for is a leaf of the table: a test asks for all.
struct Reader<'a>(&'a [Effective]);

impl Reader<'_> {
    fn value(&self, path: &str) -> Option<&Value> {
        self.0.iter().find(|setting| setting.key.path == path).map(|setting| &setting.value)
    }

    fn word<T: Default>(&self, path: &str, from: fn(&str) -> Option<T>) -> T {
        match self.value(path) {
            Some(Value::Word(word)) => from(word).unwrap_or_default(),
            _ => T::default(),
        }
    }

    fn flag(&self, path: &str) -> bool {
        matches!(self.value(path), Some(Value::Flag(true)))
    }

    fn limit(&self, path: &str) -> Option<u64> {
        match self.value(path) {
            Some(Value::Limit(limit)) => *limit,
            _ => None,
        }
    }

    fn map<T>(&self, path: &str, make: impl FnMut(&Item) -> Option<T>) -> Vec<T> {
        match self.value(path) {
            Some(Value::Items(items)) => items.iter().filter_map(make).collect(),
            _ => Vec::new(),
        }
    }

    fn text(&self, path: &str) -> Option<&str> {
        match self.value(path) {
            Some(Value::Text(text)) => text.as_deref(),
            _ => None,
        }
    }
}

fn notify(read: &Reader<'_>) -> Notify {
    let reference = |path: &str| read.text(path).and_then(|text| Reference::parse(text).ok());
    let address = |path: &str| read.text(path).and_then(|text| Address::parse(text).ok());
    Notify {
        on: read.map("notify.on", |item| Notice::from_word(&item.text)),
        deadline: Duration::from_millis(read.limit("notify.deadline_seconds").unwrap_or_default()),
        slack: reference("notify.slack.webhook"),
        linear: reference("notify.linear.api_key").and_then(|api_key| {
            let team = read.text("notify.linear.team")?.to_owned();
            Some(Linear { api_key, team, url: address("notify.linear.url") })
        }),
        webhook: address("notify.webhook.url")
            .map(|url| Webhook { url, authorization: reference("notify.webhook.authorization") }),
        command: read.map("notify.command", |item| Some(item.text.clone())),
    }
}

pub(super) fn file_rule(item: &Item) -> Option<FileRule> {
    let force = match item.origin.layer {
        Layer::Project => RuleForce::AtLeast,
        Layer::Profile => RuleForce::Unless,
        Layer::BuiltIn | Layer::User | Layer::Flags => RuleForce::Exactly,
    };
    Some(FileRule { path: item.text.clone(), mode: FileMode::from_word(item.word?)?, force })
}
