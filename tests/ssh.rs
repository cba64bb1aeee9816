//! The person's keys inside, without the keys: a real `ssh-agent`, real servers of OpenSSH on loopback, `git` and
//! `ssh-keygen`. Whoever is refused has a twin that is not.

use crate::harness::{PYTHON, Ran, World, put};

use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Two servers with keys of their own, a repository, and an agent with one key that both let in.
struct Place {
    world: World,
    directory: PathBuf,
    socket: PathBuf,
    /// The servers' ports.
    git: u16,
    other: u16,
    user: String,
    running: Vec<Running>,
}

fn run(program: &str, words: &[&str], directory: &Path) -> String {
    let mut command = Command::new(program);
    command.args(words).current_dir(directory).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("start {program}: {error}"));
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn await_that(what: &str, is: impl Fn() -> bool) {
    for _ in 0..400 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("{what} did not come");
}

impl Place {
    fn new() -> Self {
        Self::with_hosts("ed25519")
    }

    /// With keys of this form for the servers.
    fn with_hosts(form: &str) -> Self {
        let world = World::new();
        let directory = world.beside("ssh");
        for (key, form) in [("git_host", form), ("other_host", form), ("mine", "ed25519")] {
            run("ssh-keygen", &["-q", "-t", form, "-N", "", "-C", key, "-f", key], &directory);
        }
        let mine = fs::read(directory.join("mine.pub")).expect("the public key");
        put(&directory.join("authorized"), &mine, 0o600);
        run("git", &["init", "-q", "--bare", "--initial-branch=main", "repo.git"], &directory);
        let user = run("id", &["-un"], &directory);
        let socket = directory.join("agent");
        let mut place = Self { world, directory, socket, git: 0, other: 0, user, running: Vec::new() };
        place.git = place.serve("git_host");
        place.other = place.serve("other_host");
        let agent =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&place.socket).stdout(Stdio::null()).spawn();
        place.running.push(Running(agent.expect("start an agent")));
        await_that("the agent", || place.socket.exists());
        let add = Command::new("ssh-add")
            .args(["-q", "mine"])
            .current_dir(&place.directory)
            .env("SSH_AUTH_SOCK", &place.socket)
            .stdin(Stdio::null())
            .status();
        assert!(add.is_ok_and(|status| status.success()), "ssh-add");
        place.know(&format!("git.example.com {}\n", place.public("git_host")));
        place
    }

    /// What the person knows of hosts.
    fn know(&self, text: &str) {
        put(&self.world.home.join(".ssh/known_hosts"), text.as_bytes(), 0o644);
    }

    fn public(&self, key: &str) -> String {
        let text = fs::read_to_string(self.directory.join(format!("{key}.pub"))).expect("a public key");
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    fn serve(&mut self, key: &str) -> u16 {
        // Where root starts it, it wants a directory to lock a part of itself in.
        let _ = fs::create_dir_all("/run/sshd");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let at = |name: &str| self.directory.join(name).display().to_string();
        let settings = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             PidFile none\n",
            at(key),
            at("authorized")
        );
        let file = put(&self.directory.join(format!("{key}.conf")), settings.as_bytes(), 0o600);
        let log = fs::File::create(self.directory.join(format!("{key}.log"))).expect("a log");
        let server = Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f"]).arg(file).stderr(log).spawn();
        self.running.push(Running(server.expect("install `openssh-server`: it is part of the suite")));
        await_that("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        port
    }

    fn bash(&self, ssh: Value, script: &str) -> Ran {
        let config = json!({
            "network": {
                "mode": "allowlist",
                "allow": ["git.example.com:22", "other.example.com:22"],
                "resolve": [
                    format!("git.example.com:22=127.0.0.1:{}", self.git),
                    format!("other.example.com:22=127.0.0.1:{}", self.other),
                ],
            },
            "ssh": ssh,
        });
        let shield = self.world.bash(script).with(["--config".to_owned(), config.to_string()]);
        shield.set("SSH_AUTH_SOCK", &self.socket).run()
    }

    fn url(&self) -> String {
        format!("ssh://{}@git.example.com{}/repo.git", self.user, self.directory.display())
    }
}

