//! Owns bringing renewed credentials home. A client that renews its login gets synthetics inside; the real ones
//! must get into the file that the old ones came from, or the person's next login there finds a token that its
//! server has taken back.
//!
//! At once, because a server takes the old token back at once; only into files that the policy keeps from run to
//! run and into the logins of an agent's profile; only in the place of the value that was there; and written in place: a file that is replaced loses its
//! mask. Nothing of what the guest writes is in it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use shieldrun_egress::broker::Learned;
use shieldrun_policy::plan::Plan;
use shieldrun_policy::schema::Policy;
use shieldrun_secrets::{Place, Registry, SecretId};
use zeroize::Zeroizing;

/// A file with credentials is no larger.
const LARGEST: u64 = 1 << 20;

/// The files, and what was put into them.
pub(super) struct Renewals {
    registry: Arc<Registry>,
    /// What the policy keeps, without links.
    kept: Vec<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where a credential that was handed out has been put.
    at: HashMap<SecretId, Field>,
    /// What stands there by now.
    now: HashMap<Field, Zeroizing<Vec<u8>>>,
}

/// A field of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Field {
    file: PathBuf,
    name: String,
}

/// A credential that came home, or could not.
pub(super) struct Renewed {
    pub(super) file: PathBuf,
    pub(super) done: io::Result<()>,
}

/// What the policy keeps from run to run, and the logins of the agent's profile, without links.
pub(super) fn kept(plan: &Plan, policy: &Policy) -> Vec<PathBuf> {
    let home = plan.home().map(|home| PathBuf::from(std::ffi::OsStr::from_bytes(&home.0)));
    let whole = |path: &str| match path.strip_prefix("~/") {
        Some(beneath) => Some(home.as_ref()?.join(beneath)),
        None => Some(PathBuf::from(path)),
    };
    let logins = policy.profile.iter().flat_map(|profile| profile.logins).map(|login| login.path);
    let kept = policy.files.persist.iter().map(String::as_str).chain(logins);
    kept.filter_map(|path| whole(path)?.canonicalize().ok()).collect()
}

impl Renewals {
    /// Into files at or beneath these paths.
    pub(super) fn into(kept: Vec<PathBuf>, registry: &Arc<Registry>) -> Self {
        Self { registry: Arc::clone(registry), kept, state: Mutex::default() }
    }

    /// Brings one home; `None` where it has none: it renews nothing that is kept.
    pub(super) fn bring(&self, learned: &Learned<'_>) -> Option<Renewed> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let field = learned.asked_with.iter().find_map(|id| self.field_beside(&state, *id, learned.name))?;
        let old = state.now.get(&field).cloned().or_else(|| self.first_in(&field))?;
        let done = put(&field.file, &old, &learned.real);
        let file = field.file.clone();
        if done.is_ok() {
            state.now.insert(field.clone(), learned.real.clone());
            state.at.insert(learned.secret, field);
        }
        Some(Renewed { file, done })
    }

    /// The field for a credential of this name in the file that holds the one it was asked with.
    fn field_beside(&self, state: &State, asked_with: SecretId, name: &str) -> Option<Field> {
        let files: Vec<PathBuf> = match state.at.get(&asked_with) {
            Some(field) => vec![field.file.clone()],
            None => self.fields_of(asked_with).map(|field| field.file).collect(),
        };
        let beside = |field: &Field| files.contains(&field.file) && is_same_name(&field.name, name);
        self.registry.entries().iter().flat_map(|entry| self.fields_of(entry.id)).find(beside)
    }

    /// The fields of kept files in which a credential of the run's beginning stands.
    fn fields_of(&self, id: SecretId) -> impl Iterator<Item = Field> {
        let places = self.registry.entry(id).map(|entry| entry.places.as_slice()).unwrap_or_default();
        places.iter().filter_map(|place| {
            let Place::File { path, field } = place else { return None };
            let file = Path::new(path).canonicalize().ok()?;
            let is_kept = self.kept.iter().any(|kept| file.starts_with(kept));
            is_kept.then(|| Field { file, name: field.clone() })
        })
    }

