//! Owns the step from policy, host and inventory to the plan: every mount, in order.

mod aliases;
mod home;
mod java;
pub(crate) mod network;
pub(crate) mod ssh;
mod system;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shieldrun_policy::home::NO_HOMES;
use shieldrun_policy::plan::{
    Access, Bytes, Change, Cover, Layer, Mask, Mount, Nesting, Plan, Tier, Variable,
};
use shieldrun_policy::schema::{Isolation, Policy, Writes};

use crate::cli::RunArguments;
use crate::grants;
use crate::guest::GuestFiles;
use crate::history;
use crate::host::Host;
use crate::inventory::path::contains;
use crate::inventory::{Inventory, elsewhere};
use crate::layers;
use crate::limits;

use home::Home;

/// Directories that programs of one machine share: what lies there is not for the guest.
const PRIVATE: [(&str, u32); 2] = [("/tmp", 0o1777), ("/run", 0o755)];

/// `rule.name` of the mask over the records.
pub(crate) const RECORDS_RULE: &str = "shieldrun.records";

/// Where the homes of others lie: each of them is theirs.
const HOMES: [(&str, u32); 2] = [("/home", 0o755), ("/root", 0o700)];

/// Variables whose directory a program expects to exist.
const EXPECTED_DIRECTORIES: [&str; 2] = ["TMPDIR", "XDG_RUNTIME_DIR"];

/// Makes the plan. `record` is the directory of the run, or where it would be.
pub(crate) fn make(
    policy: &Policy,
    host: &Host,
    inventory: &mut Inventory,
    arguments: &RunArguments,
    record: &Path,
) -> Plan {
    let tier = match policy.isolation {
        Isolation::Full => Tier::Full,
        Isolation::Landlock => Tier::Landlock,
        Isolation::Preload => Tier::Preload,
    };
    let layer = layers::place_for(record);
    let found =
        home::Found { registry: &inventory.registry, masks: &inventory.masks, command: &inventory.command };
    let private = tier.has_namespaces().then(|| home::private(policy, host, &found, layer)).flatten();
    let view = View::of(policy, host, private);
    let mut masks = std::mem::take(&mut inventory.masks);
    masks.retain(|mask| !view.home.iter().flat_map(|home| &home.logins).any(|own| mask.at == bytes(own)));
    if tier.has_namespaces() {
        masks.extend(system::masks(host.uid, &masks));
        masks.extend(aliases::masks(view.homes(), &host.workspace));
    }
    masks.extend(mask_of_records(tier, record));
    masks.retain(|mask| !tier.has_namespaces() || view.shows(&mask.at.0) || view.is_kept_out(mask));
    let mounts = if tier.has_namespaces() { view.mounts(policy, host, layer) } else { Vec::new() };
    let grants = if tier == Tier::Landlock {
        grants::make(policy, host, &masks, GuestFiles::of(tier, record).directory())
    } else {
        Vec::new()
    };
    let guest = GuestFiles::of(tier, record);
    let mut environment = with_shim(std::mem::take(&mut inventory.environment), guest.directory());
    if tier == Tier::Landlock {
        // The host's `/tmp` is full of other programs' things.
        set(&mut environment, b"TMPDIR", guest.directory().join(grants::TEMPORARY));
    }
    for switch in policy.profile.iter().flat_map(|profile| profile.switches) {
        if host.variable(switch.variable).is_none() {
            set(&mut environment, switch.variable.as_bytes(), switch.value);
        }
    }
    let doors = network::doors(policy, tier);
    if doors.is_some() {
        masks.extend(network::resolver());
        network::point_at_the_proxy(&mut environment);
    }
    Plan {
        tier,
        profile: policy.profile,
        grants,
        uid: host.uid,
        gid: host.gid,
        mounts,
        masks,
        environment,
        removed: std::mem::take(&mut inventory.removed),
        command: std::mem::take(&mut inventory.command),
        replaced_arguments: std::mem::take(&mut inventory.replaced_arguments),
        working_directory: bytes(&host.working_directory),
        workspace: bytes(&host.workspace),
        kept: view.home.iter().flat_map(|home| &home.kept).map(bytes).collect(),
        kept_descriptors: arguments.keep_fd.clone(),
        doors,
        ssh_agent: None,
        bounds: limits::bounds(policy, tier),
        nesting: if policy.nested { Nesting::Allowed } else { Nesting::Denied },
        timeout_seconds: policy.limits.timeout.map(|timeout| timeout.as_secs()),
        secrets: inventory.registry.entries().len(),
    }
}