/// The events of an action.
fn used(ran: &Ran, action: &str) -> usize {
    ran.record.of(action).len()
}

#[test]
fn git_pushes_and_fetches_over_ssh_without_the_key() {
    let place = Place::new();
    let (url, user) = (place.url(), &place.user);
    let script = format!(
        "git commit -q --allow-empty -m inside && git push -q {url} HEAD:main && git ls-remote {url} main; \
         ssh -o BatchMode=yes {user}@git.example.com echo there; ls -A ~/.ssh; ssh-add -l | wc -l; ssh-add -D; true"
    );
    let ran = place.bash(json!({"hosts": ["git.example.com"]}), &script).expect_clean();
    let head = run("git", &["--git-dir=repo.git", "log", "-1", "--format=%s %H", "main"], &place.directory);
    let (subject, id) = head.split_once(' ').expect("a subject and an id");
    assert_eq!((subject, ran.text()), ("inside", format!("{id}\trefs/heads/main\nthere\n1\n")), "{ran}");
    assert_eq!(used(&ran, "ssh-key-used"), 3, "{ran}");
    let event = ran.record.of("ssh-key-used")[0];
    assert_eq!(event["destination"]["domain"], "git.example.com", "{ran}");
    assert!(event["process"]["executable"].as_str().is_some_and(|path| path.ends_with("/ssh")), "{ran}");
    ran.assert_nothing_real();
    // Nobody took the key out of the person's agent.
    let left =
        Command::new("ssh-add").arg("-l").env("SSH_AUTH_SOCK", &place.socket).output().expect("ssh-add");
    assert!(String::from_utf8_lossy(&left.stdout).contains("mine"));
}

#[test]
fn a_host_that_is_not_listed_gets_no_signature_though_it_can_be_reached() {
    let place = Place::new();
    let keys = format!(
        "git.example.com {}\nother.example.com {}\n",
        place.public("git_host"),
        place.public("other_host")
    );
    place.know(&keys);
    let script = format!(
        "for host in other git; do ssh -o BatchMode=yes -o StrictHostKeyChecking=no {}@$host.example.com echo $host; done",
        place.user
    );
    let ran = place.bash(json!({"hosts": ["git.example.com"]}), &script).expect_clean();
    assert_eq!(ran.text(), "git\n", "{ran}");
    assert_eq!((used(&ran, "ssh-key-denied"), used(&ran, "ssh-key-used")), (1, 1), "{ran}");
    assert!(ran.said().contains("a signature by a key of yours"), "{ran}");
    let both = json!({"hosts": ["*.example.com"]});
    assert_eq!(place.bash(both, &script).expect_clean().text(), "other\ngit\n");
}

#[test]
fn hosts_vouch_for_themselves_by_keys_of_every_form() {
    for form in ["rsa", "ecdsa"] {
        let place = Place::with_hosts(form);
        // As Debian has it: nobody can read there which hosts they are.
        run("ssh-keygen", &["-q", "-H", "-f", "known_hosts"], &place.world.home.join(".ssh"));
        // With `-A` it would be asked for there as well, and is not.
        let script = format!(
            "ssh -A -o BatchMode=yes {}@git.example.com 'ssh-add -l >/dev/null 2>&1; echo $?'",
            place.user
        );
        let ran = place.bash(json!({"hosts": ["git.example.com"]}), &script).expect_clean();
        assert_eq!((ran.text().as_str(), used(&ran, "ssh-key-used")), ("0\n", 1), "{form}\n{ran}");
    }
}

/// Speaks to the agent as a program would that wants a signature for itself.
const ASKER: &str = r#"
import os, socket, struct, sys
def s(b): return struct.pack(">I", len(b)) + b
sock = socket.socket(socket.AF_UNIX); sock.connect(os.environ["SSH_AUTH_SOCK"])
def ask(m):
    sock.sendall(s(m)); n = struct.unpack(">I", sock.recv(4, socket.MSG_WAITALL))[0]
    return sock.recv(n, socket.MSG_WAITALL)
