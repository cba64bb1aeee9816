//! A program of the person's own that is told: outside, as they, with the notice as JSON on its stdin.

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Surroundings;
use super::message::Message;

/// How often its end is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// The words to execute. A program that the command could have written is not run: outside, nothing of it is.
///
/// # Errors
/// When it is not there, or lies where the command writes.
pub(super) fn find(words: &[String], around: &Surroundings<'_>) -> Result<Vec<String>, String> {
    let written = words.first().map(String::as_str).unwrap_or_default();
    let path = match (written.strip_prefix("~/"), around.home) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_), None) => return Err(format!("`{written}`: there is no home directory")),
        (None, _) => PathBuf::from(written),
    };
    let real = path.canonicalize().map_err(|error| format!("`{written}`: {error}"))?;
    let is_writable = |place: &PathBuf| real.starts_with(place) || path.starts_with(place);
    if around.writable.iter().any(is_writable) {
        return Err(format!("`{written}` lies where the command writes; put it elsewhere"));
    }
    let program = real.to_str().ok_or_else(|| format!("`{written}`: its path is not text"))?.to_owned();
    Ok(std::iter::once(program).chain(words.iter().skip(1).cloned()).collect())
}

/// Runs it to its end, or until the time is over: then it and its children are killed.
///
/// # Errors
/// Why the notice may not have reached anybody.
pub(super) fn run(words: &[String], message: &Message, deadline: Instant) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut child = Command::new(program)
        .args(arguments)
        // Not the workspace: what lies there is the command's.
        .current_dir(Path::new("/"))
        .env("SHIELDRUN_RUN_ID", &message.run_id)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start it: {error}"))?;
    let mut body = message.to_json();
    body.push(b'\n');
    if let Some(mut stdin) = child.stdin.take() {
        // One that reads nothing must not hold us; the thread ends when the pipe does.
        let writing = std::thread::Builder::new().name("notice".to_owned());
        let _ = writing.spawn(move || stdin.write_all(&body));
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => {
                return Err(match (status.code(), status.signal()) {
                    (Some(code), _) => format!("it ended with exit code {code}"),
                    (None, signal) => format!("it was ended by signal {}", signal.unwrap_or_default()),
                });
            }
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Ok(None) => {
                let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
                let _ = child.wait();
                return Err("it did not end in time and was killed".to_owned());
            }
            Err(error) => return Err(format!("cannot wait for it: {error}")),
        }
    }
}
