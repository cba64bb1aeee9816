//! The interpreter of the format table: does this text have that form, and what would another of the same
//! form be, checksum and all.

use alloc::vec::Vec;
use core::ops::Range;

use crate::checksum::{bech32, crc32, crc32_base64, marvin_key, marvin_storage, nkey, radix, sha256_base32};
use crate::derive::Stream;
use crate::kinds::{Anchor, Check, INDEX, Kind, Part, Set, anchored};
use crate::lanes::Lanes;
use crate::runs::{Watch, go_through};
use crate::sieve;

const MARKER: &[u8; 9] = b"SHIELDRUN";

/// A text that has a known form.
pub(crate) struct Form {
    pub(crate) kind: &'static Kind,
    pub(crate) len: usize,
    parts: Vec<(Part, Range<usize>)>,
}

/// Whether forms that many harmless strings have as well count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weak {
    /// Something else says that a secret is here.
    Count,
    /// Only the text speaks.
    Ignore,
}

impl Weak {
    fn wants(self, kind: &Kind) -> bool {
        self == Weak::Count || !kind.weak
    }
}

/// The first form of a prefix that starts right here and is as wanted. Longer than its form is another thing.
fn prefixed(text: &[u8], weak: Weak, wanted: impl Fn(&Form) -> bool) -> Option<Form> {
    let (first, second) = (*text.first()?, *text.get(1)?);
    let mut kinds = INDEX.starting_with(first, second).filter(|(kind, _)| weak.wants(kind));
    kinds.find_map(|(kind, prefix)| {
        form(kind, text.strip_prefix(prefix.as_bytes())?, prefix.len()).filter(&wanted)
    })
}

fn form(kind: &'static Kind, rest: &[u8], offset: usize) -> Option<Form> {
    let mut parts = Vec::new();
    let len = match_parts(kind.parts, rest, offset, &mut parts)?;
    Some(Form { kind, len, parts })
}

/// The form of the whole text. A plain form is only asked when no telling one has it: an Azure key may begin with
/// the three letters that are all there is to know of Facebook's tokens.
pub(crate) fn form_of(text: &[u8], weak: Weak) -> Option<Form> {
    let whole = |form: &Form| form.len == text.len();
    let telling = prefixed(text, Weak::Ignore, whole).or_else(|| anchored_whole(text, |kind| !kind.weak));
    match weak {
        Weak::Ignore => telling,
        Weak::Count => telling
            .or_else(|| prefixed(text, Weak::Count, whole))
            .or_else(|| anchored_whole(text, |kind| kind.weak)),
    }
}

fn anchored_whole(text: &[u8], wanted: impl Fn(&Kind) -> bool) -> Option<Form> {
    anchored().filter(|(kind, _)| wanted(kind)).find_map(|(kind, anchor)| {
        let (distance, mark) = match anchor {
            Anchor::At(distance, mark) => (distance, mark),
            Anchor::AfterDigits(mark) => {
                (text.iter().take(16).take_while(|b| b.is_ascii_digit()).count(), mark)
            }
        };
        let form = || form(kind, text, 0).filter(|form| form.len == text.len());
        text.get(distance..)?.starts_with(mark.as_bytes()).then(form).flatten()
    })
}

/// Every known credential inside a text, left to right, none inside another.
pub(crate) fn forms_in(text: &[u8]) -> Vec<(usize, Form)> {
    let mut forms = Forms::new(text, Lanes::PLAIN);
    go_through(text, Lanes::PLAIN, &mut forms);
    forms.found()
}

/// The forms in a text, as it is gone through.
pub(crate) struct Forms<'a> {
    text: &'a [u8],
    lanes: Lanes,
    /// How far anchors have been looked for.
    done: usize,
    found: Vec<(usize, Form)>,
}

impl<'a> Forms<'a> {
    pub(crate) const fn new(text: &'a [u8], lanes: Lanes) -> Self {
        Self { text, lanes, done: 0, found: Vec::new() }
    }

