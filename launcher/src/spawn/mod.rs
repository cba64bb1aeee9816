//! Owns the way from a plan to a set-up child that waits for its word.
//!
//! `launch` clones, `Launched::ready` waits for the walls to stand. Between the two the launcher makes
//! the run record, so that the kernel's work and ours overlap. Nothing of the command runs before
//! the supervisor gives the word.

mod agent;
mod covers;
mod doors;
mod error;
mod home;
mod ids;
mod landlock;
mod overlay;
mod prepared;
mod report;
mod shared;
mod skeleton;
mod steps;
mod syscalls;
mod tripwire;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use shieldrun_egress::Openings;
use shieldrun_policy::plan::Tier;

pub(crate) use error::{Cause, SpawnError};
pub(crate) use prepared::{ChildStream, Prepared};
pub(crate) use syscalls::{BLOCKED_COMMAND, denial};

use crate::sys::process::{ALL_NAMESPACES, Cloned, clone_into, leave};
use ids::MappedBy;
use report::{Handed, Report};

/// A child that sets itself up.
#[derive(Debug)]
pub(crate) struct Launched {
    pid: i32,
    pidfd: OwnedFd,
    control: OwnedFd,
    /// From the thread that listens first, where there is one.
    first: Option<(Receiver<First>, JoinHandle<()>)>,
}

/// What the child said first.
#[derive(Debug)]
struct First {
    doors: Option<Openings>,
    /// What ended the listening. `None`: the device of the masks, which is being served.
    last: Option<io::Result<Report>>,
}

/// A child behind its walls, waiting for the word.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Init's pid here.
    pub pid: i32,
    /// Init, as a descriptor.
    pub pidfd: OwnedFd,
    /// The socket to init.
    pub control: OwnedFd,
    /// The guest's end of the ring, where the guest has one.
    pub ring: Option<OwnedFd>,
    /// The master of the guest's terminal, where it has one.
    pub terminal: Option<OwnedFd>,
    /// The upper layer of the workspace, where it is in memory.
    pub upper: Option<OwnedFd>,
    /// The socket of the ssh-agent, where the guest has one.
    pub agent: Option<OwnedFd>,
    /// Whether toolchains of the home are the host's own, read-only, because no overlay could be made.
    pub tools_are_shared: bool,
    /// Whether the masks tell of attempts.
    pub wired: bool,
    /// Mounts that were only needed to make others. To let go of one takes the kernel a moment, so that is for
    /// when the command runs.
    pub spent: Vec<OwnedFd>,
    /// The sockets of the guest's network, where it reaches further than itself.
    pub doors: Option<Openings>,
}

/// Clones the set-up child, into the control group of the run where it has one.
///
/// # Errors
/// When the kernel gives no namespaces; the error knows the likely cause.
pub(crate) fn launch(prepared: &Prepared<'_>, group: Option<BorrowedFd<'_>>) -> Result<Launched, SpawnError> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|error| SpawnError::Socket(error.into()))?;
    let namespaces = match prepared.tier {
        Tier::Full => ALL_NAMESPACES,
        Tier::Landlock | Tier::Preload => 0,
    };
    let cloned = match clone_into(namespaces, group) {
        // A group that takes nobody in: the watch keeps the limits.
        Err(_) if group.is_some() => clone_into(namespaces, None),
        cloned => cloned,
    };
    match cloned.map_err(SpawnError::from_clone)? {
        Cloned::Parent { pid, pidfd } => {
            if prepared.mapped_by == MappedBy::Launcher {
                // A child that is gone by now has said why.
                let _ = ids::map_all(pid, ours.as_fd());
            }
            Ok(Launched { pid, pidfd, control: ours, first: None })
        }
        Cloned::Child => {
            // Our copy of the launcher's end would keep alive what was sent to it, after it is gone itself.
            drop(ours);
            steps::run(prepared, theirs.as_fd()).send(theirs.as_fd());
            leave(125)
        }
    }
}

