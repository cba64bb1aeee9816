//! Owns the planted field: a home, a project and neighbours outside, with made-up secrets in each.
//!
//! All of it lies below one scratch directory, except for one file each in `/tmp` and `/dev/shm`, a
//! shared memory segment and an abstract socket, which are the point of some ways; all goes at the end.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::evidence::Digests;
use crate::guest::PROBER;
use crate::host::random_key;
use crate::sys::attempt;

mod sockets;
mod stores;

pub(super) use sockets::GPG_AGENT;
use sockets::Sockets;

/// What the program inside is told: places and digests, never a secret.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Field {
    pub(super) secrets: Digests,
    pub(super) home: PathBuf,
    pub(super) project: PathBuf,
    pub(super) state: PathBuf,
    pub(super) outside_file: PathBuf,
    pub(super) tmp: PathBuf,
    pub(super) dev_shm: PathBuf,
    pub(super) unix_project: PathBuf,
    pub(super) unix_tmp: PathBuf,
    pub(super) unix_run: PathBuf,
    pub(super) unix_elsewhere: PathBuf,
    pub(super) unix_abstract: String,
    pub(super) tcp4: u16,
    pub(super) tcp6: u16,
    pub(super) udp4: u16,
    pub(super) bystander: i32,
    pub(super) shared_memory: i32,
    pub(super) descriptor: i32,
}

/// The field, and what keeps it alive.
pub(super) struct Planted {
    pub(super) field: Field,
    /// Variables of the run, secret and not.
    pub(super) variables: Vec<(&'static str, String)>,
    /// A secret for the command line and for stdin.
    pub(super) token: String,
    bystander: Child,
    /// Open across exec: the way is that it is.
    _descriptor: OwnedFd,
}

/// A directory that both kinds of run can see: not below `/tmp`, which is private inside.
pub(super) struct Scratch(PathBuf);

/// Makes it.
///
/// # Errors
/// When neither cache directory nor home can be written.
pub(super) fn scratch() -> io::Result<Scratch> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .ok_or_else(|| io::Error::other("neither HOME nor XDG_CACHE_HOME is set"))?;
    let path = cache.join("shieldrun").join(format!("selftest-{}", std::process::id()));
    fs::create_dir_all(&path)?;
    Ok(Scratch(path.canonicalize()?))
}

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a tree in which some directories are closed to us: those that an overlay works in are.
fn remove(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if !fs::symlink_metadata(path).is_ok_and(|status| status.is_dir()) {
        let _ = fs::remove_file(path);
        return;
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        remove(&entry.path());
    }
    let _ = fs::remove_dir(path);
}

