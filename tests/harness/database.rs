//! A PostgreSQL server of Debian's on loopback, as an ordinary user.
//!
//! Owns the cluster, its users by the way in which their password is asked for, and its certificate.

use super::world::suite_directory;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Debian and its kin keep the server's programs, by version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom the server runs as when root runs the suite: it refuses root.
const NOBODY: u32 = 65534;

/// A server, ended when dropped.
pub(crate) struct Database {
    child: Child,
    at: tempfile::TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
}

impl Database {
    /// One with TLS by `certificate` and `key`, and these users: name, way of asking, password.
    pub(crate) fn start(pair: Option<(&Path, &Path)>, users: &[(&str, &str, &str)]) -> Self {
        let programs = fs::read_dir(VERSIONS)
            .into_iter()
            .flatten()
            .flatten()
            .map(|version| version.path().join("bin"))
            .find(|bin| bin.join("initdb").exists())
            .expect("install `postgresql`: its server is part of the suite");
        let at = tempfile::Builder::new()
            .prefix("shieldrun-pg-")
            .tempdir_in(suite_directory())
            .expect("a directory");
        own(at.path());
        let data = at.path().join("data");
        let quiet = |mut command: Command| {
            let output = command.stdin(Stdio::null()).output().expect("start a program of PostgreSQL");
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let mut init = as_a_user(&programs.join("initdb"), at.path());
        init.args(["--no-sync", "-A", "trust", "-U", "owner", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
        quiet(init);
        let mut rules = "local all all trust\n".to_owned();
        for (name, method, _) in users {
            rules.push_str(&format!("host all {name} 127.0.0.1/32 {method}\n"));
        }
        fs::write(data.join("pg_hba.conf"), rules).expect("write the rules");
        if let Some((certificate, key)) = pair {
            for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
                fs::copy(from, data.join(to)).expect("copy a certificate");
                own(&data.join(to));
                fs::set_permissions(data.join(to), std::os::unix::fs::PermissionsExt::from_mode(0o600))
                    .expect("set the mode");
            }
        }
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut server = as_a_user(&programs.join("postgres"), at.path());
        let tls = if pair.is_some() { "on" } else { "off" };
        server.arg("-D").arg(&data).arg("-p").arg(port.to_string()).arg("-k").arg(at.path());
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "log_connections=on",
            "shared_buffers=8MB",
            &format!("ssl={tls}"),
        ] {
            server.arg("-c").arg(setting);
        }
        let log = fs::File::create(at.path().join("log")).expect("make a log");
        let child =
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("start the server");
        let database = Self { child, at, programs, port };
        database.await_ready();
        for (name, method, password) in users {
            let form = if *method == "md5" { "md5" } else { "scram-sha-256" };
            database.ask(&format!(
                "set password_encryption = '{form}'; create role {name} login password '{password}'"
            ));
        }
        database.ask("create database shop");
        database.ask("grant all on database shop to public");
        database
    }

    fn await_ready(&self) {
        for _ in 0..600 {
            let mut ready = as_a_user(&self.programs.join("pg_isready"), self.at.path());
            let ready = ready.arg("-q").arg("-h").arg(self.at.path()).arg("-p").arg(self.port.to_string());
            if ready.status().is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server did not start:\n{}", self.log());
    }

    /// Asks the server as its owner, past the network.
    pub(crate) fn ask(&self, question: &str) -> String {
        let mut psql = as_a_user(&self.programs.join("psql"), self.at.path());
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-U", "owner", "-d", "postgres", "-p"]);
        psql.arg(self.port.to_string()).arg("-h").arg(self.at.path()).args(["-c", question]);
        let output = psql.stdin(Stdio::null()).output().expect("run psql");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What the server wrote down.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.at.path().join("log")).unwrap_or_default()
    }
}

/// Hands something to the user that the server runs as.
fn own(path: &Path) {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("hand it over");
    }
}

/// A program as an ordinary user, in a directory of its own.
fn as_a_user(program: &Path, directory: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")])
            .arg("--clear-groups")
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(directory).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    command
}

impl Drop for Database {
    fn drop(&mut self) {
        // At once, and with its children.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        drop(self.child.wait());
    }
}
