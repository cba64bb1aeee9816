//! Owns the index of several packs: where it names a place in a pack that was rewritten, the new one. See
//! gitformat-pack(5), "multi-pack-index".

use std::collections::HashMap;
use std::fs::File;

use super::Index;
use crate::inventory::path::as_path;

/// A pack with its index before and after.
pub(in crate::history) struct Moved {
    /// The name of the index within its directory.
    name: Vec<u8>,
    before: File,
    after: File,
}

impl Moved {
    /// Opens both, by their paths.
    pub(in crate::history) fn between(before: &[u8], after: &[u8]) -> Option<Self> {
        let name = before.rsplit(|byte| *byte == b'/').next()?.to_vec();
        let open = |path: &[u8]| File::open(as_path(path)).ok();
        Some(Self { name, before: open(before)?, after: open(after)? })
    }
}

const HEADER: usize = 12;
const LINE: usize = 12;
/// Offsets with this bit are kept in a table of their own.
const LARGE: u32 = 1 << 31;

/// The same index after the packs were rewritten; `None` where it is of another form, or a place is too far for
/// it.
pub(in crate::history) fn moved(mut bytes: Vec<u8>, packs: &[Moved]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"MIDX\x01") {
        return None;
    }
    let names = chunk(&bytes, b"PNAM")?;
    let names: Vec<Vec<u8>> = bytes.get(names)?.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let mut places: HashMap<u32, HashMap<u64, u64>> = HashMap::new();
    for pack in packs {
        let Some(number) = names.iter().position(|name| *name == pack.name) else { continue };
        let (before, after) = (Index::read(&pack.before).ok()?, Index::read(&pack.after).ok()?);
        let pairs = before.offsets().iter().copied().zip(after.offsets().iter().copied());
        places.insert(u32::try_from(number).ok()?, pairs.collect());
    }
    let lines = chunk(&bytes, b"OOFF")?;
    let wide = chunk(&bytes, b"LOFF").unwrap_or(0..0);
    let wide = bytes.get(wide)?.to_vec();
    for line in bytes.get_mut(lines)?.chunks_exact_mut(8) {
        let (pack, offset) = (number(line, 0)?, number(line, 4)?);
        let Some(places) = places.get(&pack) else { continue };
        let before = match offset & LARGE {
            0 => u64::from(offset),
            _ => u64::from_be_bytes(*wide.get(8 * (offset & !LARGE) as usize..)?.first_chunk()?),
        };
        let after = u32::try_from(*places.get(&before)?).ok().filter(|after| after & LARGE == 0)?;
        line.get_mut(4..)?.copy_from_slice(&after.to_be_bytes());
    }
    Some(bytes)
}

/// Where a chunk lies: from its own line of the table of contents to the next one's.
fn chunk(bytes: &[u8], id: &[u8; 4]) -> Option<std::ops::Range<usize>> {
    let count = usize::from(*bytes.get(6)?);
    let at = |line: usize| {
        let offset = bytes.get(HEADER + LINE * line + 4..)?.first_chunk::<8>()?;
        usize::try_from(u64::from_be_bytes(*offset)).ok()
    };
    let line =
        (0..count).find(|line| bytes.get(HEADER + LINE * line..).is_some_and(|rest| rest.starts_with(id)))?;
    let range = at(line)?..at(line + 1)?;
    (range.start <= range.end && range.end <= bytes.len()).then_some(range)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}
