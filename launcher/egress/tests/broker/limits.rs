//! A guest that asks for too much hurts itself only.

use std::time::Duration;

use hyper::Request;
use shieldrun_egress::{Note, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Plan, full, gzip};

fn limited(world: &crate::harness::World) -> bool {
    world.notes.all().iter().any(|note| matches!(note, Note::Denied { why: Refusal::Limit, .. }))
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_one_below_it_passes() {
    for (size, status) in [(3 << 20, 413), (1 << 20, 200)] {
        let mut plan = Plan::github();
        plan.settings.limits.body = 2 << 20;
        let world = plan.build().await;
        let request = world.request("POST", "/").body(full(vec![b'a'; size])).expect("a request");
        let (response, _) = world.ask(request).await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(limited(&world), status == 413);
    }
}

#[tokio::test]
async fn a_bomb_is_refused() {
    let mut plan = Plan::github();
    plan.settings.limits.body = 2 << 20;
    let world = plan.build().await;
    let bomb = gzip(&vec![0; 8 << 20]);
    assert!(bomb.len() < 1 << 20);
    let request = world.request("POST", "/").header("content-encoding", "gzip");
    let (response, _) = world.ask(request.body(full(bomb)).expect("a request")).await;
    assert_eq!(response.status().as_u16(), 413);
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let mut plan = Plan::github();
    plan.settings.limits.headers = 20;
    let world = plan.build().await;
    let many = |count: usize| {
        let request =
            (0..count).fold(world.request("GET", "/"), |request, at| request.header(format!("x-{at}"), "1"));
        request.body(full("")).expect("a request")
    };
    let (response, _) = world.ask(many(40)).await;
    assert_eq!(response.status().as_u16(), 431);
    let (response, _) = world.ask(many(4)).await;
    assert_eq!(response.status().as_u16(), 200);
}

#[tokio::test]
async fn a_slow_head_ends_and_so_does_silence() {
    let mut plan = Plan::github();
    plan.settings.limits.handshake = Duration::from_millis(300);
    plan.settings.limits.idle = Duration::from_millis(300);
    let world = plan.build().await;
    let mut silent = world.connect_plain().await;
    let mut slow = world.connect(b"http/1.1").await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.expect("sent");
    let mut rest = Vec::new();
    // Both come to an end by themselves; a test that hangs here has failed.
    let _ = slow.read_to_end(&mut rest).await;
    let _ = silent.read_to_end(&mut rest).await;
    assert!(world.asked.lock().expect("no test panics with it").is_empty());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused() {
    let mut plan = Plan::github();
    plan.settings.limits.connections = 8;
    let world = plan.build().await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(world.connect(b"http/1.1").await);
    }
    assert!(world.greet("api.github.com", b"http/1.1").await.is_err());
    assert!(limited(&world));
    open.clear();
    // The places are free again once the broker has seen the ends.
    for _ in 0..200 {
        if world.greet("api.github.com", b"http/1.1").await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no place came free");
}

#[tokio::test]
async fn a_large_body_streams_both_ways() {
    let world =
        Plan::github().answering(|asked| hyper::Response::new(full(asked.body.clone()))).build().await;
    let body = vec![b'x'; 64 << 20];
    let request: Request<_> = world.request("POST", "/").body(full(body.clone())).expect("a request");
    let (response, back) = world.ask(request).await;
    assert_eq!(response.status().as_u16(), 200);
    assert!(back == body);
}

#[tokio::test]
async fn a_head_of_many_bytes_is_refused() {
    let mut plan = Plan::github();
    plan.settings.limits.head = 16 << 10;
    let world = plan.build().await;
    for (size, status) in [(12 << 10, 200), (40 << 10, 431)] {
        let request = world.request("GET", "/").header("x-note", "a ".repeat(size / 2) + "a");
        let (response, _) = world.ask(request.body(full("")).expect("a request")).await;
        assert_eq!(response.status().as_u16(), status, "{size}");
    }
    assert_eq!(world.asked.lock().expect("no test panics with it").len(), 1);
}
