//! Owns the errors of spawning, with the cause and the remedy that this host suggests.

use std::{fmt, fs, io};

use super::report::Place;
use crate::inventory::mounts::MountTable;
use shieldrun_policy::plan::Bytes;

/// Why no child stands behind its walls.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// The kernel refused the namespaces.
    Namespaces {
        /// What clone3(2) said.
        error: io::Error,
        /// What forbids it, and what to do.
        cause: Cause,
    },
    /// A step of set-up failed.
    Step {
        /// Which.
        place: Place,
        /// Where, where that helps.
        path: Option<Bytes>,
        /// What the kernel said.
        error: io::Error,
        /// What forbids it, and what to do.
        cause: Option<Cause>,
    },
    /// Something is mounted beneath a directory that would be the lower layer of an overlay.
    MountBeneath {
        /// The directory.
        directory: Bytes,
        /// The mount.
        mount: Bytes,
    },
    /// The socket between launcher and child failed.
    Socket(io::Error),
    /// The child ended without a word.
    Gone,
}

/// What on this host forbids user namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// `user.max_user_namespaces` is 0.
    Maximum,
    /// Debian's `kernel.unprivileged_userns_clone` is 0.
    DebianSwitch,
    /// Ubuntu's `kernel.apparmor_restrict_unprivileged_userns` is 1.
    AppArmor,
    /// A seccomp filter is on this process: a container engine's, as a rule.
    Seccomp,
    /// `/proc` is partly covered, as in a container: the kernel then allows no fresh one.
    CoveredProc,
    /// The kernel allows no overlay here.
    NoOverlay,
    /// A directory is another one than a moment ago.
    Replaced,
    /// A file that is to be masked is no more where it was when the run was planned.
    Vanished,
    /// `mount_setattr` is missing.
    OldKernel,
    /// None of these.
    Unknown,
}

impl SpawnError {
    pub(super) fn from_clone(error: io::Error) -> Self {
        let cause = Cause::of_refusal();
        Self::Namespaces { error, cause }
    }

    pub(super) fn step(place: Place, error: io::Error, path: Vec<u8>) -> Self {
        let cause = match (place, error.raw_os_error()) {
            (_, Some(libc::ENOSYS)) => Some(Cause::OldKernel),
            (Place::Overlay, Some(libc::ESTALE)) => Some(Cause::Replaced),
            (Place::Mask, Some(libc::ENOENT | libc::ENOTDIR)) => Some(Cause::Vanished),
            (Place::Overlay, Some(_)) => Some(Cause::NoOverlay),
            (Place::Proc, Some(libc::EPERM)) => Some(Cause::CoveredProc),
            // AppArmor lets the clone pass and takes the capabilities away afterwards.
            (
                Place::UserMap | Place::Root | Place::Loopback | Place::Private,
                Some(libc::EPERM | libc::EACCES),
            ) => Some(Cause::of_refusal()),
            _ => None,
        };
        // The kernel says no more than EINVAL; only then is it worth reading the mount table.
        if (place, error.raw_os_error()) == (Place::Overlay, Some(libc::EINVAL))
            && let Ok(table) = MountTable::read()
            && let Some(mount) = table.first_beneath(&path)
        {
            return Self::MountBeneath { directory: Bytes(path), mount: Bytes(mount) };
        }
        let path = (!path.is_empty()).then_some(Bytes(path));
        Self::Step { place, path, error, cause }
    }

    /// What a person can do, where that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Namespaces { cause, .. } => Some(cause.remedy()),
            Self::Step { cause, .. } => cause.map(Cause::remedy),
            Self::MountBeneath { .. } => {
                Some("with `--writes direct` the workspace itself is written; or unmount it for the run")
            }
            Self::Socket(_) | Self::Gone => None,
        }
    }
}

