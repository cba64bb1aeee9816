//! `execl`, `execlp`, `execle`: arguments as a variable list.
//!
//! Stable Rust cannot define a variadic function, and Rust code could not find the list. So a few instructions put
//! down the arguments that came in registers and hand over two addresses: of those, and of the rest on the stack.

use core::arch::naked_asm;
use core::mem::MaybeUninit;

use crate::preload;
use crate::real::{self, List, Text};

/// Arguments beside the path that come in registers.
#[cfg(target_arch = "x86_64")]
const REGISTERS: usize = 5;
#[cfg(target_arch = "aarch64")]
const REGISTERS: usize = 7;

/// Arguments that fit the usual array, and the largest that we take from a stack. A longer list fails with E2BIG.
const FEW: usize = 256;
const MANY: usize = 16_384;

/// Saves the register arguments behind the first, calls `$inner(first, registers, stack)`, and returns its result.
macro_rules! variadic {
    ($name:ident, $inner:ident) => {
        /// # Safety
        /// As in the manual.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        #[cfg(target_arch = "x86_64")]
        unsafe extern "C" fn $name(_path: Text) -> i32 {
            naked_asm!(
                // Five words and the return address: the stack is aligned for the call.
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                "mov rsi, rsp",
                "lea rdx, [rsp + 48]",
                "call {inner}",
                "add rsp, 40",
                "ret",
                inner = sym $inner,
            )
        }

        /// # Safety
        /// As in the manual.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        #[cfg(target_arch = "aarch64")]
        unsafe extern "C" fn $name(_path: Text) -> i32 {
            naked_asm!(
                "stp x29, x30, [sp, #-80]!",
                "mov x29, sp",
                "stp x1, x2, [sp, #16]",
                "stp x3, x4, [sp, #32]",
                "stp x5, x6, [sp, #48]",
                "str x7, [sp, #64]",
                "add x1, sp, #16",
                "add x2, sp, #80",
                "bl {inner}",
                "ldp x29, x30, [sp], #80",
                "ret",
                inner = sym $inner,
            )
        }
    };
}

variadic!(execl, execl_with);
variadic!(execlp, execlp_with);
variadic!(execle, execle_with);

unsafe extern "C" fn execl_with(path: Text, registers: List, stack: List) -> i32 {
    super::note(path);
    // SAFETY: the two parts of the program's own list.
    unsafe { collected(registers, stack, |arguments, _| super::run(path, arguments)) }
}

unsafe extern "C" fn execlp_with(file: Text, registers: List, stack: List) -> i32 {
    super::note(file);
    // SAFETY: the two parts of the program's own list.
    unsafe { collected(registers, stack, |arguments, _| super::run_found(file, arguments)) }
}

unsafe extern "C" fn execle_with(path: Text, registers: List, stack: List) -> i32 {
    super::note(path);
    let Some(execve) = real::EXECVE.get() else { return super::missing() };
    let run = |arguments: List, count: usize| {
        // SAFETY: behind the null that ends the arguments, execle's list has the environment.
        let environment = unsafe { item(registers, stack, count.saturating_add(1)) };
        // SAFETY: the program's own arguments; `keep` gives a list as good as the one it got.
        let exec = |kept: List| unsafe { execve(path, arguments, kept) };
        // SAFETY: the program's own list.
        unsafe { preload::keep(environment.cast(), exec) }
    };
    // SAFETY: the two parts of the program's own list.
    unsafe { collected(registers, stack, run) }
}

/// Puts the two parts into one array and calls `run` with it and the number of arguments.
unsafe fn collected(registers: List, stack: List, run: impl FnOnce(List, usize) -> i32) -> i32 {
    let mut count = 0_usize;
    // SAFETY: the list goes on at least to its null, which was not met yet.
    while !unsafe { item(registers, stack, count) }.is_null() {
        count = count.saturating_add(1);
    }
    if count < FEW {
        // SAFETY: a list of that many.
        return unsafe { copied::<{ FEW + 1 }>(registers, stack, count, run) };
    }
    if count < MANY {
        // SAFETY: a list of that many.
        return unsafe { copied::<{ MANY + 1 }>(registers, stack, count, run) };
    }
    real::fail_with(libc::E2BIG);
    -1
}

/// Not inlined, so that only a call that needs the room takes it from the stack.
#[inline(never)]
unsafe fn copied<const ROOM: usize>(
    registers: List,
    stack: List,
    count: usize,
    run: impl FnOnce(List, usize) -> i32,
) -> i32 {
    let mut list = [MaybeUninit::<Text>::uninit(); ROOM];
    for (at, slot) in list.iter_mut().enumerate().take(count.saturating_add(1)) {
        // SAFETY: up to the null that ends the list.
        slot.write(unsafe { item(registers, stack, at) });
    }
    run(list.as_ptr().cast(), count)
}

/// One item of the list, of whichever part.
unsafe fn item(registers: List, stack: List, at: usize) -> Text {
    let address = match at.checked_sub(REGISTERS) {
        // SAFETY: within the registers that were put down.
        None => unsafe { registers.add(at) },
        // SAFETY: the caller asks for no item behind the end of the list.
        Some(at) => unsafe { stack.add(at) },
    };
    // SAFETY: as above.
    unsafe { address.read() }
}
