//! Owns `--events FILE|fd:N` and the sinks of the policy and of `--sink`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use shieldrun_policy::schema::SinkName;

use crate::audit::Sink;
use crate::failure::Failure;
use crate::record::{EVENTS, RunDir};
use crate::sys::descriptors::take_over;

/// Opens what `--events` names, and has the sinks read from the run's own log, which exists by now.
///
/// # Errors
/// When it cannot be opened. A sink that is down is no error: it may come.
pub(super) fn open(
    events: Option<&OsStr>,
    named: &[SinkName],
    directory: &RunDir,
) -> Result<Vec<Sink>, Failure> {
    let mut sinks = Vec::new();
    if let Some(events) = events {
        sinks.push(live(events)?);
    }
    for (index, name) in named.iter().enumerate() {
        if !named.iter().take(index).any(|earlier| earlier == name) {
            let record = directory.open_file(EVENTS)?;
            sinks.push(Sink::relay(name.clone(), directory.id(), record));
        }
    }
    Ok(sinks)
}

fn live(named: &OsStr) -> Result<Sink, Failure> {
    let shown = named.to_string_lossy();
    let failed = |error| Failure::doing(format!("cannot write events to `{shown}`"), error);
    let number = named.as_bytes().strip_prefix(b"fd:").and_then(|digits| std::str::from_utf8(digits).ok());
    match number {
        Some(digits) => {
            let number = digits.parse().map_err(|error| {
                failed(std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    format!("{error} in the descriptor's number"),
                ))
            })?;
            Ok(Sink::descriptor(take_over(number).map_err(failed)?, number))
        }
        None => Sink::file(Path::new(named)).map_err(failed),
    }
}
