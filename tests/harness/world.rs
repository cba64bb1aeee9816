//! A home and a project full of planted secrets, and the environment that goes with them.
//!
//! Owns what lies on the disk before a run and the list of byte strings that nobody inside may see.
//! It does not run anything but the key generators.

use super::made_up;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A byte string that must never be seen inside, nor in anything shieldrun writes.
#[derive(Clone)]
pub(crate) struct Planted {
    /// Where it was put, for messages: its value is never printed.
    pub(crate) place: &'static str,
    pub(crate) value: String,
}

/// One fixture. Deleted when dropped.
pub(crate) struct World {
    root: tempfile::TempDir,
    pub(crate) home: PathBuf,
    pub(crate) project: PathBuf,
    /// `XDG_STATE_HOME`: outside home and project, so that those must stay as they were.
    pub(crate) state: PathBuf,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) planted: Vec<Planted>,
}

/// Keys for every world of this test run: making an RSA key takes too long to do it each time.
struct Keys {
    ed25519: String,
    rsa: String,
    pem: String,
}

impl World {
    /// A world below the suite's directory, which is not under `/tmp`.
    pub(crate) fn new() -> Self {
        Self::below(&suite_directory())
    }

    /// A world somewhere else: `/tmp` is private inside, and a project there must work all the same.
    pub(crate) fn below(parent: &Path) -> Self {
        let root =
            tempfile::Builder::new().prefix("shieldrun-world-").tempdir_in(parent).expect("make a world");
        // A path with a link in it would make every comparison of paths a riddle.
        let at = fs::canonicalize(root.path()).expect("the world's real path");
        let mut world = World {
            home: at.join("home"),
            project: at.join("home/src/project"),
            state: at.join("state"),
            root,
            environment: Vec::new(),
            planted: Vec::new(),
        };
        fs::create_dir_all(&world.project).expect("make the project");
        fs::create_dir_all(&world.state).expect("make the state directory");
        world.plant_environment();
        world.plant_home();
        world.plant_project();
        world
    }

    /// A directory beside home and project.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let path = self.home.parent().map(|root| root.join(name)).expect("the world has a root");
        fs::create_dir_all(&path).expect("make a directory beside the home");
        path
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The value of a planted environment variable or file field, by its place.
    pub(crate) fn real(&self, place: &str) -> &str {
        &self
            .planted
            .iter()
            .find(|p| p.place == place)
            .unwrap_or_else(|| panic!("nothing planted at {place}"))
            .value
    }

