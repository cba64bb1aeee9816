//! The table and the ring of this process.
//!
//! Set up once, by the constructor or by the first hook that runs before it. Whoever comes while that goes on sees
//! a shim without table and ring, and forwards.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, Ordering};

use shieldrun_abi::ring::{self, Shared};
use shieldrun_abi::table::Table;
use shieldrun_abi::{RING_FILE, TABLE_FILE};

use crate::kernel::Descriptor;
use crate::preload::{self, Library};
use crate::real::List;

/// What the hooks work with.
pub(crate) struct State {
    /// What to put back into `LD_PRELOAD`.
    pub(crate) library: Library,
    /// Names and paths; `None`: none are known.
    pub(crate) table: Option<Table<'static>>,
    /// Where claims go; `None`: nowhere.
    pub(crate) ring: Option<&'static Shared>,
}

struct Cell(UnsafeCell<State>);

// SAFETY: written by the one thread that moved `PHASE` from NEW to BUSY, read only after it moved it to READY.
unsafe impl Sync for Cell {}

static STATE: Cell = Cell(UnsafeCell::new(State { library: Library::UNKNOWN, table: None, ring: None }));
static PHASE: AtomicU8 = AtomicU8::new(NEW);
const NEW: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;

/// The state, or `None` while it is being set up.
#[inline]
pub(crate) fn get() -> Option<&'static State> {
    if PHASE.load(Ordering::Acquire) == READY {
        // SAFETY: READY, so nobody writes any more.
        return Some(unsafe { &*STATE.0.get() });
    }
    // SAFETY: libc's own `environ`, or null before it has one.
    unsafe { set_up(preload::environment()) }
}

/// Sets it up, from the environment that the process began with.
///
/// # Safety
/// `environment` is null or a list as for execve.
#[cold]
pub(crate) unsafe fn set_up(environment: List) -> Option<&'static State> {
    if PHASE.compare_exchange(NEW, BUSY, Ordering::Acquire, Ordering::Acquire).is_ok() {
        // SAFETY: as this function's own duty.
        let library = unsafe { Library::find(environment) };
        let state = State { table: map_table(&library), ring: map_ring(&library), library };
        // SAFETY: BUSY, and we made it so: nobody else reads or writes.
        unsafe { STATE.0.get().write(state) };
        PHASE.store(READY, Ordering::Release);
    }
    // SAFETY: as in `get`.
    (PHASE.load(Ordering::Acquire) == READY).then(|| unsafe { &*STATE.0.get() })
}

fn map_table(library: &Library) -> Option<Table<'static>> {
    let (address, length) = map(library, TABLE_FILE, libc::O_RDONLY, libc::PROT_READ)?;
    // SAFETY: mapped just now, that long, for good; the launcher finished the file before the guest began.
    Table::parse(unsafe { core::slice::from_raw_parts(address, length) })
}

fn map_ring(library: &Library) -> Option<&'static Shared> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let (address, length) = map(library, RING_FILE, libc::O_RDWR, protection)?;
    if length < size_of::<Shared>() {
        return None;
    }
    // SAFETY: mapped just now, for good, page-aligned and long enough; every bit pattern is a valid `Shared`.
    let shared = unsafe { &*address.cast::<Shared>() };
    (shared.header.magic.load(Ordering::Acquire) == ring::MAGIC).then_some(shared)
}

/// Maps a file beside the library. A mapping that turns out to be of no use stays: it costs an address range.
fn map(library: &Library, name: &str, flags: i32, protection: i32) -> Option<(*mut u8, usize)> {
    let path = library.sibling(name)?;
    // SAFETY: `sibling` ends the path with a NUL.
    let file = unsafe { Descriptor::open(libc::AT_FDCWD, path.as_ptr(), flags | libc::O_NOFOLLOW) }.ok()?;
    let length = file.length().ok().filter(|length| *length > 0)?;
    Some((file.map(length, protection).ok()?, length))
}
