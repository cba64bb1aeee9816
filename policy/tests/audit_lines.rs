//! Events as lines: exactly the form of the record's contract, and nothing that is not text.

use std::time::Duration;

use shieldrun_policy::audit::{
    Action, Ancestor, Destination, Dropped, Event, Exit, Leak, LinePlace, Process, Provider, SecretRef, Text,
    Timestamp, Treatment,
};

fn line(event: &Event) -> String {
    let mut out = Vec::new();
    event.write_line(LinePlace { run_id: "01JDF", sequence: 17, prev_hash: "9f2c" }, &mut out);
    String::from_utf8(out).expect("a line is text")
}

fn at() -> Timestamp {
    Timestamp::from_micros(1_795_532_645_123_456)
}

fn process() -> Process {
    Process {
        pid: 4242,
        pid_inside: Some(7),
        executable: Some("/usr/bin/python3.11".into()),
        args: vec!["python3".into(), "app.py".into()],
        working_directory: Some("/home/u/proj".into()),
        parent: Some(4200),
        ancestors: Vec::new(),
        exit_code: None,
    }
}

fn secret() -> SecretRef {
    SecretRef { id: "s3".into(), kind: "aws-secret-access-key".into(), name: "aws_secret_access_key".into() }
}

#[test]
fn the_example_of_the_contract_is_written_field_for_field() {
    let event = Event::new(at(), Action::SecretFileRead, Provider::Tripwire)
        .process(Process { pid_inside: None, ..process() })
        .file("/home/u/.aws/credentials")
        .rule("secrets.files.~/.aws")
        .secret(secret())
        .treatment(Treatment::Synthetic);
    let expected = concat!(
        r#"{"@timestamp":"2026-11-24T15:04:05.123456Z","ecs":{"version":"8.17"},"#,
        r#""event":{"kind":"event","category":["file"],"type":["access","denied"],"action":"secret-file-read","#,
        r#""outcome":"failure","provider":"tripwire","sequence":17},"#,
        r#""process":{"pid":4242,"executable":"/usr/bin/python3.11","args":["python3","app.py"],"#,
        r#""working_directory":"/home/u/proj","parent":{"pid":4200}},"#,
        r#""file":{"path":"/home/u/.aws/credentials"},"rule":{"name":"secrets.files.~/.aws"},"#,
        r#""shieldrun":{"run_id":"01JDF","seq":17,"trust":"fact","#,
        r#""secret":{"id":"s3","kind":"aws-secret-access-key","name":"aws_secret_access_key"},"#,
        r#""action":"synthetic","count":1,"prev_hash":"9f2c"}}"#,
    );
    assert_eq!(line(&event), expected);
}

#[test]
fn parents_that_were_looked_at_are_named() {
    let above = |pid, executable: &str| Ancestor { pid, executable: Some(executable.into()) };
    let process =
        Process { ancestors: vec![above(4200, "/usr/bin/make"), above(4100, "/usr/bin/bash")], ..process() };
    let line = line(&Event::new(at(), Action::SecretFileDenied, Provider::Tripwire).process(process));
    assert!(line.contains(r#""parent":{"pid":4200,"executable":"/usr/bin/make"}"#), "{line}");
    let whole = r#""ancestors":[{"pid":4200,"executable":"/usr/bin/make"},{"pid":4100,"executable":"/usr/bin/bash"}]"#;
    assert!(line.contains(whole), "{line}");
}

#[test]
fn other_lines_are_as_they_were() {
    let bad_name = &b"caf\xe9\n\".txt"[..];
    let events = [
        Event::new(at(), Action::RunStarted, Provider::Launcher)
            .process(process())
            .tier("full")
            .policy_digest("sha256:00"),
        Event::new(at(), Action::SecretEnvRead, Provider::Shim).process(process()).secret(secret()).repeated(
            199_999,
            Timestamp::from_micros(0),
            at(),
        ),
        Event::new(at(), Action::SecretFileDenied, Provider::Shim)
            .file(bad_name)
            .file_target(bad_name)
            .process(Process {
                pid: 1,
                args: vec!["ok".into(), Text::from_bytes(b"\xff")],
                ..Process::default()
            }),
        Event::new(at(), Action::ConnectionDenied, Provider::Egress).destination(Destination {
            address: Some("example.com".into()),
            domain: Some("example.com".into()),
            ip: Some([198, 18, 0, 1].into()),
            port: Some(443),
        }),
        Event::new(at(), Action::LeakStopped, Provider::Launcher)
            .secret(secret())
            .leak(Leak { place: "stdout".into(), encoding: "base64".into() }),
        Event::new(at(), Action::EventsDropped, Provider::Launcher).dropped(Dropped {
            events: 12,
            provider: Some(Provider::Shim),
            place: "ring".into(),
        }),
        Event::new(at(), Action::RunEnded, Provider::Launcher)
            .exit(Exit { code: Some(137), signal: Some(9), shieldrun: None })
            .duration(Duration::from_millis(1234)),
        Event::new(at(), Action::SyscallDenied, Provider::Kernel).syscall("io_uring_setup").rule("seccomp"),
        Event::new(at(), Action::ReviewDecided, Provider::Review)
            .user("u@host")
            .message("looks right")
            .changes_digest("sha256:11"),
    ];
    insta::assert_snapshot!(events.iter().map(line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn trust_is_the_providers_and_nothing_changes_it() {
    for provider in Provider::ALL {
        let event = Event::new(at(), Action::ProcessStarted, provider);
        let json: serde_json::Value = serde_json::from_str(&line(&event)).expect("JSON");
        let expected = if provider == Provider::Shim { "claim" } else { "fact" };
        assert_eq!(json["shieldrun"]["trust"], expected);
    }
}

#[test]
fn every_line_is_one_line_of_json_whatever_is_in_it() {
    for byte in 0..=255u8 {
        let bytes = [b'a', byte, b'b'];
        let event = Event::new(at(), Action::ProcessStarted, Provider::Kernel)
            .process(Process { args: vec![Text::from_bytes(&bytes)], ..process() })
            .file(&bytes[..])
            .rule(&bytes[..])
            .message(Text::from_bytes(&bytes));
        let line = line(&event);
        assert!(!line.contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let back = match json["shieldrun"]["raw"]["file.path"].as_str() {
            Some(raw) => data_encoding::BASE64.decode(raw.as_bytes()).expect("base64"),
            None => json["file"]["path"].as_str().expect("text").as_bytes().to_vec(),
        };
        assert_eq!(back, bytes);
    }
}

#[test]
fn the_same_again_is_told_from_another() {
    let base = || Event::new(at(), Action::SecretEnvRead, Provider::Shim).process(process()).secret(secret());
    let later = Event::new(Timestamp::from_micros(5), Action::SecretEnvRead, Provider::Shim)
        .process(Process { args: Vec::new(), ..process() })
        .secret(secret());
    assert_eq!(base().subject(), later.subject());
    let others = [
        base().process(Process { pid: 1, ..process() }),
        base().process(Process { executable: Some("/bin/env".into()), ..process() }),
        base().secret(SecretRef { name: "OTHER".into(), ..secret() }),
        base().file("/x"),
        base().rule("r"),
        base().treatment(Treatment::Block),
        Event::new(at(), Action::SecretEnvRead, Provider::Launcher).process(process()).secret(secret()),
    ];
    for other in others {
        assert_ne!(base().subject(), other.subject(), "{other:?}");
    }
}
