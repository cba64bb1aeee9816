//! Finding secrets in any bytes, with how sure we are and why. For people and scripts; changes nothing.
//!
//! The environment and files are edited by `value`, which shares every rule with this.

use alloc::vec::Vec;
use core::ops::Range;

use crate::entropy::{is_placeholder, looks_random, surely_random, tenths_of_bits};
use crate::lanes::Lanes;
use crate::mold::{self, Forms, Weak};
use crate::names::{NameSays, says};
use crate::runs::{Watch, go_through};
use crate::sieve;
use crate::url::{UrlPart, is_database, percent_decode};
use crate::{jwt, pem, special, url};

/// How sure a finding is.
///
/// ```
/// use shieldrun_secrets::Confidence;
/// assert!(Confidence::High > Confidence::Low);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Could be one.
    Low,
    /// Reads like one.
    Medium,
    /// Has the form of one, and its checksum where there is one.
    High,
}

/// What is known of the bytes.
///
/// ```
/// use shieldrun_secrets::{Subject, detect};
/// let value = b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm";
/// assert_eq!(detect(value, Subject { name: Some("API_KEY") }).len(), 1);
/// assert!(detect(value, Subject::default()).is_empty());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// The name of the variable or field, where the bytes are its whole value.
    pub name: Option<&'a str>,
}

/// A secret, where it is and why we think so. Never holds the value.
///
/// ```
/// use shieldrun_secrets::{Subject, detect};
/// let finding = &detect(b"API_KEY=k3Jd8sLq0ZpXv7Rt2NwYb6Hm", Subject::default())[0];
/// assert_eq!((finding.kind, finding.span.clone()), ("generic-secret", 8..32));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where in the bytes.
    pub span: Range<usize>,
    /// `github-token`, …
    pub kind: &'static str,
    /// How sure.
    pub confidence: Confidence,
    /// In words.
    pub reason: &'static str,
}

/// Every secret in these bytes, left to right, none inside another.
///
/// ```
/// use shieldrun_secrets::{Confidence, Subject, detect};
/// let text = b"db = postgres://app:c0rrect-h0rse-9@db/app";
/// let found = detect(text, Subject::default());
/// assert_eq!(found[0].kind, "database-password");
/// assert_eq!(&text[found[0].span.clone()], b"c0rrect-h0rse-9");
/// assert!(detect(b"API_KEY=changeme", Subject::default()).is_empty());
/// ```
pub fn detect(bytes: &[u8], subject: Subject<'_>) -> Vec<Finding> {
    detect_by(Lanes::PLAIN, bytes, subject)
}

/// The same with the means that a processor has.
pub(crate) fn detect_by(lanes: Lanes, bytes: &[u8], subject: Subject<'_>) -> Vec<Finding> {
    let mut passes = Passes::over(bytes, lanes);
    go_through(bytes, lanes, &mut passes);
    passes.findings(subject)
}

/// What looks at a text.
struct Passes<'a> {
    bytes: &'a [u8],
    forms: Forms<'a>,
    tokens: Tokens<'a>,
    names: Names<'a>,
}

impl<'a> Passes<'a> {
    const fn over(bytes: &'a [u8], lanes: Lanes) -> Self {
        Self {
            bytes,
            forms: Forms::new(bytes, lanes),
            tokens: Tokens { bytes, done: 0, found: Vec::new() },
            names: Names { bytes, lanes, sieved: 0, done: 0, found: Vec::new() },
        }
    }

    /// With those that look by themselves: keys in armour, URLs, and what the name of all of it says.
    fn findings(mut self, subject: Subject<'_>) -> Vec<Finding> {
        let mut out = Vec::new();
        keys(self.bytes, &mut out);
        forms(self.bytes, self.forms, &mut out);
        out.append(&mut self.tokens.found);
        urls(self.bytes, &mut out);
        if let Some(name) = subject.name {
            named(self.bytes, name, &mut out);
        }
        // Of a value that is one secret, what is inside it tells nothing more.
        if subject.name.is_none() || out.is_empty() {
            out.append(&mut self.names.found);
        }
        outermost(out)
    }
}

