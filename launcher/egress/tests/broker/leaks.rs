//! A real value, however it is written and wherever it is cut, does not reach the server.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use hyper::Request;
use proptest::prelude::*;
use shieldrun_egress::Note;

use crate::harness::{Body, Plan, World, full, gzip, pieces};

/// The ways to write a value that the scan knows.
/// A name, and how a value is written that way.
type Spelling = (&'static str, fn(&str) -> String);

const SPELLINGS: &[Spelling] = &[
    ("raw", str::to_owned),
    ("base64", |value| BASE64.encode(value.as_bytes())),
    ("base64 behind one byte", |value| BASE64.encode(format!("a{value}bc").as_bytes())),
    ("base64 behind two bytes", |value| BASE64.encode(format!("ab{value}c").as_bytes())),
    ("base64url", |value| BASE64URL_NOPAD.encode(value.as_bytes())),
    ("hex", |value| HEXLOWER.encode(value.as_bytes())),
    ("upper hex", |value| HEXUPPER.encode(value.as_bytes())),
    ("percent", |value| value.bytes().map(|b| format!("%{b:02x}")).collect()),
    ("json", |value| value.bytes().map(|b| format!("\\u{b:04x}")).collect()),
    ("reversed", |value| value.chars().rev().collect()),
];

/// Where it is put.
#[derive(Clone, Copy, Debug)]
enum Way {
    Header,
    Query,
    Path,
    Json,
    Form,
    Multipart,
    Gzip,
    Deflate,
}

const WAYS: &[Way] =
    &[Way::Header, Way::Query, Way::Path, Way::Json, Way::Form, Way::Multipart, Way::Gzip, Way::Deflate];

fn request(world: &World, way: Way, written: &str, cut: usize) -> Option<Request<Body>> {
    let post = |kind: &str| world.request("POST", "/x").header("content-type", kind);
    let padding = "z".repeat(cut % 40);
    let request = match way {
        Way::Header => world.request("GET", "/").header("x-note", written).body(full("")),
        Way::Query => world.request("GET", &format!("/?q={}", written.replace('\\', "%5c"))).body(full("")),
        Way::Path => world.request("GET", &format!("/a/{}", written.replace('\\', "%5c"))).body(full("")),
        Way::Json => {
            let text = format!(r#"{{"{padding}":"{written}","b":1}}"#);
            post("application/json").body(pieces(text.as_bytes(), cut))
        }
        Way::Form => post("application/x-www-form-urlencoded")
            .body(pieces(format!("{padding}=1&text={written}&c=2").as_bytes(), cut)),
        Way::Multipart => {
            let text = format!(
                "--x\r\nContent-Disposition: form-data; name=\"{padding}\"\r\n\r\n{written}\r\n--x--\r\n"
            );
            post("multipart/form-data; boundary=x").body(pieces(text.as_bytes(), cut))
        }
        Way::Gzip => post("text/plain")
            .header("content-encoding", "gzip")
            .body(pieces(&gzip(format!("{padding} {written} and").as_bytes()), cut)),
        Way::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, format!("{padding}{written}").as_bytes()).ok()?;
            let body = pieces(&encoder.finish().ok()?, cut);
            post("text/plain").header("content-encoding", "deflate").body(body)
        }
    };
    request.ok()
}

fn leak_noted(world: &World) -> bool {
    world.notes.all().iter().any(|note| matches!(note, Note::Leak { .. }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_spelling_is_stopped_in_every_part(
        spelling in 0..SPELLINGS.len(),
        way in 0..WAYS.len(),
        cut in 0..160_usize,
        h2 in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let world = Plan::github().build().await;
            let (name, spell) = SPELLINGS[spelling];
            let written = spell(&world.pairs[0].real);
            let Some(request) = request(&world, WAYS[way], &written, cut) else {
                panic!("no request of {name} {:?}", WAYS[way]);
            };
            let (response, _) = if h2 { world.ask_h2(request).await } else { world.ask(request).await };
            assert_eq!(response.status().as_u16(), 403, "{name} {:?} {cut}", WAYS[way]);
            assert!(leak_noted(&world), "{name} {:?} {cut}: {:?}", WAYS[way], world.notes.all());
            assert!(!world.server_saw(&written), "{name} {:?} {cut}", WAYS[way]);
            let asked = world.asked.lock().expect("no test panics with it");
            assert!(asked.iter().all(|asked| !asked.complete), "{name} {:?} {cut}", WAYS[way]);
        });
    }
}

#[tokio::test]
async fn the_same_requests_without_a_secret_pass() {
    for way in WAYS {
        for cut in [0, 30, 90] {
            let world = Plan::github().build().await;
            let request = request(&world, *way, &"n0thing".repeat(8), cut).expect("a request");
            let (response, _) = world.ask(request).await;
            assert_eq!(response.status().as_u16(), 200, "{way:?}");
            assert!(world.notes.all().is_empty(), "{:?}", world.notes.all());
        }
    }
}

#[tokio::test]
async fn nothing_follows_on_a_connection_that_leaked() {
    let world = Plan::github().build().await;
    let stream = hyper_util::rt::TokioIo::new(world.connect(b"h2").await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let leak = Request::get("https://api.github.com/").header("x-note", &world.pairs[0].real);
    let response = sender.send_request(leak.body(full("")).expect("a request")).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 403);
    let harmless = Request::get("https://api.github.com/").body(full("")).expect("a request");
    let response = sender.send_request(harmless).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 400);
    assert!(world.asked.lock().expect("no test panics with it").is_empty());
}

#[tokio::test]
async fn an_encoding_that_cannot_be_looked_into_is_refused() {
    let not_gzip = b"this is no gzip at all, but text".as_slice();
    for (coding, status) in [("gzip", 415), ("compress", 415), ("gzip, br", 415), ("identity", 200)] {
        let world = Plan::github().build().await;
        let request = world.request("POST", "/").header("content-encoding", coding);
        let (response, _) = world.ask(request.body(full(not_gzip)).expect("a request")).await;
        assert_eq!(response.status().as_u16(), status, "{coding}");
    }
}
