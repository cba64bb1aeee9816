//! Owns what the set-up child tells the launcher: ready, with descriptors, or which step failed.

use std::ffi::CStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::sys::control::{self, Message, tag};

/// The steps of set-up, as the launcher names them in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// A session of its own, bound to the launcher.
    Session = 1,
    /// Writing the uid and gid maps.
    UserMap,
    /// Bringing up `lo`.
    Loopback,
    /// Opening the doors to the network.
    Doors,
    /// Making `/` private and read-only.
    Root,
    /// An empty tmpfs over a shared directory.
    Private,
    /// A fresh `/proc`.
    Proc,
    /// A minimal `/dev`.
    Devices,
    /// Putting a host directory back.
    Keep,
    /// An overlay over a host directory.
    Overlay,
    /// A home of the run's own.
    Home,
    /// The directory of shim and covers.
    Guest,
    /// Covering a secret file.
    Mask,
    /// Entering the working directory.
    WorkingDirectory,
    /// A terminal of the guest's own.
    Terminal,
    /// Putting 0, 1, 2 in place.
    Streams,
    /// Telling the launcher.
    Ready,
    /// Closing what must not cross.
    Descriptors,
    /// Giving up privileges.
    Privileges,
    /// Putting up the second wall.
    Landlock,
    /// Installing the filter of system calls.
    Filter,
    /// Starting init.
    Init,
}

const PLACES: [Place; 22] = [
    Place::Session,
    Place::UserMap,
    Place::Loopback,
    Place::Doors,
    Place::Root,
    Place::Private,
    Place::Proc,
    Place::Devices,
    Place::Keep,
    Place::Overlay,
    Place::Home,
    Place::Guest,
    Place::Mask,
    Place::WorkingDirectory,
    Place::Terminal,
    Place::Streams,
    Place::Ready,
    Place::Descriptors,
    Place::Privileges,
    Place::Landlock,
    Place::Filter,
    Place::Init,
];

/// A step that failed, in the child: nothing in it is allocated.
#[derive(Debug)]
pub(super) struct Failure {
    place: Place,
    errno: i32,
    path: PathBytes,
}

/// A path copied to the stack, cut where it is longer than one datagram needs.
#[derive(Debug)]
struct PathBytes {
    bytes: [u8; 256],
    length: usize,
}

impl Failure {
    pub(super) const fn new(place: Place, errno: i32) -> Self {
        Self { place, errno, path: PathBytes { bytes: [0; 256], length: 0 } }
    }

    /// The datagram that says so.
    pub(super) fn send(&self, control: BorrowedFd<'_>) {
        let value = (i32::from(self.place as u8)) << 16 | (self.errno & 0xffff);
        let head = Message { tag: tag::SETUP_FAILED, value }.encode();
        let path = self.path.bytes.get(..self.path.length).unwrap_or_default();
        let parts = [IoSlice::new(&head), IoSlice::new(path)];
        let mut nothing = SendAncillaryBuffer::default();
        // Nobody is there to hear of a failure to say it; the launcher sees the socket close.
        let _ = rustix::net::sendmsg(control, &parts, &mut nothing, SendFlags::NOSIGNAL);
    }
}

impl Place {
    /// For `map_err`: this step failed with that error.
    pub(super) fn failed<E: Into<io::Error>>(self) -> impl FnOnce(E) -> Failure {
        move |error| Failure::new(self, error.into().raw_os_error().unwrap_or(libc::EIO))
    }

    /// The same, at a path.
    pub(super) fn failed_at<E: Into<io::Error>>(self, path: &CStr) -> impl FnOnce(E) -> Failure {
        move |error| {
            let mut failure = self.failed()(error);
            for (to, from) in failure.path.bytes.iter_mut().zip(path.to_bytes()) {
                *to = *from;
                failure.path.length += 1;
            }
            failure
        }
    }