impl Watch for Passes<'_> {
    #[inline]
    fn start(&mut self, at: usize) {
        if sieve::BEGIN.may(self.bytes, at) {
            self.forms.begin(at);
            self.tokens.begin(at);
        }
    }

    #[inline(never)]
    fn long(&mut self, stretch: Range<usize>) {
        self.forms.long(stretch);
    }

    #[inline(never)]
    fn value(&mut self, stretch: Range<usize>) {
        self.names.look_through(stretch);
    }
}

fn outermost(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by_key(|f| (f.span.start, core::cmp::Reverse((f.confidence, f.span.end))));
    let mut end = 0;
    found.retain(|f| {
        let keep = f.span.start >= end;
        if keep {
            end = f.span.end;
        }
        keep
    });
    found
}

fn keys(bytes: &[u8], out: &mut Vec<Finding>) {
    for (span, kind, decodes) in pem::private_keys(bytes) {
        let (confidence, reason) = if decodes {
            (Confidence::High, "an armoured private key")
        } else {
            (Confidence::Low, "armour of a private key around something else")
        };
        out.push(Finding { span, kind, confidence, reason });
    }
}

fn forms(bytes: &[u8], known: Forms<'_>, out: &mut Vec<Finding>) {
    for (at, form) in known.found() {
        let text = &bytes[at..at + form.len];
        if form.is_obviously_fake(text) {
            continue;
        }
        let (confidence, reason) = match form.checksum_holds(text) {
            Some(true) => (Confidence::High, "its form and its checksum"),
            Some(false) => (Confidence::Low, "its form, though the checksum is wrong"),
            None if form.secret_ranges().any(|r| is_drawn(&text[r])) => (Confidence::High, "its form"),
            None => (Confidence::Low, "its form, though it does not look drawn"),
        };
        out.push(Finding { span: at..at + form.len, kind: form.kind.name, confidence, reason });
    }
}

/// Whether a body of a known form looks as if a machine drew it; example keys often spell words or count.
fn is_drawn(body: &[u8]) -> bool {
    let digits = body.iter().filter(|b| b.is_ascii_digit()).count();
    let runs = body
        .windows(4)
        .filter(|w| w.windows(2).all(|p| p[1] == p[0] || p[1] == p[0].wrapping_add(1)))
        .count();
    body.len() >= 12
        && !crate::entropy::contains(body, b"EXAMPLE")
        && tenths_of_bits(body) >= if body.len() < 24 { 28 } else { 32 }
        && runs * 6 < body.len()
        && (digits > 0 || body.len() < 20)
        // Our own marker makes a word, and what it is in should be found again.
        && body.split(|b| !b.is_ascii_lowercase()).all(|w| w.len() < 14 || crate::entropy::contains(w, b"shieldrun"))
}

/// JSON Web Tokens.
struct Tokens<'a> {
    bytes: &'a [u8],
    /// Where the last one ended.
    done: usize,
    found: Vec<Finding>,
}

impl Tokens<'_> {
    fn begin(&mut self, at: usize) {
        if at < self.done || at > 0 && self.bytes[at - 1].is_ascii_alphanumeric() {
            return;
        }
        if let Some(len) = jwt::token_at(&self.bytes[at..]) {
            self.done = at + len;
            self.found.push(Finding {
                span: at..self.done,
                kind: "jwt",
                confidence: Confidence::High,
                reason: "three segments, the first a header",
            });
        }
    }
}

fn urls(bytes: &[u8], out: &mut Vec<Finding>) {
    for part in url::secrets_in(bytes) {
        let decoded = percent_decode(&bytes[part.span.clone()]);
        if is_placeholder(&decoded) || decoded.iter().any(|b| b"${}()<>[]*%\\".contains(b) || *b < b' ') {
            continue;
        }
        let random = looks_random(&decoded);
        let guess =
            decoded.len() >= 8 && decoded.iter().any(u8::is_ascii_digit) && !is_example_password(&decoded);
        let (kind, confidence) = match part.what {
            UrlPart::Password if is_database(&part.scheme) => ("database-password", guess.then_some(random)),
            UrlPart::Password => ("url-password", guess.then_some(random)),
            UrlPart::User if random && surely_random(&decoded) => ("url-token", Some(false)),
            UrlPart::User if random && is_drawn(&decoded) => ("url-token", None),
            UrlPart::User => continue,
            UrlPart::Query => {
                let before = &bytes[..part.span.start - 1];
                let name = before.iter().rposition(|b| b"?&;#".contains(b)).map_or(0, |p| p + 1);
                if says(&before[name..]) != NameSays::Secret || !random {
                    continue;
                }
                ("url-parameter", Some(false))
            }
        };
        let confidence = match confidence {
            Some(true) => Confidence::High,
            Some(false) => Confidence::Medium,
            None => Confidence::Low,
        };
        out.push(Finding { span: part.span, kind, confidence, reason: "its place in a URL" });
    }
}

