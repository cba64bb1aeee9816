//! Builds the guest table: the read-only file that tells the shim which names are secret and which paths are masked.
//!
//! It carries names and paths, never a value. The layout is `shieldrun_abi::table`; what the indices mean is the
//! caller's. Paths must be absolute and as the guest sees them; several spellings of a place may share an index.

use std::collections::BTreeMap;

use shieldrun_abi::{hash, table};

pub(crate) use shieldrun_abi::table::Treatment;

/// What will be in the table.
#[derive(Debug, Default)]
pub(crate) struct GuestTable {
    variables: BTreeMap<Vec<u8>, (u32, u32)>,
    places: BTreeMap<Vec<u8>, (u32, u32)>,
    /// Flags of every place.
    everywhere: u32,
}

/// Whether a masked path is a file, or a directory with everything beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The path alone.
    File,
    /// The path and everything beneath.
    Tree,
}

impl GuestTable {
    /// Says that each place is masked by a mount as well.
    pub(crate) fn walled(mut self) -> Self {
        self.everywhere = table::WALLED;
        self
    }

    /// Adds a secret variable. A name that no `getenv` can ask for, or is longer than
    /// [`table::NAME_MAX`], is left out: claims about it are lost, its value is synthetic all the same.
    pub(crate) fn variable(&mut self, name: &[u8], index: u32) {
        if !name.is_empty() && name.len() <= table::NAME_MAX && !name.contains(&b'=') {
            self.variables.insert(name.to_vec(), (index, 0));
        }
    }

    /// Adds a masked path. Where a path comes twice, the last one holds.
    pub(crate) fn place(&mut self, path: &[u8], index: u32, treatment: Treatment, extent: Extent) {
        let path = match path {
            [head @ .., b'/'] if !head.is_empty() => head,
            whole => whole,
        };
        let mut flags = self.everywhere;
        if treatment == Treatment::Synthetic {
            flags |= table::SYNTHETIC;
        }
        if extent == Extent::Tree {
            flags |= table::DIRECTORY;
        }
        if path.starts_with(b"/") && path.len() > 1 {
            self.places.insert(path.to_vec(), (index, flags));
        }
    }

    /// The bytes of the file.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut variables_filter = [0; hash::FILTER_BYTES];
        for name in self.variables.keys() {
            set(&mut variables_filter, hash::variable_bit_of(name));
        }
        let mut places_filter = [0; hash::FILTER_BYTES];
        for path in self.places.keys() {
            let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            set(&mut places_filter, hash::component_bit_of(last));
        }
        let variables = spread(&self.variables);
        let places = spread(&self.places);

        let places_at = table::TABLES + variables.len() * table::ENTRY;
        let mut strings_at = places_at + places.len() * table::ENTRY;
        let mut entries = Vec::new();
        let mut strings = Vec::new();
        for entry in variables.iter().chain(&places) {
            let Some((hash, name, value, flags)) = entry else {
                entries.extend([0; table::ENTRY]);
                continue;
            };
            for word in [*hash, narrow(strings_at), narrow(name.len()), *value, *flags] {
                entries.extend(word.to_ne_bytes());
            }
            strings_at += name.len();
            strings.extend_from_slice(name);
        }

        let mut bytes = table::MAGIC.to_ne_bytes().to_vec();
        for word in [strings_at, table::TABLES, variables.len(), places_at, places.len(), 0] {
            bytes.extend(narrow(word).to_ne_bytes());
        }
        bytes.extend(variables_filter);
        bytes.extend(places_filter);
        bytes.extend(entries);
        bytes.extend(strings);
        bytes
    }
}

type Spread<'a> = Vec<Option<(u32, &'a [u8], u32, u32)>>;

/// Lays the names out so that each is within [`table::PROBES`] of where its hash puts it.
fn spread(names: &BTreeMap<Vec<u8>, (u32, u32)>) -> Spread<'_> {
    let mut size = if names.is_empty() { 0 } else { (names.len() * 2).next_power_of_two() };
    loop {
        if let Some(done) = try_spread(names, size) {
            return done;
        }
        size *= 2;
    }
}