    /// What we were doing, for a person.
    pub(crate) const fn doing(self) -> &'static str {
        match self {
            Self::Session => "cannot make a session",
            Self::UserMap => "cannot map the user into the user namespace",
            Self::Loopback => "cannot bring up the loopback interface",
            Self::Doors => "cannot open the doors to the network",
            Self::Root => "cannot make `/` private and read-only",
            Self::Private => "cannot mount a private tmpfs",
            Self::Proc => "cannot mount a fresh `/proc`",
            Self::Devices => "cannot make a minimal `/dev`",
            Self::Keep => "cannot put a directory of the host back",
            Self::Overlay => "cannot mount an overlay",
            Self::Home => "cannot make a private home",
            Self::Guest => "cannot make the directory of the shim",
            Self::Mask => "cannot mask a secret file",
            Self::WorkingDirectory => "cannot enter the working directory inside",
            Self::Terminal => "cannot make a terminal",
            Self::Streams => "cannot put the standard streams in place",
            Self::Ready => "cannot tell the launcher that set-up is done",
            Self::Descriptors => "cannot close the inherited descriptors",
            Self::Privileges => "cannot give up privileges",
            Self::Landlock => "cannot restrict writes with Landlock",
            Self::Filter => "cannot install the filter of system calls",
            Self::Init => "cannot start init",
        }
    }
}

/// What came up the socket before init runs.
#[derive(Debug)]
pub(super) enum Report {
    /// All done.
    Ready(Handed<OwnedFd>),
    /// The device of the masks that tell, before any of them is in place.
    Tripwire(OwnedFd),
    /// The sockets of the guest's network, and how many of them listen at every address.
    Doors(usize, Vec<OwnedFd>),
    /// The listener of the filter, if it has one.
    Listener(Option<OwnedFd>),
    /// A step failed.
    Failed { place: Place, error: io::Error, path: Vec<u8> },
    /// The child ended without a word.
    Gone,
}

/// The descriptors that the launcher must hold, where they were made.
#[derive(Debug)]
pub(super) struct Handed<T> {
    /// The guest's end of the ring.
    pub(super) ring: Option<T>,
    /// The terminal's master.
    pub(super) terminal: Option<T>,
    /// The upper layer of the workspace, where it is in memory.
    pub(super) upper: Option<T>,
    /// The socket of the ssh-agent.
    pub(super) agent: Option<T>,
    /// Detached mounts that nobody needs any more. The last close of one waits for every processor, and the
    /// child has no time for that.
    pub(super) spent: [Option<T>; 2],
    /// Whether toolchains of the home are the host's own, read-only.
    pub(super) tools_are_shared: bool,
}

impl<T> Default for Handed<T> {
    fn default() -> Self {
        Self {
            ring: None,
            terminal: None,
            upper: None,
            agent: None,
            spent: [None, None],
            tools_are_shared: false,
        }
    }
}

impl Handed<OwnedFd> {
    pub(super) fn borrowed(&self) -> Handed<BorrowedFd<'_>> {
        Handed {
            ring: self.ring.as_ref().map(AsFd::as_fd),
            terminal: self.terminal.as_ref().map(AsFd::as_fd),
            upper: self.upper.as_ref().map(AsFd::as_fd),
            agent: self.agent.as_ref().map(AsFd::as_fd),
            spent: self.spent.each_ref().map(|spent| spent.as_ref().map(AsFd::as_fd)),
            tools_are_shared: self.tools_are_shared,
        }
    }
}

/// How many those can be.
const HANDED: usize = 6;
/// How many descriptors can come with one message: the kernel takes 253.
pub(super) const DESCRIPTORS: usize = 240;
/// A bit above those of the descriptors.
const TOOLS_ARE_SHARED: i32 = 1 << 16;

