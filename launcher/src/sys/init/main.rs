//! Owns `init`: the first process inside. It forks the command, reaps, passes signals on, and ends
//! with the command; in a pid namespace everything else inside then ends with it.
//!
//! A program of its own, freestanding and static, so that exec gives it a clean address space: it is
//! started with the synthetic environment, and no byte of the launcher's memory comes along. It takes
//! the number of its control descriptor as `argv[1]` and the command as `argv[2..]`; see [`control`].
//!
//! It does not decide anything: what it says of the command's end is an observation of the kernel's
//! `wait4`, and it is not dumpable, so nothing inside can put words in its mouth.
#![no_std]
#![no_main]
#![allow(unsafe_code)]

#[path = "../control.rs"]
#[allow(dead_code)] // some words are only the launcher's
mod control;
mod execute;
mod syscall;

use control::{Message, go, tag};
use syscall::{call, exit, nr};

const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGKILL: i32 = 9;
const EAGAIN: isize = -11;
const EINTR: isize = -4;

type Strings = *const *const u8;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(125)
}

/// `core` is compiled to unwind and names this; with `panic=abort` it is never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// The entry: `stack` is what the kernel left: argc, argv…, NULL, envp…, NULL.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel puts argc at the initial stack pointer.
    let argc = unsafe { *stack };
    // SAFETY: argv follows argc.
    let argv = unsafe { stack.add(1) }.cast::<*const u8>();
    // SAFETY: envp follows argv and its NULL.
    let envp = unsafe { argv.add(argc + 1) };
    if argc < 3 {
        exit(125);
    }
    // SAFETY: argc >= 3, so argv[1] is a NUL-terminated string of the kernel's.
    let number = unsafe { c_bytes(*argv.add(1)) };
    // SAFETY: argc >= 3, so argv[2..] is a NULL-terminated list with one entry at least.
    let command = unsafe { argv.add(2) };
    run(decimal(number), command, envp)
}

fn decimal(digits: &[u8]) -> i32 {
    digits.iter().fold(0, |number: i32, &digit| {
        number.wrapping_mul(10).wrapping_add(i32::from(digit.wrapping_sub(b'0')))
    })
}

fn run(control: i32, command: Strings, envp: Strings) -> ! {
    const PR_SET_PDEATHSIG: usize = 1;
    const PR_SET_DUMPABLE: usize = 4;
    const PR_SET_CHILD_SUBREAPER: usize = 36;
    // Nothing inside may trace or read init, and init may not outlive the launcher.
    plain(nr::PRCTL, [PR_SET_DUMPABLE, 0, 0]);
    plain(nr::PRCTL, [PR_SET_PDEATHSIG, SIGKILL as usize, 0]);
    const F_SETFD: usize = 2;
    plain(nr::FCNTL, [control as usize, F_SETFD, 1]);
    let control = Control(control);

    let Some(Message { tag: tag::GO, value: flags }) = control.receive() else { exit(125) };
    let subreaper = flags & go::SUBREAPER != 0;
    if subreaper {
        plain(nr::PRCTL, [PR_SET_CHILD_SUBREAPER, 1, 0]);
    }
    let terminal = if flags & go::TERMINAL != 0 { open_terminal() } else { -1 };

    // An ignored SIGCHLD comes through exec, and then nothing could be waited for.
    let ignored = set_child_signal(SIG_DFL) == SIG_IGN;
    let inherited = block_signals();
    let signals = signal_descriptor();
    let child = fork();
    if child == 0 {
        let terminal = if flags & go::BACKGROUND != 0 { -1 } else { terminal };
        for number in 0..3 {
            if flags & (go::CLOSED << number) != 0 {
                plain(nr::CLOSE, [number, 0, 0]);
            }
        }
        if ignored {
            set_child_signal(SIG_IGN);
        }
        become_command(control, command, envp, terminal, inherited);
    }
    if child < 0 {
        control.say(tag::EXEC_FAILED, -child as i32);
        exit(125);
    }
    // The streams end with the command and what came from it, not with us.
    for number in 0..3 {
        plain(nr::CLOSE, [number, 0, 0]);
    }
    // Both sides do it, so that neither order of running loses.
    plain(nr::SETPGID, [child as usize, child as usize, 0]);
    control.say(tag::STARTED, child as i32);
    Init { control, child: child as i32, terminal, signals, subreaper }.serve()
}

struct Init {
    control: Control,
    child: i32,
    terminal: i32,
    signals: i32,
    subreaper: bool,
}

#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

impl Init {
    fn serve(&self) -> ! {
        const POLLIN: i16 = 1;
        loop {
            let mut polled = [
                PollFd { fd: self.control.0, events: POLLIN, revents: 0 },
                PollFd { fd: self.signals, events: POLLIN, revents: 0 },
            ];
            // SAFETY: ppoll reads and writes two `PollFd` that live on this stack.
            unsafe { call(nr::PPOLL, [polled.as_mut_ptr() as usize, 2, 0, 0, 8, 0]) };
            if polled[1].revents != 0 {
                self.drain_signals();
                self.reap();
            }
            if polled[0].revents != 0 {
                match self.control.receive() {
                    Some(message) => self.obey(message),
                    None => self.end(125),
                }
            }
        }
    }

