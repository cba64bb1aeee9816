//! Owns the plan: what a run will do, as plain data, before anything is done.
//!
//! The launcher fills it from the policy and from what it found on the host, prints it for
//! `--dry-run`, and then carries it out in order. It holds no real secret: the environment and the
//! command in it are the synthetic ones.

use std::fmt;
use std::net::IpAddr;

use serde_json::{Value, json};

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
    /// Addresses that the policy lists.
    pub literals: Vec<IpAddr>,
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

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(out, "{}", character.escape_default())?;
                } else {
                    write!(out, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(out, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{self}`")
    }
}

impl fmt::Debug for Cover {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockedFile => write!(out, "BlockedFile"),
            Self::BlockedDirectory => write!(out, "BlockedDirectory"),
            Self::Host { source } => write!(out, "Host({source})"),
            Self::Synthetic { content, .. } => write!(out, "Synthetic({} bytes)", content.len()),
            Self::Scratch { content, .. } => write!(out, "Scratch({} bytes)", content.len()),
        }
    }
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

/// Without the content of copies.
impl fmt::Debug for Mount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Mount({self})")
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => write!(out, "/ read-only, as on the host"),
            Self::Private { at, mode } => write!(out, "{at} private tmpfs, mode {mode:04o}"),
            Self::Proc => write!(out, "/proc fresh"),
            Self::Devices => write!(out, "/dev minimal"),
            Self::Keep { at, access: Access::ReadOnly } => write!(out, "{at} read-only"),
            Self::Keep { at, access: Access::ReadWrite } => write!(out, "{at} writable"),
            Self::Overlay { at, layer: Layer::Record } => write!(out, "{at} overlay, writes go to the run"),
            Self::Overlay { at, layer: Layer::Memory } => {
                write!(out, "{at} overlay, writes go to memory and then to the run")
            }
            Self::Home { at, layer: Layer::Record } => write!(out, "{at} private home, writes go to the run"),
            Self::Home { at, layer: Layer::Memory } => write!(out, "{at} private home, in memory"),
            Self::Copy { at, .. } => write!(out, "{at} copy"),
            Self::Link { at, target } => write!(out, "{at} link to {target}"),
            Self::Directory { at } => write!(out, "{at} empty directory"),
            Self::Guest => write!(out, "/run/shieldrun shim, table, ring"),
        }
    }
}

impl Bounds {
    /// Those that there are, by name.
    fn named(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("processes", self.processes),
            ("memory", self.memory),
            ("file_size", self.file_size),
            ("disk", self.disk),
            ("keep_free", self.keep_free),
            ("cpu_seconds", self.cpu_seconds),
        ];
        all.into_iter().filter_map(|(name, bound)| Some((name, bound?))).collect()
    }
}

/// What `--dry-run` prints: names, places and decisions; values never.
impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "command            {:?}", self.command)?;
        writeln!(out, "working directory  {}", self.working_directory)?;
        writeln!(out, "workspace          {}", self.workspace)?;
        writeln!(out, "isolation          {}", self.tier.word())?;
        if let Some(profile) = self.profile {
            writeln!(out, "profile            {} ({})", profile.name, profile.title)?;
        }
        writeln!(
            out,
            "user               uid {} gid {}, no capabilities, no new privileges",
            self.uid, self.gid
        )?;
        if self.tier == Tier::Full {
            writeln!(out, "namespaces         user mount pid net ipc uts")?;
            match &self.doors {
                None => writeln!(out, "network            loopback only")?,
                Some(Doors { reach: Reach::Listed, .. }) => {
                    writeln!(out, "network            the hosts of `network.allow`, through the launcher")?;
                }
                Some(Doors { reach: Reach::Public, .. }) => {
                    writeln!(out, "network            every public address, through the launcher")?;
                }
            }
        }
        if self.ssh_agent.is_some() {
            writeln!(out, "ssh-agent          yours, for what `ssh` of the policy says")?;
        }
        if self.nesting == Nesting::Allowed {
            writeln!(out, "sandboxes inside   allowed")?;
        }
        if let Some(seconds) = self.timeout_seconds {
            writeln!(out, "timeout            {seconds} s")?;
        }
        for (key, bound) in self.bounds.named() {
            writeln!(out, "limit              {key} {bound}")?;
        }
        for mount in &self.mounts {
            writeln!(out, "mount              {mount}")?;
        }
        for path in &self.kept {
            writeln!(out, "kept               {path}")?;
        }
        for mask in &self.masks {
            writeln!(
                out,
                "mask               {} {} ({}; {})",
                mask.at,
                mask.cover.word(),
                mask.rule,
                mask.reason
            )?;
        }
        for grant in &self.grants {
            writeln!(out, "grant              {} {}", grant.at, grant.right.word())?;
        }
        for variable in self.environment.iter().filter(|variable| variable.change != Change::Unchanged) {
            let what = if variable.change == Change::Replaced { "synthetic" } else { "set" };
            writeln!(out, "variable           {} {what}", Bytes::from(variable.name()))?;
        }
        for name in &self.removed {
            writeln!(out, "variable           {name} removed")?;
        }
        for index in &self.replaced_arguments {
            writeln!(out, "argument           {index} synthetic")?;
        }
        write!(out, "secrets            {}", self.secrets)
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

    /// The same as one JSON object, for `--dry-run --json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let variable = |variable: &Variable| {
            let change = match variable.change {
                Change::Unchanged => "unchanged",
                Change::Replaced => "synthetic",
                Change::Added => "set",
            };
            json!({"name": Bytes::from(variable.name()).to_string(), "change": change})
        };
        let mask = |mask: &Mask| json!({"path": mask.at.to_string(), "action": mask.cover.word(), "rule": mask.rule, "reason": mask.reason});
        json!({
            "command": self.command.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "working_directory": self.working_directory.to_string(),
            "workspace": self.workspace.to_string(),
            "isolation": self.tier.word(),
            "profile": self.profile.map(|profile| profile.name),
            "uid": self.uid, "gid": self.gid,
            "mounts": self.mounts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "masks": self.masks.iter().map(mask).collect::<Vec<_>>(),
            "grants": self.grants.iter().map(|grant| json!({"path": grant.at.to_string(), "right": grant.right.word()})).collect::<Vec<_>>(),
            "environment": self.environment.iter().map(variable).collect::<Vec<_>>(),
            "removed": self.removed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "replaced_arguments": self.replaced_arguments,
            "kept": self.kept.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "kept_descriptors": self.kept_descriptors,
            "nested": self.nesting == Nesting::Allowed,
            "timeout_seconds": self.timeout_seconds,
            "limits": self.bounds.named().into_iter().map(|(key, bound)| (key.to_owned(), bound.into()))
                .collect::<serde_json::Map<_, Value>>(),
            "secrets": self.secrets,
        })
    }
}
