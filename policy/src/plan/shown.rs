//! Owns how a plan is shown: names, places and decisions, never a value.

use std::fmt;

use serde_json::{Value, json};

use super::{
    Access, Bounds, Bytes, Change, Cover, Doors, Layer, Mask, Mount, Nesting, Plan, Reach, Tier, Variable,
};

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
