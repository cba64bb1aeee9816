//! What becomes of a secret in each part of a request and of an answer.

use hyper::Response;
use shieldrun_egress::{Note, Part};

use crate::harness::{Plan, full};

/// The value of a basic authorization.
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes()))
}

#[tokio::test]
async fn synthetic_in_a_header_arrives_as_the_real_one() {
    let world = Plan::github().build().await;
    let pair = &world.pairs[0];
    assert_ne!(pair.real, pair.synthetic);
    let request = world.request("GET", "/user").header("authorization", format!("Bearer {}", pair.synthetic));
    let (response, body) = world.ask(request.body(full("")).expect("a request")).await;
    assert_eq!((response.status().as_u16(), body.as_slice()), (200, b"hello".as_slice()));
    let asked = world.asked_once();
    assert_eq!(asked.headers["authorization"], format!("Bearer {}", pair.real));
    assert_eq!((asked.method.as_str(), asked.uri.as_str()), ("GET", "/user"));
    let swapped = |note: &Note| matches!(note, Note::Swapped { part: Part::Header, .. });
    assert_eq!(world.notes.all().iter().filter(|note| swapped(note)).count(), 1, "{:?}", world.notes.all());
}

#[tokio::test]
async fn the_same_over_http2() {
    let world = Plan::github().build().await;
    let pair = &world.pairs[0];
    let request = world.request("POST", "/graphql").header("authorization", basic("x", &pair.synthetic));
    let (response, _) = world.ask_h2(request.body(full("{}")).expect("a request")).await;
    assert_eq!(response.status().as_u16(), 200);
    let asked = world.asked_once();
    assert_eq!(asked.headers["authorization"], basic("x", &pair.real));
    assert_eq!(asked.body, b"{}");
}

#[tokio::test]
async fn a_real_value_that_comes_back_is_shown_as_its_synthetic() {
    let world = Plan::github()
        .answering(|asked| {
            let told = asked.headers["authorization"].clone();
            let body = format!("you said {}", told.to_str().expect("text"));
            Response::builder().header("x-told", told).body(full(body)).expect("an answer")
        })
        .build()
        .await;
    let pair = &world.pairs[0];
    let request = world.request("GET", "/").header("authorization", format!("token {}", pair.synthetic));
    let (response, body) = world.ask(request.body(full("")).expect("a request")).await;
    assert_eq!(String::from_utf8_lossy(&body), format!("you said token {}", pair.synthetic));
    assert_eq!(response.headers()["x-told"], format!("token {}", pair.synthetic));
    assert!(world.server_saw(&pair.real));
}
