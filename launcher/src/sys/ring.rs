//! The launcher's end of the ring: it creates the file, takes records out, reads the counters, sleeps on it.
//!
//! The guest can write every byte of the file, and cut it short. So: the reader's own state (where it is, what it
//! counted) is outside the mapping; a record is copied once and only the copy is looked at ([`claim`]); what the
//! header says is compared with what can be, and put right when it cannot; a call does a bounded amount of work;
//! a file cut short is replaced by zeros under the reader ([`fault`]). All that comes out is claims.
//!
//! It does not decide what a claim is worth, nor map pids (see `pidns`).

mod claim;
mod fault;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use shieldrun_abi::ring::{COUNTERS, Key, MAGIC, SLOTS, Shared, lap};

#[allow(unused_imports, reason = "used by audit")]
pub(crate) use claim::{Address, Claim, Repeat, RepeatKind};

/// How long a position that was taken and not published may hold up the records after it.
const PATIENCE: Duration = Duration::from_millis(250);
/// How many empty wake-ups in a row are believed before the reader slows down.
const IDLE_WAKES: u32 = 16;
/// When more counters than this are taken, those that stand still are freed.
const CROWDED: usize = COUNTERS / 2;
const LENGTH: usize = size_of::<Shared>();

/// The reader's end. There is one; a thread can own it.
#[derive(Debug)]
pub(crate) struct Ring {
    mapping: Arc<Mapping>,
    /// The position that is read next.
    tail: u64,
    /// A position that holds us up: since when, and up to where all positions are at least that old.
    stuck: Option<(Instant, u64)>,
    /// Records that were taken and never published.
    lost: u64,
    /// Times the ring said what cannot be, and records that mean nothing.
    forged: u64,
    /// The counters that were reported, by their place: key and count.
    reported: HashMap<usize, (u64, u64)>,
    /// The wake word before the last drain.
    seen: u32,
    /// Drains in a row that found nothing.
    idle: u32,
    /// The file, until its room is allocated.
    unallocated: Option<File>,
}

/// Ends the reader's sleep, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<Mapping>);

#[derive(Debug)]
struct Mapping {
    address: NonNull<Shared>,
    watch: fault::Watch,
}

// SAFETY: the address is that of a shared mapping, which no thread owns; all access to it is by atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above: `Shared` holds nothing but atomics.
unsafe impl Sync for Mapping {}

impl Ring {
    /// Makes a ring of an empty file, on a file system with room for it.
    ///
    /// The room is allocated by the first drain, which goes on beside the command: a file system that fills up
    /// later must not kill the processes that write into the ring, and allocating takes longer than all else here.
    pub(crate) fn create(file: OwnedFd) -> io::Result<Ring> {
        let file = File::from(file);
        if file.metadata()?.len() != 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the ring's file is not empty"));
        }
        check_room(&file)?;
        file.set_len(LENGTH as u64)?;
        let mapping = Mapping::new(&file)?;
        let header = &mapping.shared().header;
        header.length.store(LENGTH as u64, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok(Ring {
            mapping: Arc::new(mapping),
            tail: 0,
            stuck: None,
            lost: 0,
            forged: 0,
            reported: HashMap::new(),
            seen: 0,
            idle: 0,
            unallocated: Some(file),
        })
    }

    /// Lets processes be short about their start: the kernel tells of it. To be said before the first one starts.
    pub(crate) fn starts_are_told(&self) {
        self.mapping.shared().header.starts_are_told.store(1, Ordering::Release);
    }

    /// Takes out what is there, in order; at most one lap, so that a flood does not keep the caller here. Says whether
    /// everything that was published before is out.
    pub(crate) fn drain(&mut self, sink: &mut dyn FnMut(Claim)) -> bool {
        if let Some(file) = self.unallocated.take() {
            allocate(&file);
        }
        let mapping = Arc::clone(&self.mapping);
        let shared = mapping.shared();
        self.seen = shared.header.wake.0.load(Ordering::Acquire);
        self.idle = self.idle.saturating_add(1);
        for _ in 0..SLOTS {
            let Some(slot) = shared.slot(self.tail) else { return true };
            let free = lap(self.tail);
            let next = free.wrapping_add(SLOTS as u64);
            let sequence = slot.sequence.load(Ordering::Acquire);
            if sequence == free.wrapping_add(1) {
                let record = slot.load();
                slot.sequence.store(next, Ordering::Release);
                self.tail = self.tail.wrapping_add(1);
                self.idle = 0;
                match Claim::decode(&record) {
                    Some(claim) => sink(claim),
                    None => self.forged = self.forged.saturating_add(1),
                }
                continue;
            }
            let head = shared.header.head.0.load(Ordering::Relaxed);
            let taken = head.wrapping_sub(self.tail);
            if taken == 0 && sequence == free {
                self.stuck = None;
                return true;
            }
            if taken > SLOTS as u64 || sequence != free {
                // Neither can come from a writer that keeps to the protocol: begin anew from here.
                self.forged = self.forged.saturating_add(1);
                slot.sequence.store(free, Ordering::Release);
                shared.header.head.0.store(self.tail, Ordering::Relaxed);
                self.stuck = None;
                return false;
            }
            if !self.has_waited_enough(head) {
                return false;
            }
            // If it is published at this very moment the exchange fails, and the next round reads it.
            if slot.sequence.compare_exchange(free, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.tail = self.tail.wrapping_add(1);
                self.lost = self.lost.saturating_add(1);
            }
        }
        false
    }

