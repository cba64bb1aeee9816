//! The synthetic key inside, the real one on the wire, and only at its own host: real clients, and a TLS server on
//! the host's loopback in the place of the host that the key belongs to.

use crate::harness::made_up::{self, base64_standard};
use crate::harness::server::Server;
use crate::harness::{PYTHON, Ran, World, python_with_clients, text};

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const HOSTS: [&str; 6] = [
    "api.anthropic.com",
    "api.github.com",
    "api.example.com",
    "api.openai.com",
    "github.com",
    "sts.us-east-1.amazonaws.com",
];

/// A world, and the server that stands for all hosts.
pub(crate) struct Hosts {
    pub(crate) world: World,
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

    /// With a server that speaks HTTP/2 and WebSockets.
    pub(crate) fn of_wires() -> Self {
        let hosts = Self::new();
        let server = Server::of_wires(&hosts.directory);
        Self { server, ..hosts }
    }

    pub(crate) fn run<S: AsRef<str>>(&self, command: impl IntoIterator<Item = S>) -> Ran {
        self.run_with(json!({"allow": HOSTS}), json!({}), command)
    }

    /// With keys of `network` and `secrets` of its own.
    fn run_with<S: AsRef<str>>(
        &self,
        network: Value,
        secrets: Value,
        command: impl IntoIterator<Item = S>,
    ) -> Ran {
        self.run_all(network, secrets, json!({}), command)
    }

    /// With keys of `files` and `secrets`.
    fn run_files<S: AsRef<str>>(
        &self,
        files: Value,
        secrets: Value,
        command: impl IntoIterator<Item = S>,
    ) -> Ran {
        self.run_all(json!({"allow": HOSTS}), secrets, files, command)
    }

    fn run_all<S: AsRef<str>>(
        &self,
        mut network: Value,
        mut secrets: Value,
        files: Value,
        command: impl IntoIterator<Item = S>,
    ) -> Ran {
        let words: Vec<String> = command.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let (tls, plain) = self.server.said.split_once(' ').expect("two ports");
        let at =
            |host: &&str| [(443, tls), (80, plain)].map(|(from, to)| format!("{host}:{from}=127.0.0.1:{to}"));
        network["mode"] = "allowlist".into();
        network["resolve"] = HOSTS.iter().flat_map(at).collect();
        secrets["mode"] = "broker".into();
        let config = json!({"network": network, "secrets": secrets, "files": files}).to_string();
        let shield = self.world.shield(&words).with(["--config".to_owned(), config]);
        shield.set("SSL_CERT_FILE", self.directory.join("ca.pem")).run()
    }