fn is_example_password(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    ["password", "passwd", "secret", "example", "test", "pass", "1234", "foo", "bar"]
        .iter()
        .any(|word| crate::entropy::contains(&lower, word.as_bytes()))
}

/// The value of a name: what `value` would replace.
fn named(bytes: &[u8], name: &str, out: &mut Vec<Finding>) {
    let value = bytes.trim_ascii();
    if !out.is_empty() || value.is_empty() || is_placeholder(value) {
        return;
    }
    let start = bytes.len() - bytes.trim_ascii_start().len();
    let span = start..start + value.len();
    let says = says(name.as_bytes());
    let finding = |kind, confidence, reason| Finding { span: span.clone(), kind, confidence, reason };
    if special::is_phrase(value) {
        out.push(finding("recovery-phrase", Confidence::High, "words of a recovery phrase"));
    } else if special::is_card(value) && name.to_ascii_lowercase().contains("card") {
        out.push(finding("card-number", Confidence::High, "its name and its last digit"));
    } else if let Some(form) = mold::form_of(value, Weak::Count).filter(|_| says != NameSays::Nothing) {
        out.push(finding(form.kind.name, Confidence::High, "its name and its form"));
    } else {
        let random = looks_random(value);
        let plausible = crate::value::is_plausible(value);
        match says {
            NameSays::Password if plausible => out.push(finding(
                "password",
                if random { Confidence::High } else { Confidence::Medium },
                "its name",
            )),
            NameSays::Secret if random => {
                out.push(finding("generic-secret", Confidence::High, "its name and its randomness"))
            }
            NameSays::Secret if plausible => {
                out.push(finding("generic-secret", Confidence::Medium, "its name"))
            }
            NameSays::Perhaps if random && plausible => {
                out.push(finding("generic-secret", Confidence::Medium, "its name and its randomness"));
            }
            NameSays::Nothing if surely_random(value) => {
                out.push(finding("high-entropy-string", Confidence::Low, "its randomness alone"));
            }
            _ => {}
        }
    }
}

/// `name = "value"`, `name: value`, `<name>value</name>` in text of any kind.
struct Names<'a> {
    bytes: &'a [u8],
    lanes: Lanes,
    /// How far the text has been looked at.
    sieved: usize,
    /// How far names have been read.
    done: usize,
    found: Vec<Finding>,
}

