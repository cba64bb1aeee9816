//! Owns a pack: which of its objects hold a real value, and the same pack with other objects in their place.
//!
//! Every object is unpacked once, from the whole ones down to the deltas that hang on them, in parallel. Of a
//! delta only what it brings is looked at, as its base was.

mod entry;
mod index;
mod rewrite;
mod scan;
mod several;

use std::fs::File;

use super::error::Unreadable;
use super::zlib::{Inflater, read_at};
pub(super) use entry::Kind;
use entry::{Form, Header};
use index::Index;
pub(super) use scan::Held;
pub(super) use several::{Moved, moved};

/// A pack, its index and how its entries hang together.
pub(super) struct Pack {
    file: File,
    index: Index,
    length: u64,
    /// In the order in which they lie in the pack.
    entries: Vec<Entry>,
    /// The entry of each position of the index.
    by_position: Vec<u32>,
}

/// One object's place.
struct Entry {
    offset: u64,
    /// In the index.
    position: u32,
    /// Of the bytes that are deflated.
    size: u64,
    /// Of the header.
    header: u8,
    base: Base,
    /// The first of the entries that hang on this one, and the next one that hangs on the same.
    first_child: u32,
    sibling: u32,
}

/// What an entry is a change of.
#[derive(Clone, Copy)]
enum Base {
    None(Kind),
    Entry(u32),
}

/// No entry.
const NONE: u32 = u32::MAX;
const MALFORMED: Unreadable = Unreadable::Malformed("a pack of an unknown form");
/// Headers are read so many bytes at a time.
const WINDOW: usize = 1 << 20;

impl Pack {
    /// Opens a pack and its index.
    ///
    /// # Errors
    /// When it is of an unknown form.
    pub(super) fn open(file: File, index: &File) -> Result<Self, Unreadable> {
        let index = Index::read(index)?;
        let length = file.metadata()?.len();
        let count = u32::try_from(index.count()).ok().filter(|count| *count < NONE).ok_or(MALFORMED)?;
        let mut start = [0; 12];
        read_at(&file, &mut start, 0)?;
        let versions = [*b"PACK\0\0\0\x02", *b"PACK\0\0\0\x03"];
        if !versions.iter().any(|version| start.starts_with(version))
            || !start.ends_with(&count.to_be_bytes())
        {
            return Err(MALFORMED);
        }
        let mut order: Vec<u32> = (0..count).collect();
        let offset = |position: u32| index.offsets().get(position as usize).copied().unwrap_or(u64::MAX);
        order.sort_unstable_by_key(|position| offset(*position));
        let mut by_position = vec![NONE; index.count()];
        for (number, position) in (0..).zip(&order) {
            if let Some(slot) = by_position.get_mut(*position as usize) {
                *slot = number;
            }
        }
        let mut pack = Self { file, length, entries: Vec::with_capacity(order.len()), by_position, index };
        let mut window = Window { start: 0, bytes: Vec::new() };
        for position in order {
            let entry = pack.entry(&mut window, position)?;
            pack.entries.push(entry);
        }
        for number in 0..count {
            pack.hang(number)?;
        }
        Ok(pack)
    }

    fn entry(&self, window: &mut Window, position: u32) -> Result<Entry, Unreadable> {
        let offset = *self.index.offsets().get(position as usize).ok_or(MALFORMED)?;
        if offset >= self.length {
            return Err(MALFORMED);
        }
        let header = Header::parse(window.at(&self.file, offset)?, self.index.width())?;
        let base = match header.form {
            Form::Whole(kind) => Base::None(kind),
            Form::Before(distance) => {
                let before = offset.checked_sub(distance).ok_or(MALFORMED)?;
                let found = self.entries.binary_search_by_key(&before, |entry| entry.offset);
                Base::Entry(u32::try_from(found.map_err(|_| MALFORMED)?).map_err(|_| MALFORMED)?)
            }
            Form::Named(name) => {
                let position = self.index.position(&name).ok_or(MALFORMED)?;
                Base::Entry(*self.by_position.get(position).ok_or(MALFORMED)?)
            }
        };
        let length = u8::try_from(header.length).map_err(|_| MALFORMED)?;
        let size = header.size;
        Ok(Entry { offset, position, size, header: length, base, first_child: NONE, sibling: NONE })
    }

    fn hang(&mut self, number: u32) -> Result<(), Unreadable> {
        let Base::Entry(base) = self.get(number)?.base else { return Ok(()) };
        let first = self.get(base)?.first_child;
        self.entries.get_mut(number as usize).ok_or(MALFORMED)?.sibling = first;
        self.entries.get_mut(base as usize).ok_or(MALFORMED)?.first_child = number;
        Ok(())
    }

    fn get(&self, number: u32) -> Result<&Entry, Unreadable> {
        self.entries.get(number as usize).ok_or(MALFORMED)
    }

    /// Where an entry's bytes end.
    fn end(&self, number: u32) -> u64 {
        let trailer = self.length.saturating_sub(self.index.width() as u64);
        self.entries.get(number as usize + 1).map_or(trailer, |next| next.offset)
    }

    /// What is deflated in an entry.
    fn inflated(&self, inflater: &mut Inflater, number: u32) -> Result<Vec<u8>, Unreadable> {
        let entry = self.get(number)?;
        let size = usize::try_from(entry.size).map_err(|_| Unreadable::TooLarge)?;
        inflater.inflate(&self.file, entry.offset + u64::from(entry.header)..self.end(number), size)
    }

    /// An object, through all deltas on the way.
    fn object(&self, inflater: &mut Inflater, number: u32) -> Result<(Kind, Vec<u8>), Unreadable> {
        let mut chain = vec![number];
        let kind = loop {
            match self.get(*chain.last().ok_or(MALFORMED)?)?.base {
                Base::None(kind) => break kind,
                // A circle, which no pack has.
                Base::Entry(_) if chain.len() > self.entries.len() => return Err(MALFORMED),
                Base::Entry(base) => chain.push(base),
            }
        };
        let mut content = self.inflated(inflater, chain.pop().ok_or(MALFORMED)?)?;
        while let Some(number) = chain.pop() {
            let delta = self.inflated(inflater, number)?;
            content = entry::apply(&content, &delta, 0, super::zlib::LARGEST)?.0;
        }
        Ok((kind, content))
    }
}

/// A part of the pack, held while headers are read from it.
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes from `offset`: enough for a header, or up to the end of the file.
    fn at(&mut self, file: &File, offset: u64) -> Result<&[u8], Unreadable> {
        let within = offset.checked_sub(self.start).and_then(|within| usize::try_from(within).ok());
        let held = within.filter(|within| within + entry::LONGEST <= self.bytes.len());
        let at = match held {
            Some(at) => at,
            None => {
                self.bytes.resize(WINDOW, 0);
                let count = read_at(file, &mut self.bytes, offset)?;
                self.bytes.truncate(count);
                self.start = offset;
                0
            }
        };
        Ok(self.bytes.get(at..).unwrap_or_default())
    }
}
