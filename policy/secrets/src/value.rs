//! One value, from anywhere: what in it is secret, and the value with that replaced.
//!
//! Everything that is replaced passes through here, so the environment and files cannot disagree. Knows no
//! file format.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use data_encoding::{BASE64, BASE64_NOPAD};
use zeroize::Zeroizing;

use crate::entropy::{is_placeholder, longest_letters, looks_random, surely_random, tenths_of_bits};
use crate::generic::{self, Symbols};
use crate::kinds::Set;
use crate::mold::Weak;
use crate::names::{NameSays, says};
use crate::registry::{Draw, Place, Registry, Replaced, SecretId, note};
use crate::url::{UrlPart, is_database, percent_decode, percent_encode, secrets_in};
use crate::{jwt, mold, pem, special};

/// What the policy says of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Secret, whatever it looks like.
    Forced,
    /// The same, in base64.
    ForcedBase64,
    /// By the rules of this crate.
    ByRules,
}

pub(crate) struct Context<'a> {
    /// Of the variable or field alone.
    pub(crate) name: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) rule: Rule,
}

/// The value with every secret in it replaced; `None` if there is none.
pub(crate) fn rewrite(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<Replaced> {
    if value.trim_ascii().is_empty() {
        return None;
    }
    if special::is_phrase(value) {
        let id = reg.intern("recovery-phrase", cx.name, cx.place, value, Draw::Keyed, special::phrase);
        return Some(Replaced { bytes: reg.synthetic_of(id).to_vec(), ids: alloc::vec![id] });
    }
    if special::is_card(value) && cx.name.to_ascii_lowercase().contains("card") {
        let id = reg.intern("card-number", cx.name, cx.place, value, Draw::Random, special::card);
        return Some(Replaced { bytes: reg.synthetic_of(id).to_vec(), ids: alloc::vec![id] });
    }
    if let Some(found) = in_base64(reg, cx, value).or_else(|| by_content(reg, cx, value)) {
        return Some(found);
    }
    by_name(reg, cx, value)
}

/// Keys in base64, as kubectl keeps them, and the values of Kubernetes secrets: decoded, replaced, encoded.
fn in_base64(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<Replaced> {
    let forced = cx.rule == Rule::ForcedBase64;
    // "-----BEGIN " in base64.
    if !forced && !value.starts_with(b"LS0tLS1CRUdJTi") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64.decode(value).ok()?);
    let rule = if forced { Rule::Forced } else { cx.rule };
    let inner = rewrite(reg, &Context { name: cx.name, place: cx.place, rule }, &decoded)?;
    Some(Replaced { bytes: BASE64.encode(&inner.bytes).into_bytes(), ids: inner.ids })
}

/// What the value itself shows: keys, tokens of known form, URLs, and the same inside JSON.
fn by_content(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<Replaced> {
    if value.trim_ascii_start().first() == Some(&b'{')
        && let Ok(edited) = crate::edit::json_value(reg, cx.place, value)
        && !edited.ids.is_empty()
    {
        return Some(Replaced { bytes: edited.bytes, ids: edited.ids });
    }
    in_plain_text(reg, cx, value)
}

/// As above for text that is no value of its own: between the fields of a file, in a comment.
pub(crate) fn in_plain_text(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<Replaced> {
    if value.len() < 8 {
        return None;
    }
    let mut spans: Vec<(Range<usize>, Vec<u8>, SecretId)> = Vec::new();
    pem::in_text(reg, cx, value, &mut spans);
    in_urls(reg, cx, value, &mut spans);
    in_text(reg, cx, value, &mut spans);
    assemble(value, spans)
}

fn in_urls(
    reg: &mut Registry,
    cx: &Context<'_>,
    value: &[u8],
    spans: &mut Vec<(Range<usize>, Vec<u8>, SecretId)>,
) {
    for part in secrets_in(value) {
        let raw = &value[part.span.clone()];
        let decoded = percent_decode(raw);
        if is_placeholder(&decoded) || crate::entropy::contains(&decoded, b"${") || decoded.starts_with(b"$(")
        {
            continue;
        }
        let wanted = match part.what {
            UrlPart::Password => true,
            UrlPart::User => looks_random(&decoded),
            UrlPart::Query => {
                let before = &value[..part.span.start - 1];
                let start = before.iter().rposition(|b| b"?&;#".contains(b)).map_or(0, |p| p + 1);
                matches!(says(&before[start..]), NameSays::Secret | NameSays::Password)
                    || (says(&before[start..]) == NameSays::Perhaps && looks_random(&decoded))
            }
        };
        if !wanted {
            continue;
        }
        let id = match whole_form(reg, cx, &decoded) {
            Some(id) => id,
            None => {
                let kind = match part.what {
                    UrlPart::Password if is_database(&part.scheme) => "database-password",
                    UrlPart::Password => "url-password",
                    UrlPart::User => "url-token",
                    UrlPart::Query => "url-parameter",
                };
                unknown(reg, cx, kind, &decoded, Symbols::Unreserved)
            }
        };
        let fresh = percent_encode(reg.synthetic_of(id));
        spans.push((part.span, fresh, id));
    }
}

fn in_text(
    reg: &mut Registry,
    cx: &Context<'_>,
    value: &[u8],
    spans: &mut Vec<(Range<usize>, Vec<u8>, SecretId)>,
) {
    for (at, form) in mold::forms_in(value) {
        let real = &value[at..at + form.len];
        if form.is_obviously_fake(real) {
            continue;
        }
        let kind = form.kind.name;
        let id = reg.intern(kind, cx.name, cx.place, real, Draw::Keyed, |s, r| form.synthetic(s, r));
        spans.push((at..at + form.len, reg.synthetic_of(id).to_vec(), id));
    }
    let mut from = 0;
    while let Some(at) = crate::url::find(value, b"eyJ", from) {
        from = at + 3;
        if at > 0 && value[at - 1].is_ascii_alphanumeric() {
            continue;
        }
        if let Some(len) = jwt::token_at(&value[at..]) {
            let id = reg.intern("jwt", cx.name, cx.place, &value[at..at + len], Draw::Keyed, jwt::synthetic);
            spans.push((at..at + len, reg.synthetic_of(id).to_vec(), id));
            from = at + len;
        }
    }
}

fn by_name(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<Replaced> {
    let says = if cx.rule != Rule::ByRules { NameSays::Password } else { says(cx.name.as_bytes()) };
    // The name of a header in front of the credential stays, as in git's `extraheader`.
    if let Some(colon) = value.iter().position(|b| *b == b':').filter(|at| value.get(at + 1) == Some(&b' ')) {
        let header = core::str::from_utf8(&value[..colon]).unwrap_or("");
        if !header.contains(' ') && crate::names::says(header.as_bytes()) == NameSays::Secret {
            let inner = Context { name: header, place: cx.place, rule: cx.rule };
            let rest = value[colon + 2..].trim_ascii_start();
            let start = value.len() - rest.len();
            let found = by_name(reg, &inner, rest)?;
            return Some(Replaced { bytes: [&value[..start], &found.bytes].concat(), ids: found.ids });
        }
    }
    // So does an authorization scheme.
    let schemes: &[&[u8]] = match (value.get(5), value.get(6)) {
        (Some(b' '), _) => &[b"Basic ", b"basic ", b"token ", b"Token "],
        (_, Some(b' ')) => &[b"Bearer ", b"bearer "],
        _ => &[],
    };
    for &scheme in schemes {
        if let Some(rest) = value.strip_prefix(scheme).filter(|r| !r.trim_ascii().is_empty()) {
            if cx.rule == Rule::ByRules && is_placeholder(value) {
                return None;
            }
            let inner = match scheme[1] {
                b'a' => basic_auth(reg, cx, rest),
                _ => None,
            };
            let id_or = inner.or_else(|| {
                (looks_random(rest) || says == NameSays::Secret).then(|| {
                    let id = unknown(reg, cx, "bearer-token", rest, Symbols::Kept);
                    Replaced { bytes: reg.synthetic_of(id).to_vec(), ids: alloc::vec![id] }
                })
            });
            return id_or.map(|r| Replaced { bytes: [scheme, &r.bytes].concat(), ids: r.ids });
        }
    }
    if let Some(found) = connection_string(reg, cx, value) {
        return Some(found);
    }
    let wanted = match says {
        NameSays::Harmless | NameSays::Public => false,
        NameSays::Nothing => matches!(cx.place, Place::Env(_)) && surely_random(value),
        NameSays::Perhaps => looks_random(value) && is_plausible(value),
        NameSays::Secret => is_plausible(value),
        NameSays::Password => {
            cx.rule != Rule::ByRules || !(is_flag(value) || is_path(value) || is_url(value))
        }
    };
    if !wanted || (cx.rule == Rule::ByRules && is_placeholder(value)) {
        return None;
    }
    if let Some(id) = whole_form(reg, cx, value) {
        return Some(Replaced { bytes: reg.synthetic_of(id).to_vec(), ids: alloc::vec![id] });
    }
    let lower = cx.name.to_ascii_lowercase();
    if (lower.ends_with("auth") || lower.ends_with("ident"))
        && let Some(found) = basic_auth(reg, cx, value)
    {
        return Some(found);
    }
    if lower == "_password"
        && let Some(found) = base64_password(reg, cx, value)
    {
        return Some(found);
    }
    let id = named_kind(reg, cx, &lower, value, says);
    Some(Replaced { bytes: reg.synthetic_of(id).to_vec(), ids: alloc::vec![id] })
}

fn named_kind(reg: &mut Registry, cx: &Context<'_>, lower: &str, value: &[u8], says: NameSays) -> SecretId {
    let base64 = value.iter().all(|b| Set::Base64.has(*b));
    if lower.contains("secret") && lower.contains("key") && value.len() == 40 && base64 && looks_random(value)
    {
        return aws_secret(reg, cx, "aws-secret-access-key", value);
    }
    if (lower.contains("session_token") || lower.contains("security_token") || lower.contains("sessiontoken"))
        && value.len() > 100
        && base64
    {
        return aws_secret(reg, cx, "aws-session-token", value);
    }
    let kind = match says {
        NameSays::Password => "password",
        NameSays::Nothing => "high-entropy-string",
        _ => "generic-secret",
    };
    unknown(reg, cx, kind, value, Symbols::Kept)
}

fn aws_secret(reg: &mut Registry, cx: &Context<'_>, kind: &'static str, value: &[u8]) -> SecretId {
    reg.intern(kind, cx.name, cx.place, value, Draw::Keyed, |stream, real| {
        let mut out: Vec<u8> =
            real.iter().map(|b| if *b == b'=' { *b } else { stream.pick(Set::Base64.alphabet()) }).collect();
        // A session token begins with bytes that name its version.
        let at = if real.len() > 100 { 16 } else { 0 };
        if real.len() > 100 {
            out[..4].copy_from_slice(&real[..4]);
        }
        out[at..at + 9].copy_from_slice(b"SHIELDRUN");
        out
    })
}

/// `user:password` in base64, as docker's `auth` and npm's `_auth` have it.
fn basic_auth(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<Replaced> {
    let padded = BASE64.decode(value).ok();
    let bare = padded.is_none();
    let decoded = Zeroizing::new(padded.or_else(|| BASE64_NOPAD.decode(value).ok())?);
    let colon = decoded.iter().position(|b| *b == b':')?;
    let password = &decoded[colon + 1..];
    if password.is_empty() || !decoded.iter().all(|b| *b >= b' ' && *b != 0x7f) {
        return None;
    }
    let id = whole_form(reg, cx, password)
        .unwrap_or_else(|| unknown(reg, cx, "basic-auth-password", password, Symbols::Kept));
    let fresh = [&decoded[..=colon], reg.synthetic_of(id)].concat();
    let text = if bare { BASE64_NOPAD.encode(&fresh) } else { BASE64.encode(&fresh) };
    // The container itself is a secret too: whoever has it has the password.
    let outer =
        reg.intern("basic-auth", cx.name, cx.place, value, Draw::Keyed, |_, _| text.clone().into_bytes());
    Some(Replaced { bytes: reg.synthetic_of(outer).to_vec(), ids: alloc::vec![id, outer] })
}

fn base64_password(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<Replaced> {
    let decoded = Zeroizing::new(BASE64.decode(value).ok()?);
    if decoded.is_empty() || !decoded.iter().all(|b| *b >= b' ' && *b < 0x7f) {
        return None;
    }
    let id = whole_form(reg, cx, &decoded)
        .unwrap_or_else(|| unknown(reg, cx, "password", &decoded, Symbols::Kept));
    let fresh = BASE64.encode(reg.synthetic_of(id)).into_bytes();
    Some(Replaced { bytes: fresh, ids: alloc::vec![id] })
}

/// `Key=value;Key=value` or `host=… password=…`.
fn connection_string(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<Replaced> {
    let separator = if value.contains(&b';') { b';' } else { b' ' };
    if value.iter().filter(|b| **b == b'=').count() < 2 || !value.contains(&separator) {
        return None;
    }
    let mut spans = Vec::new();
    let mut at = 0;
    for pair in value.split(|b| *b == separator) {
        if let Some(equals) = pair.iter().position(|b| *b == b'=') {
            let (key, secret) = (pair[..equals].trim_ascii(), &pair[equals + 1..]);
            let named = matches!(says(key), NameSays::Secret | NameSays::Password)
                || key.eq_ignore_ascii_case(b"pwd")
                || ((key.eq_ignore_ascii_case(b"AccountKey")
                    || key.eq_ignore_ascii_case(b"SharedAccessKey"))
                    && looks_random(secret));
            if named
                && key.iter().all(|b| b.is_ascii_alphanumeric() || b" _-.".contains(b))
                && !is_placeholder(secret)
            {
                let span = at + equals + 1..at + pair.len();
                let id = unknown(reg, cx, "connection-string-secret", secret, Symbols::Kept);
                spans.push((span, reg.synthetic_of(id).to_vec(), id));
            }
        }
        at += pair.len() + 1;
    }
    assemble(value, spans)
}

/// If the whole value is one credential of known form, its entry.
fn whole_form(reg: &mut Registry, cx: &Context<'_>, value: &[u8]) -> Option<SecretId> {
    if jwt::token_at(value) == Some(value.len()) {
        return Some(reg.intern("jwt", cx.name, cx.place, value, Draw::Keyed, jwt::synthetic));
    }
    let form = mold::form_of(value, Weak::Count)?;
    Some(reg.intern(form.kind.name, cx.name, cx.place, value, Draw::Keyed, |s, r| form.synthetic(s, r)))
}

pub(crate) fn unknown(
    reg: &mut Registry,
    cx: &Context<'_>,
    kind: &'static str,
    value: &[u8],
    symbols: Symbols,
) -> SecretId {
    let draw = if looks_random(value) { Draw::Keyed } else { Draw::Random };
    reg.intern(kind, cx.name, cx.place, value, draw, |s, r| generic::synthetic(s, r, symbols))
}

fn assemble(value: &[u8], mut spans: Vec<(Range<usize>, Vec<u8>, SecretId)>) -> Option<Replaced> {
    if spans.is_empty() {
        return None;
    }
    spans.sort_by_key(|(span, _, _)| (span.start, core::cmp::Reverse(span.end)));
    let mut bytes = Vec::with_capacity(value.len());
    let mut ids = Vec::new();
    let mut done = 0;
    for (span, fresh, id) in spans {
        if span.start < done {
            continue;
        }
        bytes.extend_from_slice(&value[done..span.start]);
        bytes.extend_from_slice(&fresh);
        done = span.end;
        note(&mut ids, id);
    }
    bytes.extend_from_slice(&value[done..]);
    Some(Replaced { bytes, ids })
}

/// Whether a value could be a token at all.
pub(crate) fn is_plausible(value: &[u8]) -> bool {
    let number = value.iter().all(|b| b.is_ascii_digit() || *b == b'.') && value.len() <= 6;
    let sentence = value.iter().filter(|b| **b == b' ').count() >= 2 && !looks_random(value);
    !(number || sentence || is_flag(value) || is_path(value) || is_url(value))
}

fn is_flag(value: &[u8]) -> bool {
    ["true", "false", "yes", "no", "on", "off", "enabled", "disabled", "auto", "always", "never", "0", "1"]
        .iter()
        .any(|w| value.eq_ignore_ascii_case(w.as_bytes()))
}

/// Whether it reads like a path: it starts like one, and neither a step of it nor all of them look drawn.
pub(crate) fn is_path(value: &[u8]) -> bool {
    let starts = value.starts_with(b"/")
        || value.starts_with(b"~/")
        || value.starts_with(b"./")
        || value.starts_with(b"../");
    let plain = starts && value.len() > 1 && !value.contains(&b'=');
    plain && (has_known_root(value) || !(value.split(|b| *b == b'/').any(looks_random) || is_drawn(value)))
}

/// Whether what begins with `/` is base64 all the same: one value in 64 does, and one of those in eighty has its
/// slashes so that no step is long. Steps of a path are words, and not half of them in capitals.
fn is_drawn(value: &[u8]) -> bool {
    let count = |is: fn(&u8) -> bool| value.iter().filter(|b| is(b)).count();
    let (upper, lower) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let letters = upper + lower;
    value.starts_with(b"/")
        && value.len() >= 20
        && value.iter().all(|b| Set::Base64.has(*b))
        && upper.min(lower) * 5 >= letters
        && (value.iter().any(|b| b.is_ascii_digit() || *b == b'+')
            || (value.len() >= 32 && upper.min(lower) * 4 >= letters))
        && tenths_of_bits(value) >= 38
        && longest_letters(value) < 12
}

/// Whether a path begins as those of every Linux machine do: then a random name in it (a temporary
/// directory's) makes it no secret. A random value begins so once in sixteen million times.
fn has_known_root(path: &[u8]) -> bool {
    const ROOTS: &[&[u8]] = &[
        b"Users",
        b"Volumes",
        b"app",
        b"bin",
        b"boot",
        b"builds",
        b"data",
        b"dev",
        b"etc",
        b"home",
        b"lib",
        b"lib64",
        b"media",
        b"mnt",
        b"nix",
        b"opt",
        b"private",
        b"proc",
        b"root",
        b"run",
        b"sbin",
        b"snap",
        b"srv",
        b"sys",
        b"tmp",
        b"usr",
        b"var",
        b"workspace",
        b"workspaces",
    ];
    let mut steps = path.split(|byte| *byte == b'/');
    // A root of three letters and a single step is still within the reach of chance.
    steps.next() == Some(b"")
        && steps.next().is_some_and(|root| ROOTS.contains(&root))
        && steps.next().is_some()
}

fn is_url(value: &[u8]) -> bool {
    match crate::url::find(value, b"://", 0) {
        Some(at) => at > 0 && value[..at].iter().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(b)),
        None => false,
    }
}

/// The name of a field as the rules want it: the last step of `a.b.c`, `//host/:_authToken`.
pub(crate) fn last_step(path: &str) -> String {
    let end = path.rsplit([':', '/']).next().unwrap_or(path);
    String::from(end)
}
