//! Owns who vouches for a database: what `sslmode` and `sslrootcert` say, or libpq's own file where nobody does.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use shieldrun_egress::broker::Protection;

use crate::plan::network::certificates;

/// In the home.
const OWN: &str = ".postgresql/root.crt";
/// Says that the host's authorities vouch.
const HOST: &str = "system";

/// Reads the files of authorities, and remembers which there are.
#[derive(Debug, Default)]
pub(super) struct Vouching<'a> {
    /// `PGSSLMODE` and `PGSSLROOTCERT`: for connections that say nothing of their own.
    pub(super) mode: Option<String>,
    pub(super) root: Option<String>,
    pub(super) home: Option<&'a Path>,
    pub(super) seen: RefCell<BTreeSet<PathBuf>>,
}

/// How a server is reached, and in PEM who vouches for it, where that is not for the host's authorities.
pub(super) type Vouched = (Protection, Option<Vec<u8>>);

impl<'a> Vouching<'a> {
    pub(super) fn new(value: &dyn Fn(&str) -> Option<String>, home: Option<&'a Path>) -> Self {
        let (mode, root) = (value("PGSSLMODE"), value("PGSSLROOTCERT"));
        Self { mode, root, home, seen: RefCell::default() }
    }

    /// By what a connection says itself.
    pub(super) fn of(&self, mode: Option<&str>, root: Option<&str>) -> Vouched {
        let mode = mode.or(self.mode.as_deref()).map(Protection::of_mode);
        let root = root.or(self.root.as_deref());
        if root == Some(HOST) {
            return (mode.unwrap_or(Protection::Verified), None);
        }
        let protection = mode.unwrap_or_default();
        let file = root.map(PathBuf::from).or_else(|| Some(self.home?.join(OWN)));
        let Some((file, text)) = file.and_then(|file| Some((file.clone(), fs::read(file).ok()?))) else {
            return (protection, None);
        };
        self.seen.borrow_mut().insert(file);
        // Where there is such a file, libpq looks at whoever it asks TLS of.
        let protection = if protection == Protection::Required { Protection::VouchedFor } else { protection };
        (protection, Some(certificates(&String::from_utf8_lossy(&text)).into_bytes()))
    }

    /// The files that were looked into.
    pub(super) fn files(self) -> Vec<PathBuf> {
        self.seen.into_inner().into_iter().collect()
    }
}
