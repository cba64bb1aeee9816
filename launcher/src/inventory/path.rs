//! Owns paths as bytes: joining, containing, and what an open descriptor is called.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `directory/name`, or just `name` at the root of a walk.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() && !directory.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Whether `path` is `directory` or lies beneath it.
pub(crate) fn contains(directory: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || directory.ends_with(b"/"))
}

/// Bytes as a path.
pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The canonical name of what a descriptor is open on; `None` when it was deleted.
pub(crate) fn name_of(descriptor: &OwnedFd) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let name = rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes();
    (name.starts_with(b"/") && !name.ends_with(b" (deleted)")).then_some(name)
}
