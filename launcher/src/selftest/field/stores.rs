//! Owns what is planted in home and project, each secret in the form that its place has.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{put, put_programs};

type Token<'a> = &'a mut dyn FnMut() -> io::Result<String>;

/// Known stores, other projects, histories, and things that are no secret.
pub(super) fn home(home: &Path, token: Token<'_>) -> io::Result<()> {
    // Nothing that is planted may be a literal: the program itself would hold a real value, and be blocked.
    let id = token()?.to_ascii_uppercase().replace('_', "");
    let id = format!("AKIA{}", id.get(3..19).unwrap_or_default());
    let mut store = |path: &str, form: &str| -> io::Result<()> {
        put(&home.join(path), form.replace("TOKEN", &token()?).replace("KEYID", &id))
    };
    store(".aws/credentials", "[default]\naws_access_key_id = KEYID\naws_secret_access_key = TOKEN\n")?;
    let pem =
        |word: &str| format!("-----BEGIN {word} PRIVATE KEY-----\nTOKEN\n-----END {word} PRIVATE KEY-----\n");
    store(".ssh/id_ed25519", &pem("OPENSSH"))?;
    store(".ssh/work_key", &pem("OPENSSH"))?;
    store(".netrc", "machine api.example login u password TOKEN\n")?;
    store(".git-credentials", "https://u:TOKEN@git.example\n")?;
    store(".config/gh/hosts.yml", "github.com:\n    user: u\n    oauth_token: TOKEN\n")?;
    store(".npmrc", "//registry.example/:_authToken=TOKEN\n")?;
    store(".pypirc", "[pypi]\nusername = __token__\npassword = TOKEN\n")?;
    store(".docker/config.json", "{\"auths\":{\"r.example\":{\"identitytoken\":\"TOKEN\"}}}\n")?;
    store(".kube/config", "apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user:\n    token: TOKEN\n")?;
    store(".cargo/credentials.toml", "[registry]\ntoken = \"TOKEN\"\n")?;
    store(".pgpass", "db.example:5432:app:app:TOKEN\n")?;
    store(".gnupg/private-keys-v1.d/A.key", "TOKEN\n")?;
    store(".config/google-chrome/Default/Login Data", "SQLite format 3\0TOKEN\0")?;
    store(".config/Bitwarden/data.json", "{\"accessToken\":\"TOKEN\"}\n")?;
    store(".bash_history", "ls\nexport GITHUB_TOKEN=TOKEN\n")?;
    store(".bashrc", "export GITHUB_TOKEN=TOKEN\n")?;
    store("other/.env", "API_TOKEN=TOKEN\n")?;
    store("vault.env", "VAULT_TOKEN=TOKEN\n")?;
    put(&home.join("other/linked.txt"), "nothing secret\n")?;
    put(&home.join("other/main.py"), "print(1)\n")?;
    put(&home.join("notes.txt"), "nothing secret\n")?;
    put(&home.join(".gitconfig"), "[user]\n\tname = u\n\temail = u@host.example\n")
}

/// A project with a secret file, the same value elsewhere, and a history with it.
pub(super) fn project(project: &Path, token: Token<'_>) -> io::Result<()> {
    let secret = token()?;
    let line = format!("API_TOKEN={secret}\n");
    put(&project.join(".env"), &line)?;
    put(&project.join("service/.env"), format!("SERVICE_TOKEN={}\n", token()?))?;
    put(&project.join("app.py"), "print(1)\n")?;
    fs::hard_link(project.join(".env"), project.join("notes.bak"))?;
    std::os::unix::fs::symlink(".env", project.join("there-link"))?;
    fs::create_dir(project.join("deploy"))?;
    std::os::unix::fs::symlink("../../../vault.env", project.join("deploy/.env"))?;
    history(project, &secret)?;
    put(&project.join("config/settings.py"), format!("TOKEN = \"{secret}\"\n"))?;
    put(&project.join("odd name~"), &line)?;
    put(&project.join("cache.bin"), [b"\x7f\0\x01\xff".as_slice(), secret.as_bytes(), b"\0\xfe"].concat())?;
    put_programs(project)
}

/// The secret file in a first commit, taken out in a second; the value in a stash. Without git on this
/// host there is no such way out.
fn history(project: &Path, secret: &str) -> io::Result<()> {
    let git = |arguments: &[&str]| {
        Command::new("git")
            .args(["-c", "user.name=u", "-c", "user.email=u@host.example", "-c", "core.hooksPath=/dev/null"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(project)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    };
    if git(&["init", "-q"]).is_err() {
        return Ok(());
    }
    git(&["add", "-f", ".env", "app.py"])?;
    git(&["commit", "-q", "-m", "first"])?;
    git(&["rm", "-q", "--cached", ".env"])?;
    put(&project.join(".gitignore"), ".env\n")?;
    git(&["add", ".gitignore"])?;
    git(&["commit", "-q", "-m", "second"])?;
    put(&project.join("app.py"), format!("print(\"{secret}\")\n"))?;
    git(&["stash", "-q"])?;
    Ok(())
}
