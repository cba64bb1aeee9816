//! Owns the environment and the argument list: what is replaced, taken out or passed on unchanged.

use shieldrun_policy::plan::{Bytes, Change, Variable};
use shieldrun_policy::schema::{EnvRule, Policy, SecretsMode};
use shieldrun_secrets::{EnvMode, EnvOptions, EnvOutcome, Format, Registry, substitute_env_with};

use super::SecretVariable;
use super::path::contains;
use crate::host::Host;

/// A variable that names a file with secrets in it.
#[derive(Debug)]
pub(super) struct Pointer {
    /// The variable.
    pub variable: String,
    /// The file or directory, absolute.
    pub path: Vec<u8>,
    /// How to read it, where the variable tells.
    pub format: Option<Format>,
}

/// What became of the environment in the first pass.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What stays, in its order.
    pub variables: Vec<Variable>,
    /// Which variables are secret.
    pub secret_variables: Vec<SecretVariable>,
    /// What was taken out.
    pub removed: Vec<Bytes>,
    /// Files to mask.
    pub pointed_at: Vec<Pointer>,
}

/// Replaces every credential variable, all at once: an id and its secret must agree.
pub(super) fn substitute(registry: &mut Registry, policy: &Policy, host: &Host) -> Outcome {
    let named = |rule| -> Vec<String> {
        let names = host.variables.iter().map(|(name, _)| name);
        let names = names.filter(|name| policy.secrets.env_rule(name) == rule);
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    };
    let (secret, allow) = (named(EnvRule::Mask), named(EnvRule::Allow));
    let options = EnvOptions {
        secret: &secret.iter().map(String::as_str).collect::<Vec<_>>(),
        allow: &allow.iter().map(String::as_str).collect::<Vec<_>>(),
        mode: if policy.secrets.mode == SecretsMode::Block { EnvMode::Block } else { EnvMode::Synthetic },
    };
    let outcomes = substitute_env_with(registry, &host.variables, &options);
    let mut outcome = Outcome {
        variables: Vec::new(),
        secret_variables: Vec::new(),
        removed: Vec::new(),
        pointed_at: Vec::new(),
    };
    for ((name, value), what) in host.variables.iter().zip(outcomes) {
        match what {
            EnvOutcome::Unchanged => outcome.variables.push(variable(name, value, Change::Unchanged)),
            EnvOutcome::Pointer => {
                outcome.variables.push(variable(name, value, Change::Unchanged));
                outcome.pointed_at.extend(pointer(host, name, value));
            }
            EnvOutcome::Replaced { value, ids } => {
                outcome.secret_variables.push(SecretVariable::new(registry, name, &ids));
                outcome.variables.push(variable(name, &value, Change::Replaced));
            }
            EnvOutcome::Removed { ids } => {
                outcome.secret_variables.push(SecretVariable::new(registry, name, &ids));
                outcome.removed.push(Bytes(name.clone()));
            }
        }
    }
    outcome
}

/// The second pass: a value that another variable or a file gave may lie inside a variable that is
/// no credential itself.
pub(super) fn finish(registry: &Registry, mut variables: Vec<Variable>) -> Vec<Variable> {
    for variable in variables.iter_mut().filter(|variable| variable.change == Change::Unchanged) {
        if let Some(replaced) = registry.replace_known(&variable.entry.0) {
            variable.entry = Bytes(replaced.bytes);
            variable.change = Change::Replaced;
        }
    }
    variables
}

/// The command without a real value in it: the user's shell may have expanded `$TOKEN` outside.
pub(super) fn arguments(registry: &Registry, command: &[Vec<u8>]) -> (Vec<Bytes>, Vec<usize>) {
    let mut replaced_arguments = Vec::new();
    let words = command
        .iter()
        .enumerate()
        .map(|(index, word)| match registry.replace_known(word) {
            Some(replaced) => {
                replaced_arguments.push(index);
                Bytes(replaced.bytes)
            }
            None => Bytes(word.clone()),
        })
        .collect();
    (words, replaced_arguments)
}

fn variable(name: &[u8], value: &[u8], change: Change) -> Variable {
    let mut entry = Vec::with_capacity(name.len() + 1 + value.len());
    entry.extend_from_slice(name);
    entry.push(b'=');
    entry.extend_from_slice(value);
    Variable { entry: Bytes(entry), change }
}

/// Trees of the system that hold nothing secret: certificates of authorities, programs, documentation.
const PUBLIC_TREES: [&[u8]; 3] = [b"/etc/ssl/certs", b"/etc/pki/ca-trust", b"/usr"];

/// A pointer may hold a list (`KUBECONFIG=a:b`) and may be relative to the working directory.
fn pointer(host: &Host, name: &[u8], value: &[u8]) -> Vec<Pointer> {
    use std::os::unix::ffi::OsStrExt;
    let variable = String::from_utf8_lossy(name).into_owned();
    let format = pointer_format(&variable);
    value
        .split(|&byte| byte == b':')
        .filter(|path| !path.is_empty())
        .map(|path| {
            let path = match (path.strip_prefix(b"~/"), host.home_bytes()) {
                (Some(rest), Some(home)) => super::path::join(home, rest),
                _ => host.working_directory.join(super::path::as_path(path)).as_os_str().as_bytes().to_vec(),
            };
            Pointer { variable: variable.clone(), path, format }
        })
        .filter(|pointer| !PUBLIC_TREES.iter().any(|tree| contains(tree, &pointer.path)))
        .collect()
}

/// How the file is written that a variable names, where that does not show in the file's name.
fn pointer_format(variable: &str) -> Option<Format> {
    Some(match variable {
        "AWS_CONFIG_FILE"
        | "AWS_SHARED_CREDENTIALS_FILE"
        | "BOTO_CONFIG"
        | "PIP_CONFIG_FILE"
        | "PGSERVICEFILE" => Format::Ini,
        "AWS_WEB_IDENTITY_TOKEN_FILE" | "AZURE_FEDERATED_TOKEN_FILE" | "VAULT_TOKEN_PATH" => {
            Format::PlainToken
        }
        "GOOGLE_APPLICATION_CREDENTIALS" => Format::GcpJson,
        "KUBECONFIG" => Format::Kubeconfig,
        "NETRC" => Format::Netrc,
        "NPM_CONFIG_USERCONFIG" => Format::Npmrc,
        "PGPASSFILE" => Format::Pgpass,
        "REGISTRY_AUTH_FILE" => Format::DockerConfig,
        "GIT_CONFIG_GLOBAL" => Format::GitConfig,
        "GNUPGHOME" | "MYSQL_TEST_LOGIN_FILE" => Format::Opaque,
        _ => return None,
    })
}
