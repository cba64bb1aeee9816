//! Owns the raw system calls of `init`: numbers, the instruction, and nothing else.
//!
//! No libc: init must be started in tens of microseconds and hold nothing but what it was given.

use core::arch::asm;

#[cfg(target_arch = "x86_64")]
pub mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const PPOLL: usize = 271;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const SENDTO: usize = 44;
    pub const RECVFROM: usize = 45;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const EXIT_GROUP: usize = 231;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const FCNTL: usize = 72;
    pub const SETPGID: usize = 109;
    pub const PRCTL: usize = 157;
    pub const OPENAT: usize = 257;
    pub const SIGNALFD4: usize = 289;
    pub const GETPID: usize = 39;
}

#[cfg(target_arch = "aarch64")]
pub mod nr {
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const CLOSE: usize = 57;
    pub const PPOLL: usize = 73;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const IOCTL: usize = 29;
    pub const SENDTO: usize = 206;
    pub const RECVFROM: usize = 207;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const EXIT_GROUP: usize = 94;
    pub const WAIT4: usize = 260;
    pub const KILL: usize = 129;
    pub const FCNTL: usize = 25;
    pub const SETPGID: usize = 154;
    pub const PRCTL: usize = 167;
    pub const OPENAT: usize = 56;
    pub const SIGNALFD4: usize = 74;
    pub const GETPID: usize = 172;
}

/// One system call.
///
/// # Safety
/// Every argument that the call takes as a pointer must be valid for what the call does with it.
#[cfg(target_arch = "x86_64")]
pub unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the `syscall` instruction clobbers rcx and r11 only; pointers are the caller's duty.
    unsafe {
        asm!("syscall", inlateout("rax") number => result,
             in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
             in("r10") args[3], in("r8") args[4], in("r9") args[5],
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// One system call.
///
/// # Safety
/// Every argument that the call takes as a pointer must be valid for what the call does with it.
#[cfg(target_arch = "aarch64")]
pub unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: `svc` clobbers x0 only; pointers are the caller's duty.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") args[0] => result,
             in("x1") args[1], in("x2") args[2], in("x3") args[3],
             in("x4") args[4], in("x5") args[5], options(nostack));
    }
    result
}

/// Ends the process.
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: exit_group takes no pointer and does not return.
        unsafe { call(nr::EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym crate::start,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x0, sp",
    "and sp, x0, #-16",
    "bl {main}",
    "brk #1",
    main = sym crate::start,
);

// The compiler may emit calls to these; there is no libc to have them. Volatile accesses keep it from
// turning the loop back into a call to itself.

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    let mut at = 0;
    while at < length {
        // SAFETY: `at < length`, and the caller gives `length` readable bytes at `from`.
        let byte = unsafe { from.add(at).read_volatile() };
        // SAFETY: `at < length`, and the caller gives `length` writable bytes at `to`.
        unsafe { to.add(at).write_volatile(byte) };
        at += 1;
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
    let mut at = 0;
    while at < length {
        // SAFETY: `at < length`, and the caller gives `length` writable bytes at `to`.
        unsafe { to.add(at).write_volatile(byte as u8) };
        at += 1;
    }
    to
}
