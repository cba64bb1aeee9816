//! Our entry in `LD_PRELOAD`: finding it, and putting it back into an environment that lost it.
//!
//! The environment is walked raw: a program may define a `getenv` of its own.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use shieldrun_abi::{GUEST_DIRECTORY, SHIM_FILE};

use crate::kernel::Descriptor;
use crate::real::List;
use crate::{state, text};

const VARIABLE: &[u8] = b"LD_PRELOAD=";
/// The longest path that is believed to be ours.
const PATH_ROOM: usize = 512;
/// The longest value of `LD_PRELOAD` that we add to.
const VALUE_ROOM: usize = 4096;
/// Variables that fit a rebuilt environment: the usual case, and the largest that we take from a stack.
const FEW: usize = 512;
const MANY: usize = 16_384;

/// The path by which we were loaded.
pub(crate) struct Library {
    path: [u8; PATH_ROOM],
    /// 0: unknown, and nothing is put back.
    length: usize,
}

/// A path beside the library's, with a NUL.
pub(crate) type Sibling = [u8; PATH_ROOM + 32];

unsafe extern "C" {
    static mut environ: List;
}

/// The list that `environ` is lent. Not on a stack: another thread may be reading it when it is taken back.
struct Lent {
    list: UnsafeCell<[*const libc::c_char; FEW + 1]>,
    entry: UnsafeCell<[u8; VALUE_ROOM]>,
}

// SAFETY: only who holds `LENDING` writes; readers see whole words of a list that is always terminated.
unsafe impl Sync for Lent {}

static LENT: Lent =
    Lent { list: UnsafeCell::new([core::ptr::null(); FEW + 1]), entry: UnsafeCell::new([0; VALUE_ROOM]) };
static LENDING: AtomicBool = AtomicBool::new(false);

/// What libc takes for the environment at this moment; null before it has one.
pub(crate) fn environment() -> List {
    // SAFETY: a plain word. Another thread that changes it races with this process's own use of it as well.
    unsafe { environ }
}

impl Library {
    pub(crate) const UNKNOWN: Library = Library { path: [0; PATH_ROOM], length: 0 };

    /// Looks in the environment, then where the launcher puts us by default.
    ///
    /// # Safety
    /// `environment` is null or a list as for execve.
    pub(crate) unsafe fn find(environment: List) -> Library {
        // SAFETY: the caller's list.
        let value = unsafe { scan(environment) }.value;
        let mut entries = value.unwrap_or_default().split(|byte| matches!(byte, b':' | b' '));
        if let Some(entry) = entries.rfind(|entry| file_name(entry) == SHIM_FILE.as_bytes()) {
            return Library::named(entry);
        }
        let mut fallback = Library::named(GUEST_DIRECTORY.as_bytes());
        fallback.append(b"/");
        fallback.append(SHIM_FILE.as_bytes());
        let there = fallback.sibling(SHIM_FILE).is_some_and(|path| {
            // SAFETY: `sibling` ends the path with a NUL.
            unsafe { Descriptor::open(libc::AT_FDCWD, path.as_ptr(), libc::O_PATH) }.is_ok()
        });
        if there { fallback } else { Library::UNKNOWN }
    }

    fn named(path: &[u8]) -> Library {
        let mut library = Library::UNKNOWN;
        library.append(path);
        library
    }

    fn append(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        match self.path.get_mut(self.length..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length = end;
            }
            None => *self = Library::UNKNOWN,
        }
    }

    fn path(&self) -> Option<&[u8]> {
        self.path.get(..self.length).filter(|path| !path.is_empty())
    }

    /// The path of another file in our directory.
    pub(crate) fn sibling(&self, name: &str) -> Option<Sibling> {
        let path = self.path()?;
        let directory = path.strip_suffix(SHIM_FILE.as_bytes())?;
        let mut sibling = [0; PATH_ROOM + 32];
        let (head, tail) = sibling.split_at_mut_checked(directory.len())?;
        head.copy_from_slice(directory);
        // One byte less than there is: the last one stays a NUL.
        let room = tail.len().checked_sub(1)?;
        tail.get_mut(..room)?.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(sibling)
    }
}

/// Calls `exec` with this environment and, if it lacks our entry, with one that has it.
///
/// The copy is on the stack, since after vfork there is no place of our own, and lasts for the call. An
/// environment that is too large for that goes on unchanged: an exec must not fail because of us.
///
/// # Safety
/// `environment` is null or a list as for execve.
pub(crate) unsafe fn keep<R>(environment: List, exec: impl FnOnce(List) -> R) -> R {
    let Some(ours) = state::get().and_then(|state| state.library.path()) else { return exec(environment) };
    // SAFETY: the caller's list.
    let scan = unsafe { scan(environment) };
    let value = scan.value.unwrap_or_default();
    if value.split(|byte| matches!(byte, b':' | b' ')).any(|entry| entry == ours) {
        return exec(environment);
    }
    let mut variable = [0; VALUE_ROOM];
    let separator: &[u8] = if value.is_empty() { b"" } else { b":" };
    if join(&mut variable, [VARIABLE, ours, separator, value]).is_none() {
        return exec(environment);
    }
    if scan.count < FEW {
        // SAFETY: the caller's list, which `scan` has just measured.
        return unsafe { rebuilt::<{ FEW + 1 }, R>(environment, &scan, &variable, exec) };
    }
    if scan.count < MANY {
        // SAFETY: the caller's list, which `scan` has just measured.
        return unsafe { rebuilt::<{ MANY + 1 }, R>(environment, &scan, &variable, exec) };
    }
    exec(environment)
}

