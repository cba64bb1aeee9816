//! A real value, in every spelling, in every part of a request and of a socket, cut into frames at every point.
//!
//! Each case is a connection of its own to one broker. The twin of each way says the same with a word in the place
//! of the value, and all of it arrives, byte for byte.

use std::io::Write as _;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use hyper::Request;
use shieldrun_egress::Note;

use crate::harness::{Body, Plan, World, full, gzip, parts, word};

/// A value as some program writes it.
type Spelling = (&'static str, fn(&str) -> String);

const SPELLINGS: &[Spelling] = &[
    ("raw", str::to_owned),
    ("base64", |value| BASE64.encode(value.as_bytes())),
    ("base64 behind one byte", |value| BASE64.encode(format!("a{value}bc").as_bytes())),
    ("base64 behind two bytes", |value| BASE64.encode(format!("ab{value}c").as_bytes())),
    ("base64url", |value| BASE64URL_NOPAD.encode(value.as_bytes())),
    ("base64url behind one byte", |value| BASE64URL_NOPAD.encode(format!("a{value}bc").as_bytes())),
    ("base64 twice", |value| BASE64.encode(BASE64.encode(value.as_bytes()).as_bytes())),
    ("hex", |value| HEXLOWER.encode(value.as_bytes())),
    ("upper hex", |value| HEXUPPER.encode(value.as_bytes())),
    ("spaced hex", |value| value.bytes().map(|b| format!("{b:02x} ")).collect()),
    ("percent", |value| escaped(value, |b| b.is_ascii_alphanumeric(), |b| format!("%{b:02X}"))),
    ("lower percent", |value| escaped(value, |b| b.is_ascii_alphanumeric(), |b| format!("%{b:02x}"))),
    ("all percent", |value| escaped(value, |_| false, |b| format!("%{b:02X}"))),
    ("all lower percent", |value| escaped(value, |_| false, |b| format!("%{b:02x}"))),
    ("json", |value| escaped(value, |b| !b"\"\\".contains(&b), |b| format!("\\{}", char::from(b)))),
    ("json of PHP", |value| escaped(value, |b| !b"\"\\/".contains(&b), |b| format!("\\{}", char::from(b)))),
    ("json of all", |value| escaped(value, |_| false, |b| format!("\\u{b:04x}"))),
    ("x escapes", |value| escaped(value, |_| false, |b| format!("\\x{b:02x}"))),
    ("single quotes", |value| value.replace('\'', r"'\''")),
    ("double quotes", |value| {
        escaped(value, |b| !b"\"\\$`".contains(&b), |b| format!("\\{}", char::from(b)))
    }),
    ("printf %q", |value| {
        escaped(value, |b| b.is_ascii_alphanumeric() || b == b'/', |b| format!("\\{}", char::from(b)))
    }),
    ("reversed", |value| value.chars().rev().collect()),
    ("one letter at a time", |value| value.chars().flat_map(|c| [c, ' ']).collect()),
    ("gzip in base64", |value| BASE64.encode(&gzip(format!("{} {value}", "text ".repeat(20)).as_bytes()))),
];

fn escaped(value: &str, as_it_is: fn(u8) -> bool, otherwise: fn(u8) -> String) -> String {
    value.bytes().map(|b| if as_it_is(b) { char::from(b).to_string() } else { otherwise(b) }).collect()
}

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

const WAYS: &[Way] = &[
    Way::Header,
    Way::Query,
    Way::Path,
    Way::Json,
    Way::Form,
    Way::Multipart,
    Way::Gzip,
    Way::Zlib,
    Way::Deflate,
    Way::Brotli,
    Way::Zstd,
];

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
    fn body(self, written: &str) -> Option<(&'static str, &'static str, Vec<u8>)> {
        let text = format!("some text before, {written} and some behind").into_bytes();
        let packed = |mut encoder: Box<dyn Encode>| {
            encoder.write_all(&text).expect("into memory");
            encoder.done()
        };
        Some(match self {
            Self::Header | Self::Query | Self::Path => return None,
            Self::Json => {
                ("application/json", "identity", format!(r#"{{"a":"{written}","b":1}}"#).into_bytes())
            }
            Self::Form => (
                "application/x-www-form-urlencoded",
                "identity",
                format!("a=1&text={written}&c=2").into_bytes(),
            ),
            Self::Multipart => (
                "multipart/form-data; boundary=x",
                "identity",
                format!("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{written}\r\n--x--\r\n")
                    .into_bytes(),
            ),
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
    fn request(self, world: &World, written: &str, cut: usize) -> Option<Request<Body>> {
        if let Some((kind, coding, body)) = self.body(written) {
            let (first, second) = body.split_at(cut.min(body.len()));
            let request = world.request("POST", "/x").header("content-type", kind);
            let request = request.header("content-encoding", coding);
            return request.body(parts([first, second].map(<[u8]>::to_vec))).ok();
        }
        let request = match self {
            Self::Query => world.request("GET", &format!("/?q={written}&r=1")),
            Self::Path => world.request("GET", &format!("/a/{written}/b")),
            _ => world.request("GET", "/").header("x-note", format!("a {written} b")),
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

/// A secret that every escape has to do something with, beside a token.
fn world() -> Plan {
    let mut plan = Plan::github();
    let odd = format!("{}\"/'<$&\\{}", word(14), word(14));
    plan.secrets.push(("APP_PASSWORD", odd));
    plan
}

/// Sends a request; the status of its answer.
async fn sent(world: &World, wire: Wire, request: Request<Body>) -> u16 {
    let (response, _) = match wire {
        Wire::Http1 => world.ask(request).await,
        Wire::Http2 => world.ask_h2(request).await,
    };
    response.status().as_u16()
}

/// Nothing of the value may have arrived.
async fn stopped(world: &World, name: &str, way: Way, wire: Wire, written: &str, cut: usize) -> bool {
    let Some(request) = way.request(world, written, cut) else { return false };
    let case = format!("{name}, {way:?} over {wire:?}, cut at {cut}");
    let (asked, noted) = (world.asked.lock().expect("no test panics with it").len(), world.notes.all().len());
    assert_eq!(sent(world, wire, request).await, 403, "{case}");
    let notes = world.notes.all().split_off(noted);
    assert!(notes.iter().any(|note| matches!(note, Note::Leak { .. })), "{case}: {notes:?}");
    let asked = world.asked.lock().expect("no test panics with it")[asked..].to_vec();
    for one in asked {
        assert!(!one.complete, "{case}");
        // The server has what came before; of a value in the clear not even its beginning.
        let text = String::from_utf8_lossy(&one.body).into_owned();
        assert!(!text.contains(written), "{case}");
        assert!(name != "raw" || !text.contains(&written[4..14]), "{case}: {text:?}");
    }
    true
}

async fn arrives(world: &World, way: Way, wire: Wire, written: &str, cut: usize) {
    let request = way.request(world, written, cut).expect("a word fits everywhere");
    let case = format!("{way:?} over {wire:?}, cut at {cut}");
    let noted = world.notes.all().len();
    assert_eq!(sent(world, wire, request).await, 200, "{case}");
    assert_eq!(world.notes.all().len(), noted, "{case}: {:?}", world.notes.all());
    let asked = world.asked.lock().expect("no test panics with it").last().expect("it arrived").clone();
    match way.body(written) {
        Some((_, _, body)) => assert!(asked.body == body && asked.complete, "{case}"),
        None => assert!(format!("{} {:?}", asked.uri, asked.headers).contains(written), "{case}"),
    }
}

#[tokio::test]
async fn every_spelling_is_stopped_in_every_part() {
    let world = world().build().await;
    let mut cases = 0;
    for (at, pair) in world.pairs.iter().enumerate() {
        for (name, spell) in SPELLINGS {
            let written = spell(&pair.real);
            for (way, wire) in WAYS.iter().flat_map(|way| WIRES.iter().map(move |wire| (*way, *wire))) {
                // Not every spelling can be written in a request line; the form and JSON take any.
                let written_at = stopped(&world, name, way, wire, &written, 37).await;
                assert!(written_at || matches!(way, Way::Query | Way::Path), "{at} {name} {way:?}");
                cases += u32::from(written_at);
            }
        }
    }
    assert!(cases > 800, "{cases}");
}

#[tokio::test]
async fn a_value_is_stopped_wherever_a_frame_ends_in_it() {
    let world = world().build().await;
    let mut cases = 0;
    for wire in WIRES {
        for (name, spell) in SPELLINGS.iter().filter(|(name, _)| ["raw", "base64", "json"].contains(name)) {
            for (way, pair) in [(Way::Json, &world.pairs[1]), (Way::Form, &world.pairs[0])] {
                let written = spell(&pair.real);
                let length = way.body(&written).map_or(0, |(_, _, body)| body.len());
                for cut in 1..length {
                    assert!(stopped(&world, name, way, *wire, &written, cut).await);
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 500, "{cases}");
}

#[tokio::test]
async fn a_compressed_value_is_stopped_wherever_a_frame_ends() {
    let world = world().build().await;
    let written = world.pairs[0].real.clone();
    for way in [Way::Gzip, Way::Zlib, Way::Deflate, Way::Brotli, Way::Zstd] {
        let length = way.body(&written).map_or(0, |(_, _, body)| body.len());
        assert!(length > 60, "{way:?}");
        for cut in 1..length {
            assert!(stopped(&world, "raw", way, Wire::Http2, &written, cut).await);
        }
    }
}

#[tokio::test]
async fn the_twins_arrive_byte_for_byte_wherever_they_are_cut() {
    let world = world().build().await;
    let harmless = format!("{}_{}", "ghp", "n0thing".repeat(6));
    for (way, wire) in WAYS.iter().flat_map(|way| WIRES.iter().map(move |wire| (*way, *wire))) {
        let length = way.body(&harmless).map_or(2, |(_, _, body)| body.len());
        for cut in (1..length).step_by(if wire == Wire::Http2 { 3 } else { 11 }) {
            arrives(&world, way, wire, &harmless, cut).await;
        }
    }
    // What begins as a value does and goes on otherwise is held back for a moment, and arrives.
    let begun = format!("{}0therwise", &world.pairs[0].real[..20]);
    for cut in 1..Way::Json.body(&begun).map_or(0, |(_, _, body)| body.len()) {
        arrives(&world, Way::Json, Wire::Http2, &begun, cut).await;
    }
}
