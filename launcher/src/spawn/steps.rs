//! Owns the set-up child: each step consumes the one before, and only the last has `exec`.
//!
//! Runs between clone and exec: no allocation, no log; a failure is a step, an errno and, where one
//! helps, a path, and goes up the control socket. The order is the point of this file; each step says
//! why it stands where it does.
#![expect(
    clippy::result_large_err,
    reason = "a failure carries its path by value: nothing may be allocated here"
)]

use std::convert::Infallible;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};

use super::covers;
use super::doors;
use super::home::{self, Tools};
use super::ids::{self, MappedBy};
use super::overlay;
use super::prepared::{ChildStream, HomeStep, Prepared, Step};
use super::report::{Failure, Handed, Place, send_listener, send_ready};
use super::tripwire;
use crate::guest;
use crate::sys::mount::{Change, Reach};
use crate::sys::{descriptors, loopback, mount, privileges, process, seccomp};

use shieldrun_policy::plan::{Cover, Tier};

type Done<T> = Result<T, Failure>;

/// At most this many kept directories and overlays; more is a plan nobody makes.
const TREES: usize = 256;

/// In the new namespaces, with the identity of nobody, and bound to the launcher's life.
struct Entered<'a> {
    prepared: &'a Prepared<'a>,
    control: BorrowedFd<'a>,
}

/// With the user's own uid and gid, and all capabilities over the new namespaces.
struct Mapped<'a>(Entered<'a>);

/// With the view of the file system, but nothing masked yet.
struct Mounted<'a> {
    entered: Entered<'a>,
    handed: Handed<OwnedFd>,
    /// Whether the masks that tell are mounted.
    wired: bool,
}

/// With every secret file covered.
struct Masked<'a>(Entered<'a>, Handed<OwnedFd>);

/// With descriptors, terminal and directory as the command gets them, and without privileges.
struct Confined<'a>(Entered<'a>);

/// Everything from clone to exec. Returns only on failure.
pub(super) fn run(prepared: &Prepared<'_>, control: BorrowedFd<'_>) -> Failure {
    let result = match prepared.tier {
        Tier::Full => enter(prepared, control)
            .and_then(Entered::map)
            .and_then(Mapped::mount)
            .and_then(Mounted::mask)
            .and_then(Masked::confine)
            .and_then(Confined::exec),
        // Without namespaces there is nothing to mount; shim and init lie in the run's own directory.
        Tier::Landlock | Tier::Preload => enter(prepared, control)
            .and_then(|entered| Masked(entered, Handed::default()).confine())
            .and_then(Confined::exec),
    };
    match result {
        Err(failure) => failure,
        Ok(never) => match never {},
    }
}

/// First of all: if the launcher dies from here on, so do we. A launcher that died before this line has
/// closed its end of the socket; nobody would answer for the masks that tell, and we would wait for ever.
fn enter<'a>(prepared: &'a Prepared<'a>, control: BorrowedFd<'a>) -> Done<Entered<'a>> {
    privileges::die_with_parent().map_err(Place::Session.failed())?;
    let mut polled = [PollFd::from_borrowed_fd(control, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_err(Place::Session.failed())?;
    if polled.iter().any(|polled| polled.revents().contains(PollFlags::HUP)) {
        return Err(Failure::new(Place::Session, libc::ESRCH));
    }
    rustix::process::setsid().map_err(Place::Session.failed())?;
    Ok(Entered { prepared, control })
}

impl<'a> Entered<'a> {
    /// Before any mount: until the maps are written every file we make belongs to nobody.
    /// `setgroups` must be denied first, or an unprivileged process may not write a gid map. When memory
    /// runs out it is the run that the kernel should end, not the user's other work.
    fn map(self) -> Done<Mapped<'a>> {
        privileges::own_proc_files().map_err(Place::UserMap.failed())?;
        let is_mapped = self.prepared.mapped_by == MappedBy::Launcher
            && ids::await_maps(self.control).map_err(Place::UserMap.failed())?;
        if !is_mapped {
            write_file(c"/proc/self/uid_map", &self.prepared.uid_map).map_err(Place::UserMap.failed())?;
            let denied = write_file(c"/proc/self/setgroups", b"deny");
            denied.map_err(Place::UserMap.failed())?;
            write_file(c"/proc/self/gid_map", &self.prepared.gid_map).map_err(Place::UserMap.failed())?;
        }
        let _ = write_file(c"/proc/self/oom_score_adj", b"500");
        loopback::up().map_err(Place::Loopback.failed())?;
        // Routes and low ports need the capabilities that are given up later.
        if let Some(doors) = self.prepared.doors {
            doors::make(doors, self.control).map_err(Place::Doors.failed())?;
        }
        Ok(Mapped(self))
    }
}

