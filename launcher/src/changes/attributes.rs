//! Extended attributes that belong to a file, and not to the machinery beneath it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// By name.
pub(crate) type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Reads those of an open file. A file system without any has none.
pub(crate) fn read(file: impl AsFd) -> io::Result<Attributes> {
    let mut names = vec![0u8; 1024];
    let length = loop {
        match flistxattr(&file, names.as_mut_slice()) {
            Ok(length) => break length,
            Err(Errno::RANGE) => names.resize(names.len() * 4, 0),
            Err(Errno::NOTSUP) => return Ok(Attributes::new()),
            Err(errno) => return Err(errno.into()),
        }
    };
    names.truncate(length);
    let mut attributes = Attributes::new();
    for name in names.split(|byte| *byte == 0).filter(|name| is_the_files(name)) {
        let mut value = vec![0u8; 256];
        loop {
            match fgetxattr(&file, name, value.as_mut_slice()) {
                Ok(length) => {
                    value.truncate(length);
                    attributes.insert(name.to_vec(), value);
                    break;
                }
                Err(Errno::RANGE) => value.resize(value.len() * 8, 0),
                // Removed meanwhile.
                Err(Errno::NODATA) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(attributes)
}

/// One number for all of them; none where there is none.
pub(super) fn digest(attributes: &Attributes) -> Option<[u8; 32]> {
    if attributes.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for (name, value) in attributes {
        for part in [name, value] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Some(hash.finalize().into())
}

/// Labels that the system gives by its own rules stay its own; so do overlayfs's notes to itself.
fn is_the_files(name: &[u8]) -> bool {
    (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability"
}
