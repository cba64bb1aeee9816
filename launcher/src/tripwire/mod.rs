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

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crossbeam_channel::bounded;

use crate::audit;

pub(crate) use node::{Nodes, is_wired};
pub(crate) use witness::Seen;

/// The mount, being served.
#[derive(Debug)]
pub(crate) struct Tripwire {
    witness: witness::Bench,
    log: crossbeam_channel::Sender<audit::Sender>,
}

impl Tripwire {
    /// Of a mount that is not there yet; and what serves it, in a thread of its own, once its device is: the
    /// set-up child cannot go on before the kernel's first questions are answered, and then the log may not be
    /// there yet. `init` is the pidfd of the first process inside.
    pub(crate) fn of(nodes: Nodes, init: OwnedFd) -> (Self, impl FnOnce(OwnedFd) + Send) {
        let (witness, desk) = witness::on_call();
        let (log, told) = bounded(1);
        let serve = move |device: OwnedFd| {
            let (device, nodes) = (Arc::new(device), Arc::new(nodes));
            let witness = witness::Witness::new(Arc::clone(&device), Arc::clone(&nodes), init, told);
            serve::Server { device, nodes, witness: desk(witness) }.run();
        };
        (Self { witness, log }, serve)
    }

    /// From now on attempts can be answered, because they can be told.
    pub(crate) fn tell(&self, log: audit::Sender) {
        // There is room for it; and a server that is gone has nothing to tell.
        let _ = self.log.send(log);
    }

    /// What was seen. Everybody inside has ended: no attempt is being made any more.
    pub(crate) fn finish(self) -> Seen {
        self.witness.finish()
    }
}
