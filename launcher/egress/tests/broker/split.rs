//! A real value, of every form, in every spelling, in every part of a request, cut into frames at many points, or with
//! `SHIELDRUN_CASES=full` at each one.
//!
//! Each case is a connection of its own to one broker. The twin of each way says the same with a word in the place
//! of the value, and all of it arrives, byte for byte.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use hyper::Request;
use shieldrun_egress::Note;

use crate::harness::{Body, Plan, World, full, gzip, parts};
use crate::spellings::{SPELLINGS, is_held_back, planted, step, told};

/// Where it is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Header,
    Query,
    Path,
    Json,
    Form,
    Multipart,
    Gzip,
    Zlib,
    Deflate,
    Brotli,
    Zstd,
}

const IN_HEADS: &[Way] = &[Way::Header, Way::Query, Way::Path];
const PLAIN: &[Way] = &[Way::Json, Way::Form, Way::Multipart];
const PACKED: &[Way] = &[Way::Gzip, Way::Zlib, Way::Deflate, Way::Brotli, Way::Zstd];

/// What frames the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// Chunks.
    Http1,
    /// DATA frames.
    Http2,
}

const WIRES: &[Wire] = &[Wire::Http1, Wire::Http2];

impl Way {
    /// Its body, where it has one, and what the body is said to be.
    fn body(self, written: &[u8]) -> Option<(&'static str, &'static str, Vec<u8>)> {
        let within = |before: &str, behind: &str| [before.as_bytes(), written, behind.as_bytes()].concat();
        let text = within("some text before, ", " and some behind");
        let packed = |mut encoder: Box<dyn Encode>| {
            encoder.write_all(&text).expect("into memory");
            encoder.done()
        };
        Some(match self {
            Self::Header | Self::Query | Self::Path => return None,
            Self::Json => ("application/json", "identity", within(r#"{"a":""#, r#"","b":1}"#)),
            Self::Form => ("application/x-www-form-urlencoded", "identity", within("a=1&text=", "&c=2")),
            Self::Multipart => {
                let head = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
                ("multipart/form-data; boundary=x", "identity", within(head, "\r\n--x--\r\n"))
            }
            Self::Gzip => ("text/plain", "gzip", gzip(&text)),
            Self::Zlib => {
                let encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                ("text/plain", "deflate", packed(Box::new(encoder)))
            }
            Self::Deflate => {
                let encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                ("text/plain", "deflate", packed(Box::new(encoder)))
            }
            Self::Brotli => ("text/plain", "br", brotli(&text)),
            Self::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                ("text/plain", "zstd", ruzstd::encoding::compress_to_vec(text.as_slice(), level))
            }
        })
    }

    /// A request whose body is in two frames, cut there; `None` where no such request can be written.
    fn request(self, world: &World, written: &[u8], cut: usize) -> Option<Request<Body>> {
        if let Some((kind, coding, body)) = self.body(written) {
            let (first, second) = body.split_at(cut.min(body.len()));
            let request = world.request("POST", "/x").header("content-type", kind);
            let request = request.header("content-encoding", coding);
            return request.body(parts([first, second].map(<[u8]>::to_vec))).ok();
        }
        let text = || std::str::from_utf8(written).ok();
        let request = match self {
            Self::Query => world.request("GET", &format!("/?q={}&r=1", text()?)),
            Self::Path => world.request("GET", &format!("/a/{}/b", text()?)),
            _ => world.request("GET", "/").header("x-note", [b"a ".as_slice(), written, b" b"].concat()),
        };
        request.body(full("")).ok()
    }
}

trait Encode: std::io::Write {
    fn done(self: Box<Self>) -> Vec<u8>;
}

impl Encode for ZlibEncoder<Vec<u8>> {
    fn done(self: Box<Self>) -> Vec<u8> {
        (*self).finish().expect("into memory")
    }
}

impl Encode for DeflateEncoder<Vec<u8>> {
    fn done(self: Box<Self>) -> Vec<u8> {
        (*self).finish().expect("into memory")
    }
}

/// One stored block and an empty last one: there is no writer of Brotli among the libraries.
fn brotli(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len() - 1).ok().filter(|length| *length < 1 << 16).expect("short");
    // From the lowest bit: a window of 64 KiB, not the last, a length of four digits, the length, stored.
    let head = (length << 4 | 1 << 20).to_le_bytes();
    [&head[..3], text, &[3]].concat()
}

