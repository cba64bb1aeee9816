//! Owns the internet of the self-test: servers at every address, which keep what they hear.
//!
//! What they heard is the evidence, not what the program inside says. Port 80 plays an open proxy as well, so
//! that a way through a proxy leads out where nobody is in between.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use shieldrun_egress::broker::Authority;

use super::tls;
use crate::sys::own_network;

const TCP: [u16; 4] = [22, DNS, 80, TLS];
const TLS: u16 = 443;
/// What TLS begins with.
const HANDSHAKE: u8 = 0x16;
const UDP: [u16; 3] = [DNS, 123, 443];
const DNS: u16 = 53;
/// Where every name leads.
const ADDRESS: [u8; 4] = [192, 0, 2, 80];
/// Where a name leads whose owner means harm: to a cloud's metadata service.
const REBOUND: [u8; 4] = [169, 254, 169, 254];
/// How long a word may take to be heard that was said without anybody in between.
const PATIENCE: Duration = Duration::from_secs(10);
/// A client that says nothing more is left alone after this.
const IDLE: Duration = Duration::from_secs(5);

/// The servers' common memory, and who vouches for them.
#[derive(Clone)]
pub(super) struct Internet {
    heard: Arc<Mutex<Vec<u8>>>,
    authority: Arc<Authority>,
}

impl Internet {
    /// Leaves the host's network for one where all addresses are these servers'.
    ///
    /// # Errors
    /// Where no namespace is to be had, or a port cannot be listened on.
    pub(super) fn enter() -> io::Result<Self> {
        own_network::enter()?;
        let internet = Self { heard: Arc::default(), authority: Arc::new(Authority::new()?) };
        for port in TCP {
            let six = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port));
            let listener = six.or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
            let internet = internet.clone();
            thread::spawn(move || {
                for guest in listener.incoming().flatten() {
                    let internet = internet.clone();
                    thread::spawn(move || internet.receive(guest, port));
                }
            });
        }
        for port in UDP {
            let six = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
            let socket = six.or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)))?;
            let internet = internet.clone();
            thread::spawn(move || {
                let mut bytes = [0; 2048];
                while let Ok((count, from)) = socket.recv_from(&mut bytes) {
                    let said = bytes.get(..count).unwrap_or_default();
                    internet.hear(said);
                    let _ = socket.send_to(&answer(said), from);
                }
            });
        }
        Ok(internet)
    }

    /// The certificate of the authority that all servers of TLS are vouched for by.
    pub(super) fn certificate(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// Whether a word was heard.
    pub(super) fn heard(&self, word: &str) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.windows(word.len()).any(|window| window == word.as_bytes())
    }

    /// The same, for a word that was said just now: a server may be slow to be woken.
    pub(super) fn hears(&self, word: &str) -> bool {
        let until = Instant::now() + PATIENCE;
        while !self.heard(word) {
            if Instant::now() > until {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    fn hear(&self, said: &[u8]) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend_from_slice(said);
        heard.push(b'\n');
    }

    fn receive(&self, guest: TcpStream, port: u16) {
        let _ = guest.set_read_timeout(Some(IDLE));
        let mut first = [0];
        // What is hidden from a server in the handshake of TLS is not heard.
        if port == TLS && guest.peek(&mut first).is_ok() && first == [HANDSHAKE] {
            if let Ok(guest) = tls::accept(guest, &self.authority) {
                self.converse(guest, port);
            }
        } else {
            self.converse(guest, port);
        }
    }

    fn converse(&self, mut guest: impl Read + Write, port: u16) {
        let mut bytes = [0; 8192];
        while let Ok(count @ 1..) = guest.read(&mut bytes) {
            let said = bytes.get(..count).unwrap_or_default();
            self.hear(said);
            if guest.write_all(&reply(said, port)).is_err() {
                break;
            }
        }
    }
}

/// What a server, or an open proxy, says to that.
fn reply(said: &[u8], port: u16) -> Vec<u8> {
    match said {
        _ if port == DNS => {
            let answer = answer(said.get(2..).unwrap_or_default());
            [&u16::try_from(answer.len()).unwrap_or(0).to_be_bytes(), answer.as_slice()].concat()
        }
        [b'C', b'O', b'N', b'N', b'E', b'C', b'T', b' ', ..] => b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        // The greeting of SOCKS5, its request, and that of SOCKS4.
        [5, methods, rest @ ..] if rest.len() == usize::from(*methods) => vec![5, 0],
        [5, ..] => [[5, 0, 0, 1].as_slice(), &[0; 6]].concat(),
        [4, ..] => [[0, 0x5a].as_slice(), &[0; 6]].concat(),
        // Some servers say what they were told.
        _ => {
            let told = said.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"Authorization: "));
            let body = told.map_or(b"hi".as_slice(), <[u8]>::trim_ascii);
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        }
    }
}

/// An address for each question that asks for one, and no more than that of DNS.
fn answer(question: &[u8]) -> Vec<u8> {
    const HEAD: usize = 12;
    const A: [u8; 4] = [0, 1, 0, 1];
    let name = question.get(HEAD..).unwrap_or_default();
    let mut length = 0;
    while let Some(&label @ 1..64) = name.get(length) {
        length += 1 + usize::from(label);
    }
    let end = HEAD + length + 1 + A.len();
    let (Some(id), Some(asked)) = (question.get(..2), question.get(HEAD..end)) else { return b"hi".to_vec() };
    let is_address = asked.ends_with(&A);
    let mut out = [id, &[0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0], asked].concat();
    if is_address {
        let rebound = name.starts_with(b"\x07rebound");
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend(if rebound { REBOUND } else { ADDRESS });
    }
    out
}
