//! What streams is not held back, and trailers go through.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body_util::{BodyExt as _, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Body, Plan, full};

type Piece = Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// Frames that are there already; what `Open` ends with never comes.
struct Said {
    frames: std::vec::IntoIter<Frame<Bytes>>,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Ends,
    StaysOpen,
}

impl Stream for Said {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Piece>> {
        match self.frames.next() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if self.then == Then::StaysOpen => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

fn said(frames: Vec<Frame<Bytes>>, then: Then) -> Body {
    BoxBody::new(StreamBody::new(Said { frames: frames.into_iter(), then }))
}

#[tokio::test]
async fn an_event_arrives_while_the_answer_is_still_open() {
    const EVENT: &[u8] = b"data: {\"delta\":\"hello\"}\n\n";
    let world = Plan::github()
        .answering(|_| {
            let body = said(vec![Frame::data(Bytes::from_static(EVENT))], Then::StaysOpen);
            Response::builder().header("content-type", "text/event-stream").body(body).expect("an answer")
        })
        .build()
        .await;
    let stream = TokioIo::new(world.connect(b"http/1.1").await);
    let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    let request = world.request("GET", "/events").body(full("")).expect("a request");
    let mut body = sender.send_request(request).await.expect("an answer").into_body();
    // The server never ends this answer; what is held back until its end would hang here.
    let mut told = Vec::new();
    while told.len() < EVENT.len() {
        let frame = body.frame().await.expect("open").expect("a frame");
        told.extend_from_slice(&frame.into_data().expect("data"));
    }
    assert_eq!(told, EVENT);
}

#[tokio::test]
async fn trailers_of_an_answer_arrive_scrubbed() {
    let world = Plan::github()
        .answering(|asked| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().expect("a value"));
            trailers.insert("grpc-message", asked.headers["authorization"].clone());
            let frames = vec![Frame::data(Bytes::from_static(b"\0\0\0\0\x01a")), Frame::trailers(trailers)];
            Response::new(said(frames, Then::Ends))
        })
        .build()
        .await;
    let pair = &world.pairs[0];
    let stream = TokioIo::new(world.connect(b"h2").await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = hyper::Request::post("https://api.github.com/service/method")
        .header("te", "trailers")
        .header("authorization", &pair.synthetic)
        .body(full("x"))
        .expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    let whole = response.into_body().collect().await.expect("a body");
    let trailers = whole.trailers().expect("trailers").clone();
    assert_eq!(
        (trailers["grpc-status"].as_bytes(), trailers["grpc-message"].as_bytes()),
        (b"0".as_slice(), pair.synthetic.as_bytes())
    );
    assert_eq!(whole.to_bytes().as_ref(), b"\0\0\0\0\x01a");
    assert!(world.server_saw(&pair.real));
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let world = Plan::github().build().await;
    let mut stream = world.connect(b"http/1.1").await;
    let head = "POST / HTTP/1.1\r\nHost: api.github.com\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.expect("an answer");
    assert!(answer[..read].starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&answer[..read]));
    stream.write_all(b"abcd").await.expect("sent");
    let read = stream.read(&mut answer).await.expect("an answer");
    assert!(answer[..read].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..read]));
    assert_eq!(world.asked_once().body, b"abcd");
}

#[tokio::test]
async fn no_more_is_held_back_than_what_may_begin_a_value() {
    // Both bodies stay open: what does not arrive now never does, and the test hangs.
    let world = Plan::github()
        .answering(|asked| {
            let begun = asked.headers["x-begun"].clone();
            let begun = Bytes::from(format!("one {}", begun.to_str().expect("text")));
            Response::new(said(vec![Frame::data(begun)], Then::StaysOpen))
        })
        .build()
        .await;
    let real = world.pairs[0].real.clone();
    for length in [0, 1, 5, 12, real.len() - 1] {
        let stream = TokioIo::new(world.connect(b"http/1.1").await);
        let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        // In the answer: a header of half a value passes, and the body comes as far as the value begins.
        let request = world.request("GET", "/").header("x-begun", &real[..length.min(20)]);
        let answer =
            sender.send_request(request.body(full("")).expect("a request")).await.expect("an answer");
        let (mut body, mut told) = (answer.into_body(), Vec::new());
        while told.len() < 4 {
            told.extend(body.frame().await.expect("open").expect("a frame").into_data().expect("data"));
        }
        assert!(told.starts_with(b"one "), "{length}");

        // In the request: the server has it while the body is still open.
        let asked = world.asked.lock().expect("no test panics with it").len();
        let stream = TokioIo::new(world.connect(b"http/1.1").await);
        let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        let frames = [b"one ".to_vec(), real.as_bytes()[..length].to_vec()];
        let frames =
            frames.into_iter().filter(|frame| !frame.is_empty()).map(|frame| Frame::data(frame.into()));
        let request = world.request("POST", "/").body(said(frames.collect(), Then::StaysOpen));
        let sent = tokio::spawn(sender.send_request(request.expect("a request")));
        let seen =
            || world.asked.lock().expect("no test panics with it").get(asked).map(|one| one.body.clone());
        while !seen().is_some_and(|body| body.starts_with(b"one ")) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        sent.abort();
    }
}
