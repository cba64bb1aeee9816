//! Owns the plan in the form the kernel takes it: NUL-terminated strings and numbers.
//!
//! Made before clone, so that the set-up child only makes system calls: it does not allocate, and
//! what can be refused (a path with a NUL in it) is refused while there is somebody to tell.

use std::cell::RefCell;
use std::ffi::{CString, NulError};
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

use rustix::process::{Resource, Rlimit, getrlimit};
use seccompiler::{BackendError, BpfProgram};
use shieldrun_policy::plan::{Access, Bounds, Bytes, Cover, Doors, Mount, Plan, SshAgent, Tier};

use super::ids::MappedBy;
use super::landlock::Wall;
use super::skeleton::{self, Point};
use super::syscalls::Filters;
use super::{shared, syscalls, tripwire};
use crate::guest::{self, GuestFiles};
use crate::inventory::path::contains;
use crate::inventory::sockets;
use crate::layers::{Pinned, PinnedHome, Pins};
use crate::limits;
use crate::sys::signals::InheritedSignals;
use crate::sys::version;
use crate::tripwire::is_wired;

/// What one of the descriptors 0, 1, 2 becomes inside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChildStream<'a> {
    /// The guest's own terminal.
    Terminal,
    /// The guest's `/dev/null`.
    Null,
    /// Our end of a pipe.
    Pipe(BorrowedFd<'a>),
}

/// The plan, ready for system calls.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(super) tier: Tier,
    pub(super) mapped_by: MappedBy,
    pub(super) uid_map: Vec<u8>,
    pub(super) gid_map: Vec<u8>,
    pub(super) superuser: bool,
    /// The doors to the network, where there are any.
    pub(super) doors: Option<&'a Doors>,
    /// The ssh-agent inside, where there is one.
    pub(super) ssh_agent: Option<&'a SshAgent>,
    pub(super) mounts: Vec<Step<'a>>,
    /// What the kernel holds each process to.
    pub(super) rlimits: Vec<(Resource, Rlimit)>,
    /// Bounds the pid namespace as a whole, root too.
    pub(super) pid_max: Option<Vec<u8>>,
    /// Size of an overlay's layer, where that is in memory.
    pub(super) memory_size: CString,
    pub(super) masks: Vec<MaskStep<'a>>,
    pub(super) tripwire_options: Vec<u8>,
    pub(super) table: &'a [u8],
    pub(super) guest_options: CString,
    pub(super) working_directory: CString,
    pub(super) streams: [ChildStream<'a>; 3],
    pub(super) kept: &'a [i32],
    pub(super) control_number: RawFd,
    pub(super) init_path: CString,
    pub(super) inherited: InheritedSignals,
    pub(super) argv: Vec<CString>,
    pub(super) envp: Vec<CString>,
    pub(super) wall: Option<Wall>,
    /// Empty where namespaces hide what is shared.
    pub(super) shared: BpfProgram,
    pub(super) filters: Filters,
}

/// A mount of the plan.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Root,
    Private {
        at: CString,
        options: CString,
    },
    Proc,
    Devices,
    Keep {
        at: CString,
        writable: bool,
        parents: Vec<CString>,
    },
    Overlay {
        at: CString,
        parents: Vec<CString>,
        pinned: &'a Pinned,
    },
    Home(HomeStep<'a>),
    /// One of the home's, cloned with it.
    Tool {
        at: CString,
    },
    Directory {
        parents: Vec<CString>,
    },
    Guest,
}

/// The private home and its toolchains.
#[derive(Debug)]
pub(super) struct HomeStep<'a> {
    pub(super) at: CString,
    pub(super) parents: Vec<CString>,
    pub(super) pinned: &'a PinnedHome,
    pub(super) points: Vec<Point<'a>>,
    /// In the order of the `Tool` steps, which follow.
    pub(super) tools: Vec<CString>,
}

/// A mask of the plan.
#[derive(Debug)]
pub(super) struct MaskStep<'a> {
    pub(super) at: CString,
    /// Its source: a name below the guest directory, or a path of the host.
    pub(super) source: CString,
    /// Its node in the mount of the masks that tell, where it is to be one of those.
    pub(super) node: Option<CString>,
    pub(super) cover: &'a Cover,
    /// Of no harm when it is gone before it is covered: a socket that nobody is bound to any more.
    pub(super) may_vanish: bool,
    /// A source of the host, cloned while its view is whole; one that stays writable, before the others are not.
    pub(super) tree: RefCell<Option<OwnedFd>>,
}