impl<'a> Mapped<'a> {
    /// Kept trees are cloned and overlays made first, while the host's view is whole: a private `/tmp`
    /// may lie over one of them a moment later. Propagation is cut before that, so that no clone is in a
    /// peer group.
    fn mount(self) -> Done<Mounted<'a>> {
        let prepared = self.0.prepared;
        let steps = &prepared.mounts;
        mount::change(CWD, c"/", Change::Private, Reach::Tree).map_err(Place::Root.failed())?;
        let mut trees = [const { None }; TREES];
        let mut handed = Handed::default();
        let mut slots = trees.iter_mut();
        let mut put = |tree| {
            *slots.next().ok_or(Failure::new(Place::Keep, libc::E2BIG))? = Some(tree);
            Ok(())
        };
        for step in steps {
            match step {
                Step::Keep { at, .. } => put(clone_tree(CWD, at).map_err(Place::Keep.failed_at(at))?)?,
                Step::Overlay { at, pinned, .. } => {
                    let made =
                        overlay::make(pinned, &prepared.memory_size).map_err(Place::Overlay.failed_at(at))?;
                    handed.upper = made.upper;
                    put(made.tree)?;
                }
                Step::Home(step) => {
                    let made = home::make(step, &prepared.memory_size, &mut put)?;
                    handed.tools_are_shared = made.tools == Tools::ReadOnly;
                    handed.spent = made.spent;
                }
                _ => {}
            }
        }
        for mask in self.0.prepared.masks.iter().filter(|mask| matches!(mask.cover, Cover::Host { .. })) {
            let tree = clone_tree(CWD, &mask.source).map_err(Place::Mask.failed_at(&mask.source))?;
            mask.tree.replace(Some(tree));
        }
        let mut trees = trees.into_iter().flatten();
        let mut device = tripwire::open(prepared);
        let mut wired = false;
        for step in steps {
            match step {
                Step::Root => {
                    mount::change(CWD, c"/", Change::ReadOnly, Reach::Tree).map_err(Place::Root.failed())?;
                }
                Step::Private { at, options } => {
                    rustix::mount::mount(
                        c"tmpfs",
                        at.as_c_str(),
                        c"tmpfs",
                        MountFlags::NOSUID | MountFlags::NODEV,
                        options.as_c_str(),
                    )
                    .map_err(Place::Private.failed_at(at))?;
                }
                Step::Proc => mount_proc(prepared)?,
                Step::Devices => mount_devices()?,
                Step::Keep { at, writable, parents } => {
                    let tree = trees.next().ok_or(Failure::new(Place::Keep, libc::E2BIG))?;
                    make_directories(parents);
                    let change = if *writable { Change::Restricted } else { Change::ReadOnly };
                    mount::change(tree.as_fd(), c"", change, Reach::Tree)
                        .map_err(Place::Keep.failed_at(at))?;
                    attach(&tree, at).map_err(Place::Keep.failed_at(at))?;
                }
                Step::Overlay { at, parents, .. } => {
                    let tree = trees.next().ok_or(Failure::new(Place::Overlay, libc::E2BIG))?;
                    make_directories(parents);
                    attach(&tree, at).map_err(Place::Overlay.failed_at(at))?;
                }
                Step::Home(HomeStep { at, parents, .. }) => {
                    let tree = trees.next().ok_or(Failure::new(Place::Home, libc::E2BIG))?;
                    make_directories(parents);
                    attach(&tree, at).map_err(Place::Home.failed_at(at))?;
                }
                Step::Tool { at } => {
                    let tree = trees.next().ok_or(Failure::new(Place::Home, libc::E2BIG))?;
                    attach(&tree, at).map_err(Place::Home.failed_at(at))?;
                }
                Step::Directory { parents } => make_directories(parents),
                Step::Guest => {
                    let guest = covers::mount(self.0.prepared, self.0.control, device.take())?;
                    (handed.ring, handed.agent, wired) = (Some(guest.ring), guest.agent, guest.wired);
                }
            }
        }
        Ok(Mounted { entered: self.0, handed, wired })
    }
}

impl<'a> Mounted<'a> {
    /// After every mount: a mask beneath a tree that is mounted later would lie under it.
    /// The target is resolved without following any link: what the inventory saw is what is covered.
    fn mask(self) -> Done<Masked<'a>> {
        if self.wired {
            tripwire::meet_the_nodes();
        }
        for mask in &self.entered.prepared.masks {
            covers::put(mask, self.wired).map_err(Place::Mask.failed_at(&mask.at))?;
        }
        if self.wired {
            tripwire::hide().map_err(Place::Mask.failed_at(guest::TRIPWIRE_C))?;
        }
        Ok(Masked(self.entered, self.handed))
    }
}

