//! Packages through the broker: pip, npm and cargo, each with trust of its own, from an index on loopback. Each has
//! a twin whose index is not on the list.

use crate::harness::server::Server;
use crate::harness::{PYTHON, Ran, World};

use serde_json::json;
use std::fs;

/// Runs a script that finds the index at `$INDEX`: at the host that is listed, and at one that is not.
fn both(world: &World, script: &str) -> (Ran, Ran) {
    let directory = world.beside("index");
    fs::create_dir_all(&directory).expect("a directory");
    let server = Server::of_packages(&directory);
    let config = json!({
        "network": {
            "mode": "allowlist",
            "allow": ["index.example.com"],
            "resolve": [format!("index.example.com:443=127.0.0.1:{}", server.said)],
        },
        "secrets": {"mode": "broker"},
    });
    let run = |host: &str| {
        let shield = world.bash(script).with(["--config".to_owned(), config.to_string()]);
        shield.set("SSL_CERT_FILE", directory.join("ca.pem")).set("INDEX", format!("https://{host}")).run()
    };
    (run("index.example.com"), run("other.example.com"))
}

fn check(script: &str, said: &str) {
    let world = World::new();
    let (listed, other) = both(&world, script);
    let listed = listed.expect_clean();
    assert!(listed.text().ends_with(said), "{listed}");
    assert!(!listed.record.of("connection-allowed").is_empty(), "{listed}");
    assert!(!other.text().contains(said) && other.code() != Some(0), "{other}");
    assert!(!other.record.of("name-denied").is_empty(), "{other}");
    assert!(other.said().contains("other.example.com"), "{other}");
}

#[test]
fn pip_installs_from_a_listed_index() {
    let install = "-m pip install -q --disable-pip-version-check --retries 0 --no-deps --target out \
        --index-url $INDEX/simple/ hello 2>&1";
    check(&format!("set -e; {PYTHON} {install}; PYTHONPATH=out {PYTHON} -m hello"), "hello from pip\n");
}

#[test]
fn npm_installs_from_a_listed_registry() {
    let install = "npm install --silent --no-audit --no-fund --fetch-retries 0 --registry $INDEX/npm/ hello";
    check(
        &format!(
            "set -e; d=$(echo $INDEX | tr -dc a-z); mkdir $d; cd $d; echo '{{}}' > package.json; {install}; node -e 'require(\"hello\")'"
        ),
        "hello from npm\n",
    );
}

#[test]
fn cargo_builds_with_a_crate_of_a_listed_registry() {
    let script = "set -e; export PATH=/usr/bin:/bin CARGO_NET_GIT_FETCH_WITH_CLI=true CARGO_NET_RETRY=0\n\
        mkdir -p c/src c/.cargo; cd c; unset RUSTC_WRAPPER\n\
        printf '[package]\\nname=\"c\"\\nversion=\"0.1.0\"\\nedition=\"2021\"\\n[dependencies]\\nhello=\"1\"\\n[workspace]\\n' > Cargo.toml\n\
        echo 'fn main() { println!(\"{}\", hello::hello()) }' > src/main.rs\n\
        printf '[source.crates-io]\\nreplace-with=\"own\"\\n[source.own]\\nregistry=\"%s/cargo.git\"\\n' $INDEX > .cargo/config.toml\n\
        cargo run -q 2>&1";
    check(script, "hello from cargo\n");
}