import base64
key = base64.b64decode(sys.argv[1]); host = base64.b64decode(sys.argv[2]); session = b"x" * 32
def login(method, rest=b""):
    return s(session) + b"\x32" + s(b"git") + s(b"ssh-connection") + s(method) + b"\x01" + s(b"ssh-ed25519") + s(key) + rest
def sign(data): return ask(b"\x0d" + s(key) + s(data) + struct.pack(">I", 0))[0]
said = [len(ask(b"\x0b")) > 20]
said.append(sign(login(b"publickey")))
for signature in [s(b"ssh-ed25519") + s(b"\0" * 64), b"", s(b"none") + s(b"")]:
    said.append(ask(b"\x1b" + s(b"session-bind@openssh.com") + s(host) + s(session) + s(signature) + b"\0")[0])
said.append(sign(login(b"publickey-hostbound-v00@openssh.com", s(host))))
said.append(sign(b"anything"))
said.append(ask(b"\x13")[0])
print(*said)
"#;

#[test]
fn a_program_that_only_says_which_host_it_is_gets_nothing() {
    let place = Place::new();
    place.world.write("ask.py", ASKER);
    let blob = |key: &str| place.public(key).split(' ').nth(1).expect("a blob").to_owned();
    let script = format!("{PYTHON} ask.py {} {}", blob("mine"), blob("git_host"));
    let ran = place.bash(json!({"hosts": ["git.example.com"]}), &script).expect_clean();
    // 5 is a refusal, whatever was asked but for the list of keys.
    assert_eq!(ran.text(), "True 5 5 5 5 5 5 5\n", "{ran}");
    assert_eq!(used(&ran, "ssh-key-used"), 0, "{ran}");
    assert!(used(&ran, "ssh-key-denied") >= 2, "{ran}");
}

#[test]
fn commits_are_signed_where_the_policy_says_so_and_files_never() {
    let place = Place::new();
    let key = place.public("mine");
    let script = format!(
        "git -c gpg.format=ssh -c 'user.signingkey=key::{key}' commit -q --allow-empty -S -m signed && \
         git cat-file commit HEAD | grep -c 'BEGIN SSH'; echo '{key}' > k.pub; \
         echo x | ssh-keygen -q -Y sign -n file -f k.pub > s 2>/dev/null && echo signed; true"
    );
    let ran = place.bash(json!({"sign_commits": true}), &script).expect_clean();
    assert_eq!(ran.text(), "1\n", "{ran}");
    assert_eq!((used(&ran, "ssh-key-used"), used(&ran, "ssh-key-denied")), (1, 1), "{ran}");
    let ran = place.bash(json!({"hosts": ["git.example.com"]}), &script).expect_clean();
    assert_eq!(ran.text(), "", "{ran}");
    assert_eq!((used(&ran, "ssh-key-used"), used(&ran, "ssh-key-denied")), (0, 2), "{ran}");
}

#[test]
fn without_a_word_about_it_there_is_no_agent() {
    let place = Place::new();
    let ran = place.bash(json!({}), "ssh-add -l >/dev/null 2>&1; echo $?").expect_clean();
    assert_eq!(ran.text(), "2\n", "{ran}");
    place.world.write("sandbox-policy.yaml", "ssh: {hosts: [git.example.com]}\n");
    let ran = place.bash(json!({}), "true").expect_code(125);
    assert!(ran.said().contains("may only tighten"), "{ran}");
}

#[test]
fn what_cannot_be_had_is_said_before_anything_runs() {
    let place = Place::new();
    let ran = place.bash(json!({"hosts": ["other.example.com"]}), "echo ran").expect_code(125);
    assert!(ran.said().contains("no key of `other.example.com` is known"), "{ran}");
    let shield = place.world.bash("echo ran").with(["--ssh-agent", "git.example.com"]);
    let ran = shield.run().expect_code(125);
    assert!(ran.said().contains("ssh-add"), "{ran}");
    let shield = place.world.bash("ssh-add -l | wc -l").with(["--ssh-agent", "git.example.com"]);
    assert_eq!(shield.set("SSH_AUTH_SOCK", &place.socket).run().expect_clean().text(), "1\n");
}
