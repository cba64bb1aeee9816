//! A WebSocket, once both sides have agreed to one.
//!
//! Owns the frames, as far as a scan needs them: what the guest sends is unmasked for the scan and passes as it
//! is. Nothing is swapped here, in either direction: a synthetic that leaves is treated as in any other text,
//! and an answer that holds a real value ends the connection. No extension is agreed to, so no frame is
//! compressed. What may be the beginning of a real value waits for the rest of its message, and no longer: who
//! has said all of a message may be waiting for the answer.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use hyper::StatusCode;
use shieldrun_secrets::{SecretId, StreamState};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::head::{Bounds, Found, Tell};
use super::look::{Costly, Look};
use super::secrets::Tables;
use super::stop::Stop;
use crate::flow::Destination;
use crate::ledger::{Note, Part};

const CHUNK: usize = 16 << 10;
/// More than this is not held back: empty frames without end behind the beginning of a value.
const HELD: usize = 1 << 20;

/// Whose frames these are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Masked.
    Guest,
    /// Not masked.
    Destination,
}

/// What a frame is part of. A ping may stand between two frames of a message, and is none of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Control,
}

/// Looks at what the frames of one side say.
trait Watch {
    fn see(&mut self, kind: Kind, text: &[u8]) -> Result<(), Stop>;

    /// How many of a message's last bytes may be the beginning of a real value.
    fn pending(&self) -> usize;

    /// What is to be looked through before anything more passes.
    fn costly(&mut self) -> Option<Costly> {
        None
    }

    /// Another message begins.
    fn begin(&mut self) {}
}

/// Of the guest.
struct Out {
    message: Look,
    control: Look,
}

impl Watch for Out {
    fn see(&mut self, kind: Kind, text: &[u8]) -> Result<(), Stop> {
        match kind {
            Kind::Message => self.message.see(text),
            Kind::Control => self.control.see(text),
        }
    }

    fn pending(&self) -> usize {
        self.message.pending()
    }

    fn costly(&mut self) -> Option<Costly> {
        let control = self.control.costly();
        match self.message.costly() {
            Some(message) => Some(message.and(control)),
            None => control,
        }
    }

    fn begin(&mut self) {
        self.message.begin_message();
        self.control.begin_message();
    }
}

/// Of the destination.
struct Back {
    tables: Arc<Tables>,
    message: StreamState,
    control: StreamState,
    tell: Tell,
    from: Destination,
}

impl Back {
    fn unshowable(&self, secret: SecretId) -> Stop {
        (self.tell)(Note::Scrubbed { secret, from: self.from.clone() });
        Stop::Unshowable { secret }
    }
}

impl Watch for Back {
    fn see(&mut self, kind: Kind, text: &[u8]) -> Result<(), Stop> {
        let stream = match kind {
            Kind::Message => &mut self.message,
            Kind::Control => &mut self.control,
        };
        match stream.feed(&self.tables.leak, text) {
            Some(hit) => Err(self.unshowable(hit.id)),
            None => Ok(()),
        }
    }

    fn pending(&self) -> usize {
        self.message.pending(&self.tables.leak)
    }
}

/// Relays until either side ends.
pub(super) async fn relay<G, U>(
    guest: G,
    upstream: U,
    tables: Arc<Tables>,
    bounds: Bounds,
    found: Found,
    tell: Tell,
) -> Result<(), Stop>
where
    G: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_guest, mut to_guest) = tokio::io::split(guest);
    let (mut from_upstream, mut to_upstream) = tokio::io::split(upstream);
    let (message, control) = (tables.leak.stream(), tables.leak.stream());
    let back = Back { tables: Arc::clone(&tables), message, control, tell, from: bounds.to.clone() };
    let message = Look::new(tables, bounds, found, Part::Stream);
    let out = Out { control: message.another(), message };
    // When one side is through, the other has nothing more to wait for.
    tokio::select! {
        result = copy(&mut from_guest, &mut to_upstream, Side::Guest, out) => result,
        result = copy(&mut from_upstream, &mut to_guest, Side::Destination, back) => result,
    }
}

