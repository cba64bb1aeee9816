//! Files, edited by span: secret values are replaced, every other byte stays.
//!
//! A format's parser gives the fields with their spans and how they are quoted; what is secret is decided in
//! `value`, the same way for all. What a parser does not understand is an error, and the caller makes the
//! file unreadable: no field may be missed because a line looked odd.

mod dotenv;
mod fish;
mod hcl;
pub(crate) mod json;
mod lines;
mod netrc;
mod style;
mod tfstate;
mod toml;
mod whole;
mod xml;
mod yaml;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use zeroize::Zeroize;

use crate::registry::{Place, Registry, SecretId, note};
use crate::value::{Context, Rule, in_plain_text, last_step, rewrite};
use style::Style;

/// Larger files are not parsed: the caller makes them unreadable.
///
/// ```
/// use shieldrun_secrets::{Format, MAX_PARSE, Registry, RunKey, edit};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// assert!(edit(&mut registry, Format::Dotenv, ".env", &vec![b'#'; MAX_PARSE + 1]).is_err());
/// ```
pub const MAX_PARSE: usize = 16 * 1024 * 1024;

/// How a file is written.
///
/// ```
/// use shieldrun_secrets::{Format, Registry, RunKey, edit};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// assert!(edit(&mut registry, Format::Json, "a.json", br#"{"password": "hunter2"}"#).is_ok());
/// assert!(edit(&mut registry, Format::Opaque, "a.db", b"anything").is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `NAME=value` lines.
    Dotenv,
    /// Shell start-up files.
    Shell,
    /// fish's start-up files.
    Fish,
    /// Sections and `key = value`.
    Ini,
    /// TOML 1.0.
    Toml,
    /// YAML 1.2.
    Yaml,
    /// JSON, with comments allowed.
    Json,
    /// Terraform's settings and variables.
    Hcl,
    /// Terraform's state, which marks what is sensitive.
    Tfstate,
    /// `machine … login … password …`.
    Netrc,
    /// npm's `key=value`.
    Npmrc,
    /// `host:port:database:user:password` lines.
    Pgpass,
    /// Git's own INI.
    GitConfig,
    /// One URL a line.
    GitCredentials,
    /// Maven, NuGet and the like.
    Xml,
    /// Java properties.
    Properties,
    /// Keys in armour.
    Pem,
    /// The whole file is one secret.
    PlainToken,
    /// Any text: whatever in it shows by itself to be a secret, such as a URL with a password.
    Text,
    /// `auths.*.auth` and friends.
    DockerConfig,
    /// kubectl's YAML (or JSON).
    Kubeconfig,
    /// A Google service account.
    GcpJson,
    /// Not for reading by us: always an error, so the caller blocks it.
    Opaque,
}

/// A file's new bytes.
///
/// ```
/// use shieldrun_secrets::{Format, Registry, RunKey, edit};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// let edited = edit(&mut registry, Format::Ini, "a.ini", b"[server]\nport = 80\n").unwrap();
/// assert!(edited.ids.is_empty());
/// assert_eq!(edited.bytes, b"[server]\nport = 80\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// Shown inside in place of the file.
    pub bytes: Vec<u8>,
    /// What was replaced; empty if the file holds no secret and needs no mask.
    pub ids: Vec<SecretId>,
}

/// A file that could not be parsed whole. Never quotes the file.
///
/// ```
/// use shieldrun_secrets::{Format, Registry, RunKey, edit};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// let error = edit(&mut registry, Format::Json, "a.json", b"{\n  \"password\": ").unwrap_err();
/// assert_eq!(error.line, 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unparsable {
    /// Counted from 1; 0 if no place can be named.
    pub line: usize,
    /// Counted from 1, in bytes; 0 if no place can be named.
    pub column: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// One value of a file.
struct Field {
    span: Range<usize>,
    path: String,
    style: Style,
    value: Vec<u8>,
    rule: Rule,
}

