//! Owns the repository's history: a real value that lies in its objects is to be seen neither by git nor by who
//! unpacks them himself.
//!
//! Nothing is mounted over the store as a whole, so new objects go where git puts them. Only the files that hold a
//! real value are covered, one by one: a loose object by one with other content, a pack by another pack with the
//! same objects under the same names, made once and kept. Git does not recompute the name of a blob or a tree that
//! it reads, so `log`, `diff`, `blame`, `checkout`, `stash`, `rebase` and a local clone work; `fsck` complains. It
//! does so for a commit or a tag that is named: one with a real value in its message reads as corrupt.
//! The directory of packs is then read-only, so that no repack makes the other content last.
//!
//! A pack that was clean is not read again; neither is a loose object.

mod error;
mod loose;
mod pack;
mod store;
mod zlib;

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

use shieldrun_policy::plan::{Bytes, Cover, Mask};
use shieldrun_policy::schema::History;
use shieldrun_secrets::{Redacted, Redactor, Scanner, SecretId};

use crate::cache::{Cache, Known, ReadAs, Tally};
use crate::inventory::path::as_path;
use crate::parallel;
use error::Unreadable;
use pack::{Kind, Moved, Pack};
use store::Content;
use zlib::Inflater;

/// `rule.name` of these masks.
pub(crate) const RULE: &str = "secrets.history";
/// Fewer loose objects than this are read sooner than a thread is started.
const FEW: usize = 256;
/// Rewritten packs that are kept, two files each.
const KEPT: usize = 32;

/// A larger index of several packs is not shown.
const LARGEST_INDEX: u64 = 64 << 20;

/// What is asked for.
pub(crate) struct Request<'a> {
    /// What must not be seen.
    pub redactor: &'a Redactor<'a>,
    /// What is to become of an object that holds it.
    pub mode: History,
    /// The object directories of the repositories.
    pub stores: &'a [Vec<u8>],
    /// What was clean before.
    pub known: &'a Known,
    /// The values that are looked for, as the cache knows them.
    pub tags: &'a [[u8; 16]],
}

/// What is to be covered.
#[derive(Default)]
pub(crate) struct Findings {
    pub covers: Vec<Covered>,
    /// What was clean.
    pub tally: Tally,
    /// Whether a pack was written that shows this run's synthetic values: later runs must show the same.
    pub kept_values: bool,
}

/// One path of a store.
pub(crate) struct Covered {
    pub path: Vec<u8>,
    pub cover: Cover,
    pub reason: String,
    /// Whose value, where one was found.
    pub secret: Option<SecretId>,
}

impl Covered {
    /// As the plan has it.
    pub(crate) fn mask(self) -> Mask {
        Mask { at: Bytes(self.path), cover: self.cover, rule: RULE.to_owned(), reason: self.reason }
    }
}

/// Looks at all objects of all stores.
pub(crate) fn look(request: &Request<'_>, cache: &mut Option<&mut Cache>) -> Findings {
    let mut findings = Findings::default();
    if request.mode == History::Allow {
        return findings;
    }
    for store in store::with_alternates(request.stores) {
        let before = findings.covers.len();
        let files = store::files(&store);
        loose_objects(request, &files, &mut findings);
        let mut moved = Vec::new();
        for (path, _) in files.iter().filter(|(_, content)| *content == Content::Pack) {
            moved.extend(packed_objects(request, path, cache, &mut findings));
        }
        if !moved.is_empty() {
            lock_packs(&store, &files, &moved, &mut findings);
        }
        let held = findings.covers.get(before..).and_then(|new| new.iter().find_map(|cover| cover.secret));
        if request.mode == History::Block && held.is_some() {
            findings.covers.truncate(before);
            findings.covers.push(Covered {
                path: store,
                cover: Cover::BlockedDirectory,
                reason: "the history holds the value of a secret".to_owned(),
                secret: held,
            });
        }
    }
    findings
}

/// A rewritten pack's neighbours: an index of several packs has other places now, and no new pack may be made of
/// what is shown.
fn lock_packs(store: &[u8], files: &[(Vec<u8>, Content)], moved: &[Moved], findings: &mut Findings) {
    let directory = [store, b"/pack"].concat();
    // First, so that the covers of the packs lie on top of it.
    let cover = Cover::Host { source: Bytes(directory.clone()) };
    let reason = "packs are not made anew where one shows a synthetic value".to_owned();
    findings.covers.insert(0, Covered { path: directory, cover, reason, secret: None });
    for (path, _) in files.iter().filter(|(_, content)| *content == Content::MultiPackIndex) {
        let reason = "an index of packs of which one shows a synthetic value";
        let other = open(path).and_then(|(mut file, stat)| {
            let mut bytes = Vec::new();
            file.by_ref().take(LARGEST_INDEX).read_to_end(&mut bytes).ok()?;
            Some(synthetic(pack::moved(bytes, moved)?, &stat))
        });
        findings.covers.push(match other {
            Some(cover) => Covered { path: path.clone(), cover, reason: reason.to_owned(), secret: None },
            None => blocked(path, reason),
        });
    }
}

