//! Real clients take the synthetics for what they look like.

use crate::harness::{PYTHON, World, made_up, put, python_with_clients, text};
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Words that start with the interpreter that has the client libraries.
fn client(words: &[&str]) -> Option<Vec<OsString>> {
    let mut command = vec![python_with_clients()?];
    command.extend(words.iter().map(OsString::from));
    Some(command)
}

/// Every client library takes what it is given, and not its broken twin: with the real values outside, and with the
/// synthetic ones inside.
fn accepts(world: &World, client: &str) {
    let Some(python) = python_with_clients() else { return };
    world.write("accept.py", include_str!("clients/accept.py"));
    let words = [python, "accept.py".into(), client.into()];
    let said = if TAKE_ANYTHING.contains(&client) { "taken\ntakes anything\n" } else { "taken\nrefused\n" };
    assert_eq!(String::from_utf8_lossy(&world.native(&words)), said, "{client} outside");
    world.shield(&words).run().expect_clean().expect_text(said);
}

/// Those that look at nothing before they ask their server.
const TAKE_ANYTHING: [&str; 2] = ["twilio", "npm"];

/// What `openssl` writes.
fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).stderr(Stdio::null()).output().expect("run openssl");
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).expect("openssl writes text")
}

/// A line of a key that no other key has.
fn telling_line(pem: &str) -> String {
    pem.lines().nth(4).expect("a key has lines").to_owned()
}

#[test]
fn the_model_clients_take_their_synthetic_keys() {
    let world = World::new();
    for client in ["openai", "anthropic"] {
        accepts(&world, client);
    }
}

#[test]
fn the_clients_of_services_take_their_synthetic_keys() {
    let mut world = World::new();
    let token = made_up::hex(made_up::word(16).as_bytes());
    let token = world.plant("TWILIO_AUTH_TOKEN", token);
    world.set("TWILIO_AUTH_TOKEN", token);
    world.set("TWILIO_ACCOUNT_SID", format!("AC{}", made_up::hex(made_up::word(16).as_bytes())));
    for client in ["stripe", "twilio", "boto3", "pyjwt"] {
        accepts(&world, client);
    }
}

#[test]
fn the_clients_of_databases_take_their_synthetic_urls() {
    let mut world = World::new();
    let password = world.plant("MONGODB_URI", made_up::word(24));
    world.set("MONGODB_URI", format!("mongodb://app:{password}@db.example.com:27017/shop?authSource=admin"));
    let password = world.plant("REDIS_URL", made_up::word(24));
    world.set("REDIS_URL", format!("rediss://:{password}@cache.example.com:6380/2"));
    for client in ["psycopg", "sqlalchemy", "pymongo", "redis"] {
        accepts(&world, client);
    }
}

#[test]
fn the_clients_of_clouds_take_their_synthetic_credentials() {
    let mut world = World::new();
    let key = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    world.plant("GOOGLE_CREDENTIALS", telling_line(&key));
    let id = world.plant("GOOGLE_CREDENTIALS key id", made_up::hex(made_up::word(20).as_bytes()));
    let account = serde_json::json!({
        "type": "service_account", "project_id": "shop", "private_key_id": id, "private_key": key,
        "client_email": "robot@shop.iam.gserviceaccount.com", "client_id": "1234567890",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    world.set("GOOGLE_CREDENTIALS", account.to_string());
    let key = made_up::base64_standard(made_up::word(64).as_bytes());
    let key = world.plant("AZURE_STORAGE_CONNECTION_STRING", key);
    let account = "DefaultEndpointsProtocol=https;AccountName=shop";
    world.set(
        "AZURE_STORAGE_CONNECTION_STRING",
        format!("{account};AccountKey={key};EndpointSuffix=core.windows.net"),
    );
    let secret = world.plant("AZURE_CLIENT_SECRET", made_up::word(40));
    world.set("AZURE_CLIENT_SECRET", secret);
    for client in ["google", "azure_storage", "azure_identity"] {
        accepts(&world, client);
    }
}

#[test]
fn programs_load_the_synthetic_keys() {
    let mut world = World::new();
    let file = |name: &str| std::fs::read_to_string(world.home.join(name)).expect("the fixture's key");
    let (rsa, ed25519) = (file(".ssh/id_rsa"), file(".ssh/id_ed25519"));
    let deploy =
        world.environment.iter().find(|(name, _)| name == "DEPLOY_KEY").map(|(_, value)| value.clone());
    world.set("RSA_KEY", rsa);
    world.set("ED25519_KEY", ed25519);
    world.set("ECDSA_KEY", deploy.expect("a deploy key"));
    for (name, arguments) in [
        ("PKCS8_KEY", &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..]),
        ("PKCS1_KEY", &["genrsa", "-traditional", "3072"]),
    ] {
        let key = openssl(arguments);
        world.plant(name, telling_line(&key));
        world.set(name, key);
    }
    for client in ["paramiko", "ssh_keygen", "openssl"] {
        accepts(&world, client);
    }
}

#[test]
fn programs_read_the_synthetic_settings() {
    let mut world = World::new();
    let key = openssl(&["genpkey", "-algorithm", "ED25519"]);
    let key = world.plant("~/.kube/config key", made_up::base64_standard(key.as_bytes()));
    let token = world.plant("~/.kube/config token", made_up::word(40));
    let certificate =
        made_up::base64_standard(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: shop\nclusters:\n- name: shop\n  cluster:\n    \
         server: https://cluster.example.com:6443\ncontexts:\n- name: shop\n  context:\n    cluster: shop\n    \
         user: ada\nusers:\n- name: ada\n  user:\n    client-certificate-data: {certificate}\n    \
         client-key-data: {key}\n    token: {token}\n"
    );
    put(&world.home.join(".kube/config"), config.as_bytes(), 0o600);
    for client in ["docker", "kubernetes", "npm"] {
        accepts(&world, client);
    }
}

/// A stand-in for AWS on the sandbox's own loopback: notes the key id that signs, answers who that is.
const ENDPOINT: &str = r#"
import http.server, os, re, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get('content-length', 0)))
        key = re.search(r'Credential=([^/]+)/', self.headers['authorization']).group(1)
        open(os.environ['NOTES'] + '/signed-with', 'a').write(key + '\n')
        body = b'''<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::000000000000:user/made-up</Arn><UserId>U</UserId><Account>000000000000</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>'''
        self.send_response(200)
        self.send_header('content-type', 'text/xml')
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.HTTPServer(('127.0.0.1', 8125), Answer)
open(os.environ['NOTES'] + '/listening', 'w').close()
server.serve_forever()
"#;

