//! Owns the plan: what a run will do, as plain data, before anything is done.
//!
//! The launcher fills it from the policy and from what it found on the host, prints it for
//! `--dry-run`, and then carries it out in order. It holds no real secret: the environment and the
//! command in it are the synthetic ones.

mod shown;

use std::net::SocketAddr;

use crate::profiles::Profile;

/// Bytes of a path, an argument or a variable as the kernel has them; shown with `\xNN` where they are not UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

/// Which wall stands around the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Namespaces and masks: the kernel enforces.
    Full,
    /// Landlock and a filter of system calls, without namespaces: asked for by name.
    Landlock,
    /// Environment and shim only: the weaker mode, asked for by name.
    Preload,
}

/// Whether an agent may build a sandbox of its own inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// No namespace and no mount.
    Denied,
    /// Namespaces, and mounts within them. What we mounted stays: the kernel locks it for them.
    Allowed,
}

/// Whether what is put back may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// As on the host.
    ReadWrite,
}

/// Where what a run writes is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// In the run's record.
    Record,
    /// In memory, because the record lies on a file system that cannot be a layer; copied to the record
    /// when the run is over.
    Memory,
}

/// One mount, in the order of the list.
#[derive(Clone, PartialEq, Eq)]
pub enum Mount {
    /// The host's `/` and all beneath it, read-only.
    Root,
    /// An empty tmpfs over a directory that is shared with other programs.
    Private {
        /// Where.
        at: Bytes,
        /// Permission bits of its root.
        mode: u32,
    },
    /// A fresh `/proc` of the new pid namespace.
    Proc,
    /// A `/dev` with the harmless devices, a `devpts` and a `shm` of its own.
    Devices,
    /// A host directory as it is, also where a private mount lies above it.
    Keep {
        /// Where, on both sides.
        at: Bytes,
        /// What the guest may do with it.
        access: Access,
    },
    /// A host directory that looks writable: what is written goes to a layer of the run.
    Overlay {
        /// Where, on both sides.
        at: Bytes,
        /// Where the layer lies.
        layer: Layer,
    },
    /// A home directory of the run's own: empty but for what the plan puts into it.
    Home {
        /// Where, on both sides.
        at: Bytes,
        /// Where what is written to it goes.
        layer: Layer,
    },
    /// A settings file of the home: a copy, which programs may replace.
    Copy {
        /// Where, on both sides.
        at: Bytes,
        /// Its bytes, with synthetic values for real ones.
        content: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link of the home.
    Link {
        /// Where.
        at: Bytes,
        /// What it holds.
        target: Bytes,
    },
    /// An empty directory in a private mount, because a variable names it.
    Directory {
        /// Where.
        at: Bytes,
    },
    /// The directory of the shim, its table, its ring and what masks show.
    Guest,
}

/// What a path may be used for where Landlock is the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Read and execute, it and all beneath it.
    Read,
    /// Everything, it and all beneath it.
    Write,
    /// A directory with a masked file in it: listed.
    List,
    /// A writable directory with a masked file in it: listed, and files in it made and removed. What is
    /// made directly in it cannot be read again.
    Change,
    /// A device.
    Device,
}

/// One path, and what it may be used for. What is not granted is out of reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where.
    pub at: Bytes,
    /// What for.
    pub right: Right,
}

/// What stands in the place of a secret file.
#[derive(Clone, PartialEq, Eq)]
pub enum Cover {
    /// A file that nobody can open.
    BlockedFile,
    /// A directory that nobody can enter or list.
    BlockedDirectory,
    /// Another file or directory of the host, read-only.
    Host {
        /// Which.
        source: Bytes,
    },
    /// The same file with synthetic values.
    Synthetic {
        /// Its bytes.
        content: Vec<u8>,
        /// Permission bits of the real one.
        mode: u32,
        /// Modification time of the real one, seconds and nanoseconds since the epoch.
        modified: (i64, i64),
    },
    /// As above, and writable: what is written into it ends with the run. For git's own notes.
    Scratch {
        /// Its bytes.
        content: Vec<u8>,
        /// Permission bits of the real one.
        mode: u32,
        /// Modification time of the real one, seconds and nanoseconds since the epoch.
        modified: (i64, i64),
    },
}

/// One masked path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Canonical path: no link in it.
    pub at: Bytes,
    /// What is shown.
    pub cover: Cover,
    /// The rule that asked for it, as in `rule.name` of the record.
    pub rule: String,
    /// Why, in words.
    pub reason: String,
}

/// An ssh-agent that the launcher answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAgent {
    /// What the person knows of the hosts that it logs in at: a file as `known_hosts`.
    pub known_hosts: Vec<u8>,
}