impl Names<'_> {
    fn look_through(&mut self, stretch: Range<usize>) {
        let stretch = stretch.start.max(self.sieved)..stretch.end;
        self.sieved = sieve::NAMES.places(self.lanes, self.bytes, stretch, |at| self.look(at));
    }

    /// At a place inside a name that may speak of secrets.
    fn look(&mut self, at: usize) {
        const LONGEST: usize = 80;
        if at < self.done {
            return;
        }
        let bytes = self.bytes;
        let of_name = |b: &u8| b.is_ascii_alphanumeric() || b"_-.".contains(b);
        let end = at + bytes[at..].iter().take(LONGEST).take_while(|b| of_name(b)).count();
        self.done = end;
        // Quotes and brackets may close before it is said what the name is of.
        let between = bytes[end..].iter().take(LONGEST).take_while(|b| b" \t\"'`]".contains(b)).count();
        let sign = end + between;
        let element = match bytes.get(sign) {
            Some(b'=' | b':') => false,
            Some(b'>') => true,
            _ => return,
        };
        let Some(value) = value_after(bytes, sign) else { return };
        if element && bytes.get(value.end..value.end + 2) != Some(b"</") {
            return;
        }
        let floor = at.saturating_sub(LONGEST);
        let start = at - bytes[floor..at].iter().rev().take_while(|b| of_name(b)).count();
        self.assigned(&bytes[start..end], value);
    }

    fn assigned(&mut self, name: &[u8], value: Range<usize>) {
        let text = &self.bytes[value.clone()];
        let drawn = looks_random(text) && is_drawn(text);
        if !drawn || !crate::value::is_plausible(text) || is_placeholder(text) || is_identifier(text) {
            return;
        }
        let (kind, confidence) = match says(name) {
            NameSays::Password => ("password", Confidence::Medium),
            NameSays::Secret => ("generic-secret", Confidence::Medium),
            NameSays::Perhaps => ("generic-secret", Confidence::Low),
            _ => return,
        };
        let kind = mold::form_of(text, Weak::Count).map_or(kind, |form| form.kind.name);
        let reason = "its name and its randomness";
        self.found.push(Finding { span: value, kind, confidence, reason });
    }
}

/// The word or quoted string after `=`, `:`, `:=`, `=>`.
fn value_after(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let mut start = at + 1;
    while bytes.get(start).is_some_and(|b| b" \t=>".contains(b)) {
        start += 1;
    }
    let quote = bytes.get(start).copied().filter(|b| b"\"'`".contains(b));
    start += usize::from(quote.is_some());
    let rest = bytes.get(start..(start + 520).min(bytes.len()))?;
    let len = match quote {
        Some(quote) => rest.iter().position(|b| *b == quote || *b == b'\n').unwrap_or(rest.len()),
        None => rest
            .iter()
            .position(|b| b.is_ascii_whitespace() || b"\"'`,;)]}<&".contains(b))
            .unwrap_or(rest.len()),
    };
    (16..=512).contains(&len).then_some(start..start + len)
}

