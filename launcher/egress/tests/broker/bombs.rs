//! What unfolds to a thousand times its size is looked through where nobody waits for it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use shieldrun_egress::Note;

use crate::harness::{Plan, World, full};

/// So many zeros and a text, as zlib.
fn bomb(zeros: usize, text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(&vec![0; zeros])
        .and_then(|()| encoder.write_all(text.as_bytes()))
        .expect("into memory");
    encoder.finish().expect("into memory")
}

fn leaked(world: &World) -> bool {
    world.notes.all().iter().any(|note| matches!(note, Note::Leak { .. }))
}

#[tokio::test]
async fn a_body_that_unfolds_to_much_is_looked_through_and_its_twin_arrives() {
    for hidden in [true, false] {
        let world = Plan::github().build().await;
        let text = if hidden { world.pairs[0].real.clone() } else { "nothing".repeat(6) };
        let body = bomb(3 << 20, &text);
        assert!(body.len() < 4 << 10, "{}", body.len());
        let request = world.request("POST", "/").body(full(body.clone())).expect("a request");
        let (response, _) = world.ask(request).await;
        assert_eq!(response.status().as_u16(), if hidden { 403 } else { 200 });
        assert_eq!(leaked(&world), hidden);
        if !hidden {
            assert_eq!(world.asked_once().body, body);
        }
    }
}

#[tokio::test]
async fn a_head_that_unfolds_to_much_is_looked_through_and_its_twin_arrives() {
    for hidden in [true, false] {
        let world = Plan::github().build().await;
        let text = if hidden { world.pairs[0].real.clone() } else { "nothing".repeat(6) };
        let value = data_encoding::BASE64.encode(&bomb(4 << 20, &text));
        let token = format!("Bearer {}", world.pairs[0].synthetic);
        let request = world.request("GET", "/").header("x-note", &value).header("authorization", token);
        let (response, _) = world.ask(request.body(full("")).expect("a request")).await;
        assert_eq!(response.status().as_u16(), if hidden { 403 } else { 200 });
        assert_eq!(leaked(&world), hidden);
        if !hidden {
            let asked = world.asked_once();
            assert_eq!(asked.headers["x-note"], value);
            assert_eq!(asked.headers["authorization"], format!("Bearer {}", world.pairs[0].real));
        }
    }
}

#[tokio::test]
async fn others_are_served_while_a_bomb_is_looked_through() {
    let world = std::sync::Arc::new(Plan::github().build().await);
    let body = bomb(48 << 20, "nothing");
    let slow = {
        let world = std::sync::Arc::clone(&world);
        let request = world.request("POST", "/slow").body(full(body)).expect("a request");
        tokio::spawn(async move { world.ask(request).await.0.status().as_u16() })
    };
    // One thread serves all: were it busy with the bomb, at most one or two would be through before its end.
    let mut meanwhile = 0;
    while !slow.is_finished() {
        let request = world.request("GET", "/quick").body(full("")).expect("a request");
        assert_eq!(world.ask(request).await.0.status().as_u16(), 200);
        meanwhile += 1;
    }
    assert!(meanwhile >= 5, "{meanwhile}");
    assert_eq!(slow.await.expect("no panic"), 200);
}
