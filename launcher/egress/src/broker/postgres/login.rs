//! The login: asked of the guest in the way in which the server asks, answered there with the real password.
//!
//! Owns the order: the guest proves the synthetic first. One that does not know it causes no login at all.

use md5::{Digest as _, Md5};
use tokio::task::spawn_blocking;
use tokio_rustls::rustls::crypto::ring::default_provider;
use zeroize::Zeroizing;

use super::scram::{Client, MECHANISM, Server};
use super::wire::{self, Message, Startup};
use super::{Broken, Database, Line, NO_CONNECTION, NOT_SUPPORTED, Session, WRONG_PASSWORD};
use crate::flow::Dial;
use crate::ledger::{Ledger, Note, Part, Refusal};

/// Messages that a server may send before it asks.
const MOST: usize = 64;

const AUTHENTICATION: u8 = b'R';
const ERROR: u8 = b'E';
const PASSWORD: u8 = b'p';

/// What an authentication message asks for.
const OK: u32 = 0;
const CLEARTEXT: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

type Password = Zeroizing<Vec<u8>>;

/// What a login is made with.
struct Passwords {
    synthetic: Vec<u8>,
    real: Password,
}

impl<L: Ledger, D: Dial> Session<'_, L, D> {
    /// Until the server lets in whom we let in; the guest has been told by then.
    pub(super) async fn log_in(
        &self,
        guest: &mut Line,
        server: &mut Line,
        startup: &Startup,
        known: &Database,
    ) -> Result<(), Broken> {
        let swaps = &self.inner.rules.swaps;
        let synthetic = swaps.synthetic(known.secret).filter(|synthetic| !synthetic.is_empty());
        let synthetic = synthetic.ok_or_else(|| wrong(startup))?;
        let passwords = Passwords { synthetic, real: swaps.real(known.secret) };
        let (asked, data) = asked(guest, server).await?;
        let told = match asked {
            // Without a password: nobody's secret is needed.
            OK => return Ok(wire::write(guest, AUTHENTICATION, &OK.to_be_bytes()).await?),
            CLEARTEXT => {
                wire::write(guest, AUTHENTICATION, &CLEARTEXT.to_be_bytes()).await?;
                if *password(guest).await? != [&passwords.synthetic[..], b"\0"].concat() {
                    return Err(wrong(startup));
                }
                let real = Zeroizing::new([&passwords.real[..], b"\0"].concat());
                wire::write(server, PASSWORD, &real).await?;
                None
            }
            MD5 => {
                let mut salt = [0; 4];
                default_provider().secure_random.fill(&mut salt).map_err(|_| unfit())?;
                wire::write(guest, AUTHENTICATION, &[&MD5.to_be_bytes()[..], &salt].concat()).await?;
                if *password(guest).await? != *digest(&passwords.synthetic, &startup.user, &salt) {
                    return Err(wrong(startup));
                }
                wire::write(server, PASSWORD, &digest(&passwords.real, &startup.user, &data)).await?;
                None
            }
            SASL if data.split(|byte| *byte == 0).any(|name| name == MECHANISM.as_bytes()) => {
                let told = check(guest, startup, passwords.synthetic).await?;
                prove(guest, server, passwords.real).await?;
                Some(told)
            }
            _ => return Err(unfit()),
        };
        let (answer, _) = self::asked(guest, server).await?;
        if answer != OK {
            return Err(unfit());
        }
        if let Some(told) = told {
            wire::write(guest, AUTHENTICATION, &with(SASL_FINAL, told.as_bytes())).await?;
        }
        self.note(Note::Swapped { secret: known.secret, to: self.to.clone(), part: Part::Stream });
        Ok(wire::write(guest, AUTHENTICATION, &OK.to_be_bytes()).await?)
    }
}