    /// What stood in a field when the run began.
    fn first_in(&self, field: &Field) -> Option<Zeroizing<Vec<u8>>> {
        let mut there = self.registry.entries().iter();
        let entry = there.find(|entry| self.fields_of(entry.id).any(|own| own == *field))?;
        let mut real = Zeroizing::new(Vec::new());
        self.registry.write_real(entry.id, &mut real);
        (!real.is_empty()).then_some(real)
    }
}

/// `tokens.accessToken` is called `access_token` on the wire.
fn is_same_name(field: &str, name: &str) -> bool {
    let last = field.rsplit('.').next().unwrap_or(field);
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    plain(last) == plain(name)
}

/// Puts the new value where the old one stands.
fn put(file: &Path, old: &[u8], new: &[u8]) -> io::Result<()> {
    let refused = |why: &str| Err(io::Error::other(why.to_owned()));
    // As it stands on the wire, so it can stand between quotes: anything else would have to be written otherwise.
    if !new.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=:|".contains(byte)) {
        return refused("the new value needs an escape");
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat2(CWD, file, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?);
    let status = file.metadata()?;
    if !status.is_file() || status.len() > LARGEST {
        return refused("it is no small file");
    }
    let mut text = Zeroizing::new(Vec::with_capacity(status.len() as usize + 1));
    (&file).take(LARGEST).read_to_end(&mut text)?;
    let places: Vec<usize> = memchr::memmem::find_iter(&text, old).collect();
    if places.is_empty() {
        return refused("it holds another value by now");
    }
    let mut renewed = Zeroizing::new(Vec::with_capacity(text.len() + places.len() * new.len()));
    let mut from = 0;
    for at in places {
        renewed.extend_from_slice(text.get(from..at).unwrap_or_default());
        renewed.extend_from_slice(new);
        from = at + old.len();
    }
    renewed.extend_from_slice(text.get(from..).unwrap_or_default());
    file.write_all_at(&renewed, 0)?;
    file.set_len(renewed.len() as u64)?;
    file.sync_data()
}

impl std::fmt::Debug for Renewals {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Renewals").field("kept", &self.kept).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_called_on_the_wire_much_as_in_the_file() {
        for (field, name, same) in [
            ("claudeAiOauth.accessToken", "access_token", true),
            ("tokens.refresh_token", "refresh_token", true),
            ("refresh_token", "access_token", false),
            ("access_token.expires", "access_token", false),
            ("", "access_token", false),
        ] {
            assert_eq!(is_same_name(field, name), same, "{field} {name}");
        }
    }

    #[test]
    fn a_value_is_put_where_the_old_one_stands_and_nowhere_else() {
        let file = std::env::temp_dir().join(format!("shieldrun-renewals-{}", std::process::id()));
        std::fs::write(&file, "{\"a\": \"old-value\", \"b\": \"other\"}\n").expect("write");
        put(&file, b"old-value", b"new").expect("put");
        assert_eq!(std::fs::read(&file).expect("read"), b"{\"a\": \"new\", \"b\": \"other\"}\n");
        put(&file, b"new", b"a-longer-one").expect("put");
        assert_eq!(std::fs::read(&file).expect("read"), b"{\"a\": \"a-longer-one\", \"b\": \"other\"}\n");
        for new in [b"a\"b".as_slice(), b"a\nb", b"a\\"] {
            assert!(put(&file, b"a-longer-one", new).is_err());
        }
        assert!(put(&file, b"old-value", b"new").is_err(), "it holds another");
        assert_eq!(std::fs::read(&file).expect("read"), b"{\"a\": \"a-longer-one\", \"b\": \"other\"}\n");
        std::fs::remove_file(&file).expect("remove");
    }
}