    /// What the server was asked.
    pub(crate) fn asked(&self) -> Vec<Value> {
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
    let wget = "wget -qO- --header \"x-api-key: $ANTHROPIC_API_KEY\" https://api.anthropic.com/w";
    let https = "require('https').get('https://api.anthropic.com/h', {headers: {'x-api-key': \
        process.env.ANTHROPIC_API_KEY}}, r => r.on('data', d => process.stdout.write(d)))";
    let node = "fetch('https://api.anthropic.com/n', {headers: {'x-api-key': process.env.ANTHROPIC_API_KEY}})\
        .then(r => r.text()).then(t => console.log(t))";
    let curl = "curl -sS https://api.anthropic.com/c -H \"x-api-key: $ANTHROPIC_API_KEY\"; \
        curl -sS --http1.1 https://api.anthropic.com/d -H \"x-api-key: $ANTHROPIC_API_KEY\"";
    for command in [
        ["bash", "-c", curl],
        [PYTHON, "-c", python],
        ["node", "-e", node],
        ["node", "-e", https],
        ["bash", "-c", wget],
    ] {
        let ran = hosts.run(command).expect_clean();
        // The server says who it thinks it is told: what comes back inside is the synthetic.
        assert!(ran.text().contains("you are sk-ant-"), "{ran}");
        ran.assert_nothing_real();
        assert!(!ran.record.of("secret-swapped").is_empty(), "{ran}");
        assert!(!ran.record.of("secret-scrubbed").is_empty(), "{ran}");
    }
    let asked = hosts.asked();
    assert_eq!(asked.len(), 6);
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

/// Sends a text in two chunks by hand, cut in the middle, as it is or packed first. Its halves meet here only.
const IN_CHUNKS: &str = "
import base64, gzip, socket, ssl, sys
text, way = ''.join(sys.stdin.read().split()).encode(), sys.argv[1]
pack = {'raw': bytes, 'hex': lambda t: t.hex().encode(), 'base64': lambda t: base64.b64encode(b'a' + t), 'gzip': gzip.compress}
body = pack[way](text)
head = ['POST /%s HTTP/1.1' % way, 'Host: api.github.com', 'Transfer-Encoding: chunked', 'Connection: close']
if way == 'gzip': head.append('Content-Encoding: gzip')
plain = socket.create_connection(('api.github.com', 443))
s = ssl.create_default_context().wrap_socket(plain, server_hostname='api.github.com')
s.sendall(('\\r\\n'.join(head) + '\\r\\n\\r\\n').encode())
half = len(body) // 2
for part in [body[:half], body[half:], b'']:
    s.sendall(b'%x\\r\\n%s\\r\\n' % (len(part), part))
said = b''
while part := s.recv(4096): said += part
print(said.decode(errors='replace').split()[1])
";

#[test]
fn a_real_value_in_two_chunks_ends_the_run_and_a_word_arrives() {
    let hosts = Hosts::new();
    let real = hosts.world.real("GITHUB_TOKEN").to_owned();
    let (first, second) = real.split_at(12);
    for way in ["raw", "hex", "base64", "gzip"] {
        let script =
            |first: &str, second: &str| format!("echo '{first} {second}' | {PYTHON} -c \"$0\" {way}");
        let leak = script(first, second);
        let ran = hosts.run(["bash", "-c", &leak, IN_CHUNKS]).expect_code(120);
        assert!(!ran.record.of("leak-stopped").is_empty(), "{way}: {ran}");
        let twin = script("n0thing-that", "is-secret-at-all-but-as-long-as-one");
        let ran = hosts.run(["bash", "-c", &twin, IN_CHUNKS]).expect_clean();
        assert_eq!(ran.text(), "200\n", "{way}: {ran}");
    }
    let asked = hosts.asked();
    let whole = |path: &&str| asked.iter().filter(|one| text(one, "/path") == *path).count() == 1;
    assert!(["/raw", "/hex", "/base64", "/gzip"].iter().all(whole), "{asked:?}");
    assert!(asked.iter().all(|one| !one.to_string().contains(&real[4..])), "it left");
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
fn libraries_of_python_with_bundles_of_their_own_trust_it_too() {
    let hosts = Hosts::new();
    let Some(python) = python_with_clients() else { return };
    let script = "import os, requests, httpx\n\
        h = {'authorization': 'Bearer ' + os.environ['OPENAI_API_KEY']}\n\
        print(requests.post('https://api.openai.com/r', json={'a': 1}, headers=h).text)\n\
        print(httpx.get('https://api.openai.com/x', headers=h).text)";
    let ran = hosts.run([&*python.to_string_lossy(), "-c", script]).expect_clean();
    ran.assert_nothing_real();
    let real = format!("Bearer {}", hosts.world.real("OPENAI_API_KEY"));
    let asked = hosts.asked();
    assert_eq!(asked.len(), 2, "{ran}");
    assert!(asked.iter().all(|request| text(request, "/headers/authorization") == real), "{ran}");
}

#[test]
fn git_names_itself_with_the_real_token() {
    let hosts = Hosts::new();
    let script = "git clone -q https://x:$GITHUB_TOKEN@github.com/repo.git $TMPDIR/it && git -C $TMPDIR/it log --format=%s";
    let script = format!("export TMPDIR=$(mktemp -d); {script}");
    let ran = hosts.run(["bash", "-c", &script]).expect_clean();
    assert_eq!(ran.text().trim(), "the only one", "{ran}");
    ran.assert_nothing_real();
    let named = base64_standard(format!("x:{}", hosts.world.real("GITHUB_TOKEN")).as_bytes());
    let asked = hosts.asked();
    let with = |request: &&Value| text(request, "/headers/authorization") == format!("Basic {named}");
    assert!(asked.iter().filter(with).count() > 2, "{ran}");
}

/// Says nothing for longer than one would wait, and greets then.
const LATE: &str = "import os, socket, ssl, time\n\
    s = socket.create_connection(('api.anthropic.com', 443)); time.sleep(3)\n\
    c = ssl._create_unverified_context(); s = c.wrap_socket(s, server_hostname='api.anthropic.com')\n\
    print('ours' if b'shieldrun' in s.getpeercert(True) else 'theirs')\n\
    s.sendall(('GET /late HTTP/1.1\\r\\nHost: api.anthropic.com\\r\\nConnection: close\\r\\nx-api-key: %s\\r\\n\\r\\n' \
        % os.environ['ANTHROPIC_API_KEY']).encode())\n\
    while s.recv(4096): pass";

#[test]
fn who_takes_its_time_is_not_past_the_broker() {
    let hosts = Hosts::new();
    let ran = hosts.run([PYTHON, "-c", LATE]).expect_clean();
    assert_eq!(ran.text(), "ours\n", "{ran}");
    assert_eq!(text(&hosts.asked()[0], "/headers/x-api-key"), hosts.world.real("ANTHROPIC_API_KEY"), "{ran}");
}

#[test]
fn a_brokered_connection_is_on_record_with_its_bytes() {
    let hosts = Hosts::new();
    let ran = hosts.run(["curl", "-sS", "https://api.example.com/x"]).expect_clean();
    let to = |event: &&Value| text(event, "/destination/address") == "api.example.com:443";
    assert_eq!(ran.record.of("connection-allowed").iter().copied().filter(to).count(), 1, "{ran}");
    let closed = ran.record.of("connection-closed");
    assert_eq!(closed.len(), 1, "{ran}");
    assert!(closed[0]["source"]["bytes"].as_u64() > Some(300), "{ran}");
    assert!(closed[0]["destination"]["bytes"].as_u64() > Some(300), "{ran}");
    assert!(text(closed[0], "/process/executable").ends_with("curl"), "{ran}");
}

#[test]
fn without_tls_nothing_is_swapped_and_what_is_compressed_is_looked_into() {
    let hosts = Hosts::new();
    // At the very host that the key belongs to; and in a form that only somebody sees who reads HTTP.
    let script = "curl -sS -o /dev/null -w '%{http_code} ' http://api.example.com/a -H \"x-api-key: $ANTHROPIC_API_KEY\"\n\
        echo \"k=$GITHUB_TOKEN\" | gzip | curl -sS -o /dev/null -w '%{http_code} ' http://api.example.com/b \
            -H 'content-encoding: gzip' --data-binary @-\n\
        echo k=nothing | gzip | curl -sS -o /dev/null -w '%{http_code} ' http://api.example.com/c \
            -H 'content-encoding: gzip' --data-binary @-\n\
        curl -sS http://api.anthropic.com/d -H \"x-api-key: $ANTHROPIC_API_KEY\"";
    let ran = hosts.run(["bash", "-c", script]).expect_clean();
    assert!(ran.text().starts_with("403 403 200 "), "{ran}");
    assert!(ran.text().contains("sk-ant-"), "a model hears it, as it is: {ran}");
    assert!(ran.record.of("secret-swapped").is_empty(), "{ran}");
    assert_eq!(ran.record.of("synthetic-seen").len(), 3, "{ran}");
    for request in hosts.asked() {
        assert!(hosts.world.seen_in(request.to_string().as_bytes()).is_empty(), "nothing real: {ran}");
        assert_ne!(text(&request, "/path"), "/a", "it never left: {ran}");
    }
}

#[test]
fn a_host_that_is_listed_for_some_requests_is_held_to_them_within_tls() {
    let hosts = Hosts::new();
    let code = "curl -sS -o /dev/null -w '%{http_code} '";
    let script = format!(
        "{code} https://api.example.com/v1/a; {code} https://api.example.com/v2/a; \
         {code} -X DELETE https://api.example.com/v1/a; {code} -x http://198.18.0.1:80 https://api.example.com/v1/b; \
         {code} -x http://198.18.0.1:80 https://api.example.com/v2/b; \
         {code} http://api.example.com/v1/c; {code} http://api.example.com/v2/c"
    );
    let allow = json!({"allow": ["GET api.example.com/v1/**"]});
    let ran = hosts.run_with(allow, json!({}), ["bash", "-c", &script]).expect_clean();
    assert_eq!(ran.text(), "200 403 403 200 403 200 403 ", "{ran}");
    let asked: Vec<_> = hosts.asked().iter().map(|request| text(request, "/path").to_owned()).collect();
    assert_eq!(asked, ["/v1/a", "/v1/b", "/v1/c"], "{ran}");
    assert_eq!(ran.record.of("connection-denied").len(), 4, "{ran}");
}

#[test]
fn a_person_binds_a_secret_to_a_host_and_a_project_does_not() {
    let hosts = Hosts::new();
    let command = ["bash", "-c", "curl -sS https://api.example.com/x -H \"x-own: $MY_SERVICE_TOKEN\""];
    let bound = json!({"bindings": {"MY_SERVICE_TOKEN": ["api.example.com"]}});
    let ran = hosts.run_with(json!({"allow": HOSTS}), bound, command).expect_clean();
    ran.assert_nothing_real();
    let elsewhere = json!({"bindings": {"MY_SERVICE_TOKEN": ["other.example.com"]}});
    let refused = hosts.run_with(json!({"allow": HOSTS}), elsewhere, command).expect_clean();
    assert!(refused.text().contains("secrets.bindings"), "{refused}");
    let asked = hosts.asked();
    assert_eq!(asked.len(), 1, "{refused}");
    assert_eq!(text(&asked[0], "/headers/x-own"), hosts.world.real("MY_SERVICE_TOKEN"), "{ran}");

    hosts.world.write("sandbox-policy.yaml", "secrets: {bindings: {MY_SERVICE_TOKEN: [api.example.com]}}\n");
    let ran = hosts.run(command).expect_code(125);
    assert!(ran.said().contains("`secrets.bindings` is for people"), "{ran}");
}

#[test]
fn a_host_that_passes_through_shows_its_own_certificate_and_gets_no_secret() {
    let hosts = Hosts::new();
    let script = "curl -sS https://api.anthropic.com/x -H \"x-api-key: $ANTHROPIC_API_KEY\"; \
        curl -svo /dev/null https://api.anthropic.com/y 2>&1 | grep -o 'issuer: .*'";
    let network = json!({"allow": HOSTS, "passthrough": ["api.anthropic.com"]});
    let ran = hosts.run_with(network, json!({}), ["bash", "-c", script]).expect_clean();
    assert!(ran.text().contains("issuer: CN=suite"), "{ran}");
    assert!(hosts.world.seen_in(&hosts.server.bytes()).is_empty(), "{ran}");
    assert_eq!(hosts.asked().len(), 2, "{ran}");
    let allowed = ran.record.of("connection-allowed");
    assert!(allowed.iter().all(|event| text(event, "/rule/name") == "network.passthrough"), "{ran}");
    assert_eq!(allowed.len(), 2, "{ran}");

    let ran = hosts.run(["bash", "-c", script]).expect_clean();
    assert!(ran.text().contains("issuer: CN=shieldrun"), "{ran}");
}

#[test]
fn a_broker_needs_a_network() {
    let world = World::new();
    let ran = world.shield(["echo", "ran"]).with(["--secrets=broker"]).run().expect_code(125);
    assert!(ran.said().contains("--network allowlist"), "{ran}");
}

/// A login that is renewed twice, as a client of OAuth does it: it keeps to itself what it was given.
const RENEWING: &str = "import json, urllib.request as u\n\
    own = json.load(open('/proc/self/cwd/../../.agent/auth.json'))['tokens']\n\
    for turn in range(2):\n\
    \x20   asked = json.dumps({'grant_type': 'refresh_token', 'refresh_token': own['refresh_token']}).encode()\n\
    \x20   r = u.Request('https://github.com/login/oauth/access_token', asked, {'content-type': 'application/json'})\n\
    \x20   own = json.load(u.urlopen(r))\n\
    print(json.dumps(own))";

#[test]
fn a_login_that_is_renewed_comes_home_where_it_is_kept() {
    for kept in [true, false] {
        let hosts = Hosts::new();
        let (access, refresh) = (made_up::github("gho"), made_up::github("ghr"));
        let file = hosts.world.home.join(".agent/auth.json");
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        let first = json!({"tokens": {"access_token": access, "refresh_token": refresh}, "n": 1}).to_string();
        fs::write(&file, &first).expect("write a login");
        let what = if kept { "persist" } else { "visible" };
        let files = json!({what: ["~/.agent"]});
        let secrets = json!({"files": {"~/.agent/auth.json": "synthetic"}});
        let script = RENEWING
            .replace("/proc/self/cwd/../../.agent", &hosts.world.home.join(".agent").to_string_lossy());
        let ran = hosts.run_files(files, secrets, [PYTHON, "-c", &script]).expect_clean();
        let asked = hosts.asked();
        let answers: Vec<&Value> =
            asked.iter().filter(|said| said["method"] == "ANSWER").map(|said| &said["body"]).collect();
        assert_eq!(answers.len(), 2, "{ran}");
        // The second was asked for with the real one of the first.
        let bodies: Vec<&Value> = asked.iter().filter(|said| said["method"] == "POST").collect();
        assert!(text(bodies[0], "/body").contains(&refresh), "{ran}");
        assert!(text(bodies[1], "/body").contains(text(answers[0], "/refresh_token")), "{ran}");
        let told = ran.record.of("secret-renewed");
        let now = fs::read_to_string(&file).expect("read the login");
        if kept {
            let expected = json!({"tokens": {"access_token": answers[1]["access_token"],
                "refresh_token": answers[1]["refresh_token"]}, "n": 1});
            assert_eq!(now, expected.to_string(), "{ran}");
            assert_eq!(told.len(), 4, "{ran}");
        } else {
            assert_eq!(now, first, "{ran}");
            assert!(told.is_empty(), "{ran}");
        }
        let everything = format!("{ran}");
        for real in answers.iter().flat_map(|answer| {
            ["access_token", "refresh_token"].map(|name| text(answer, &format!("/{name}")))
        }) {
            assert!(!everything.contains(real), "it was seen inside or is on record\n{ran}");
        }
    }
}

/// A program of Java's own client, which trusts a store of its own.
const JAVA: &str = r#"
import java.net.URI;
import java.net.http.*;
public class Ask {
    public static void main(String[] words) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create("https://api.anthropic.com/j"))
            .header("x-api-key", System.getenv("ANTHROPIC_API_KEY")).build();
        try {
            System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
        } catch (java.io.IOException refused) {
            System.out.println(refused.getMessage());
        }
    }
}
"#;

#[test]
fn java_sends_the_real_key_and_is_told_nothing_by_a_variable() {
    let hosts = Hosts::new();
    hosts.world.write("Ask.java", JAVA);
    hosts.world.native(["/usr/bin/javac", "Ask.java"]);
    let ran = hosts.run(["java", "-cp", ".", "Ask"]).expect_clean();
    assert!(ran.text().starts_with("you are sk-ant-"), "{ran}");
    assert!(!ran.said().contains("Picked up"), "{ran}");
    ran.assert_nothing_real();
    let asked = hosts.asked();
    assert_eq!(asked.len(), 1, "{ran}");
    assert_eq!(text(&asked[0], "/headers/x-api-key"), hosts.world.real("ANTHROPIC_API_KEY"));
    // Where nobody looks into TLS, the store is that of this machine, which does not know the server's authority.
    let (tls, _) = hosts.server.said.split_once(' ').expect("two ports");
    let resolve = format!("api.anthropic.com:443=127.0.0.1:{tls}");
    let network = json!({"network": {"mode": "allowlist", "allow": HOSTS, "resolve": [resolve]}}).to_string();
    let shield = hosts.world.shield(["java", "-cp", ".", "Ask"]).with(["--config".to_owned(), network]);
    let ran = shield.run().expect_clean();
    assert!(ran.text().contains("certification path") || ran.text().contains("trust"), "{ran}");
    assert_eq!(hosts.asked().len(), 1, "{ran}");
}
