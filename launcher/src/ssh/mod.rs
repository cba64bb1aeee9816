//! Owns the ssh-agent that the guest sees: a filter before the person's own, which keeps the keys.
//!
//! It passes on which keys there are, and signs where the bytes to be signed are a login in a session that the key
//! of a listed host has signed itself, or a commit where the policy lets that be. A guest that only says which host
//! it talks to is not believed: the host's signature over the session is checked (OpenSSH's `session-bind`).

mod known;
mod request;
mod verify;
mod wire;

use std::collections::BTreeSet;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use shieldrun_policy::audit::{Action, Destination, Event, Provider};
use shieldrun_policy::network::{Rules, host};
use shieldrun_policy::plan::Plan;
use shieldrun_policy::schema::Policy;
use shieldrun_policy::verdict::Denied;

use crate::audit::Sender;
use crate::failure::Failure;
use crate::host::Host;
use crate::plan::ssh::show;
use crate::procfs;

use known::{Known, Sought};
use request::Wanted;
use wire::Reader;

/// Connections at one time.
const MOST: usize = 32;
/// The person may have to touch a key, or to say yes.
const PATIENCE: Duration = Duration::from_secs(120);
/// After an accept that failed because there are no descriptors.
const BREATH: Duration = Duration::from_millis(50);
/// Sessions of one connection; OpenSSH takes no more.
const SESSIONS: usize = 16;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGNED: u8 = 14;
const EXTENSION: u8 = 27;
/// OpenSSH tells its agent by it which host a session is with.
const BIND: &[u8] = b"session-bind@openssh.com";

/// The variable that names the socket.
const SOCKET: &str = "SSH_AUTH_SOCK";

/// What the keys may be used for in a run.
#[derive(Debug)]
pub(crate) struct Keys {
    known: Vec<Known>,
    sign_commits: bool,
    /// The person's own agent.
    agent: PathBuf,
}

/// The agent inside, being served.
#[derive(Debug)]
pub(crate) struct Agent {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    keys: Keys,
    listener: UnixListener,
    init: OwnedFd,
    sender: Mutex<Quiet>,
    open: Mutex<Vec<UnixStream>>,
    denied: Mutex<BTreeSet<&'static str>>,
}

/// A sender says nothing of itself.
struct Quiet(Sender);

/// A session that a host's key has signed.
struct Bound<'k> {
    session: Vec<u8>,
    host: &'k Known,
}

impl Keys {
    /// What a policy says, and shows of it to the guest. `None` where there is no agent inside.
    ///
    /// # Errors
    /// When the person has no agent, or knows no key of a host that is listed.
    pub(crate) fn of(policy: &Policy, host: &Host, plan: &mut Plan) -> Result<Option<Self>, Failure> {
        if !policy.ssh.has_agent() {
            return Ok(None);
        }
        let agent = host.path_variable(SOCKET).ok_or_else(|| {
            Failure::plain("there is no ssh-agent that `ssh.hosts` could let the command use").with_hint(
                "start one with `eval $(ssh-agent)` and `ssh-add`, or leave `ssh` out of the policy",
            )
        })?;
        let rules = Rules::of(&policy.network);
        let sought: Vec<_> = policy.ssh.hosts.iter().map(|pattern| sought(pattern, &rules)).collect();
        let files = known::files(host.home.as_deref());
        let known = known::read(&files, &sought);
        let is_known = |sought: &&Sought| !known::read(&files, std::slice::from_ref(*sought)).is_empty();
        if let Some(Sought { pattern, .. }) = sought.iter().find(|sought| !is_known(sought)) {
            let what = format!("no key of `{pattern}` is known, so nobody could tell that it is that host");
            let hint = "connect to it once yourself, so that `~/.ssh/known_hosts` has its key";
            return Err(Failure::plain(what).with_hint(hint));
        }
        show(plan, known.iter().map(Known::line).collect::<String>().into_bytes());
        Ok(Some(Self { known, sign_commits: policy.ssh.sign_commits, agent }))
    }
}

fn sought(pattern: &str, rules: &Rules) -> Sought {
    let ports = host(pattern).map(|host| rules.ports_of(&host).into_iter().collect::<BTreeSet<_>>());
    Sought { pattern: pattern.to_owned(), ports: ports.unwrap_or_default() }
}

impl Agent {
    /// Answers at this socket, which was made inside. `init` is the pidfd of the first process there.
    ///
    /// # Errors
    /// When there are no threads or descriptors to be had.
    pub(crate) fn serve(socket: OwnedFd, keys: Keys, init: &OwnedFd, sender: Sender) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            keys,
            listener: UnixListener::from(socket),
            init: init.try_clone()?,
            sender: Mutex::new(Quiet(sender)),
            open: Mutex::default(),
            denied: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("ssh-agent".to_owned()).spawn(move || accept(&own))?;
        Ok(Self { shared, thread })
    }

    /// Closes it. Everybody inside has ended. What was refused, each reason once.
    pub(crate) fn finish(self) -> Vec<Denied> {
        let Self { shared, thread } = self;
        // Whoever waits to accept or to read is woken by that.
        let _ = rustix::net::shutdown(&shared.listener, rustix::net::Shutdown::Both);
        let _ = thread.join();
        let denied = std::mem::take(&mut *shared.denied.lock().unwrap_or_else(PoisonError::into_inner));
        let denied = denied.into_iter().map(|rule| Denied {
            action: Action::SshKeyDenied.word().to_owned(),
            what: "a signature by a key of yours".to_owned(),
            rule: Some(rule.to_owned()),
        });
        denied.collect()
    }
}

