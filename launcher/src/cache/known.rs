//! Owns what is known to be clean: files that were read, held none of a set of values, and have not changed.
//!
//! A file is known by a keyed hash of its device, inode, size and times; a set of values by their keyed tags. A
//! file that was clean of a set is clean of each part of it.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

use super::Cache;

const MAGIC: &[u8; 16] = b"shieldrun-clean1";
/// A file that changed so shortly before it was read may change again within the same tick of its clock.
const SETTLED_SECONDS: i64 = 2;
/// Sets of values for which one workspace is remembered: shells differ in what is in their environment.
const SETS: usize = 4;
/// Workspaces that are remembered.
const WORKSPACES: usize = 32;
/// Reading less again costs less than writing this down.
const WORTH_FILES: usize = 256;
const WORTH_BYTES: u64 = 4 << 20;
/// No such file is larger: a million files are 8 MB.
const LARGEST: u64 = 256 << 20;

/// What was clean before, of the values that are looked for now.
#[derive(Debug)]
pub(crate) struct Known {
    salt: [u8; 32],
    /// Files with a change after this are not settled yet.
    settled_before: i64,
    /// Sorted.
    clean: Vec<Vec<u64>>,
}

/// What one pass saw.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// All that is clean, known before or not.
    pub clean: Vec<u64>,
    /// Files that had to be read.
    pub files: usize,
    /// Bytes that had to be read.
    pub bytes: u64,
}

/// What sort of thing a file was read as: what holds of one reading does not hold of another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadAs {
    /// Its bytes.
    File,
    /// The objects that are packed in it.
    Objects,
}

impl Known {
    /// What a cache knows of a workspace.
    pub(crate) fn load(cache: Option<&Cache>, workspace: &[u8], tags: &[[u8; 16]]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut known = Self {
            salt: [0; 32],
            settled_before: i64::try_from(now).unwrap_or(0) - SETTLED_SECONDS,
            clean: Vec::new(),
        };
        let Some(cache) = cache else { return known };
        known.salt = cache.mac(&[b"identity"]);
        for name in cache.names(&prefix(cache, workspace)) {
            let Some(mut file) = cache.file(&name) else { continue };
            if let Some(clean) = read(&mut file, tags).ok().flatten() {
                Cache::touch(&file);
                known.clean.push(clean);
            }
        }
        known
    }

    /// The number of a file; `None` while it is too fresh to be remembered.
    pub(crate) fn number(&self, stat: &Stat, read_as: ReadAs) -> Option<u64> {
        if stat.st_ctime >= self.settled_before || stat.st_mtime >= self.settled_before {
            return None;
        }
        Some(self.identity(stat, read_as))
    }

    /// The number of a file, settled or not.
    pub(crate) fn identity(&self, stat: &Stat, read_as: ReadAs) -> u64 {
        // SipHash with the salt before all else; should the library change it, everything is read once more.
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.salt);
        hasher.write_u8(read_as as u8);
        hasher.write_u64(stat.st_dev);
        hasher.write_u64(stat.st_ino);
        hasher.write_i64(stat.st_size);
        hasher.write_i64(stat.st_mtime);
        hasher.write_u64(stat.st_mtime_nsec);
        hasher.write_i64(stat.st_ctime);
        hasher.write_u64(stat.st_ctime_nsec);
        hasher.finish()
    }

    /// Whether a file with this number was clean.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.clean.iter().any(|clean| clean.binary_search(&number).is_ok())
    }

    /// Writes down what is clean now, where that spares the next run something.
    pub(crate) fn keep(&self, cache: &mut Cache, workspace: &[u8], tags: &[[u8; 16]], mut tally: Tally) {
        if tally.files < WORTH_FILES && tally.bytes < WORTH_BYTES {
            return;
        }
        tally.clean.sort_unstable();
        tally.clean.dedup();
        let prefix = prefix(cache, workspace);
        let set = cache.mac(&[&tags.concat()]);
        let name = format!("{prefix}{}", data_encoding::HEXLOWER.encode(set.get(..8).unwrap_or_default()));
        if cache.put(&name, |file| write(file, tags, &tally.clean)).is_ok() {
            cache.prune(&prefix, SETS);
            cache.prune("clean-", WORKSPACES * SETS);
        }
    }
}

impl Tally {
    /// Adds what another thread saw.
    pub(crate) fn add(&mut self, other: Self) {
        self.clean.extend(other.clean);
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

fn prefix(cache: &Cache, workspace: &[u8]) -> String {
    let digest = cache.mac(&[b"workspace", workspace]);
    format!("clean-{}-", data_encoding::HEXLOWER.encode(digest.get(..12).unwrap_or_default()))
}

/// The numbers in a file, if it was clean of all these values; both lists are sorted.
fn read(file: &mut File, tags: &[[u8; 16]]) -> io::Result<Option<Vec<u64>>> {
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    let content = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<8>());
    let Some((count, rest)) = content else { return Ok(None) };
    let length = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(16));
    let Some((theirs, numbers)) = length.and_then(|length| rest.split_at_checked(length)) else {
        return Ok(None);
    };
    let theirs: Vec<&[u8]> = theirs.chunks_exact(16).collect();
    if !tags.iter().all(|tag| theirs.binary_search(&tag.as_slice()).is_ok()) {
        return Ok(None);
    }
    let (numbers, _) = numbers.as_chunks::<8>();
    Ok(Some(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect()))
}

fn write(file: &mut File, tags: &[[u8; 16]], numbers: &[u64]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + 8 + 16 * tags.len() + 8 * numbers.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(tags.len() as u64).to_le_bytes());
    tags.iter().for_each(|tag| bytes.extend_from_slice(tag));
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    file.write_all(&bytes)
}
