//! One event: what happened, to what, by whom. A value; `line` writes it.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;

use super::action::{Action, Outcome, Provider, Trust};
use super::text::Text;
use super::time::Timestamp;

/// One thing that happened. Made by [`Event::new`], completed by the methods that take `self`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub(crate) at: Timestamp,
    pub(crate) action: Action,
    pub(crate) provider: Provider,
    pub(crate) outcome: Outcome,
    pub(crate) count: u64,
    pub(crate) during: Option<(Timestamp, Timestamp)>,
    pub(crate) process: Option<Box<Process>>,
    pub(crate) file: Option<Box<File>>,
    pub(crate) destination: Option<Box<Destination>>,
    pub(crate) rule: Option<Text>,
    pub(crate) secret: Option<Box<SecretRef>>,
    pub(crate) treatment: Option<Treatment>,
    pub(crate) more: Option<Box<More>>,
}

/// The process that did it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Process {
    /// The host's pid.
    pub pid: u32,
    /// The guest's pid, where it differs.
    pub pid_inside: Option<u32>,
    /// The program.
    pub executable: Option<Text>,
    /// argv, real secrets already replaced by whoever read it.
    pub args: Vec<Text>,
    /// Where it stood.
    pub working_directory: Option<Text>,
    /// The host's pid of its parent.
    pub parent: Option<u32>,
    /// Its parents, from the nearest up, where somebody looked.
    pub ancestors: Vec<Ancestor>,
    /// Its exit code, once it has one.
    pub exit_code: Option<i32>,
}

/// A parent, or a parent's parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ancestor {
    /// The host's pid.
    pub pid: u32,
    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<Text>,
}

/// A file, as the guest named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct File {
    /// As named.
    pub path: Text,
    /// Where a link led, if elsewhere.
    pub target_path: Option<Text>,
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Destination {
    /// As the guest gave it: name, address or socket path.
    pub address: Option<Text>,
    /// The name, where one is known.
    pub domain: Option<String>,
    /// The address, where it is one.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: Option<u16>,
}

/// A secret, by everything but its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct SecretRef {
    /// Its number in this run's registry: `s3`.
    pub id: String,
    /// What kind of credential it is: `github-token`.
    pub kind: Cow<'static, str>,
    /// The variable or field it stood in.
    pub name: String,
}

/// What the guest was given in the place of a secret: `shieldrun.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// A synthetic.
    Synthetic,
    /// Nothing.
    Block,
    /// The real one, because a person said so.
    Allow,
}

/// Where a real value was about to leave, and in what form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    /// `stdout`, `stderr`, a host, a file.
    pub place: String,
    /// `raw`, `base64`, `hex`, …
    pub encoding: Cow<'static, str>,
}

/// How a run ended: `exit` of the result as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Exit {
    /// The code that the parent gets.
    pub code: Option<u8>,
    /// The signal the command died of.
    pub signal: Option<u8>,
    /// The cause, when the code is ours.
    pub shieldrun: Option<Cow<'static, str>>,
}

/// Events that were lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// How many.
    pub events: u64,
    /// Who had sent them, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Where they were lost: `ring`, `queue`, `record`, a sink.
    pub place: Cow<'static, str>,
}

/// What few events have.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct More {
    pub(crate) message: Option<Text>,
    pub(crate) user: Option<Text>,
    pub(crate) tier: Option<Cow<'static, str>>,
    pub(crate) policy_digest: Option<String>,
    pub(crate) changes_digest: Option<String>,
    pub(crate) exit: Option<Exit>,
    pub(crate) signal: Option<u8>,
    pub(crate) duration_nanos: Option<u64>,
    pub(crate) traffic: Option<(u64, u64)>,
    pub(crate) syscall: Option<Cow<'static, str>>,
    pub(crate) limit: Option<Cow<'static, str>>,
    pub(crate) leak: Option<Leak>,
    pub(crate) dropped: Option<Dropped>,
}

/// What makes two events "the same again": all that matters but the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject<'a> {
    action: Action,
    provider: Provider,
    outcome: Outcome,
    pid: Option<u32>,
    executable: Option<&'a Text>,
    file: Option<&'a File>,
    destination: Option<&'a Destination>,
    rule: Option<&'a Text>,
    secret: Option<&'a SecretRef>,
    treatment: Option<Treatment>,
    syscall: Option<&'a str>,
    limit: Option<&'a str>,
    message: Option<&'a Text>,
}

impl Event {
    /// An event of this action, now, with the action's usual outcome.
    pub fn new(at: impl Into<Timestamp>, action: Action, provider: Provider) -> Self {
        Event {
            at: at.into(),
            action,
            provider,
            outcome: action.usual_outcome(),
            count: 1,
            during: None,
            process: None,
            file: None,
            destination: None,
            rule: None,
            secret: None,
            treatment: None,
            more: None,
        }
    }

    /// Another outcome than the usual one.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Who did it.
    pub fn process(mut self, process: Process) -> Self {
        self.process = Some(Box::new(process));
        self
    }

    /// What file, as the guest named it.
    pub fn file(mut self, path: impl Into<Text>) -> Self {
        self.file = Some(Box::new(File { path: path.into(), target_path: None }));
        self
    }

    /// Where a link led. Without a file this says nothing.
    pub fn file_target(mut self, path: impl Into<Text>) -> Self {
        if let Some(file) = &mut self.file {
            file.target_path = Some(path.into());
        }
        self
    }

    /// The other end.
    pub fn destination(mut self, destination: Destination) -> Self {
        self.destination = Some(Box::new(destination));
        self
    }

