//! Owns `--events FILE|fd:N`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::audit::Sink;
use crate::failure::Failure;
use crate::sys::descriptors::take_over;

/// Opens what `--events` names.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn open(named: Option<&OsStr>) -> Result<Vec<Sink>, Failure> {
    let Some(named) = named else { return Ok(Vec::new()) };
    let shown = named.to_string_lossy();
    let failed = |error| Failure::doing(format!("cannot write events to `{shown}`"), error);
    let number = named.as_bytes().strip_prefix(b"fd:").and_then(|digits| std::str::from_utf8(digits).ok());
    let sink = match number {
        Some(digits) => {
            let number = digits.parse().map_err(|error| {
                failed(std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    format!("{error} in the descriptor's number"),
                ))
            })?;
            Sink::descriptor(take_over(number).map_err(failed)?, number)
        }
        None => Sink::file(Path::new(named)).map_err(failed)?,
    };
    Ok(vec![sink])
}
