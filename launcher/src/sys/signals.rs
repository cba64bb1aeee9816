//! Signals of the launcher: what it inherited, how it receives them, how it stops itself.
//!
//! The launcher has no handlers. Everything that can be caught is blocked and read from a signalfd,
//! so a signal is an event like any other. What a signal means is decided in `supervise`.

#![expect(unsafe_code, reason = "sigaction, sigprocmask and signalfd have no safe wrapper in rustix")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use libc::c_int;

/// The last signal number; bit `n - 1` of our masks is signal `n`, as in the kernel.
const LAST: c_int = 64;

/// What the caller of the launcher had arranged, for the command to find again.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InheritedSignals {
    /// Blocked at start.
    pub(crate) mask: u64,
    /// Ignored at start (`nohup`, a shell without job control, …).
    pub(crate) ignored: u64,
}

/// All catchable signals, blocked, as a descriptor to read them from.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
}

/// One signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Its number.
    pub(crate) number: c_int,
    /// `si_code`: who made it.
    code: c_int,
}

/// Who made a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The terminal driver: it went to the whole foreground group.
    Terminal,
    /// A process, or a timer: it was meant for us alone.
    Process,
    /// A change in one of our own children.
    Child,
}

/// Whom a stop is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The launcher only.
    Process,
    /// Its whole process group: the other members of the pipeline too.
    Group,
}

/// Whether the kernel let us stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// We were stopped, and something continued us.
    Continued,
    /// An orphaned process group is never stopped by its terminal: we just went on.
    Refused,
}

static IGNORED: AtomicU64 = AtomicU64::new(0);
static MASK: AtomicU64 = AtomicU64::new(0);
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Rust's runtime sets SIGPIPE to ignored and opens `/dev/null` on closed standard descriptors before
/// `main` is reached, so whoever asks in `main` asks too late. The loader calls this one earlier.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    look_once();
}

