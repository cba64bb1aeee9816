//! Owns libpq's service files: named sets of what a connection is made with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use shieldrun_policy::plan::{Cover, Plan};

/// Larger than this is no such file.
const LARGEST: u64 = 1 << 20;
/// In the home, and where Debian keeps that of all users.
const OWN: &str = ".pg_service.conf";
const SYSTEM: &str = "/etc/postgresql-common";
const SYSTEM_NAME: &str = "pg_service.conf";

/// A service: `host`, `port`, `user`, `password` and the like.
pub(super) type Service = BTreeMap<String, String>;

/// Every service file, with its path: as it is shown inside.
pub(super) fn files(
    plan: &Plan,
    value: &dyn Fn(&str) -> Option<String>,
    home: Option<&Path>,
) -> Vec<(PathBuf, String)> {
    let own = value("PGSERVICEFILE").map(PathBuf::from).or_else(|| Some(home?.join(OWN)));
    let system = PathBuf::from(value("PGSYSCONFDIR").unwrap_or_else(|| SYSTEM.to_owned())).join(SYSTEM_NAME);
    own.into_iter()
        .chain([system])
        .filter_map(|path| Some((shown(plan, &path)?, path)))
        .map(|(text, path)| (path, text))
        .collect()
}

/// What a file says inside.
fn shown(plan: &Plan, path: &Path) -> Option<String> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = fs::canonicalize(path).ok()?;
    let covered = plan.masks.iter().find(|mask| mask.at.0 == path.as_os_str().as_bytes());
    let content = match covered.map(|mask| &mask.cover) {
        Some(Cover::Synthetic { content, .. } | Cover::Scratch { content, .. }) => content.clone(),
        Some(_) => return None,
        None if fs::metadata(&path).ok()?.len() > LARGEST => return None,
        None => fs::read(&path).ok()?,
    };
    String::from_utf8(content).ok()
}

/// The services of a file: `[name]`, then a setting a line.
pub(super) fn of(text: &str) -> Vec<Service> {
    let mut all: Vec<Service> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            all.push(Service::new());
        } else if let (Some(service), Some((name, value))) = (all.last_mut(), line.split_once('=')) {
            // libpq takes the first of two.
            service.entry(name.trim().to_owned()).or_insert_with(|| value.trim().to_owned());
        }
    }
    all
}
