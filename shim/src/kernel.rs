//! System calls, straight to the kernel.
//!
//! Only those that the shim makes for itself. No libc in between: it cannot be hooked, it does not set `errno`,
//! it is the same in a signal handler and between vfork and exec.

use core::arch::asm;

/// What the kernel said instead of doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno;

/// A descriptor that is closed again before the hook returns.
pub(crate) struct Descriptor(i32);

const PATH_ONLY: usize = libc::O_PATH as usize;

impl Descriptor {
    /// Opens a path, and keeps off the numbers that a program takes for its standard streams.
    ///
    /// # Safety
    /// `path` ends with a NUL, or is a pointer that the kernel may refuse.
    pub(crate) unsafe fn open(at: i32, path: *const u8, flags: i32) -> Result<Descriptor, Errno> {
        let flags = flags | libc::O_CLOEXEC;
        // SAFETY: the kernel reads the path up to its NUL and writes nothing.
        let opened = unsafe { call4(libc::SYS_openat, at as usize, path as usize, flags as usize, 0) }?;
        let low = Descriptor(i32::try_from(opened).map_err(|_| Errno)?);
        if low.0 > 2 || flags as usize & PATH_ONLY != 0 {
            return Ok(low);
        }
        // SAFETY: takes numbers only.
        let high = unsafe { call4(libc::SYS_fcntl, low.number(), libc::F_DUPFD_CLOEXEC as usize, 3, 0) }?;
        Ok(Descriptor(i32::try_from(high).map_err(|_| Errno)?))
    }

    pub(crate) fn number(&self) -> usize {
        // Not negative: the kernel gave it to us.
        self.0.unsigned_abs() as usize
    }

    /// The length of the file.
    pub(crate) fn length(&self) -> Result<usize, Errno> {
        // SAFETY: seeks in our own description; takes numbers only.
        unsafe { call4(libc::SYS_lseek, self.number(), 0, libc::SEEK_END as usize, 0) }
    }

    /// Reads from the file's position into `buffer` and says how much.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: the kernel writes at most the buffer's length.
        unsafe { call4(libc::SYS_read, self.number(), buffer.as_mut_ptr() as usize, buffer.len(), 0) }
    }

    /// Maps the whole file, shared.
    pub(crate) fn map(&self, length: usize, protection: i32) -> Result<*mut u8, Errno> {
        // SAFETY: a new mapping where the kernel likes, so it covers nothing that anybody uses.
        let address = unsafe {
            call6(
                libc::SYS_mmap,
                [0, length, protection as usize, libc::MAP_SHARED as usize, self.number(), 0],
            )
        }?;
        Ok(core::ptr::with_exposed_provenance_mut(address))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        let _ = unsafe { call4(libc::SYS_close, self.number(), 0, 0, 0) };
    }
}

pub(crate) fn pid() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    let pid = unsafe { call4(libc::SYS_getpid, 0, 0, 0, 0) };
    pid.ok().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0)
}

pub(crate) fn parent_pid() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    let pid = unsafe { call4(libc::SYS_getppid, 0, 0, 0, 0) };
    pid.ok().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0)
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub(crate) fn now() -> u64 {
    let mut time = [0_u64; 2];
    let [seconds, nanoseconds] = {
        // SAFETY: a 64-bit `timespec` is two words, and `time` has two.
        let _ = unsafe {
            call4(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC as usize, time.as_mut_ptr() as usize, 0, 0)
        };
        time
    };
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds)
}

/// Wakes who sleeps on the word.
pub(crate) fn wake(word: &core::sync::atomic::AtomicU32) {
    // SAFETY: the kernel takes the word's address for a name and reads nothing.
    let _ = unsafe { call4(libc::SYS_futex, word.as_ptr() as usize, libc::FUTEX_WAKE as usize, 1, 0) };
}

/// Reads a link into `buffer` and says how much of it.
///
/// # Safety
/// `path` ends with a NUL.
pub(crate) unsafe fn read_link(path: *const u8, buffer: &mut [u8]) -> Result<usize, Errno> {
    let at = libc::AT_FDCWD as usize;
    // SAFETY: the kernel reads the path up to its NUL and writes at most the buffer's length.
    unsafe { call4(libc::SYS_readlinkat, at, path as usize, buffer.as_mut_ptr() as usize, buffer.len()) }
}

/// The working directory, without its NUL.
pub(crate) fn working_directory(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most the buffer's length.
    let length = unsafe { call4(libc::SYS_getcwd, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0) }?;
    Ok(length.saturating_sub(1))
}

unsafe fn call4(number: libc::c_long, a: usize, b: usize, c: usize, d: usize) -> Result<usize, Errno> {
    // SAFETY: the caller's arguments, and zeros that no call with four reads.
    unsafe { call6(number, [a, b, c, d, 0, 0]) }
}

/// # Safety
/// As for the call itself.
#[cfg(target_arch = "x86_64")]
unsafe fn call6(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the kernel's convention: it keeps all registers but rax, rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    usize::try_from(result).map_err(|_| Errno)
}

/// # Safety
/// As for the call itself.
#[cfg(target_arch = "aarch64")]
unsafe fn call6(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the kernel's convention: it keeps all registers but x0.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    usize::try_from(result).map_err(|_| Errno)
}