async fn copy<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    from: &mut R,
    to: &mut W,
    side: Side,
    mut watch: impl Watch,
) -> Result<(), Stop> {
    let broken = |error: io::Error| Stop::Upstream(format!("the connection broke: {error}"));
    let mut frames = Frames::new(side);
    let mut held = Held::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await.map_err(broken)?;
        if read == 0 {
            // A message that never ended is owed to nobody.
            return to.shutdown().await.map_err(broken);
        }
        let said = frames.take(&buffer[..read], &mut watch)?;
        if let Some(costly) = watch.costly() {
            costly.look().await?;
        }
        let pending = if frames.within { watch.pending() } else { 0 };
        held.push(&buffer[..read], said);
        while let Some(bytes) = held.pop(pending) {
            to.write_all(&bytes).await.map_err(broken)?;
        }
        if held.bytes > HELD {
            let message = "a WebSocket message holds the beginning of a secret back for too long";
            return Err(Stop::limit(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        to.flush().await.map_err(broken)?;
    }
}

/// What was read and has not passed, in the pieces that it was read in, with how much of a message each says.
#[derive(Default)]
struct Held {
    pieces: VecDeque<(Vec<u8>, usize)>,
    bytes: usize,
    said: usize,
}

impl Held {
    fn push(&mut self, bytes: &[u8], said: usize) {
        self.pieces.push_back((bytes.to_vec(), said));
        self.bytes += bytes.len();
        self.said += said;
    }

    /// The first piece, if all that is pending stands behind it.
    fn pop(&mut self, pending: usize) -> Option<Vec<u8>> {
        let said = self.said - self.pieces.front()?.1;
        if said < pending {
            return None;
        }
        let (bytes, _) = self.pieces.pop_front()?;
        self.said = said;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

/// Where in a frame a stream is.
struct Frames {
    side: Side,
    header: Vec<u8>,
    mask: [u8; 4],
    at: usize,
    left: u64,
    kind: Kind,
    /// Whether this frame is the last of its message.
    last: bool,
    /// Whether a message has begun that is not at its end.
    within: bool,
}

impl Frames {
    fn new(side: Side) -> Self {
        let (header, mask, kind) = (Vec::new(), [0; 4], Kind::Control);
        Self { side, header, mask, at: 0, left: 0, kind, last: true, within: false }
    }

    /// Looks at these bytes; says how many of them are of messages.
    fn take(&mut self, mut bytes: &[u8], watch: &mut impl Watch) -> Result<usize, Stop> {
        let mut said = 0;
        while !bytes.is_empty() {
            if self.left == 0 {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                self.open(watch)?;
                continue;
            }
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let mut text = bytes[..length].to_vec();
            for (byte, mask) in text.iter_mut().zip(self.mask.iter().cycle().skip(self.at)) {
                *byte ^= mask;
            }
            watch.see(self.kind, &text)?;
            if self.kind == Kind::Message {
                said += length;
            }
            self.at = (self.at + length) % 4;
            self.left -= length as u64;
            bytes = &bytes[length..];
            self.close();
        }
        Ok(said)
    }

    /// A frame at its end may end its message.
    fn close(&mut self) {
        if self.left == 0 && self.kind == Kind::Message && self.last {
            self.within = false;
        }
    }

    /// Looks at the header, and goes on to the payload where it is whole.
    fn open(&mut self, watch: &mut impl Watch) -> Result<(), Stop> {
        let [first, second, rest @ ..] = self.header.as_slice() else { return Ok(()) };
        if first & 0x70 != 0 {
            return Err(Stop::malformed("a WebSocket frame is of an extension that nobody agreed to"));
        }
        let masked = second & 0x80 != 0;
        if masked != (self.side == Side::Guest) {
            return Err(Stop::malformed("a WebSocket frame is masked by the wrong side"));
        }
        let last = first & 0x80 != 0;
        let (kind, begins) = match first & 0x0f {
            0 if self.within => (Kind::Message, false),
            1 | 2 if !self.within => (Kind::Message, true),
            8..=10 if last && second & 0x7f < 126 => (Kind::Control, false),
            _ => {
                return Err(Stop::malformed(
                    "a WebSocket frame stands where it may not, or is of no known kind",
                ));
            }
        };
        let size = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if masked { 4 } else { 0 };
        if rest.len() < size + mask {
            return Ok(());
        }
        self.left = match size {
            0 => u64::from(second & 0x7f),
            _ => rest[..size].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        self.mask = [0; 4];
        self.mask[..mask].copy_from_slice(&rest[size..size + mask]);
        self.at = 0;
        self.header.clear();
        (self.kind, self.last) = (kind, last);
        if begins {
            self.within = true;
            watch.begin();
        }
        self.close();
        Ok(())
    }
}