    fn obey(&self, message: Message) {
        match message.tag {
            tag::SIGNAL_PROCESS => kill(self.child, message.value),
            tag::SIGNAL_GROUP => kill(-self.child, message.value),
            tag::RESUME => {
                let own = plain(nr::GETPID, [0, 0, 0]) as i32;
                let background = message.value == control::RESUME_BACKGROUND;
                foreground(self.terminal, if background { own } else { self.child });
                kill(-self.child, SIGCONT);
            }
            _ => {}
        }
    }

    fn drain_signals(&self) {
        let mut record = [0u8; 128];
        loop {
            // SAFETY: reads at most 128 bytes into a buffer of 128.
            let got = unsafe {
                call(nr::READ, [self.signals as usize, record.as_mut_ptr() as usize, 128, 0, 0, 0])
            };
            if got <= 0 {
                return;
            }
        }
    }

    fn reap(&self) {
        const WNOHANG: usize = 1;
        const WUNTRACED: usize = 2;
        const WCONTINUED: usize = 8;
        loop {
            let mut status = 0i32;
            let options = WNOHANG | WUNTRACED | WCONTINUED;
            // SAFETY: wait4 writes one int to `status`; the usage pointer is null.
            let pid = unsafe { call(nr::WAIT4, [usize::MAX, &raw mut status as usize, options, 0, 0, 0]) };
            if pid <= 0 {
                return;
            }
            if pid != self.child as isize {
                continue;
            }
            let low = status & 0x7f;
            if status == 0xffff {
                self.control.say(tag::CONTINUED, 0);
            } else if status & 0xff == 0x7f {
                self.control.say(tag::STOPPED, (status >> 8) & 0xff);
            } else if low == 0 {
                self.control.say(tag::EXITED, (status >> 8) & 0xff);
                self.finish((status >> 8) & 0xff);
            } else {
                self.control.say(tag::KILLED, low);
                self.finish(128 + low);
            }
        }
    }

    /// The command ended: ends the rest, and says when nothing is left.
    fn finish(&self, code: i32) -> ! {
        if self.subreaper {
            self.end_adopted();
        } else {
            kill(-1, SIGKILL);
            let mut status = 0i32;
            // SAFETY: wait4 writes one int to `status`. All that lives in the namespace becomes our child.
            while unsafe { call(nr::WAIT4, [usize::MAX, &raw mut status as usize, 0, 0, 0, 0]) } > 0 {}
        }
        if self.terminal >= 0 {
            plain(nr::CLOSE, [self.terminal as usize, 0, 0]);
        }
        self.control.say(tag::ALONE, 0);
        exit(code)
    }

    /// In a pid namespace the kernel ends the rest. Without one, whatever was orphaned became our
    /// child: end our children until there are none.
    fn end(&self, code: i32) -> ! {
        if self.subreaper {
            self.end_adopted();
        }
        exit(code)
    }

    fn end_adopted(&self) {
        kill(-self.child, SIGKILL);
        // Bounded: a child in uninterruptible sleep must not keep us.
        for _ in 0..10_000 {
            if !kill_children() {
                break;
            }
        }
    }
}

/// Kills the direct children and reaps what ended; false when there was none left.
fn kill_children() -> bool {
    let mut text = [0u8; 4096];
    let name = c"/proc/thread-self/children";
    const O_CLOEXEC: usize = 0o2_000_000;
    // SAFETY: openat reads a NUL-terminated constant.
    let file = unsafe { call(nr::OPENAT, [-100isize as usize, name.as_ptr() as usize, O_CLOEXEC, 0, 0, 0]) };
    if file < 0 {
        return false;
    }
    // SAFETY: reads at most 4096 bytes into a buffer of 4096.
    let got = unsafe { call(nr::READ, [file as usize, text.as_mut_ptr() as usize, text.len(), 0, 0, 0]) };
    plain(nr::CLOSE, [file as usize, 0, 0]);
    let (mut pid, mut any) = (0i32, false);
    for &byte in text.iter().take(got.max(0) as usize) {
        if byte.is_ascii_digit() {
            pid = pid.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
        } else if pid > 0 {
            kill(pid, SIGKILL);
            any = true;
            pid = 0;
        }
    }
    let mut status = 0i32;
    // SAFETY: wait4 writes one int to `status`; waits for one child when there was one.
    unsafe { call(nr::WAIT4, [usize::MAX, &raw mut status as usize, usize::from(!any), 0, 0, 0]) };
    any
}

