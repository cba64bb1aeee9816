//! Owns the question which Landlock this kernel has.

/// The version of Landlock's interface, or `None` where it is missing or switched off.
/// See landlock_create_ruleset(2), `LANDLOCK_CREATE_RULESET_VERSION`.
pub(crate) fn abi() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel wants a null attribute of size 0 and gives a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}