/// Sends a request; the status of its answer.
async fn sent(world: &World, wire: Wire, request: Request<Body>) -> u16 {
    let (response, _) = match wire {
        Wire::Http1 => world.ask(request).await,
        Wire::Http2 => world.ask_h2(request).await,
    };
    response.status().as_u16()
}

/// A value in some spelling, somewhere.
#[derive(Clone, Copy)]
struct Case<'a> {
    name: &'a str,
    spelling: &'a str,
    way: Way,
    wire: Wire,
    written: &'a [u8],
}

impl Case<'_> {
    /// Sends it, its body cut there. Says what is wrong where it was not stopped, or where some of the value arrived
    /// that is to be held back; `None` where no such request can be written.
    async fn is_stopped(&self, world: &World, cut: usize) -> Option<Result<(), String>> {
        let Self { name, spelling, way, wire, written } = *self;
        let request = way.request(world, written, cut)?;
        let (before, noted) =
            (world.asked.lock().expect("no test panics with it").len(), world.notes.count());
        let status = sent(world, wire, request).await;
        let notes = world.notes.since(noted);
        let asked = world.asked.lock().expect("no test panics with it");
        let arrived = |what: &[u8]| {
            asked[before..].iter().any(|one| one.body.windows(what.len()).any(|part| part == what))
        };
        let middle = &written[written.len() / 2 - 8..][..16];
        let wrong = if status != 403 || !notes.iter().any(|note| matches!(note, Note::Leak { .. })) {
            "not stopped"
        } else if asked[before..].iter().any(|one| one.complete) || arrived(written) {
            "it arrived"
        } else if is_held_back(name, spelling) && arrived(middle) {
            "some of it arrived"
        } else {
            return Some(Ok(()));
        };
        Some(Err(format!("{name}, {spelling}, {way:?} over {wire:?}, cut at {cut}: {wrong}")))
    }
}

