//! Owns the table of system calls that nothing inside may make, each with the errno a program expects
//! and the reason, and the filter that is made of it.
//!
//! The filter is the second lock on most of these doors: without capabilities the kernel refuses many
//! of them anyway. It is the first one on nested user namespaces, which would give capabilities back,
//! and on io_uring, whose operations no filter sees.
//!
//! Where the kernel gives a listener, a denied call is a question to the launcher, whose answer is the
//! same errno: so it is on record who tried what. What is denied often by well-behaved programs (clone3) is
//! answered by the filter itself, and costs nothing. See `crate::notified` for who answers.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use libc::{EACCES, ENOSYS, EPERM, c_long};

use shieldrun_policy::plan::Nesting;

/// Both forms of the filter; only the kernel knows which one it takes.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// Asks the launcher.
    pub(super) asking: BpfProgram,
    /// Answers by itself: where somebody above has taken the one listener that there can be.
    pub(super) silent: BpfProgram,
}

/// A call that is not permitted, whatever its arguments.
struct Denied {
    number: c_long,
    name: &'static str,
    door: Door,
    #[cfg_attr(not(test), expect(dead_code, reason = "the reason is for the reader; a test asks for it"))]
    reason: &'static str,
}

/// A call that is not permitted when its arguments are so.
struct DeniedWhen {
    number: c_long,
    name: &'static str,
    door: Door,
    when: &'static [(u8, When)],
    #[cfg_attr(not(test), expect(dead_code, reason = "the reason is for the reader; a test asks for it"))]
    reason: &'static str,
}

/// Whether a sandbox inside needs it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Shut,
    ForNesting,
}

#[derive(Clone, Copy)]
enum When {
    Equals(u64),
    Differs(u64),
    Has(u64),
}

use Door::{ForNesting, Shut};
use When::{Differs, Equals, Has};

/// A call with its name.
macro_rules! call {
    ($name:ident) => {
        (libc::$name, stringify!($name))
    };
}

