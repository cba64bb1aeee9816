//! Reads what a path holds, on both sides, once: its digest, whether it differs, what is found in it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::fs::{FileType, Stat, readlinkat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use shieldrun_policy::changes::{Finding, Node, NodeKind};
use shieldrun_policy::gate;
use shieldrun_policy::plan::Bytes;

use super::attributes;
use super::extents;
use super::eyes::{Eyes, Look};
use super::text::is_text;
use super::walk::file_type;
use crate::beneath::Tree;
use crate::closed::while_readable;

/// A side of a change, read.
pub(super) struct Side {
    pub(super) node: Node,
    /// All of a file that is not too large to be kept in memory, or where a link points.
    pub(super) content: Option<Vec<u8>>,
    /// What was found while it was read.
    pub(super) found: Vec<Finding>,
}

/// Larger files are read in pieces: their digest and what is found in them count, a diff is not made.
pub(super) const MOST_KEPT: u64 = 16 << 20;

/// A larger binary file is in no patch, and so not kept, unless it is one that is run.
pub(super) const MOST_BINARY: u64 = 1 << 20;

/// What is read at once.
const PIECE: usize = 128 << 10;

/// Who may not read a file of the run's own layer?
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// The layer of the run: what it closed to its owner is opened for the moment.
    Run,
    /// The user's tree: what cannot be read stays unread.
    User,
}

/// How much of a file is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// All of it.
    Always,
    /// A large binary file is no more than its size: what is there in its place is another, or nothing.
    UnlessLarge,
}

/// Reads files, one after the other.
pub(super) struct Pieces(Vec<u8>);

impl Pieces {
    pub(super) fn new() -> Self {
        // Made once: it is large enough for the allocator to fetch it from the kernel each time.
        Self(vec![0; PIECE])
    }
}

/// Reads one side. `eyes` for what the run wrote.
pub(super) fn read(
    tree: &mut Tree<'_>,
    path: &[u8],
    stat: &Stat,
    (owner, whole): (Owner, Whole),
    eyes: Option<&Eyes<'_>>,
    pieces: &mut Pieces,
) -> io::Result<Side> {
    let mut side = Side { node: plain(stat), content: None, found: Vec::new() };
    match file_type(stat) {
        FileType::RegularFile => {
            let read = |file: File| {
                side.node.attributes = attributes::digest(&attributes::read(&file)?);
                read_file(file, (path, stat.st_size), whole, &mut side, eyes, pieces)
            };
            match with_file(tree, path, stat, owner, read) {
                // A digest of nothing equals no other: whoever compares sees a change.
                Err(error) if owner == Owner::User && is_closed(&error) => {}
                read => read?,
            }
        }
        FileType::Directory => {
            // Only where the owner can open it: attributes of a closed one are not seen.
            if let Ok(directory) = tree.directory(path) {
                side.node.attributes = attributes::digest(&attributes::read(directory.as_fd())?);
            }
        }
        FileType::Symlink => {
            let spot = tree.spot(path)?;
            let target = readlinkat(spot.directory, spot.name.as_slice(), Vec::new())?.into_bytes();
            if let Some(eyes) = eyes {
                let mut look = eyes.look();
                look.feed(&target);
                side.found = look.finish();
            }
            side.content = Some(target.clone());
            side.node.kind = NodeKind::Symlink(Bytes(target));
        }
        _ => {}
    }
    Ok(side)
}

/// The digest alone, to find what moved.
pub(crate) fn digest(tree: &mut Tree<'_>, path: &[u8], stat: &Stat, owner: Owner) -> io::Result<[u8; 32]> {
    with_file(tree, path, stat, owner, digest_of)
}

/// The digest of an open file, from where it stands.
pub(crate) fn digest_of(mut file: File) -> io::Result<[u8; 32]> {
    let size = file.metadata()?.len();
    if size > extents::PLAIN {
        return extents::digest(&mut file, size, |_| ());
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// What a thing is, in one word.
pub(crate) fn stat_kind(stat: &Stat) -> &'static str {
    match file_type(stat) {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        _ => "special",
    }
}

/// What can be told without reading.
fn plain(stat: &Stat) -> Node {
    let kind = match file_type(stat) {
        FileType::RegularFile => NodeKind::Binary,
        FileType::Directory => NodeKind::Directory,
        FileType::Symlink => NodeKind::Symlink(Bytes::default()),
        FileType::Fifo => NodeKind::Fifo,
        _ => NodeKind::Special,
    };
    let size = if kind.is_file() { u64::try_from(stat.st_size).unwrap_or_default() } else { 0 };
    // The permissions of a link are those of nothing.
    let mode = if matches!(kind, NodeKind::Symlink(_)) { 0o777 } else { stat.st_mode & 0o7777 };
    let modified = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default());
    Node { kind, mode, size, modified, digest: None, attributes: None }
}

fn read_file(
    mut file: File,
    (path, size): (&[u8], i64),
    whole: Whole,
    side: &mut Side,
    eyes: Option<&Eyes<'_>>,
    Pieces(buffer): &mut Pieces,
) -> io::Result<()> {
    let size = u64::try_from(size).unwrap_or_default();
    let mut hash = Sha256::new();
    let mut look = eyes.map(Eyes::look);
    if size > extents::PLAIN {
        if whole == Whole::UnlessLarge {
            return Ok(());
        }
        side.node.digest = Some(extents::digest(&mut file, size, |block| {
            if let Some(look) = &mut look {
                look.feed(block);
            }
        })?);
        side.found = look.map(Look::finish).unwrap_or_default();
        return Ok(());
    }
    let mut kept = (size <= MOST_KEPT).then(Vec::new);
    let mut total = 0u64;
    loop {
        let chunk = match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if total == 0 && is_text(chunk) {
            side.node.kind = NodeKind::Text;
        } else if total == 0 && size > MOST_BINARY {
            if whole == Whole::UnlessLarge {
                return Ok(());
            }
            if !chunk.starts_with(b"#!") && !gate::is_run(path) {
                kept = None;
            }
        }
        total += chunk.len() as u64;
        hash.update(chunk);
        if let Some(look) = &mut look {
            look.feed(chunk);
        }
        // It may grow while it is read, if it is the user's.
        if total > MOST_KEPT {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            kept.reserve_exact(usize::try_from(size).unwrap_or_default().saturating_sub(kept.len()));
            kept.extend_from_slice(chunk);
        }
    }
    if total == 0 {
        side.node.kind = NodeKind::Text;
    }
    side.node.size = total;
    side.node.digest = Some(hash.finalize().into());
    side.content = kept;
    side.found = look.map(Look::finish).unwrap_or_default();
    Ok(())
}

/// Reads a file; one that the run closed to its owner is opened for as long, as the run is over.
pub(super) fn with_file<T>(
    tree: &mut Tree<'_>,
    path: &[u8],
    stat: &Stat,
    owner: Owner,
    read: impl FnOnce(File) -> io::Result<T>,
) -> io::Result<T> {
    let spot = tree.spot(path)?;
    match owner {
        Owner::User => read(spot.file()?),
        Owner::Run => while_readable(&spot, stat, || read(spot.file()?)),
    }
}

fn is_closed(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::ACCESS)
}