/// Calls `start` with our entry in `environ`, if it is not there: for what starts programs with the environment
/// that libc knows. A program that dropped our entry gets its own list back after the call, unless somebody
/// changed it meanwhile. Two at a time: the second goes without.
pub(crate) fn keep_environ<R>(start: impl FnOnce() -> R) -> R {
    let before = environment();
    // SAFETY: libc's own list.
    if unsafe { keep(before, |kept| kept == before) } || LENDING.swap(true, Ordering::Acquire) {
        return start();
    }
    // SAFETY: libc's own list.
    let lent = unsafe { keep(before, lend) };
    if let Some(lent) = lent {
        // SAFETY: a plain word; see `environment`.
        unsafe { environ = lent };
    }
    let done = start();
    if lent == Some(environment()) {
        // SAFETY: as above.
        unsafe { environ = before };
    }
    LENDING.store(false, Ordering::Release);
    done
}

/// Copies a rebuilt list to where it may stay.
fn lend(rebuilt: List) -> Option<List> {
    // SAFETY: `LENDING` is held, so nobody else writes.
    let list = unsafe { &mut *LENT.list.get() };
    // SAFETY: as above.
    let entry = unsafe { &mut *LENT.entry.get() };
    let (last, slots) = list.split_last_mut()?;
    *last = core::ptr::null();
    for (at, slot) in slots.iter_mut().enumerate() {
        // SAFETY: the list goes on at least to its null, which was not met yet.
        let from = unsafe { rebuilt.add(at) };
        // SAFETY: as above.
        *slot = unsafe { from.read() };
        if slot.is_null() {
            return Some(LENT.list.get().cast());
        }
        // SAFETY: an entry of the list is a C string.
        let variable = unsafe { text::bytes(*slot, VALUE_ROOM) };
        if let Some(variable) = variable.filter(|variable| variable.starts_with(VARIABLE)) {
            // Ours was built on a stack that goes away.
            entry.get_mut(..variable.len())?.copy_from_slice(variable);
            *entry.get_mut(variable.len())? = 0;
            *slot = entry.as_ptr().cast();
        }
    }
    None
}

/// Not inlined, so that only a call that needs the room takes it from the stack.
#[inline(never)]
unsafe fn rebuilt<const ROOM: usize, R>(
    environment: List,
    scan: &Scan<'_>,
    variable: &[u8; VALUE_ROOM],
    exec: impl FnOnce(List) -> R,
) -> R {
    let mut list = [MaybeUninit::<*const libc::c_char>::uninit(); ROOM];
    let place = scan.last.unwrap_or(scan.count);
    let count = scan.count.max(place.saturating_add(1));
    for (at, slot) in list.iter_mut().enumerate().take(count) {
        let entry = if at == place {
            variable.as_ptr().cast()
        } else {
            // SAFETY: below the count, so within the list.
            let entry = unsafe { environment.add(at) };
            // SAFETY: as above.
            unsafe { entry.read() }
        };
        slot.write(entry);
    }
    match list.get_mut(count) {
        Some(end) => end.write(core::ptr::null()),
        None => return exec(environment),
    };
    exec(list.as_ptr().cast())
}

/// An environment, looked through once.
struct Scan<'a> {
    count: usize,
    /// Where the last `LD_PRELOAD` is: the one that the loader goes by.
    last: Option<usize>,
    value: Option<&'a [u8]>,
}

unsafe fn scan<'a>(environment: List) -> Scan<'a> {
    let mut scan = Scan { count: 0, last: None, value: None };
    if environment.is_null() {
        return scan;
    }
    loop {
        // SAFETY: the list goes on at least to its null, which was not met yet.
        let entry = unsafe { environment.add(scan.count) };
        // SAFETY: as above.
        let entry = unsafe { entry.read() };
        if entry.is_null() {
            return scan;
        }
        // SAFETY: an entry of the list is a C string.
        if unsafe { text::bytes(entry, VARIABLE.len()) } == Some(VARIABLE) {
            // SAFETY: it goes on behind the name, at least with its NUL.
            let value = unsafe { entry.add(VARIABLE.len()) };
            scan.last = Some(scan.count);
            // SAFETY: as above.
            scan.value = unsafe { text::bytes(value, VALUE_ROOM) };
        }
        scan.count = scan.count.saturating_add(1);
    }
}

/// Joins the parts and a NUL, if they fit.
fn join(room: &mut [u8], parts: [&[u8]; 4]) -> Option<()> {
    let mut at = 0_usize;
    for part in parts {
        let end = at.checked_add(part.len())?;
        room.get_mut(at..end)?.copy_from_slice(part);
        at = end;
    }
    *room.get_mut(at)? = 0;
    Some(())
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}
