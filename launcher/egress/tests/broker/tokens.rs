//! Credentials that are handed out while a run goes on.

use hyper::Response;

use crate::harness::{Plan, full};
use crate::made_up::word;

#[tokio::test]
async fn what_a_token_endpoint_hands_out_is_synthetic_inside_and_real_outside() {
    let (access, refresh) = (format!("at-{}", word(40)), format!("rt-{}", word(40)));
    let answer = format!(r#"{{"access_token":"{access}","expires_in":60,"refresh_token":"{refresh}"}}"#);
    let world = Plan::github()
        .answering(move |asked| match asked.uri.as_str() {
            "/login/oauth/access_token" => Response::builder()
                .header("content-type", "application/json; charset=utf-8")
                .body(full(answer.clone()))
                .expect("an answer"),
            _ => Response::new(full("")),
        })
        .build()
        .await;
    let request = world.request("POST", "/login/oauth/access_token").body(full("code=1")).expect("a request");
    let (_, body) = world.ask(request).await;
    let shown: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let token = shown["access_token"].as_str().expect("a token");
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(!text.contains(&access) && !text.contains(&refresh), "a real token inside");
    assert_eq!(token.len(), access.len());
    assert_eq!(shown["expires_in"], 60);
    let request = world.request("GET", "/user").header("authorization", format!("Bearer {token}"));
    world.ask(request.body(full("")).expect("a request")).await;
    let asked = world.asked.lock().expect("no test panics with it").last().expect("two requests").clone();
    assert_eq!(asked.headers["authorization"], format!("Bearer {access}"));
    // And the real one is a leak from now on.
    let request = world.request("GET", "/user").header("x", &access).body(full("")).expect("a request");
    assert_eq!(world.ask(request).await.0.status().as_u16(), 403);
}
