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

use libc::{ENOSYS, EPERM, c_int, c_long};

/// A call that is answered as if the kernel did not have it.
#[cfg_attr(not(test), expect(dead_code, reason = "the reason is for the reader; a test asks for it"))]
struct Absent(c_long, &'static str);

/// A call that is not permitted, whatever its arguments.
#[cfg_attr(not(test), expect(dead_code, reason = "the reason is for the reader; a test asks for it"))]
struct Denied(c_long, &'static str);

/// A call that is not permitted when one argument has a value, or a flag.
#[cfg_attr(not(test), expect(dead_code, reason = "the reason is for the reader; a test asks for it"))]
struct DeniedWhen(c_long, u8, When, &'static str);

enum When {
    Equals(u64),
    Has(u64),
}

use When::{Equals, Has};

const ABSENT: &[Absent] = &[
    Absent(libc::SYS_io_uring_setup, "its operations pass every filter"),
    Absent(libc::SYS_io_uring_enter, "as io_uring_setup"),
    Absent(libc::SYS_io_uring_register, "as io_uring_setup"),
    // glibc and musl fall back to clone, whose flags a filter can read; clone3 has them in memory.
    Absent(libc::SYS_clone3, "namespaces by flags that no filter can read"),
];

const DENIED: &[Denied] = &[
    Denied(libc::SYS_setns, "enters another namespace"),
    Denied(libc::SYS_mount, "changes the view of the file system"),
    Denied(libc::SYS_umount2, "could lift a mask"),
    Denied(libc::SYS_pivot_root, "changes the view of the file system"),
    Denied(libc::SYS_chroot, "changes the view of the file system"),
    Denied(libc::SYS_move_mount, "changes the view of the file system"),
    Denied(libc::SYS_open_tree, "a view of the file system without later masks"),
    Denied(libc::SYS_fsopen, "changes the view of the file system"),
    Denied(libc::SYS_fsconfig, "changes the view of the file system"),
    Denied(libc::SYS_fsmount, "changes the view of the file system"),
    Denied(libc::SYS_fspick, "changes the view of the file system"),
    Denied(libc::SYS_mount_setattr, "could make a read-only mount writable"),
    Denied(libc::SYS_open_by_handle_at, "opens by inode, past every mask"),
    Denied(libc::SYS_name_to_handle_at, "prepares open_by_handle_at"),
    Denied(libc::SYS_keyctl, "keys of the host's sessions"),
    Denied(libc::SYS_add_key, "keys of the host's sessions"),
    Denied(libc::SYS_request_key, "keys of the host's sessions"),
    Denied(libc::SYS_bpf, "code in the kernel"),
    Denied(libc::SYS_perf_event_open, "looks into the kernel and other processes"),
    Denied(libc::SYS_userfaultfd, "holds the kernel at a chosen point"),
    Denied(libc::SYS_kexec_load, "another kernel"),
    Denied(libc::SYS_kexec_file_load, "another kernel"),
    Denied(libc::SYS_init_module, "code in the kernel"),
    Denied(libc::SYS_finit_module, "code in the kernel"),
    Denied(libc::SYS_delete_module, "code in the kernel"),
    Denied(libc::SYS_swapon, "the machine's memory"),
    Denied(libc::SYS_swapoff, "the machine's memory"),
    Denied(libc::SYS_reboot, "the machine"),
    Denied(libc::SYS_acct, "writes a file for every process"),
    Denied(libc::SYS_quotactl, "the file system's limits"),
    Denied(libc::SYS_syslog, "the kernel's log"),
];

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

const DENIED_WHEN: &[DeniedWhen] = &[
    DeniedWhen(libc::SYS_ioctl, 1, Equals(TIOCSTI), "types into the terminal"),
    DeniedWhen(libc::SYS_ioctl, 1, Equals(TIOCLINUX), "pastes into the console"),
    DeniedWhen(libc::SYS_socket, 0, Equals(libc::AF_VSOCK as u64), "the hypervisor is no namespace"),
    DeniedWhen(libc::SYS_socket, 0, Equals(libc::AF_PACKET as u64), "raw frames"),
    DeniedWhen(libc::SYS_socket, 0, Equals(libc::AF_KEY as u64), "keys of the kernel"),
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
pub(super) const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// The program to install. Each filter costs its compilation at every start, so there is one: denials
/// with EPERM by the crate's assembler, and in front of it those that are answered with ENOSYS, so that
/// programs take the older way. Calls of another architecture end the process.
///
/// # Errors
/// When the table cannot be compiled, which a test rules out.
pub(super) fn program() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for Denied(number, _) in DENIED {
        rules.insert(*number, Vec::new());
    }
    for DeniedWhen(number, argument, when, _) in DENIED_WHEN {
        rules.entry(*number).or_default().push(rule(*argument, when)?);
    }
    for number in [libc::SYS_clone, libc::SYS_unshare] {
        for flag in NAMESPACE_FLAGS {
            rules.entry(number).or_default().push(rule(0, &Has(u64::from(flag.cast_unsigned())))?);
        }
    }
    let denied = SeccompAction::Errno(EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, ARCHITECTURE)?;
    let compiled: BpfProgram = filter.try_into()?;
    Ok(absent().into_iter().chain(compiled).collect())
}

/// Answers ENOSYS to the calls of [`ABSENT`], and on x86-64 to all of the x32 table: a bit in the number
/// selects it under the same architecture word, so every rule by number would be passed by.
fn absent() -> Vec<sock_filter> {
    const X32_BIT: u32 = 0x4000_0000;
    const LOAD_NUMBER: sock_filter = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let jump = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let mut instructions = vec![LOAD_NUMBER];
    let numbers: Vec<u32> = ABSENT.iter().filter_map(|absent| u32::try_from(absent.0).ok()).collect();
    // Each comparison jumps to the answer, which lies behind the last of them and one jump over it.
    for (index, number) in numbers.iter().enumerate() {
        let to_answer = u8::try_from(numbers.len() - index + 1).unwrap_or(u8::MAX);
        instructions.push(jump(0x15, to_answer, 0, *number));
    }
    let x32 = if cfg!(target_arch = "x86_64") { X32_BIT } else { u32::MAX };
    instructions.push(jump(0x35, 1, 0, x32));
    instructions.push(jump(0x05, 0, 0, 1));
    instructions.push(jump(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | ENOSYS.cast_unsigned()));
    instructions
}

fn rule(argument: u8, when: &When) -> Result<SeccompRule, BackendError> {
    let (operator, value) = match *when {
        Equals(value) => (SeccompCmpOp::Eq, value),
        Has(flag) => (SeccompCmpOp::MaskedEq(flag), flag),
    };
    // Of these arguments the kernel looks at the lower half only.
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compiles_and_each_line_has_a_reason() {
        assert!(program().is_ok_and(|program| program.len() > DENIED.len()));
        assert!(ABSENT.iter().all(|absent| !absent.1.is_empty()));
        assert!(DENIED.iter().all(|denied| !denied.1.is_empty()));
        assert!(DENIED_WHEN.iter().all(|denied| !denied.3.is_empty()));
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut numbers: Vec<_> = DENIED.iter().map(|denied| denied.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), DENIED.len());
    }
}