/// What of the host is seen, apart from the read-only root.
struct View {
    private: Vec<(PathBuf, u32)>,
    /// Put back: beneath a private mount, or writable.
    kept: Vec<PathBuf>,
    /// Those of them whose changes are for the host.
    persistent: Vec<PathBuf>,
    home: Option<Home>,
}

impl View {
    fn of(policy: &Policy, host: &Host, home: Option<Home>) -> Self {
        let homes = HOMES.iter().filter(|(path, _)| home.is_some() && can_be_entered(Path::new(path)));
        let private: Vec<_> = PRIVATE
            .iter()
            .chain(homes)
            .filter_map(|(path, mode)| Some((Path::new(path).canonicalize().ok()?, *mode)))
            .filter(|(path, _)| path.is_dir() && path != Path::new("/") && host.home.as_ref() != Some(path))
            .collect();
        let in_home = |path: &Path| host.home.as_ref().is_some_and(|home| path.starts_with(home));
        let hidden = |path: &Path| {
            private.iter().any(|(above, _)| path.starts_with(above))
                || path.starts_with("/dev")
                || (home.is_some() && in_home(path))
        };
        let mut kept: Vec<PathBuf> =
            NO_HOMES.iter().map(PathBuf::from).filter(|path| hidden(path) && path.is_dir()).collect();
        // In the home they are the home's.
        let outside = |path: &PathBuf| !in_home(path) && is_canonical(path);
        let named = |paths: &[String]| paths.iter().map(|path| host.path_of(path)).filter(outside).collect();
        let visible: Vec<_> = named(&policy.files.visible);
        kept.extend(visible.into_iter().filter(|path| hidden(path)));
        let persistent: Vec<_> = named(&policy.files.persist);
        kept.extend(persistent.iter().cloned());
        // Of a linked work tree: git reads there; what it would write belongs to the other trees as well.
        kept.extend(host.repository.iter().filter(|path| hidden(path)).cloned());
        kept.push(host.workspace.clone());
        // The working directory lies in the workspace, except where that was cut at the home.
        if !host.working_directory.starts_with(&host.workspace) && hidden(&host.working_directory) {
            kept.push(host.working_directory.clone());
        }
        Self { private, kept, persistent, home }
    }

    /// Sources are taken from the host's view before the first of these is made; see the set-up steps.
    fn mounts(&self, policy: &Policy, host: &Host, layer: Layer) -> Vec<Mount> {
        let mut mounts = vec![Mount::Root, Mount::Proc, Mount::Devices];
        mounts
            .extend(self.private.iter().map(|(path, mode)| Mount::Private { at: bytes(path), mode: *mode }));
        mounts.extend(self.home.iter().flat_map(|home| home.mounts.iter().cloned()));
        mounts.extend(self.kept.iter().map(|path| {
            let at = bytes(path);
            match policy.files.writes {
                Writes::Overlay if *path == host.workspace => Mount::Overlay { at, layer },
                Writes::Direct if *path == host.workspace => Mount::Keep { at, access: Access::ReadWrite },
                _ if self.persistent.contains(path) => Mount::Keep { at, access: Access::ReadWrite },
                _ => Mount::Keep { at, access: Access::ReadOnly },
            }
        }));
        let expected = EXPECTED_DIRECTORIES.iter().filter_map(|name| host.path_variable(name));
        mounts.extend(
            expected
                .filter(|path| self.private.iter().any(|(above, _)| path.starts_with(above) && path != above))
                .filter(|path| !self.kept.iter().any(|kept| path.starts_with(kept)))
                .map(|path| Mount::Directory { at: bytes(&path) }),
        );
        mounts.push(Mount::Guest);
        mounts
    }

