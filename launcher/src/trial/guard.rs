//! Owns the guard over masked paths: a mask lies on a directory entry, and when the host replaces or
//! removes that entry (an editor that saves by rename does), the kernel takes the mask away inside.
//!
//! So every directory with a masked entry is watched, and when one of those entries goes, the run ends:
//! loudly, within a moment, but not before the guest could look. Inside, nobody can cause it: the entry
//! is a mount point there, and busy. A layer between guest and host will make this unnecessary.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::fs::inotify;
use rustix::process::{Signal, pidfd_send_signal};

use shieldrun_policy::plan::{Bytes, Mask};

use crate::inventory::path::as_path;

/// The watch, and what it saw.
#[derive(Debug)]
pub(crate) struct Guard {
    lost: Arc<OnceLock<Bytes>>,
}

impl Guard {
    /// Watches the entries of these masks; ends the process of `init` when one goes.
    ///
    /// # Errors
    /// When the kernel gives no watch: then the run must not begin.
    pub(crate) fn over<'a>(masks: impl Iterator<Item = &'a Mask>, init: OwnedFd) -> io::Result<Self> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        let mut directories: HashMap<i32, Vec<Bytes>> = HashMap::new();
        let events = inotify::WatchFlags::MOVED_FROM
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::ONLYDIR;
        for mask in masks {
            let parent = as_path(&mask.at.0).parent().map_or_else(|| PathBuf::from("/"), PathBuf::from);
            match inotify::add_watch(&watch, &parent, events) {
                Ok(number) => directories.entry(number).or_default().push(mask.at.clone()),
                // A directory that we may not read: nobody but its owner replaces what is in it.
                Err(rustix::io::Errno::ACCESS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let lost = Arc::new(OnceLock::new());
        let told = Arc::clone(&lost);
        std::thread::Builder::new().name("guard".to_owned()).spawn(move || {
            if let Some(path) = first_lost(&watch, &directories) {
                // Killed first, told afterwards: each moment counts.
                let _ = pidfd_send_signal(&init, Signal::KILL);
                let _ = told.set(path);
            }
        })?;
        Ok(Self { lost })
    }

    /// The masked path whose entry went, if one did.
    pub(crate) fn lost(&self) -> Option<&Bytes> {
        self.lost.get()
    }
}

/// Waits for an entry to go; `None` when the watch itself ends. An overflow of the queue counts as a loss.
fn first_lost(watch: &OwnedFd, directories: &HashMap<i32, Vec<Bytes>>) -> Option<Bytes> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(watch, &mut buffer);
    loop {
        let event = match reader.next() {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.ok()?,
        };
        if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
            return directories.values().flatten().next().cloned();
        }
        let Some(name) = event.file_name() else { continue };
        let masks = directories.get(&event.wd()).into_iter().flatten();
        let mut named =
            masks.filter(|path| path.0.rsplit(|&byte| byte == b'/').next() == Some(name.to_bytes()));
        if let Some(path) = named.next() {
            return Some(path.clone());
        }
    }
}
