//! What a server of notices answers: success, later, trouble, a hang, a closed connection; and a launcher that is
//! killed meanwhile. Whatever it is, the hold is kept and can be let through.

use crate::harness::server::Server;
use crate::harness::{World, made_up};
use crate::notify::{HELD, approve, assert_held_and_approvable, log, notified, told};
use serde_json::{Value, json};

/// Slack, Linear and a server of one's own, each with its own script of answers: `OK` is what it calls success.
fn all_three(steps: &[&str], deadline: f64) -> (World, Vec<(&'static str, Server)>, Value) {
    let mut world = World::new();
    let made = r#"200={"data":{"issueCreate":{"success":true,"issue":{"identifier":"T-1"}}}}"#;
    let servers = [("slack", "200=ok"), ("linear", made), ("webhook", "204")].map(|(whom, ok)| {
        let steps = steps.iter().map(|step| if *step == "OK" { ok } else { step });
        (whom, Server::answering(&log(&world, whom), steps))
    });
    world.set("HOOK", servers[0].1.url("/services"));
    let key = world.plant("the API key", made_up::custom());
    world.set("PLACE", &key);
    let notify = json!({
        "slack": {"webhook": "env:HOOK"},
        "linear": {"api_key": "env:PLACE", "team": "team-1", "url": servers[1].1.url("/graphql")},
        "webhook": {"url": servers[2].1.url("/h")},
        "deadline_seconds": deadline,
    });
    (world, servers.into(), notify)
}

#[test]
fn slack_linear_and_a_server_are_told_whatever_they_answer_first() {
    for (steps, attempts) in [
        (vec!["OK"], 1),
        (vec!["429;1", "OK"], 2),
        (vec!["500", "503", "OK"], 3),
        (vec!["hang", "OK"], 2),
        (vec!["close", "OK"], 2),
    ] {
        // One attempt has half of the time, so one that hangs leaves as much for the next.
        let (world, servers, notify) = all_three(&steps, if steps[0] == "hang" { 6.0 } else { 30.0 });
        let ran = told(&world, HELD, &notify).run().expect_clean();
        for (whom, server) in &servers {
            let (outcome, message) = notified(&ran, whom);
            assert_eq!(outcome, "success", "{whom} {steps:?} {message}\n{ran}");
            assert_eq!(server.got().len(), attempts, "{whom} {steps:?}\n{ran}");
        }
        assert_held_and_approvable(&world, &ran);
    }
}

#[test]
fn slack_linear_and_a_server_that_never_take_it_cost_the_deadline_and_no_hold() {
    for (step, said) in [
        ("429", "429"),
        ("500", "500"),
        ("hang", "no answer in time"),
        // The twin of what is tried again: who refuses is asked once.
        ("403", "403"),
        ("close", ""),
    ] {
        let (world, servers, notify) = all_three(&[step], 2.0);
        let ran = told(&world, &format!("{HELD}; exit 3"), &notify).run().expect_code(3);
        for (whom, server) in &servers {
            let (outcome, message) = notified(&ran, whom);
            assert!(outcome == "failure" && message.contains(said), "{whom} {step} {message}\n{ran}");
            assert!(ran.said().contains(&format!("{whom} was not told")), "{whom} {step}\n{ran}");
            let asked = server.got().len();
            assert!(if step == "403" { asked == 1 } else { asked >= 1 }, "{whom} {step} {asked}\n{ran}");
        }
        assert_held_and_approvable(&world, &ran);
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let mut world = World::new();
    let server = Server::answering(&log(&world, "busy"), ["429;1=slow down", "200"]);
    world.set("HOOK", server.url("/h"));
    let notify = json!({"webhook": {"url": "env:HOOK"}, "deadline_seconds": 20});
    let ran = told(&world, HELD, &notify).run().expect_clean();
    assert_eq!(notified(&ran, "webhook").1, "held: told, at attempt 2", "{ran}");
    let at: Vec<f64> = server.got().iter().filter_map(|entry| entry["at"].as_f64()).collect();
    assert_eq!(at.len(), 2, "{ran}");
    assert!(at[1] - at[0] >= 1.0, "it came back after {} s", at[1] - at[0]);
}

#[test]
fn a_wait_past_the_deadline_is_not_begun() {
    let mut world = World::new();
    let server = Server::answering(&log(&world, "busy"), ["429;3600"]);
    world.set("HOOK", server.url("/h"));
    let notify = json!({"webhook": {"url": "env:HOOK"}, "deadline_seconds": 20});
    let ran = told(&world, HELD, &notify).run().expect_clean();
    let (outcome, message) = notified(&ran, "webhook");
    assert_eq!(outcome, "failure", "{ran}");
    assert!(message.contains("429") && message.contains("no time for another"), "{message}");
    assert_eq!(server.got().len(), 1, "{ran}");
    assert_held_and_approvable(&world, &ran);
}

#[test]
fn a_server_in_trouble_is_tried_again_and_one_that_refuses_is_not() {
    for (steps, attempts, outcome) in [
        (vec!["500", "503", "200"], 3, "success"),
        (vec!["close", "200"], 2, "success"),
        (vec!["404=no_service"], 1, "failure"),
        (vec!["302"], 1, "failure"),
    ] {
        let mut world = World::new();
        let server = Server::answering(&log(&world, "script"), &steps);
        world.set("HOOK", server.url("/h"));
        let notify = json!({"slack": {"webhook": "env:HOOK"}, "deadline_seconds": 20});
        let ran = told(&world, HELD, &notify).run().expect_clean();
        assert_eq!(notified(&ran, "slack").0, outcome, "{steps:?}\n{ran}");
        assert_eq!(server.got().len(), attempts, "{steps:?}\n{ran}");
        assert_eq!(ran.said().contains("slack was not told"), outcome == "failure", "{ran}");
        assert_held_and_approvable(&world, &ran);
    }
}

#[test]
fn a_server_that_hangs_or_is_not_there_delays_the_end_and_loses_nothing() {
    let mut world = World::new();
    let server = Server::answering(&log(&world, "hang"), ["hang"]);
    world.set("HOOK", server.url("/h"));
    // Bound and closed again: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    world.set("DEAD", format!("http://{free}/h"));
    let notify =
        json!({"slack": {"webhook": "env:HOOK"}, "webhook": {"url": "env:DEAD"}, "deadline_seconds": 1.5});
    let ran = told(&world, &format!("{HELD}; exit 3"), &notify).run().expect_code(3);
    let (outcome, message) = notified(&ran, "slack");
    assert!(outcome == "failure" && message.contains("no answer in time"), "{message}");
    assert_eq!(notified(&ran, "webhook").0, "failure", "{ran}");
    assert!(!server.got().is_empty(), "{ran}");
    assert_held_and_approvable(&world, &ran);
}

#[test]
fn a_launcher_that_is_killed_while_a_notice_hangs_loses_no_hold() {
    let mut world = World::new();
    let server = Server::answering(&log(&world, "hang"), ["hang"]);
    world.set("HOOK", server.url("/h"));
    let notify = json!({"slack": {"webhook": "env:HOOK"}, "deadline_seconds": 3000});
    let mut running = told(&world, HELD, &notify).start();
    assert!(crate::harness::host::soon(|| !server.got().is_empty()), "nobody was told");
    running.signal(rustix::process::Signal::KILL);
    drop(running.wait());
    approve(&world, "last");
}
