//! Owns the plan in the form the kernel takes it: NUL-terminated strings and numbers.
//!
//! Made before clone, so that the set-up child only makes system calls: it does not allocate, and
//! what can be refused (a path with a NUL in it) is refused while there is somebody to tell.

use std::ffi::{CString, NulError};
use std::fmt;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

use seccompiler::{BackendError, BpfProgram};
use shieldrun_policy::plan::{Access, Bytes, Cover, Mount, Plan, Tier};

use super::landlock::Wall;
use super::skeleton::{self, Point};
use super::syscalls::Filters;
use super::{shared, syscalls, tripwire};
use crate::guest::{self, GuestFiles};
use crate::inventory::path::contains;
use crate::layers::{Pinned, PinnedHome, Pins};
use crate::sys::signals::InheritedSignals;
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
    pub(super) uid_map: Vec<u8>,
    pub(super) gid_map: Vec<u8>,
    pub(super) superuser: bool,
    pub(super) mounts: Vec<Step<'a>>,
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
    /// Name of its source below the guest directory.
    pub(super) source: CString,
    /// Its node in the mount of the masks that tell, where it is to be one of those.
    pub(super) node: Option<CString>,
    pub(super) cover: &'a Cover,
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
            uid_map: format!("{0} {0} 1", plan.uid).into_bytes(),
            gid_map: format!("{0} {0} 1", plan.gid).into_bytes(),
            superuser: plan.uid == 0,
            memory_size: CString::from(c"50%"),
            mounts: steps(plan, pins)?,
            masks: plan
                .masks
                .iter()
                .enumerate()
                .map(|(index, mask)| {
                    let source = CString::new(format!("{}/m{index}", guest::DIRECTORY))?;
                    let wired = is_wired(plan, mask);
                    let node = wired.then(|| tripwire::node_path(index)).transpose()?;
                    Ok(MaskStep { at: c_string(&mask.at)?, source, node, cover: &mask.cover })
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
    let pages = |length: usize| length.div_ceil(PAGE) * PAGE;
    let masks: usize = plan
        .masks
        .iter()
        .map(|mask| match &mask.cover {
            Cover::Synthetic { content, .. } => pages(content.len()),
            Cover::BlockedFile | Cover::BlockedDirectory => 0,
        })
        .sum();
    masks
        + pages(table.len())
        + pages(guest::SHIM.len())
        + pages(guest::INIT.len())
        + guest::RING_BYTES
        + 64 * PAGE
}

fn c_string(bytes: &Bytes) -> Result<CString, NulError> {
    CString::new(bytes.0.as_slice())
}
