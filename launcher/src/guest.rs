//! Owns what of ours exists inside: the embedded programs and where they lie.
//!
//! Both are built by `build.rs` and are part of this binary, so one file is the whole product.

use std::ffi::CStr;

pub use shieldrun_abi::GUEST_DIRECTORY as DIRECTORY;

/// The preload shim.
pub const SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libshieldrun.so"));
/// The first process inside.
pub const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// The directory again, for system calls.
pub const DIRECTORY_C: &CStr = c"/run/shieldrun";
/// Where the shim lies.
pub const SHIM_PATH: &CStr = c"/run/shieldrun/libshieldrun.so";
/// Where its table lies.
pub const TABLE_PATH: &CStr = c"/run/shieldrun/table";
/// Where its ring lies.
pub const RING_PATH: &CStr = c"/run/shieldrun/ring";
/// Where init lies.
pub const INIT_PATH: &CStr = c"/run/shieldrun/init";
/// Size of the ring, bytes.
pub const RING_BYTES: usize = size_of::<shieldrun_abi::ring::Shared>();