fn synthetic(content: Vec<u8>, stat: &Stat) -> Cover {
    let modified = (stat.st_mtime, stat.st_mtime_nsec.cast_signed());
    Cover::Synthetic { content, mode: stat.st_mode & 0o7777, modified }
}

/// What is seen of one file.
enum Sight {
    Nothing,
    Clean(Option<u64>),
    Covered(Covered),
}

fn loose_objects(request: &Request<'_>, files: &[(Vec<u8>, Content)], findings: &mut Findings) {
    let singly =
        |content: &Content| matches!(content, Content::Loose | Content::HalfWritten | Content::Other);
    let files: Vec<_> = files.iter().filter(|(_, content)| singly(content)).collect();
    if files.is_empty() {
        return;
    }
    let next = AtomicUsize::new(0);
    let seen = parallel::on_all(files.len() >= FEW, || {
        let mut inflater = Inflater::new();
        let (mut covers, mut tally) = (Vec::new(), Tally::default());
        while let Some((path, content)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            match one_file(request, path, content, &mut inflater, &mut tally) {
                Sight::Nothing => {}
                Sight::Clean(number) => tally.clean.extend(number),
                Sight::Covered(cover) => covers.push(cover),
            }
        }
        (covers, tally)
    });
    let before = findings.covers.len();
    for (covers, tally) in seen {
        findings.covers.extend(covers);
        findings.tally.add(tally);
    }
    // The same order each time, whichever thread was first.
    if let Some(new) = findings.covers.get_mut(before..) {
        new.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
}

fn one_file(
    request: &Request<'_>,
    path: &[u8],
    content: &Content,
    inflater: &mut Inflater,
    tally: &mut Tally,
) -> Sight {
    if *content == Content::HalfWritten {
        return Sight::Covered(blocked(path, "half-written objects"));
    }
    let Some((file, stat)) = open(path) else { return unopened(path) };
    let read_as = if *content == Content::Loose { ReadAs::Objects } else { ReadAs::File };
    let number = request.known.number(&stat, read_as);
    if number.is_some_and(|number| request.known.has(number)) {
        return Sight::Clean(number);
    }
    tally.files += 1;
    tally.bytes += u64::try_from(stat.st_size).unwrap_or(0);
    let scanner = request.redactor.scanner();
    let found = match content {
        Content::Loose => loose::scan(&file, scanner, inflater),
        _ => raw(&file, scanner),
    };
    let secret = match found {
        Ok(None) => return Sight::Clean(number),
        Ok(Some(secret)) => secret,
        Err(error) => return Sight::Covered(blocked(path, &error.to_string())),
    };
    let shown = match content {
        Content::Loose => {
            loose::rewrite(&file, inflater, |kind, object| shown(request.redactor, kind, object))
        }
        _ => Err(Unreadable::Malformed("the value of a secret is in it")),
    };
    Sight::Covered(match shown {
        Ok(content) => Covered {
            path: path.to_vec(),
            cover: synthetic(content, &stat),
            reason: "an object of the history holds the value of a secret".to_owned(),
            secret: Some(secret),
        },
        Err(error) => Covered { secret: Some(secret), ..blocked(path, &error.to_string()) },
    })
}

/// The index before and after, where a pack is covered by another one.
fn packed_objects(
    request: &Request<'_>,
    path: &[u8],
    cache: &mut Option<&mut Cache>,
    findings: &mut Findings,
) -> Option<Moved> {
    let Some((file, stat)) = open(path) else {
        if let Sight::Covered(cover) = unopened(path) {
            findings.covers.push(cover);
        }
        return None;
    };
    let number = request.known.number(&stat, ReadAs::Objects);
    if let Some(number) = number.filter(|number| request.known.has(*number)) {
        findings.tally.clean.push(number);
        return None;
    }
    let index_path = [path.strip_suffix(b"pack").unwrap_or(path), b"idx"].concat();
    let names = cache.as_ref().map(|cache| {
        let identity = request.known.identity(&stat, ReadAs::Objects).to_le_bytes();
        let digest = cache.mac(&[b"pack", &identity, &request.tags.concat()]);
        let digest = data_encoding::HEXLOWER.encode(digest.get(..16).unwrap_or_default());
        (format!("pack-{digest}.pack"), format!("pack-{digest}.idx"))
    });
    if request.mode == History::Mask
        && let (Some(cache), Some((pack, index))) = (cache.as_deref(), &names)
        && let (Some(pack), Some(index)) = (cache.kept(pack), cache.kept(index))
    {
        let moved = Moved::between(&index_path, &index);
        findings.covers.extend(covers_of(path, pack, &index_path, index, None));
        return moved;
    }
    findings.tally.files += 1;
    findings.tally.bytes += u64::try_from(stat.st_size).unwrap_or(0);
    let scanned = open(&index_path)
        .ok_or(Unreadable::Malformed("a pack without an index"))
        .and_then(|(index, _)| Pack::open(file, &index))
        .and_then(|pack| Ok((pack.scan(request.redactor.scanner())?, pack)));
    let (held, pack) = match scanned {
        Ok(scanned) => scanned,
        Err(error) => {
            findings.covers.push(blocked(path, &error.to_string()));
            return None;
        }
    };
    let Some(secret) = held.first().map(|held| held.secret) else {
        findings.tally.clean.extend(number);
        return None;
    };
    let unmasked = |reason: &str| Covered { secret: Some(secret), ..blocked(path, reason) };
    let (Some(cache), Some((pack_name, index_name)), History::Mask) = (cache, names, request.mode) else {
        findings.covers.push(unmasked("a pack that holds the value of a secret"));
        return None;
    };
    let redactor = request.redactor;
    let mut index = Vec::new();
    let written = cache.put(&pack_name, |out| {
        let rewritten = pack.rewrite(&held, |kind, object| shown(redactor, kind, object), out);
        index = rewritten.map_err(std::io::Error::other)?;
        Ok(())
    });
    let written = written.and_then(|()| cache.put(&index_name, |out| std::io::Write::write_all(out, &index)));
    match (written, cache.kept(&pack_name), cache.kept(&index_name)) {
        (Ok(()), Some(pack), Some(index)) => {
            cache.prune("pack-", 2 * KEPT);
            findings.kept_values = true;
            let moved = Moved::between(&index_path, &index);
            findings.covers.extend(covers_of(path, pack, &index_path, index, Some(secret)));
            moved
        }
        _ => {
            findings
                .covers
                .push(unmasked("a pack that holds the value of a secret, and no other can be kept"));
            None
        }
    }
}

fn covers_of(
    pack: &[u8],
    other_pack: Vec<u8>,
    index: &[u8],
    other_index: Vec<u8>,
    secret: Option<SecretId>,
) -> [Covered; 2] {
    [(pack, other_pack), (index, other_index)].map(|(path, source)| Covered {
        path: path.to_vec(),
        cover: Cover::Host { source: Bytes(source) },
        reason: "a pack of the history holds the value of a secret".to_owned(),
        secret,
    })
}

/// An object as it is shown. What has no synthetic is painted over: other objects hang on this one, and it must
/// stay what it is.
fn shown(redactor: &Redactor<'_>, _: Kind, mut object: Vec<u8>) -> Vec<u8> {
    match redactor.redact(&object) {
        Redacted::Shown { bytes, .. } => bytes,
        Redacted::Untouched => object,
        Redacted::Unshowable(_) => {
            redactor.paint_over(&mut object);
            object
        }
    }
}

fn raw(file: &File, scanner: &Scanner) -> Result<Option<SecretId>, Unreadable> {
    let mut state = scanner.stream();
    let mut buffer = vec![0; 128 * 1024];
    let mut at = 0;
    loop {
        let count = zlib::read_at(file, &mut buffer, at)?;
        if count == 0 {
            return Ok(None);
        }
        if let Some(hit) = state.feed(scanner, buffer.get(..count).unwrap_or_default()) {
            return Ok(Some(hit.id));
        }
        at += count as u64;
    }
}

/// A regular file, and what it is.
fn open(path: &[u8]) -> Option<(File, Stat)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, as_path(path), flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| (File::from(file), stat))
}

/// What cannot be opened can still be opened up by its owner.
fn unopened(path: &[u8]) -> Sight {
    match rustix::fs::lstat(as_path(path)) {
        Ok(stat)
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && stat.st_uid == rustix::process::geteuid().as_raw() =>
        {
            Sight::Covered(blocked(path, "cannot be read"))
        }
        _ => Sight::Nothing,
    }
}

fn blocked(path: &[u8], reason: &str) -> Covered {
    Covered { path: path.to_vec(), cover: Cover::BlockedFile, reason: reason.to_owned(), secret: None }
}
