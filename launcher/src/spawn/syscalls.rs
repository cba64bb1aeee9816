//! Owns the table of system calls that nothing inside may make, each with the errno a program expects
//! and the reason.
//!
//! The filter is the second lock on most of these doors: without capabilities the kernel refuses many
//! of them anyway. It is the first one on nested user namespaces, which would give capabilities back,
//! and on io_uring, whose operations no filter sees.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use libc::{EAFNOSUPPORT, ENOSYS, EPERM, c_int, c_long};

/// A call that is denied, whatever its arguments.
#[cfg_attr(not(test), expect(dead_code, reason = "the reason is for the reader; a test asks for it"))]
struct Denied(c_long, c_int, &'static str);

/// A call that is denied when one argument has a value, or a flag.
#[cfg_attr(not(test), expect(dead_code, reason = "the reason is for the reader; a test asks for it"))]
struct DeniedWhen(c_long, u8, When, c_int, &'static str);

enum When {
    Equals(u64),
    Has(u64),
}

use When::{Equals, Has};

const DENIED: &[Denied] = &[
    Denied(libc::SYS_io_uring_setup, ENOSYS, "its operations pass every filter"),
    Denied(libc::SYS_io_uring_enter, ENOSYS, "as io_uring_setup"),
    Denied(libc::SYS_io_uring_register, ENOSYS, "as io_uring_setup"),
    // glibc and musl fall back to clone, whose flags a filter can read; clone3 has them in memory.
    Denied(libc::SYS_clone3, ENOSYS, "namespaces by flags that no filter can read"),
    Denied(libc::SYS_setns, EPERM, "enters another namespace"),
    Denied(libc::SYS_mount, EPERM, "changes the view of the file system"),
    Denied(libc::SYS_umount2, EPERM, "could lift a mask"),
    Denied(libc::SYS_pivot_root, EPERM, "changes the view of the file system"),
    Denied(libc::SYS_chroot, EPERM, "changes the view of the file system"),
    Denied(libc::SYS_move_mount, EPERM, "changes the view of the file system"),
    Denied(libc::SYS_open_tree, EPERM, "a view of the file system without later masks"),
    Denied(libc::SYS_fsopen, EPERM, "changes the view of the file system"),
    Denied(libc::SYS_fsconfig, EPERM, "changes the view of the file system"),
    Denied(libc::SYS_fsmount, EPERM, "changes the view of the file system"),
    Denied(libc::SYS_fspick, EPERM, "changes the view of the file system"),
    Denied(libc::SYS_mount_setattr, EPERM, "could make a read-only mount writable"),
    Denied(libc::SYS_open_by_handle_at, EPERM, "opens by inode, past every mask"),
    Denied(libc::SYS_name_to_handle_at, EPERM, "prepares open_by_handle_at"),
    Denied(libc::SYS_keyctl, EPERM, "keys of the host's sessions"),
    Denied(libc::SYS_add_key, EPERM, "keys of the host's sessions"),
    Denied(libc::SYS_request_key, EPERM, "keys of the host's sessions"),
    Denied(libc::SYS_bpf, EPERM, "code in the kernel"),
    Denied(libc::SYS_perf_event_open, EPERM, "looks into the kernel and other processes"),
    Denied(libc::SYS_userfaultfd, EPERM, "holds the kernel at a chosen point"),
    Denied(libc::SYS_kexec_load, EPERM, "another kernel"),
    Denied(libc::SYS_kexec_file_load, EPERM, "another kernel"),
    Denied(libc::SYS_init_module, EPERM, "code in the kernel"),
    Denied(libc::SYS_finit_module, EPERM, "code in the kernel"),
    Denied(libc::SYS_delete_module, EPERM, "code in the kernel"),
    Denied(libc::SYS_swapon, EPERM, "the machine's memory"),
    Denied(libc::SYS_swapoff, EPERM, "the machine's memory"),
    Denied(libc::SYS_reboot, EPERM, "the machine"),
    Denied(libc::SYS_acct, EPERM, "writes a file for every process"),
    Denied(libc::SYS_quotactl, EPERM, "the file system's limits"),
    Denied(libc::SYS_syslog, EPERM, "the kernel's log"),
];

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

const DENIED_WHEN: &[DeniedWhen] = &[
    DeniedWhen(libc::SYS_ioctl, 1, Equals(TIOCSTI), EPERM, "types into the terminal"),
    DeniedWhen(libc::SYS_ioctl, 1, Equals(TIOCLINUX), EPERM, "pastes into the console"),
    DeniedWhen(
        libc::SYS_socket,
        0,
        Equals(libc::AF_VSOCK as u64),
        EAFNOSUPPORT,
        "the hypervisor is no namespace",
    ),
    DeniedWhen(libc::SYS_socket, 0, Equals(libc::AF_PACKET as u64), EAFNOSUPPORT, "raw frames"),
    DeniedWhen(libc::SYS_socket, 0, Equals(libc::AF_KEY as u64), EAFNOSUPPORT, "keys of the kernel"),
];

/// Flags that make or enter a namespace, for clone and unshare. `CLONE_NEWTIME` is no flag of clone:
/// those bits are the exit signal.
const NAMESPACE_FLAGS: [c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// The programs to install, one for each errno. Where several match, the kernel takes an error over
/// leave, so their order does not matter. Calls of another architecture end the process.
///
/// # Errors
/// When the table cannot be compiled, which a test rules out.
pub(super) fn programs() -> Result<Vec<BpfProgram>, BackendError> {
    [EPERM, ENOSYS, EAFNOSUPPORT].into_iter().map(program).collect()
}

fn program(errno: c_int) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for Denied(number, _, _) in DENIED.iter().filter(|denied| denied.1 == errno) {
        rules.insert(*number, Vec::new());
    }
    for DeniedWhen(number, argument, when, _, _) in DENIED_WHEN.iter().filter(|denied| denied.3 == errno) {
        rules.entry(*number).or_default().push(rule(*argument, when)?);
    }
    if errno == EPERM {
        for number in [libc::SYS_clone, libc::SYS_unshare] {
            for flag in NAMESPACE_FLAGS {
                rules.entry(number).or_default().push(rule(0, &Has(u64::from(flag.cast_unsigned())))?);
            }
        }
    }
    let action = SeccompAction::Errno(errno.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, ARCHITECTURE)?;
    let compiled: BpfProgram = filter.try_into()?;
    Ok(without_x32(compiled))
}

fn rule(argument: u8, when: &When) -> Result<SeccompRule, BackendError> {
    let (operator, value) = match *when {
        Equals(value) => (SeccompCmpOp::Eq, value),
        Has(flag) => (SeccompCmpOp::MaskedEq(flag), flag),
    };
    // Of these arguments the kernel looks at the lower half only.
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}

/// On x86-64 a bit in the number selects the x32 table, under the same architecture word: every rule
/// above would be passed by. Three instructions in front answer those calls with ENOSYS.
fn without_x32(program: BpfProgram) -> BpfProgram {
    if cfg!(not(target_arch = "x86_64")) {
        return program;
    }
    const X32_BIT: u32 = 0x4000_0000;
    let load_number = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let jump_if_below = sock_filter { code: 0x35, jt: 0, jf: 1, k: X32_BIT };
    let answer =
        sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ERRNO | ENOSYS.cast_unsigned() };
    [load_number, jump_if_below, answer].into_iter().chain(program).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compiles_and_each_line_has_a_reason() {
        assert_eq!(programs().map(|programs| programs.len()).ok(), Some(3));
        assert!(DENIED.iter().all(|denied| !denied.2.is_empty()));
        assert!(DENIED_WHEN.iter().all(|denied| !denied.4.is_empty()));
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut numbers: Vec<_> = DENIED.iter().map(|denied| denied.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), DENIED.len());
    }
}
