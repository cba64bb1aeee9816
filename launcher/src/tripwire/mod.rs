//! Owns the masks that tell: one FUSE mount, made by the set-up child, whose nodes lie over the secret paths.
//!
//! The kernel asks us before anything of such a node is opened, and says which thread waits for the answer:
//! so an attempt by a static program or a bare system call is a fact with a name. Two threads, because what
//! looks at a process reads its memory, which can be a page of this very mount: [`serve`] answers what needs
//! no look and is never kept waiting; [`witness`] looks, tells the log, and then lets the opener go on.
//!
//! It owns no mount: that is the set-up child's (`spawn`). When the launcher dies, the kernel ends the
//! connection, and every access fails.

mod node;
mod serve;
mod wire;
mod witness;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::unbounded;

use crate::audit::Sender;

pub(crate) use node::{Nodes, is_wired};
pub(crate) use witness::Seen;

/// The mount, being served.
#[derive(Debug)]
pub(crate) struct Tripwire {
    witness: JoinHandle<Seen>,
    attempts: crossbeam_channel::Sender<witness::Word>,
}

impl Tripwire {
    /// Serves the mount behind `device`. `init` is the pidfd of the first process inside.
    ///
    /// # Errors
    /// When there are no threads or descriptors to be had.
    pub(crate) fn serve(device: OwnedFd, nodes: Nodes, init: OwnedFd, sender: Sender) -> io::Result<Self> {
        let (device, nodes) = (Arc::new(device), Arc::new(nodes));
        // Without a limit of its own: each attempt is a thread of the guest's that waits.
        let (attempts, inbox) = unbounded();
        let witness = witness::Witness::new(Arc::clone(&device), Arc::clone(&nodes), init, sender);
        let witness = thread::Builder::new().name("witness".to_owned()).spawn(move || witness.run(&inbox))?;
        let server = serve::Server { device, nodes, attempts: attempts.clone() };
        thread::Builder::new().name("tripwire".to_owned()).spawn(move || server.run())?;
        Ok(Self { witness, attempts })
    }

    /// What was seen. Everybody inside has ended: no attempt is being made any more.
    pub(crate) fn finish(self) -> Seen {
        let _ = self.attempts.send(witness::Word::Finish);
        self.witness.join().unwrap_or_default()
    }
}