/// At the first call only: a later one would see what the runtime made of it.
fn look_once() {
    static LOOKED: AtomicBool = AtomicBool::new(false);
    if LOOKED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut ignored = 0;
    for signal in 1..=LAST {
        if disposition(signal) == Some(libc::SIG_IGN) {
            ignored |= bit(signal);
        }
    }
    IGNORED.store(ignored, Ordering::Relaxed);
    MASK.store(current_mask(), Ordering::Relaxed);
    for fd in 0..3 {
        // SAFETY: F_GETFD only asks about a number; it is fine for it to be closed.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

/// Which of 0, 1, 2 were closed when the launcher was started.
pub(crate) fn closed_at_start() -> [bool; 3] {
    look_once();
    let closed = CLOSED.load(Ordering::Relaxed);
    [0, 1, 2].map(|fd| closed & (1 << fd) != 0)
}

impl InheritedSignals {
    /// As it was before `main`.
    pub(crate) fn capture() -> Self {
        look_once();
        Self { mask: MASK.load(Ordering::Relaxed), ignored: IGNORED.load(Ordering::Relaxed) }
    }

    /// Whether the caller had this signal ignored.
    pub(crate) fn ignores(self, signal: c_int) -> bool {
        (1..=LAST).contains(&signal) && self.ignored & bit(signal) != 0
    }

    /// Gives the calling process the inherited dispositions and mask, for the last moment before exec.
    ///
    /// Only system calls: no allocation, no lock, so it may run between clone and exec.
    pub(crate) fn restore(self) {
        for signal in 1..=LAST {
            let wanted = if self.ignored & bit(signal) != 0 { libc::SIG_IGN } else { libc::SIG_DFL };
            if disposition(signal).is_some_and(|now| now != wanted) {
                set_disposition(signal, wanted);
            }
        }
        set_mask(libc::SIG_SETMASK, self.mask);
    }
}

impl Signals {
    /// Blocks everything that may be forwarded. To be called before clone and before any thread, so
    /// that no signal slips in between and every thread inherits the mask.
    pub(crate) fn block() -> io::Result<Self> {
        // With SIGCHLD ignored the kernel would reap our children before we could ask for their status.
        set_disposition(libc::SIGCHLD, libc::SIG_DFL);
        let set = to_set(forwarded());
        // SAFETY: `set` is initialised and outlives the call; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        set_mask(libc::SIG_BLOCK, forwarded());
        // SAFETY: signalfd just returned this descriptor and nobody else knows it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal that waits, if one does.
    pub(crate) fn next(&self) -> io::Result<Option<Received>> {
        // struct signalfd_siginfo: signo, errno, code, … in 128 bytes.
        let mut info = [0_u8; 128];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut info)) {
            Ok(128) => {
                let word = |at: usize| -> i32 {
                    let mut bytes = [0; 4];
                    bytes.copy_from_slice(&info[at..at + 4]);
                    i32::from_ne_bytes(bytes)
                };
                Ok(Some(Received { number: word(0), code: word(8) }))
            }
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Received {
    /// Who made it. The terminal's signals carry SI_KERNEL, and so does an alarm, which is for us alone.
    pub(crate) fn origin(self) -> Origin {
        const SI_KERNEL: c_int = 0x80;
        let of_terminal = matches!(
            self.number,
            libc::SIGINT
                | libc::SIGQUIT
                | libc::SIGTSTP
                | libc::SIGHUP
                | libc::SIGCONT
                | libc::SIGWINCH
                | libc::SIGTTIN
                | libc::SIGTTOU
        );
        if self.code == SI_KERNEL && of_terminal {
            Origin::Terminal
        } else if self.number == libc::SIGCHLD && self.code > 0 {
            Origin::Child
        } else {
            Origin::Process
        }
    }
}

/// Stops the launcher, as the signal would have done had it not been blocked, and returns when it is
/// continued. The SIGCONT that did it is taken back: the caller has been told by our return.
///
/// At the deadline the kernel sends the SIGCONT: a command that stops itself must not get round its
/// time limit by stopping us.
pub(crate) fn stop_self(signal: c_int, scope: Scope, deadline: Option<Instant>) -> Stop {
    let _alarm = deadline.and_then(WakeUp::at);
    discard(libc::SIGCONT);
    // A stop signal that waits from before would stop us a second time.
    discard(signal);
    let before = disposition(signal);
    set_disposition(signal, libc::SIG_DFL);
    set_mask(libc::SIG_UNBLOCK, bit(signal));
    let target = match scope {
        Scope::Process => std::process::id() as libc::pid_t,
        Scope::Group => 0,
    };
    // SAFETY: kill takes two numbers. The signal is open in this thread only, so it is delivered here,
    // before kill returns.
    unsafe { libc::kill(target, signal) };
    set_mask(libc::SIG_BLOCK, bit(signal));
    if let Some(before) = before {
        set_disposition(signal, before);
    }
    if discard(libc::SIGCONT) { Stop::Continued } else { Stop::Refused }
}

/// A timer of the kernel's that sends us SIGCONT; it runs on while we are stopped.
struct WakeUp(libc::timer_t);

impl WakeUp {
    fn at(deadline: Instant) -> Option<Self> {
        // SAFETY: all-zero is a valid sigevent, for it holds numbers and pointers that may be null.
        let mut event = unsafe { MaybeUninit::<libc::sigevent>::zeroed().assume_init() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGCONT;
        let mut timer = MaybeUninit::<libc::timer_t>::uninit();
        // SAFETY: `event` outlives the call, and the id is written to `timer`, both on our stack.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, timer.as_mut_ptr()) } == -1 {
            return None;
        }
        // SAFETY: timer_create succeeded and has written it.
        let timer = Self(unsafe { timer.assume_init() });
        let left = deadline.saturating_duration_since(Instant::now());
        let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let value = libc::timespec {
            tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
            // Never zero, which would mean "no alarm".
            tv_nsec: libc::c_long::from(left.subsec_nanos() as i32).max(1),
        };
        let when = libc::itimerspec { it_interval: none, it_value: value };
        // SAFETY: the timer exists until it is dropped; `when` outlives the call.
        unsafe { libc::timer_settime(timer.0, 0, &when, std::ptr::null_mut()) };
        Some(timer)
    }
}

impl Drop for WakeUp {
    fn drop(&mut self) {
        // SAFETY: made by timer_create and deleted only here.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// All that a process may send us, but for those that a fault of our own would raise: a blocked SIGSEGV
/// would hide a crash, and whoever sends one gets what he would get natively, our death. 32 and 33
/// belong to the C library.
fn forwarded() -> u64 {
    let mut mask = !(bit(32) | bit(33));
    for never in [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGSYS,
    ] {
        mask &= !bit(never);
    }
    mask
}

const fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

fn to_set(mask: u64) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the whole set behind this valid pointer.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    let mut set = unsafe { set.assume_init() };
    for signal in (1..=LAST).filter(|signal| mask & bit(*signal) != 0) {
        // SAFETY: `set` is initialised and ours; a number that is refused changes nothing.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

fn current_mask() -> u64 {
    let mut set = to_set(0);
    // SAFETY: no new set is given; the old one is written to a valid, initialised set of ours.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set) };
    (1..=LAST)
        // SAFETY: `set` is initialised and only read.
        .filter(|signal| unsafe { libc::sigismember(&set, *signal) } == 1)
        .fold(0, |mask, signal| mask | bit(signal))
}

fn set_mask(how: c_int, mask: u64) {
    let set = to_set(mask);
    // SAFETY: `set` is initialised and outlives the call; no old set is asked for.
    unsafe { libc::pthread_sigmask(how, &set, std::ptr::null_mut()) };
}

/// `None` where the signal has no disposition to ask for (those of the C library).
fn disposition(signal: c_int) -> Option<libc::sighandler_t> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given; the old one is written to `action`, which lives on our stack.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } == -1 {
        return None;
    }
    // SAFETY: all-zero is a valid sigaction, and the call has filled it.
    Some(unsafe { action.assume_init() }.sa_sigaction)
}

fn set_disposition(signal: c_int, handler: libc::sighandler_t) {
    // SAFETY: all-zero is a valid sigaction: no flags, an empty mask.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = handler;
    // SAFETY: `action` outlives the call; callers pass SIG_DFL, SIG_IGN or what disposition returned.
    unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
}

/// Takes a blocked signal that waits, and says whether there was one.
fn discard(signal: c_int) -> bool {
    let set = to_set(bit(signal));
    let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the timeout outlive the call; no siginfo is asked for.
    unsafe { libc::sigtimedwait(&set, std::ptr::null_mut(), &none) == signal }
}
