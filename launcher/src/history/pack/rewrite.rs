//! Owns the pack that is shown inside: the same objects under the same names in the same order, those that hold a
//! real value with other content.
//!
//! An object that hangs on such a one is written whole, all others are copied as they are. The checksum at the
//! end stays the old one, by which the reverse index and the bitmap know their pack; only `git fsck`, which
//! complains of the objects anyway, looks at it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use flate2::Crc;

use super::{Base, Form, Header, Held, Inflater, Kind, MALFORMED, Pack};
use crate::history::error::Unreadable;
use crate::history::zlib::{deflate, read_at};

impl Pack {
    /// Writes the pack with `shown` of each held object in its place; gives the index for it.
    ///
    /// # Errors
    /// When the pack cannot be read, or the other one not written.
    pub(in crate::history) fn rewrite(
        &self,
        held: &[Held],
        shown: impl Fn(Kind, Vec<u8>) -> Vec<u8>,
        out: &mut File,
    ) -> Result<Vec<u8>, Unreadable> {
        let mut inflater = Inflater::new();
        let mut whole: BTreeMap<u32, bool> = BTreeMap::new();
        for held in held {
            whole.insert(held.number, true);
            let mut child = self.get(held.number)?.first_child;
            while let Ok(entry) = self.get(child) {
                whole.entry(child).or_insert(false);
                child = entry.sibling;
            }
        }
        let mut out = BufWriter::with_capacity(1 << 20, out);
        let mut copied = vec![0; 12];
        read_at(&self.file, &mut copied, 0)?;
        out.write_all(&copied)?;
        let mut offset = copied.len() as u64;
        let mut moved: Vec<u64> = Vec::with_capacity(self.entries.len());
        let mut offsets = vec![0; self.entries.len()];
        let mut checksums = vec![0; self.entries.len()];
        for (number, entry) in (0_u32..).zip(&self.entries) {
            let body = entry.offset + u64::from(entry.header)..self.end(number);
            let (header, deflated) = match (whole.get(&number), entry.base) {
                (Some(holds), _) => {
                    let (kind, content) = self.object(&mut inflater, number)?;
                    let content = if *holds { shown(kind, content) } else { content };
                    (Header::write(&Form::Whole(kind), content.len() as u64), Some(deflate(&content)))
                }
                (None, Base::None(kind)) => (Header::write(&Form::Whole(kind), entry.size), None),
                // By distance, also where it was by name: the base stands before it, or keeps its name.
                (None, Base::Entry(base)) => match moved.get(base as usize) {
                    Some(base) => (Header::write(&Form::Before(offset - base), entry.size), None),
                    None => (self.header_of(number)?, None),
                },
            };
            let mut checksum = Crc::new();
            let mut length = header.len() as u64;
            checksum.update(&header);
            out.write_all(&header)?;
            if let Some(deflated) = deflated {
                checksum.update(&deflated);
                out.write_all(&deflated)?;
                length += deflated.len() as u64;
            } else {
                let mut at = body.start;
                while at < body.end {
                    let part = usize::try_from(body.end - at).map_or(WINDOW, |rest| rest.min(WINDOW));
                    copied.resize(part, 0);
                    if read_at(&self.file, &mut copied, at)? != part {
                        return Err(MALFORMED);
                    }
                    checksum.update(&copied);
                    out.write_all(&copied)?;
                    at += part as u64;
                }
                length += body.end - body.start;
            }
            let position = entry.position as usize;
            if let (Some(place), Some(sum)) = (offsets.get_mut(position), checksums.get_mut(position)) {
                (*place, *sum) = (offset, checksum.sum());
            }
            moved.push(offset);
            offset += length;
        }
        copied.resize(self.index.width(), 0);
        read_at(&self.file, &mut copied, self.length - self.index.width() as u64)?;
        out.write_all(&copied)?;
        out.flush()?;
        Ok(self.index.moved(&offsets, &checksums))
    }

    /// The header of an entry whose base stands behind it, which can only be by name.
    fn header_of(&self, number: u32) -> Result<Vec<u8>, Unreadable> {
        let entry = self.get(number)?;
        let mut bytes = vec![0; usize::from(entry.header)];
        read_at(&self.file, &mut bytes, entry.offset)?;
        Ok(bytes)
    }
}

/// Copied at a time.
const WINDOW: usize = 256 * 1024;
