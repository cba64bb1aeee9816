//! Owns the sockets of the host's daemons, as far as a user has such, each where its kind lies.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::serve;

/// Where gpg-agent listens, in the home.
pub(in crate::selftest) const GPG_AGENT: &str = ".gnupg/S.gpg-agent";

/// Where they are.
pub(super) struct Sockets {
    /// Of an ssh-agent.
    pub(super) agent: PathBuf,
    /// Of a bus.
    pub(super) run: PathBuf,
    /// Of a container engine that a user runs.
    pub(super) docker: PathBuf,
    /// Of whoever.
    pub(super) elsewhere: PathBuf,
    gpg: PathBuf,
}

impl Sockets {
    pub(super) fn at(root: &Path, home: &Path, id: &str) -> Self {
        let name = format!("shieldrun-selftest-{id}.bus");
        // All may write to the first one of a usual system; only some users have a directory in the second.
        let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = [Some(PathBuf::from("/run/lock")), own, Some(PathBuf::from("/run"))];
        let is_ours = |at: &PathBuf| fs::File::create_new(at.join(&name)).is_ok();
        let at = places.into_iter().flatten().find(is_ours).unwrap_or_else(|| "/run".into());
        Self {
            agent: Path::new("/tmp").join(format!("shieldrun-selftest-{id}.agent")),
            run: at.join(name),
            docker: home.join(".docker/run/docker.sock"),
            elsewhere: root.join("elsewhere.sock"),
            gpg: home.join(GPG_AGENT),
        }
    }

    /// Listens at all of them. Where one cannot be there is no such way.
    pub(super) fn serve(&self) {
        for path in [&self.agent, &self.run, &self.docker, &self.elsewhere, &self.gpg] {
            if let Some(parent) = path.parent() {
                let _ = fs::create_dir_all(parent);
            }
            let _ = fs::remove_file(path);
            if let Ok(listener) = UnixListener::bind(path) {
                serve(listener, |listener| listener.accept().map(|(peer, _)| peer));
            }
        }
    }
}
