//! Owns `prober`: a static program without libc that reads what it is told to, for the self-test. No
//! preload reaches it, and no hook sees its system calls.
//!
//! `prober environ` prints the environment it was started with; `prober read PATH` prints a file; `prober i386` makes a
//! call by the numbers of 32-bit programs, which not every kernel has.
#![no_std]
#![no_main]
#![allow(unsafe_code)]

#[path = "../init/syscall.rs"]
#[allow(dead_code)] // some calls are only init's
mod syscall;

use syscall::{call, exit, nr};

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
    match argc {
        // SAFETY: argc is 2, so argv[1] is a NUL-terminated string of the kernel's, which has a first byte.
        2 if unsafe { **argv.add(1) } == b'i' => call_by_other_numbers(),
        2 => print_environment(envp),
        // SAFETY: argc is 3, so argv[2] is a NUL-terminated string of the kernel's.
        3 => print_file(unsafe { *argv.add(2) }),
        _ => exit(125),
    }
}

/// Ends well where the kernel takes it for what it is.
fn call_by_other_numbers() -> ! {
    #[cfg(target_arch = "x86_64")]
    {
        const GETPID: usize = 20;
        let pid: isize;
        // SAFETY: getpid of the 32-bit table takes nothing and touches no memory.
        unsafe { core::arch::asm!("int 0x80", inlateout("rax") GETPID => pid, options(nostack)) };
        if pid > 0 {
            exit(0)
        }
    }
    exit(1)
}

fn print_environment(mut envp: *const *const u8) -> ! {
    loop {
        // SAFETY: the list ends with a NULL, which is where this stops.
        let entry = unsafe { *envp };
        if entry.is_null() {
            exit(0);
        }
        let mut length = 0;
        // SAFETY: an entry is NUL-terminated.
        while unsafe { entry.add(length).read_volatile() } != 0 {
            length += 1;
        }
        // SAFETY: `length` bytes before the NUL were just read.
        print(unsafe { core::slice::from_raw_parts(entry, length) });
        print(b"\n");
        // SAFETY: not the NULL yet.
        envp = unsafe { envp.add(1) };
    }
}

fn print_file(path: *const u8) -> ! {
    const AT_FDCWD: usize = -100isize as usize;
    // SAFETY: the path is a NUL-terminated string of the kernel's.
    let file = unsafe { call(nr::OPENAT, [AT_FDCWD, path as usize, 0, 0, 0, 0]) };
    let Ok(file) = usize::try_from(file) else { exit(1) };
    let mut buffer = [0u8; 4096];
    loop {
        // SAFETY: reads at most 4096 bytes into a buffer of 4096.
        let got = unsafe { call(nr::READ, [file, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0]) };
        match usize::try_from(got) {
            Ok(0) => exit(0),
            Ok(got) => print(buffer.get(..got).unwrap_or_default()),
            Err(_) => exit(2),
        }
    }
}

fn print(bytes: &[u8]) {
    // SAFETY: writes from a slice that lives for the call.
    unsafe { call(nr::WRITE, [1, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) };
}
