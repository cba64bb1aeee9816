//! A small file at stdin: a copy of our own in its place, and its position given back at the end.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, SeekFrom, fcntl_add_seals, fcntl_getfl, fstat, memfd_create,
};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

/// A file up to this size is copied for the command, which can then seek in it as it could outside.
const COPY_LIMIT: u64 = 16 << 20;

/// A stdin that the command has whole. `head` and `sed q` seek back what they read too much, so a pipe
/// would not do: who comes after us would miss it.
#[derive(Debug)]
pub(crate) struct FileCopy {
    /// The file outside.
    original: OwnedFd,
    /// The same open file as the command's, so that its position is the command's.
    shared: OwnedFd,
    start: u64,
}

impl AsFd for FileCopy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.as_fd()
    }
}

impl FileCopy {
    /// Moves the outer file to where the command left its copy.
    pub(crate) fn give_back(&self) -> Result<(), Errno> {
        let place = rustix::fs::tell(&self.shared)?;
        rustix::fs::seek(&self.original, SeekFrom::Start(place)).map(|_| ())
    }

    /// What the command has read, if it read on from where it was started.
    pub(crate) fn read(&self) -> Vec<u8> {
        let end = rustix::fs::tell(&self.shared).unwrap_or(self.start);
        let length = usize::try_from(end.saturating_sub(self.start).min(COPY_LIMIT)).unwrap_or(0);
        let mut bytes = vec![0; length];
        let read = rustix::io::pread(&self.shared, &mut bytes, self.start).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }

    /// Only of a file that is open for reading alone, as `<` opens it; `None` leaves it to a pipe.
    pub(super) fn of(stdin: BorrowedFd<'_>) -> Option<Self> {
        let size = u64::try_from(fstat(stdin).ok()?.st_size).ok()?;
        let reads_only = fcntl_getfl(stdin).ok()? & OFlags::ACCMODE == OFlags::RDONLY;
        if size == 0 || size > COPY_LIMIT || !reads_only {
            return None;
        }
        let start = rustix::fs::tell(stdin).ok()?;
        let copy = memfd_create("stdin", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).ok()?;
        let mut place = 0;
        while place < size {
            let left = usize::try_from(size - place).ok()?;
            // Shorter by now: what is there counts. It moves `place`, not the file's own position.
            if rustix::fs::sendfile(&copy, stdin, Some(&mut place), left).ok()? == 0 {
                break;
            }
        }
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&copy, seals).ok()?;
        // Opened once more, because the first one may write and `<` may not.
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let shared = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        rustix::fs::seek(&shared, SeekFrom::Start(start)).ok()?;
        Some(Self { original: fcntl_dupfd_cloexec(stdin, 3).ok()?, shared, start })
    }
}
