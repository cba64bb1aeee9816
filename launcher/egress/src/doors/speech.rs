//! What is spoken on a connection, told by how it begins.
//!
//! Only asked where there is a broker: TLS and HTTP are its, the rest is relayed. Who speaks first counts, not
//! how long the guest takes: one that only had to wait to be taken for another protocol would be past the broker.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::HEAD;
use crate::relay::IDLE;

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// What a request of HTTP begins with; `PRI` is the preface of HTTP/2 without TLS.
const METHODS: [&[u8]; 23] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"PATCH ",
    b"OPTIONS ",
    b"TRACE ",
    b"CONNECT ",
    b"PRI ",
    b"QUERY ",
    b"PROPFIND ",
    b"PROPPATCH ",
    b"MKCOL ",
    b"COPY ",
    b"MOVE ",
    b"LOCK ",
    b"UNLOCK ",
    b"REPORT ",
    b"SEARCH ",
    b"LINK ",
    b"UNLINK ",
    b"PURGE ",
];
/// The longest of them. More is never needed to tell.
const ENOUGH: usize = 10;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// TLS.
    Tls,
    /// HTTP without TLS.
    Http,
    /// The start-up of PostgreSQL's protocol.
    Postgres,
    /// Anything else.
    Other,
}

/// Told by the first bytes of the guest's; `None` where more is needed.
pub(crate) fn told(first: &[u8]) -> Option<Speech> {
    // Some clients begin with the end of a line that they believe was left over.
    let blank = first.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let word = first.get(blank..).unwrap_or_default();
    match word.first() {
        None if blank > ENOUGH => Some(Speech::Other),
        None => None,
        Some(&HANDSHAKE) => Some(Speech::Tls),
        Some(0) => postgres(word),
        Some(_) if METHODS.iter().any(|method| word.starts_with(method)) => Some(Speech::Http),
        Some(_) if METHODS.iter().any(|method| method.starts_with(word)) => None,
        Some(_) => Some(Speech::Other),
    }
}

/// A start-up has a length, of which two bytes are zero, and then a question or the version and a name.
fn postgres(word: &[u8]) -> Option<Speech> {
    const QUESTIONS: [[u8; 4]; 3] =
        [[0x04, 0xd2, 0x16, 0x2e], [0x04, 0xd2, 0x16, 0x2f], [0x04, 0xd2, 0x16, 0x30]];
    let Some((length, rest)) = word.split_at_checked(4) else {
        let is_short = word.iter().take(2).all(|byte| *byte == 0);
        return if is_short { None } else { Some(Speech::Other) };
    };
    let is_short = length.starts_with(&[0, 0]);
    match rest {
        _ if !is_short => Some(Speech::Other),
        // Other protocols have a version 3.0 there: what follows in those is no name.
        [0, 3, _, _, first, ..] if first.is_ascii_lowercase() || *first == b'_' => Some(Speech::Postgres),
        [0, 3, _, _, _, ..] => Some(Speech::Other),
        [] | [0] | [0, 3, ..] => None,
        _ if QUESTIONS.iter().any(|question| rest.starts_with(question)) => Some(Speech::Postgres),
        _ if QUESTIONS.iter().any(|question| question.starts_with(rest)) => None,
        _ => Some(Speech::Other),
    }
}

/// Waits until it is clear who speaks what. What the guest said until then is in `first`.
pub(super) async fn hear(guest: &TcpStream, upstream: &TcpStream, first: &mut Vec<u8>) -> Speech {
    loop {
        if let Some(speech) = told(first) {
            return speech;
        }
        let patience: Duration = if first.is_empty() { IDLE } else { HEAD };
        tokio::select! {
            biased;
            ready = guest.readable() => {
                let mut more = [0; 64];
                match ready.and_then(|()| guest.try_read(&mut more)) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // It has said all, or broke off: whoever carries it finds the same.
                    Ok(0) | Err(_) => return Speech::Other,
                    Ok(got) => first.extend_from_slice(more.get(..got).unwrap_or_default()),
                }
            }
            // The other side begins, as with ssh and mail, or hangs up.
            _ = upstream.readable(), if first.is_empty() => return Speech::Other,
            () = sleep(patience) => return Speech::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoken_is_told_by_the_first_bytes_however_they_are_cut() {
        for (first, speech) in [
            (&b"\x16\x03\x01"[..], Speech::Tls),
            (b"GET / HTTP/1.1\r\n", Speech::Http),
            (b"\r\nPROPPATCH /x HTTP/1.1\r\n", Speech::Http),
            (b"PRI * HTTP/2.0\r\n", Speech::Http),
            (b"SSH-2.0-OpenSSH", Speech::Other),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", Speech::Postgres),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x31", Speech::Other),
            (b"\x00\x00\x00\x22\x00\x03\x00\x00user", Speech::Postgres),
            (b"\x00\x00\x00\x22\x00\x03\x00\x00\x00\x00", Speech::Other),
            (b"\x00\x01\x00\x08\x04\xd2\x16\x2f", Speech::Other),
            (b"\x17\x03\x03\x00\x10", Speech::Other),
            (b"get / HTTP/1.1\r\n", Speech::Other),
            (b"\r\n\r\n\r\n\r\n\r\n\r\n", Speech::Other),
        ] {
            let seen = (1..=first.len()).find_map(|length| told(&first[..length]));
            assert_eq!(seen, Some(speech), "{}", first.escape_ascii());
        }
        for undecided in [&b""[..], b"G", b"POS", b"\r\n", b"\r\nGET", b"\0\0", b"\0\0\0\x08\x04"] {
            assert_eq!(told(undecided), None, "{}", undecided.escape_ascii());
        }
        assert!(METHODS.iter().all(|method| method.len() <= ENOUGH));
    }
}
