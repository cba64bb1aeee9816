//! What may stand around a request and seldom does: nothing leaves in it unseen, and its twin is understood.

use hyper::Response;
use shieldrun_egress::Note;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::frames::{DATA, End, HEADERS, HONEST, WHOLE, block, ended, frame};
use crate::harness::{Plan, World, full};
use crate::strict::raw_to;

const HOST: &str = "Host: api.github.com\r\n";
/// Where the broker would wait for another request.
const LAST: &str = "Connection: close\r\n";
const WORD: &str = "n0thing-that-is-secret-but-as-long-as-one";

fn leaked(world: &World) -> bool {
    world.notes.all().iter().any(|note| matches!(note, Note::Leak { .. }))
}

#[tokio::test]
async fn trailers_are_read_like_all_else() {
    for cut in [false, true] {
        let world = Plan::github().build().await;
        let real = world.pairs[0].real.clone();
        let trailer = |word: &str| {
            let word =
                if cut { word.chars().flat_map(|letter| [letter, ' ']).collect() } else { word.to_owned() };
            let head =
                format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nTrailer: X-Note\r\n\r\n");
            format!("{head}5\r\nhello\r\n0\r\nX-Note: {word}\r\n\r\n")
        };
        assert_eq!(raw_to(&world, &trailer(WORD)).await.0, 200);
        assert!(!leaked(&world));
        assert_eq!(raw_to(&world, &trailer(&real)).await.0, 403);
        assert!(leaked(&world) && !world.server_saw(&real[4..]));

        let world = Plan::github().build().await;
        let real = world.pairs[0].real.clone();
        let fields = |word: &str| {
            let post = [&[(":method", "POST")], &HONEST[1..]].concat();
            let word =
                if cut { word.chars().flat_map(|letter| [letter, ' ']).collect() } else { word.to_owned() };
            let head = frame(HEADERS, 4, 1, &block(&post));
            let trailers = frame(HEADERS, WHOLE, 1, &block(&[("x-note", &word)]));
            [head, frame(DATA, 0, 1, b"hello"), trailers].concat()
        };
        assert_eq!(ended(&world, fields(WORD)).await, End::Answered(200));
        let trailers = world.asked_once().trailers.expect("they went with it");
        assert!(trailers.contains_key("x-note") && !leaked(&world));
        assert_ne!(ended(&world, fields(&real)).await, End::Answered(200));
        assert!(leaked(&world) && !world.server_saw(&real[4..]));
    }
}

#[tokio::test]
async fn a_value_for_a_name_is_known_in_whatever_letters_it_goes_on() {
    for (way, spell) in [
        (
            "a header",
            (|word| format!("GET / HTTP/1.1\r\n{HOST}{LAST}{word}: 1\r\n\r\n")) as fn(&str) -> String,
        ),
        ("a method", |word| format!("{word} / HTTP/1.1\r\n{HOST}{LAST}\r\n")),
        ("a trailer", |word| {
            let head =
                format!("POST / HTTP/1.1\r\n{HOST}{LAST}Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n");
            format!("{head}5\r\nhello\r\n0\r\n{word}: 1\r\n\r\n")
        }),
    ] {
        let world = Plan::github().build().await;
        assert_eq!(raw_to(&world, &spell(WORD)).await.0, 200, "{way}");
        let synthetic = world.pairs[0].synthetic.clone();
        assert_eq!(raw_to(&world, &spell(&synthetic)).await.0, 403, "{way}");
        assert!(!leaked(&world), "{way}");
        let real = world.pairs[0].real.clone();
        let small = real.to_ascii_lowercase();
        assert_eq!(raw_to(&world, &spell(&real)).await.0, 403, "{way}");
        assert!(leaked(&world), "{way}");
        let seen = format!("{:?}", world.asked.lock().expect("no test panics with it"));
        assert!(
            ![&real, &small, &synthetic, &synthetic.to_ascii_lowercase()]
                .iter()
                .any(|one| seen.contains(*one)),
            "{way}"
        );
    }
}

#[tokio::test]
async fn what_belongs_to_the_framing_goes_nowhere() {
    let world = Plan::github().build().await;
    let real = world.pairs[0].real.clone();
    let head = format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n");
    let extended = format!("{head}5;note=\"{real}\"\r\nhello\r\n0;{real}\r\n\r\n");
    assert_eq!(raw_to(&world, &extended).await.0, 200);
    let asked = world.asked_once();
    assert!(asked.body == b"hello" && asked.complete && !world.server_saw(&real));
    // A header that goes on in the next line is two to some.
    let world = Plan::github().build().await;
    let folded = |word: &str| format!("GET / HTTP/1.1\r\n{HOST}X-Note: a\r\n {word}\r\n\r\n");
    assert_eq!(raw_to(&world, &folded(WORD)).await.0, 400);
    assert!(world.asked.lock().expect("no test panics with it").is_empty());
}

#[tokio::test]
async fn another_protocol_is_not_begun_unless_it_is_a_websocket() {
    let world = Plan::github().build().await;
    let offer =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    assert_eq!(raw_to(&world, &format!("GET / HTTP/1.1\r\n{HOST}{offer}\r\n")).await.0, 200);
    let asked = world.asked_once();
    assert!(
        ["upgrade", "connection", "http2-settings"].iter().all(|name| !asked.headers.contains_key(*name))
    );

    // A server that begins one nobody asked for: whatever is said then is not carried.
    let world = Plan::github()
        .answering(|_| {
            let response = Response::builder().status(101).header("connection", "upgrade");
            response.header("upgrade", "other").body(full("")).expect("an answer")
        })
        .build()
        .await;
    let real = world.pairs[0].real.clone();
    let mut stream = world.connect(b"http/1.1").await;
    stream.write_all(format!("GET / HTTP/1.1\r\n{HOST}\r\n").as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    let _ = stream.read_exact(&mut answer).await;
    let _ = stream.write_all(real.as_bytes()).await;
    let _ = stream.flush().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(world.asked_once().body.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_body_that_waits_and_a_request_behind_another_are_read_like_all_else() {
    for (word_or_real, passes) in [(None, true), (Some(()), false)] {
        let world = Plan::github().build().await;
        let real = world.pairs[0].real.clone();
        let word = word_or_real.map_or(WORD, |()| &real);
        let mut stream = world.connect(b"http/1.1").await;
        let length = word.len();
        let head =
            format!("POST / HTTP/1.1\r\n{HOST}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.expect("an answer");
        assert!(answer[..read].starts_with(b"HTTP/1.1 100 "));
        stream.write_all(word.as_bytes()).await.expect("sent");
        let read = stream.read(&mut answer).await.expect("an answer");
        assert_eq!(answer[..read].starts_with(b"HTTP/1.1 200 "), passes);
        assert_eq!((leaked(&world), world.server_saw(word)), (!passes, passes));

        let world = Plan::github().build().await;
        let real = world.pairs[0].real.clone();
        let word = word_or_real.map_or(WORD, |()| &real);
        let mut stream = world.connect(b"http/1.1").await;
        let two =
            format!("GET /one HTTP/1.1\r\n{HOST}\r\nGET /{word} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");
        stream.write_all(two.as_bytes()).await.expect("sent");
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers).await;
        let answers = String::from_utf8_lossy(&answers).into_owned();
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), if passes { 2 } else { 1 }, "{answers}");
        assert_eq!((leaked(&world), world.server_saw(word)), (!passes, passes));
    }
}
