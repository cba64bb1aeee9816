//! Keeps the launcher alive when the guest cuts the ring's file short.
//!
//! A page of a shared mapping that lies behind the end of its file answers with SIGBUS, and an ordinary file on
//! tmpfs cannot be sealed against that. So while a ring is mapped, a handler puts zeros in the place of the whole
//! mapping: the reader goes on, finds nothing, and can tell. Any other SIGBUS goes where it went before.

use std::io;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A mapping that is watched, until [`Watch::end`].
#[derive(Debug)]
pub(super) struct Watch(&'static Range);

#[derive(Debug)]
struct Range {
    /// 0: not in use.
    start: AtomicUsize,
    length: AtomicUsize,
    severed: AtomicBool,
}

/// A launcher has one ring; tests have some.
const RANGES: usize = 64;
static WATCHED: [Range; RANGES] = [const {
    Range { start: AtomicUsize::new(0), length: AtomicUsize::new(0), severed: AtomicBool::new(false) }
}; RANGES];
/// Held while a range is taken, so that the handler is installed before the first one.
static TAKING: Mutex<bool> = Mutex::new(false);
/// What SIGBUS did before: the handler's address and whether it takes three arguments.
static BEFORE: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static BEFORE_TAKES_INFO: AtomicBool = AtomicBool::new(false);

impl Watch {
    pub(super) fn new(start: usize, length: usize) -> io::Result<Watch> {
        let mut installed = TAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !*installed {
            install()?;
            *installed = true;
        }
        let range = WATCHED
            .iter()
            .find(|range| range.start.load(Ordering::Relaxed) == 0)
            .ok_or_else(|| io::Error::other("too many rings in one process"))?;
        range.length.store(length, Ordering::Relaxed);
        range.severed.store(false, Ordering::Relaxed);
        range.start.store(start, Ordering::Release);
        Ok(Watch(range))
    }

    pub(super) fn is_severed(&self) -> bool {
        self.0.severed.load(Ordering::Relaxed)
    }

    /// To be called before the range is unmapped.
    pub(super) fn end(&self) {
        self.0.start.store(0, Ordering::Release);
    }
}

fn install() -> io::Result<()> {
    // SAFETY: an all-zero `sigaction` is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(_, _, _) as usize;
    // On the alternate stack where there is one, like the handler of the standard library that it may call.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    let mut before = action;
    // SAFETY: both pointers are to live values; the handler does only what is async-signal-safe.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    BEFORE_TAKES_INFO.store(before.sa_flags & libc::SA_SIGINFO != 0, Ordering::Relaxed);
    BEFORE.store(before.sa_sigaction, Ordering::Relaxed);
    Ok(())
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a SA_SIGINFO handler a valid `info`.
    let info_ref = unsafe { &*info };
    // SAFETY: for SIGBUS the address is filled in, or zero when a process sent the signal.
    let address = unsafe { info_ref.si_addr() } as usize;
    let ours = WATCHED.iter().find(|range| {
        let start = range.start.load(Ordering::Acquire);
        start != 0 && address.wrapping_sub(start) < range.length.load(Ordering::Relaxed)
    });
    if info_ref.si_code > 0
        && let Some(range) = ours
        && replace(range)
    {
        range.severed.store(true, Ordering::Relaxed);
        return;
    }
    pass_on(signal, info, context);
}

/// Puts zeros where the file was.
fn replace(range: &Range) -> bool {
    let start = range.start.load(Ordering::Acquire);
    // SAFETY: the range is a whole mapping of ours, which its owner reads by atomics only, and for which zeros are
    // as good as anything. The call touches errno only when it fails, and then the process ends.
    let mapped = unsafe {
        libc::mmap(
            ptr::without_provenance_mut(start),
            range.length.load(Ordering::Relaxed),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    mapped != libc::MAP_FAILED
}

fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = BEFORE.load(Ordering::Relaxed);
    if before == libc::SIG_DFL || before == libc::SIG_IGN {
        // On return the access happens again and ends the process, as it would have without us.
        // SAFETY: sets a default action; no memory is involved.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    } else if BEFORE_TAKES_INFO.load(Ordering::Relaxed) {
        // SAFETY: the kernel gave us this address as that of a handler with this signature.
        let handler = unsafe {
            std::mem::transmute::<usize, extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void)>(
                before,
            )
        };
        handler(signal, info, context);
    } else {
        // SAFETY: as above, without SA_SIGINFO.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(before) };
        handler(signal);
    }
}