impl<'a> Masked<'a> {
    /// Enters the working directory afresh, so that it is inside; puts the streams in place; tells the
    /// launcher; and gives up every privilege. Capabilities go last: terminal and mounts needed them.
    fn confine(self) -> Done<Confined<'a>> {
        let Masked(entered, mut handed) = self;
        let prepared = entered.prepared;
        rustix::process::chdir(prepared.working_directory.as_c_str())
            .map_err(Place::WorkingDirectory.failed_at(&prepared.working_directory))?;
        handed.terminal = place_streams(prepared)?;
        send_ready(entered.control, &handed.borrowed()).map_err(Place::Ready.failed())?;
        drop(handed);
        let number = prepared.control_number;
        descriptors::place(entered.control, number).map_err(Place::Descriptors.failed())?;
        descriptors::close_on_exec_from(3).map_err(Place::Descriptors.failed())?;
        for &kept in prepared.kept.iter().chain([&number]) {
            descriptors::set_close_on_exec(kept, false).map_err(Place::Descriptors.failed())?;
        }
        for (resource, limit) in &prepared.rlimits {
            rustix::process::setrlimit(*resource, *limit).map_err(Place::Privileges.failed())?;
        }
        let proof = privileges::forbid_new_privileges().map_err(Place::Privileges.failed())?;
        if prepared.tier != Tier::Preload {
            // Outside a namespace of our own only root has any, and only root may drop them.
            if prepared.tier.has_namespaces() || prepared.superuser {
                privileges::drop_capabilities(&proof).map_err(Place::Privileges.failed())?;
            }
            if let Some(wall) = &prepared.wall {
                wall.enforce(&proof)?;
            }
            if !prepared.shared.is_empty() {
                privileges::install_filter(&proof, &prepared.shared).map_err(Place::Filter.failed())?;
            }
            install_filter(&proof, &entered)?;
        }
        Ok(Confined(entered))
    }
}

impl Confined<'_> {
    /// Init starts with a clean address space and the synthetic environment.
    fn exec(self) -> Done<Infallible> {
        let prepared = self.0.prepared;
        let argv = process::ExecList::new(prepared.argv.iter().map(|word| word.as_c_str()));
        let envp = process::ExecList::new(prepared.envp.iter().map(|word| word.as_c_str()));
        prepared.inherited.restore();
        let error = process::execute(&prepared.init_path, &argv, &envp);
        Err(Place::Init.failed()(error))
    }
}

/// From here on the launcher is asked about every exec, so it must have the listener before the next one. The
/// call that hands it over is none of those that are asked about.
fn install_filter(proof: &privileges::NoNewPrivs, entered: &Entered<'_>) -> Done<()> {
    let filters = &entered.prepared.filters;
    // Who answers must look into a process that is not dumpable, and only the maker of its user namespace may.
    if !entered.prepared.tier.has_namespaces() {
        privileges::install_filter(proof, &filters.silent).map_err(Place::Filter.failed())?;
        return send_listener(entered.control, None).map_err(Place::Filter.failed());
    }
    let listener = match seccomp::install_with_listener(proof, &filters.asking) {
        Ok(listener) => Some(listener),
        // A filter above us has a listener already, and a tree of processes can have one only.
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
            privileges::install_filter(proof, &filters.silent).map_err(Place::Filter.failed())?;
            None
        }
        Err(error) => return Err(Place::Filter.failed()(error)),
    };
    send_listener(entered.control, listener.as_ref()).map_err(Place::Filter.failed())
}

/// `/proc` of the new pid namespace. For uid 0 the kernel lets the owner of a sysctl write it without
/// any capability, so those parts are made read-only.
fn mount_proc(prepared: &Prepared<'_>) -> Done<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(c"proc", c"/proc", c"proc", flags, None).map_err(Place::Proc.failed())?;
    if let Some(most) = &prepared.pid_max {
        // Where it cannot be had the watch is alone.
        let _ = write_file(c"/proc/sys/kernel/pid_max", most);
    }
    if prepared.superuser {
        for part in [c"/proc/sys", c"/proc/sysrq-trigger", c"/proc/irq", c"/proc/bus", c"/proc/fs"] {
            let tree = match clone_tree(CWD, part) {
                // Not every kernel has every part.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
                other => other.map_err(Place::Proc.failed_at(part))?,
            };
            mount::change(tree.as_fd(), c"", Change::ReadOnly, Reach::One)
                .map_err(Place::Proc.failed_at(part))?;
            attach(&tree, part).map_err(Place::Proc.failed_at(part))?;
        }
    }
    Ok(())
}