/// In the forked child: own process group, the terminal, the inherited signal mask, exec.
fn become_command(control: Control, command: Strings, envp: Strings, terminal: i32, inherited: u64) -> ! {
    plain(nr::SETPGID, [0, 0, 0]);
    let own = plain(nr::GETPID, [0, 0, 0]);
    foreground(terminal, own as i32);
    set_signal_mask(inherited);
    let errno = execute::execute(command, envp);
    control.say(tag::EXEC_FAILED, errno);
    exit(127)
}

/// # Safety
/// `string` is NUL-terminated and lives as long as the process.
unsafe fn c_bytes(string: *const u8) -> &'static [u8] {
    let mut length = 0;
    // SAFETY: reads up to the NUL that the caller promises.
    while unsafe { string.add(length).read_volatile() } != 0 {
        length += 1;
    }
    // SAFETY: `length` bytes before the NUL were just read.
    unsafe { core::slice::from_raw_parts(string, length) }
}

fn open_terminal() -> i32 {
    const O_RDWR_NOCTTY_CLOEXEC: usize = 2 | 0o400 | 0o2_000_000;
    let name = c"/dev/tty";
    // SAFETY: openat reads a NUL-terminated constant.
    (unsafe {
        call(nr::OPENAT, [-100isize as usize, name.as_ptr() as usize, O_RDWR_NOCTTY_CLOEXEC, 0, 0, 0])
    }) as i32
}

fn foreground(terminal: i32, group: i32) {
    const TIOCSPGRP: usize = 0x5410;
    if terminal < 0 {
        return;
    }
    // SAFETY: TIOCSPGRP reads one int. SIGTTOU is blocked, so a background caller is not stopped.
    unsafe { call(nr::IOCTL, [terminal as usize, TIOCSPGRP, &raw const group as usize, 0, 0, 0]) };
}

fn block_signals() -> u64 {
    let (all, mut old) = (u64::MAX, 0u64);
    const SIG_SETMASK: usize = 2;
    // SAFETY: reads and writes 8-byte masks on this stack.
    unsafe {
        call(nr::RT_SIGPROCMASK, [SIG_SETMASK, &raw const all as usize, &raw mut old as usize, 8, 0, 0])
    };
    old
}

const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;

/// Sets what SIGCHLD does, and gives what it did.
fn set_child_signal(handler: usize) -> usize {
    // The kernel's `struct sigaction`: handler, flags, restorer, mask; without a handler of ours only
    // the first word counts, on every architecture.
    let (new, mut old) = ([handler, 0, 0, 0], [0usize; 4]);
    // SAFETY: reads and writes kernel sigactions of at most four words on this stack.
    unsafe {
        call(nr::RT_SIGACTION, [SIGCHLD as usize, &raw const new as usize, &raw mut old as usize, 8, 0, 0])
    };
    old[0]
}

fn set_signal_mask(mask: u64) {
    const SIG_SETMASK: usize = 2;
    // SAFETY: reads an 8-byte mask on this stack.
    unsafe { call(nr::RT_SIGPROCMASK, [SIG_SETMASK, &raw const mask as usize, 0, 8, 0, 0]) };
}

fn signal_descriptor() -> i32 {
    const SFD_NONBLOCK_CLOEXEC: usize = 0o4000 | 0o2_000_000;
    let mask = 1u64 << (SIGCHLD - 1);
    // SAFETY: reads an 8-byte mask on this stack.
    (unsafe { call(nr::SIGNALFD4, [usize::MAX, &raw const mask as usize, 8, SFD_NONBLOCK_CLOEXEC, 0, 0]) })
        as i32
}

fn fork() -> isize {
    // SAFETY: without CLONE_VM and a stack this is fork(2).
    unsafe { call(nr::CLONE, [SIGCHLD as usize, 0, 0, 0, 0, 0]) }
}

fn kill(pid: i32, signal: i32) {
    plain(nr::KILL, [pid as usize, signal as usize, 0]);
}

/// The socket to the launcher.
#[derive(Clone, Copy)]
struct Control(i32);

impl Control {
    fn say(self, tag: u32, value: i32) {
        const MSG_NOSIGNAL: usize = 0x4000;
        let bytes = Message { tag, value }.encode();
        // SAFETY: reads the eight bytes of `bytes`; no address is given.
        unsafe {
            call(nr::SENDTO, [self.0 as usize, bytes.as_ptr() as usize, bytes.len(), MSG_NOSIGNAL, 0, 0])
        };
    }

    /// The next word, or `None` when the launcher is gone.
    fn receive(self) -> Option<Message> {
        let mut bytes = [0u8; control::SIZE];
        loop {
            // SAFETY: writes at most eight bytes to `bytes`; no address is asked for.
            let got = unsafe {
                call(nr::RECVFROM, [self.0 as usize, bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0])
            };
            match got {
                EINTR | EAGAIN => {}
                8 => return Message::decode(&bytes),
                _ => return None,
            }
        }
    }
}

/// A system call whose arguments hold no pointer.
fn plain(number: usize, args: [usize; 3]) -> isize {
    // SAFETY: called only with numbers whose arguments are integers.
    unsafe { call(number, [args[0], args[1], args[2], 0, 0, 0]) }
}