    /// Where something known begins.
    #[cold]
    pub(crate) fn begin(&mut self, at: usize) {
        self.prefixed(at);
        // What was seen is the beginning of the last word of a prefix.
        for lead in LEADS {
            if self.text[..at].ends_with(lead.as_bytes()) {
                self.prefixed(at - lead.len());
            }
        }
    }

    fn prefixed(&mut self, start: usize) {
        if begins(self.text, start)
            && let Some(form) = prefixed(&self.text[start..], Weak::Ignore, |_| true)
        {
            self.found.push((start, form));
        }
    }

    /// Left to right, none inside another.
    pub(crate) fn found(self) -> Vec<(usize, Form)> {
        outermost(self.found)
    }
}

impl Watch for Forms<'_> {
    #[inline]
    fn start(&mut self, at: usize) {
        if sieve::BEGIN.may(self.text, at) {
            self.begin(at);
        }
    }

    #[inline(never)]
    fn long(&mut self, stretch: Range<usize>) {
        let (text, found) = (self.text, &mut self.found);
        let stretch = stretch.start.max(self.done)..stretch.end;
        self.done = sieve::ANCHORS.places(self.lanes, text, stretch, |at| {
            found.extend(around_anchor(text, at).filter(|(start, _)| begins(text, *start)));
        });
    }

    fn value(&mut self, _: Range<usize>) {}
}

/// The first words of prefixes that have two.
const LEADS: &[&str] = &["FlyV1 "];

fn begins(text: &[u8], at: usize) -> bool {
    at == 0 || !text[at - 1].is_ascii_alphanumeric()
}

fn outermost(mut found: Vec<(usize, Form)>) -> Vec<(usize, Form)> {
    found.sort_by_key(|(at, _)| *at);
    let mut end = 0;
    found.retain(|(at, form)| {
        let outside = *at >= end;
        if outside {
            end = at + form.len;
        }
        outside
    });
    found
}

/// The forms without a prefix whose anchor is at this place, or whose anchor's digits end here.
fn around_anchor(text: &[u8], at: usize) -> impl Iterator<Item = (usize, Form)> {
    let is_at = move |at: usize, mark: &str| text[at..].starts_with(mark.as_bytes());
    anchored().filter(|(kind, _)| !kind.weak).filter_map(move |(kind, anchor)| {
        let start = match anchor {
            Anchor::At(distance, mark) if is_at(at, mark) => at.checked_sub(distance)?,
            Anchor::AfterDigits(mark) if is_at(at + 1, mark) => {
                at + 1 - text[..=at].iter().rev().take(16).take_while(|b| b.is_ascii_digit()).count()
            }
            _ => return None,
        };
        Some((start, form(kind, &text[start..], 0)?))
    })
}

fn match_parts(
    parts: &'static [Part],
    text: &[u8],
    offset: usize,
    out: &mut Vec<(Part, Range<usize>)>,
) -> Option<usize> {
    let Some((part, rest)) = parts.split_first() else {
        // What comes next must not go on with what we matched.
        let dash = matches!(out.last(), Some((Part::Body(set, ..) | Part::Sum(set, _), _)) if set.has(b'-'));
        let over = match text {
            [next, ..] if next.is_ascii_alphanumeric() || *next == b'_' => true,
            [b'-', rest @ ..] => {
                dash && rest.iter().find(|b| !b"-_".contains(b)).is_some_and(u8::is_ascii_alphanumeric)
            }
            _ => false,
        };
        return (!over).then_some(offset);
    };
    let mut try_len = |len: usize| {
        let depth = out.len();
        out.push((*part, offset..offset + len));
        let end = match_parts(rest, &text[len..], offset + len, out);
        if end.is_none() {
            out.truncate(depth);
        }
        end
    };
    match *part {
        Part::Lit(lit) => text.starts_with(lit.as_bytes()).then(|| try_len(lit.len())).flatten(),
        Part::Any(words) => {
            words.iter().find_map(|w| text.starts_with(w.as_bytes()).then(|| try_len(w.len())).flatten())
        }
        Part::Body(set, min, max) | Part::Kept(set, min, max) => {
            let most = text.iter().take(usize::from(max)).take_while(|b| set.has(**b)).count();
            (usize::from(min)..=most).rev().find_map(try_len)
        }
        Part::Sum(set, len) => {
            let len = usize::from(len);
            (text.len() >= len && text[..len].iter().all(|b| set.has(*b))).then(|| try_len(len)).flatten()
        }
    }
}

