//! Link arguments of the preload library.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Our constructor before those of other libraries, which may already read the environment.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // A hook may be on some thread's stack at any time: never unmap us.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
