//! Owns the thread that says who it was: it looks at the opener while the kernel keeps it waiting, tells
//! the log, and only then answers. So no attempt is answered that the log was not told of.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::SystemTime;

use crossbeam_channel::Receiver;

use shieldrun_policy::audit::{Action, Event, Process, Provider, Text};

use super::node::{Node, Nodes};
use super::serve::answer;
use super::wire::Body;
use crate::audit::Sender;
use crate::claims::Touch;
use crate::procfs;
use crate::sys::pidns::host_pid;

/// Touches that are told apart in the result; more than these are counted by the masked path alone.
const TOLD_APART: usize = 4096;

/// For the thread.
pub(super) enum Word {
    Attempt(Attempt),
    Finish,
}

/// Somebody waits for an answer.
pub(super) struct Attempt {
    pub(super) unique: u64,
    pub(super) node: u64,
    /// As the guest numbers it.
    pub(super) thread: u32,
    pub(super) deed: Deed,
}

/// What is being tried.
pub(super) enum Deed {
    /// To open a synthetic file.
    Read,
    /// To open a blocked file.
    Refused,
    /// To list a blocked directory.
    Listed,
    /// To reach this name in a blocked directory.
    Beneath(Vec<u8>),
}

/// All that was seen, in sum.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Touches and their counts.
    pub(crate) touched: BTreeMap<Touch, u64>,
}

/// The thread's state.
pub(super) struct Witness {
    device: Arc<OwnedFd>,
    nodes: Arc<Nodes>,
    init: OwnedFd,
    sender: Sender,
    seen: Seen,
}

impl Witness {
    pub(super) fn new(device: Arc<OwnedFd>, nodes: Arc<Nodes>, init: OwnedFd, sender: Sender) -> Self {
        Self { device, nodes, init, sender, seen: Seen::default() }
    }

    /// Until it is told to finish, or nobody can tell it anything.
    pub(super) fn run(mut self, inbox: &Receiver<Word>) -> Seen {
        while let Ok(Word::Attempt(attempt)) = inbox.recv() {
            let nodes = Arc::clone(&self.nodes);
            // The server has looked it up; without a node there is nothing to tell.
            if let Some(node) = nodes.get(attempt.node) {
                self.tell(node, &attempt);
            }
            let granted = Body::opened();
            let result = match attempt.deed {
                Deed::Read => Ok(granted.bytes()),
                Deed::Refused | Deed::Listed | Deed::Beneath(_) => Err(libc::EACCES),
            };
            answer(&self.device, attempt.unique, result);
        }
        self.seen
    }

    fn tell(&mut self, node: &Node, attempt: &Attempt) {
        let process = self.look(attempt.thread);
        let (action, path) = match &attempt.deed {
            Deed::Read => (Action::SecretFileRead, node.path.clone()),
            Deed::Refused => (Action::SecretFileDenied, node.path.clone()),
            Deed::Listed => (Action::SecretDirListed, node.path.clone()),
            Deed::Beneath(name) => (Action::SecretFileDenied, beneath(&node.path, name)),
        };
        self.count(&process, if self.seen.touched.len() < TOLD_APART { &path } else { &node.path });
        self.sender.send(
            Event::new(SystemTime::now(), action, Provider::Tripwire)
                .process(process)
                .file(path)
                .rule(node.rule.clone())
                .treatment(node.treatment()),
        );
    }

    /// Who waits. One that was killed meanwhile has left its number only.
    fn look(&self, thread: u32) -> Process {
        host_pid(self.init.as_fd(), thread)
            .and_then(|pid| procfs::look(pid, self.init.as_fd()))
            .unwrap_or(Process { pid: thread, pid_inside: Some(thread), ..Process::default() })
    }

    fn count(&mut self, process: &Process, path: &Text) {
        let by = process.executable.as_ref().map_or_else(String::new, |text| text.as_str().to_owned());
        let touch = Touch { name: path.as_str().to_owned(), kind: "file".to_owned(), by };
        *self.seen.touched.entry(touch).or_default() += 1;
    }
}

fn beneath(directory: &Text, name: &[u8]) -> Text {
    let mut path = directory.raw().unwrap_or(directory.as_str().as_bytes()).to_vec();
    path.push(b'/');
    path.extend_from_slice(name);
    Text::from_bytes(&path)
}