/// One variable of the guest's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// `NAME=value`, as exec takes it; some programs pass entries without `=`.
    pub entry: Bytes,
    /// What became of it.
    pub change: Change,
}

/// Whether a variable or an argument is the user's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Byte for byte as given.
    Unchanged,
    /// A secret in it became synthetic.
    Replaced,
    /// Added or set by us.
    Added,
}

/// How far the doors of a network lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To what the policy lists.
    Listed,
    /// To every address of the public network.
    Public,
}

/// The doors of a guest's network: which sockets are made inside for the launcher to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doors {
    /// Where to.
    pub reach: Reach,
    /// The ports that are listened on.
    pub ports: Vec<u16>,
    /// Addresses that the policy lists, with their ports, in order.
    pub literals: Vec<SocketAddr>,
}

/// How far a run may go; none is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Processes and threads at one time.
    pub processes: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of the largest file.
    pub file_size: Option<u64>,
    /// Bytes in the layers of the run.
    pub disk: Option<u64>,
    /// Bytes that stay free on the file system of the record.
    pub keep_free: Option<u64>,
    /// Processor time of one process.
    pub cpu_seconds: Option<u64>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which wall.
    pub tier: Tier,
    /// Which agent it is, where that is known.
    pub profile: Option<&'static Profile>,
    /// User id, kept.
    pub uid: u32,
    /// Group id, kept.
    pub gid: u32,
    /// In order.
    pub mounts: Vec<Mount>,
    /// After the mounts, in order.
    pub masks: Vec<Mask>,
    /// For [`Tier::Landlock`].
    pub grants: Vec<Grant>,
    /// The whole environment.
    pub environment: Vec<Variable>,
    /// Names of variables that the policy took out.
    pub removed: Vec<Bytes>,
    /// The command and its arguments.
    pub command: Vec<Bytes>,
    /// Which arguments had a real secret in them.
    pub replaced_arguments: Vec<usize>,
    /// Entered afresh inside.
    pub working_directory: Bytes,
    /// The tree that the run may write.
    pub workspace: Bytes,
    /// Paths of the home that come back to the host when the run is over, where they changed.
    pub kept: Vec<Bytes>,
    /// Descriptors beside 0, 1 and 2 that cross.
    pub kept_descriptors: Vec<i32>,
    /// What of the network can be reached; `None` is loopback only.
    pub doors: Option<Doors>,
    /// The ssh-agent inside, where there is one.
    pub ssh_agent: Option<SshAgent>,
    /// Whether there may be sandboxes inside.
    pub nesting: Nesting,
    /// When it ends at the latest, seconds.
    pub timeout_seconds: Option<u64>,
    /// How far it may go otherwise.
    pub bounds: Bounds,
    /// How many secrets were found.
    pub secrets: usize,
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Variable {
    /// The name: all before the first `=`.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.entry.0.split(|&byte| byte == b'=').next().unwrap_or_default()
    }
}

impl Tier {
    /// The word of `--isolation` and of the record.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Landlock => "landlock",
            Self::Preload => "preload",
        }
    }

    /// Whether the command has a view of the file system, and a network, of its own.
    #[must_use]
    pub const fn has_namespaces(self) -> bool {
        matches!(self, Self::Full)
    }
}

impl Cover {
    /// `block` or `synthetic`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::BlockedFile | Self::BlockedDirectory => "block",
            Self::Host { .. } => "read-only",
            Self::Synthetic { .. } | Self::Scratch { .. } => "synthetic",
        }
    }
}

impl Right {
    /// In `--dry-run`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::List => "list",
            Self::Change => "change",
            Self::Device => "device",
        }
    }
}

impl Plan {
    /// The private home, if there is one.
    #[must_use]
    pub fn home(&self) -> Option<&Bytes> {
        self.mounts.iter().find_map(|mount| match mount {
            Mount::Home { at, .. } => Some(at),
            _ => None,
        })
    }

    /// Whether what is seen at `path` is on a file system of the run's own, whose entries the host cannot
    /// replace: the last mount that shows the path decides.
    #[must_use]
    pub fn is_own(&self, path: &[u8]) -> bool {
        let shows = |at: &Bytes| {
            path.strip_prefix(at.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        let own = self.mounts.iter().rev().find_map(|mount| match mount {
            Mount::Overlay { at, .. } | Mount::Home { at, .. } | Mount::Private { at, .. } => {
                shows(at).then_some(true)
            }
            Mount::Keep { at, .. } => shows(at).then_some(false),
            _ => None,
        });
        own.unwrap_or(false)
    }
}