fn accept(shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let stream = match shared.listener.accept() {
            Ok((stream, _)) => stream,
            // It was shut down.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(_) => {
                thread::sleep(BREATH);
                continue;
            }
        };
        threads.retain(|thread| !thread.is_finished());
        if threads.len() >= MOST {
            continue;
        }
        let Ok(twin) = stream.try_clone() else { continue };
        shared.open.lock().unwrap_or_else(PoisonError::into_inner).push(twin);
        let own = Arc::clone(shared);
        let serving = move || {
            let _ = own.serve(&stream);
            let _ = stream.shutdown(Shutdown::Both);
            own.forget_closed();
        };
        threads.extend(thread::Builder::new().name("ssh-agent".to_owned()).spawn(serving));
    }
    for open in shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = open.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

impl Shared {
    /// One connection, to its end.
    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        let mut bound = Vec::new();
        let mut stream = stream;
        loop {
            let message = wire::read(&mut stream)?;
            let answer = match message.split_first() {
                Some((&REQUEST_IDENTITIES, [])) => self.ask(&message, IDENTITIES),
                Some((&SIGN_REQUEST, request)) => self.sign(stream, &message, request, &bound),
                Some((&EXTENSION, request)) => self.bind(request, &mut bound),
                _ => None,
            };
            wire::write(&mut stream, &answer.unwrap_or_else(|| vec![FAILURE]))?;
        }
    }

    /// Takes in which host a session is with, if that host has signed it. One that is to be passed on to that host
    /// would let it ask for signatures itself.
    fn bind<'k>(&'k self, request: &[u8], bound: &mut Vec<Bound<'k>>) -> Option<Vec<u8>> {
        let mut reader = Reader::new(request);
        let is_bind = reader.string()? == BIND;
        let (key, session, signature) = (reader.string()?, reader.string()?, reader.string()?);
        let is_passed_on = reader.byte()? != 0;
        reader.end()?;
        if !is_bind || is_passed_on || bound.len() >= SESSIONS {
            return None;
        }
        let host = self.keys.known.iter().find(|known| known.key == key)?;
        if !verify::is_signed(key, session, signature) {
            return None;
        }
        bound.push(Bound { session: session.to_vec(), host });
        Some(vec![SUCCESS])
    }

    fn sign(
        &self,
        from: &UnixStream,
        message: &[u8],
        request: &[u8],
        bound: &[Bound<'_>],
    ) -> Option<Vec<u8>> {
        let (rule, reason) = match request::wanted(request)? {
            Wanted::Login { session, host_key } => {
                let is_this = |bound: &&Bound<'_>| {
                    bound.session == session && host_key.is_none_or(|key| key == bound.host.key)
                };
                if let Some(bound) = bound.iter().find(is_this) {
                    let signed = self.ask(message, SIGNED)?;
                    self.tell(from, Action::SshKeyUsed, "ssh.hosts", "to log in", Some(&bound.host.name));
                    return Some(signed);
                }
                ("ssh.hosts", "a login at a host that is not listed, or that nobody vouched for")
            }
            Wanted::Commit if self.keys.sign_commits => {
                let signed = self.ask(message, SIGNED)?;
                self.tell(from, Action::SshKeyUsed, "ssh.sign_commits", "to sign a commit or a tag", None);
                return Some(signed);
            }
            Wanted::Commit => ("ssh.sign_commits", "a commit or a tag was to be signed"),
            Wanted::Other => ("ssh", "neither a login nor a commit was to be signed"),
        };
        self.tell(from, Action::SshKeyDenied, rule, reason, None);
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).insert(rule);
        None
    }

    /// Asks the person's agent; an answer of another kind is none.
    fn ask(&self, message: &[u8], expected: u8) -> Option<Vec<u8>> {
        let mut agent = UnixStream::connect(&self.keys.agent).ok()?;
        agent.set_read_timeout(Some(PATIENCE)).ok()?;
        agent.set_write_timeout(Some(PATIENCE)).ok()?;
        wire::write(&mut agent, message).ok()?;
        wire::read(&mut agent).ok().filter(|answer| answer.first() == Some(&expected))
    }

    fn tell(
        &self,
        from: &UnixStream,
        action: Action,
        rule: &'static str,
        message: &'static str,
        host: Option<&str>,
    ) {
        let event = Event::new(SystemTime::now(), action, Provider::Launcher).rule(rule).message(message);
        // The kernel says who connected, by its number here.
        let peer = rustix::net::sockopt::socket_peercred(from).ok();
        let process = peer.and_then(|peer| {
            procfs::look(u32::try_from(peer.pid.as_raw_nonzero().get()).ok()?, self.init.as_fd())
        });
        let event = match process {
            Some(process) => event.process(process),
            None => event,
        };
        let event = match host {
            Some(host) => event.destination(Destination {
                address: Some(host.into()),
                domain: Some(host.to_owned()),
                ip: None,
                port: None,
            }),
            None => event,
        };
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).0.send(event);
    }

    /// Lets go of the connections that are over.
    fn forget_closed(&self) {
        let is_open = |stream: &UnixStream| rustix::net::getpeername(stream).is_ok();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(is_open);
    }
}

impl std::fmt::Debug for Quiet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sender")
    }
}