    /// Sets an environment variable that is no secret, or replaces one.
    pub(crate) fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        let name = name.into();
        self.environment.retain(|(other, _)| *other != name);
        self.environment.push((name, value.into()));
    }

    /// Writes a file below the project.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        put(&self.project.join(path), content.as_ref(), 0o644)
    }

    /// Adds a value to those that nobody may see.
    pub(crate) fn plant(&mut self, place: &'static str, value: impl Into<String>) -> String {
        let value = value.into();
        self.planted.push(Planted { place, value: value.clone() });
        value
    }

    /// The places of all planted values that occur in `bytes`, plainly or in base64.
    pub(crate) fn seen_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let found = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
        self.planted
            .iter()
            .filter(|p| {
                found(p.value.as_bytes()) || found(made_up::base64_standard(p.value.as_bytes()).as_bytes())
            })
            .map(|p| p.place)
            .collect()
    }

    fn plant_environment(&mut self) {
        let home = self.home.clone();
        self.set("HOME", home);
        self.set("USER", "ada");
        self.set("PATH", "/usr/local/bin:/usr/bin:/bin");
        self.set("LANG", "C.UTF-8");
        let state = self.state.clone();
        self.set("XDG_STATE_HOME", state);

        for (name, value) in [
            ("GITHUB_TOKEN", made_up::github("ghp")),
            ("OPENAI_API_KEY", made_up::openai()),
            ("ANTHROPIC_API_KEY", made_up::anthropic()),
            ("AWS_ACCESS_KEY_ID", made_up::aws_key_id()),
            ("AWS_SECRET_ACCESS_KEY", made_up::aws_secret()),
            ("AWS_SESSION_TOKEN", made_up::aws_session_token()),
            ("SLACK_BOT_TOKEN", made_up::slack()),
            ("STRIPE_SECRET_KEY", made_up::stripe()),
            ("NPM_TOKEN", made_up::npm()),
            ("SESSION_JWT", made_up::jwt()),
            ("MY_SERVICE_TOKEN", made_up::custom()),
        ] {
            let value = self.plant(name, value);
            self.set(name, value);
        }
        let password = self.plant("DATABASE_URL", made_up::word(26));
        self.set(
            "DATABASE_URL",
            format!("postgresql://app:{password}@db.example.com:5432/shop?sslmode=require"),
        );
        let pem = keys().pem.clone();
        self.plant("DEPLOY_KEY", body_line(&pem));
        self.set("DEPLOY_KEY", pem);
        self.set("EDITOR", "vi");
        self.set("GREETING", "a plain value, with = and spaces");
    }

    fn plant_home(&mut self) {
        let home = self.home.clone();
        let (id, secret, token) =
            (made_up::aws_key_id(), made_up::aws_secret(), made_up::aws_session_token());
        let credentials = format!(
            "# kept by hand\n[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n\n[work]\n\
             aws_access_key_id={}\naws_secret_access_key={}\naws_session_token={}\n",
            self.plant("~/.aws/credentials default id", id),
            self.plant("~/.aws/credentials default secret", secret),
            self.plant("~/.aws/credentials work id", made_up::aws_key_id()),
            self.plant("~/.aws/credentials work secret", made_up::aws_secret()),
            self.plant("~/.aws/credentials work token", token),
        );
        put(&home.join(".aws/credentials"), credentials.as_bytes(), 0o600);
        put(&home.join(".aws/config"), b"[default]\nregion = eu-central-1\noutput = json\n", 0o600);

        let keys = keys();
        self.plant("~/.ssh/id_ed25519", body_line(&keys.ed25519));
        self.plant("~/.ssh/id_rsa", body_line(&keys.rsa));
        put(&home.join(".ssh/id_ed25519"), keys.ed25519.as_bytes(), 0o600);
        put(&home.join(".ssh/id_rsa"), keys.rsa.as_bytes(), 0o600);
        put(&home.join(".ssh/known_hosts"), b"example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n", 0o644);

        let password = self.plant("~/.netrc", made_up::word(22));
        let netrc = format!("machine api.example.com\n  login ada\n  password {password}\n");
        put(&home.join(".netrc"), netrc.as_bytes(), 0o600);

        let token = self.plant("~/.npmrc", made_up::npm());
        let npmrc = format!(
            "; mine\nregistry=https://registry.npmjs.org/\n//registry.npmjs.org/:_authToken={token}\n"
        );
        put(&home.join(".npmrc"), npmrc.as_bytes(), 0o600);

        let password = self.plant("~/.docker/config.json password", made_up::word(20));
        let auth = made_up::base64_standard(format!("ada:{password}").as_bytes());
        let auth = self.plant("~/.docker/config.json", auth);
        let docker = format!(
            "{{\n\t\"auths\": {{\n\t\t\"registry.example.com\": {{ \"auth\": \"{auth}\" }}\n\t}}\n}}\n"
        );
        put(&home.join(".docker/config.json"), docker.as_bytes(), 0o600);

        let password = self.plant("~/.git-credentials", made_up::github("ghp"));
        put(&home.join(".git-credentials"), format!("https://ada:{password}@github.com\n").as_bytes(), 0o600);

        let token = self.plant("~/.config/gh/hosts.yml", made_up::github("gho"));
        let hosts =
            format!("github.com:\n    user: ada\n    oauth_token: {token}\n    git_protocol: https\n");
        put(&home.join(".config/gh/hosts.yml"), hosts.as_bytes(), 0o600);

        let password = self.plant("~/.pgpass", made_up::word(24));
        put(&home.join(".pgpass"), format!("db.example.com:5432:shop:app:{password}\n").as_bytes(), 0o600);
        put(&home.join(".gitconfig"), b"[user]\n\tname = Ada\n\temail = ada@example.com\n", 0o644);
        put(&home.join("notes.txt"), b"nothing to hide\n", 0o644);
    }

    fn plant_project(&mut self) {
        let shared = self.real("GITHUB_TOKEN").to_owned();
        let env = format!(
            "# settings of the shop\nDEBUG=true\nPORT=8080\nDATABASE_PASSWORD={}\nexport STRIPE_SECRET_KEY=\"{}\"\n\
             GITHUB_TOKEN='{shared}'  # the same as in the shell\n\nPUBLIC_NAME=shop\n",
            self.plant(".env DATABASE_PASSWORD", made_up::word(28)),
            self.plant(".env STRIPE_SECRET_KEY", made_up::stripe()),
        );
        put(&self.project.join(".env"), env.as_bytes(), 0o644);
        let local = format!("API_SECRET={}\n", self.plant("packages/web/.env.local", made_up::word(32)));
        put(&self.project.join("packages/web/.env.local"), local.as_bytes(), 0o644);
        put(&self.project.join("src/app.py"), b"print('hello')\n", 0o644);
        put(&self.project.join("README.md"), b"# shop\n", 0o644);
        let git = |arguments: &[&str]| {
            let status = Command::new("git")
                .args(arguments)
                .current_dir(&self.project)
                .env_clear()
                .env("HOME", &self.home)
                .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(status.is_ok_and(|s| s.success()), "git {arguments:?} in the fixture");
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        git(&["add", "README.md", "src"]);
        git(&["commit", "--quiet", "--message", "first"]);
    }
}

/// Where worlds and probes are put. `ci/test.sh` names one that the ordinary user can reach too.
pub(crate) fn suite_directory() -> PathBuf {
    std::env::var_os("SHIELDRUN_TEST_DIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

/// Writes a file and the directories above it.
pub(crate) fn put(path: &Path, content: &[u8], mode: u32) -> PathBuf {
    let parent = path.parent().expect("a file has a parent");
    fs::create_dir_all(parent).expect("make the parent directory");
    fs::write(path, content).unwrap_or_else(|error| panic!("write {path:?}: {error}"));
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set the mode");
    path.to_owned()
}

/// The second line of a PEM file would be shared by all keys of a format; the last full one is not.
fn body_line(pem: &str) -> String {
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let middle = lines.len().saturating_sub(2);
    lines.get(middle).expect("a key has a body").to_string()
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let at = tempfile::tempdir_in(suite_directory()).expect("a directory for keys");
        let made = |name: &str, arguments: &[&str]| {
            let file = at.path().join(name);
            let output = Command::new("ssh-keygen")
                .args(arguments)
                .args(["-q", "-N", "", "-C", "made up", "-f"])
                .arg(&file)
                .stdin(Stdio::null())
                .output()
                .expect("run ssh-keygen");
            assert!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
            fs::read_to_string(&file).expect("read the new key")
        };
        Keys {
            ed25519: made("ed25519", &["-t", "ed25519"]),
            rsa: made("rsa", &["-t", "rsa", "-b", "2048"]),
            pem: made("pem", &["-t", "ecdsa", "-m", "PEM"]),
        }
    })
}