/// Every value in every spelling, each body cut at every `step`-th point, from another one on each time.
async fn all_are_stopped(wire: Wire, ways: &[Way], step: usize) {
    let world = planted(Plan::github()).build().await;
    let (mut turn, mut cases, mut bodies, mut wrong) = (0, 0, 0, Vec::new());
    for (pair, (spelling, spell)) in
        world.pairs.iter().flat_map(|pair| SPELLINGS.iter().map(move |spelling| (pair, spelling)))
    {
        let written = spell(pair.real.as_bytes());
        for way in ways {
            let case = Case { name: pair.name, spelling, way: *way, wire, written: &written };
            let length = way.body(&written).map_or(2, |(_, _, body)| body.len());
            turn += 1;
            // Each by one wire, but all by both where every cut is asked for.
            if step > 1 && (turn % 2 == 0) != (wire == Wire::Http2) {
                continue;
            }
            bodies += 1;
            for cut in (1 + turn * 37 % step.min(length - 1)..length).step_by(step) {
                wrong.extend(case.is_stopped(&world, cut).await.expect("a body takes any").err());
                cases += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}: {wrong:#?}", wrong.len());
    told(&format!("{bodies} bodies over {wire:?}, {cases} cuts"));
    assert!(2 * bodies + 1 >= 13 * SPELLINGS.len() * ways.len() && cases >= bodies, "{bodies} {cases}");
}

#[tokio::test]
async fn a_value_is_stopped_wherever_a_chunk_ends() {
    all_are_stopped(Wire::Http1, PLAIN, step(127)).await;
}

#[tokio::test]
async fn a_value_is_stopped_wherever_a_data_frame_ends() {
    all_are_stopped(Wire::Http2, PLAIN, step(127)).await;
}

#[tokio::test]
async fn a_compressed_value_is_stopped_wherever_a_chunk_ends() {
    all_are_stopped(Wire::Http1, PACKED, step(127)).await;
}

#[tokio::test]
async fn a_compressed_value_is_stopped_wherever_a_data_frame_ends() {
    all_are_stopped(Wire::Http2, PACKED, step(127)).await;
}

#[tokio::test]
async fn every_spelling_is_stopped_in_every_part_of_a_head() {
    let world = planted(Plan::github()).build().await;
    let (mut cases, mut wrong) = (0, Vec::new());
    for (pair, (spelling, spell)) in
        world.pairs.iter().flat_map(|pair| SPELLINGS.iter().map(move |spelling| (pair, spelling)))
    {
        let written = spell(pair.real.as_bytes());
        for (way, wire) in IN_HEADS.iter().flat_map(|way| WIRES.iter().map(move |wire| (*way, *wire))) {
            let case = Case { name: pair.name, spelling, way, wire, written: &written };
            // Not every spelling can be written in a head; a body takes any.
            let Some(stopped) = case.is_stopped(&world, 1).await else { continue };
            wrong.extend(stopped.err());
            cases += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}: {wrong:#?}", wrong.len());
    told(&format!("{cases} heads"));
    assert!(cases > 2000, "{cases}");
}

#[tokio::test]
async fn a_value_in_the_clear_is_stopped_at_each_cut() {
    let world = planted(Plan::github()).build().await;
    for wire in WIRES {
        for pair in world.pairs.iter().filter(|pair| ["GITHUB_TOKEN", "APP_PASSWORD"].contains(&pair.name)) {
            for (spelling, spell) in SPELLINGS.iter().filter(|(name, _)| ["raw", "base64"].contains(name)) {
                let written = spell(pair.real.as_bytes());
                let case = Case { name: pair.name, spelling, way: Way::Json, wire: *wire, written: &written };
                let length = case.way.body(&written).map_or(0, |(_, _, body)| body.len());
                for cut in 1..length {
                    assert_eq!(case.is_stopped(&world, cut).await, Some(Ok(())));
                }
            }
        }
    }
}

async fn arrives(world: &World, way: Way, wire: Wire, written: &[u8], cut: usize) {
    let request = way.request(world, written, cut).expect("a word fits everywhere");
    let case = format!("{way:?} over {wire:?}, cut at {cut}");
    let noted = world.notes.count();
    assert_eq!(sent(world, wire, request).await, 200, "{case}");
    assert_eq!(world.notes.count(), noted, "{case}: {:?}", world.notes.all());
    let asked = world.asked.lock().expect("no test panics with it").last().expect("it arrived").clone();
    match way.body(written) {
        Some((_, _, body)) => assert!(asked.body == body && asked.complete, "{case}"),
        None => {
            let written = std::str::from_utf8(written).expect("a word");
            assert!(format!("{} {:?}", asked.uri, asked.headers).contains(written), "{case}");
        }
    }
}

#[tokio::test]
async fn the_twins_arrive_byte_for_byte_wherever_they_are_cut() {
    let world = planted(Plan::github()).build().await;
    let harmless = format!("{}_{}", "ghp", "n0thing".repeat(6)).into_bytes();
    let ways = [IN_HEADS, PLAIN, PACKED].concat();
    for (way, wire) in ways.iter().flat_map(|way| WIRES.iter().map(move |wire| (*way, *wire))) {
        let length = way.body(&harmless).map_or(2, |(_, _, body)| body.len());
        for cut in (1..length).step_by(step(if wire == Wire::Http2 { 3 } else { 11 })) {
            arrives(&world, way, wire, &harmless, cut).await;
        }
    }
    // What begins as a value does and goes on otherwise is held back for a moment, and arrives.
    let begun = format!("{}0therwise", &world.pairs[0].real[..20]).into_bytes();
    for cut in 1..Way::Json.body(&begun).map_or(0, |(_, _, body)| body.len()) {
        arrives(&world, Way::Json, Wire::Http2, &begun, cut).await;
    }
}
