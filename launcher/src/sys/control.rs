//! Owns the words that the launcher and `init` say to each other over their socketpair.
//!
//! Core only: the freestanding `init` includes this very file. One message is one `SOCK_SEQPACKET`
//! datagram of eight bytes in native order (both ends are one binary on one machine). The socket's
//! end of file is a word too: towards the launcher "init is gone", towards init "the launcher is gone".

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Message {
    /// One of [`tag`].
    pub tag: u32,
    /// What the tag says it is.
    pub value: i32,
}

/// Size of a message on the wire, bytes.
pub(crate) const SIZE: usize = 8;
const _: () = assert!(core::mem::size_of::<Message>() == SIZE);

impl Message {
    /// A message from its wire form; `None` for a datagram of another length.
    #[must_use]
    pub(crate) const fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [a, b, c, d, e, f, g, h] => Some(Self {
                tag: u32::from_ne_bytes([*a, *b, *c, *d]),
                value: i32::from_ne_bytes([*e, *f, *g, *h]),
            }),
            _ => None,
        }
    }

    /// The wire form.
    #[must_use]
    pub(crate) const fn encode(self) -> [u8; SIZE] {
        let [a, b, c, d] = self.tag.to_ne_bytes();
        let [e, f, g, h] = self.value.to_ne_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// What a message is about.
pub(crate) mod tag {
    /// To the launcher, before init runs: a step of set-up failed; value is `step << 16 | errno`.
    pub(crate) const SETUP_FAILED: u32 = 1;
    /// To the launcher: the command was forked; value is its pid inside.
    pub(crate) const STARTED: u32 = 2;
    /// To the launcher: the command could not be executed; value is the errno.
    pub(crate) const EXEC_FAILED: u32 = 3;
    /// To the launcher: the command was stopped; value is the signal.
    pub(crate) const STOPPED: u32 = 4;
    /// To the launcher: the command goes on.
    pub(crate) const CONTINUED: u32 = 5;
    /// To the launcher: the command exited; value is its code.
    pub(crate) const EXITED: u32 = 6;
    /// To the launcher: the command was killed; value is the signal.
    pub(crate) const KILLED: u32 = 7;
    /// To the launcher, before init runs: set-up is done; descriptors come with it.
    pub(crate) const READY: u32 = 8;
    /// To the launcher, after [`EXITED`] or [`KILLED`]: everything inside is dead and reaped, and init
    /// itself goes now. The kernel takes milliseconds to tear the namespaces down; nobody need wait for it.
    pub(crate) const ALONE: u32 = 9;

    /// To the launcher, before [`READY`]: the masks that tell are mounted; their device comes with it.
    pub(crate) const TRIPWIRE: u32 = 10;

    /// To the launcher, after [`READY`]: the filter of system calls stands; its listener comes with it, if
    /// there is one.
    pub(crate) const LISTENER: u32 = 11;

    /// To the launcher, before [`READY`]: the sockets of the guest's network come with it; value is how many of
    /// them listen at every address.
    pub(crate) const DOORS: u32 = 12;

    /// To the set-up child: its ids are mapped, or (value 0) it has to do so itself.
    pub(crate) const MAPPED: u32 = 15;
    /// To init: begin; value is a set of [`super::go`] flags.
    pub(crate) const GO: u32 = 16;
    /// To init: send the signal in value to the command's process.
    pub(crate) const SIGNAL_PROCESS: u32 = 17;
    /// To init: send the signal in value to the command's process group.
    pub(crate) const SIGNAL_GROUP: u32 = 18;
    /// To init: continue the command's group; value 0 puts it in the foreground first,
    /// [`super::RESUME_BACKGROUND`] puts init's own group there instead.
    pub(crate) const RESUME: u32 = 19;
}

/// Flags of [`tag::GO`].
pub(crate) mod go {
    /// The session has a controlling terminal, which is `/dev/tty`.
    pub(crate) const TERMINAL: i32 = 1;
    /// There is no pid namespace: init is a child subreaper and ends what it adopted.
    pub(crate) const SUBREAPER: i32 = 2;
    /// Do not make the command's group the foreground group yet: it stops with SIGTTIN or SIGTTOU when
    /// it wants the keyboard, and the launcher answers that with [`super::tag::RESUME`].
    pub(crate) const BACKGROUND: i32 = 4;
    /// Descriptor 0 was closed outside, so the command finds it closed; shifted by 1 and 2 for those.
    pub(crate) const CLOSED: i32 = 8;
}

/// Value of [`tag::RESUME`]: continue, but without the keyboard.
pub(crate) const RESUME_BACKGROUND: i32 = 1;
