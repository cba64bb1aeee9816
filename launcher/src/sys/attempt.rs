//! Owns the system calls that the self-test tries and nothing else of the launcher makes. None of them
//! changes anything where it succeeds.

use std::io;
use std::os::fd::AsRawFd;

/// The bytes of a System V shared memory segment.
///
/// # Errors
/// What shmat(2) and shmctl(2) give.
pub(crate) fn read_shared_memory(id: i32) -> io::Result<Vec<u8>> {
    let mut status = std::mem::MaybeUninit::<libc::shmid_ds>::uninit();
    // SAFETY: IPC_STAT writes one `shmid_ds` to memory of that size.
    if unsafe { libc::shmctl(id, libc::IPC_STAT, status.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the kernel filled it.
    let size = unsafe { status.assume_init() }.shm_segsz;
    let at = attach(id, libc::SHM_RDONLY)?;
    // SAFETY: attached just now, `size` bytes long by the kernel's word, and nobody here writes to it.
    let bytes = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), size) }.to_vec();
    detach(at);
    Ok(bytes)
}

/// A new segment that holds `bytes`.
///
/// # Errors
/// What shmget(2) and shmat(2) give.
pub(crate) fn make_shared_memory(bytes: &[u8]) -> io::Result<i32> {
    // SAFETY: shmget takes integers only.
    let id = unsafe { libc::shmget(libc::IPC_PRIVATE, bytes.len(), libc::IPC_CREAT | 0o600) };
    if id == -1 {
        return Err(io::Error::last_os_error());
    }
    let at = attach(id, 0)?;
    // SAFETY: attached just now, at least `bytes.len()` bytes long, and nobody else knows it yet.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at.cast::<u8>(), bytes.len()) };
    detach(at);
    Ok(id)
}

/// Removes a segment.
pub(crate) fn remove_shared_memory(id: i32) {
    // SAFETY: IPC_RMID ignores the pointer.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

fn attach(id: i32, flags: i32) -> io::Result<*mut libc::c_void> {
    // SAFETY: a null address lets the kernel choose one.
    let at = unsafe { libc::shmat(id, std::ptr::null(), flags) };
    if at.addr() == usize::MAX { Err(io::Error::last_os_error()) } else { Ok(at) }
}

fn detach(at: *mut libc::c_void) {
    // SAFETY: what `attach` gave; no reference into it is left.
    unsafe { libc::shmdt(at) };
}

/// The session keyring's number.
///
/// # Errors
/// What keyctl(2) gives.
pub(crate) fn session_keyring() -> io::Result<i64> {
    const GET_KEYRING_ID: libc::c_long = 0;
    const SESSION: libc::c_long = -3;
    // SAFETY: this operation takes integers only.
    number(unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION, 0) })
}

/// Asks for a ring with parameters that no kernel accepts: one that has it says so, with `EFAULT`.
///
/// # Errors
/// `ENOSYS` or `EPERM` where io_uring is out of reach.
pub(crate) fn io_uring() -> io::Result<i64> {
    // SAFETY: the kernel checks the pointer, and null is not one it takes.
    number(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, std::ptr::null::<u8>()) }).or_else(expected)
}

/// As [`io_uring`], for bpf(2): a command that does not exist is `EINVAL` for those who may use it.
///
/// # Errors
/// `EPERM` where it is out of reach.
pub(crate) fn bpf() -> io::Result<i64> {
    // SAFETY: the kernel refuses the command before it looks at the attribute, which is null and empty.
    number(unsafe { libc::syscall(libc::SYS_bpf, 9999, std::ptr::null::<u8>(), 0) }).or_else(expected)
}

/// As [`io_uring`], for userfaultfd(2), with a flag that does not exist.
///
/// # Errors
/// `EPERM` where it is out of reach.
pub(crate) fn userfaultfd() -> io::Result<i64> {
    // SAFETY: takes one integer.
    number(unsafe { libc::syscall(libc::SYS_userfaultfd, 0x4000_0000) }).or_else(expected)
}