/// What the server asks for next. What it says beside that goes to the guest, its refusal as the last thing.
async fn asked(guest: &mut Line, server: &mut Line) -> Result<(u32, Vec<u8>), Broken> {
    for _ in 0..MOST {
        let Message { kind, body } = wire::read(server).await?;
        match kind {
            AUTHENTICATION => {
                let (code, data) = body.split_at_checked(4).ok_or_else(unfit)?;
                let code = u32::from_be_bytes(code.try_into().map_err(|_| unfit())?);
                return Ok((code, data.to_vec()));
            }
            // A notice, or what it understands of the version.
            b'N' | b'v' => wire::write(guest, kind, &body).await?,
            ERROR => {
                wire::write(guest, kind, &body).await?;
                return Err(Broken::Io(std::io::Error::other("the server refused the login")));
            }
            _ => return Err(unfit()),
        }
    }
    Err(unfit())
}

/// What the guest answers.
async fn password(guest: &mut Line) -> Result<Password, Broken> {
    let Message { kind, body } = wire::read(guest).await?;
    if kind == PASSWORD { Ok(body) } else { Err(unfit()) }
}

/// Lets the guest prove that it knows the synthetic; what it is to be told when the server agrees.
async fn check(guest: &mut Line, startup: &Startup, synthetic: Vec<u8>) -> Result<String, Broken> {
    let offered = [MECHANISM.as_bytes(), b"\0\0"].concat();
    wire::write(guest, AUTHENTICATION, &with(SASL, &offered)).await?;
    let first = password(guest).await?;
    let mechanism = [MECHANISM.as_bytes(), b"\0"].concat();
    let data = first.strip_prefix(mechanism.as_slice()).and_then(|rest| rest.get(4..)).ok_or_else(unfit)?;
    let data = data.to_vec();
    // The salt takes milliseconds, which others need not wait for.
    let begun = spawn_blocking(move || Server::begin(&synthetic, &data)).await.ok().flatten();
    let (server, answer) = begun.ok_or_else(unfit)?;
    wire::write(guest, AUTHENTICATION, &with(SASL_CONTINUE, answer.as_bytes())).await?;
    let last = password(guest).await?;
    server.finish(&last).ok_or_else(|| wrong(startup))
}

/// Proves to the server that we know the real one, and hears that it does.
async fn prove(guest: &mut Line, server: &mut Line, real: Password) -> Result<(), Broken> {
    let (mut client, first) = Client::begin().ok_or_else(unfit)?;
    let length = u32::try_from(first.len()).map_err(|_| unfit())?;
    let message = [MECHANISM.as_bytes(), b"\0", &length.to_be_bytes(), first.as_bytes()].concat();
    wire::write(server, PASSWORD, &message).await?;
    let (SASL_CONTINUE, answer) = asked(guest, server).await? else { return Err(unfit()) };
    let proof = move || client.answer(&real, &answer).map(|proof| (client, proof));
    let (client, proof) = spawn_blocking(proof).await.ok().flatten().ok_or_else(unfit)?;
    wire::write(server, PASSWORD, proof.as_bytes()).await?;
    match asked(guest, server).await? {
        (SASL_FINAL, last) if client.is_server(&last) => Ok(()),
        _ => Err(Broken::refused(
            Refusal::Credential,
            NO_CONNECTION,
            "shieldrun: the server does not know the password itself; the login is broken off",
        )),
    }
}

fn with(code: u32, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], data].concat()
}

/// `md5`, and the digest of the digest and the salt, with the zero that ends a text.
fn digest(password: &[u8], user: &str, salt: &[u8]) -> Password {
    let hex = |digest: &[u8]| Zeroizing::new(data_encoding::HEXLOWER.encode(digest));
    let inner = hex(&Md5::new().chain_update(password).chain_update(user).finalize());
    let outer = hex(&Md5::new().chain_update(inner.as_bytes()).chain_update(salt).finalize());
    Zeroizing::new([b"md5", outer.as_bytes(), b"\0"].concat())
}

fn wrong(startup: &Startup) -> Broken {
    let message = format!("password authentication failed for user \"{}\"", startup.user);
    Broken::refused(Refusal::Credential, WRONG_PASSWORD, message)
}

fn unfit() -> Broken {
    let message = "shieldrun: only a password by cleartext, MD5 or SCRAM-SHA-256 without channel binding can be \
                   exchanged here";
    Broken::refused(Refusal::Malformed, NOT_SUPPORTED, message)
}
