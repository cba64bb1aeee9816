//! Receivers of events beside the record: up, down, late, dying in the middle. None delays a run, and what one
//! did not get is counted.

use crate::harness::host::soon;
use crate::harness::server::Server;
use crate::harness::{Ran, World, text};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Touches secrets, so that there are events to send.
const SCRIPT: &str = "cat .env ~/.aws/credentials > /dev/null; cat ~/.ssh/id_rsa; true";

struct Place {
    socket: PathBuf,
    log: PathBuf,
}

/// A socket's path has 108 bytes at most, which a world's is below.
fn place(world: &World) -> Place {
    let at = world.beside("sink");
    Place { socket: at.join("s"), log: at.join("log") }
}

fn record_of(ran: &Ran) -> Vec<u8> {
    fs::read(PathBuf::from(text(&ran.record.result, "/record")).join("events.jsonl"))
        .expect("read the record")
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

fn dropped_at<'r>(ran: &'r Ran, sink: &str) -> Vec<&'r Value> {
    let of = |event: &&Value| text(event, "/shieldrun/dropped/place") == sink;
    ran.record.of("events-dropped").into_iter().filter(of).collect()
}

#[test]
fn a_socket_gets_the_lines_of_the_record() {
    let world = World::new();
    let at = place(&world);
    let server = Server::receiving("stream", &at.socket, &at.log, &[]);
    let sink = format!("unix:{}", at.socket.display());
    let ran = world.bash(SCRIPT).with(["--sink", &sink]).run().expect_clean();
    assert_eq!(server.bytes(), record_of(&ran), "{ran}");
    assert!(dropped_at(&ran, &sink).is_empty(), "{ran}");
    assert!(ran.record.faults().is_empty(), "{:?}", ran.record.faults());
}

#[test]
fn a_receiver_that_comes_late_gets_everything() {
    let world = World::new();
    let at = place(&world);
    let sink = format!("unix:{}", at.socket.display());
    let config = serde_json::json!({"trace": {"sinks": [sink]}}).to_string();
    let script = format!("{SCRIPT}; echo begun; read -r go; cat .env > /dev/null");
    let mut running = world.bash(&script).with(["--config", &config]).start();
    running.await_text("begun");
    let server = Server::receiving("stream", &at.socket, &at.log, &[]);
    assert!(soon(|| !server.bytes().is_empty()), "nothing came while the command still ran");
    running.say(b"go\n");
    let ran = running.wait().expect_clean();
    assert_eq!(server.bytes(), record_of(&ran), "{ran}");
}

#[test]
fn a_receiver_that_dies_in_the_middle_misses_nothing() {
    let world = World::new();
    let at = place(&world);
    let sink = format!("unix:{}", at.socket.display());
    // Twice it closes after some lines, with more of them unread.
    let server = Server::receiving("stream", &at.socket, &at.log, &["3", "4"]);
    let ran = world.bash(SCRIPT).with(["--sink", &sink]).run().expect_clean();
    let (got, record) = (server.bytes(), record_of(&ran));
    // A line may come twice, and its number says so; none is missing and none is damaged.
    let (got, record) = (lines(&got), lines(&record));
    for line in &record {
        assert!(got.contains(line), "{} is missing\n{ran}", String::from_utf8_lossy(line));
    }
    for line in &got {
        assert!(record.contains(line), "{} is not of the record", String::from_utf8_lossy(line));
    }
    assert!(dropped_at(&ran, &sink).is_empty(), "{ran}");
}

#[test]
fn receivers_that_are_not_there_or_do_not_read_are_counted_and_delay_nobody() {
    let world = World::new();
    let at = place(&world);
    let deaf = Server::receiving("deaf", &at.socket, &at.log, &[]);
    let nobody = world.beside("sink").join("nobody");
    let (deaf_sink, none) = (format!("unix:{}", at.socket.display()), format!("unix:{}", nobody.display()));
    let journal = format!("journald:{}", nobody.display());
    let ran = world
        .bash(&format!("{SCRIPT}; exit 4"))
        .with(["--sink", &deaf_sink, "--sink", &none, "--sink", &journal])
        .run()
        .expect_code(4);
    ran.assert_nothing_real();
    for sink in [&deaf_sink, &none, &journal] {
        let dropped = dropped_at(&ran, sink);
        assert_eq!(dropped.len(), 1, "{sink}\n{ran}");
        let count = dropped[0].pointer("/shieldrun/dropped/events").and_then(Value::as_u64);
        assert!(count.is_some_and(|count| count > 5), "{sink}\n{ran}");
        assert!(ran.said().contains(sink.as_str()), "{ran}");
    }
    assert_eq!(text(ran.record.events.last().expect("events"), "/event/action"), "run-ended", "{ran}");
    assert!(ran.record.faults().is_empty(), "{:?}", ran.record.faults());
    drop(deaf);
}

