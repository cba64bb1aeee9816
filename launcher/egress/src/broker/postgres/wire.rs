//! The messages of PostgreSQL's protocol, as far as a login has them.
//!
//! Owns their framing, with a limit on each length. What follows a login is not taken apart.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// The longest start-up that a server reads.
const LONGEST_STARTUP: u32 = 10_000;
/// The longest message of a login: a server's notice may be long, a password is not.
const LONGEST: u32 = 64 << 10;

const VERSION_3: u32 = 3;
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const ENCRYPTION: u32 = 80_877_104;

/// The question for TLS, as a client asks it.
pub(super) const TLS_QUESTION: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What a guest may begin with.
pub(super) enum First {
    /// A question for TLS.
    Tls,
    /// A question for Kerberos.
    Encryption,
    /// What opens the connection.
    Opening(Opening),
}

/// What a connection is for.
pub(super) enum Opening {
    /// A session.
    Startup(Startup),
    /// A query of another session is to end: the packet as it came.
    Cancel(Vec<u8>),
}

/// Who wants to log in, and the packet that says so.
pub(super) struct Startup {
    packet: Vec<u8>,
    pub(super) user: String,
    pub(super) database: Option<String>,
}

impl Startup {
    /// As it came, for the server.
    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
    }
}

/// One message. Wiped when dropped, since it may hold a password.
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Reads what the guest begins with; `None` where it is nothing of this protocol.
pub(super) async fn read_opening(guest: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<First>> {
    let length = guest.read_u32().await?;
    if !(8..=LONGEST_STARTUP).contains(&length) {
        return Ok(None);
    }
    let mut packet = length.to_be_bytes().to_vec();
    packet.resize(length as usize, 0);
    guest.read_exact(packet.get_mut(4..).unwrap_or_default()).await?;
    Ok(opening(packet))
}

fn opening(packet: Vec<u8>) -> Option<First> {
    let code = u32::from_be_bytes(packet.get(4..8)?.try_into().ok()?);
    let rest = packet.get(8..)?;
    match code {
        TLS if rest.is_empty() => Some(First::Tls),
        ENCRYPTION if rest.is_empty() => Some(First::Encryption),
        // The process, and a key of 4 bytes or, from 3.2 on, up to 256.
        CANCEL if (8..=260).contains(&rest.len()) => Some(First::Opening(Opening::Cancel(packet))),
        _ if code >> 16 == VERSION_3 => {
            let (user, database) = parameters(rest)?;
            Some(First::Opening(Opening::Startup(Startup { packet, user, database })))
        }
        _ => None,
    }
}

/// User and database. Said twice is not understood: whom the server takes must be whom we looked at.
fn parameters(rest: &[u8]) -> Option<(String, Option<String>)> {
    let (mut user, mut database) = (None, None);
    let mut texts = rest.strip_suffix(&[0])?.split(|byte| *byte == 0);
    loop {
        let name = texts.next()?;
        if name.is_empty() {
            // The end, and nothing behind it.
            return texts.next().is_none().then_some(()).and(user.map(|user| (user, database)));
        }
        let value = texts.next()?;
        let place = match name {
            b"user" => &mut user,
            b"database" => &mut database,
            _ => continue,
        };
        if value.is_empty() || place.replace(String::from_utf8(value.to_vec()).ok()?).is_some() {
            return None;
        }
    }
}

/// Reads a message.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Message> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    if !(4..=LONGEST).contains(&length) {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut body = Zeroizing::new(vec![0; length as usize - 4]);
    from.read_exact(&mut body).await?;
    Ok(Message { kind, body })
}

/// Writes a message.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), kind: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).map_err(|_| ErrorKind::InvalidData)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(body.len() + 5));
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    to.write_all(&bytes).await?;
    to.flush().await
}

/// Refuses, as a server does.
pub(super) async fn refuse(to: &mut (impl AsyncWrite + Unpin), code: &str, message: &str) -> io::Result<()> {
    let mut body = Vec::new();
    for (field, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', code), (b'M', message)] {
        body.push(field);
        body.extend(text.bytes().filter(|byte| *byte != 0));
        body.push(0);
    }
    body.push(0);
    write(to, b'E', &body).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(version: u32, parameters: &[u8]) -> Vec<u8> {
        let length = u32::try_from(parameters.len() + 8).expect("short");
        [&length.to_be_bytes(), &version.to_be_bytes(), parameters].concat()
    }

    fn who(packet: Vec<u8>) -> Option<(String, Option<String>)> {
        match opening(packet)? {
            First::Opening(Opening::Startup(startup)) => Some((startup.user, startup.database)),
            _ => None,
        }
    }

    #[test]
    fn a_startup_says_once_who_is_there() {
        let app = |database: Option<&str>| Some(("app".to_owned(), database.map(str::to_owned)));
        let three = 3 << 16;
        assert_eq!(who(startup(three, b"user\0app\0\0")), app(None));
        assert_eq!(who(startup(three | 2, b"user\0app\0database\0shop\0\0")), app(Some("shop")));
        for odd in [
            &b""[..],
            b"\0",
            b"user\0app\0",
            b"user\0app",
            b"user\0app\0\0user\0root\0\0",
            b"user\0app\0user\0root\0\0",
            b"user\0\0\0",
            b"database\0shop\0\0",
            b"user\0\xff\0\0",
        ] {
            assert_eq!(who(startup(three, odd)), None, "{}", odd.escape_ascii());
        }
        assert_eq!(who(startup(2 << 16, b"user\0app\0\0")), None);
    }

    #[test]
    fn the_questions_have_no_room_for_more() {
        assert!(matches!(opening(TLS_QUESTION.to_vec()), Some(First::Tls)));
        assert!(opening(startup(TLS, b"x")).is_none());
        assert!(matches!(opening(startup(CANCEL, &[0; 8])), Some(First::Opening(Opening::Cancel(_)))));
        assert!(opening(startup(CANCEL, &[0; 7])).is_none());
    }
}