    /// Whether the position at the tail may be given up.
    fn has_waited_enough(&mut self, head: u64) -> bool {
        match self.stuck {
            Some((since, until)) if self.tail < until => since.elapsed() >= PATIENCE,
            _ => {
                self.stuck = Some((Instant::now(), head));
                false
            }
        }
    }

    /// Reports the counters that grew since the last call.
    pub(crate) fn repeats(&mut self, sink: &mut dyn FnMut(Repeat)) {
        let counters = &self.mapping.shared().counters;
        let mut taken = 0;
        let mut idle = Vec::new();
        for (place, counter) in counters.iter().enumerate() {
            let key = counter.key.load(Ordering::Relaxed);
            if key == 0 {
                continue;
            }
            let (reported_key, reported) = self.reported.entry(place).or_default();
            taken += 1;
            if *reported_key != key {
                (*reported_key, *reported) = (key, 0);
            }
            let count = counter.count.load(Ordering::Relaxed);
            let grown = count.saturating_sub(*reported);
            *reported = count;
            if grown == 0 {
                idle.push(counter);
            } else if let Some(key) = Key::unpack(key)
                && let Some(kind) = RepeatKind::of(key)
            {
                sink(Repeat { pid: key.pid, kind, index: key.index, count: grown });
            }
        }
        if taken > CROWDED {
            // Processes that ended leave their counters behind. One that touches the same thing again will say so
            // in the ring again; a touch at this very moment is counted for whoever takes the counter next.
            for counter in idle {
                counter.count.store(0, Ordering::Relaxed);
                counter.key.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Records that found no room or were never finished. The writers' part of it is a claim.
    pub(crate) fn dropped(&self) -> u64 {
        let header = &self.mapping.shared().header;
        let told = header.dropped.iter().map(|counter| counter.load(Ordering::Relaxed));
        told.fold(self.lost, u64::saturating_add)
    }

    /// How often the ring held what no shim writes, a file cut short among it (after which nothing more comes).
    /// Not zero means that something inside tampers with it.
    pub(crate) fn forged(&self) -> u64 {
        self.forged.saturating_add(u64::from(self.mapping.watch.is_severed()))
    }

    /// Sleeps until woken or the time is up. Returns at once if something is there.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<()> {
        let shared = self.mapping.shared();
        let ready = shared
            .slot(self.tail)
            .is_some_and(|slot| slot.sequence.load(Ordering::Acquire) == lap(self.tail).wrapping_add(1));
        if ready {
            return Ok(());
        }
        if self.idle > IDLE_WAKES && shared.header.wake.0.load(Ordering::Relaxed) != self.seen {
            // The guest may change the word as fast as it likes; it shall not keep a core of ours busy.
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
        }
        sleep_on(&shared.header.wake.0, self.seen, timeout)
    }

    /// For the thread that does not own the ring.
    pub(crate) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.mapping))
    }
}

impl Waker {
    /// Ends the present or the next [`Ring::wait`].
    pub(crate) fn wake(&self) {
        let word = &self.0.shared().header.wake.0;
        word.fetch_add(1, Ordering::Release);
        // SAFETY: the word lies in a mapping that `self` keeps; FUTEX_WAKE reads no memory of ours.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }
}

impl Mapping {
    fn new(file: &File) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address of the kernel's choice; nothing of ours is there.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                LENGTH,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address.cast::<Shared>())
            .ok_or_else(|| io::Error::other("the kernel mapped the ring at address 0"))?;
        match fault::Watch::new(address.as_ptr() as usize, LENGTH) {
            Ok(watch) => Ok(Mapping { address, watch }),
            Err(error) => {
                // SAFETY: exactly the mapping made above, to which no reference was made yet.
                unsafe { libc::munmap(address.as_ptr().cast(), LENGTH) };
                Err(error)
            }
        }
    }

    fn shared(&self) -> &Shared {
        // SAFETY: mapped for as long as `self` lives, page-aligned, and every bit pattern is a valid `Shared`.
        unsafe { self.address.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.watch.end();
        // SAFETY: exactly the mapping of `new`; this was the last reference to it.
        unsafe { libc::munmap(self.address.as_ptr().cast(), LENGTH) };
    }
}

fn check_room(file: &File) -> io::Result<()> {
    let room = rustix::fs::fstatvfs(file)?;
    // A file system that counts no blocks has no limit.
    let limited = room.f_blocks > 0;
    if limited && room.f_bavail.saturating_mul(room.f_frsize) < LENGTH as u64 {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Where this cannot be done ahead, the pages come when they are touched.
fn allocate(file: &File) {
    let _ = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, LENGTH as u64);
}

fn sleep_on(word: &AtomicU32, expected: u32, timeout: Duration) -> io::Result<()> {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
    };
    // SAFETY: both pointers outlive the call. Not FUTEX_PRIVATE: the other side is in other processes.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const time) };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ETIMEDOUT | libc::EINTR)) => Ok(()),
        error => Err(error),
    }
}
