//! SOCKS5 (RFC 1928), the one command CONNECT, with names and with addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use shieldrun_policy::network::Verdict;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Gate, HEAD, Refused};
use crate::flow::Origin;
use crate::ledger::{Ledger, Refusal};
use crate::serve::Witness;

pub(super) const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const CONNECT: u8 = 1;

/// Answers, by their numbers in the RFC.
const GRANTED: u8 = 0;
const FAILED: u8 = 1;
const NOT_ALLOWED: u8 = 2;
const UNREACHABLE: u8 = 4;
const NO_SUCH_COMMAND: u8 = 7;
const NO_SUCH_ADDRESS: u8 = 8;

pub(super) async fn serve<L: Ledger, W: Witness>(
    gate: &Arc<Gate<L, W>>,
    mut guest: TcpStream,
    origin: Origin,
) {
    let Ok(Ok(asked)) = timeout(HEAD, read(&mut guest)).await else { return };
    let (name, port) = match asked {
        Ok(asked) => asked,
        Err(code) => {
            let _ = say(&mut guest, code).await;
            return;
        }
    };
    let admitted = match std::str::from_utf8(&name) {
        Ok(name) => gate.admit(&origin, name, port),
        Err(_) => {
            gate.deny(&origin, "a name that is no text", Refusal::Malformed);
            Err(Refused { why: Refusal::Malformed, reason: String::new() })
        }
    };
    let reached = match admitted {
        Ok((to, Verdict::Allowed)) => gate.dial(&origin, &to).await.map(|upstream| (to, upstream)),
        // Nobody looks into what goes through here, so no single request can be let through.
        Ok((to, _)) => {
            gate.deny(&origin, &to.to_string(), Refusal::Request);
            Err(Refused { why: Refusal::Request, reason: String::new() })
        }
        Err(refused) => Err(refused),
    };
    match reached {
        Ok((to, upstream)) => {
            if say(&mut guest, GRANTED).await.is_ok() {
                gate.join(guest, upstream, to, origin, Vec::new()).await;
            }
        }
        Err(refused) => {
            let code = if refused.why == Refusal::Unreachable { UNREACHABLE } else { NOT_ALLOWED };
            let _ = say(&mut guest, code).await;
        }
    }
}

/// The greeting and the request; the inner error is what to answer.
async fn read(guest: &mut TcpStream) -> io::Result<Result<(Vec<u8>, u16), u8>> {
    let [_, methods] = array(guest).await?;
    let mut offered = vec![0; usize::from(methods)];
    guest.read_exact(&mut offered).await?;
    if !offered.contains(&NO_PASSWORD) {
        guest.write_all(&[VERSION, 0xff]).await?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    guest.write_all(&[VERSION, NO_PASSWORD]).await?;
    let [version, command, _, kind] = array(guest).await?;
    if version != VERSION {
        return Ok(Err(FAILED));
    }
    let name = match kind {
        1 => Ipv4Addr::from(array::<4>(guest).await?).to_string().into_bytes(),
        4 => Ipv6Addr::from(array::<16>(guest).await?).to_string().into_bytes(),
        3 => {
            let mut name = vec![0; usize::from(guest.read_u8().await?)];
            guest.read_exact(&mut name).await?;
            name
        }
        _ => return Ok(Err(NO_SUCH_ADDRESS)),
    };
    let port = guest.read_u16().await?;
    if command != CONNECT {
        return Ok(Err(NO_SUCH_COMMAND));
    }
    Ok(Ok((name, port)))
}

async fn array<const N: usize>(guest: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    guest.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn say(guest: &mut TcpStream, code: u8) -> io::Result<()> {
    guest.write_all(&[VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]).await
}
