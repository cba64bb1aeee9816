//! Owns pack indices, version 2: which objects a pack has, and where. See gitformat-pack(5).

use std::fs::File;

use crate::history::error::Unreadable;
use crate::history::zlib::read_at;

const MAGIC: [u8; 8] = [0xff, b't', b'O', b'c', 0, 0, 0, 2];
const FANOUT: usize = 8;
const NAMES: usize = FANOUT + 1024;
/// Offsets with this bit are numbers of lines in the table of large ones.
const LARGE: u32 = 1 << 31;
/// A larger index has more objects than we can count.
const LARGEST: u64 = 8 << 30;

/// An index, parsed.
pub(in crate::history) struct Index {
    bytes: Vec<u8>,
    /// Length of an object's name: 20, or 32 in a repository with SHA-256.
    width: usize,
    count: usize,
    /// Where each object begins, in the order of the index.
    offsets: Vec<u64>,
}

impl Index {
    /// Reads one.
    ///
    /// # Errors
    /// When it is no index of version 2.
    pub(super) fn read(file: &File) -> Result<Self, Unreadable> {
        let length = file.metadata()?.len();
        if length > LARGEST {
            return Err(Unreadable::TooLarge);
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| Unreadable::TooLarge)?];
        let filled = read_at(file, &mut bytes, 0)?;
        bytes.truncate(filled);
        Self::parse(bytes)
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, Unreadable> {
        const BAD: Unreadable = Unreadable::Malformed("an index of an unknown form");
        if !bytes.starts_with(&MAGIC) {
            return Err(BAD);
        }
        let count = number(&bytes, NAMES - 4).ok_or(BAD)? as usize;
        [20, 32].into_iter().find_map(|width| Self::with(&bytes, width, count)).map_or(Err(BAD), |offsets| {
            let (width, offsets) = offsets;
            Ok(Self { bytes, width, count, offsets })
        })
    }

    /// The offsets, if all fits with names of this length.
    fn with(bytes: &[u8], width: usize, count: usize) -> Option<(usize, Vec<u64>)> {
        let narrow_at = NAMES + count.checked_mul(width + 4)?;
        let wide_at = narrow_at + count.checked_mul(4)?;
        let wide = bytes.len().checked_sub(wide_at + 2 * width)?;
        let mut lines = 0;
        let offset = |narrow: u32| {
            if narrow & LARGE == 0 {
                return Some(u64::from(narrow));
            }
            lines += 1;
            let at = wide_at + 8 * (narrow & !LARGE) as usize;
            bytes.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
        };
        let offsets: Vec<u64> = bytes
            .get(narrow_at..wide_at)?
            .chunks_exact(4)
            .filter_map(|bytes| bytes.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes)))
            .map(offset)
            .collect::<Option<_>>()?;
        (wide == 8 * lines).then_some((width, offsets))
    }

    /// How many objects.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Length of a name.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Where the objects begin, in the order of the index.
    pub(super) fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// The position of an object by its name.
    pub(super) fn position(&self, name: &[u8]) -> Option<usize> {
        let names = self.bytes.get(NAMES..NAMES + self.count * self.width)?;
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match names.get(middle * self.width..(middle + 1) * self.width)?.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// The same index for a pack with the same objects at other places.
    pub(super) fn moved(&self, offsets: &[u64], checksums: &[u32]) -> Vec<u8> {
        let names_end = NAMES + self.count * self.width;
        let mut bytes = self.bytes.get(..names_end).unwrap_or_default().to_vec();
        checksums.iter().for_each(|checksum| bytes.extend(checksum.to_be_bytes()));
        let mut wide = Vec::new();
        for &offset in offsets {
            let narrow =
                u32::try_from(offset).ok().filter(|narrow| narrow & LARGE == 0).unwrap_or_else(|| {
                    wide.push(offset);
                    u32::try_from(wide.len() - 1).unwrap_or(0) | LARGE
                });
            bytes.extend(narrow.to_be_bytes());
        }
        wide.iter().for_each(|offset| bytes.extend(offset.to_be_bytes()));
        // The checksum of the pack, which it keeps, and the index's own, which only `git fsck` looks at.
        bytes.extend_from_slice(self.bytes.get(self.bytes.len() - 2 * self.width..).unwrap_or_default());
        bytes
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}
