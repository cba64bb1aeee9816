//! Owns loose objects: one file each, a header and the content in one zlib stream.

use std::fs::File;

use shieldrun_secrets::{Scanner, SecretId};

use super::error::Unreadable;
use super::pack::Kind;
use super::zlib::{Inflater, deflate};

/// What is shown in place of one is held in memory.
const LARGEST_SHOWN: usize = 64 << 20;
const MALFORMED: Unreadable = Unreadable::Malformed("not a loose object");

/// The secret whose value is in it.
///
/// # Errors
/// When it does not unpack.
pub(super) fn scan(
    file: &File,
    scanner: &Scanner,
    inflater: &mut Inflater,
) -> Result<Option<SecretId>, Unreadable> {
    let mut state = scanner.stream();
    let mut found = None;
    inflater.stream(file, 0..file.metadata()?.len(), 128 * 1024, |bytes| {
        found = state.feed(scanner, bytes).map(|hit| hit.id);
        found.is_none()
    })?;
    Ok(found)
}

/// The file with other content in it.
///
/// # Errors
/// When it is none, or too large.
pub(super) fn rewrite(
    file: &File,
    inflater: &mut Inflater,
    shown: impl FnOnce(Kind, Vec<u8>) -> Vec<u8>,
) -> Result<Vec<u8>, Unreadable> {
    let mut whole = Vec::new();
    inflater.stream(file, 0..file.metadata()?.len(), 128 * 1024, |bytes| {
        whole.extend_from_slice(bytes);
        whole.len() <= LARGEST_SHOWN
    })?;
    if whole.len() > LARGEST_SHOWN {
        return Err(Unreadable::TooLarge);
    }
    let end = whole.iter().position(|byte| *byte == 0).ok_or(MALFORMED)?;
    let word = whole.split(|byte| *byte == b' ').next().unwrap_or_default();
    let kind = match word {
        b"commit" => Kind::Commit,
        b"tree" => Kind::Tree,
        b"blob" => Kind::Blob,
        b"tag" => Kind::Tag,
        _ => return Err(MALFORMED),
    };
    let word = word.to_vec();
    let content = shown(kind, whole.split_off(end + 1));
    let mut object = [&word, b" ".as_slice(), content.len().to_string().as_bytes(), b"\0"].concat();
    object.extend_from_slice(&content);
    Ok(deflate(&object))
}
