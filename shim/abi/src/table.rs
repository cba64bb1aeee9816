//! The guest table: which names are secret, which paths are masked. Written once by the launcher, read-only inside.
//!
//! Layout, all in the machine's byte order: [`HEADER`] bytes of header, two prefilters of
//! [`FILTER_BYTES`](hash::FILTER_BYTES) (variables by their first bytes, paths by their components), two hash tables
//! (open addressing, [`ENTRY`] bytes an entry), the strings. Every access is checked: a table that does not hold
//! together gives no answer, and never a panic.

use crate::hash;

/// `shieldt` and the version of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"shieldt\x01");
/// Magic, length, then two tables of offset and entries, then nothing.
pub const HEADER: usize = 32;
/// Where the variables' filter is; the paths' follows.
pub const VARIABLES_FILTER: usize = HEADER;
/// Where the paths' filter is.
pub const PLACES_FILTER: usize = VARIABLES_FILTER + hash::FILTER_BYTES;
/// Where the hash tables may begin.
pub const TABLES: usize = PLACES_FILTER + hash::FILTER_BYTES;
/// Hash, offset, length, value, flags: five 32-bit words. An entry of length 0 is empty.
pub const ENTRY: usize = 20;
/// How far from its place an entry may be.
pub const PROBES: usize = 64;
/// The longest variable name in a table.
pub const NAME_MAX: usize = 255;

/// The masked path is synthetic, not blocked.
pub const SYNTHETIC: u32 = 1;
/// The masked path is a directory.
pub const DIRECTORY: u32 = 2;
/// The kernel has a mask over the path: it refuses, and sees who asks, so the call must reach it.
pub const WALLED: u32 = 4;

/// What happens on a masked path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It cannot be opened.
    Block,
    /// It opens, and holds synthetics.
    Synthetic,
}

/// A masked path that covers the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The launcher's index.
    pub index: u32,
    /// What happens there.
    pub treatment: Treatment,
    /// The masked path is a directory, and everything beneath is masked with it.
    pub directory: bool,
    /// The kernel itself refuses what is blocked: nobody need do it in its place.
    pub walled: bool,
}

/// A table that was found whole.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    bytes: &'a [u8],
    variables_filter: &'a [u8; hash::FILTER_BYTES],
    places_filter: &'a [u8; hash::FILTER_BYTES],
    variables: &'a [[u8; ENTRY]],
    places: &'a [[u8; ENTRY]],
}

struct Entry {
    hash: u32,
    offset: usize,
    length: usize,
    value: u32,
    flags: u32,
}

impl<'a> Table<'a> {
    /// Views bytes as a table.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Table<'a>> {
        let magic = u64::from_ne_bytes(*bytes.first_chunk()?);
        let length = word(bytes, 8)?;
        if magic != MAGIC || usize::try_from(length).ok()? != bytes.len() {
            return None;
        }
        Some(Table {
            bytes,
            variables_filter: bytes.get(VARIABLES_FILTER..)?.first_chunk()?,
            places_filter: bytes.get(PLACES_FILTER..)?.first_chunk()?,
            variables: entries(bytes, word(bytes, 12)?, word(bytes, 16)?)?,
            places: entries(bytes, word(bytes, 20)?, word(bytes, 24)?)?,
        })
    }

    /// Whether a variable that begins with these bytes can be in the table at all.
    #[must_use]
    #[inline]
    pub fn may_hold_variable(&self, head: [u8; 4]) -> bool {
        bit(self.variables_filter, hash::variable_bit(head))
    }

    /// The index of a secret variable.
    #[must_use]
    pub fn variable(&self, name: &[u8]) -> Option<u32> {
        self.find(self.variables, name).map(|entry| entry.value)
    }

    /// Whether a component with this [`hash::component_bit`] can be the last one of a masked path.
    #[must_use]
    #[inline]
    pub fn may_hold_component(&self, component: usize) -> bool {
        bit(self.places_filter, component)
    }

    /// The masked path that this absolute path is, or lies beneath; the outermost one.
    #[must_use]
    pub fn covering(&self, path: &[u8]) -> Option<Place> {
        let ends = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let Some(entry) = path.get(..end).and_then(|prefix| self.find(self.places, prefix)) else {
                continue;
            };
            let directory = entry.flags & DIRECTORY != 0;
            if directory || end == path.len() {
                let synthetic = entry.flags & SYNTHETIC != 0;
                let treatment = if synthetic { Treatment::Synthetic } else { Treatment::Block };
                let walled = entry.flags & WALLED != 0;
                return Some(Place { index: entry.value, treatment, directory, walled });
            }
        }
        None
    }

    fn find(&self, table: &[[u8; ENTRY]], name: &[u8]) -> Option<Entry> {
        if table.is_empty() || name.is_empty() {
            return None;
        }
        let hash = hash::name(name);
        for probe in 0..PROBES {
            let at = (hash as usize).wrapping_add(probe).checked_rem(table.len())?;
            let entry = Entry::read(table.get(at)?)?;
            if entry.length == 0 {
                return None;
            }
            let end = entry.offset.checked_add(entry.length)?;
            if entry.hash == hash && self.bytes.get(entry.offset..end) == Some(name) {
                return Some(entry);
            }
        }
        None
    }
}

impl Entry {
    fn read(bytes: &[u8; ENTRY]) -> Option<Entry> {
        Some(Entry {
            hash: word(bytes, 0)?,
            offset: word(bytes, 4)? as usize,
            length: word(bytes, 8)? as usize,
            value: word(bytes, 12)?,
            flags: word(bytes, 16)?,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn bit(filter: &[u8; hash::FILTER_BYTES], bit: usize) -> bool {
    filter.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
}

fn entries(bytes: &[u8], offset: u32, count: u32) -> Option<&[[u8; ENTRY]]> {
    let length = (count as usize).checked_mul(ENTRY)?;
    let end = (offset as usize).checked_add(length)?;
    Some(bytes.get(offset as usize..end)?.as_chunks().0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn nearly_empty() -> std::vec::Vec<u8> {
        let mut bytes = std::vec![0; TABLES];
        bytes[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[8..12].copy_from_slice(&u32::try_from(TABLES).unwrap_or(0).to_ne_bytes());
        bytes
    }

    #[test]
    fn an_empty_table_answers_no() {
        let bytes = nearly_empty();
        let table = Table::parse(&bytes).expect("well formed");
        assert_eq!(table.variable(b"TOKEN"), None);
        assert_eq!(table.covering(b"/home/u/.aws"), None);
        assert!(!table.may_hold_variable(*b"TOKE"));
        assert!(!table.may_hold_component(hash::component_bit_of(b".aws")));
    }

    #[test]
    fn a_damaged_table_is_no_table() {
        let whole = nearly_empty();
        for cut in 0..whole.len() {
            assert!(Table::parse(&whole[..cut]).is_none(), "cut at {cut}");
        }
        let mut far = nearly_empty();
        far[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
        far[16..20].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(Table::parse(&far).is_none());
    }

    #[test]
    fn entries_that_point_outside_give_no_answer() {
        let mut bytes = nearly_empty();
        let hash = hash::name(b"TOKEN");
        let start = bytes.len();
        for word in [hash, u32::MAX, 5, 1, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        let length = bytes.len();
        bytes[8..12].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_ne_bytes());
        bytes[12..16].copy_from_slice(&u32::try_from(start).unwrap_or(0).to_ne_bytes());
        bytes[16..20].copy_from_slice(&1_u32.to_ne_bytes());
        assert_eq!(Table::parse(&bytes).expect("well formed").variable(b"TOKEN"), None);
    }
}
