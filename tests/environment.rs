//! Every credential in the environment is replaced before the first program starts, for everyone.

use crate::harness::made_up::{custom, github, github_checksum_holds, word};
use crate::harness::probe::{DYNAMIC, RAW, STATIC};
use crate::harness::{PYTHON, Ran, World};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;

/// The environment that `cat /proc/self/environ` shows inside.
fn inside(ran: &Ran) -> HashMap<Vec<u8>, Vec<u8>> {
    ran.stdout
        .split(|&byte| byte == 0)
        .filter_map(|entry| {
            let at = entry.iter().position(|&byte| byte == b'=')?;
            Some((entry[..at].to_vec(), entry[at + 1..].to_vec()))
        })
        .collect()
}

fn value<'e>(environment: &'e HashMap<Vec<u8>, Vec<u8>>, name: &str) -> &'e str {
    let bytes = environment.get(name.as_bytes()).unwrap_or_else(|| panic!("`{name}` is not set inside"));
    std::str::from_utf8(bytes).expect("a synthetic is text")
}

/// Runs words natively and inside. Natively they must show a real value, else they would prove nothing.
#[track_caller]
fn hides(world: &World, words: &[&str], real: &str) {
    let native = world.native(words);
    assert!(
        memchr::memmem::find(&native, world.real(real).as_bytes()).is_some(),
        "{words:?} should show {real} natively, else it is no test"
    );
    let ran = world.shield(words).run().expect_clean();
    assert!(!ran.stdout.is_empty(), "{words:?} should show something inside too\n{ran}");
}

