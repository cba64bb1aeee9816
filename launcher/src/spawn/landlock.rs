//! Owns the wall that Landlock gives: the second one in the full tier, over what the mounts already make
//! read-only, and the first one in the tier without namespaces.
//!
//! The second one stands where a mount is got round: a descriptor that came from outside and is opened once more by
//! `/proc/self/fd` leads to the host's own mount, which nobody made read-only here. Inside its domain
//! nothing can mount, nothing is traced or signalled outside, and no abstract socket outside is reached.
//!
//! There only rights that change something are handled. A right to read would have the kernel walk up to the
//! root at every open; `TRUNCATE` would do so too, and says nothing that the mounts do not. TCP is left
//! to the network namespace, where the guest may serve and call itself as it likes.

#![expect(
    clippy::result_large_err,
    reason = "a failure carries its path by value: nothing may be allocated here"
)]

use std::ffi::{CStr, CString, NulError};
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags};

use shieldrun_policy::plan::{Access, Bytes, Mount, Nesting, Plan, Right, Tier};

use super::report::{Failure, Place};
use crate::inventory::path::contains;
use crate::sys::landlock::{Handled, Ruleset, abi, access, scope};
use crate::sys::privileges::NoNewPrivs;

/// What the wall lets through.
#[derive(Debug)]
pub(super) struct Wall {
    handled: Handled,
    granted: Vec<(CString, u64)>,
}

impl Wall {
    /// The wall around a plan; `None` where this kernel has no Landlock, or the plan does without.
    ///
    /// # Errors
    /// When a path has a NUL in it.
    pub(super) fn around(plan: &Plan) -> Result<Option<Self>, NulError> {
        let Some(abi) = abi() else { return Ok(None) };
        let scoped = scope::ABSTRACT_UNIX_SOCKET | scope::SIGNAL;
        let (fs, granted) = match plan.tier {
            Tier::Preload => return Ok(None),
            // The kernel denies every mount to whoever is restricted in any right at files.
            Tier::Full if plan.nesting == Nesting::Allowed => (0, Vec::new()),
            Tier::Full => {
                let fs = access::WRITE_FILE | access::CHANGE_DIR | access::REFER | access::IOCTL_DEV;
                // Some files of `/proc` and of `/dev` are there to be written.
                let own = [Bytes(b"/proc".to_vec()), Bytes(b"/dev".to_vec())];
                // A right at the home reaches what lies beneath it, mounts too.
                let covered =
                    |at: &&Bytes| plan.home().is_some_and(|home| *at != home && contains(&home.0, &at.0));
                let writable = plan.mounts.iter().filter_map(written).chain(&own).filter(|at| !covered(at));
                (fs, writable.map(|at| Ok((c_string(at)?, fs))).collect::<Result<_, _>>()?)
            }
            Tier::Landlock => {
                let grants = plan.grants.iter();
                (
                    EVERYTHING,
                    grants
                        .map(|grant| Ok((c_string(&grant.at)?, bits(grant.right))))
                        .collect::<Result<_, _>>()?,
                )
            }
        };
        let handled = Handled { fs, net: 0, scoped }.within(abi);
        // A wall that stops nothing is an error, says the kernel.
        let stops = handled.fs != 0 || handled.scoped != 0;
        Ok(stops.then_some(Self { handled, granted }))
    }

    /// Puts it up. After the last mount, for there is none afterwards; the paths are those of the inside.
    pub(super) fn enforce(&self, proof: &NoNewPrivs) -> Result<(), Failure> {
        let ruleset = Ruleset::new(&self.handled).map_err(Place::Landlock.failed())?;
        for (path, rights) in &self.granted {
            let rights = rights & self.handled.fs;
            match allow(&ruleset, path, rights) {
                // It was there when the plan was made. What is gone needs no right.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(Place::Landlock.failed_at(path))?,
            }
        }
        ruleset.enforce(proof).map_err(Place::Landlock.failed())
    }
}

const EVERYTHING: u64 = access::OF_FILES | access::READ_DIR | access::CHANGE_DIR | access::REFER;

const fn bits(right: Right) -> u64 {
    match right {
        Right::Read => access::EXECUTE | access::READ_FILE | access::READ_DIR,
        Right::Write => EVERYTHING,
        Right::List => access::READ_DIR,
        Right::Change => EVERYTHING & !(access::READ_FILE | access::IOCTL_DEV),
        Right::Device => access::READ_FILE | access::WRITE_FILE | access::IOCTL_DEV,
    }
}

fn c_string(bytes: &Bytes) -> Result<CString, NulError> {
    CString::new(bytes.0.as_slice())
}

/// A right that only directories have is an error for a file, says the kernel.
fn allow(ruleset: &Ruleset, path: &CStr, rights: u64) -> std::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::open(path, flags, Mode::empty())?;
    let rights = match FileType::from_raw_mode(rustix::fs::fstat(&handle)?.st_mode) {
        FileType::Directory => rights,
        _ => rights & access::OF_FILES,
    };
    if rights == 0 { Ok(()) } else { ruleset.allow(handle.as_fd(), rights) }
}

/// Where the guest may write through this mount.
fn written(mount: &Mount) -> Option<&Bytes> {
    match mount {
        Mount::Private { at, .. }
        | Mount::Keep { at, access: Access::ReadWrite }
        | Mount::Overlay { at, .. }
        | Mount::Home { at, .. } => Some(at),
        Mount::Root
        | Mount::Proc
        | Mount::Devices
        | Mount::Keep { access: Access::ReadOnly, .. }
        // In the home.
        | Mount::Copy { .. }
        | Mount::Link { .. }
        // Both lie in private mounts.
        | Mount::Directory { .. }
        | Mount::Guest => None,
    }
}
