//! Files: secret fields are replaced, every other byte stays, what is not understood is an error.

use std::process::Command;

use shieldrun_secrets::*;

fn registry() -> Registry {
    Registry::new(RunKey::from_bytes([3; 32]))
}

/// Edits, and checks that no planted value is left and that everything else still stands.
fn check(format: Format, text: &str, secrets: &[&str], stays: &[&str]) -> String {
    let mut reg = registry();
    let edited =
        edit(&mut reg, format, "file", text.as_bytes()).unwrap_or_else(|e| panic!("{format:?}: {e}"));
    let shown = String::from_utf8(edited.bytes).expect("text");
    for secret in secrets {
        assert!(!shown.contains(secret), "{format:?} still shows {secret}:\n{shown}");
    }
    for word in stays {
        assert!(shown.contains(word), "{format:?} lost {word}:\n{shown}");
    }
    assert_eq!(edited.ids.is_empty(), secrets.is_empty());
    if secrets.is_empty() {
        assert_eq!(shown, text);
    }
    shown
}

#[test]
fn dotenv() {
    let text = "\u{feff}# settings\nexport API_KEY = \"s3cr3t-v4lue-000\" # old\nPORT=8080\nDB_PASSWORD='hunter2 x'\n#OLD_TOKEN=abcDEF123456789xyz\nURL=postgres://u:pa55w0rdX@h/db\nEMPTY=\nexport PATH\n\nMULTI=\"a\nb\"\nTOKEN=plainvalue99 # note\r\n";
    let shown = check(
        Format::Dotenv,
        text,
        &["s3cr3t-v4lue-000", "hunter2 x", "abcDEF123456789xyz", "pa55w0rdX", "plainvalue99"],
        &[
            "# settings\nexport API_KEY = \"",
            "\" # old\nPORT=8080\nDB_PASSWORD='",
            "@h/db\nEMPTY=\nexport PATH\n\nMULTI=\"a\nb\"\n",
            " # note\r\n",
        ],
    );
    assert_eq!(shown.len(), text.len());
    check(Format::Dotenv, "API_KEY=changeme\nDB_PASSWORD=${OTHER}\nX=1\n", &[], &[]);
    check(Format::Dotenv, "", &[], &[]);
    for bad in ["KEY=\"no end\nMORE=1\n", "what is this\n", "A=\"b\" c\n"] {
        assert!(edit(&mut registry(), Format::Dotenv, ".env", bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn shell() {
    check(
        Format::Shell,
        "if true; then\n  export GITHUB_TOKEN=abcdefgh12345678; echo $PATH\nfi\nalias x='y'\nPS1=\"\\u$ \"\n",
        &["abcdefgh12345678"],
        &["if true; then\n  export GITHUB_TOKEN=", "; echo $PATH\nfi\nalias x='y'\nPS1=\"\\u$ \"\n"],
    );
}

#[test]
fn ini() {
    check(
        Format::Ini,
        "[default]\naws_access_key_id = AKIAABCDEFGH2345ABCD\naws_secret_access_key=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\n; note\n[other]\nregion = eu-west-1\npassword: swordfish\n",
        &["AKIAABCDEFGH2345ABCD", "k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5Te1Qu8Wi3", "swordfish"],
        &[
            "[default]\naws_access_key_id = AKIA7SHIELDRUN",
            "\n; note\n[other]\nregion = eu-west-1\npassword: ",
        ],
    );
    assert!(edit(&mut registry(), Format::Ini, "x", b"[half\na=b\n").is_err());
}

#[test]
fn npmrc_netrc_and_friends() {
    check(
        Format::Npmrc,
        "registry=https://r.example/\n//r.example/:_authToken=abcd1234abcd1234\n//q.example/:_auth=dXNlcjpzd29yZGZpc2g=\n//q.example/:_password=c3dvcmRmaXNo\nalways-auth=true\n",
        &["abcd1234abcd1234", "dXNlcjpzd29yZGZpc2g=", "c3dvcmRmaXNo"],
        &["registry=https://r.example/\n//r.example/:_authToken=", "\nalways-auth=true\n", "dXNlcj"],
    );
    check(
        Format::Netrc,
        "machine a.example login me password swordfish\nmachine b.example\n\tlogin x\n\tpassword \"two words\"\nmacdef init\n cd /\n\ndefault login anonymous password me@x\n",
        &["swordfish", "two words"],
        &["machine a.example login me password ", "macdef init\n cd /\n\n"],
    );
    check(
        Format::Pgpass,
        "# c\nh:5432:db:u:s\\:ecret9x\n*:*:*:v:q w\n",
        &["s\\:ecret9x", "q w"],
        &["# c\nh:5432:db:u:"],
    );
    check(
        Format::GitCredentials,
        "https://me:swordfish@github.com\n",
        &["swordfish"],
        &["https://me:", "@github.com\n"],
    );
    check(
        Format::GitConfig,
        "[remote \"origin\"]\n\turl = https://u:swordfish9@h/r.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic dTpzd29yZGZpc2g5OTk=\n",
        &["swordfish9", "dTpzd29yZGZpc2g5OTk="],
        &["[remote \"origin\"]\n\turl = https://u:", "\tfetch = +refs/heads/*:refs/remotes/origin/*\n"],
    );
    check(
        Format::Properties,
        "! c\nstorePassword=swordfish\nsdk.dir=/opt/sdk\n",
        &["swordfish"],
        &["! c\nstorePassword=", "\nsdk.dir=/opt/sdk\n"],
    );
    check(
        Format::PlainToken,
        "  hvs.CAESIJ0123456789abcdefghijk\n",
        &["CAESIJ0123456789abcdefghijk"],
        &["hvs."],
    );
}

#[test]
fn json() {
    check(
        Format::Json,
        "{\n  // mcp\n  \"mcpServers\": {\"x\": {\"env\": {\"API_KEY\": \"s3cr3t\\u002dvalue\\/1\"}, \"args\": [\"--url\", \"https://u:swordfish@h/\"]}},\n  \"n\": 1.5e3,\n}\n",
        &["s3cr3t\\u002dvalue", "swordfish"],
        &[
            "{\n  // mcp\n  \"mcpServers\": {\"x\": {\"env\": {\"API_KEY\": \"",
            "\"args\": [\"--url\", \"https://u:",
            "@h/\"]}},\n  \"n\": 1.5e3,\n}\n",
        ],
    );
    check(
        Format::DockerConfig,
        "{\"auths\":{\"ghcr.io\":{\"auth\":\"dXNlcjpzd29yZGZpc2g=\"}},\"credsStore\":\"desktop\"}",
        &["c3dvcmRmaXNo", "pzd29yZGZpc2g"],
        &["{\"auths\":{\"ghcr.io\":{\"auth\":\"dXNlcj", "\"credsStore\":\"desktop\"}"],
    );
    for bad in ["{", "{\"a\":1 \"b\":2}", "{\"a\":tru}", "[1,2", "{\"a\":\"x}", "{} x", "{\"a\":\"\u{1}\"}"] {
        let error = edit(&mut registry(), Format::Json, "x", bad.as_bytes()).expect_err(bad);
        assert!(error.line > 0, "{bad}");
    }
}

#[test]
fn toml() {
    check(
        Format::Toml,
        "# registry\n[registry]\ntoken = \"cioabcdefgh12345678\" # mine\n[[x]]\npassword = 'sword\"fish'\nlist = [\"a\", \"https://u:pa55w0rdX@h\"]\ninline = { api_key = \"\"\"many\nlines9\"\"\", n = 1 }\n",
        &["cioabcdefgh12345678", "sword\"fish", "pa55w0rdX", "many\nlines9"],
        &[
            "# registry\n[registry]\ntoken = \"",
            "\" # mine\n[[x]]\npassword = ",
            "list = [\"a\", \"https://u:",
            ", n = 1 }\n",
        ],
    );
    assert!(edit(&mut registry(), Format::Toml, "x", b"a = \n").is_err());
}

#[test]
fn yaml() {
    let pem = "    -----BEGIN PRIVATE KEY-----\n    MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n    -----END PRIVATE KEY-----\n";
    check(
        Format::Yaml,
        &format!(
            "# gh\ngithub.com:\n  user: mé\n  oauth_token: abcdefgh12345678 # mine\n  pass: 'sword''fish'\n  \"password\": \"two\\x20words\"\n  list: [a, 'https://u:pa55w0rdX@h/']\n  key: |\n{pem}  after: 1\n"
        ),
        &["abcdefgh12345678", "sword''fish", "two\\x20words", "pa55w0rdX", "AQIDBAUGBwgJ"],
        &[
            "# gh\ngithub.com:\n  user: mé\n  oauth_token: ",
            " # mine\n  pass: ",
            "[a, 'https://u:",
            "  key: |\n    -----BEGIN PRIVATE KEY-----\n    MC4C",
            "\n    -----END PRIVATE KEY-----\n  after: 1\n",
        ],
    );
    check(
        Format::Kubeconfig,
        "apiVersion: v1\nusers:\n- name: me\n  user:\n    token: abcdefgh12345678\n    client-key-data: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3QlFZREsyVndCQ0lFSUFFQ0F3UUZCZ2NJQ1FvTERBME9EeEFSRWhNVUZSWVhHQmthR3h3ZEhoOGcKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo=\n    client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==\n",
        &["abcdefgh12345678", "QWdRRkJnY0lDUW9M"],
        &[
            "client-key-data: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
            "client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==\n",
        ],
    );
    check(
        Format::Yaml,
        "apiVersion: v1\nkind: Secret\ndata:\n  anything: c3dvcmRmaXNo\nstringData:\n  other: plain\n",
        &["c3dvcmRmaXNo", "plain"],
        &["kind: Secret\ndata:\n  anything: "],
    );
    assert!(edit(&mut registry(), Format::Yaml, "x", b"a: [1\nb: 2\n").is_err());
}

#[test]
fn xml() {
    check(
        Format::Xml,
        "<?xml version=\"1.0\"?>\n<settings><!-- c -->\n <servers><server><id>x</id><username>u</username>\n <password>sword&amp;fish</password></server></servers>\n <add key=\"ClearTextPassword\" value='pa55w0rdX' />\n <add name=\"Db\" connectionString=\"Server=h;Database=d;User Id=u;Password=conn9secret;\" />\n</settings>\n",
        &["sword&amp;fish", "pa55w0rdX", "conn9secret"],
        &[
            "<settings><!-- c -->\n <servers><server><id>x</id><username>u</username>\n <password>",
            "</password></server></servers>\n <add key=\"ClearTextPassword\" value='",
            "Server=h;Database=d;User Id=u;Password=",
        ],
    );
    for bad in ["<a><b></a>", "<a", "<!DOCTYPE x [<!ENTITY e 'v'>]><a>&e;</a>", "<a b=c/>"] {
        assert!(edit(&mut registry(), Format::Xml, "x", bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn fish() {
    check(
        Format::Fish,
        "# mine\nif status is-interactive\n  set -gx GITHUB_TOKEN abcdefgh12345678; echo $PATH\nend\nset -x DB_PASSWORD 'sword\\'fish' # note\nexport API_KEY=\"s3cr3t\\$v4lue-000\"\nset -gx PATH $HOME/bin \"$(brew --prefix \"x)\")\" $PATH\n#set -gx OLD_TOKEN abcDEF123456789xyz\nSMTP_PASSWORD=hunter2x mail | cat\nset -q NOTHING; and set -e PAGER\nset -gx AUTH_TOKEN\\\n  wxyzABCD12345678\n",
        &["abcdefgh12345678", "sword", "s3cr3t", "abcDEF123456789xyz", "hunter2x", "wxyzABCD12345678"],
        &[
            "# mine\nif status is-interactive\n  set -gx GITHUB_TOKEN ",
            "; echo $PATH\nend\nset -x DB_PASSWORD '",
            "' # note\nexport API_KEY=\"",
            "set -gx PATH $HOME/bin \"$(brew --prefix \"x)\")\" $PATH\n#set -gx OLD_TOKEN ",
            " mail | cat\nset -q NOTHING; and set -e PAGER\nset -gx AUTH_TOKEN\\\n  ",
        ],
    );
    check(Format::Fish, "set -gx API_KEY changeme\nset -x EDITOR vim\nalias ll 'ls -l'\n", &[], &[]);
    for bad in ["set -x A 'no end\n", "set -x DB_PASSWORD ab\"cd\"\n", "echo \"$(echo \"a\n"] {
        assert!(edit(&mut registry(), Format::Fish, "x", bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn hcl() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n-----END PRIVATE KEY-----\n";
    let text = format!(
        "# prod\nregion = \"eu-west-1\" // where\ndb_password = \"sword\\\"fi$${{sh}}9\"\ncount=3\nflags = [true, null, -1.5e3, \"https://u:pa55w0rdX@h/\"]\nusers = {{\n  ada = {{ \"password\" = \"hunter2x\", \"admin\": true }}\n  bob = {{}}\n}}\n/* more\n*/\nkey = <<EOF\n{pem}EOF\napi_token = <<-END\n    abcdefgh12345678\n  END\n# old_password = \"swordfish7\"\n# see a = b\ncredentials \"app.terraform.io\" {{\n  token = \"wxyzABCD12345678\"\n}}\n"
    );
    let shown = check(
        Format::Hcl,
        &text,
        &[
            "sword\\\"fi",
            "pa55w0rdX",
            "hunter2x",
            "AQIDBAUGBwgJ",
            "abcdefgh12345678",
            "swordfish7",
            "wxyzABCD12345678",
        ],
        &[
            "# prod\nregion = \"eu-west-1\" // where\ndb_password = \"",
            "\"\ncount=3\nflags = [true, null, -1.5e3, \"https://u:",
            "\", \"admin\": true }\n  bob = {}\n}\n/* more\n*/\nkey = <<EOF\n-----BEGIN PRIVATE KEY-----\n",
            "EOF\napi_token = <<-END\n    ",
            "\n  END\n# old_password = \"",
            "\"\n# see a = b\ncredentials \"app.terraform.io\" {\n  token = \"",
        ],
    );
    assert_eq!(shown.lines().count(), text.lines().count());
    check(Format::Hcl, "db_password = \"changeme\"\nn = 1", &[], &[]);
    let deep = format!("a = {}", "[".repeat(100_000));
    for bad in [
        "a = \"${var.b}\"\n",
        "a = b\n",
        "a = f(1)\n",
        "a = 1 + 1\n",
        "a = \"no end\n",
        "a\n",
        "a = [1\n",
        "a {\n",
        "}\n",
        "a = <<EOF\nx\n",
        "a = \"\\x\"\n",
        "a = 1 b = 2\n",
        "a = <<EOF\n${x}\nEOF\n",
        &deep,
    ] {
        assert!(edit(&mut registry(), Format::Hcl, "x", bad.as_bytes()).is_err(), "{bad:.40}");
    }
}

#[test]
fn what_a_terraform_state_marks_is_secret_whatever_its_name() {
    let text = r#"{
  "version": 4,
  "outputs": {
    "vpc": {"value": "vpc-0a1b2c3d4e5f", "type": "string"},
    "entry": {"value": "swordfish", "type": "string", "sensitive": true},
    "pair": {"value": {"who": "ada", "what": "hunter2x"}, "type": ["object", {}], "sensitive": true}
  },
  "resources": [
    {"mode": "managed", "type": "random_password", "name": "db", "instances": [
      {"schema_version": 3, "attributes": {"id": "none", "length": 16, "result": "tiger7Lily"}}]},
    {"mode": "managed", "type": "some_database", "name": "db", "instances": [
      {"attributes": {"address": "db.internal", "opening": "sesame9x", "password": "correct-horse-1"},
       "sensitive_attributes": [[{"type": "get_attr", "value": "opening"}]], "private": "bnVsbA=="},
      {"attributes": {"address": "db2.internal", "opening": "plainly"}, "sensitive_attributes": []}]}
  ]
}
"#;
    check(
        Format::Tfstate,
        text,
        &["swordfish", "hunter2x", "tiger7Lily", "sesame9x", "correct-horse-1"],
        &["vpc-0a1b2c3d4e5f", "\"id\": \"none\"", "db.internal", "\"opening\": \"plainly\"", "bnVsbA=="],
    );
    // The twin: without marks, only what has a telling name goes.
    check(
        Format::Json,
        text,
        &["correct-horse-1"],
        &["swordfish", "hunter2x", "tiger7Lily", "sesame9x", "plainly"],
    );
}

fn key(args: &[&str], name: &str) -> String {
    let dir = std::env::temp_dir().join(format!("shieldrun-secrets-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let file = dir.join("key");
    let path = file.to_str().expect("text");
    let status = Command::new(args[0]).args(&args[1..]).arg(path).output().expect("the key tool runs");
    assert!(status.status.success(), "{args:?}: {}", String::from_utf8_lossy(&status.stderr));
    let text = std::fs::read_to_string(&file).expect("a key");
    std::fs::remove_dir_all(&dir).expect("cleaned up");
    text
}

fn accepted(program: &[&str], text: &[u8], name: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let dir = std::env::temp_dir().join(format!("shieldrun-secrets-{}-{name}-new", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let file = dir.join("key");
    std::fs::write(&file, text).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("private");
    let out = Command::new(program[0]).args(&program[1..]).arg(&file).output().expect("the key tool runs");
    assert!(out.status.success(), "{name}: {program:?}: {}", String::from_utf8_lossy(&out.stderr));
    std::fs::remove_dir_all(&dir).expect("cleaned up");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn keys_are_real_keys_of_the_same_kind() {
    let openssl = |args: &[&'static str]| [&["openssl", "genpkey"], args, &["-out"]].concat();
    let cases: Vec<(&str, Vec<&str>)> = vec![
        ("openssh-ed25519", vec!["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@host", "-f"]),
        ("openssh-rsa", vec!["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"]),
        ("openssh-p256", vec!["ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f"]),
        ("openssh-p384", vec!["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f"]),
        ("pem-rsa", vec!["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f"]),
        ("pem-ec", vec!["ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-m", "PEM", "-N", "", "-f"]),
        ("pkcs8-rsa", openssl(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])),
        ("pkcs8-ec", openssl(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"])),
        ("pkcs8-ed25519", openssl(&["-algorithm", "ED25519"])),
    ];
    for (name, args) in cases {
        let real = key(&args, name);
        let mut reg = registry();
        let edited = edit(&mut reg, Format::Pem, name, real.as_bytes()).expect("a key");
        assert_eq!(edited.ids.len(), 1, "{name}");
        let (old, new) =
            (real.lines().collect::<Vec<_>>(), String::from_utf8(edited.bytes.clone()).expect("text"));
        let new: Vec<&str> = new.lines().collect();
        assert_eq!(old[0], new[0]);
        assert!(old.len().abs_diff(new.len()) <= 1, "{name}");
        assert!(
            old[2..old.len() - 1].iter().all(|l| !new.contains(l)),
            "{name}: a line of the real key is shown"
        );
        let read: &[&str] = if name.starts_with("openssh") || name.starts_with("pem") {
            &["ssh-keygen", "-y", "-f"]
        } else {
            &["openssl", "pkey", "-check", "-noout", "-in"]
        };
        accepted(read, &edited.bytes, name);
        if !name.starts_with("openssh") {
            accepted(&["openssl", "pkey", "-check", "-noout", "-in"], &edited.bytes, name);
        }
        // One line with `\n` in it, as in an environment variable: the same key.
        let flat = real.trim_end().replace('\n', "\\n");
        let out = substitute_env(&mut reg, &[(b"DEPLOY_KEY".to_vec(), flat.into_bytes())]);
        let EnvOutcome::Replaced { value, ids } = &out[0] else { panic!("{name} passed") };
        assert_eq!(*ids, edited.ids, "{name}");
        let unfolded = String::from_utf8_lossy(value).replace("\\n", "\n");
        assert_eq!(unfolded.trim_end(), String::from_utf8_lossy(&edited.bytes).trim_end(), "{name}");
    }
}

/// How long this thread has run: what else the machine does is not in it.
fn processor_time() -> std::time::Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("below a second"))
}

#[test]
fn time_grows_with_the_length_of_a_file_and_no_faster() {
    let took = |lines: usize| {
        let text: String = (0..lines)
            .map(|n| format!("A_TOKEN=abcdefgh{n:08}\nNOTHING=\"quoted\"\n# comment {{\n"))
            .collect();
        let start = processor_time();
        edit(&mut registry(), Format::Dotenv, ".env", text.as_bytes()).expect("edited");
        processor_time() - start
    };
    // Other work on the machine only ever adds: the best of some, and of more where that is not enough.
    let (mut small, mut large) = (took(500), took(4_000));
    for _ in 0..20 {
        if large < small * 20 {
            break;
        }
        (small, large) = (small.min(took(500)), large.min(took(4_000)));
    }
    assert!(large < small * 40, "{small:?} for 500 lines, {large:?} for 4,000");
    let text = "x".repeat(MAX_PARSE + 1);
    assert!(edit(&mut registry(), Format::Dotenv, ".env", text.as_bytes()).is_err());
}