impl Form {
    /// The parts that are secret, as ranges of the text.
    pub(crate) fn secret_ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.parts.iter().filter(|(p, _)| matches!(p, Part::Body(..))).map(|(_, r)| r.clone())
    }

    /// Whether the checksum is right, or `None` if the format has none.
    pub(crate) fn checksum_holds(&self, text: &[u8]) -> Option<bool> {
        let (_, range) = self.parts.iter().find(|(part, _)| matches!(part, Part::Sum(..)))?;
        Some(self.sum(&text[..self.len], range).is_some_and(|sum| sum == text[range.clone()]))
    }

    /// `ghp_xxxxxxxx…` and the like, as documentation has them.
    pub(crate) fn is_obviously_fake(&self, text: &[u8]) -> bool {
        self.secret_ranges().all(|range| {
            let body = &text[range];
            let same = body.iter().filter(|b| b.eq_ignore_ascii_case(&body[0])).count();
            let crossed =
                body.iter().filter(|b| b.eq_ignore_ascii_case(&b'x') || **b == b'.' || **b == b'*').count();
            same == body.len() || crossed * 2 > body.len()
        })
    }

    /// Makes the checksum wrong, the form staying right.
    pub(crate) fn break_checksum(&self, text: &mut [u8]) {
        for (part, range) in &self.parts {
            let Part::Sum(set, _) = part else { continue };
            let letter = &mut text[range.start];
            let alphabet = set.alphabet();
            let at = alphabet.iter().position(|b| b == letter).unwrap_or(0);
            // Half the alphabet on: in base64 and base32 the first character's high bits always count.
            *letter = alphabet[(at + alphabet.len() / 2) % alphabet.len()];
        }
    }

    /// Another text of the same form, which shares no eight secret characters in a row with the real one.
    pub(crate) fn synthetic(&self, stream: &mut Stream, real: &[u8]) -> Vec<u8> {
        let mut out = self.drawn(stream, real);
        // By chance that happens once in a million times, with hexadecimal.
        for _ in 0..16 {
            if !self.shares_a_run(real, &out) {
                break;
            }
            out = self.drawn(stream, real);
        }
        out
    }

    fn shares_a_run(&self, real: &[u8], out: &[u8]) -> bool {
        let mut runs: Vec<u64> = self.runs(real).collect();
        runs.sort_unstable();
        self.runs(out).any(|run| runs.binary_search(&run).is_ok())
    }

    /// Every eight secret characters in a row, each as one number.
    pub(crate) fn runs<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        let eight = |window: &[u8]| window.first_chunk().map(|chunk| u64::from_le_bytes(*chunk));
        self.secret_ranges().flat_map(move |range| text[range].windows(8).filter_map(eight))
    }

    fn drawn(&self, stream: &mut Stream, real: &[u8]) -> Vec<u8> {
        let mut out = real[..self.len].to_vec();
        let mut marked = false;
        for (part, range) in &self.parts {
            let Part::Body(set, _, _) = part else { continue };
            let body = &mut out[range.clone()];
            draw(stream, *set, &real[range.clone()], body);
            match (self.kind.name, self.kind.check) {
                ("aws-access-key-id", _) => {
                    // `AKIA7…` decodes to an account number that cannot exist, so no such key is anybody's.
                    body[0] = b'7';
                    body[1..10].copy_from_slice(MARKER);
                    marked = true;
                }
                (_, Check::Crc16Nkey) => {
                    // The first character carries a bit of the prefix, which is zero.
                    body[0] = b'A' + body[0] % 16;
                    body[1..10].copy_from_slice(MARKER);
                }
                // The last character carries one bit of the key; four spare ones must be zero.
                (_, Check::Bech32) => body[range.len() - 1] = if body[0] & 1 == 0 { b'Q' } else { b'S' },
                _ => {}
            }
            if !marked && range.len() >= 17 && self.kind.check != Check::Crc16Nkey {
                marked = mark(*set, body);
            }
        }
        for (part, range) in &self.parts {
            if let Part::Sum(..) = part
                && let Some(sum) = self.sum(&out, range)
            {
                out[range.clone()].copy_from_slice(&sum);
            }
        }
        out
    }

    fn sum(&self, text: &[u8], range: &Range<usize>) -> Option<Vec<u8>> {
        let before = &text[..range.start];
        let body = || self.secret_ranges().last().map_or(&[][..], |r| &text[r]);
        let sum = match self.kind.check {
            Check::None => return None,
            Check::Crc32Base62 => radix(crc32(body()), Set::Alnum.alphabet(), 6),
            Check::Sha256Base32 => sha256_base32(before),
            Check::Crc32Hex => radix(crc32(body()), b"0123456789abcdef", 8),
            Check::Crc32HexUpper => radix(crc32(before), b"0123456789ABCDEF", 8),
            Check::Crc32HexLittle => {
                radix(crc32(before.strip_suffix(b"_").unwrap_or(before)).swap_bytes(), b"0123456789abcdef", 8)
            }
            Check::Crc32Base36 => radix(crc32(before), Set::LowerDigit.alphabet(), 7),
            Check::Crc32Base64 => crc32_base64(body()),
            Check::MarvinStorage => marvin_storage(before, false)?,
            Check::MarvinCosmos => marvin_storage(before, true)?,
            Check::MarvinKey => marvin_key(before)?,
            Check::Bech32 => bech32(before)?,
            Check::Crc16Nkey => nkey(text)?,
        };
        (sum.len() == range.len()).then_some(sum)
    }
}

