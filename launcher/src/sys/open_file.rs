//! Whether two descriptors are one open file: the same position, the same flags.
//!
//! Only the question is here; what follows from the answer is decided in `stdio`.

#![expect(unsafe_code, reason = "F_DUPFD_QUERY and kcmp have no safe wrapper")]

use std::os::fd::{AsRawFd, BorrowedFd};

/// `F_DUPFD_QUERY` of Linux 6.10 and later, not yet in `libc`: 1 for the same open file, 0 for another.
const F_DUPFD_QUERY: libc::c_int = 1024 + 3;
/// `KCMP_FILE` of kcmp(2): 0 for the same open file.
const KCMP_FILE: libc::c_ulong = 0;

/// Answers only where the kernel does: kcmp(2) is often filtered in containers.
pub(crate) fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Option<bool> {
    // SAFETY: the command takes a descriptor number by value and touches no memory of ours; kernels
    // that do not know it answer EINVAL.
    let answer = unsafe { libc::fcntl(one.as_raw_fd(), F_DUPFD_QUERY, other.as_raw_fd()) };
    if answer >= 0 {
        return Some(answer == 1);
    }
    let me = std::process::id();
    // SAFETY: all five arguments are numbers passed by value; the kernel writes nothing.
    let order = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            me,
            me,
            KCMP_FILE,
            one.as_raw_fd() as libc::c_ulong,
            other.as_raw_fd() as libc::c_ulong,
        )
    };
    (order >= 0).then_some(order == 0)
}