impl<'a> Prepared<'a> {
    /// Turns `plan` into system call arguments.
    ///
    /// # Errors
    /// When a path or an argument holds a NUL byte.
    pub(crate) fn new(
        plan: &'a Plan,
        table: &'a [u8],
        pins: &'a Pins,
        streams: [ChildStream<'a>; 3],
        files: &GuestFiles,
        inherited: InheritedSignals,
    ) -> Result<Self, PrepareError> {
        let control_number = (3..).find(|number| !plan.kept_descriptors.contains(number)).unwrap_or(3);
        let mut argv = vec![CString::from(c"shieldrun-init"), CString::new(control_number.to_string())?];
        for word in &plan.command {
            argv.push(c_string(word)?);
        }
        Ok(Self {
            tier: plan.tier,
            mapped_by: match plan.uid {
                0 if plan.tier.has_namespaces() => MappedBy::Launcher,
                _ => MappedBy::Child,
            },
            uid_map: format!("{0} {0} 1", plan.uid).into_bytes(),
            gid_map: format!("{0} {0} 1", plan.gid).into_bytes(),
            superuser: plan.uid == 0,
            doors: plan.doors.as_ref(),
            ssh_agent: plan.ssh_agent.as_ref(),
            rlimits: rlimits(&plan.bounds),
            pid_max: pid_max(plan),
            memory_size: match plan.bounds.disk {
                Some(bytes) => CString::new(bytes.to_string())?,
                None => CString::from(c"50%"),
            },
            mounts: steps(plan, pins)?,
            masks: plan
                .masks
                .iter()
                .enumerate()
                .map(|(index, mask)| {
                    let source = match &mask.cover {
                        Cover::Host { source } => c_string(source)?,
                        _ => CString::new(format!("{}/m{index}", guest::DIRECTORY))?,
                    };
                    let wired = is_wired(plan, mask);
                    let node = wired.then(|| tripwire::node_path(index)).transpose()?;
                    let (at, tree) = (c_string(&mask.at)?, RefCell::new(None));
                    let may_vanish = mask.rule == sockets::RULE;
                    Ok(MaskStep { at, source, node, cover: &mask.cover, may_vanish, tree })
                })
                .collect::<Result<_, NulError>>()?,
            tripwire_options: tripwire::options(plan.uid, plan.gid),
            wall: Wall::around(plan)?,
            shared: match plan.tier {
                Tier::Landlock => shared::program()?,
                Tier::Full | Tier::Preload => BpfProgram::new(),
            },
            filters: match plan.tier {
                Tier::Full | Tier::Landlock => syscalls::programs(plan.nesting)?,
                Tier::Preload => Filters::default(),
            },
            table,
            guest_options: CString::new(format!("mode=0755,size={}", guest_size(plan, table)))?,
            working_directory: c_string(&plan.working_directory)?,
            streams,
            kept: &plan.kept_descriptors,
            control_number,
            init_path: CString::new(files.init().into_os_string().into_vec())?,
            inherited,
            argv,
            envp: plan
                .environment
                .iter()
                .map(|variable| c_string(&variable.entry))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Why a plan cannot be carried out.
#[derive(Debug)]
pub(crate) enum PrepareError {
    /// A path or an argument has a NUL in it.
    Nul(NulError),
    /// The table of system calls cannot be compiled.
    Filter(BackendError),
}

impl From<NulError> for PrepareError {
    fn from(error: NulError) -> Self {
        Self::Nul(error)
    }
}

impl From<BackendError> for PrepareError {
    fn from(error: BackendError) -> Self {
        Self::Filter(error)
    }
}

impl fmt::Display for PrepareError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul(_) => write!(out, "a path or an argument has a NUL byte in it"),
            Self::Filter(_) => write!(out, "cannot compile the filter of system calls"),
        }
    }
}

impl std::error::Error for PrepareError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Nul(error) => Some(error),
            Self::Filter(error) => Some(error),
        }
    }
}

