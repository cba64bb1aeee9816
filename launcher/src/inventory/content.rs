//! Owns reading one file's content, and telling its format where nothing else does.

use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use shieldrun_secrets::{Format, MAX_PARSE};

/// The content of an `O_PATH` descriptor's file, without touching the access time where it is ours.
///
/// # Errors
/// `EFBIG` above what is parsed, else what open(2) and read(2) give.
pub(super) fn read(handle: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let again = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = match rustix::fs::openat(CWD, &again, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(CWD, &again, flags, Mode::empty())?,
        other => other?,
    };
    let mut content = Vec::new();
    let mut file = std::fs::File::from(opened).take(MAX_PARSE as u64 + 1);
    match file.read_to_end(&mut content) {
        Ok(_) if content.len() <= MAX_PARSE => Ok(content),
        Ok(_) => Err(Errno::FBIG),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

/// For a file that somebody called a secret and of whose form nothing is known.
pub(super) fn format(content: &[u8]) -> Format {
    /// No token is longer than this.
    const TOKEN: usize = 16 * 1024;
    let text = content.trim_ascii();
    match text.first() {
        _ if std::str::from_utf8(content).is_err() => Format::Opaque,
        Some(b'{' | b'[') => Format::Json,
        _ if text.windows(11).any(|window| window == b"-----BEGIN ") => Format::Pem,
        _ if text.len() <= TOKEN && !text.contains(&b'\n') && !text.contains(&b' ') => Format::PlainToken,
        // Other text: whatever in it looks like a credential.
        _ => Format::Pem,
    }
}
