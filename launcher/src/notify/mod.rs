//! Tells somebody that a run waits, was refused or was stopped: Slack, Linear, any server, a program.
//!
//! Owns delivery: all receivers at once, each with its retries, all within one time. A notice that fails loses
//! nothing: the verdict is on disk before the first byte leaves, and what became of each notice is returned for
//! the record. Real values are painted over in every text before it is put into any form.

mod message;
mod program;
mod request;
mod slack;
mod text;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shieldrun_policy::schema::{Address, Notify, Reference};
use shieldrun_secrets::Redactor;

use crate::web::Web;
pub(crate) use message::{MOST, Message};
use request::{Meaning, Request};

/// What became of one notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Whom: `slack`, `linear`, `webhook`, `command`.
    pub(crate) whom: &'static str,
    /// At which attempt, or why not.
    pub(crate) outcome: Result<u32, String>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Where the launcher stands, for what the policy names.
pub(crate) struct Surroundings<'a> {
    /// The person's home.
    pub(crate) home: Option<&'a Path>,
    /// Where the command could write: no program of it is run outside.
    pub(crate) writable: &'a [PathBuf],
}

/// Linear's own endpoint.
const LINEAR: &str = "https://api.linear.app/graphql";

/// Somebody who is told.
enum Receiver {
    Server(Box<Request>),
    Program(Vec<String>),
}

/// Tells everybody whom the policy names, and waits for all of them, but not longer than the policy says.
pub(crate) fn tell(
    notify: &Notify,
    message: &Message,
    redactor: &Redactor<'_>,
    around: &Surroundings<'_>,
) -> Vec<Told> {
    let begun = Instant::now();
    // A century ahead is no deadline that a clock cannot hold.
    let deadline = begun + notify.deadline.min(Duration::from_secs(3600));
    let message = message.clone().painted(redactor);
    let receivers = receivers(notify, &message, around);
    let is_https =
        |receiver: &Receiver| matches!(receiver, Receiver::Server(to) if to.url.starts_with("https:"));
    let needs_tls = receivers.values().any(|receiver| receiver.as_ref().is_ok_and(is_https));
    let web = Web::new(needs_tls);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let (web, message) = (&web, &message);
        let threads: Vec<_> = receivers
            .into_iter()
            .map(|(whom, receiver)| {
                let thread = scope.spawn(move || {
                    let outcome = receiver.and_then(|receiver| match receiver {
                        Receiver::Server(request) => request::deliver(web, &request, deadline),
                        Receiver::Program(words) => program::run(&words, message, deadline).map(|()| 1),
                    });
                    (outcome, begun.elapsed())
                });
                (whom, thread)
            })
            .collect();
        threads.into_iter().map(|(whom, thread)| (whom, thread.join())).collect()
    });
    outcomes
        .into_iter()
        .map(|(whom, joined)| {
            let (outcome, took) =
                joined.unwrap_or_else(|_| (Err("the launcher failed at it".to_owned()), begun.elapsed()));
            // A server's own words may hold what it was sent.
            Told { whom, outcome: outcome.map_err(|why| text::painted(redactor, &why)), took }
        })
        .collect()
}

/// Everybody whom the policy names; an error where the place of a secret has none.
fn receivers(
    notify: &Notify,
    message: &Message,
    around: &Surroundings<'_>,
) -> BTreeMap<&'static str, Result<Receiver, String>> {
    let mut all = BTreeMap::new();
    let secret = |reference: &Reference| secret_at(reference, around.home);
    let address = |address: &Address| match address {
        Address::Plain(url) => Ok(url.clone()),
        Address::Secret(reference) => secret(reference),
    };
    let server = |request: Request| Receiver::Server(Box::new(request));
    if let Some(reference) = &notify.slack {
        let request = secret(reference).map(|url| Request {
            url,
            headers: Vec::new(),
            body: slack::body(message),
            meaning: Meaning::Status,
        });
        all.insert("slack", request.map(server));
    }
    if let Some(linear) = &notify.linear {
        let url = linear.url.as_ref().map_or_else(|| Ok(LINEAR.to_owned()), address);
        let request = url.and_then(|url| {
            Ok(Request {
                url,
                headers: vec![("Authorization", secret(&linear.api_key)?)],
                body: message::linear(message, &linear.team),
                meaning: Meaning::Linear,
            })
        });
        all.insert("linear", request.map(server));
    }
    if let Some(webhook) = &notify.webhook {
        let request = address(&webhook.url).and_then(|url| {
            let mut headers = vec![("Idempotency-Key", format!("{}-{}", message.run_id, message.event))];
            if let Some(reference) = &webhook.authorization {
                headers.push(("Authorization", secret(reference)?));
            }
            Ok(Request { url, headers, body: message.to_json(), meaning: Meaning::Status })
        });
        all.insert("webhook", request.map(server));
    }
    if !notify.command.is_empty() {
        let words = program::find(&notify.command, around).map(Receiver::Program);
        all.insert("command", words);
    }
    all
}

/// The secret at its place, without the newline that editors put behind it.
fn secret_at(reference: &Reference, home: Option<&Path>) -> Result<String, String> {
    let value = match reference {
        Reference::Variable(name) => match std::env::var(name) {
            Ok(value) => value,
            Err(std::env::VarError::NotPresent) => {
                return Err(format!("`{reference}` is not set; set it where shieldrun is started"));
            }
            Err(std::env::VarError::NotUnicode(_)) => return Err(format!("`{reference}` is not text")),
        },
        Reference::File(path) => {
            let path = match (path.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => home.join(rest),
                (Some(_), None) => return Err(format!("`{reference}`: there is no home directory")),
                (None, _) => PathBuf::from(path),
            };
            read_secret(&path).map_err(|error| format!("cannot read `{reference}`: {error}"))?
        }
    };
    let value = value.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(format!("`{reference}` is empty"));
    }
    Ok(value.to_owned())
}

/// A regular file of sane size; a FIFO must not hang us.
fn read_secret(path: &Path) -> io::Result<String> {
    const MOST: u64 = 64 << 10;
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}
