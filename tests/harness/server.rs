//! Servers on loopback that behave well or badly, as told; `tests/servers` has the programs.

use super::PYTHON;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ANSWERS: &str = include_str!("../servers/answers.py");
const HOSTS: &str = include_str!("../servers/broker.py");
const MODELS: &str = include_str!("../servers/models.py");
const WIRES: &str = include_str!("../servers/wires.js");
const INDEX: &str = include_str!("../servers/index.py");
const RECEIVE: &str = include_str!("../servers/receive.py");

/// A server, ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// The first line that it said: its port, where it has one.
    pub(crate) said: String,
    log: PathBuf,
}

impl Server {
    /// An HTTP server that answers each request with the next step of a script.
    pub(crate) fn answering<S: AsRef<OsStr>>(log: &Path, steps: impl IntoIterator<Item = S>) -> Self {
        let words: Vec<_> = steps.into_iter().map(|step| step.as_ref().to_owned()).collect();
        Self::start(ANSWERS, log, [log.as_os_str().to_owned()].into_iter().chain(words))
    }

    /// A receiver on a unix socket.
    pub(crate) fn receiving(how: &str, socket: &Path, log: &Path, closings: &[&str]) -> Self {
        let words = [how.as_ref(), socket.as_os_str(), log.as_os_str()].map(OsStr::to_owned);
        let closings = closings.iter().map(|word| OsStr::new(word).to_owned());
        Self::start(RECEIVE, log, words.into_iter().chain(closings))
    }

    /// A TLS server that stands for several hosts, one of AWS among them, whose signatures it checks.
    pub(crate) fn of_hosts(directory: &Path, key_id: &str, secret: &str) -> Self {
        let log = directory.join("asked");
        let words = [directory.as_os_str(), log.as_os_str(), key_id.as_ref(), secret.as_ref()];
        Self::start(HOSTS, &log, words.map(OsStr::to_owned).into_iter())
    }

    /// One that speaks HTTP/2 and WebSockets too, where such a server has left its key.
    pub(crate) fn of_wires(directory: &Path) -> Self {
        let log = directory.join("asked");
        let words = [directory.as_os_str(), log.as_os_str()].map(OsStr::to_owned);
        Self::start_by(["node", "-e"], WIRES, &log, words.into_iter())
    }

    /// A TLS server that stands for models, which ask the agent to run this command.
    pub(crate) fn of_models(directory: &Path, command: &str) -> Self {
        let log = directory.join("asked");
        let words = [directory.as_os_str(), log.as_os_str(), command.as_ref()];
        Self::start(MODELS, &log, words.map(OsStr::to_owned).into_iter())
    }

    /// A TLS server with a package for pip, npm and cargo.
    pub(crate) fn of_packages(directory: &Path) -> Self {
        let words = [directory.as_os_str().to_owned()];
        Self::start(INDEX, &directory.join("asked"), words.into_iter())
    }

    fn start(program: &str, log: &Path, words: impl Iterator<Item = std::ffi::OsString>) -> Self {
        Self::start_by([PYTHON, "-c"], program, log, words)
    }

    fn start_by(
        [interpreter, flag]: [&str; 2],
        program: &str,
        log: &Path,
        words: impl Iterator<Item = std::ffi::OsString>,
    ) -> Self {
        // The program itself, not its path: who runs the suite may not see the source tree.
        let mut child = Command::new(interpreter)
            .args([flag, program])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a server");
        let mut said = String::new();
        let stdout = child.stdout.take().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut said).expect("the server's first line");
        assert!(!said.is_empty(), "the server did not start");
        Server { child, said: said.trim().to_owned(), log: log.to_owned() }
    }

    /// Its URL, with a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.said)
    }

    /// What it was sent, a JSON value a line.
    pub(crate) fn got(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of the server's log")).collect()
    }

    /// What it was sent, as it is.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