/// Draws each character anew; a body of one case stays of one case, punctuation stays where it is.
fn draw(stream: &mut Stream, set: Set, real: &[u8], out: &mut [u8]) {
    let upper = real.iter().any(u8::is_ascii_uppercase);
    let lower = real.iter().any(u8::is_ascii_lowercase);
    let alphabet: &[u8] = match (set, upper, lower) {
        (Set::Hex, true, false) => Set::HexUpper.alphabet(),
        (Set::HexDash, _, _) => Set::HexLower.alphabet(),
        (Set::LowerDash, _, _) => Set::LowerDigit.alphabet(),
        (Set::Loose | Set::Dotted | Set::Word, _, _) => Set::Alnum.alphabet(),
        (Set::Alnum, true, false) => Set::UpperDigit.alphabet(),
        (Set::Alnum, false, true) => Set::LowerDigit.alphabet(),
        _ => set.alphabet(),
    };
    // In these sets punctuation is structure: dots between segments, padding, the groups of a UUID.
    let structured = matches!(set, Set::Loose | Set::Dotted | Set::Word | Set::HexDash | Set::LowerDash);
    for (byte, old) in out.iter_mut().zip(real) {
        let stays = *old == b'=' || (structured && !old.is_ascii_alphanumeric());
        if !stays {
            *byte = stream.pick(alphabet);
        }
    }
}