impl Cause {
    /// What forbids it here, as far as the settings tell.
    pub(crate) fn of_refusal() -> Self {
        let setting = |name: &str| {
            fs::read_to_string(format!("/proc/sys/{name}"))
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok())
        };
        if setting("user/max_user_namespaces") == Some(0) {
            Self::Maximum
        } else if setting("kernel/unprivileged_userns_clone") == Some(0) {
            Self::DebianSwitch
        } else if setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
            Self::AppArmor
        } else if seccomp_filtered() {
            Self::Seccomp
        } else {
            Self::Unknown
        }
    }

    /// The cause, in words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Maximum => "the sysctl `user.max_user_namespaces` is 0",
            Self::DebianSwitch => "the sysctl `kernel.unprivileged_userns_clone` is 0",
            Self::AppArmor => {
                "AppArmor forbids unprivileged user namespaces (`kernel.apparmor_restrict_unprivileged_userns` is 1)"
            }
            Self::Seccomp => "a seccomp filter is on this process, as in a container",
            Self::CoveredProc => "`/proc` is partly covered here, as in a container",
            Self::NoOverlay => "the kernel allows no overlay over this directory by an ordinary user",
            Self::Replaced => "the directory was replaced while the run was being set up",
            Self::Vanished => "it was removed while the run was being set up",
            Self::OldKernel => "this kernel is older than Linux 5.12",
            Self::Unknown => "the kernel or a security module forbids user namespaces here",
        }
    }

    /// What a person can do.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Maximum => {
                "`sysctl -w user.max_user_namespaces=10000` as root, or `--isolation landlock` or `--isolation preload` for a weaker mode"
            }
            Self::DebianSwitch => {
                "`sysctl -w kernel.unprivileged_userns_clone=1` as root, or `--isolation landlock` or `--isolation preload` for a weaker mode"
            }
            Self::AppArmor => {
                "allow it for shieldrun with an AppArmor profile that has `userns,`, or \
                 `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` as root; \
                 `--isolation landlock` and `--isolation preload` are weaker modes"
            }
            Self::Seccomp => {
                "start the container with a seccomp profile that allows user namespaces \
                 (docker: `--security-opt seccomp=unconfined`), or `--isolation landlock` or `--isolation preload` for a weaker mode"
            }
            Self::CoveredProc => {
                "start the container with `--security-opt systempaths=unconfined`, \
                 or `--isolation landlock` or `--isolation preload` for a weaker mode"
            }
            Self::NoOverlay => "with `--writes direct` the workspace itself is written",
            Self::Replaced | Self::Vanished => "start the run again",
            Self::OldKernel => {
                "use Linux 5.12 or newer, or `--isolation landlock` or `--isolation preload` for a weaker mode"
            }
            Self::Unknown => {
                "`--isolation landlock` and `--isolation preload` are weaker modes that need none"
            }
        }
    }
}

fn seccomp_filtered() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|text| {
        text.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
    })
}

impl fmt::Display for SpawnError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespaces { cause, .. } => {
                write!(out, "cannot create a user namespace: {}", cause.words())
            }
            Self::Step { place, path, cause, .. } => {
                write!(out, "{}", place.doing())?;
                if let Some(path) = path {
                    write!(out, " at `{path}`")?;
                }
                cause.map_or(Ok(()), |cause| write!(out, ": {}", cause.words()))
            }
            Self::MountBeneath { directory, mount } => write!(
                out,
                "cannot mount an overlay at `{directory}`: `{mount}` is mounted in it, and the kernel then refuses"
            ),
            Self::Socket(_) => write!(out, "cannot talk to the set-up process"),
            Self::Gone => write!(out, "the set-up process ended without a word"),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Namespaces { error, .. } | Self::Step { error, .. } | Self::Socket(error) => Some(error),
            Self::Gone | Self::MountBeneath { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_went_away_is_named_and_the_run_is_to_be_started_again() {
        let gone = io::Error::from_raw_os_error(libc::ENOENT);
        let error = SpawnError::step(Place::Mask, gone, b"/etc/group.4711".to_vec());
        let said = error.to_string();
        assert!(
            said.contains("`/etc/group.4711`") && said.contains("while the run was being set up"),
            "{said}"
        );
        assert_eq!(error.hint(), Some("start the run again"));
        let forbidden = io::Error::from_raw_os_error(libc::EACCES);
        let error = SpawnError::step(Place::Mask, forbidden, b"/etc/group".to_vec());
        assert_eq!(error.hint(), None);
    }
}