#[test]
fn each_known_kind_keeps_its_form() {
    let world = World::new();
    let ran = world.shield(["cat", "/proc/self/environ"]).run().expect_clean();
    let environment = inside(&ran);
    for (name, prefix) in [
        ("GITHUB_TOKEN", "ghp_"),
        ("OPENAI_API_KEY", "sk-proj-"),
        ("ANTHROPIC_API_KEY", "sk-ant-api03-"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_SESSION_TOKEN", ""),
        ("SLACK_BOT_TOKEN", "xoxb-"),
        ("STRIPE_SECRET_KEY", "sk_live_"),
        ("NPM_TOKEN", "npm_"),
        ("SESSION_JWT", ""),
        ("MY_SERVICE_TOKEN", ""),
    ] {
        let (real, synthetic) = (world.real(name), value(&environment, name));
        assert_ne!(real, synthetic, "{name}");
        assert_eq!(real.len(), synthetic.len(), "{name} changed its length");
        assert!(synthetic.starts_with(prefix), "{name} lost its prefix: {synthetic}");
    }
}

#[test]
fn github_and_npm_checksums_verify() {
    let world = World::new();
    assert!(github_checksum_holds(world.real("GITHUB_TOKEN")), "the fixture's own token");
    let ran = world.shield(["cat", "/proc/self/environ"]).run().expect_clean();
    let environment = inside(&ran);
    for name in ["GITHUB_TOKEN", "NPM_TOKEN"] {
        assert!(github_checksum_holds(value(&environment, name)), "{name}: {}", value(&environment, name));
    }
}

#[test]
fn every_github_prefix_is_known() {
    let mut world = World::new();
    for prefix in ["gho", "ghu", "ghs"] {
        let token = github(prefix);
        // A name that says nothing: only the value gives it away.
        world.set(format!("SETTING_{}", prefix.to_uppercase()), token.clone());
        world.plant("an undistinguished name", token);
    }
    let ran = world.shield(["cat", "/proc/self/environ"]).run().expect_clean();
    let environment = inside(&ran);
    for prefix in ["gho", "ghu", "ghs"] {
        let synthetic = value(&environment, &format!("SETTING_{}", prefix.to_uppercase()));
        assert!(synthetic.starts_with(prefix) && github_checksum_holds(synthetic), "{synthetic}");
    }
}

#[test]
fn openai_and_anthropic_keys_keep_infix_and_suffix() {
    let world = World::new();
    let ran = world.shield(["cat", "/proc/self/environ"]).run().expect_clean();
    let environment = inside(&ran);
    let openai = value(&environment, "OPENAI_API_KEY");
    assert_eq!(openai.find(&format!("T3Blbk{}", "FJ")), Some("sk-proj-".len() + 74), "{openai}");
    assert!(value(&environment, "ANTHROPIC_API_KEY").ends_with("AA"));
}

#[test]
fn a_jwt_stays_three_parts_of_json() {
    let world = World::new();
    let script = "import os,base64,json\n\
        h,c,s=os.environ['SESSION_JWT'].split('.')\n\
        d=lambda p: json.loads(base64.urlsafe_b64decode(p+'='*(-len(p)%4)))\n\
        print(d(h)['alg'], d(h)['typ'], d(c)['exp'], d(c)['role'], len(s))";
    world.shield([PYTHON, "-c", script]).run().expect_clean().expect_text("HS256 JWT 4102444800 admin 43\n");
}

#[test]
fn a_database_url_keeps_all_but_its_password() {
    let world = World::new();
    let script = "import os\nfrom urllib.parse import urlsplit\n\
        u=urlsplit(os.environ['DATABASE_URL'])\n\
        print(u.scheme,u.username,u.hostname,u.port,u.path,u.query,len(u.password))";
    world
        .shield([PYTHON, "-c", script])
        .run()
        .expect_clean()
        .expect_text("postgresql app db.example.com 5432 /shop sslmode=require 26\n");
}

#[test]
fn a_url_with_a_password_is_replaced_under_any_name() {
    let mut world = World::new();
    let password = word(24);
    world.set("UPSTREAM", format!("https://ada:{password}@git.example.com/a.git"));
    world.plant("the password in UPSTREAM", password);
    let ran = world.bash("echo $UPSTREAM").run().expect_clean();
    let shown = ran.text();
    assert!(shown.starts_with("https://ada:") && shown.ends_with("@git.example.com/a.git\n"), "{ran}");
}

#[test]
fn a_private_key_in_a_variable_is_a_real_key_of_another_owner() {
    let mut world = World::new();
    // Not in the project, where the gate would refuse a placeholder.
    let script = "umask 077; printf '%s\\n' \"$DEPLOY_KEY\" > /tmp/key && ssh-keygen -y -P '' -f /tmp/key";
    let ran = world.bash(script).run().expect_clean();
    assert!(ran.text().starts_with("ecdsa-sha2-nistp256 "), "{ran}");
    for (file, kind) in [(".ssh/id_ed25519", "ssh-ed25519 "), (".ssh/id_rsa", "ssh-rsa ")] {
        let key = std::fs::read_to_string(world.home.join(file)).expect("read");
        world.set("DEPLOY_KEY", key);
        let ran = world.bash(script).run().expect_clean();
        assert!(ran.text().starts_with(kind), "{ran}");
    }
}

#[test]
fn python_sees_no_real_value() {
    let world = World::new();
    hides(&world, &[PYTHON, "-c", "import os; print(dict(os.environ))"], "GITHUB_TOKEN");
}

#[test]
fn node_sees_no_real_value() {
    let world = World::new();
    hides(&world, &["node", "-e", "console.log(JSON.stringify(process.env))"], "GITHUB_TOKEN");
}

#[test]
fn shells_see_no_real_value() {
    let world = World::new();
    hides(&world, &["bash", "-c", "declare -p; echo $GITHUB_TOKEN"], "GITHUB_TOKEN");
    hides(&world, &["dash", "-c", "set; echo $GITHUB_TOKEN"], "GITHUB_TOKEN");
}

#[test]
fn perl_and_awk_see_no_real_value() {
    let world = World::new();
    hides(&world, &["perl", "-e", "print map { \"$_=$ENV{$_}\\n\" } keys %ENV"], "STRIPE_SECRET_KEY");
    hides(&world, &["awk", "BEGIN { for (n in ENVIRON) print n, ENVIRON[n] }"], "NPM_TOKEN");
}

#[test]
fn git_hands_no_real_value_to_what_it_starts() {
    let world = World::new();
    hides(&world, &["git", "-c", "alias.show-all=!printenv", "show-all"], "GITHUB_TOKEN");
}

#[test]
fn curl_sends_no_real_value() {
    let mut world = World::new();
    let password = word(24);
    world.plant("the proxy's password", password.clone());
    // The proxy is a listener inside that echoes the header it was sent.
    world.set("PROXY_USER", format!("ada:{password}"));
    world.set("http_proxy", format!("http://ada:{password}@127.0.0.1:8124"));
    let script = format!(
        "{PYTHON} - <<'END' &\n{ECHO_PROXY}\nEND\n\
         for i in $(seq 100); do (: < /dev/tcp/127.0.0.1/8124) 2>/dev/null && break; sleep 0.05; done\n\
         curl --silent --max-time 10 http://upstream.example/"
    );
    let native = world.native(["bash", "-c", &script]);
    assert!(memchr::memmem::find(&native, password.as_bytes()).is_some(), "natively curl sends the password");
    let ran = world.bash(&script).run().expect_clean();
    assert!(ran.text().starts_with("sent ada:"), "{ran}");
}

/// Answers two connections: the one that waits for it and the one that counts.
const ECHO_PROXY: &str = "
import base64, socket
s = socket.create_server(('127.0.0.1', 8124))
while True:
    c, _ = s.accept()
    lines = c.recv(65536).decode().split('\\r\\n')
    for line in lines:
        if line.lower().startswith('proxy-authorization: basic '):
            said = 'sent ' + base64.b64decode(line.split()[2]).decode()
            c.sendall(f'HTTP/1.1 200 OK\\r\\nContent-Length: {len(said)}\\r\\n\\r\\n{said}'.encode())
            raise SystemExit
    c.close()
";

#[test]
fn a_static_program_sees_no_real_value() {
    let world = World::new();
    let probe = world.probe(&STATIC);
    let probe = probe.to_str().expect("a plain path");
    hides(&world, &[probe, "environ"], "AWS_SECRET_ACCESS_KEY");
    hides(&world, &[probe, "env", "OPENAI_API_KEY"], "OPENAI_API_KEY");
}

#[test]
fn a_dynamic_program_sees_no_real_value() {
    let world = World::new();
    let probe = world.probe(&DYNAMIC);
    let probe = probe.to_str().expect("a plain path");
    hides(&world, &[probe, "environ"], "AWS_SECRET_ACCESS_KEY");
    hides(&world, &[probe, "env", "OPENAI_API_KEY"], "OPENAI_API_KEY");
}

#[test]
fn a_program_without_libc_sees_no_real_value_on_its_stack() {
    let world = World::new();
    let probe = world.probe(&RAW);
    hides(&world, &[probe.to_str().expect("a plain path"), "env"], "MY_SERVICE_TOKEN");
}

#[test]
fn printenv_and_the_kernels_copy_show_no_real_value() {
    let world = World::new();
    hides(&world, &["printenv"], "SLACK_BOT_TOKEN");
    hides(&world, &["cat", "/proc/self/environ"], "SESSION_JWT");
}

#[test]
fn no_process_inside_has_a_real_value_in_its_environment() {
    let world = World::new();
    let script = "sleep 30 & cat /proc/*/environ /proc/*/cmdline; kill $!";
    let ran = world.bash(script).run();
    ran.assert_nothing_real();
    assert!(ran.text().contains("GITHUB_TOKEN="), "the environments should be readable\n{ran}");
}

#[test]
fn a_cleared_environment_stays_cleared() {
    let world = World::new();
    let ran = world.shield(["env", "-i", "bash", "-c", "env; echo [$GITHUB_TOKEN]"]).run().expect_clean();
    assert!(ran.text().ends_with("[]\n") && !ran.text().contains("GITHUB_TOKEN="), "{ran}");
}

#[test]
fn one_value_has_one_synthetic_in_a_run() {
    let mut world = World::new();
    let token = world.real("GITHUB_TOKEN").to_owned();
    world.set("GH_TOKEN", token.clone());
    world.set("GIT_URL", format!("https://x-access-token:{token}@github.com/a/b.git"));
    let script = "echo $GITHUB_TOKEN $GH_TOKEN; echo $GIT_URL; grep GITHUB_TOKEN= .env";
    let ran = world.bash(script).run().expect_clean();
    let text = ran.text();
    let synthetic = text.split_whitespace().next().unwrap_or_default();
    assert!(synthetic.starts_with("ghp_"), "{ran}");
    assert_eq!(
        text,
        format!(
            "{synthetic} {synthetic}\nhttps://x-access-token:{synthetic}@github.com/a/b.git\n\
             GITHUB_TOKEN='{synthetic}'  # the same as in the shell\n"
        ),
        "{ran}"
    );
}

#[test]
fn another_run_has_another_synthetic() {
    let world = World::new();
    let shown = || world.bash("echo $GITHUB_TOKEN; echo $MY_SERVICE_TOKEN").run().expect_clean().text();
    let (first, second) = (shown(), shown());
    for (one, other) in first.lines().zip(second.lines()) {
        assert_ne!(one, other);
    }
    assert_eq!(first.lines().count(), 2);
}

#[test]
fn what_is_no_secret_passes_byte_for_byte() {
    let mut world = World::new();
    let odd = OsString::from_vec(b"\xff\xfe not text \x80\n second line\x01".to_vec());
    world.set("ODD_BYTES", odd);
    world.set(OsString::from_vec(b"ODD\xffNAME".to_vec()), "x");
    world.set("EMPTY", "");
    world.set("lower_case", "1");
    world.set("COUNT", "00042");
    world.set("LS_COLORS", "rs=0:di=01;34:ln=01;36");
    let ran = world.shield(["cat", "/proc/self/environ"]).run().expect_clean();
    let environment = inside(&ran);
    let secret = |name: &OsStr| world.planted.iter().any(|p| OsStr::new(p.place) == name);
    let mut compared = 0;
    for (name, real) in world.environment.iter().filter(|(name, _)| !secret(name)) {
        let name = name.clone().into_vec();
        let seen = environment.get(&name).unwrap_or_else(|| panic!("{name:?} is gone\n{ran}"));
        assert_eq!(*seen, real.clone().into_vec(), "{}", String::from_utf8_lossy(&name));
        compared += 1;
    }
    assert!(compared >= 12, "only {compared} variables were compared");
}

#[test]
fn a_secret_that_is_not_text_is_not_shown() {
    let mut world = World::new();
    let head = world.plant("the text in a binary token", word(30));
    let mut bytes = head.into_bytes();
    bytes.extend(b"\xff\xfe");
    world.set("BINARY_TOKEN", OsString::from_vec(bytes));
    let ran = world.shield(["cat", "/proc/self/environ"]).run().expect_clean();
    let environment = inside(&ran);
    assert!(environment.contains_key(b"BINARY_TOKEN".as_slice()), "{ran}");
}

#[test]
fn a_secret_on_the_command_line_becomes_its_synthetic() {
    let world = World::new();
    let token = world.real("GITHUB_TOKEN");
    let header = format!("Authorization: Bearer {token}");
    let script = "test \"$1\" = \"$GITHUB_TOKEN\" && test \"$2\" = \"Authorization: Bearer $GITHUB_TOKEN\" && echo same";
    world.shield(["bash", "-c", script, "-", token, &header]).run().expect_clean().expect_text("same\n");
}

#[test]
fn an_ordinary_argument_is_left_as_it_is() {
    let world = World::new();
    let argument = custom();
    world.shield(["printf", "%s", &argument]).run().expect_clean().expect_text(&argument);
}
