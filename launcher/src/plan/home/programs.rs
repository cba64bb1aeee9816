//! Owns which directory of the home a program needs to run: itself, or the prefix that it was installed to.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shieldrun_policy::plan::Bytes;

use crate::host::Host;
use crate::plan::{as_path, as_path_of};

/// Directories of the home that hold the data of many programs: never a prefix.
const SHARED: [&str; 5] = [".cache", ".config", ".local", ".local/share", ".local/state"];

/// The directories of `PATH`.
pub(super) fn search_path(host: &Host) -> Vec<PathBuf> {
    let path = host.variable("PATH").unwrap_or_default();
    path.split(|&byte| byte == b':')
        .map(as_path_of)
        .filter(|path| path.is_absolute())
        .map(Path::to_path_buf)
        .collect()
}

/// The file that a command's name means.
pub(super) fn find(host: &Host, name: &Bytes) -> Option<PathBuf> {
    let bytes = &name.0;
    if bytes.is_empty() {
        return None;
    }
    if bytes.contains(&b'/') {
        return Some(host.working_directory.join(as_path(name))).filter(|path| is_program(path));
    }
    search_path(host).into_iter().map(|directory| directory.join(as_path(name))).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// What must be seen for the programs of a directory to run: `~/.tool` for `~/.tool/bin`, where nothing
/// else is; a directory that is not hidden may be a person's own, so no more than itself.
pub(super) fn prefix_of_directory(directory: &Path, home: &Path) -> PathBuf {
    let named = directory
        .file_name()
        .is_some_and(|name| ["bin", "sbin", ".bin", "shims", "current"].iter().any(|known| name == *known));
    match directory.parent() {
        Some(parent) if named && (is_hidden(parent, home) || is_environment(parent)) => parent.to_path_buf(),
        _ => directory.to_path_buf(),
    }
}

/// The same for one program, by its real path; `None` where the file alone must do.
pub(super) fn prefix_of_program(program: &Path, home: &Path) -> Option<PathBuf> {
    let modules = program.ancestors().filter(|path| path.ends_with("node_modules")).last();
    if let Some(prefix) = modules.and_then(Path::parent).filter(|prefix| *prefix != home) {
        return Some(prefix.to_path_buf());
    }
    let prefix = prefix_of_directory(program.parent()?, home);
    (is_hidden(&prefix, home) || is_environment(&prefix)).then_some(prefix)
}

fn is_hidden(path: &Path, home: &Path) -> bool {
    path.strip_prefix(home).is_ok_and(|relative| {
        relative.as_os_str().as_encoded_bytes().starts_with(b".")
            && !SHARED.iter().any(|shared| relative == Path::new(shared))
    })
}

/// A virtual environment of Python.
fn is_environment(path: &Path) -> bool {
    path.join("pyvenv.cfg").is_file()
}
