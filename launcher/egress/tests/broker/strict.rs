//! Requests that could be understood in two ways are refused; their twins pass.

use shieldrun_egress::{Note, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Plan, World};

/// What the broker answers to these bytes.
async fn raw(bytes: &str) -> (u16, Vec<Note>, usize) {
    let world = Plan::github().build().await;
    raw_to(&world, bytes).await
}

pub(crate) async fn raw_to(world: &World, bytes: &str) -> (u16, Vec<Note>, usize) {
    let mut stream = world.connect(b"http/1.1").await;
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.expect("an answer");
    let line = String::from_utf8_lossy(&answer[..read]).into_owned();
    let status = line.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    // What is refused ends the connection, and the record is written before that.
    if status >= 400 {
        let _ = stream.read_to_end(&mut answer).await;
    }
    drop(stream);
    for _ in 0..100 {
        if status < 400 || !world.notes.all().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let asked = world.asked.lock().expect("no test panics with it").len();
    (status, world.notes.all(), asked)
}

#[tokio::test]
async fn each_trick_is_refused_and_noted() {
    let host = "Host: api.github.com\r\n";
    let cases: &[(&str, String, u16, Refusal)] = &[
        (
            "two lengths",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"),
            400,
            Refusal::Malformed,
        ),
        (
            "a signed length",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: +4\r\n\r\nabcd"),
            400,
            Refusal::Malformed,
        ),
        (
            "an obscured coding",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n"),
            400,
            Refusal::Malformed,
        ),
        ("no host", "GET / HTTP/1.1\r\n\r\n".into(), 400, Refusal::Malformed),
        ("two hosts", format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), 400, Refusal::Malformed),
        (
            "another host",
            "GET / HTTP/1.1\r\nHost: gist.example.com\r\n\r\n".into(),
            421,
            Refusal::HostDiffers,
        ),
        (
            "another port",
            "GET / HTTP/1.1\r\nHost: api.github.com:8443\r\n\r\n".into(),
            421,
            Refusal::HostDiffers,
        ),
        (
            "absolute form for another host",
            format!("GET https://example.com/ HTTP/1.1\r\n{host}\r\n"),
            421,
            Refusal::HostDiffers,
        ),
        (
            "a user before the host",
            format!("GET https://api.github.com@example.com/ HTTP/1.1\r\n{host}\r\n"),
            421,
            Refusal::HostDiffers,
        ),
        (
            "absolute form in plain text",
            format!("GET http://api.github.com:443/ HTTP/1.1\r\n{host}\r\n"),
            421,
            Refusal::HostDiffers,
        ),
        (
            "absolute form for this host, and another in the header",
            "GET https://api.github.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n".into(),
            421,
            Refusal::HostDiffers,
        ),
        (
            "an empty port",
            "GET / HTTP/1.1\r\nHost: api.github.com:\r\n\r\n".into(),
            421,
            Refusal::HostDiffers,
        ),
        ("CONNECT", format!("CONNECT api.github.com:443 HTTP/1.1\r\n{host}\r\n"), 400, Refusal::Malformed),
        (
            "a line break in a header",
            format!("GET / HTTP/1.1\r\n{host}X: a\rb\r\n\r\n"),
            400,
            Refusal::Malformed,
        ),
        ("space before a colon", format!("GET / HTTP/1.1\r\n{host}X : a\r\n\r\n"), 400, Refusal::Malformed),
    ];
    for (name, bytes, status, why) in cases {
        let (got, notes, asked) = raw(bytes).await;
        assert_eq!((got, asked), (*status, 0), "{name}");
        let noted = |note: &Note| matches!(note, Note::Denied { why: noted, .. } if noted == why);
        assert!(notes.iter().any(noted), "{name}: {notes:?}");
    }
}

#[tokio::test]
async fn plain_twins_pass() {
    for bytes in [
        "GET / HTTP/1.1\r\nHost: api.github.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: API.github.com:443\r\n\r\n",
        "GET https://api.github.com/ HTTP/1.1\r\nHost: api.github.com\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: api.github.com\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: api.github.com\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ] {
        let (status, notes, asked) = raw(bytes).await;
        assert_eq!((status, asked), (200, 1), "{bytes:?} {notes:?}");
        assert!(notes.is_empty(), "{notes:?}");
    }
}

#[tokio::test]
async fn another_name_in_the_greeting_is_refused() {
    let world = Plan::github().build().await;
    assert!(world.greet("gist.github.com", b"http/1.1").await.is_err());
    let differs = |note: &Note| matches!(note, Note::Denied { why: Refusal::HostDiffers, .. });
    assert!(world.notes.all().iter().any(differs), "{:?}", world.notes.all());
    assert!(world.greet("api.github.com", b"http/1.1").await.is_ok());
}

#[tokio::test]
async fn a_length_told_twice_is_told_once_to_the_server() {
    // hyper drops the length where a coding is told as well, in either order. What the server gets is written
    // anew, with one framing; the bytes behind the body are the next request, or none.
    let head = "POST / HTTP/1.1\r\nHost: api.github.com\r\n";
    let (length, coding) = ("Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n");
    let body = "5\r\nhello\r\n0\r\n\r\n";
    for headers in [format!("{length}{coding}"), format!("{coding}{length}")] {
        let world = Plan::github().build().await;
        let mut stream = world.connect(b"http/1.1").await;
        let bytes = format!("{head}{headers}\r\n{body}GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n");
        stream.write_all(bytes.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let asked = world.asked.lock().expect("no test panics with it").clone();
        assert!(asked.iter().all(|asked| asked.uri == "/" && !asked.headers.contains_key("content-length")));
        assert!(asked.len() <= 1 && asked.iter().all(|asked| asked.body == b"hello"), "{asked:?}");
    }
}

#[tokio::test]
async fn without_tls_nothing_is_swapped() {
    let world = Plan::github().build().await;
    let mut stream = world.connect_plain().await;
    let head =
        format!("GET / HTTP/1.1\r\nHost: api.github.com:443\r\nX: {}\r\n\r\n", world.pairs[0].synthetic);
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.expect("an answer");
    let line = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(line.contains(" 403 "), "{line}");
}