    /// The homes that are not there: the user's, but for what is shown of it, and those of others.
    fn homes(&self) -> impl Iterator<Item = &Path> {
        let is_others = |path: &Path| HOMES.iter().any(|(home, _)| path == Path::new(home));
        let others = self.private.iter().map(|(path, _)| path.as_path()).filter(move |path| is_others(path));
        self.home_directory().into_iter().chain(others)
    }

    /// Whether a path of the host is there inside.
    fn shows(&self, path: &[u8]) -> bool {
        let beneath = |directory: &Path| contains(directory.as_os_str().as_bytes(), path);
        let covered = self.private.iter().any(|(above, _)| beneath(above))
            || ["/proc", "/dev"].iter().any(|above| beneath(Path::new(above)))
            || self.home_directory().is_some_and(beneath);
        let shown = self.home.iter().flat_map(|home| &home.shown);
        !covered || self.kept.iter().chain(shown).any(|kept| beneath(kept))
    }

    /// Whether a path of the host's home is not there by itself, and a masked one stands in its place: a
    /// program that looks for its credentials finds what it expects, and that it looked is known.
    fn is_kept_out(&self, mask: &Mask) -> bool {
        let home = self.home_directory().map(|home| home.as_os_str().as_bytes());
        // Only what has a place of its own is looked for there.
        let elsewhere = [elsewhere::RULE, history::RULE].contains(&mask.rule.as_str());
        home.is_some_and(|home| contains(home, &mask.at.0)) && mask.rule.starts_with("secrets.") && !elsewhere
    }

    fn home_directory(&self) -> Option<&Path> {
        self.home.as_ref().and_then(|home| home.mounts.first()).and_then(|mount| match mount {
            Mount::Home { at, .. } => Some(as_path(at)),
            _ => None,
        })
    }
}

/// Sets a variable, whatever it was.
fn set(environment: &mut Vec<Variable>, name: &[u8], value: impl AsRef<OsStr>) {
    let entry = Bytes([name, b"=", value.as_ref().as_bytes()].concat());
    environment.retain(|variable| variable.name() != name);
    environment.push(Variable { entry, change: Change::Added });
}

/// Our shim first, and whatever the user preloads after it.
fn with_shim(mut environment: Vec<Variable>, directory: &Path) -> Vec<Variable> {
    const NAME: &[u8] = b"LD_PRELOAD";
    let mut entry = [NAME, b"="].concat();
    entry.extend_from_slice(directory.join(shieldrun_abi::SHIM_FILE).as_os_str().as_bytes());
    match environment.iter_mut().find(|variable| variable.name() == NAME) {
        Some(own) => {
            let others = own.entry.0.get(NAME.len() + 1..).unwrap_or_default();
            if !others.is_empty() {
                entry.push(b':');
                entry.extend_from_slice(others);
            }
            own.entry = Bytes(entry);
            own.change = Change::Added;
        }
        None => environment.push(Variable { entry: Bytes(entry), change: Change::Added }),
    }
    environment
}

/// Nothing inside reads or writes a record. In the preload tier the shim itself lies in one.
fn mask_of_records(tier: Tier, record: &Path) -> Option<Mask> {
    let state = record.ancestors().find(|directory| directory.ends_with("shieldrun"))?.canonicalize().ok()?;
    tier.has_namespaces().then(|| Mask {
        at: bytes(&state),
        cover: Cover::BlockedDirectory,
        rule: RECORDS_RULE.to_owned(),
        reason: "the records of shieldrun".to_owned(),
    })
}

/// What the user cannot enter needs no cover.
fn can_be_entered(directory: &Path) -> bool {
    rustix::fs::access(directory, rustix::fs::Access::EXEC_OK).is_ok()
}

fn is_canonical(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| real == path)
}

fn as_path(path: &Bytes) -> &Path {
    as_path_of(&path.0)
}

fn as_path_of(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

fn bytes(path: impl AsRef<OsStr>) -> Bytes {
    Bytes(path.as_ref().as_bytes().to_vec())
}
