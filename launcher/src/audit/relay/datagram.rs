//! `syslog` (RFC 5424) and `journald` (its native protocol): one datagram a line.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Carried, Carrier, Trouble};

/// The socket, if it was reached.
pub(super) struct Datagram {
    path: PathBuf,
    form: Form,
    socket: Option<UnixDatagram>,
}

enum Form {
    Syslog { host: String },
    Journald { run_id: String },
}

/// Facility `user`: we are a program of a user's.
const FACILITY: u32 = 1;

impl Datagram {
    pub(super) fn syslog(path: PathBuf) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // A name of the header is printable ASCII.
        let host: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
        let host = if host.is_empty() { "-".to_owned() } else { host };
        Self { path, form: Form::Syslog { host }, socket: None }
    }

    pub(super) fn journald(path: PathBuf, run_id: &str) -> Self {
        Self { path, form: Form::Journald { run_id: run_id.to_owned() }, socket: None }
    }

    fn send(&mut self, datagram: &[u8], within: Duration) -> io::Result<()> {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.connect(&self.path)?;
            self.socket = Some(socket);
        }
        let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        socket.set_write_timeout(Some(within.max(Duration::from_millis(1))))?;
        socket.send(datagram).map(drop)
    }
}

impl Carrier for Datagram {
    fn carry(&mut self, lines: &[u8], within: Duration) -> Result<Carried, Trouble> {
        let mut carried = Carried::default();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let datagram = self.form.datagram(text);
            match self.send(&datagram, within) {
                Ok(()) => {}
                // Larger than a datagram can be: no later attempt makes it smaller.
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => carried.refused += 1,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.socket = None;
                    }
                    return if carried.bytes > 0 { Ok(carried) } else { Err(error.into()) };
                }
            }
            carried.bytes += line.len();
        }
        Ok(carried)
    }
}

impl Form {
    fn datagram(&self, line: &[u8]) -> Vec<u8> {
        let event: Json = serde_json::from_slice(line).unwrap_or_default();
        let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).unwrap_or("-");
        let severity = severity(&event);
        let action = text("/event/action");
        let mut out = Vec::with_capacity(line.len() + 256);
        match self {
            Form::Syslog { host } => {
                let priority = FACILITY * 8 + severity;
                let pid = std::process::id();
                let at = text("/@timestamp");
                out.extend_from_slice(
                    format!("<{priority}>1 {at} {host} shieldrun {pid} {action} - ").as_bytes(),
                );
                out.extend_from_slice(line);
            }
            Form::Journald { run_id } => {
                // No value has a newline: JSON escapes it.
                for (name, value) in [
                    ("PRIORITY", severity.to_string().as_str()),
                    ("SYSLOG_IDENTIFIER", "shieldrun"),
                    ("SHIELDRUN_RUN_ID", run_id),
                    ("SHIELDRUN_ACTION", action),
                    ("SHIELDRUN_TRUST", text("/shieldrun/trust")),
                ] {
                    out.extend_from_slice(format!("{name}={value}\n").as_bytes());
                }
                out.extend_from_slice(b"MESSAGE=");
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
        out
    }
}

/// Of syslog: alert 1, warning 4, informational 6.
pub(super) fn severity(event: &Json) -> u32 {
    let is = |pointer: &str, word: &str| event.pointer(pointer).and_then(Json::as_str) == Some(word);
    if is("/event/kind", "alert") {
        1
    } else if is("/event/outcome", "failure") {
        4
    } else {
        6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"@timestamp":"2026-11-24T15:04:05.123456Z","event":{"kind":"event","action":"secret-file-read","outcome":"failure"},"shieldrun":{"trust":"fact"}}"#;

    #[test]
    fn both_forms_are_those_of_their_receivers() {
        let line = String::from_utf8_lossy(LINE);
        let syslog = Form::Syslog { host: "h".to_owned() }.datagram(LINE);
        let pid = std::process::id();
        let head = format!("<12>1 2026-11-24T15:04:05.123456Z h shieldrun {pid} secret-file-read - ");
        assert_eq!(String::from_utf8_lossy(&syslog), format!("{head}{line}"));
        let journal = Form::Journald { run_id: "R".to_owned() }.datagram(LINE);
        let expected = format!(
            "PRIORITY=4\nSYSLOG_IDENTIFIER=shieldrun\nSHIELDRUN_RUN_ID=R\nSHIELDRUN_ACTION=secret-file-read\n\
             SHIELDRUN_TRUST=fact\nMESSAGE={line}\n"
        );
        assert_eq!(String::from_utf8_lossy(&journal), expected);
    }
}
