//! Files of JSON that are there whole or not at all.
//!
//! Written beside the target and renamed over it: whoever reads sees the old or the new. Not synced: that costs
//! milliseconds at every run and is of use only when the machine loses power.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};
use serde::Serialize;
use shieldrun_policy::verdict::RunResult;

use super::RecordError;

/// `--result FILE`: one object and a newline.
///
/// What is no regular file (`/dev/stdout`, a FIFO, `/dev/fd/3`) is written to, not replaced; through a symbolic
/// link the file is replaced, not the link.
pub(crate) fn write_result(target: &Path, result: &RunResult) -> Result<(), RecordError> {
    let failed = |source: io::Error| RecordError::Result { path: target.to_owned(), source };
    let existing = match fs::metadata(target) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if existing.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        let mut file = OpenOptions::new().write(true).open(target).map_err(failed)?;
        return file.write_all(&line(result).map_err(failed)?).map_err(failed);
    }
    let target =
        if existing.is_some() { fs::canonicalize(target).map_err(failed)? } else { target.to_owned() };
    let name = target.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, directory, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let mode = match &existing {
        Some(metadata) => {
            Mode::from_raw_mode(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777)
        }
        // As any program's output: the umask decides.
        None => Mode::from_raw_mode(0o666),
    };
    let name = Path::new(name);
    replace(std::os::fd::AsFd::as_fd(&directory), name, mode, &line(result).map_err(failed)?).map_err(failed)
}

/// A file of the record, for its owner alone.
pub(crate) fn replace_at(directory: BorrowedFd<'_>, name: &str, value: &impl Serialize) -> io::Result<()> {
    replace(directory, Path::new(name), Mode::RUSR | Mode::WUSR, &line(value)?)
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn replace(directory: BorrowedFd<'_>, name: &Path, mode: Mode, bytes: &[u8]) -> io::Result<()> {
    // Two runs may write one result at the same time, so the name is ours alone.
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.part", std::process::id()));
    let beside = Path::new(&beside);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // One that died at this point with our number left its part behind.
    let _ = unlinkat(directory, beside, AtFlags::empty());
    let mut file = File::from(openat(directory, beside, flags, mode)?);
    let written = file.write_all(bytes).and_then(|()| Ok(renameat(directory, beside, directory, name)?));
    if written.is_err() {
        let _ = unlinkat(directory, beside, AtFlags::empty());
    }
    written
}
