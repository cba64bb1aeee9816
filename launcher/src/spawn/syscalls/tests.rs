//! The filter, run by a small interpreter of the instructions that it is made of.

use super::*;

/// What a call gets.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Asked,
    Errno(i32),
    Killed,
}

fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> Verdict {
    let mut data = number.to_ne_bytes().to_vec();
    data.extend(architecture.to_ne_bytes());
    data.extend(0u64.to_ne_bytes());
    arguments.iter().for_each(|argument| data.extend(argument.to_ne_bytes()));
    let (mut at, mut word) = (0, 0u32);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let branch = |taken: bool| usize::from(if taken { jt } else { jf });
        match code {
            LOAD => word = u32::from_ne_bytes(data[k as usize..][..4].try_into().expect("in the data")),
            0x54 => word &= k,
            JUMP => at += k as usize,
            JUMP_IF_EQUAL => at += branch(word == k),
            JUMP_IF_AT_LEAST => at += branch(word >= k),
            0x25 => at += branch(word > k),
            RETURN if k == libc::SECCOMP_RET_ALLOW => return Verdict::Allowed,
            RETURN if k == libc::SECCOMP_RET_USER_NOTIF => return Verdict::Asked,
            RETURN if k == libc::SECCOMP_RET_KILL_PROCESS => return Verdict::Killed,
            RETURN => return Verdict::Errno((k & 0xffff).cast_signed()),
            other => panic!("an instruction {other:#x} that is not in the interpreter"),
        }
    }
}

fn here(program: &[sock_filter], number: c_long, arguments: &[u64]) -> Verdict {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    run(program, AUDIT_ARCHITECTURE, u32::try_from(number).expect("a number"), all)
}

#[test]
fn every_line_has_a_reason_and_stands_once() {
    assert!(ABSENT.iter().all(|absent| !absent.1.is_empty()));
    assert!(DENIED.iter().all(|denied| !denied.reason.is_empty()));
    assert!(DENIED_WHEN.iter().all(|denied| !denied.reason.is_empty()));
    let mut numbers: Vec<_> = DENIED.iter().map(|denied| denied.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), DENIED.len());
}

#[test]
fn each_call_gets_its_answer() {
    let filters = programs(Nesting::Denied).expect("it compiles");
    let (netlink, inet) = (libc::AF_NETLINK as u64, libc::AF_INET as u64);
    let fork = libc::SIGCHLD as u64;
    for (number, arguments, asking, silent) in [
        (libc::SYS_read, vec![], Verdict::Allowed, Verdict::Allowed),
        (libc::SYS_openat, vec![], Verdict::Allowed, Verdict::Allowed),
        (libc::SYS_sendmsg, vec![], Verdict::Allowed, Verdict::Allowed),
        (libc::SYS_ptrace, vec![], Verdict::Allowed, Verdict::Allowed),
        (libc::SYS_execve, vec![], Verdict::Asked, Verdict::Allowed),
        (libc::SYS_execveat, vec![], Verdict::Asked, Verdict::Allowed),
        (libc::SYS_connect, vec![], Verdict::Asked, Verdict::Allowed),
        (libc::SYS_clone3, vec![], Verdict::Errno(ENOSYS), Verdict::Errno(ENOSYS)),
        (libc::SYS_io_uring_setup, vec![], Verdict::Asked, Verdict::Errno(ENOSYS)),
        (libc::SYS_io_uring_enter, vec![], Verdict::Errno(ENOSYS), Verdict::Errno(ENOSYS)),
        (libc::SYS_mount, vec![], Verdict::Asked, Verdict::Errno(EPERM)),
        (libc::SYS_bpf, vec![], Verdict::Asked, Verdict::Errno(EPERM)),
        (libc::SYS_ioctl, vec![0, TIOCSTI], Verdict::Asked, Verdict::Errno(EPERM)),
        (libc::SYS_ioctl, vec![0, TIOCSTI | 1 << 32], Verdict::Asked, Verdict::Errno(EPERM)),
        (libc::SYS_ioctl, vec![0, 0x5413], Verdict::Allowed, Verdict::Allowed),
        (libc::SYS_socket, vec![netlink, 3, 0], Verdict::Allowed, Verdict::Allowed),
        (libc::SYS_socket, vec![netlink, 3, 9], Verdict::Asked, Verdict::Errno(EPERM)),
        (libc::SYS_socket, vec![inet, 3, 9], Verdict::Allowed, Verdict::Allowed),
        (libc::SYS_clone, vec![fork], Verdict::Allowed, Verdict::Allowed),
        (libc::SYS_clone, vec![fork | NAMESPACE_FLAGS[0]], Verdict::Asked, Verdict::Errno(EPERM)),
        (libc::SYS_unshare, vec![CLONE_NEWTIME], Verdict::Asked, Verdict::Errno(EPERM)),
        (libc::SYS_unshare, vec![flag(libc::CLONE_FILES)], Verdict::Allowed, Verdict::Allowed),
    ] {
        assert_eq!(here(&filters.asking, number, &arguments), asking, "{number} {arguments:?}");
        assert_eq!(here(&filters.silent, number, &arguments), silent, "{number} {arguments:?}");
    }
}

#[test]
fn other_tables_of_calls_are_shut() {
    let filters = programs(Nesting::Denied).expect("it compiles");
    for filter in [&filters.asking, &filters.silent] {
        // 32-bit x86 has other numbers: 59 is not execve there, and nothing of it is asked about.
        for number in [0, 11, 59, 425] {
            assert_eq!(run(filter, 0x4000_0003, number, [0; 6]), Verdict::Killed);
        }
        #[cfg(target_arch = "x86_64")]
        for number in [0, 59, 0x208] {
            let x32 = 0x4000_0000 | number;
            assert_eq!(run(filter, AUDIT_ARCHITECTURE, x32, [0; 6]), Verdict::Errno(ENOSYS));
        }
    }
}

#[test]
fn a_sandbox_inside_gets_what_it_needs_and_no_more() {
    let filters = programs(Nesting::Allowed).expect("it compiles");
    for (number, arguments) in [
        (libc::SYS_mount, vec![]),
        (libc::SYS_pivot_root, vec![]),
        (libc::SYS_unshare, vec![NAMESPACE_FLAGS[0]]),
        (libc::SYS_clone, vec![NAMESPACE_FLAGS[5]]),
    ] {
        assert_eq!(here(&filters.asking, number, &arguments), Verdict::Allowed, "{number}");
    }
    for number in [libc::SYS_open_by_handle_at, libc::SYS_bpf, libc::SYS_keyctl] {
        assert_eq!(here(&filters.asking, number, &[]), Verdict::Asked, "{number}");
    }
}

#[test]
fn whatever_is_asked_about_has_an_answer() {
    let filters = programs(Nesting::Denied).expect("it compiles");
    for number in 0..600 {
        let asked = here(&filters.asking, number, &[]) == Verdict::Asked;
        let known = WATCHED.contains(&number) || denial(i32::try_from(number).expect("small")).is_some();
        assert!(!asked || known, "nobody answers {number}");
    }
    assert_eq!(denial(i32::try_from(libc::SYS_mount).expect("small")), Some(("mount", EPERM)));
    assert_eq!(denial(0), None);
}