fn aws_call(python: &str, prelude: &str) -> String {
    format!(
        "{prelude}
         export NOTES=$(mktemp -d)  # in the project the gate would refuse a placeholder
         {PYTHON} endpoint.py & server=$!
         for i in $(seq 200); do [ -e $NOTES/listening ] && break; sleep 0.05; done
         {python} -m awscli sts get-caller-identity --endpoint-url http://127.0.0.1:8125 --region eu-central-1 --query Arn --output text
         kill $server; cat $NOTES/signed-with; rm -r $NOTES; echo $AWS_ACCESS_KEY_ID"
    )
}

#[test]
fn the_aws_client_lists_and_signs_with_the_synthetic_of_the_environment() {
    let world = World::new();
    let Some(python) = python_with_clients() else { return };
    let python = python.to_string_lossy().into_owned();
    world.write("endpoint.py", ENDPOINT);
    let real = world.real("AWS_ACCESS_KEY_ID").to_owned();
    let native = world.native(["bash", "-c", &aws_call(&python, "")]);
    let native = String::from_utf8_lossy(&native).into_owned();
    assert_eq!(
        native,
        format!("arn:aws:iam::000000000000:user/made-up\n{real}\n{real}\n"),
        "the twin signs with the real key"
    );

    let ran = world.bash(&aws_call(&python, "")).run().expect_clean();
    let text = ran.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{ran}");
    assert_eq!(lines[0], "arn:aws:iam::000000000000:user/made-up", "{ran}");
    assert!(lines[1] == lines[2] && lines[1].starts_with("AKIA"), "{ran}");

    let list = [&python, "-m", "awscli", "configure", "list"];
    let tail = |id: &str| format!("****************{}", &id[id.len() - 4..]);
    assert!(String::from_utf8_lossy(&world.native(list)).contains(&tail(&real)));
    let ran = world.shield(list).run().expect_clean();
    assert!(ran.text().contains("env") && !ran.text().contains(&tail(&real)), "{ran}");
}

#[test]
fn the_aws_client_signs_with_the_synthetic_of_the_file() {
    let world = World::new();
    let Some(python) = python_with_clients() else { return };
    world.write("endpoint.py", ENDPOINT);
    let prelude = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN";
    let ran = world.bash(&aws_call(&python.to_string_lossy(), prelude)).run().expect_clean();
    let text = ran.text();
    let signed = text.lines().nth(1).unwrap_or_default();
    assert!(signed.starts_with("AKIA") && signed.len() == 20, "{ran}");
    let ran = world
        .bash(&format!("{prelude}; {} -m awscli configure list", python.to_string_lossy()))
        .run()
        .expect_clean();
    assert!(ran.text().contains("shared-credentials-file"), "{ran}");
}

#[test]
fn boto_makes_a_session_of_the_synthetics() {
    let world = World::new();
    let script = "import boto3\n\
        c=boto3.Session().get_credentials().get_frozen_credentials(); print(c.access_key[:4],len(c.secret_key))\n\
        c=boto3.Session(profile_name='work').get_credentials().get_frozen_credentials(); print(c.access_key[:4],len(c.token)>300)";
    let Some(words) = client(&["-c", script]) else { return };
    world.shield(&words).run().expect_clean().expect_text("AKIA 40\nAKIA True\n");
}

