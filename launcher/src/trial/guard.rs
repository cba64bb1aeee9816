//! Owns the guard over masks: a mask lies on a directory entry, and when the host replaces or removes
//! that entry (an editor that saves by rename does), the kernel takes the mask away inside.
//!
//! The kernel also says so: `/proc/PID/mountinfo` of init can be polled for changes of its mount
//! namespace (see proc_pid_mounts(5)). Nothing inside can mount or unmount, so a change is a cover that
//! went; when it was that of a secret, the run ends: loudly, within a moment, but not before the guest could look. Masks on an
//! overlay need none of this: they lie on the overlay's own entries.
//!
//! Not by inotify: closing its descriptor waits for the kernel's mark reaper, some 15 ms at every run.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};

use shieldrun_policy::plan::{Bytes, Mask};

use crate::inventory::mounts::MountTable;
use crate::standby::Standby;

/// The watch, and what it saw.
#[derive(Debug)]
pub(crate) struct Guard {
    lost: Arc<OnceLock<Bytes>>,
}

impl Guard {
    /// Watches the mount namespace of `init`, whose walls stand; ends it when a mask goes.
    ///
    /// # Errors
    /// When the kernel gives no watch: then the run must not begin.
    pub(crate) fn over(thread: Standby<()>, masks: Vec<Mask>, pid: i32, init: OwnedFd) -> io::Result<Self> {
        let mut mounts = File::open(format!("/proc/{pid}/mountinfo"))?;
        let lost = Arc::new(OnceLock::new());
        if first_lost(&mut mounts, &masks)?.is_some() {
            // Between the mask and this look: there is somebody who replaces files at this moment.
            return Err(io::Error::other("a masked file was replaced while the run was being set up"));
        }
        let told = Arc::clone(&lost);
        thread.begin(move || {
            // The cover of a socket that the host removes goes as well, and nobody misses it. What cannot
            // be watched or read is as good as lost. A namespace that is torn down changes too, and then
            // there is nothing left to kill.
            let lost = loop {
                match await_change(&mounts, &init) {
                    // Whoever holds the file holds the namespace, and would be kept by the kernel's tidying it.
                    Ok(Change::End) => return,
                    Ok(Change::Mounts) => {}
                    Err(_) => break None,
                }
                match first_lost(&mut mounts, &masks) {
                    Ok(None) => {}
                    Ok(lost) => break lost,
                    Err(_) => break None,
                }
            };
            let _ = pidfd_send_signal(&init, Signal::KILL);
            if let Some(path) = lost {
                let _ = told.set(path);
            }
        });
        Ok(Self { lost })
    }

    /// The masked path whose mask went, if one did.
    pub(crate) fn lost(&self) -> Option<&Bytes> {
        self.lost.get()
    }
}

/// What the guard waits for.
enum Change {
    /// Some mount came or went.
    Mounts,
    /// Init is gone.
    End,
}

/// Waits for the next change since the file was opened or waited for.
fn await_change(mounts: &File, init: &OwnedFd) -> io::Result<Change> {
    loop {
        let mut polled =
            [PollFd::from_borrowed_fd(mounts.as_fd(), PollFlags::PRI), PollFd::new(init, PollFlags::IN)];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if polled.iter().any(|polled| polled.revents().contains(PollFlags::PRI)) => {
                return Ok(Change::Mounts);
            }
            Ok(_) => return Ok(Change::End),
        }
    }
}

/// The first mask that is no mount point any more.
fn first_lost(mounts: &mut File, masks: &[Mask]) -> io::Result<Option<Bytes>> {
    let mut text = Vec::new();
    mounts.rewind()?;
    mounts.read_to_end(&mut text)?;
    let table = MountTable::parse(&text);
    Ok(masks.iter().map(|mask| &mask.at).find(|at| !table.has_mount_at(&at.0)).cloned())
}