    /// The rule that decided.
    pub fn rule(mut self, name: impl Into<Text>) -> Self {
        self.rule = Some(name.into());
        self
    }

    /// The secret that it is about.
    pub fn secret(mut self, secret: SecretRef) -> Self {
        self.secret = Some(Box::new(secret));
        self
    }

    /// What the guest was given instead.
    pub fn treatment(mut self, treatment: Treatment) -> Self {
        self.treatment = Some(treatment);
        self
    }

    /// A sentence for people.
    pub fn message(mut self, message: impl Into<Text>) -> Self {
        self.more().message = Some(message.into());
        self
    }

    /// The person who decided.
    pub fn user(mut self, name: impl Into<Text>) -> Self {
        self.more().user = Some(name.into());
        self
    }

    /// The tier of the run: `full` or `preload`.
    pub fn tier(mut self, tier: impl Into<Cow<'static, str>>) -> Self {
        self.more().tier = Some(tier.into());
        self
    }

    /// The digest of the policy.
    pub fn policy_digest(mut self, digest: impl Into<String>) -> Self {
        self.more().policy_digest = Some(digest.into());
        self
    }

    /// The digest of the changes that were decided over.
    pub fn changes_digest(mut self, digest: impl Into<String>) -> Self {
        self.more().changes_digest = Some(digest.into());
        self
    }

    /// How the run ended.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.more().exit = Some(exit);
        self
    }

    /// The signal a process died of.
    pub fn signal(mut self, signal: u8) -> Self {
        self.more().signal = Some(signal);
        self
    }

    /// How long it took.
    pub fn duration(mut self, duration: std::time::Duration) -> Self {
        self.more().duration_nanos = Some(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        self
    }

    /// How many bytes went to the other end, and how many came from it.
    pub fn traffic(mut self, sent: u64, received: u64) -> Self {
        self.more().traffic = Some((sent, received));
        self
    }

    /// The system call, by name.
    pub fn syscall(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.more().syscall = Some(name.into());
        self
    }

    /// The limit, by its key in the policy.
    pub fn limit(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.more().limit = Some(key.into());
        self
    }

    /// Where and how a real value was leaving.
    pub fn leak(mut self, leak: Leak) -> Self {
        self.more().leak = Some(leak);
        self
    }

    /// What was lost.
    pub fn dropped(mut self, dropped: Dropped) -> Self {
        self.more().dropped = Some(dropped);
        self
    }

    /// Says that `count` events like this one happened from `first` to `last`.
    pub fn repeated(mut self, count: u64, first: Timestamp, last: Timestamp) -> Self {
        self.at = last;
        self.count = count;
        // One is no span of time: it is the event itself, a little later.
        self.during = (count > 1).then_some((first, last));
        self
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Who says so.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Fact or claim: the provider decides.
    pub fn trust(&self) -> Trust {
        self.provider.trust()
    }

    /// How many; the shim's ring folds on its own.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// From when to when, where it stands for several.
    pub fn during(&self) -> Option<(Timestamp, Timestamp)> {
        self.during
    }

    /// The secret that it is about.
    pub fn secret_ref(&self) -> Option<&SecretRef> {
        self.secret.as_deref()
    }

    /// The process that did it.
    pub fn process_ref(&self) -> Option<&Process> {
        self.process.as_deref()
    }

    /// How many events this line says were lost; 0 for every other line.
    pub fn dropped_events(&self) -> u64 {
        self.more.as_ref().and_then(|more| more.dropped.as_ref()).map_or(0, |dropped| dropped.events)
    }

    /// About how many bytes of memory it takes: names come from outside, so whoever keeps events must know.
    pub fn weight(&self) -> usize {
        let text = |text: &Text| text.as_str().len() + text.raw().map_or(0, <[u8]>::len);
        let option = |option: &Option<Text>| option.as_ref().map_or(0, text);
        let process = self.process.as_deref().map_or(0, |process| {
            size_of::<Process>()
                + option(&process.executable)
                + option(&process.working_directory)
                + process.args.iter().map(|arg| size_of::<Text>() + text(arg)).sum::<usize>()
                + process
                    .ancestors
                    .iter()
                    .map(|above| size_of::<Ancestor>() + option(&above.executable))
                    .sum::<usize>()
        });
        let file = self
            .file
            .as_deref()
            .map_or(0, |file| size_of::<File>() + text(&file.path) + option(&file.target_path));
        let destination = self.destination.as_deref().map_or(0, |to| {
            size_of::<Destination>() + option(&to.address) + to.domain.as_ref().map_or(0, String::len)
        });
        let secret = self
            .secret
            .as_deref()
            .map_or(0, |secret| size_of::<SecretRef>() + secret.id.len() + secret.name.len());
        let more = self.more.as_deref().map_or(0, |more| size_of::<More>() + option(&more.message));
        size_of::<Event>() + process + file + destination + option(&self.rule) + secret + more
    }

    /// All that makes another event the same again.
    pub fn subject(&self) -> Subject<'_> {
        let more = self.more.as_deref();
        Subject {
            action: self.action,
            provider: self.provider,
            outcome: self.outcome,
            pid: self.process.as_ref().map(|process| process.pid),
            executable: self.process.as_ref().and_then(|process| process.executable.as_ref()),
            file: self.file.as_deref(),
            destination: self.destination.as_deref(),
            rule: self.rule.as_ref(),
            secret: self.secret.as_deref(),
            treatment: self.treatment,
            syscall: more.and_then(|more| more.syscall.as_deref()),
            limit: more.and_then(|more| more.limit.as_deref()),
            message: more.and_then(|more| more.message.as_ref()),
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_with(Box::default)
    }
}
