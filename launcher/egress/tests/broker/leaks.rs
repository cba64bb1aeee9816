//! What follows a leak, and what cannot be looked into. That none passes is for `split`.

use hyper::Request;

use crate::harness::{Plan, full};

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
