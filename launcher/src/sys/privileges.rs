//! Owns giving up privileges: no new ones, no capability, no way back.

use std::io;

use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities,
    set_capabilities_secure_bits, set_no_new_privs,
};

/// Proof that this process and its children cannot gain privileges by exec.
#[derive(Debug)]
pub(crate) struct NoNewPrivs(());

/// Sets `no_new_privs`.
///
/// # Errors
/// None known since Linux 3.5.
pub(crate) fn forbid_new_privileges() -> io::Result<NoNewPrivs> {
    set_no_new_privs(true)?;
    Ok(NoNewPrivs(()))
}

/// Drops every capability from every set, for uid 0 too.
///
/// `SECBIT_NOROOT` matters where the guest is uid 0 in its namespace: without it, exec would give root
/// all of the bounding set back.
///
/// # Errors
/// `EPERM` when the caller has no `CAP_SETPCAP` in its user namespace.
pub(crate) fn drop_capabilities(_: &NoNewPrivs) -> io::Result<()> {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits)?;
    for capability in 0..64 {
        // SAFETY: PR_CAPBSET_DROP takes integers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        // EINVAL: past the last capability that this kernel knows.
        if result == -1 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::EINVAL) {
                break;
            }
            return Err(error);
        }
    }
    clear_ambient_capability_set()?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none)?;
    Ok(())
}

/// Makes this process unreadable to others of the same user (memory, environment, descriptors).
///
/// # Errors
/// None known.
pub(crate) fn hide_from_peers() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Lets this process open its own `/proc/self/uid_map`: a process that is not dumpable may not.
///
/// # Errors
/// None known.
pub(crate) fn own_proc_files() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::Dumpable)?)
}

/// SIGKILL for this process when its parent ends.
///
/// # Errors
/// None known.
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Installs a filter of system calls, for this process and all that come from it.
///
/// # Errors
/// `EINVAL` where the kernel has no seccomp filters.
pub(crate) fn install_filter(_: &NoNewPrivs, filter: &[seccompiler::sock_filter]) -> io::Result<()> {
    seccompiler::apply_filter(filter).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        _ => io::Error::from_raw_os_error(libc::EINVAL),
    })
}
