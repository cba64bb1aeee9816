//! HTTP/2 by raw frames: pseudo-headers that no honest client sends.
//!
//! Owns as much of HPACK as a literal without an index takes, so that what is sent is what the test says and
//! not what a library would have made of it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Plan, World};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
/// END_STREAM and END_HEADERS.
pub(crate) const WHOLE: u8 = 5;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Literal fields, never indexed, without Huffman coding.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("short"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// How the broker ended a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answered(u16),
    Reset,
    Closed,
}

/// Sends one request of these fields and waits for its end.
pub(crate) async fn sent(world: &World, fields: &[(&str, &str)]) -> End {
    ended(world, frame(HEADERS, WHOLE, 1, &block(fields))).await
}

/// What an HTTP/2 connection begins with.
pub(crate) fn opening() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &[])].concat()
}

/// Sends one request in these frames and waits for its end.
pub(crate) async fn ended(world: &World, frames: Vec<u8>) -> End {
    let mut stream = world.connect(b"h2").await;
    stream.write_all(&[opening(), frames].concat()).await.expect("sent");
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return End::Closed;
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return End::Closed;
        }
        match head[3] {
            RESET => return End::Reset,
            GOAWAY => return End::Closed,
            // `:status` 200 and 400 are entries of the static table; others have the table's name and three digits.
            HEADERS => return End::Answered(status(&payload)),
            DATA => panic!("an answer without a head"),
            _ => {}
        }
    }
}

/// The status that a header block begins with.
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let first = block[0];
    if let Some(known) = first.checked_sub(0x88).and_then(|at| INDEXED.get(usize::from(at))) {
        return *known;
    }
    // What is not in the table is said in digits; Huffman coding of them is not read here.
    0
}

pub(crate) const HONEST: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "https"), (":authority", "api.github.com"), (":path", "/")];

#[tokio::test]
async fn an_honest_request_of_raw_frames_passes() {
    let world = Plan::github().build().await;
    assert_eq!(sent(&world, HONEST).await, End::Answered(200));
    assert_eq!(world.asked.lock().expect("no test panics with it").len(), 1);
}

#[tokio::test]
async fn tricks_with_pseudo_headers_never_reach_the_server() {
    let changed = |name: &str, value: &'static str| {
        let mut fields = HONEST.to_vec();
        if let Some(field) = fields.iter_mut().find(|(own, _)| *own == name) {
            field.1 = value;
        }
        fields
    };
    let with = |name: &'static str, value: &'static str| [HONEST, &[(name, value)]].concat();
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("another authority", changed(":authority", "example.com")),
        ("a user in the authority", changed(":authority", "api.github.com@example.com")),
        ("another port", changed(":authority", "api.github.com:8443")),
        ("another scheme", changed(":scheme", "http")),
        ("no slash", changed(":path", "x")),
        ("no path", changed(":path", "")),
        ("a space in the path", changed(":path", "/ HTTP/1.1")),
        ("a line break in the path", changed(":path", "/\r\nHost: example.com")),
        ("a line break in the method", changed(":method", "GET / HTTP/1.1\r\nX: y")),
        ("two paths", with(":path", "/other")),
        ("two authorities", with(":authority", "example.com")),
        ("a pseudo-header that is none", with(":host", "example.com")),
        ("a Host that differs", with("host", "example.com")),
        ("a transfer encoding", with("transfer-encoding", "chunked")),
        ("a connection header", with("connection", "keep-alive")),
        ("an upgrade", with("upgrade", "websocket")),
        ("a capital", with("X-Note", "1")),
        ("a line break in a header", with("x-note", "1\r\nhost: example.com")),
        ("a length that is not kept", with("content-length", "5")),
        ("a pseudo-header behind a header", [&[("x-note", "1")], HONEST].concat()),
        ("no authority", vec![HONEST[0], HONEST[1], HONEST[3]]),
        ("a tunnel", vec![(":method", "CONNECT"), HONEST[2]]),
    ];
    for (name, fields) in cases {
        let world = Plan::github().build().await;
        let end = sent(&world, &fields).await;
        assert_ne!(end, End::Answered(200), "{name}");
        assert!(world.asked.lock().expect("no test panics with it").is_empty(), "{name}");
    }
}