#[test]
fn database_clients_parse_the_url() {
    let world = World::new();
    let script = "import os, psycopg, sqlalchemy\n\
        p=psycopg.conninfo.conninfo_to_dict(os.environ['DATABASE_URL'])\n\
        u=sqlalchemy.engine.make_url(os.environ['DATABASE_URL'])\n\
        print(p['user'],p['host'],p['port'],p['dbname'],p['sslmode'],p['password']==u.password,u.database)";
    let Some(words) = client(&["-c", script]) else { return };
    world.shield(&words).run().expect_clean().expect_text("app db.example.com 5432 shop require True shop\n");
}

#[test]
fn a_database_password_with_escapes_stays_a_url() {
    let mut world = World::new();
    let plain = world.plant("the password in MAIL_URL", format!("p@ss/{}%#?", made_up::word(20)));
    let coded: String = plain
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    let coded = world.plant("the coded password in MAIL_URL", coded);
    world.set("MAIL_URL", format!("mysql://app:{coded}@db.example.com/shop"));
    let script = "import os, sqlalchemy\nu=sqlalchemy.engine.make_url(os.environ['MAIL_URL']); print(u.username,u.host,u.database,bool(u.password))";
    let Some(words) = client(&["-c", script]) else { return };
    world.shield(&words).run().expect_clean().expect_text("app db.example.com shop True\n");
}

#[test]
fn psql_takes_the_synthetic_password_file() {
    let world = World::new();
    // psql refuses a password file that others can read: the mask must keep owner and mode.
    let script = "stat -c '%a %U' ~/.pgpass; id -un; psql 'host=127.0.0.1 port=1 user=app dbname=shop' 2>&1 | grep -c -i 'password file'; true";
    let ran = world.bash(script).run().expect_clean();
    let text = ran.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.first().and_then(|l| l.split_once(' ')).map(|(mode, _)| mode), Some("600"), "{ran}");
    assert_eq!(
        lines.first().and_then(|l| l.split_once(' ')).map(|(_, owner)| owner),
        lines.get(1).copied(),
        "{ran}"
    );
    assert_eq!(lines.get(2), Some(&"0"), "{ran}");
}

#[test]
fn node_and_npm_read_the_synthetic_npmrc() {
    let world = World::new();
    let script = "npm config get registry --userconfig ~/.npmrc --offline --logs-max=0 --update-notifier=false --cache /tmp/npm";
    let ran = world.bash(script).run().expect_clean();
    assert_eq!(ran.text(), "https://registry.npmjs.org/\n", "{ran}");
}

#[test]
fn git_takes_the_synthetic_credentials() {
    let world = World::new();
    let script =
        "printf 'protocol=https\\nhost=github.com\\n\\n' | git -c credential.helper=store credential fill";
    let native = world.native(["bash", "-c", script]);
    let real = world.real("~/.git-credentials");
    assert!(String::from_utf8_lossy(&native).contains(real));
    let ran = world.bash(script).run().expect_clean();
    let password = ran.text().lines().find_map(|line| line.strip_prefix("password=").map(str::to_owned));
    assert!(password.is_some_and(|p| made_up::github_checksum_holds(&p)), "{ran}");
}

#[test]
fn git_works_in_the_workspace() {
    let world = World::new();
    let script = "git status --porcelain && echo a > a && git add a && git commit -qm second && git log --oneline | wc -l && git diff HEAD~1 --stat | tail -n 1";
    let ran = world.bash(script).run().expect_clean();
    assert!(ran.text().contains("\n2\n") && ran.text().contains("1 file changed"), "{ran}");
}

#[test]
fn openssl_reads_the_synthetic_key() {
    let world = World::new();
    let ran = world.bash("printf '%s\\n' \"$DEPLOY_KEY\" | openssl pkey -noout -check").run().expect_clean();
    assert!(ran.text().contains("valid"), "{ran}");
}

#[test]
fn compilers_and_package_managers_run() {
    let world = World::new();
    world.write("main.c", "#include <stdio.h>\nint main(void) { puts(\"built\"); }\n");
    world
        .bash("cc -o built main.c && ./built && make --version | head -n 1 | cut -c1-4")
        .run()
        .expect_clean()
        .expect_text("built\nGNU \n");
}

#[test]
fn a_node_program_reads_one_secret_and_one_event_says_so() {
    let world = World::new();
    let ran = world
        .shield(["node", "-e", "console.log(process.env.GITHUB_TOKEN.slice(0, 4))"])
        .run()
        .expect_clean();
    assert_eq!(ran.text(), "ghp_\n", "{ran}");
    let by_node = |event: &&&serde_json::Value| text(event, "/process/executable").ends_with("node");
    assert!(ran.record.reads_of("GITHUB_TOKEN").iter().any(|e| by_node(&e)), "{ran}");
}
