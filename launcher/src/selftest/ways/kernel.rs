//! Ways through the kernel: privileges, namespaces, devices, calls that see past a mask.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketType, netlink, socket};

use super::{Way, act, shell};
use crate::sys::attempt::{self, TerminalRequest};

pub(super) const WAYS: &[Way] = &[
    act("new-privileges", "privileges by a setuid program", |_| {
        let status = fs::read_to_string("/proc/self/status")?;
        if status.contains("NoNewPrivs:\t0") { Ok(()) } else { Err(io::Error::other("no_new_privs is set")) }
    }),
    act("capabilities", "capabilities within reach", |_| {
        let status = fs::read_to_string("/proc/self/status")?;
        let empty = |name: &str| status.contains(&format!("{name}:\t0000000000000000"));
        if empty("CapBnd") && empty("CapEff") && empty("CapPrm") {
            return Err(io::Error::other("none, and none can come"));
        }
        Ok(())
    }),
    act("io-uring", "io_uring, whose operations no filter sees", |_| attempt::io_uring().map(drop)),
    act("keyring", "the session's keyring", |_| attempt::session_keyring().map(drop)),
    act("bpf", "code in the kernel", |_| attempt::bpf().map(drop)),
    act("userfaultfd", "userfaultfd", |_| attempt::userfaultfd().map(drop)),
    act("file-handle", "a file by its handle", |_| attempt::open_by_handle().map(drop)),
    act("vsock", "a socket to the hypervisor", |_| {
        Ok(socket(AddressFamily::from_raw(40), SocketType::STREAM, None).map(drop)?)
    }),
    act("packet", "a raw socket", |_| Ok(socket(AddressFamily::PACKET, SocketType::RAW, None).map(drop)?)),
    act("netlink-sockets", "the kernel's table of sockets, by netlink", |_| {
        Ok(socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::SOCK_DIAG)).map(drop)?)
    }),
    act("netlink-events", "the kernel's events of devices, by netlink", |_| {
        Ok(socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::KOBJECT_UEVENT)).map(drop)?)
    }),
    act("block-device", "the host's disk", |_| {
        for entry in fs::read_dir("/sys/class/block")?.flatten() {
            let device = std::path::Path::new("/dev").join(entry.file_name());
            if fs::File::open(device).is_ok() {
                return Ok(());
            }
        }
        Err(io::Error::other("no block device opens"))
    }),
    act("kernel-memory", "the kernel's memory", |_| {
        fs::File::open("/proc/kcore").or_else(|_| fs::File::open("/dev/mem")).map(drop)
    }),
    act("kernel-setting", "a setting of the kernel, written as it is", |_| {
        let path = "/proc/sys/kernel/core_pattern";
        fs::write(path, fs::read(path)?)
    }),
    act("kernel-log", "the kernel's log", |_| fs::File::open("/dev/kmsg").map(drop)),
    shell("user-namespace", "a user namespace, and so all capabilities", "unshare -Ur cat .env"),
    shell(
        "mount-namespace",
        "a mount namespace without masks",
        "unshare -Urm sh -c 'umount ./.env 2>/dev/null; cat .env'",
    ),
    shell("lift-mask", "the mask, unmounted", "umount ./.env 2>/dev/null; cat .env"),
    shell(
        "bind-project",
        "the project, bound elsewhere",
        "unshare -Urm sh -c 'mount --bind . /mnt && cat /mnt/.env'",
    ),
    shell("enter-parent", "the parent's namespaces", "nsenter -t $PPID -m -- cat \"$PWD/.env\""),
    shell("chroot", "another root", "unshare -Ur chroot / cat \"$PWD/.env\""),
    shell(
        "nested-overlay",
        "an overlay of the project",
        "unshare -Urm sh -c 'mkdir -p u w && mount -t overlay -o userxattr,lowerdir=.,upperdir=u,workdir=w x /mnt && cat /mnt/.env'",
    ),
    act("clone-namespace", "clone with a namespace", |_| attempt::clone_namespace().map(drop)),
    act("clone3-namespace", "clone3, whose flags no filter sees", |_| attempt::clone3_namespace().map(drop)),
    act("set-namespace", "setns, the bare call", |_| attempt::set_namespace().map(drop)),
    act("mount-call", "mount, the bare call", |_| attempt::mount().map(drop)),
    act("type-into-terminal", "the request that types into a terminal", |_| {
        attempt::terminal_request(TerminalRequest::Type).map(drop)
    }),
    act("paste-into-console", "the request that pastes on a console", |_| {
        attempt::terminal_request(TerminalRequest::Paste).map(drop)
    }),
    shell(
        "pivot-root",
        "pivot_root, below which the old root lies without masks",
        "unshare -Urm sh -c 'mkdir -p new && mount -t tmpfs none new && mkdir new/old && here=$PWD && pivot_root new new/old && while read -r line; do echo \"$line\"; done < /old$here/.env'",
    ),
    act("i386", "calls by the numbers of 32-bit programs", |_| {
        let status = Command::new("./prober").arg("i386").stdin(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
    }),
    act("x32", "calls by the numbers of x32", |_| attempt::by_x32().map(drop)),
    act("nested-user-namespace", "unshare, the bare call", |_| attempt::new_user_namespace().map(drop)),
];
