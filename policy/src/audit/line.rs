//! An event as one line of JSON, in the names and the order of the record's contract.
//!
//! Fields go straight from the event to the bytes: no tree in between, because a million of these are written.

use std::net::IpAddr;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::action::{Action, Outcome, Provider, Trust};
use super::event::{Ancestor, Destination, Dropped, Event, Exit, File, Leak, Process, SecretRef, Treatment};
use super::text::Text;
use super::time::Timestamp;

/// The version of the Elastic Common Schema whose names are used.
pub const ECS_VERSION: &str = "8.17";

/// Where a line stands in its log.
#[derive(Debug, Clone, Copy)]
pub struct LinePlace<'a> {
    /// The run.
    pub run_id: &'a str,
    /// Its number, from 0.
    pub sequence: u64,
    /// SHA-256 of the line before, in hex.
    pub prev_hash: &'a str,
}

impl Event {
    /// Appends the line, without a newline.
    pub fn write_line(&self, place: LinePlace<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        if serde_json::to_writer(&mut *out, &self.wire(place)).is_err() {
            // A vector takes every byte and every field is a string or a number, so there is no way here;
            // half a line would be worse than none.
            out.truncate(start);
        }
    }

    fn wire<'a>(&'a self, place: LinePlace<'a>) -> Line<'a> {
        let more = self.more.as_deref();
        let process = self.process.as_deref();
        Line {
            timestamp: self.at,
            ecs: Ecs { version: ECS_VERSION },
            event: EventFields {
                kind: self.action.kind(),
                category: self.action.category(),
                types: self.action.types(),
                action: self.action,
                outcome: self.outcome,
                provider: self.provider,
                sequence: place.sequence,
                start: self.during.map(|(first, _)| first),
                end: self.during.map(|(_, last)| last),
                duration: more.and_then(|more| more.duration_nanos),
            },
            message: more.and_then(|more| more.message.as_ref()),
            process: process.map(|process| ProcessFields {
                pid: process.pid,
                executable: process.executable.as_ref(),
                args: &process.args,
                working_directory: process.working_directory.as_ref(),
                parent: process.parent.map(|pid| Parent {
                    pid,
                    executable: process.ancestors.first().and_then(|parent| parent.executable.as_ref()),
                }),
                exit_code: process.exit_code,
            }),
            file: self
                .file
                .as_deref()
                .map(|file| FileFields { path: &file.path, target_path: file.target_path.as_ref() }),
            destination: self.destination.as_deref().map(|to| DestinationFields {
                address: to.address.as_ref(),
                domain: to.domain.as_deref(),
                ip: to.ip,
                port: to.port,
                bytes: more.and_then(|more| more.traffic).map(|(_, received)| received),
            }),
            source: more.and_then(|more| more.traffic).map(|(bytes, _)| Source { bytes }),
            user: more.and_then(|more| more.user.as_ref()).map(|name| Named { name }),
            rule: self.rule.as_ref().map(|name| Named { name }),
            shieldrun: Own {
                run_id: place.run_id,
                seq: place.sequence,
                trust: self.trust(),
                secret: self.secret.as_deref(),
                action: self.treatment,
                count: self.count,
                pid_inside: process.and_then(|process| process.pid_inside.filter(|pid| *pid != process.pid)),
                ancestors: process.map_or(&[], |process| &process.ancestors),
                tier: more.and_then(|more| more.tier.as_deref()),
                policy_digest: more.and_then(|more| more.policy_digest.as_deref()),
                changes_digest: more.and_then(|more| more.changes_digest.as_deref()),
                exit: more.and_then(|more| more.exit.as_ref()),
                signal: more.and_then(|more| more.signal),
                syscall: more.and_then(|more| more.syscall.as_deref()),
                limit: more.and_then(|more| more.limit.as_deref()),
                leak: more.and_then(|more| more.leak.as_ref()),
                dropped: more.and_then(|more| more.dropped.as_ref()),
                raw: Raw(self),
                prev_hash: place.prev_hash,
            },
        }
    }

    /// Every text of the event with the name of its field, for those that are not UTF-8.
    fn texts(&self, each: &mut dyn FnMut(&'static str, Option<usize>, &Text)) {
        if let Some(Process { executable, args, working_directory, .. }) = self.process.as_deref() {
            executable.iter().for_each(|text| each("process.executable", None, text));
            args.iter().enumerate().for_each(|(index, text)| each("process.args", Some(index), text));
            working_directory.iter().for_each(|text| each("process.working_directory", None, text));
        }
        if let Some(File { path, target_path }) = self.file.as_deref() {
            each("file.path", None, path);
            target_path.iter().for_each(|text| each("file.target_path", None, text));
        }
        if let Some(Destination { address, .. }) = self.destination.as_deref() {
            address.iter().for_each(|text| each("destination.address", None, text));
        }
        self.rule.iter().for_each(|text| each("rule.name", None, text));
        if let Some(more) = self.more.as_deref() {
            more.message.iter().for_each(|text| each("message", None, text));
            more.user.iter().for_each(|text| each("user.name", None, text));
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: Timestamp,
    ecs: Ecs,
    event: EventFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<DestinationFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Named<'a>>,
    shieldrun: Own<'a>,
}

#[derive(Serialize)]
struct Ecs {
    version: &'static str,
}

#[derive(Serialize)]
struct EventFields {
    kind: &'static str,
    category: &'static [&'static str],
    #[serde(rename = "type")]
    types: &'static [&'static str],
    action: Action,
    outcome: Outcome,
    provider: Provider,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
}

#[derive(Serialize)]
struct ProcessFields<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<&'a Text>,
    #[serde(skip_serializing_if = "<[Text]>::is_empty")]
    args: &'a [Text],
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<&'a Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Parent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
}

#[derive(Serialize)]
struct Parent<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<&'a Text>,
}

#[derive(Serialize)]
struct FileFields<'a> {
    path: &'a Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_path: Option<&'a Text>,
}

#[derive(Serialize)]
struct DestinationFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// What came from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

/// The guest, as the end of a connection.
#[derive(Serialize)]
struct Source {
    bytes: u64,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a Text,
}

#[derive(Serialize)]
struct Own<'a> {
    run_id: &'a str,
    seq: u64,
    trust: Trust,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a SecretRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Treatment>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid_inside: Option<u32>,
    #[serde(skip_serializing_if = "<[Ancestor]>::is_empty")]
    ancestors: &'a [Ancestor],
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<&'a Exit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syscall: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leak: Option<&'a Leak>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<&'a Dropped>,
    #[serde(skip_serializing_if = "Raw::is_empty")]
    raw: Raw<'a>,
    prev_hash: &'a str,
}

/// `shieldrun.raw`: the field's name to the base64 of its bytes, for each that is not UTF-8.
struct Raw<'a>(&'a Event);

impl Raw<'_> {
    fn is_empty(&self) -> bool {
        let mut empty = true;
        self.0.texts(&mut |_, _, text| empty &= text.raw().is_none());
        empty
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut raw: Vec<(String, String)> = Vec::new();
        self.0.texts(&mut |field, index, text| {
            if let Some(bytes) = text.raw() {
                let field = index.map_or_else(|| field.to_owned(), |index| format!("{field}.{index}"));
                raw.push((field, data_encoding::BASE64.encode(bytes)));
            }
        });
        let mut map = serializer.serialize_map(Some(raw.len()))?;
        for (field, base64) in raw {
            map.serialize_entry(&field, &base64)?;
        }
        map.end()
    }
}
