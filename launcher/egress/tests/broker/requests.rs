//! What becomes of a secret in each part of a request and of an answer.

use hyper::Response;
use shieldrun_egress::broker::{Binding, Bound, Fields, Hosts};
use shieldrun_egress::{Note, Part};

use crate::harness::{Plan, full, gzip, pieces};

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

/// A form or JSON body with a value as the whole of a field that is named like a credential, or not.
const BODIES: &[(&str, &str, bool)] = &[
    ("application/x-www-form-urlencoded", "grant_type=x&refresh_token={}&a=b", true),
    ("application/x-www-form-urlencoded", "client_secret={}", true),
    ("application/json", r#"{"a":1,"api_key": "{}"}"#, true),
    ("application/json", r#"{"files":{"a":{"content":"{}"}}}"#, false),
    ("application/json", r#"{"body":"my token is {}"}"#, false),
];

#[tokio::test]
async fn a_body_is_swapped_in_credential_fields_and_refused_elsewhere() {
    for (kind, body, swapped) in BODIES {
        for cut in [0, 1, 17, 60] {
            let world = Plan::github().build().await;
            let pair = &world.pairs[0];
            let text = body.replace("{}", &pair.synthetic).into_bytes();
            let request = world.request("POST", "/x").header("content-type", *kind);
            let request = request.body(pieces(&text, cut)).expect("a request");
            let (response, told) = world.ask(request).await;
            if *swapped {
                assert_eq!(response.status().as_u16(), 200, "{body} {cut}");
                let asked = world.asked_once();
                assert_eq!(String::from_utf8_lossy(&asked.body), body.replace("{}", &pair.real));
            } else {
                assert_eq!(response.status().as_u16(), 403, "{body} {cut}");
                assert!(String::from_utf8_lossy(&told).contains("synthetic value of s0 in its body"));
                assert!(!world.server_saw(&pair.real) && !world.server_saw(&pair.synthetic));
            }
        }
    }
}

#[tokio::test]
async fn a_query_is_swapped_in_credential_fields_and_refused_elsewhere() {
    for (path, status) in [("/x?access_token={}&y=1", 200), ("/x?q={}", 403), ("/x/{}", 403)] {
        let world = Plan::github().build().await;
        let pair = &world.pairs[0];
        let request = world.request("GET", &path.replace("{}", &pair.synthetic));
        let (response, _) = world.ask(request.body(full("")).expect("a request")).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        if status == 200 {
            assert_eq!(world.asked_once().uri, path.replace("{}", &pair.real));
        } else {
            assert!(world.asked.lock().expect("no test panics with it").is_empty());
            let seen = |note: &Note| matches!(note, Note::SyntheticSeen { .. });
            assert!(world.notes.all().iter().any(seen), "{:?}", world.notes.all());
        }
    }
}

#[tokio::test]
async fn a_synthetic_for_another_host_is_refused_unless_it_is_only_heard_there() {
    for heard in [false, true] {
        let plan = Plan::github().at("api.example.com");
        let world = if heard { plan.heard() } else { plan }.build().await;
        let pair = &world.pairs[0];
        let body = full(format!(r#"{{"prompt":"env says {}"}}"#, pair.synthetic));
        let (response, _) = world.ask(world.request("POST", "/").body(body).expect("a request")).await;
        assert_eq!(response.status().as_u16(), if heard { 200 } else { 403 });
        assert_eq!(world.server_saw(&pair.synthetic), heard);
        assert!(!world.server_saw(&pair.real));
        let notes = world.notes.all();
        assert_eq!(notes.iter().any(|note| matches!(note, Note::SyntheticHeard { .. })), heard, "{notes:?}");
        assert_eq!(notes.iter().any(|note| matches!(note, Note::SyntheticSeen { .. })), !heard, "{notes:?}");
    }
}

#[tokio::test]
async fn policy_binds_a_secret_to_a_host() {
    let mut plan = Plan::github().at("git.example.com");
    let hosts = Hosts::new(["git.example.com"]);
    let (secret, parts) = (Bound::Named("GITHUB_TOKEN".into()), vec![Part::Header]);
    plan.settings.bindings = vec![Binding { secret, hosts, parts, fields: Fields::Any }];
    let world = plan.build().await;
    let pair = &world.pairs[0];
    let request = world.request("GET", "/").header("private-token", &pair.synthetic);
    let (response, _) = world.ask(request.body(full("")).expect("a request")).await;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(world.asked_once().headers["private-token"], pair.real);
}

#[tokio::test]
async fn a_binding_to_credential_fields_leaves_a_conversation_alone() {
    for (fields, field, swapped) in [
        (Fields::Credentials, "refresh_token", true),
        (Fields::Credentials, "text", false),
        (Fields::Any, "text", true),
    ] {
        let mut plan = Plan::github().at("model.example.com").heard();
        let (secret, hosts) = (Bound::Named("GITHUB_TOKEN".into()), Hosts::new(["model.example.com"]));
        plan.settings.bindings = vec![Binding { secret, hosts, parts: vec![Part::Body], fields }];
        let world = plan.build().await;
        let pair = &world.pairs[0];
        let body = full(format!(r#"{{"{field}":"{}"}}"#, pair.synthetic));
        let request = world.request("POST", "/").header("content-type", "application/json").body(body);
        let (response, _) = world.ask(request.expect("a request")).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(world.server_saw(&pair.real), swapped, "{fields:?} {field}");
        assert_eq!(world.server_saw(&pair.synthetic), !swapped, "{fields:?} {field}");
    }
}

#[tokio::test]
async fn an_answer_is_scrubbed_wherever_it_is_cut_and_under_gzip() {
    for coded in [false, true] {
        let world = Plan::github()
            .answering(move |asked| {
                let told = asked.headers["authorization"].to_str().expect("text").to_owned();
                let text = format!("{} {told} {}", "x".repeat(16_370), "y".repeat(3000)).into_bytes();
                match coded {
                    false => Response::new(full(text)),
                    true => {
                        let body = full(gzip(&text));
                        Response::builder().header("content-encoding", "gzip").body(body).expect("an answer")
                    }
                }
            })
            .build()
            .await;
        let pair = &world.pairs[0];
        let request = world.request("GET", "/").header("authorization", &pair.synthetic);
        let request = request.header("accept-encoding", "gzip, br").body(full("")).expect("a request");
        let (response, body) = world.ask(request).await;
        assert!(!response.headers().contains_key("content-encoding"));
        let body = String::from_utf8(body).expect("text");
        assert_eq!(body, format!("{} {} {}", "x".repeat(16_370), pair.synthetic, "y".repeat(3000)));
        assert_eq!(world.asked_once().headers["accept-encoding"], "identity");
    }
}

#[tokio::test]
async fn trailers_and_streams_pass() {
    let world = Plan::github().build().await;
    let request =
        world.request("POST", "/grpc").header("te", "trailers").body(full("abc")).expect("a request");
    let (response, body) = world.ask_h2(request).await;
    assert_eq!((response.status().as_u16(), body.as_slice()), (200, b"hello".as_slice()));
    assert_eq!(world.asked_once().headers["te"], "trailers");
}
