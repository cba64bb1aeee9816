//! The environment: which variables hold secrets, and what stands in their place.

use alloc::string::String;
use alloc::vec::Vec;

use crate::names::{NameSays, glob, says};
use crate::places::is_pointer;
use crate::registry::{Place, Registry, SecretId, note};
use crate::value::{Context, Rule, is_path, rewrite};

/// What to do with a variable that holds a secret.
///
/// ```
/// use shieldrun_secrets::{EnvMode, EnvOptions, EnvOutcome, Registry, RunKey, substitute_env_with};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// let options = EnvOptions { mode: EnvMode::Block, ..EnvOptions::default() };
/// let vars = [(b"A_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())];
/// let outcome = substitute_env_with(&mut registry, &vars, &options);
/// assert!(matches!(outcome[0], EnvOutcome::Removed { .. }));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnvMode {
    /// It shows a synthetic.
    #[default]
    Synthetic,
    /// It is gone.
    Block,
}

/// What the policy says about the environment.
///
/// ```
/// use shieldrun_secrets::{EnvOptions, EnvOutcome, Registry, RunKey, substitute_env_with};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// let options = EnvOptions { secret: &["HOUSE_*"], ..EnvOptions::default() };
/// let vars = [(b"HOUSE_NUMBER".to_vec(), b"42".to_vec())];
/// assert_ne!(substitute_env_with(&mut registry, &vars, &options), [EnvOutcome::Unchanged]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EnvOptions<'a> {
    /// Names (`*` and `?` as in a shell) that are secret whatever they look like.
    pub secret: &'a [&'a str],
    /// Names that pass through whatever they look like. `secret` wins.
    pub allow: &'a [&'a str],
    /// Synthetic or gone.
    pub mode: EnvMode,
}

/// What becomes of one variable.
///
/// ```
/// use shieldrun_secrets::{EnvOutcome, Registry, RunKey, substitute_env};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// let vars = [(b"KUBECONFIG".to_vec(), b"/home/me/.kube/other".to_vec())];
/// assert_eq!(substitute_env(&mut registry, &vars), [EnvOutcome::Pointer]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvOutcome {
    /// No secret: passes byte for byte.
    Unchanged,
    /// Shows this value; holds these secrets.
    Replaced {
        /// What is shown inside.
        value: Vec<u8>,
        /// The secrets that were in it.
        ids: Vec<SecretId>,
    },
    /// In block mode: the variable is left out.
    Removed {
        /// The secrets that were in it.
        ids: Vec<SecretId>,
    },
    /// Names a file or directory that holds secrets: passes, and the caller masks what it names.
    Pointer,
}

/// Decides for a whole environment, with no word from a policy. Same order and length as `vars`.
///
/// ```
/// use shieldrun_secrets::{EnvOutcome, Registry, RunKey, substitute_env};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// let vars = [(b"DB_PASSWORD".to_vec(), b"hunter2".to_vec()), (b"LANG".to_vec(), b"C".to_vec())];
/// let outcome = substitute_env(&mut registry, &vars);
/// assert!(matches!(&outcome[0], EnvOutcome::Replaced { value, .. } if value.len() == 7 && value != b"hunter2"));
/// assert_eq!(outcome[1], EnvOutcome::Unchanged);
/// ```
pub fn substitute_env(registry: &mut Registry, vars: &[(Vec<u8>, Vec<u8>)]) -> Vec<EnvOutcome> {
    substitute_env_with(registry, vars, &EnvOptions::default())
}

/// As [`substitute_env`], with what a policy says.
///
/// ```
/// use shieldrun_secrets::{EnvOptions, EnvOutcome, Registry, RunKey, substitute_env_with};
/// let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
/// let options = EnvOptions { allow: &["CI_*"], ..EnvOptions::default() };
/// let vars = [(b"CI_TOKEN".to_vec(), b"k3Jd8sLq0ZpXv7Rt2NwYb6Hm".to_vec())];
/// assert_eq!(substitute_env_with(&mut registry, &vars, &options), [EnvOutcome::Unchanged]);
/// ```
pub fn substitute_env_with(
    registry: &mut Registry,
    vars: &[(Vec<u8>, Vec<u8>)],
    options: &EnvOptions<'_>,
) -> Vec<EnvOutcome> {
    let mut aws = Vec::new();
    let outcomes: Vec<EnvOutcome> = vars
        .iter()
        .map(|(name, value)| {
            let outcome = one(registry, name, value, options);
            if let EnvOutcome::Replaced { ids, .. } = &outcome
                && name.starts_with(b"AWS_")
            {
                ids.iter().for_each(|id| note(&mut aws, *id));
            }
            outcome
        })
        .collect();
    registry.join(&aws);
    outcomes
}

fn one(registry: &mut Registry, name: &[u8], value: &[u8], options: &EnvOptions<'_>) -> EnvOutcome {
    let matches = |globs: &[&str]| globs.iter().any(|g| glob(g.as_bytes(), name));
    let forced = matches(options.secret);
    if value.is_empty() || (!forced && matches(options.allow)) {
        return EnvOutcome::Unchanged;
    }
    let text = String::from_utf8_lossy(name);
    if !forced {
        if is_pointer(&text) && !value.trim_ascii().starts_with(b"{") {
            return EnvOutcome::Pointer;
        }
        // Under a name that speaks of secrets, a path leads to one.
        if is_path(value) && leads_to_secrets(&text) {
            return EnvOutcome::Pointer;
        }
    }
    let place = Place::Env(text.clone().into_owned());
    let rule = if forced { Rule::Forced } else { Rule::ByRules };
    match rewrite(registry, &Context { name: &text, place: &place, rule }, value) {
        None => EnvOutcome::Unchanged,
        Some(replaced) if options.mode == EnvMode::Block => EnvOutcome::Removed { ids: replaced.ids },
        Some(replaced) => EnvOutcome::Replaced { value: replaced.bytes, ids: replaced.ids },
    }
}

/// `TLS_KEY_FILE`, `VAULT_TOKEN_PATH`, and what would be a secret itself if it were no path. A directory that
/// merely has such a word in its name (`KEYCLOAK_HOME`) is none: hiding it would break what needs it.
fn leads_to_secrets(name: &str) -> bool {
    match says(name.as_bytes()) {
        NameSays::Secret | NameSays::Password | NameSays::Perhaps => !name.ends_with("ASKPASS"),
        NameSays::Harmless | NameSays::Nothing | NameSays::Public => {
            let upper = name.to_ascii_uppercase();
            let words: Vec<&str> = upper.split('_').collect();
            let about =
                ["KEY", "TOKEN", "CREDENTIAL", "CREDENTIALS", "SECRET", "SECRETS", "PASSWORD", "KEYFILE"];
            matches!(words.last(), Some(&("FILE" | "PATH" | "KEYFILE")))
                && words.iter().any(|w| about.contains(w))
        }
    }
}
