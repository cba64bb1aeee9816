//! Owns what a program file is: found in the guest's view, and read as far as it says whether a preload
//! can reach it. The bytes are outside input.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use shieldrun_policy::audit::Text;

/// A program as the guest would find it.
#[derive(Debug)]
pub(super) enum Found {
    /// There it is.
    Program(Program),
    /// It could not be found or not be executed, and so says the kernel.
    Missing,
    /// We cannot tell.
    Unsure,
}

/// A file that can be executed, by a descriptor that only names it.
#[derive(Debug)]
pub(super) struct Program {
    descriptor: OwnedFd,
    identity: Identity,
}

/// How it is started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// By the loader of our own libc.
    Dynamic,
    /// By nobody: there is no loader.
    Static,
    /// By another loader.
    OtherLoader(String),
    /// It is for another machine.
    OtherMachine,
    /// By the interpreter that its first line names.
    Script(Vec<u8>),
    /// It is nothing that we know.
    Unknown,
}

/// What was read before: a program is started often, and its file is its own.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    known: HashMap<Identity, Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    changed: (i64, i64),
}

/// More programs than this are read again.
const KNOWN: usize = 4096;

impl Found {
    /// Looks for the program at `path`, which is absolute, beneath `root`.
    pub(super) fn at(root: &OwnedFd, thread: u32, path: &[u8]) -> Self {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        // `self` is whoever looks: in the host's `/proc` we can look in its place.
        let opened = match path.strip_prefix(b"/proc/self/").or(path.strip_prefix(b"/proc/thread-self/")) {
            Some(own) => {
                let path = [format!("/proc/{thread}/").as_bytes(), own].concat();
                openat(CWD, path, flags, Mode::empty())
            }
            None => openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT),
        };
        match opened {
            Ok(descriptor) => Program::of(descriptor).map_or(Self::Missing, Self::Program),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP | Errno::NAMETOOLONG) => {
                Self::Missing
            }
            Err(_) => Self::Unsure,
        }
    }
}

impl Program {
    /// `None` for what nobody may execute.
    fn of(descriptor: OwnedFd) -> Option<Self> {
        let stat = rustix::fs::fstat(&descriptor).ok()?;
        let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let identity = Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            changed: (stat.st_ctime, stat.st_ctime_nsec.cast_signed()),
        };
        (file && stat.st_mode & 0o111 != 0).then_some(Self { descriptor, identity })
    }

    /// Its path, without links.
    pub(super) fn real_path(&self) -> Option<Text> {
        let name = rustix::fs::readlink(self.in_proc(), Vec::new()).ok()?;
        Some(Text::from_bytes(name.to_bytes()))
    }

    fn in_proc(&self) -> String {
        format!("/proc/self/fd/{}", self.descriptor.as_raw_fd())
    }
}

impl Kinds {
    /// What it is.
    pub(super) fn of(&mut self, program: &Program) -> Kind {
        if let Some(kind) = self.known.get(&program.identity) {
            return kind.clone();
        }
        // What only names a file is opened by way of its name in `/proc`: the same file, whatever became of
        // its path.
        let Ok(file) = File::open(program.in_proc()) else { return Kind::Unknown };
        let kind = read(&|into: &mut [u8], at: u64| file.read_at(into, at).unwrap_or(0));
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(program.identity, kind.clone());
        kind
    }
}

type ReadAt<'a> = &'a dyn Fn(&mut [u8], u64) -> usize;

fn read(file: ReadAt<'_>) -> Kind {
    let mut head = [0; 256];
    let got = file(&mut head, 0);
    let head = head.get(..got).unwrap_or_default();
    if let Some(line) = head.strip_prefix(b"#!") {
        return match interpreter(line) {
            Some(path) => Kind::Script(path.to_vec()),
            None => Kind::Unknown,
        };
    }
    elf(head, file).unwrap_or(Kind::Unknown)
}

fn interpreter(line: &[u8]) -> Option<&[u8]> {
    let line = line.split(|byte| *byte == b'\n').next()?;
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).find(|word| !word.is_empty())
}

/// See elf(5). Files of the other byte order or width are for another machine.
fn elf(head: &[u8], file: ReadAt<'_>) -> Option<Kind> {
    const WIDE: u8 = 2;
    const ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
    const MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    const LOADER: u32 = 3;
    /// More segments than this no linker makes.
    const SEGMENTS: u16 = 64;
    let rest = head.strip_prefix(b"\x7fELF")?;
    if rest.get(..2)? != [WIDE, ORDER] || u16_at(head, 18)? != MACHINE {
        return Some(Kind::OtherMachine);
    }
    let (table, size, count) = (u64_at(head, 32)?, u16_at(head, 54)?, u16_at(head, 56)?);
    for index in 0..count.min(SEGMENTS) {
        let mut segment = [0; 56];
        let at = table.checked_add(u64::from(size) * u64::from(index))?;
        if file(&mut segment, at) < segment.len() {
            return Some(Kind::Unknown);
        }
        if u32_at(&segment, 0)? == LOADER {
            let mut name = [0; 256];
            let got = file(&mut name, u64_at(&segment, 8)?);
            let length = usize::try_from(u64_at(&segment, 32)?).ok()?.min(got);
            let name = name.get(..length)?.split(|byte| *byte == 0).next()?;
            let name = String::from_utf8_lossy(name).into_owned();
            let last = name.rsplit('/').next().unwrap_or_default();
            return Some(if last.starts_with("ld-linux") { Kind::Dynamic } else { Kind::OtherLoader(name) });
        }
    }
    Some(Kind::Static)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(bytes: &[u8]) -> Kind {
        read(&|into: &mut [u8], at: u64| {
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            count
        })
    }

    fn executable(loader: Option<&str>) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        let machine: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
        bytes[18..20].copy_from_slice(&machine.to_ne_bytes());
        bytes[32..40].copy_from_slice(&64u64.to_ne_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_ne_bytes());
        bytes[56..58].copy_from_slice(&2u16.to_ne_bytes());
        let mut segment = [0; 56];
        segment[0] = 1;
        bytes.extend(segment);
        segment[0] = if loader.is_some() { 3 } else { 2 };
        segment[8..16].copy_from_slice(&176u64.to_ne_bytes());
        let name = loader.unwrap_or_default();
        segment[32..40].copy_from_slice(&(name.len() as u64 + 1).to_ne_bytes());
        bytes.extend(segment);
        bytes.extend(name.as_bytes());
        bytes.push(0);
        bytes
    }

    #[test]
    fn programs_are_told_by_their_headers() {
        let mut other = executable(None);
        other[18] = 40;
        let musl = "/lib/ld-musl-x86_64.so.1";
        for (bytes, kind) in [
            (executable(Some("/lib64/ld-linux-x86-64.so.2")), Kind::Dynamic),
            (executable(None), Kind::Static),
            (executable(Some(musl)), Kind::OtherLoader(musl.to_owned())),
            (other, Kind::OtherMachine),
            (b"#! /usr/bin/env  python3\nprint()".to_vec(), Kind::Script(b"/usr/bin/env".to_vec())),
            (b"#!\n".to_vec(), Kind::Unknown),
            (b"echo".to_vec(), Kind::Unknown),
            (vec![], Kind::Unknown),
        ] {
            assert_eq!(of(&bytes), kind);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..240, byte: u8) {
            let _ = of(&bytes);
            let mut changed = executable(Some("/lib64/ld-linux-x86-64.so.2"));
            if let Some(place) = changed.get_mut(at) {
                *place = byte;
            }
            let _ = of(&changed);
            changed.truncate(at);
            let _ = of(&changed);
        }
    }
}