const fn denied((number, name): (c_long, &'static str), door: Door, reason: &'static str) -> Denied {
    Denied { number, name, door, reason }
}

/// Answered as if the kernel did not have them, and asked about: programs try once and take another way.
const ABSENT_ASKED: (c_long, &str) = call!(SYS_io_uring_setup);

/// Answered as if the kernel did not have them.
const ABSENT: &[(c_long, &str)] = &[
    (libc::SYS_io_uring_enter, "its operations pass every filter"),
    (libc::SYS_io_uring_register, "as io_uring_enter"),
    // glibc and musl fall back to clone, whose flags a filter can read; clone3 has them in memory.
    (libc::SYS_clone3, "namespaces by flags that no filter can read"),
];

const DENIED: &[Denied] = &[
    denied(call!(SYS_setns), ForNesting, "enters another namespace"),
    denied(call!(SYS_mount), ForNesting, "changes the view of the file system"),
    denied(call!(SYS_umount2), ForNesting, "could lift a mask"),
    denied(call!(SYS_pivot_root), ForNesting, "changes the view of the file system"),
    denied(call!(SYS_chroot), ForNesting, "changes the view of the file system"),
    denied(call!(SYS_move_mount), ForNesting, "changes the view of the file system"),
    denied(call!(SYS_open_tree), ForNesting, "a view of the file system without later masks"),
    denied(call!(SYS_fsopen), ForNesting, "changes the view of the file system"),
    denied(call!(SYS_fsconfig), ForNesting, "changes the view of the file system"),
    denied(call!(SYS_fsmount), ForNesting, "changes the view of the file system"),
    denied(call!(SYS_fspick), ForNesting, "changes the view of the file system"),
    denied(call!(SYS_mount_setattr), ForNesting, "could make a read-only mount writable"),
    denied(call!(SYS_open_by_handle_at), Shut, "opens by inode, past every mask"),
    denied(call!(SYS_name_to_handle_at), Shut, "prepares open_by_handle_at"),
    denied(call!(SYS_keyctl), Shut, "keys of the host's sessions"),
    denied(call!(SYS_add_key), Shut, "keys of the host's sessions"),
    denied(call!(SYS_request_key), Shut, "keys of the host's sessions"),
    denied(call!(SYS_bpf), Shut, "code in the kernel"),
    denied(call!(SYS_perf_event_open), Shut, "looks into the kernel and other processes"),
    denied(call!(SYS_userfaultfd), Shut, "holds the kernel at a chosen point"),
    denied(call!(SYS_kexec_load), Shut, "another kernel"),
    denied(call!(SYS_kexec_file_load), Shut, "another kernel"),
    denied(call!(SYS_init_module), Shut, "code in the kernel"),
    denied(call!(SYS_finit_module), Shut, "code in the kernel"),
    denied(call!(SYS_delete_module), Shut, "code in the kernel"),
    denied(call!(SYS_swapon), Shut, "the machine's memory"),
    denied(call!(SYS_swapoff), Shut, "the machine's memory"),
    denied(call!(SYS_reboot), Shut, "the machine"),
    denied(call!(SYS_acct), Shut, "writes a file for every process"),
    denied(call!(SYS_quotactl), Shut, "the file system's limits"),
    denied(call!(SYS_syslog), Shut, "the kernel's log"),
    // A process of the guest's may trace its own: debuggers do. There is no other to be traced, and init
    // is not dumpable; so ptrace is not here.
];

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

const fn when(
    (number, name): (c_long, &'static str),
    when: &'static [(u8, When)],
    door: Door,
    reason: &'static str,
) -> DeniedWhen {
    DeniedWhen { number, name, door, when, reason }
}

const DENIED_WHEN: &[DeniedWhen] = &[
    when(call!(SYS_ioctl), &[(1, Equals(TIOCSTI))], Shut, "types into the terminal"),
    when(call!(SYS_ioctl), &[(1, Equals(TIOCLINUX))], Shut, "pastes into the console"),
    when(call!(SYS_socket), &[(0, Equals(libc::AF_VSOCK as u64))], Shut, "the hypervisor is no namespace"),
    when(call!(SYS_socket), &[(0, Equals(libc::AF_PACKET as u64))], Shut, "raw frames"),
    when(call!(SYS_socket), &[(0, Equals(libc::AF_KEY as u64))], Shut, "keys of the kernel"),
    when(
        call!(SYS_socket),
        &[(0, Equals(libc::AF_NETLINK as u64)), (2, Differs(libc::NETLINK_ROUTE as u64))],
        Shut,
        "talks to parts of the kernel that few programs need; interfaces and routes can be asked for",
    ),
];

/// Flags that make or enter a namespace, for clone and unshare.
const NAMESPACE_FLAGS: [u64; 7] = [
    flag(libc::CLONE_NEWUSER),
    flag(libc::CLONE_NEWNS),
    flag(libc::CLONE_NEWCGROUP),
    flag(libc::CLONE_NEWUTS),
    flag(libc::CLONE_NEWIPC),
    flag(libc::CLONE_NEWPID),
    flag(libc::CLONE_NEWNET),
];
/// One more for unshare: of clone those bits are the exit signal.
const CLONE_NEWTIME: u64 = 0x80;

const fn flag(flag: libc::c_int) -> u64 {
    flag.cast_unsigned() as u64
}

/// What the launcher is asked about without being able to deny it for good: see `crate::notified`.
const WATCHED: [c_long; 3] = [libc::SYS_execve, libc::SYS_execveat, libc::SYS_connect];

/// What is to be said and answered when the launcher is asked about this call, if it is one of the denied.
pub(crate) fn denial(number: i32) -> Option<(&'static str, i32)> {
    let number = c_long::from(number);
    if number == ABSENT_ASKED.0 {
        return Some((plain_name(ABSENT_ASKED.1), ENOSYS));
    }
    let whole = DENIED.iter().map(|denied| (denied.number, denied.name));
    let some = DENIED_WHEN.iter().map(|denied| (denied.number, denied.name));
    let namespaces = [call!(SYS_clone), call!(SYS_unshare)];
    let (_, name) = whole.chain(some).chain(namespaces).find(|(own, _)| *own == number)?;
    Some((plain_name(name), EPERM))
}

/// The errno of a command that the policy blocks: what a program expects of one that may not be executed.
pub(crate) const BLOCKED_COMMAND: i32 = EACCES;

fn plain_name(name: &'static str) -> &'static str {
    name.strip_prefix("SYS_").unwrap_or(name)
}

#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "x86_64")]
const AUDIT_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: TargetArch = TargetArch::aarch64;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCHITECTURE: u32 = 0xc000_00b7;

/// The program to install, in both forms. Each filter costs its compilation at every start, so there is one:
/// the denials by the crate's assembler, and in front of it what goes by the number alone. Calls of another
/// architecture end the process.
///
/// # Errors
/// When the table cannot be compiled, which a test rules out.
pub(super) fn programs(nesting: Nesting) -> Result<Filters, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let closed = |door: Door| door == Shut || nesting == Nesting::Denied;
    for denied in DENIED.iter().filter(|denied| closed(denied.door)) {
        rules.insert(denied.number, Vec::new());
    }
    for denied in DENIED_WHEN.iter().filter(|denied| closed(denied.door)) {
        rules.entry(denied.number).or_default().push(rule(denied.when)?);
    }
    if nesting == Nesting::Denied {
        for number in [libc::SYS_clone, libc::SYS_unshare] {
            for flag in NAMESPACE_FLAGS {
                rules.entry(number).or_default().push(rule(&[(0, Has(flag))])?);
            }
        }
        rules.entry(libc::SYS_unshare).or_default().push(rule(&[(0, Has(CLONE_NEWTIME))])?);
    }
    let denied = SeccompAction::Errno(EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, ARCHITECTURE)?;
    let silent: BpfProgram = filter.try_into()?;
    // The assembler has no word for a question, so the answer is exchanged for it.
    let mut asking = silent.clone();
    for instruction in asking.iter_mut().filter(|instruction| instruction.code == RETURN) {
        if instruction.k == errno(EPERM) {
            instruction.k = libc::SECCOMP_RET_USER_NOTIF;
        }
    }
    Ok(Filters {
        asking: by_number(Watch::On).into_iter().chain(asking).collect(),
        silent: by_number(Watch::Off).into_iter().chain(silent).collect(),
    })
}

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

const fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number.cast_unsigned()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    On,
    Off,
}

/// What goes by the number alone. Asks about [`WATCHED`]; answers ENOSYS to the calls of [`ABSENT`], and on
/// x86-64 to all of the x32 table: a bit in the number selects it under the same architecture word, so every
/// rule by number would be passed by. A call of another architecture is left to what follows.
fn by_number(watch: Watch) -> Vec<sock_filter> {
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const X32_BIT: u32 = 0x4000_0000;
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let numbers = |calls: &[c_long]| -> Vec<u32> {
        calls.iter().filter_map(|number| u32::try_from(*number).ok()).collect()
    };
    let (mut asked, mut absent) =
        (Vec::new(), numbers(&ABSENT.iter().map(|call| call.0).collect::<Vec<_>>()));
    match watch {
        Watch::On => asked.extend(numbers(&[WATCHED.as_slice(), &[ABSENT_ASKED.0]].concat())),
        Watch::Off => absent.extend(numbers(&[ABSENT_ASKED.0])),
    }
    let x32 = if cfg!(target_arch = "x86_64") { X32_BIT } else { u32::MAX };
    // The tests, then what they jump to: on (by the last test), ask, deny.
    let tests = asked.len() + absent.len() + 1;
    let distance = |from: usize, answer: usize| u8::try_from(tests - from - 1 + answer).unwrap_or(u8::MAX);
    let (ask, deny) = (1, 2);
    let mut program = vec![
        instruction(LOAD, 0, 0, ARCH),
        instruction(JUMP_IF_EQUAL, 0, u8::try_from(tests + 1).unwrap_or(u8::MAX), AUDIT_ARCHITECTURE),
        instruction(LOAD, 0, 0, NUMBER),
    ];
    for (index, number) in asked.iter().enumerate() {
        program.push(instruction(JUMP_IF_EQUAL, distance(index, ask), 0, *number));
    }
    for (index, number) in absent.iter().enumerate() {
        program.push(instruction(JUMP_IF_EQUAL, distance(asked.len() + index, deny), 0, *number));
    }
    program.push(instruction(JUMP_IF_AT_LEAST, distance(tests - 1, deny), 0, x32));
    program.push(instruction(JUMP, 0, 0, 2));
    program.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    program.push(instruction(RETURN, 0, 0, errno(ENOSYS)));
    program
}

fn rule(when: &[(u8, When)]) -> Result<SeccompRule, BackendError> {
    let condition = |(argument, when): &(u8, When)| {
        let (operator, value) = match *when {
            Equals(value) => (SeccompCmpOp::Eq, value),
            Differs(value) => (SeccompCmpOp::Ne, value),
            Has(flag) => (SeccompCmpOp::MaskedEq(flag), flag),
        };
        // Of these arguments the kernel looks at the lower half only.
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operator, value)
    };
    SeccompRule::new(when.iter().map(condition).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