fn steps<'a>(plan: &'a Plan, pins: &'a Pins) -> Result<Vec<Step<'a>>, NulError> {
    let home = plan.home().zip(pins.home.as_ref());
    let is_tool =
        |at: &Bytes| *at != plan.workspace && home.is_some_and(|(home, _)| contains(&home.0, &at.0));
    let mut steps = Vec::new();
    for mount in &plan.mounts {
        steps.push(match mount {
            Mount::Root => Step::Root,
            Mount::Private { at, mode } => {
                Step::Private { at: c_string(at)?, options: CString::new(format!("mode={mode:o}"))? }
            }
            Mount::Proc => Step::Proc,
            Mount::Devices => Step::Devices,
            Mount::Keep { at, access } => Step::Keep {
                at: c_string(at)?,
                writable: *access == Access::ReadWrite,
                parents: with_parents(at)?,
            },
            Mount::Home { at, .. } => {
                let Some((_, pinned)) = home else { continue };
                let tools = plan.mounts.iter().filter_map(|mount| match mount {
                    Mount::Overlay { at, .. } if is_tool(at) => Some(c_string(at)),
                    _ => None,
                });
                Step::Home(HomeStep {
                    at: c_string(at)?,
                    parents: with_parents(at)?,
                    pinned,
                    points: skeleton::points(plan, at)?,
                    tools: tools.collect::<Result<_, _>>()?,
                })
            }
            Mount::Overlay { at, .. } if is_tool(at) => Step::Tool { at: c_string(at)? },
            Mount::Overlay { at, .. } => {
                let Some(pinned) = &pins.workspace else { continue };
                Step::Overlay { at: c_string(at)?, parents: with_parents(at)?, pinned }
            }
            // Part of the home's own step.
            Mount::Copy { .. } | Mount::Link { .. } => continue,
            Mount::Directory { at } => Step::Directory { parents: with_parents(at)? },
            Mount::Guest => Step::Guest,
        });
    }
    Ok(steps)
}

/// `/a`, `/a/b`, `/a/b/c` of `/a/b/c`: what may have to be made where a private mount hides it.
fn with_parents(path: &Bytes) -> Result<Vec<CString>, NulError> {
    let bytes = &path.0;
    let ends = (1..bytes.len()).filter(|&at| bytes[at] == b'/').chain([bytes.len()]);
    ends.map(|end| CString::new(&bytes[..end])).collect()
}

/// Room on the guest tmpfs: what we put there, each file in whole pages, and a little for the inodes.
fn guest_size(plan: &Plan, table: &[u8]) -> usize {
    const PAGE: usize = 4096;
    // What git notes down in a run, with room to spare.
    const SCRATCH: usize = 1 << 20;
    let pages = |length: usize| length.div_ceil(PAGE) * PAGE;
    let masks: usize = plan
        .masks
        .iter()
        .map(|mask| match &mask.cover {
            Cover::Synthetic { content, .. } => pages(content.len()),
            Cover::Scratch { content, .. } => pages(content.len()) + SCRATCH,
            Cover::BlockedFile | Cover::BlockedDirectory | Cover::Host { .. } => 0,
        })
        .sum();
    masks
        + pages(plan.ssh_agent.as_ref().map_or(0, |agent| agent.known_hosts.len()))
        + pages(table.len())
        + pages(guest::SHIM.len())
        + pages(guest::INIT.len())
        + guest::RING_BYTES
        + 64 * PAGE
}

/// Since Linux 5.14 processes are counted for each user namespace; before, those of the user elsewhere
/// would count too.
fn rlimits(bounds: &Bounds) -> Vec<(Resource, Rlimit)> {
    let processes = bounds.processes.filter(|_| version::is_at_least((5, 14))).map(limits::ceiling);
    [
        (Resource::Nproc, processes, processes),
        (Resource::Fsize, bounds.file_size, bounds.file_size),
        // A signal first, which a program may handle, and a second later the end.
        (Resource::Cpu, bounds.cpu_seconds, bounds.cpu_seconds.map(|limit| limit.saturating_add(1))),
    ]
    .into_iter()
    .filter_map(|(resource, current, maximum)| {
        // What the user is held to already stays.
        let own = getrlimit(resource);
        let lower = |ours: u64, own: Option<u64>| Some(own.map_or(ours, |own| own.min(ours)));
        let limit = Rlimit { current: lower(current?, own.current), maximum: lower(maximum?, own.maximum) };
        Some((resource, limit))
    })
    .collect()
}

/// Root is exempt from the count of processes, but not from running out of pids: since Linux 6.14 each
/// pid namespace has a limit of its own, which its root may set. Before, this would be the machine's.
fn pid_max(plan: &Plan) -> Option<Vec<u8>> {
    /// The kernel leaves so many low numbers out, once they have been used.
    const RESERVED: u64 = 300;
    let processes = plan.bounds.processes.filter(|_| plan.uid == 0 && version::is_at_least((6, 14)))?;
    let most = limits::ceiling(processes).saturating_add(RESERVED).min(1 << 22);
    Some(most.to_string().into_bytes())
}

fn c_string(bytes: &Bytes) -> Result<CString, NulError> {
    CString::new(bytes.0.as_slice())
}
