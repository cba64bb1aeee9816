//! Starts the test launcher and reads what it found.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::driver::VARIABLE;

/// How long anything here may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// One launch to be.
pub(super) struct Launch {
    config: Value,
    result: PathBuf,
}

impl Launch {
    pub(super) fn of(argv: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let result =
            std::env::temp_dir().join(format!("supervise-test-{}-{number}.json", std::process::id()));
        Self { config: json!({ "argv": argv, "result": result }), result }
    }

    /// A shell script as the command.
    pub(super) fn script(text: &str) -> Self {
        Self::of(&["sh", "-c", text])
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self
    }

    /// To be started by the caller: nothing is connected yet.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("a running test has a path"));
        command.env(VARIABLE, self.config.to_string());
        command
    }

    /// For a shell: assignments and the program, to be put before nothing.
    pub(super) fn words(&self) -> String {
        let program = std::env::current_exe().expect("a running test has a path");
        let config = self.config.to_string().replace('\'', r"'\''");
        format!("{VARIABLE}='{config}' '{}'", program.display())
    }

    /// With nothing to read, to its end.
    pub(super) fn output(&self) -> Output {
        finish(self.command().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn())
    }

    /// What the launcher says of the run; panics if it never came to that.
    pub(super) fn result(&self) -> Value {
        let text = std::fs::read_to_string(&self.result).expect("the launcher has left a result");
        serde_json::from_str(&text).expect("the launcher writes JSON")
    }

    pub(super) fn has_result(&self) -> bool {
        self.result.exists()
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.result);
    }
}

/// Waits, but not for ever.
pub(super) fn finish(child: std::io::Result<Child>) -> Output {
    let child = child.expect("the test binary starts again");
    let pid = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => output.expect("the launcher's output can be read"),
        Err(_) => {
            kill(pid, "KILL");
            panic!("the launcher hangs");
        }
    }
}

pub(super) fn kill(pid: u32, signal: &str) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{signal} {pid}")).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot send {signal}");
}

/// Until it is so.
pub(super) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes without any pattern that a shortcut could keep intact by chance (xorshift).
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_ne_bytes());
    }
    bytes.truncate(length);
    bytes
}
