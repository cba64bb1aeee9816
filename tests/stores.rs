//! The credential stores of common tools: none shows its real value inside, whatever its format.
//!
//! Each is written as its tool writes it. Whether it then is unreadable or synthetic is the policy's choice;
//! `files.rs` looks closer at those that must stay usable.

use crate::harness::made_up::{base64_standard, github, openai, word};
use crate::harness::{PYTHON, World, put};

/// A file below the home (`~/`) or the project, and its content around the secret `{}`.
const STORES: &[(&str, &str)] = &[
    ("~/.azure/msal_token_cache.json", "{\"AccessToken\":{\"a\":{\"secret\":\"{}\"}},\"RefreshToken\":{}}\n"),
    ("~/.boto", "[Credentials]\naws_access_key_id = x\naws_secret_access_key = {}\n"),
    ("~/.cargo/credentials.toml", "[registry]\ntoken = \"{}\"\n"),
    ("~/.config/doctl/config.yaml", "access-token: {}\ncontext: default\n"),
    (
        "~/.config/gcloud/application_default_credentials.json",
        "{\n  \"client_id\": \"a.apps\",\n  \"client_secret\": \"b\",\n  \"refresh_token\": \"{}\",\n  \"type\": \"authorized_user\"\n}\n",
    ),
    ("~/.config/gh/hosts.yml", "github.com:\n    user: ada\n    oauth_token: {}\n"),
    ("~/.config/git/credentials", "https://ada:{}@github.com\n"),
    ("~/.config/hcloud/cli.toml", "active_context = \"a\"\n[[contexts]]\nname = \"a\"\ntoken = \"{}\"\n"),
    ("~/.config/rclone/rclone.conf", "[remote]\ntype = s3\nsecret_access_key = {}\n"),
    (
        "~/.composer/auth.json",
        "{\"http-basic\":{\"repo.example.com\":{\"username\":\"ada\",\"password\":\"{}\"}}}\n",
    ),
    ("~/.gem/credentials", "---\n:rubygems_api_key: {}\n"),
    ("~/.gnupg/private-keys-v1.d/0A.key", "(11:private-key {})\n"),
    ("~/.kube/config", "apiVersion: v1\nkind: Config\nusers:\n- name: ada\n  user:\n    token: {}\n"),
    (
        "~/.m2/settings.xml",
        "<settings><servers><server><id>a</id><username>ada</username><password>{}</password></server></servers></settings>\n",
    ),
    ("~/.my.cnf", "[client]\nuser = ada\npassword = {}\n"),
    ("~/.pgpass", "localhost:5432:*:ada:{}\n"),
    ("~/.pypirc", "[distutils]\nindex-servers = pypi\n[pypi]\nusername = __token__\npassword = {}\n"),
    ("~/.s3cfg", "[default]\naccess_key = x\nsecret_key = {}\n"),
    ("~/.terraform.d/credentials.tfrc.json", "{\"credentials\":{\"app.terraform.io\":{\"token\":\"{}\"}}}\n"),
    ("~/.vault-token", "{}"),
    ("~/.config/containers/auth.json", "{\"auths\":{\"quay.io\":{\"identitytoken\":\"{}\"}}}\n"),
    ("~/.bashrc", "# mine\nalias ll='ls -l'\nexport SERVICE_API_KEY='{}'\n"),
    ("~/.config/pip/pip.conf", "[global]\nindex-url = https://ada:{}@pypi.example.com/simple\n"),
    ("~/.claude.json", "{\"mcpServers\":{\"a\":{\"command\":\"a\",\"env\":{\"A_API_KEY\":\"{}\"}}}}\n"),
    ("~/.env", "SERVICE_SECRET={}\n"),
    (".envrc", "export SERVICE_SECRET={}\n"),
    (".npmrc", "//registry.npmjs.org/:_authToken={}\n"),
    ("packages/a/.env.production.local", "SERVICE_SECRET={}\n"),
    (".mcp.json", "{\"mcpServers\":{\"a\":{\"command\":\"a\",\"env\":{\"A_API_KEY\":\"{}\"}}}}\n"),
];

/// The files of a world, each with a secret of its own.
fn planted(make: impl Fn() -> String) -> (World, Vec<(std::path::PathBuf, String)>) {
    let mut world = World::new();
    let mut files = Vec::new();
    for (place, content) in STORES {
        let path = match place.strip_prefix("~/") {
            Some(rest) => world.home.join(rest),
            None => world.project.join(place),
        };
        let secret = world.plant(place, make());
        put(&path, content.replacen("{}", &secret, 1).as_bytes(), 0o600);
        files.push((path, secret));
    }
    (world, files)
}

/// Reads all files inside and hands them out in hexadecimal, so that no scan of the output steps in.
#[track_caller]
fn assert_hidden(world: &World, files: &[(std::path::PathBuf, String)]) {
    let script = "
import sys
for path in sys.stdin.read().splitlines():
    try: print(bytes(b ^ 0x55 for b in open(path, 'rb').read()).hex())
    except OSError as e: print('-')
";
    let list: Vec<_> = files.iter().map(|(path, _)| path.to_str().expect("plain").to_owned()).collect();
    let ran = world.shield([PYTHON, "-c", script]).stdin(list.join("\n")).run().expect_clean();
    let text = ran.text();
    assert_eq!(text.lines().count(), files.len(), "{ran}");
    let disguised =
        |secret: &str| secret.bytes().map(|byte| format!("{:02x}", byte ^ 0x55)).collect::<String>();
    let shown: Vec<_> = files
        .iter()
        .zip(text.lines())
        .filter(|((_, secret), line)| {
            let coded = base64_standard(secret.as_bytes());
            line.contains(&disguised(secret)) || line.contains(&disguised(&coded))
        })
        .map(|((path, _), _)| path)
        .collect();
    assert!(shown.is_empty(), "these show their real value inside: {shown:#?}");
}

#[test]
fn no_store_shows_a_token_of_a_known_form() {
    let (world, files) = planted(|| github("ghp"));
    assert_hidden(&world, &files);
    let (world, files) = planted(openai);
    assert_hidden(&world, &files);
}

#[test]
fn no_store_shows_a_value_without_a_form() {
    let (world, files) = planted(|| word(36));
    assert_hidden(&world, &files);
}