impl Field {
    /// Plants everything below `root`.
    ///
    /// # Errors
    /// What the file system gives.
    pub(super) fn plant(root: &Path) -> io::Result<Planted> {
        let mut secrets = Digests::default();
        let mut planted = || -> io::Result<String> {
            let token = token()?;
            secrets.add(&token);
            Ok(token)
        };
        let (home, project) = (root.join("home"), root.join("home/src/project"));
        let state = root.join("state");
        fs::create_dir_all(&state)?;
        stores::home(&home, &mut planted)?;
        stores::project(&project, &mut planted)?;
        put(&state.join("record"), "as it was\n")?;
        let outside_file = root.join("outside.txt");
        put(&outside_file, &planted()?)?;
        let id = random_word(12)?;
        let tmp = Path::new("/tmp").join(format!("shieldrun-selftest-{id}"));
        let dev_shm = Path::new("/dev/shm").join(format!("shieldrun-selftest-{id}"));
        put(&tmp, &planted()?)?;
        put(&dev_shm, &planted()?)?;
        let github = planted()?;
        let sockets = Sockets::at(root, &home, &id);
        let address = |scheme: &str, path: &Path| format!("{scheme}{}", path.display());
        let variables = vec![
            ("SSH_AUTH_SOCK", address("", &sockets.agent)),
            ("DBUS_SESSION_BUS_ADDRESS", address("unix:path=", &sockets.run)),
            ("DOCKER_HOST", address("unix://", &sockets.docker)),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOME", home.display().to_string()),
            ("XDG_STATE_HOME", state.display().to_string()),
            ("SELFTEST_STATE", state.display().to_string()),
            ("SELFTEST_TMP", tmp.display().to_string()),
            ("GITHUB_TOKEN", github.clone()),
            ("DEPLOY_PASSWORD", planted()?.replace("ghp_", "x_")),
            ("DATABASE_URL", format!("postgres://app:{}@db.internal:5432/app", random_word(24)?)),
        ];

        let shared_memory = attempt::make_shared_memory(planted()?.as_bytes())?;
        let unix_abstract = format!("shieldrun-selftest-{}", random_word(24)?);
        // Those of other forms are known by their digests as well.
        for (name, value) in &variables {
            match *name {
                "DEPLOY_PASSWORD" => secrets.add(value),
                "DATABASE_URL" => {
                    secrets.add(value.split([':', '@']).nth(2).unwrap_or_default());
                }
                _ => {}
            }
        }
        secrets.add(unix_abstract.rsplit('-').next().unwrap_or_default());
        let bystander = Command::new("sleep")
            .arg("600")
            .env("GITHUB_TOKEN", &github)
            .current_dir(&project)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let descriptor = rustix::io::fcntl_dupfd_cloexec(fs::File::open(&outside_file)?, 50)?;
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::empty())?;
        let unix_project = project.join("s.sock");
        let unix_tmp = Path::new("/tmp").join(format!("shieldrun-selftest-{id}.sock"));
        serve(UnixListener::bind(&unix_project)?, |listener| listener.accept().map(|(peer, _)| peer));
        serve(UnixListener::bind(&unix_tmp)?, |listener| listener.accept().map(|(peer, _)| peer));
        sockets.serve();
        let name = SocketAddr::from_abstract_name(&unix_abstract)?;
        serve(UnixListener::bind_addr(&name)?, |listener| listener.accept().map(|(peer, _)| peer));
        let (tcp4, tcp6) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("[::1]:0"));
        let tcp4_port = tcp4.local_addr()?.port();
        serve(tcp4, |listener| listener.accept().map(|(peer, _)| peer));
        // A host without IPv6 has no such way.
        let tcp6_port = tcp6.as_ref().ok().and_then(|tcp6| tcp6.local_addr().ok()).map_or(0, |at| at.port());
        if let Ok(tcp6) = tcp6 {
            serve(tcp6, |listener| listener.accept().map(|(peer, _)| peer));
        }
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        let udp4 = udp.local_addr()?.port();
        std::thread::spawn(move || {
            while let Ok((_, from)) = udp.recv_from(&mut [0; 16]) {
                let _ = udp.send_to(b"hi", from);
            }
        });
        let field = Self {
            secrets,
            home,
            project,
            state,
            outside_file,
            tmp,
            dev_shm,
            unix_project,
            unix_tmp,
            unix_run: sockets.run,
            unix_elsewhere: sockets.elsewhere,
            unix_abstract,
            tcp4: tcp4_port,
            tcp6: tcp6_port,
            udp4,
            bystander: i32::try_from(bystander.id()).unwrap_or(i32::MAX),
            shared_memory,
            descriptor: std::os::fd::AsRawFd::as_raw_fd(&descriptor.as_fd()),
        };
        fs::write(field.description(), serde_json::to_vec(&field)?)?;
        Ok(Planted { field, variables, token: github, bystander, _descriptor: descriptor })
    }

    /// The field that a description tells of.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub(super) fn read(description: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(description)?)?)
    }

    /// Where the description lies.
    pub(super) fn description(&self) -> PathBuf {
        self.project.join("selftest.json")
    }

    /// The program that tries the ways: this one, copied to where every run sees it.
    pub(super) fn program(&self) -> PathBuf {
        self.project.join("selftest-program")
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let _ = self.bystander.kill();
        let _ = self.bystander.wait();
        attempt::remove_shared_memory(self.field.shared_memory);
        let agent = self.variables.iter().find(|(name, _)| *name == "SSH_AUTH_SOCK");
        let field = &self.field;
        let agent = agent.map(|(_, path)| Path::new(path));
        let own = [&field.tmp, &field.dev_shm, &field.unix_tmp, &field.unix_run].map(PathBuf::as_path);
        for path in own.into_iter().chain(agent) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Says a word to whoever comes, until the program ends.
fn serve<L: Send + 'static, S: Write + 'static>(listener: L, accept: fn(&L) -> io::Result<S>) {
    std::thread::spawn(move || {
        while let Ok(mut peer) = accept(&listener) {
            let _ = peer.write_all(b"hi");
        }
    });
}

/// A made-up secret of a known form.
pub(super) fn token() -> io::Result<String> {
    Ok(format!("ghp_{}", random_word(36)?))
}

/// Random letters and digits.
pub(super) fn random_word(length: usize) -> io::Result<String> {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut word = String::new();
    while word.len() < length {
        for byte in random_key()? {
            if let Some(&letter) = ALPHABET.get(usize::from(byte % 64)).filter(|_| word.len() < length) {
                word.push(char::from(letter));
            }
        }
    }
    Ok(word)
}

/// Writes a file that only its owner reads, with the directories above it.
fn put(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(content.as_ref())
}

/// Copies what runs inside into the project.
fn put_programs(project: &Path) -> io::Result<()> {
    fs::copy(std::env::current_exe()?, project.join("selftest-program"))?;
    let prober = project.join("prober");
    put(&prober, PROBER)?;
    fs::set_permissions(prober, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}
