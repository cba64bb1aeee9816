//! Owns the masks that tell: one FUSE mount, made by the set-up child, whose nodes lie over the secret paths.
//!
//! The kernel asks us before anything of such a node is opened, and says which thread waits for the answer:
//! so an attempt by a static program or a bare system call is a fact with a name. Two threads, because what
//! looks at a process reads its memory, which can be a page of this very mount: [`serve`] answers what needs
//! no look and is never kept waiting; [`witness`] looks, tells the log, and then lets the opener go on. The second begins with the first attempt: most
//! runs see none.
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
use std::thread;

use crate::audit::Sender;

pub(crate) use node::{Nodes, is_wired};
pub(crate) use witness::Seen;

/// The mount, being served.
#[derive(Debug)]
pub(crate) struct Tripwire {
    witness: witness::Bench,
}

impl Tripwire {
    /// Serves the mount behind `device`. `init` is the pidfd of the first process inside.
    ///
    /// # Errors
    /// When there are no threads or descriptors to be had.
    pub(crate) fn serve(device: OwnedFd, nodes: Nodes, init: OwnedFd, sender: Sender) -> io::Result<Self> {
        let (device, nodes) = (Arc::new(device), Arc::new(nodes));
        let witness = witness::Witness::new(Arc::clone(&device), Arc::clone(&nodes), init, sender);
        let (witness, desk) = witness::on_call(witness);
        let server = serve::Server { device, nodes, witness: desk };
        thread::Builder::new().name("tripwire".to_owned()).spawn(move || server.run())?;
        Ok(Self { witness })
    }

    /// What was seen. Everybody inside has ended: no attempt is being made any more.
    pub(crate) fn finish(self) -> Seen {
        self.witness.finish()
    }
}