impl Launched {
    /// The child that becomes init, as a descriptor of its own.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub(crate) fn init(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// Ends the child, and waits until it is gone: with it go its namespaces.
    ///
    /// # Errors
    /// When it cannot be killed or waited for.
    pub(crate) fn end(self) -> io::Result<()> {
        pidfd_send_signal(&self.pidfd, Signal::KILL)?;
        waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)?;
        if let Some((_, thread)) = self.first {
            // Nobody is left to listen to or to serve; and who clones again must be alone.
            let _ = thread.join();
        }
        Ok(())
    }

    /// Listens to the child in a thread of its own, up to the device of the masks that tell, which `serve`
    /// serves there: the child waits for the kernel's questions about them to be answered, and the launcher
    /// has other things to do meanwhile.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub(crate) fn serve_masks(&mut self, serve: impl FnOnce(OwnedFd) + Send + 'static) -> io::Result<()> {
        let control = self.control.try_clone()?;
        let (sender, first) = bounded(1);
        let listen = move || {
            let mut doors = None;
            let last = loop {
                match report::receive(control.as_fd()) {
                    Ok(Report::Doors(listeners, sockets)) => doors = doors::openings(listeners, sockets),
                    Ok(Report::Tripwire(device)) => {
                        // Somebody waits for it; else the child is being ended.
                        let _ = sender.send(First { doors, last: None });
                        drop(control);
                        return serve(device);
                    }
                    other => break other,
                }
            };
            let _ = sender.send(First { doors, last: Some(last) });
        };
        let thread = thread::Builder::new().name("tripwire".to_owned()).spawn(listen)?;
        self.first = Some((first, thread));
        Ok(())
    }

    /// Waits until every wall stands.
    ///
    /// # Errors
    /// The step that failed, where, and why.
    pub(crate) fn ready(self) -> Result<Ready, SpawnError> {
        let (mut doors, mut wired, mut last) = (None, false, None);
        if let Some((first, _)) = self.first {
            let first = first.recv().map_err(|_| SpawnError::Gone)?;
            (doors, wired, last) = (first.doors, first.last.is_none(), first.last);
        }
        let report = loop {
            match last.take().unwrap_or_else(|| report::receive(self.control.as_fd())) {
                Ok(Report::Doors(listeners, sockets)) => doors = doors::openings(listeners, sockets),
                other => break other.map_err(SpawnError::Socket)?,
            }
        };
        match report {
            Report::Ready(Handed { ring, terminal, upper, agent, spent, tools_are_shared }) => Ok(Ready {
                pid: self.pid,
                pidfd: self.pidfd,
                control: self.control,
                ring,
                terminal,
                upper,
                agent,
                tools_are_shared,
                wired,
                spent: spent.into_iter().flatten().collect(),
                doors,
            }),
            Report::Failed { place, error, path } => Err(SpawnError::step(place, error, path)),
            Report::Tripwire(_) | Report::Doors(..) | Report::Listener(_) | Report::Gone => {
                Err(SpawnError::Gone)
            }
        }
    }
}

impl Ready {
    /// The listener of the filter of system calls, which is the last thing that the child makes before it
    /// becomes init. `None` where somebody above has the only one that there can be.
    ///
    /// # Errors
    /// The step that failed, and why.
    pub(crate) fn listener(&self) -> Result<Option<OwnedFd>, SpawnError> {
        match report::receive(self.control.as_fd()).map_err(SpawnError::Socket)? {
            Report::Listener(listener) => Ok(listener),
            Report::Failed { place, error, path } => Err(SpawnError::step(place, error, path)),
            Report::Ready(_) | Report::Tripwire(_) | Report::Doors(..) | Report::Gone => {
                Err(SpawnError::Gone)
            }
        }
    }
}

/// Waits until init is gone for good. Somebody may have collected it already.
pub(crate) fn collect(init: &OwnedFd) {
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::PidFd(init.as_fd()), WaitIdOptions::EXITED) {}
}