fn try_spread(names: &BTreeMap<Vec<u8>, (u32, u32)>, size: usize) -> Option<Spread<'_>> {
    let mut entries = vec![None; size];
    for (name, (value, flags)) in names {
        let hash = hash::name(name);
        let free = (0..table::PROBES.min(size))
            .map(|probe| (hash as usize).wrapping_add(probe) % size)
            .find(|at| entries.get(*at).is_some_and(Option::is_none));
        match free.and_then(|at| entries.get_mut(at)) {
            Some(entry) => *entry = Some((hash, name.as_slice(), *value, *flags)),
            // More than 64 equal hashes cannot be helped by a larger table; claims about the rest are lost.
            None if size > names.len() * 64 => {}
            None => return None,
        }
    }
    Some(entries)
}

fn set(filter: &mut [u8; hash::FILTER_BYTES], bit: usize) {
    if let Some(byte) = filter.get_mut(bit / 8) {
        *byte |= 1 << (bit % 8);
    }
}

/// A table is far below 4 GiB: it holds names that were read from an environment and paths that were walked.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shieldrun_abi::table::Table;

    fn sample() -> Vec<u8> {
        let mut table = GuestTable::default();
        table.variable(b"GITHUB_TOKEN", 4);
        table.variable(b"A", 5);
        table.variable(b"", 6);
        table.variable(b"with=sign", 7);
        table.place(b"/home/u/.aws/", 1, Treatment::Block, Extent::Tree);
        table.place(b"/home/u/project/.env", 2, Treatment::Synthetic, Extent::File);
        table.place(b"/", 3, Treatment::Block, Extent::Tree);
        table.place(b"relative", 3, Treatment::Block, Extent::Tree);
        table.into_bytes()
    }

    #[test]
    fn what_went_in_is_found() {
        let bytes = sample();
        let table = Table::parse(&bytes).expect("well formed");
        assert_eq!(table.variable(b"GITHUB_TOKEN"), Some(4));
        assert_eq!(table.variable(b"A"), Some(5));
        assert!(table.may_hold_variable(*b"GITH") && table.may_hold_variable(*b"A\0\0\0"));
        let aws = table.covering(b"/home/u/.aws").expect("masked");
        assert_eq!((aws.index, aws.treatment, aws.directory), (1, Treatment::Block, true));
        assert_eq!(table.covering(b"/home/u/.aws/sso/cache"), Some(aws));
        let env = table.covering(b"/home/u/project/.env").expect("masked");
        assert_eq!((env.index, env.treatment, env.directory), (2, Treatment::Synthetic, false));
        assert!(table.may_hold_component(hash::component_bit_of(b".aws")));
    }

    #[test]
    fn what_did_not_is_not() {
        let bytes = sample();
        let table = Table::parse(&bytes).expect("well formed");
        for name in [&b""[..], b"B", b"GITHUB_TOKE", b"GITHUB_TOKEN2", b"with=sign"] {
            assert_eq!(table.variable(name), None);
        }
        for path in [&b""[..], b"/", b"/home", b"/home/u/.awsome", b"/home/u/project/.env/x", b"relative"] {
            assert_eq!(table.covering(path), None, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn ten_thousand_of_each_are_all_found() {
        let mut built = GuestTable::default();
        for index in 0..10_000 {
            built.variable(format!("SECRET_{index}").as_bytes(), index);
            built.place(format!("/w/{index}/.env").as_bytes(), index, Treatment::Block, Extent::File);
        }
        let bytes = built.into_bytes();
        let table = Table::parse(&bytes).expect("well formed");
        for index in 0..10_000 {
            assert_eq!(table.variable(format!("SECRET_{index}").as_bytes()), Some(index));
            let place = table.covering(format!("/w/{index}/.env").as_bytes()).expect("masked");
            assert_eq!(place.index, index);
        }
        assert!(Table::parse(&GuestTable::default().into_bytes()).is_some());
    }

    #[test]
    fn a_table_with_any_byte_changed_never_panics() {
        let whole = sample();
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                if let Some(table) = Table::parse(&bytes) {
                    let _ = (table.variable(b"GITHUB_TOKEN"), table.variable(b"A"), table.variable(b"none"));
                    let _ = (table.covering(b"/home/u/.aws/x"), table.covering(b"/home/u/project/.env"));
                }
            }
        }
    }
}
