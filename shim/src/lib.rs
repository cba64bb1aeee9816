//! The preload shim: a guest in other people's processes that notes and forwards.
//!
//! It reports which process read which secret variable, opened which masked path, went where and started what;
//! it refuses masked paths early, with EACCES; it keeps itself loaded across exec. It never is what a promise
//! rests on: all it says is a claim, and the kernel tier enforces.
//!
//! How it stays out of the way:
//! - No heap, no std, no thread-locals in a hook; its own system calls go straight to the kernel ([`kernel`]), so it
//!   cannot re-enter a hook, needs no guard against that, and leaves `errno` alone.
//! - Hooks cannot panic: every access is checked, arithmetic wraps or saturates. `redhook::hook!` would answer a panic
//!   by calling the real function, which is why a hook must not count on it (and `panic = "abort"` compiles it away).
//! - It never waits. Its state is set up once, by whoever comes first; until then, and where table or ring are
//!   missing, every hook forwards.
//! - It holds no descriptor: table and ring are mapped and closed.
//!
//! `redhook` exports the hooks. The real functions are looked up by [`real`] instead of `redhook::real!`, which
//! aborts the process when a symbol is missing (`execveat` before glibc 2.34) and waits on a `Once`.
//!
//! Known limits: opens, connects and execs that glibc makes from within itself do not pass here. A path or address
//! pointer that is neither null nor readable ends the process where the kernel would have answered EFAULT.
//!
//! What it costs, by `tests/cost.rs` on two shared cores (Linux 6.18, glibc 2.36; medians of seven pairs of runs,
//! each the best of 25 rounds; 45 variables, 21 of them secret, 26 masked paths):
//!
//! | | native | over native |
//! |---|---|---|
//! | `getenv`, ordinary or absent | 20–26 ns | 2 ns |
//! | `getenv`, first four bytes as of a secret one | 11 ns | 15 ns |
//! | `getenv`, secret, said before | 8 ns | 300 ns, most of it `getpid` |
//! | `open` + `close` | 3.5–5 µs | 40–90 ns (1.01–1.06 ×) |
//! | start of a process | 500–590 µs | 140 µs, 55 of them for any preloaded library at all |
#![no_std]
#![allow(unsafe_code, reason = "hooks are C functions, called by C programs with C pointers")]

// `redhook::hook!` names `::std`; nothing of it is called.
extern crate std;

mod environment;
mod exec;
mod kernel;
mod network;
mod open;
mod path;
mod preload;
mod real;
mod say;
mod start;
mod state;
mod text;