/// Tells the launcher, with the descriptors. The value says which came, a bit each in the order of the fields.
pub(super) fn send_ready(control: BorrowedFd<'_>, handed: &Handed<BorrowedFd<'_>>) -> io::Result<()> {
    let [skeleton, tools] = handed.spent;
    let all = [handed.ring, handed.terminal, handed.upper, handed.agent, skeleton, tools];
    let (mut sent, mut count) = ([control; HANDED], 0);
    let mut value = if handed.tools_are_shared { TOOLS_ARE_SHARED } else { 0 };
    for (bit, descriptor) in all.into_iter().enumerate() {
        if let (Some(descriptor), Some(slot)) = (descriptor, sent.get_mut(count)) {
            *slot = descriptor;
            count += 1;
            value |= 1 << bit;
        }
    }
    let head = Message { tag: tag::READY, value }.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if let Some(sent) = sent.get(..count).filter(|sent| !sent.is_empty()) {
        ancillary.push(SendAncillaryMessage::ScmRights(sent));
    }
    rustix::net::sendmsg(control, &[IoSlice::new(&head)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Hands the device of the masks that tell to the launcher.
pub(super) fn send_tripwire(control: BorrowedFd<'_>, device: &OwnedFd) -> io::Result<()> {
    send_one(control, tag::TRIPWIRE, Some(device))
}

/// Hands the sockets of the guest's network to the launcher, of which so many listen at every address.
pub(super) fn send_doors(
    control: BorrowedFd<'_>,
    listeners: i32,
    sockets: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let head = Message { tag: tag::DOORS, value: listeners }.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(sockets));
    rustix::net::sendmsg(control, &[IoSlice::new(&head)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Hands the listener of the filter to the launcher, or says that there is none.
pub(super) fn send_listener(control: BorrowedFd<'_>, listener: Option<&OwnedFd>) -> io::Result<()> {
    send_one(control, tag::LISTENER, listener)
}

fn send_one(control: BorrowedFd<'_>, tag: u32, descriptor: Option<&OwnedFd>) -> io::Result<()> {
    let head = Message { tag, value: 0 }.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let sent = descriptor.map(|descriptor| [descriptor.as_fd()]);
    if let Some(sent) = &sent {
        ancillary.push(SendAncillaryMessage::ScmRights(sent));
    }
    rustix::net::sendmsg(control, &[IoSlice::new(&head)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for the child's report.
pub(super) fn receive(control: BorrowedFd<'_>) -> io::Result<Report> {
    let mut bytes = [0u8; control::SIZE + 256];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(control, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(Report::Gone),
            other => break other?.bytes,
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let mut descriptors = descriptors.into_iter();
    let (head, path) = bytes.get(..got).unwrap_or_default().split_at(got.min(control::SIZE));
    Ok(match Message::decode(head) {
        Some(Message { tag: tag::READY, value }) => {
            let mut next = |bit| if value & (1 << bit) != 0 { descriptors.next() } else { None };
            let tools_are_shared = value & TOOLS_ARE_SHARED != 0;
            Report::Ready(Handed {
                ring: next(0),
                terminal: next(1),
                upper: next(2),
                agent: next(3),
                spent: [next(4), next(5)],
                tools_are_shared,
            })
        }
        Some(Message { tag: tag::TRIPWIRE, .. }) => descriptors.next().map_or(Report::Gone, Report::Tripwire),
        Some(Message { tag: tag::DOORS, value }) => {
            Report::Doors(usize::try_from(value).unwrap_or(0), descriptors.collect())
        }
        Some(Message { tag: tag::LISTENER, .. }) => Report::Listener(descriptors.next()),
        Some(Message { tag: tag::SETUP_FAILED, value }) => {
            let place = PLACES.into_iter().find(|place| i32::from(*place as u8) == value >> 16);
            Report::Failed {
                place: place.unwrap_or(Place::Init),
                error: io::Error::from_raw_os_error(value & 0xffff),
                path: path.to_vec(),
            }
        }
        _ => Report::Gone,
    })
}
