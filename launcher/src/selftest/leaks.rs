//! Owns the ways out through the output: a command that has a real value (by its stdin, which it was
//! given) prints it, in one form or another. The run must end with the exit code of a leak.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use data_encoding::{BASE64, HEXLOWER};
use shieldrun_policy::exit;

use super::field::Planted;
use super::{Line, Verdict};
use crate::failure::Failure;

struct Leak {
    name: &'static str,
    what: &'static str,
    script: &'static str,
    /// What is then seen.
    form: fn(&str) -> String,
}

const LEAKS: &[Leak] = &[
    Leak { name: "leak-plain", what: "printed as it is", script: "cat", form: str::to_owned },
    Leak { name: "leak-stderr", what: "printed on stderr", script: "cat >&2", form: str::to_owned },
    Leak {
        name: "leak-base64",
        what: "in base64",
        script: "base64 -w0",
        form: |token| BASE64.encode(token.as_bytes()),
    },
    Leak {
        name: "leak-hex",
        what: "in hexadecimal",
        script: "od -An -v -tx1 | tr -d ' \\n'",
        form: |token| HEXLOWER.encode(token.as_bytes()),
    },
    Leak {
        name: "leak-reversed",
        what: "backwards",
        script: "rev",
        form: |token| token.chars().rev().collect(),
    },
    Leak { name: "leak-halves", what: "in two writes", script: "head -c 17; cat", form: str::to_owned },
    Leak {
        name: "leak-bytes",
        what: "in a write for each byte",
        script: "while IFS= read -r -n1 c; do printf %s \"$c\"; done",
        form: str::to_owned,
    },
    Leak {
        name: "leak-json",
        what: "within JSON",
        script: "printf '{\"message\":\"'; cat; printf '\"}'",
        form: str::to_owned,
    },
    Leak {
        name: "leak-background",
        what: "by a process in the background",
        script: "exec 3<&0; cat <&3 & wait",
        form: str::to_owned,
    },
];

/// Tries each.
///
/// # Errors
/// When shieldrun cannot be started.
pub(super) fn try_all(planted: &Planted) -> Result<Vec<Line>, Failure> {
    LEAKS.iter().map(|leak| attempt(planted, leak)).collect()
}

fn attempt(planted: &Planted, leak: &Leak) -> Result<Line, Failure> {
    let own =
        std::env::current_exe().map_err(|error| Failure::doing("cannot find shieldrun itself", error))?;
    // A value that the run knows: that of a variable.
    let secret = planted.token.as_str();
    let form = (leak.form)(secret);
    let shell = ["bash", "-c", leak.script];
    let start = |words: &[&str]| {
        run(planted, words, secret).map_err(|error| Failure::doing("cannot start the run", error))
    };
    let shows = |output: &Output| [&output.stdout, &output.stderr].iter().any(|bytes| contains(bytes, &form));
    let native = start(&shell)?;
    let (verdict, detail) = if shows(&native) {
        let own = own.display().to_string();
        let output = start(&[[own.as_str(), "--"].as_slice(), &shell].concat())?;
        let stopped = output.status.code() == Some(i32::from(exit::ExitCode::Leak.code()));
        match (shows(&output), stopped) {
            (false, true) => (Verdict::Held, "withheld, and the run ended".to_owned()),
            (false, false) => (Verdict::Breached, format!("the run ended with {:?}", output.status.code())),
            (true, _) => (Verdict::Breached, "the value was printed".to_owned()),
        }
    } else {
        (Verdict::Unavailable, "the program for it is not here".to_owned())
    };
    Ok(Line { name: leak.name, group: "output", what: leak.what, verdict, detail })
}

fn run(planted: &Planted, words: &[&str], stdin: &str) -> std::io::Result<Output> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(planted.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&planted.field.project)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that does not read has its reasons.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    child.wait_with_output()
}

fn contains(bytes: &[u8], form: &str) -> bool {
    bytes.windows(form.len()).any(|window| window == form.as_bytes())
}
