//! How the preload library is linked: first in line, and with nothing in it that no hook uses.
//!
//! `redhook` depends on std, and with lld the whole of std's panic machinery stays in the library: lld takes the
//! personality routine for a root. That is 300 KiB that every process would map, and `libgcc_s.so` on top. GNU ld
//! drops it all. Since it notes what a library needs before it drops, `libgcc_s` is an empty script to it. Where
//! there is no GNU ld the library is larger and starts more slowly, and is the same otherwise.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    // Our constructor before those of other libraries, which may already read the environment.
    link_argument("-Wl,-z,initfirst");
    // Loading is what a preload costs most programs. Each segment is a mapping and a fault or two: code and what is
    // only read go into one. And nothing of the start files is of use: there are neither C constructors nor
    // frames to register.
    link_argument("-Wl,-z,noseparate-code");
    link_argument("-nostartfiles");
    // A hook may be on some thread's stack at any time: never unmap us.
    link_argument("-Wl,-z,nodelete");

    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let version = Command::new(linker).args(["-fuse-ld=bfd", "-Wl,--version"]).output();
    let gnu = version.is_ok_and(|output| output.status.success() && output.stdout.starts_with(b"GNU ld"));
    let Some(out) = env::var_os("OUT_DIR").filter(|_| gnu) else { return };
    if fs::write(Path::new(&out).join("libgcc_s.so"), "/* nothing of it is used */\n").is_ok() {
        // For the library alone: the tests of this package are ordinary programs.
        link_argument(&format!("-L{}", Path::new(&out).display()));
        link_argument("-fuse-ld=bfd");
    }
}

fn link_argument(argument: &str) {
    println!("cargo::rustc-cdylib-link-arg={argument}");
}
