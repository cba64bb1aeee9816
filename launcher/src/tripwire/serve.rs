//! Owns the thread that takes the kernel's requests and answers all that needs no look at who asks.
//!
//! It never waits for anything but the kernel: not for the log, and not for a page of the guest's memory.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::node::{Kind, Nodes, ROOT};
use super::wire::{self, Ask, BUFFER, Body, Request};
use super::witness::{Attempt, Deed, Desk};

/// The thread's state.
pub(super) struct Server {
    pub(super) device: Arc<OwnedFd>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) witness: Desk,
}

/// What is to be done with a request.
enum Then<'a> {
    Answer(Body),
    Content(&'a [u8]),
    Fail(i32),
    /// The witness answers.
    Tell(Deed),
    Nothing,
}

impl Server {
    /// Serves until the mount is gone.
    pub(super) fn run(mut self) {
        let mut buffer = [0; BUFFER];
        loop {
            let got = match rustix::io::read(&*self.device, &mut buffer) {
                Ok(got) => got,
                // A request that was taken back before we read it, and the like.
                Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => continue,
                // Unmounted, or the connection was ended: every access fails from now on.
                Err(_) => return,
            };
            let Some(request) = buffer.get(..got).and_then(Request::parse) else { continue };
            self.take(&request);
        }
    }

    fn take(&mut self, request: &Request<'_>) {
        let unique = request.unique;
        match self.judge(request) {
            Then::Answer(body) => answer(&self.device, unique, Ok(body.bytes())),
            Then::Content(bytes) => answer(&self.device, unique, Ok(bytes)),
            Then::Fail(errno) => answer(&self.device, unique, Err(errno)),
            Then::Nothing => {}
            // Nobody of the guest's: we ourselves, who look at what a process names.
            Then::Tell(_) if request.thread == 0 => answer(&self.device, unique, Err(libc::EACCES)),
            Then::Tell(deed) => {
                let attempt = Attempt { unique, node: request.node, thread: request.thread, deed };
                if self.witness.tell(attempt).is_err() {
                    // No witness, no access.
                    answer(&self.device, unique, Err(libc::EACCES));
                }
            }
        }
    }

    fn judge(&self, request: &Request<'_>) -> Then<'_> {
        let node = self.nodes.get(request.node).map(super::node::Node::kind);
        match (&request.ask, node) {
            (Ask::Init { major: wire::MAJOR, readahead, .. }, _) => Then::Answer(Body::init(*readahead)),
            (Ask::Init { .. }, _) => Then::Answer(Body::other_major()),
            (Ask::Attributes, _) => match self.nodes.attributes(request.node) {
                Some(attributes) => Then::Answer(Body::stat(&attributes)),
                None => Then::Fail(libc::ENOENT),
            },
            // Only the set-up child comes by the root.
            (Ask::Lookup(name), None) if request.node == ROOT => {
                match self.nodes.number(name).and_then(|number| self.nodes.attributes(number)) {
                    Some(attributes) => Then::Answer(Body::entry(&attributes)),
                    None => Then::Fail(libc::ENOENT),
                }
            }
            (Ask::OpenDirectory, None) if request.node == ROOT => Then::Answer(Body::opened()),
            (Ask::List { offset, size }, None) if request.node == ROOT => {
                Then::Answer(self.listing(*offset, *size as usize))
            }
            (Ask::Lookup(name), Some(Kind::BlockedDirectory)) => Then::Tell(Deed::Beneath(name.to_vec())),
            (Ask::Open, Some(Kind::BlockedFile)) => Then::Tell(Deed::Refused),
            (Ask::Open, Some(Kind::Synthetic { .. })) => Then::Tell(Deed::Read),
            (Ask::OpenDirectory, Some(Kind::BlockedDirectory)) => Then::Tell(Deed::Listed),
            (Ask::Read { offset, size }, Some(Kind::Synthetic { content, .. })) => {
                let start = usize::try_from(*offset).unwrap_or(usize::MAX);
                let rest = content.get(start..).unwrap_or_default();
                Then::Content(rest.get(..*size as usize).unwrap_or(rest))
            }
            (Ask::Access(bits), Some(Kind::Synthetic { mode, .. })) if bits & !(mode >> 6) & 7 == 0 => {
                Then::Answer(Body::default())
            }
            // access(2) is no attempt to read, and the answer to chdir(2) is that of a mode without any bit.
            (
                Ask::Open
                | Ask::OpenDirectory
                | Ask::List { .. }
                | Ask::Read { .. }
                | Ask::Access(_)
                | Ask::Lookup(_),
                _,
            ) => Then::Fail(libc::EACCES),
            (Ask::FileSystem, _) => Then::Answer(Body::file_system()),
            (Ask::Release, _) => Then::Answer(Body::default()),
            (Ask::Silent, _) => Then::Nothing,
            (Ask::Unknown, _) => Then::Fail(libc::ENOSYS),
            (Ask::Malformed, _) => Then::Fail(libc::EIO),
        }
    }

    /// As many names as there is room for.
    fn listing(&self, offset: u64, size: usize) -> Body {
        let mut body = Body::default();
        for ((name, number), next) in self.nodes.names(offset).zip(offset.saturating_add(1)..) {
            let Some(attributes) = self.nodes.attributes(number) else { break };
            if !body.list(&name, next, &attributes, size) {
                break;
            }
        }
        body
    }
}

/// Answers a request. One that was taken back meanwhile, because who asked was killed, needs none.
pub(super) fn answer(device: &OwnedFd, unique: u64, result: Result<&[u8], i32>) {
    let body = result.unwrap_or_default();
    let header = wire::header(unique, result.map(<[u8]>::len));
    let _ = rustix::io::writev(device, &[IoSlice::new(&header), IoSlice::new(body)]);
}
