//! Large files with holes: what is not there is neither read nor copied.
//!
//! A file of more than a gibibyte is known by a digest over those of its blocks that are not all zero, each with
//! its place: it says the same whether zeros are written or left out, and a disk image of a terabyte costs what it
//! holds. Smaller ones have the plain SHA-256 of their bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use rustix::fs::{SeekFrom as Sought, seek};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// Larger files have a digest over blocks.
pub(super) const PLAIN: u64 = 1 << 30;

/// A block of such a digest.
const BLOCK: usize = 64 << 10;

/// Where a file has data, in order; all of it where the file system knows no holes.
fn extents(file: &File, size: u64) -> io::Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, Sought::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => return Ok(std::iter::once(0..size).collect()),
            Err(errno) => return Err(errno.into()),
        };
        let end = seek(file, Sought::Hole(start))?.min(size);
        if end <= start {
            break;
        }
        found.push(start..end);
        at = end;
    }
    Ok(found)
}

/// Reads what is there, in blocks at multiples of their length, each with its place.
fn blocks(file: &mut File, size: u64, mut each: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let mut buffer = vec![0u8; BLOCK];
    let mut next = 0;
    for extent in extents(file, size)? {
        let mut at = (extent.start - extent.start % BLOCK as u64).max(next);
        while at < extent.end {
            file.seek(SeekFrom::Start(at))?;
            let mut filled = 0;
            while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match file.read(rest) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            each(at, buffer.get(..filled).unwrap_or_default());
            at += BLOCK as u64;
        }
        next = at;
    }
    Ok(())
}

/// The digest over blocks; `each` sees the bytes that are not a hole, in order.
pub(super) fn digest(file: &mut File, size: u64, mut each: impl FnMut(&[u8])) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(b"blocks");
    hash.update(size.to_le_bytes());
    blocks(file, size, |at, block| {
        each(block);
        if block.iter().any(|byte| *byte != 0) {
            hash.update(at.to_le_bytes());
            hash.update(block);
        }
    })?;
    Ok(hash.finalize().into())
}

/// Copies a file from its start; holes stay holes.
pub(crate) fn copy(from: &mut File, to: &mut File, size: u64) -> io::Result<()> {
    for extent in extents(from, size)? {
        from.seek(SeekFrom::Start(extent.start))?;
        to.seek(SeekFrom::Start(extent.start))?;
        io::copy(&mut from.by_ref().take(extent.end - extent.start), to)?;
    }
    to.set_len(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn zeros_that_are_written_and_zeros_that_are_not_are_the_same() {
        let at = tempfile::tempdir_in("/var/tmp").expect("a directory");
        let make =
            |name: &str| File::options().read(true).write(true).create_new(true).open(at.path().join(name));
        let (mut holes, mut written) = (make("holes").expect("made"), make("written").expect("made"));
        let size = 3 * BLOCK as u64 + 77;
        holes.set_len(size).expect("set");
        holes.write_all_at(b"middle", BLOCK as u64 + 5).expect("written");
        let mut bytes = vec![0u8; usize::try_from(size).expect("small")];
        bytes[BLOCK + 5..BLOCK + 11].copy_from_slice(b"middle");
        written.write_all(&bytes).expect("written");
        let of = |file: &mut File| digest(file, size, |_| ()).expect("read");
        assert_eq!(of(&mut holes), of(&mut written));
        let mut copied = make("copied").expect("made");
        copy(&mut holes, &mut copied, size).expect("copied");
        assert_eq!(of(&mut copied), of(&mut holes));
        assert!(copied.metadata().expect("there").blocks() * 512 < size, "its holes were filled");
        written.write_all_at(b"M", BLOCK as u64 + 5).expect("written");
        assert_ne!(of(&mut holes), of(&mut written));
    }
}