fn mark(set: Set, body: &mut [u8]) -> bool {
    let lower_only = !body.iter().any(u8::is_ascii_uppercase) && body.iter().any(u8::is_ascii_lowercase);
    let upper = MARKER.iter().all(|b| set.has(*b));
    let lower = MARKER.iter().all(|b| set.has(b.to_ascii_lowercase()));
    if !(upper || lower)
        || !body[..9].iter().all(u8::is_ascii_alphanumeric)
            && !matches!(set, Set::Base64 | Set::Base64Url | Set::Base64Raw)
    {
        return false;
    }
    for (byte, letter) in body.iter_mut().zip(MARKER) {
        *byte = if (lower && lower_only) || !upper { letter.to_ascii_lowercase() } else { *letter };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    #[test]
    fn the_first_word_of_a_prefix_of_two_is_a_lead() {
        for prefix in KINDS.iter().flat_map(|kind| kind.prefixes) {
            let words = prefix.rsplit_once(' ');
            assert!(words.is_none_or(|(lead, _)| LEADS.iter().any(|l| l.trim_end() == lead)), "{prefix}");
        }
    }

    #[test]
    fn a_key_without_a_prefix_is_not_taken_for_a_plainer_form_by_its_first_letters() {
        let key = [b"EAA".as_slice(), &[b'q'; 73], b"ACDb0zZQCAab"].concat();
        assert_eq!(form_of(&key, Weak::Count).map(|f| f.kind.name), Some("azure-cosmos-key"));
        // The twin: without the anchor it is what it begins like.
        let token = [b"EAA".as_slice(), &[b'q'; 85]].concat();
        assert_eq!(form_of(&token, Weak::Count).map(|f| f.kind.name), Some("facebook-access-token"));
    }

    /// Worked out by another implementation: Python's `zlib`, `hashlib` and `base64`, and a Marvin32 written apart
    /// from ours and checked against Microsoft's vector. Nobody's credentials; in pieces, so that no scanner minds.
    #[test]
    fn checksums_agree_with_another_implementation() {
        for (kind, prefix, body, sum) in [
            ("cloudflare-token", "cfut_", "nmEhp1PgXZvb5nGLby2VXnEJ22BsV6JA9EeR4Sou", "55e595c7"),
            ("grafana-service-account-token", "glsa_", "Mm7ooEuCAq93KLcGV7uxaQzZXkG0JyiR_", "fe13ce3a"),
            // The one that Grafana's own documentation and tests have.
            ("grafana-service-account-token", "glsa_", "yscW25imSKJIuav8zF37RZmnbiDvB05G_", "fcaaf58a"),
            (
                "confluent-api-secret",
                "cflt",
                "bWxAtbf+ghf93dshW5DyXfRp0umn1pozztjx9eebX6N2X/QYvcTwKL",
                "J/SD3w",
            ),
            (
                "atlassian-api-token",
                "ATATT3",
                "B7Q6AoU2LvlyiWQma0rVTkMVnzxZ25417hEkI54RBxNVf88w2gSXiy1T7BWiLNTjwlAytv8u75prs4xPmrvOJdaB3lNKRqSRki7w6rNEnfDW56hzXPXe46EB3VsgvQMGkdgo35lVVuSInysX53QFlfnO8CGNJUrEgugjKF3pFVzAnQKP7izN=",
                "33570805",
            ),
            ("gitlab-token", "glpat-", "TOa754YHFhahBD1RmUfNBhuVgUR.01.0r", "07olh2w"),
            (
                "github-fine-grained-token",
                "github_pat_",
                "PkY525l4RfA68mSPx2SWrq_K4ZWKughlLnCUFaGEwrqaoZ4v3hHrap1nId65rmwSsCqjdg3XdM",
                "5TIYAGZQ",
            ),
            (
                "azure-cosmos-key",
                "",
                "atS1RpasED6dubMgJ+RgxkCEZ+O3Cy1AA3AS3zprEP0UPreO26nf8VLBbmjhvxNXaen7zAEclZIVACDb",
                "0zZQCA==",
            ),
            (
                "azure-storage-key",
                "",
                "XlXeZFI8MLwDT0qp7r7tH2MFP8E4VaQZ/lT4FsHZiKXE14bn3y048addRBhhDuIqGovtwRVqy9K3+ASt",
                "a4RBiw==",
            ),
            (
                "azure-api-key",
                "",
                "vg43UvBa2pSHPr4fhztQXkeGv4L6U1ePcyZykZv55HxcV7ZShin1JQQJ99PnKORhCXIPibbWIFuKAZDO",
                "9hD0",
            ),
        ] {
            let text = [prefix, body, sum].concat();
            let form = form_of(text.as_bytes(), Weak::Ignore).expect(kind);
            assert_eq!((form.kind.name, form.checksum_holds(text.as_bytes())), (kind, Some(true)));
            // The twin: one character of the body is another.
            let mut other = text.into_bytes();
            other[prefix.len() + 3] = if other[prefix.len() + 3] == b'a' { b'b' } else { b'a' };
            let form = form_of(&other, Weak::Ignore).expect(kind);
            assert_eq!((form.kind.name, form.checksum_holds(&other)), (kind, Some(false)));
        }
    }
}