#[test]
fn syslog_and_the_journal_get_their_own_forms() {
    let world = World::new();
    let at = place(&world);
    let server = Server::receiving("datagram", &at.socket, &at.log, &[]);
    for (name, head) in [("syslog", "<14>1 20"), ("journald", "PRIORITY=6\nSYSLOG_IDENTIFIER=shieldrun\n")] {
        let before = server.got().len();
        let sink = format!("{name}:{}", at.socket.display());
        let ran = world.bash(SCRIPT).with(["--sink", &sink]).run().expect_clean();
        let record = record_of(&ran);
        let got: Vec<String> =
            server.got().iter().skip(before).filter_map(|value| value.as_str().map(str::to_owned)).collect();
        let record = lines(&record);
        assert_eq!(got.len(), record.len(), "{name}\n{ran}");
        assert!(got[0].starts_with(head), "{}", got[0]);
        for (datagram, line) in got.iter().zip(record) {
            assert!(datagram.contains(&*String::from_utf8_lossy(line)), "{datagram}");
        }
        assert!(dropped_at(&ran, &sink).is_empty(), "{ran}");
    }
}

#[test]
fn a_collector_gets_log_records_with_the_names_of_opentelemetry() {
    let world = World::new();
    let log = world.beside("sink").join("otlp");
    let server = Server::answering(&log, ["503", "200={}"]);
    let sink = format!("otlp:{}", server.url(""));
    let ran = world.bash(SCRIPT).with(["--sink", &sink]).run().expect_clean();
    let got = server.got();
    assert_eq!(text(&got[0], "/line"), "POST /v1/logs HTTP/1.1", "{ran}");
    let mut records = Vec::new();
    for request in got.iter().filter(|request| text(request, "/step").starts_with("200")) {
        let body: Value = serde_json::from_str(text(request, "/body")).expect("JSON");
        let resource = &body["resourceLogs"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "shieldrun");
        records.extend(resource["scopeLogs"][0]["logRecords"].as_array().cloned().unwrap_or_default());
    }
    assert_eq!(records.len(), lines(&record_of(&ran)).len(), "{ran}");
    let started = records.iter().find(|record| record["eventName"] == "shieldrun.process-started");
    let attributes = started.expect("a process")["attributes"].as_array().cloned().unwrap_or_default();
    for key in ["process.pid", "process.executable.path", "process.command_args", "shieldrun.prev_hash"] {
        assert!(attributes.iter().any(|attribute| attribute["key"] == key), "{key} is not in {attributes:?}");
    }
    assert!(dropped_at(&ran, &sink).is_empty(), "{ran}");
}

#[test]
fn what_a_collector_refuses_is_counted() {
    let world = World::new();
    let log = world.beside("sink").join("otlp");
    let server = Server::answering(&log, ["400=no"]);
    let sink = format!("otlp:{}", server.url("/v1/logs"));
    let ran = world.bash(SCRIPT).with(["--sink", &sink]).run().expect_clean();
    assert_eq!(dropped_at(&ran, &sink).len(), 1, "{ran}");
    let partial = r#"200={"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"m"}}"#;
    let server = Server::answering(&world.beside("sink").join("partly"), [partial]);
    let sink = format!("otlp:{}", server.url(""));
    let ran = world.bash(SCRIPT).with(["--sink", &sink]).run().expect_clean();
    assert_eq!(dropped_at(&ran, &sink).len(), 1, "{ran}");
}

#[test]
fn a_sink_that_is_none_is_a_mistake_with_its_name() {
    let world = World::new();
    let ran = world.bash("true").with(["--sink", "kafka:x"]).run().expect_code(125);
    assert!(ran.said().contains("unix:PATH"), "{ran}");
    world.write("sandbox-policy.yaml", "trace: {sinks: [syslog]}\n");
    let ran = world.bash("true").run().expect_code(125);
    assert!(ran.said().contains("`trace.sinks` is for people"), "{ran}");
}
