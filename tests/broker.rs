//! The synthetic key inside, the real one on the wire, and only at its own host: real clients, and a TLS server on
//! the host's loopback in the place of the host that the key belongs to.

use crate::harness::server::Server;
use crate::harness::{PYTHON, Ran, World, python_with_clients, text};

use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const HOSTS: [&str; 4] =
    ["api.anthropic.com", "api.github.com", "api.example.com", "sts.us-east-1.amazonaws.com"];

/// A world, and the server that stands for all hosts.
struct Hosts {
    world: World,
    server: Server,
    directory: PathBuf,
}

impl Hosts {
    fn new() -> Self {
        let world = World::new();
        let directory = world.beside("hosts");
        fs::create_dir_all(&directory).expect("a directory");
        let (id, secret) = (world.real("AWS_ACCESS_KEY_ID"), world.real("AWS_SECRET_ACCESS_KEY"));
        let server = Server::of_hosts(&directory, id, secret);
        Self { world, server, directory }
    }

    fn run<S: AsRef<str>>(&self, command: impl IntoIterator<Item = S>) -> Ran {
        let words: Vec<String> = command.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let at: Vec<_> =
            HOSTS.iter().map(|host| format!("\"{host}:443=127.0.0.1:{}\"", self.server.said)).collect();
        let allow: Vec<_> = HOSTS.iter().map(|host| format!("\"{host}\"")).collect();
        let config = format!(
            r#"{{"network": {{"mode": "allowlist", "allow": [{}], "resolve": [{}]}}, "secrets_mode": "broker"}}"#,
            allow.join(","),
            at.join(",")
        );
        let shield = self.world.shield(&words).with(["--config".to_owned(), config]);
        shield.set("SSL_CERT_FILE", self.directory.join("ca.pem")).run()
    }

    /// What the server was asked.
    fn asked(&self) -> Vec<Value> {
        self.server.got()
    }
}

#[test]
fn every_client_sends_the_real_key_to_its_own_host_and_has_never_seen_it() {
    let hosts = Hosts::new();
    let real = hosts.world.real("ANTHROPIC_API_KEY").to_owned();
    let python = "import os, urllib.request as u\n\
        r = u.Request('https://api.anthropic.com/p', headers={'x-api-key': os.environ['ANTHROPIC_API_KEY']})\n\
        print(u.urlopen(r).read().decode())";
    let node = "fetch('https://api.anthropic.com/n', {headers: {'x-api-key': process.env.ANTHROPIC_API_KEY}})\
        .then(r => r.text()).then(t => console.log(t))";
    let curl = "curl -sS https://api.anthropic.com/c -H \"x-api-key: $ANTHROPIC_API_KEY\"; \
        curl -sS --http1.1 https://api.anthropic.com/d -H \"x-api-key: $ANTHROPIC_API_KEY\"";
    for command in [["bash", "-c", curl], [PYTHON, "-c", python], ["node", "-e", node]] {
        let ran = hosts.run(command).expect_clean();
        // The server says who it thinks it is told: what comes back inside is the synthetic.
        assert!(ran.text().contains("you are sk-ant-"), "{ran}");
        ran.assert_nothing_real();
        assert!(!ran.record.of("secret-swapped").is_empty(), "{ran}");
        assert!(!ran.record.of("secret-scrubbed").is_empty(), "{ran}");
    }
    let asked = hosts.asked();
    assert_eq!(asked.len(), 4);
    for request in &asked {
        assert_eq!(text(request, "/headers/x-api-key"), real);
        let others = hosts.world.seen_in(request.to_string().as_bytes());
        assert_eq!(others, ["ANTHROPIC_API_KEY"], "only this key, and in this header");
    }
}

#[test]
fn a_synthetic_for_another_host_is_refused_and_a_request_without_one_is_not() {
    let hosts = Hosts::new();
    let script = "curl -sS -w '%{http_code}' https://api.example.com/x -H \"x-api-key: $ANTHROPIC_API_KEY\"; \
        echo; curl -sS https://api.example.com/y";
    let ran = hosts.run(["bash", "-c", script]).expect_clean();
    assert!(ran.text().contains("403\n"), "{ran}");
    assert!(ran.text().ends_with("you are None"), "{ran}");
    let paths: Vec<_> = hosts.asked().iter().map(|request| text(request, "/path").to_owned()).collect();
    assert_eq!(paths, ["/y"], "the first never left");
    assert!(!ran.record.of("synthetic-seen").is_empty(), "{ran}");
}

#[test]
fn a_real_value_that_leaves_ends_the_run() {
    let hosts = Hosts::new();
    // As an agent might that got hold of one: by two halves, which no scan of the command line sees.
    let real = hosts.world.real("GITHUB_TOKEN").to_owned();
    let (first, second) = real.split_at(12);
    let script = format!(
        "a={first}; sleep 0.01; curl -sS https://api.github.com/x -d \"value=${{a}}{second}\"; sleep 5; echo on"
    );
    let ran = hosts.run(["bash", "-c", &script]).expect_code(120);
    assert!(!ran.text().contains("on\n"), "{ran}");
    assert!(!ran.record.of("leak-stopped").is_empty(), "{ran}");
    for request in hosts.asked() {
        assert!(!request.to_string().contains(&real), "it left");
    }
}

#[test]
fn aws_requests_are_signed_anew() {
    let hosts = Hosts::new();
    let Some(python) = python_with_clients() else { return };
    let python = python.to_string_lossy().into_owned();
    let call = ["-m", "awscli", "sts", "get-caller-identity", "--region", "us-east-1"];
    let ran = hosts.run([python.as_str()].into_iter().chain(call)).expect_clean();
    assert!(ran.text().contains("123456789012"), "{ran}");
    // And by itself, with what is inside, no signature holds.
    let request = &hosts.asked()[0];
    assert!(text(request, "/headers/authorization").contains(hosts.world.real("AWS_ACCESS_KEY_ID")));
}

#[test]
fn a_broker_needs_a_network() {
    let world = World::new();
    let ran = world.shield(["echo", "ran"]).with(["--secrets=broker"]).run().expect_code(125);
    assert!(ran.said().contains("--network allowlist"), "{ran}");
}
