//! Owns what of ours exists inside: the embedded programs and where they lie.
//!
//! Both are built by `build.rs` and are part of this binary, so one file is the whole product. In the
//! full tier the set-up child writes them to a tmpfs of the guest's; in the preload tier they lie in
//! the run's own directory.

use std::ffi::CStr;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use shieldrun_abi::{RING_FILE, SHIM_FILE, TABLE_FILE};
use shieldrun_policy::plan::Tier;

pub(crate) use shieldrun_abi::GUEST_DIRECTORY as DIRECTORY;

/// The preload shim.
pub(crate) const SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libshieldrun.so"));
/// The first process inside.
pub(crate) const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));
/// The self-test's static program.
pub(crate) const PROBER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prober"));
/// Size of the ring, bytes.
pub(crate) const RING_BYTES: usize = size_of::<shieldrun_abi::ring::Shared>();

/// The directory again, for system calls.
pub(crate) const DIRECTORY_C: &CStr = c"/run/shieldrun";
/// Where the masks that tell come from, during set-up.
pub(crate) const TRIPWIRE: &str = "/run/shieldrun/tripwire";
/// The same, for system calls.
pub(crate) const TRIPWIRE_C: &CStr = c"/run/shieldrun/tripwire";
/// Where the shim lies.
pub(crate) const SHIM_PATH: &CStr = c"/run/shieldrun/libshieldrun.so";
/// Where its table lies.
pub(crate) const TABLE_PATH: &CStr = c"/run/shieldrun/table";
/// Where its ring lies.
pub(crate) const RING_PATH: &CStr = c"/run/shieldrun/ring";
/// Where the socket of the ssh-agent lies, where there is one.
pub(crate) const AGENT: &str = "/run/shieldrun/ssh-agent";
/// Where the keys of the hosts lie that it logs in at.
pub(crate) const KNOWN_HOSTS: &str = "/run/shieldrun/known_hosts";
/// The first of them, for system calls.
pub(crate) const AGENT_PATH: &CStr = c"/run/shieldrun/ssh-agent";
/// And the other.
pub(crate) const KNOWN_HOSTS_PATH: &CStr = c"/run/shieldrun/known_hosts";
/// Where init lies.
pub(crate) const INIT_PATH: &CStr = c"/run/shieldrun/init";

/// Where the files of a run lie, as the command sees them.
#[derive(Debug)]
pub(crate) struct GuestFiles {
    directory: PathBuf,
}

impl GuestFiles {
    /// For a run of this tier with its record at `record`.
    pub(crate) fn of(tier: Tier, record: &Path) -> Self {
        let directory = match tier {
            Tier::Full => PathBuf::from(DIRECTORY),
            Tier::Landlock | Tier::Preload => record.join("guest"),
        };
        Self { directory }
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where init lies.
    pub(crate) fn init(&self) -> PathBuf {
        self.directory.join("init")
    }

    /// Writes them, for the tiers without namespaces.
    ///
    /// # Errors
    /// What the file system gives.
    pub(crate) fn put(&self, table: &[u8]) -> io::Result<()> {
        fs::create_dir_all(self.directory.join(crate::grants::TEMPORARY))?;
        for (name, content, mode) in
            [(SHIM_FILE, SHIM, 0o500), (TABLE_FILE, table, 0o400), ("init", INIT, 0o500)]
        {
            let path = self.directory.join(name);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(content)?;
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.directory.join(RING_FILE))?;
        Ok(())
    }

    /// Opens the ring, for the preload tier.
    ///
    /// # Errors
    /// What open(2) gives.
    pub(crate) fn open_ring(&self) -> io::Result<OwnedFd> {
        let path = self.directory.join(RING_FILE);
        Ok(OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)?.into())
    }
}
