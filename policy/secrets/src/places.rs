//! Where secrets are kept on a developer's machine: known files and directories, and file names that tell.
//!
//! Owns the tables and the match by name. Does not look at the disk.

mod home;
mod workspace;

use crate::edit::Format;
use crate::words::Words;
pub use workspace::workspace_place;

/// What a pattern is relative to.
///
/// ```
/// use shieldrun_secrets::{Scope, system_places};
/// assert!(system_places().all(|place| place.scope == Scope::System && place.pattern.starts_with('/')));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The user's home; the pattern begins with `~/`.
    Home,
    /// Any directory of the workspace; the pattern is a file name.
    Workspace,
    /// The machine; the pattern is absolute.
    System,
    /// `$XDG_RUNTIME_DIR`.
    Runtime,
}

/// What is done with the file unless the policy says otherwise.
///
/// ```
/// use shieldrun_secrets::{Handling, workspace_place};
/// assert_eq!(workspace_place(b".env", b"app").unwrap().handling, Handling::Synthetic);
/// assert_eq!(workspace_place(b"release.jks", b"app").unwrap().handling, Handling::Block);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Shown with synthetic values.
    Synthetic,
    /// Unreadable.
    Block,
}

/// A place where secrets are kept.
///
/// ```
/// use shieldrun_secrets::{Format, home_places};
/// let netrc = home_places().find(|place| place.pattern == "~/.netrc").unwrap();
/// assert_eq!(netrc.format, Format::Netrc);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPlace {
    /// As in `~/.aws/credentials`, `.env.*`, `/etc/shadow`; `*` stands for any run of characters in a name.
    pub pattern: &'static str,
    /// What the pattern is relative to.
    pub scope: Scope,
    /// How the file is written.
    pub format: Format,
    /// What is done with it.
    pub handling: Handling,
    /// Whether it is a directory, with all that is in it.
    pub directory: bool,
    /// Whose it is.
    pub tool: &'static str,
}

const fn shown(pattern: &'static str, format: Format, tool: &'static str) -> KnownPlace {
    KnownPlace { pattern, scope: Scope::Home, format, handling: Handling::Synthetic, directory: false, tool }
}

const fn block(pattern: &'static str, format: Format, tool: &'static str) -> KnownPlace {
    KnownPlace { pattern, scope: Scope::Home, format, handling: Handling::Block, directory: false, tool }
}

const fn folder(pattern: &'static str, tool: &'static str) -> KnownPlace {
    KnownPlace {
        pattern,
        scope: Scope::Home,
        format: Format::Opaque,
        handling: Handling::Block,
        directory: true,
        tool,
    }
}

const fn system(pattern: &'static str, format: Format, directory: bool, tool: &'static str) -> KnownPlace {
    KnownPlace { pattern, scope: Scope::System, format, handling: Handling::Block, directory, tool }
}

static SYSTEM: &[KnownPlace] = &[
    system("/etc/gshadow", Format::Opaque, false, "passwords"),
    system("/etc/kubernetes/admin.conf", Format::Kubeconfig, false, "Kubernetes"),
    system("/etc/rancher/k3s/k3s.yaml", Format::Kubeconfig, false, "k3s"),
    system("/etc/shadow", Format::Opaque, false, "passwords"),
    system("/etc/ssh/ssh_host_*_key", Format::Pem, false, "OpenSSH"),
    system("/etc/ssl/private", Format::Opaque, true, "TLS"),
    system("/etc/sudoers", Format::Opaque, false, "sudo"),
    system("/run/secrets", Format::Opaque, true, "container secrets"),
    system("/var/run/secrets", Format::Opaque, true, "container secrets"),
];

static RUNTIME: &[KnownPlace] = &[KnownPlace {
    pattern: "containers/auth.json",
    scope: Scope::Runtime,
    format: Format::DockerConfig,
    handling: Handling::Synthetic,
    directory: false,
    tool: "podman",
}];

/// Variables that name a file or directory with secrets. Sorted.
static POINTERS: &[&str] = &[
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CONFIG_DIR",
    "AZURE_FEDERATED_TOKEN_FILE",
    "BOTO_CONFIG",
    "CLAUDE_CONFIG_DIR",
    "CLOUDSDK_CONFIG",
    "CODEX_HOME",
    "DOCKER_CONFIG",
    "GH_CONFIG_DIR",
    "GIT_CONFIG_GLOBAL",
    "GNUPGHOME",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "KUBECONFIG",
    "MYSQL_TEST_LOGIN_FILE",
    "NETRC",
    "NPM_CONFIG_GLOBALCONFIG",
    "NPM_CONFIG_USERCONFIG",
    "OCI_CONFIG_FILE",
    "PGPASSFILE",
    "PGSERVICEFILE",
    "PGSSLKEY",
    "PIP_CONFIG_FILE",
    "PULUMI_CREDENTIALS_PATH",
    "RCLONE_CONFIG",
    "REGISTRY_AUTH_FILE",
    "SNOWFLAKE_HOME",
    "SOPS_AGE_KEY_FILE",
    "TF_CLI_CONFIG_FILE",
    "VAULT_TOKEN_PATH",
    "npm_config_globalconfig",
    "npm_config_userconfig",
];

/// Known places below `~`, sorted by their first component, so that a caller can pass over all those below a
/// directory that is not there.
///
/// ```
/// assert!(shieldrun_secrets::home_places().any(|place| place.pattern == "~/.aws/credentials"));
/// ```
pub fn home_places() -> impl Iterator<Item = &'static KnownPlace> {
    home::HOME.iter()
}

/// Known places outside any home.
///
/// ```
/// assert!(shieldrun_secrets::system_places().any(|place| place.pattern == "/etc/shadow"));
/// ```
pub fn system_places() -> impl Iterator<Item = &'static KnownPlace> {
    SYSTEM.iter()
}

/// Known places below `$XDG_RUNTIME_DIR`.
///
/// ```
/// assert!(shieldrun_secrets::runtime_places().all(|place| !place.pattern.starts_with('/')));
/// ```
pub fn runtime_places() -> impl Iterator<Item = &'static KnownPlace> {
    RUNTIME.iter()
}

/// Variables whose value is the path of a secret, not a secret.
///
/// ```
/// assert!(shieldrun_secrets::pointer_variables().contains(&"KUBECONFIG"));
/// ```
pub fn pointer_variables() -> &'static [&'static str] {
    POINTERS
}

pub(crate) fn is_pointer(name: &str) -> bool {
    static WORDS: Words = Words::of(POINTERS);
    WORDS.has(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_sorted_by_first_component() {
        let first = |p: &KnownPlace| p.pattern[2..].split('/').next().unwrap_or("");
        assert!(home::HOME.windows(2).all(|w| first(&w[0]) <= first(&w[1])));
        assert!(home::HOME.iter().all(|p| p.pattern.starts_with("~/") && !p.pattern.ends_with('/')));
        assert!(POINTERS.is_sorted());
    }
}