/// Asks for a descriptor of a file handle that is none.
///
/// # Errors
/// `EPERM` where opening by handle is out of reach.
pub(crate) fn open_by_handle() -> io::Result<i64> {
    let mut handle = [0u32; 8];
    // SAFETY: the handle says that it has no bytes, and lives for the call.
    let result =
        unsafe { libc::syscall(libc::SYS_open_by_handle_at, libc::AT_FDCWD, handle.as_mut_ptr(), 0) };
    number(result).or_else(expected)
}

/// Makes this process the owner of a new user namespace.
///
/// # Errors
/// What unshare(2) gives.
pub(crate) fn new_user_namespace() -> io::Result<i64> {
    // SAFETY: takes flags only.
    number(i64::from(unsafe { libc::unshare(libc::CLONE_NEWUSER) }))
}

/// Asks for a child in a user namespace that shares this process's threads, which no kernel makes: one that
/// lets this process clone into namespaces says so, with `EINVAL`.
///
/// # Errors
/// `EPERM` where namespaces are out of reach.
pub(crate) fn clone_namespace() -> io::Result<i64> {
    let flags = libc::CLONE_NEWUSER | libc::CLONE_THREAD;
    // SAFETY: the flags exclude each other, so there is no child; the rest is null.
    number(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) }).or_else(expected)
}

/// As [`clone_namespace`], by clone3(2).
///
/// # Errors
/// `ENOSYS` where namespaces are out of reach: a filter cannot see the flags.
pub(crate) fn clone3_namespace() -> io::Result<i64> {
    let wishes = [(libc::CLONE_NEWUSER | libc::CLONE_THREAD) as u64, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: the first version of the arguments, 64 bytes, which live for the call; there is no child.
    number(unsafe { libc::syscall(libc::SYS_clone3, wishes.as_ptr(), size_of_val(&wishes)) })
        .or_else(expected)
}

/// Asks to enter a namespace by a descriptor that is none.
///
/// # Errors
/// `EPERM` where the call is out of reach.
pub(crate) fn set_namespace() -> io::Result<i64> {
    // SAFETY: takes integers only.
    number(i64::from(unsafe { libc::setns(-1, 0) })).or_else(expected)
}

/// Asks to mount at an address that is none.
///
/// # Errors
/// `EPERM` where the call is out of reach.
pub(crate) fn mount() -> io::Result<i64> {
    let null = std::ptr::null();
    // SAFETY: the kernel checks the pointers, and null is not a place it mounts at.
    number(i64::from(unsafe { libc::mount(null, null, null, 0, null.cast()) })).or_else(expected)
}

/// Asks for this process's number by a table of calls that few kernels have.
///
/// # Errors
/// `ENOSYS` where there is none, or it is out of reach.
pub(crate) fn by_x32() -> io::Result<i64> {
    const X32: libc::c_long = 0x4000_0000;
    // SAFETY: getpid takes nothing.
    number(unsafe { libc::syscall(X32 | libc::SYS_getpid) })
}

/// Asks for a request of terminals (an ioctl) of what is none: one that lets it through says so, with `ENOTTY`.
///
/// # Errors
/// `EPERM` where the request is out of reach.
pub(crate) fn terminal_request(request: TerminalRequest) -> io::Result<i64> {
    let request = match request {
        TerminalRequest::Type => libc::TIOCSTI,
        TerminalRequest::Paste => 0x541c,
    };
    let nothing = std::fs::File::open("/dev/null")?;
    // SAFETY: the descriptor lives for the call; the kernel checks the pointer, and null is not one it takes.
    let result = unsafe { libc::ioctl(nothing.as_raw_fd(), request, std::ptr::null::<u8>()) };
    number(i64::from(result)).or_else(expected)
}

/// What a program may ask of a terminal that is not its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TerminalRequest {
    /// `TIOCSTI`: puts a byte where typed ones come from.
    Type,
    /// `TIOCLINUX`: pastes on a console.
    Paste,
}

fn number(result: libc::c_long) -> io::Result<i64> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The kernel looked at our nonsense: the call itself is within reach.
fn expected(error: io::Error) -> io::Result<i64> {
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::EFAULT | libc::E2BIG | libc::ESTALE | libc::EBADF | libc::ENOTTY) => Ok(0),
        _ => Err(error),
    }
}