/// A tmpfs with the devices that are harmless and the links that programs expect.
fn mount_devices() -> Done<()> {
    const DEVICES: [&CStr; 6] =
        [c"/dev/null", c"/dev/zero", c"/dev/full", c"/dev/random", c"/dev/urandom", c"/dev/tty"];
    const LINKS: [(&CStr, &CStr); 5] = [
        (c"/proc/self/fd", c"/dev/fd"),
        (c"/proc/self/fd/0", c"/dev/stdin"),
        (c"/proc/self/fd/1", c"/dev/stdout"),
        (c"/proc/self/fd/2", c"/dev/stderr"),
        (c"pts/ptmx", c"/dev/ptmx"),
    ];
    let mut trees: [Option<OwnedFd>; DEVICES.len()] = Default::default();
    for (slot, device) in trees.iter_mut().zip(DEVICES) {
        *slot = Some(clone_tree(CWD, device).map_err(Place::Devices.failed_at(device))?);
    }
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount(c"tmpfs", c"/dev", c"tmpfs", flags, c"mode=0755,size=64k")
        .map_err(Place::Devices.failed())?;
    for (tree, device) in trees.iter().flatten().zip(DEVICES) {
        create(device, Mode::from_raw_mode(0o666)).map_err(Place::Devices.failed_at(device))?;
        attach(tree, device).map_err(Place::Devices.failed_at(device))?;
    }
    for (target, link) in LINKS {
        rustix::fs::symlink(target, link).map_err(Place::Devices.failed_at(link))?;
    }
    for directory in [c"/dev/pts", c"/dev/shm"] {
        rustix::fs::mkdir(directory, Mode::from_raw_mode(0o755))
            .map_err(Place::Devices.failed_at(directory))?;
    }
    rustix::mount::mount(c"devpts", c"/dev/pts", c"devpts", flags, c"newinstance,ptmxmode=0666,mode=620")
        .map_err(Place::Devices.failed_at(c"/dev/pts"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount(c"tmpfs", c"/dev/shm", c"tmpfs", flags, c"mode=1777")
        .map_err(Place::Devices.failed_at(c"/dev/shm"))?;
    mount::change(CWD, c"/dev", Change::ReadOnly, Reach::One).map_err(Place::Devices.failed())
}

/// Puts pipes, null or the terminal on 0, 1, 2; gives the terminal's master when one was made.
/// The terminal comes from the guest's own devpts, so `ttyname` works inside.
fn place_streams(prepared: &Prepared<'_>) -> Done<Option<OwnedFd>> {
    let wants = |stream: &ChildStream<'_>| matches!(stream, ChildStream::Terminal);
    let terminal = if prepared.streams.iter().any(wants) {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master =
            rustix::fs::open(c"/dev/ptmx", flags, Mode::empty()).map_err(Place::Terminal.failed())?;
        rustix::pty::unlockpt(&master).map_err(Place::Terminal.failed())?;
        let slave = rustix::pty::ioctl_tiocgptpeer(
            &master,
            rustix::pty::OpenptFlags::RDWR
                | rustix::pty::OpenptFlags::NOCTTY
                | rustix::pty::OpenptFlags::CLOEXEC,
        )
        .map_err(Place::Terminal.failed())?;
        rustix::process::ioctl_tiocsctty(&slave).map_err(Place::Terminal.failed())?;
        Some((master, slave))
    } else {
        None
    };
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(Place::Streams.failed())?;
    for (number, stream) in (0..).zip(&prepared.streams) {
        let source = match stream {
            ChildStream::Pipe(descriptor) => *descriptor,
            ChildStream::Null => null.as_fd(),
            ChildStream::Terminal => terminal.as_ref().map_or(null.as_fd(), |(_, slave)| slave.as_fd()),
        };
        descriptors::place(source, number).map_err(Place::Streams.failed())?;
    }
    Ok(terminal.map(|(master, _)| master))
}

pub(super) fn clone_tree(directory: BorrowedFd<'_>, path: &CStr) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    Ok(rustix::mount::open_tree(directory, path, flags)?)
}

pub(super) fn attach(tree: &OwnedFd, at: &CStr) -> io::Result<()> {
    Ok(rustix::mount::move_mount(tree.as_fd(), c"", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Makes what is missing; an error shows itself at the mount that needs the directory.
fn make_directories(parents: &[std::ffi::CString]) {
    for path in parents {
        let _ = rustix::fs::mkdir(path.as_c_str(), Mode::from_raw_mode(0o755));
    }
}

pub(super) fn create(path: &CStr, mode: Mode) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, path, flags, mode)?;
    // The umask is the user's, and is left as it is.
    rustix::fs::fchmod(&file, mode)?;
    Ok(file)
}

fn write_file(path: &CStr, content: &[u8]) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    write_all(&file, content)
}

pub(super) fn write_all(file: &OwnedFd, mut content: &[u8]) -> io::Result<()> {
    while !content.is_empty() {
        match rustix::io::write(file, content) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => content = content.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
