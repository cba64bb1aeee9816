//! Owns the thread that says who it was: it looks at the opener while the kernel keeps it waiting, tells
//! the log, and only then answers. So no attempt is answered that the log was not told of.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use shieldrun_policy::audit::{Action, Event, Process, Provider, Text};

use super::node::{Node, Nodes};
use super::serve::answer;
use super::wire::Body;
use crate::audit;
use crate::claims::Touch;
use crate::procfs;
use crate::sys::pidns::host_pid;

/// Touches that are told apart in the result; more than these are counted by the masked path alone.
const TOLD_APART: usize = 4096;

/// Where attempts are brought to. The first one calls the witness in.
pub(super) struct Desk {
    attempts: Sender<Word>,
    /// Until it is called in.
    waiting: Option<(Witness, Receiver<Word>)>,
    called: Sender<JoinHandle<Seen>>,
}

/// Where it is dismissed.
#[derive(Debug)]
pub(super) struct Bench {
    attempts: Sender<Word>,
    called: Receiver<JoinHandle<Seen>>,
}

/// The bench now, and the desk once there is a witness, who is called in by the first attempt.
pub(super) fn on_call() -> (Bench, impl FnOnce(Witness) -> Desk + Send) {
    // Without a limit of its own: each attempt is a thread of the guest's that waits.
    let (attempts, inbox) = unbounded();
    let (call, called) = bounded(1);
    let bench = Bench { attempts: attempts.clone(), called };
    (bench, move |witness| Desk { attempts, waiting: Some((witness, inbox)), called: call })
}

impl Desk {
    /// Hands an attempt over.
    ///
    /// # Errors
    /// When there is no witness: no thread was to be had for it, or it died.
    pub(super) fn tell(&mut self, attempt: Attempt) -> io::Result<()> {
        if let Some((witness, inbox)) = self.waiting.take() {
            let run = move || witness.run(&inbox);
            let thread = thread::Builder::new().name("witness".to_owned()).spawn(run)?;
            let _ = self.called.send(thread);
        }
        self.attempts.send(Word::Attempt(attempt)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Bench {
    /// What was seen. Nobody makes an attempt any more.
    pub(super) fn finish(self) -> Seen {
        let _ = self.attempts.send(Word::Finish);
        self.called.try_recv().ok().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

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
    log: Receiver<audit::Sender>,
    seen: Seen,
}

impl Witness {
    /// `log` gives the way to the log, once there is one.
    pub(super) fn new(
        device: Arc<OwnedFd>,
        nodes: Arc<Nodes>,
        init: OwnedFd,
        log: Receiver<audit::Sender>,
    ) -> Self {
        Self { device, nodes, init, log, seen: Seen::default() }
    }

    /// Until it is told to finish, or nobody can tell it anything.
    pub(super) fn run(mut self, inbox: &Receiver<Word>) -> Seen {
        let log = self.log.recv().ok();
        while let Ok(Word::Attempt(attempt)) = inbox.recv() {
            let nodes = Arc::clone(&self.nodes);
            // The server has looked it up; without a node there is nothing to tell.
            if let (Some(node), Some(log)) = (nodes.get(attempt.node), &log) {
                self.tell(log, node, &attempt);
            }
            let granted = Body::opened();
            let result = match attempt.deed {
                Deed::Read if log.is_some() => Ok(granted.bytes()),
                // Without a log there is no run, and nobody who could ask.
                Deed::Read | Deed::Refused | Deed::Listed | Deed::Beneath(_) => Err(libc::EACCES),
            };
            answer(&self.device, attempt.unique, result);
        }
        self.seen
    }

    fn tell(&mut self, log: &audit::Sender, node: &Node, attempt: &Attempt) {
        let process = self.look(attempt.thread);
        let (action, path) = match &attempt.deed {
            Deed::Read => (Action::SecretFileRead, node.path.clone()),
            Deed::Refused => (Action::SecretFileDenied, node.path.clone()),
            Deed::Listed => (Action::SecretDirListed, node.path.clone()),
            Deed::Beneath(name) => (Action::SecretFileDenied, beneath(&node.path, name)),
        };
        self.count(&process, if self.seen.touched.len() < TOLD_APART { &path } else { &node.path });
        log.send(
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