/// `someFunctionName2`, `module.path.to_thing`: code, not a secret.
fn is_identifier(text: &[u8]) -> bool {
    let words = text.split(|b| b"._-/:".contains(b));
    text[0].is_ascii_alphabetic()
        && words.clone().count() >= 2
        && words.clone().all(|w| w.len() < 16 && w.iter().filter(|b| b.is_ascii_digit()).count() <= 2)
        || text.iter().filter(|b| b.is_ascii_digit()).count() < 2
        || text.iter().any(|b| b"(){}[]<>$\\ ".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{RunKey, Stream};
    use crate::parts::separable;

    fn everywhere(bytes: &[u8]) -> Vec<Finding> {
        let mut passes = Passes::over(bytes, Lanes::PLAIN);
        (0..bytes.len()).for_each(|at| passes.start(at));
        passes.long(0..bytes.len());
        passes.value(0..bytes.len());
        passes.findings(Subject::default())
    }

    /// Lines as they are in files: names, signs, quotes, and values some of which are secrets.
    fn text(stream: &mut Stream, length: usize) -> Vec<u8> {
        const PIECES: &[&[u8]] = &[
            b"api_key",
            b"PASSWORD",
            b"db.passwd",
            b"authToken",
            b"sig",
            b"name",
            b"=",
            b": ",
            b" := ",
            b" => ",
            b"\"",
            b"'",
            b"`",
            b" ",
            b"          ",
            b"\t",
            b"\n",
            b"<secret>",
            b"</secret>",
            b"]",
            b", ",
            b"{",
            b"(",
            b"?",
            b"\xc3\xa9",
            b"ghp_",
            b"glpat-",
            b"xoxa-",
            b"sk_live_",
            b"AKIA",
            b"hf_",
            b"FlyV1 fm2_",
            b"re_",
            b"eyJ",
            b":A",
            b"+ASt",
            b".atlasv1.",
            b"-us1",
            b"https://",
            b"SG.",
            b"user:",
            b"@host",
            b"-----BEGIN ",
            b"-----BEGIN PRIVATE KEY-----",
            b"-----END PRIVATE KEY-----",
        ];
        let mut out = Vec::new();
        while out.len() < length {
            if stream.below(3) > 0 {
                out.extend_from_slice(PIECES[stream.below(PIECES.len())]);
                continue;
            }
            let alphabets: [&[u8]; 4] =
                [b"0123456789", b"0123456789abcdef", b"abcXYZ019_-", b"qwertyuiopASDFGHJKL0123456789+/"];
            let alphabet = alphabets[stream.below(4)];
            let count = [3, 8, 11, 12, 15, 16, 17, 24, 32, 36, 40, 70, 150][stream.below(13)];
            out.extend((0..count).map(|_| stream.pick(alphabet)));
        }
        out
    }

    #[test]
    fn spaces_and_signs_between_a_name_and_its_value_may_be_any_number() {
        for (sign, value) in
            [("=", "k3Jd8sLq0ZpXv7Rt2NwYb6Hm"), (": ", "qPzmvKdhxWbRtYngLcsj45Jd8sLq0ZpXv7Rt2NwYb6Hm")]
        {
            for count in (0..80).chain([500, 620, 630, 640, 650, 690, 700, 704, 710, 768, 1_000, 5_000]) {
                for between in [" ", "=", "\t"] {
                    let text = ["x\napi_key", sign, &between.repeat(count), value, "\n"].concat();
                    let found = detect(text.as_bytes(), Subject::default());
                    assert_eq!(found, everywhere(text.as_bytes()), "{count} of {between:?}");
                    assert_eq!(found.len(), 1, "{count} of {between:?}");
                }
            }
        }
    }

    #[test]
    fn armour_without_an_end_hides_no_key() {
        let mut stream = RunKey::from_bytes([6; 32]).keyed("armour", b"", 0);
        let body = data_encoding::BASE64.encode(&stream.bytes(60));
        let end = ["-----END ", "PRIVATE KEY-----"].concat();
        let text = |end: &str| {
            ["head = '-----BEGIN ';\n-----BEGIN PRIVATE KEY-----\n", &body, "\n", end, "\n"].concat()
        };
        let found = detect(text(&end).as_bytes(), Subject::default());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, found[0].confidence), ("private-key", Confidence::High));
        assert!(detect(text("").as_bytes(), Subject::default()).is_empty());
    }

    #[test]
    fn parts_hold_what_the_whole_holds() {
        let mut stream = RunKey::from_bytes([4; 32]).keyed("parts", b"", 0);
        let (mut cuts, mut brackets, mut count) = (0, 0, 0);
        for round in 0..10_000 {
            let mut text = text(&mut stream, 400 + round % 800);
            if round % 2 == 0 {
                // One line, with nested URLs: the other rule.
                text.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b'{');
            }
            let (mut at, mut found) = (0, Vec::new());
            while at < text.len() {
                let upto = at + 1 + stream.below(256);
                // At the end, and where it cannot be cut, all the rest is one part.
                let part = text.get(at..upto).and_then(separable);
                cuts += usize::from(part.is_some());
                let end = part.map_or(text.len(), |part| at + part);
                brackets += usize::from(part.is_some() && text[end - 1] == b'{');
                found.extend(detect(&text[at..end], Subject::default()).into_iter().map(|f| moved(f, at)));
                at = end;
            }
            count += found.len();
            assert_eq!(
                found,
                detect(&text, Subject::default()),
                "{}",
                alloc::string::String::from_utf8_lossy(&text)
            );
        }
        assert!(cuts > 1_000 && brackets > 500 && count > 5_000, "{cuts} {brackets} {count}");
    }

    fn moved(mut finding: Finding, by: usize) -> Finding {
        finding.span = finding.span.start + by..finding.span.end + by;
        finding
    }

    #[test]
    fn out_of_sight_there_is_nothing_to_find() {
        let mut stream = RunKey::from_bytes([3; 32]).keyed("stretches", b"", 0);
        let mut count = 0;
        for round in 0..20_000 {
            let text = text(&mut stream, 1 + round % 500);
            let found = detect(&text, Subject::default());
            assert_eq!(found, everywhere(&text), "{}", alloc::string::String::from_utf8_lossy(&text));
            count += found.len();
        }
        assert!(count > 2_000, "{count}");
    }
}
