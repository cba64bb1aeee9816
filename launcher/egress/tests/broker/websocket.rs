//! A WebSocket through the broker: frames pass, secrets in them do not.

use hyper::Response;
use hyper_util::rt::TokioIo;
use shieldrun_egress::Note;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Plan, World, full};

/// A server that agrees to a WebSocket and answers `ok` to whatever comes.
fn agreeing() -> Plan {
    Plan::github().answering(|asked| {
        assert!(!asked.headers.contains_key("sec-websocket-extensions"));
        Response::builder()
            .status(101)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(full(""))
            .expect("an answer")
    })
}

/// A masked text frame.
fn frame(text: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).expect("short")];
    frame.extend_from_slice(&mask);
    frame.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

async fn opened(world: &World) -> TokioIo<hyper::upgrade::Upgraded> {
    let stream = TokioIo::new(world.connect(b"http/1.1").await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.expect("HTTP/1.1");
    tokio::spawn(connection.with_upgrades());
    let request = world
        .request("GET", "/socket")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header("authorization", format!("Bearer {}", world.pairs[0].synthetic))
        .body(full(""))
        .expect("a request");
    let mut response = sender.send_request(request).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 101);
    TokioIo::new(hyper::upgrade::on(&mut response).await.expect("a socket"))
}

#[tokio::test]
async fn a_real_value_over_two_frames_ends_the_socket() {
    let world = agreeing().build().await;
    let mut socket = opened(&world).await;
    assert_eq!(world.asked_once().headers["authorization"], format!("Bearer {}", world.pairs[0].real));
    socket.write_all(&frame(b"hello")).await.expect("sent");
    socket.flush().await.expect("sent");
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"\x81\x02ok");
    assert!(world.notes.all().iter().all(|note| !matches!(note, Note::Leak { .. })));
    let (first, second) = world.pairs[0].real.as_bytes().split_at(15);
    socket.write_all(&frame(first)).await.expect("sent");
    socket.write_all(&frame(second)).await.expect("sent");
    socket.flush().await.expect("sent");
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(
        world.notes.all().iter().any(|note| matches!(note, Note::Leak { .. })),
        "{:?}",
        world.notes.all()
    );
    // The first half has passed, the second has not.
    assert!(world.asked_once().body.len() < frame(b"hello").len() + frame(first).len() + frame(second).len());
}

#[tokio::test]
async fn a_value_in_frames_that_are_cut_anywhere_ends_the_socket() {
    for cut in [1, 2, 5, 7, 20, 45] {
        let world = agreeing().build().await;
        let mut socket = opened(&world).await;
        let bytes = frame(format!("a {} b", world.pairs[0].real).as_bytes());
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let _ = socket.write_all(piece).await;
            let _ = socket.flush().await;
        }
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        let leak = |note: &Note| matches!(note, Note::Leak { .. });
        assert!(world.notes.all().iter().any(leak), "{cut}: {:?}", world.notes.all());
        assert!(world.asked_once().body.len() < bytes.len(), "{cut}");
    }
}
