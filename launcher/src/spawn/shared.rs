//! Owns the second filter of the tier without namespaces: what a network and an IPC namespace would hide
//! is not reached, because nothing that leads there can be made. Pairs of sockets and pipes still can.

use std::collections::BTreeMap;

use libc::{EACCES, c_long};
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter};

use super::syscalls::ARCHITECTURE;

const SHARED: &[c_long] = &[
    // No address family is without a way to others of this machine or beyond it.
    libc::SYS_socket,
    // System V objects and message queues have names that all processes of the machine share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    // Its target may be any process of the same user.
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
];

/// The program.
///
/// # Errors
/// When the table cannot be compiled.
pub(super) fn program() -> Result<BpfProgram, BackendError> {
    let rules: BTreeMap<i64, _> = SHARED.iter().map(|number| (*number, Vec::new())).collect();
    let denied = SeccompAction::Errno(EACCES.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, denied, ARCHITECTURE)?.try_into()
}