impl Drop for Field {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// Replaces every secret of a file.
///
/// ```
/// use shieldrun_secrets::{Format, Registry, RunKey, edit};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// let edited = edit(&mut registry, Format::Dotenv, ".env", b"# mine\nDB_PASSWORD=hunter2\nPORT=80\n").unwrap();
/// assert_eq!(edited.ids.len(), 1);
/// assert!(edited.bytes.starts_with(b"# mine\nDB_PASSWORD=") && edited.bytes.ends_with(b"\nPORT=80\n"));
/// ```
pub fn edit(registry: &mut Registry, format: Format, path: &str, bytes: &[u8]) -> Result<Edited, Unparsable> {
    if bytes.len() > MAX_PARSE {
        return Err(Unparsable { line: 0, column: 0, reason: "too large to be parsed" });
    }
    let fields = parse(format, bytes)?;
    let place = |field: &str| Place::File { path: String::from(path), field: String::from(field) };
    let mut written = Vec::new();
    let edited = replace(registry, &place, bytes, &fields, &mut written)?;
    // What we wrote must read back as we meant it, or it is not the same file.
    if !edited.ids.is_empty() {
        let again = parse(format, &edited.bytes)?;
        let meant = |(index, value): &(usize, Vec<u8>)| again.get(*index).is_some_and(|f| f.value == *value);
        if again.len() != fields.len() || !written.iter().all(meant) {
            return Err(whole_file("a replacement does not fit the file"));
        }
    }
    Ok(edited)
}

/// Puts the secrets of a file into the registry that nobody inside can read: the leak scan knows them, and
/// no synthetic is made.
///
/// ```
/// use shieldrun_secrets::{Format, Registry, RunKey, learn};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// learn(&mut registry, Format::Dotenv, "secret.env", b"DB_PASSWORD=tR7x9mQz2LwX\n").unwrap();
/// assert!(registry.entries()[0].synthetic().is_empty());
/// assert!(!registry.scanner().is_empty());
/// ```
///
/// # Errors
/// As [`edit`]: what cannot be parsed teaches nothing.
pub fn learn(registry: &mut Registry, format: Format, path: &str, bytes: &[u8]) -> Result<(), Unparsable> {
    let fields = parse(format, bytes)?;
    let place = |field: &str| Place::File { path: String::from(path), field: String::from(field) };
    registry.hidden = true;
    let learned = replace(registry, &place, bytes, &fields, &mut Vec::new());
    registry.hidden = false;
    learned.map(drop)
}

fn parse(format: Format, bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    match format {
        Format::Dotenv => dotenv::fields(bytes, dotenv::Dialect::Dotenv),
        Format::Shell => dotenv::fields(bytes, dotenv::Dialect::Shell),
        Format::Fish => fish::fields(bytes),
        Format::Hcl => hcl::fields(bytes),
        Format::Tfstate => tfstate::fields(bytes),
        Format::Ini => lines::fields(bytes, lines::Dialect::Ini),
        Format::Npmrc => lines::fields(bytes, lines::Dialect::Npmrc),
        Format::GitConfig => lines::fields(bytes, lines::Dialect::Git),
        Format::Properties => lines::fields(bytes, lines::Dialect::Properties),
        Format::Json | Format::DockerConfig | Format::GcpJson => json::fields(bytes),
        Format::Netrc => netrc::netrc(bytes),
        Format::Pgpass => netrc::pgpass(bytes),
        Format::GitCredentials => whole::urls(bytes),
        Format::Pem => whole::pem(bytes),
        Format::PlainToken => whole::token(bytes),
        Format::Kubeconfig if bytes.trim_ascii_start().starts_with(b"{") => json::fields(bytes),
        Format::Yaml | Format::Kubeconfig => yaml::fields(bytes),
        Format::Toml => toml::fields(bytes),
        Format::Xml => xml::fields(bytes),
        // No fields: all of it lies between fields.
        Format::Text => Ok(Vec::new()),
        Format::Opaque => Err(whole_file("not a format that can be edited")),
    }
}

/// JSON inside another value; strict, since most text that begins with `{` is none.
pub(crate) fn json_value(registry: &mut Registry, place: &Place, value: &[u8]) -> Result<Edited, Unparsable> {
    let fields = json::fields(value)?;
    replace(registry, &|_| place.clone(), value, &fields, &mut Vec::new())
}

fn replace(
    registry: &mut Registry,
    place: &dyn Fn(&str) -> Place,
    bytes: &[u8],
    fields: &[Field],
    written: &mut Vec<(usize, Vec<u8>)>,
) -> Result<Edited, Unparsable> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut ids = Vec::new();
    let mut done = 0;
    for (index, field) in fields.iter().enumerate() {
        let place = place(&field.path);
        let name = last_step(&field.path);
        let cx = Context { name: &name, place: &place, rule: field.rule };
        let Some(fresh) = rewrite(registry, &cx, &field.value) else { continue };
        gap(registry, &place, &bytes[done..field.span.start], &mut out, &mut ids);
        let raw = &bytes[field.span.clone()];
        out.extend(
            field
                .style
                .encode(&fresh.bytes, raw)
                .ok_or_else(|| at(bytes, field.span.start, "a replacement cannot be written here"))?,
        );
        fresh.ids.iter().for_each(|id| note(&mut ids, *id));
        written.push((index, fresh.bytes));
        done = field.span.end;
    }
    gap(registry, &place(""), &bytes[done..], &mut out, &mut ids);
    Ok(Edited { bytes: out, ids })
}

/// What lies between the fields (comments, other values): only what shows by itself to be a secret.
fn gap(registry: &mut Registry, place: &Place, bytes: &[u8], out: &mut Vec<u8>, ids: &mut Vec<SecretId>) {
    let cx = Context { name: "", place, rule: Rule::ByRules };
    match in_plain_text(registry, &cx, bytes) {
        Some(found) => {
            out.extend(found.bytes);
            found.ids.iter().for_each(|id| note(ids, *id));
        }
        None => out.extend_from_slice(bytes),
    }
}

/// A JSON string, quotes and all.
pub(crate) fn json_string(text: &[u8]) -> Vec<u8> {
    Style::Json.encode(text, b"").unwrap_or_default()
}

fn utf8(bytes: &[u8]) -> Result<&str, Unparsable> {
    core::str::from_utf8(bytes).map_err(|error| at(bytes, error.valid_up_to(), "not UTF-8"))
}

fn whole_file(reason: &'static str) -> Unparsable {
    Unparsable { line: 0, column: 0, reason }
}

fn at(bytes: &[u8], offset: usize, reason: &'static str) -> Unparsable {
    let before = &bytes[..offset.min(bytes.len())];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
    Unparsable { line, column, reason }
}

impl fmt::Display for Unparsable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(self.reason),
            line => write!(f, "line {line}, column {}: {}", self.column, self.reason),
        }
    }
}

impl core::error::Error for Unparsable {}
