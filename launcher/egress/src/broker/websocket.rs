//! A WebSocket, once both sides have agreed to one.
//!
//! Owns the frames, as far as a scan needs them: what the guest sends is unmasked for the scan and passes as it
//! is. Nothing is swapped here, in either direction: a synthetic that leaves is treated as in any other text,
//! and an answer that holds a real value ends the connection. No extension is agreed to, so no frame is
//! compressed.

use std::io;
use std::sync::Arc;

use shieldrun_secrets::StreamState;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::head::{Bounds, Found, Tell};
use super::secrets::Tables;
use super::stop::Stop;
use crate::ledger::{Note, Part};

const CHUNK: usize = 16 << 10;

/// Whose frames these are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Masked.
    Guest,
    /// Not masked.
    Destination,
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
    let out = async {
        let (mut leak, mut trip) = (tables.leak.stream(), tables.trip.stream());
        let mut see = |text: &[u8]| {
            if let Some(hit) = leak.feed(&tables.leak, text) {
                return Err(Stop::Leak { secret: hit.id, encoding: hit.encoding });
            }
            match trip.feed(&tables.trip, text) {
                Some(hit) => bounds.unswapped(hit.id, Part::Stream, &found),
                None => Ok(()),
            }
        };
        copy(&mut from_guest, &mut to_upstream, Side::Guest, &mut see).await
    };
    let back = async {
        let mut leak: StreamState = tables.leak.stream();
        let mut see = |text: &[u8]| match leak.feed(&tables.leak, text) {
            Some(hit) => {
                tell(Note::Scrubbed { secret: hit.id, from: bounds.to.clone() });
                Err(Stop::Unshowable { secret: hit.id })
            }
            None => Ok(()),
        };
        copy(&mut from_upstream, &mut to_guest, Side::Destination, &mut see).await
    };
    // When one side is through, the other has nothing more to wait for.
    tokio::select! {
        result = out => result,
        result = back => result,
    }
}

async fn copy<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    from: &mut R,
    to: &mut W,
    side: Side,
    see: &mut impl FnMut(&[u8]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let broken = |error: io::Error| Stop::Upstream(format!("the connection broke: {error}"));
    let mut frames = Frames::new(side);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await.map_err(broken)?;
        if read == 0 {
            return to.shutdown().await.map_err(broken);
        }
        frames.take(&buffer[..read], see)?;
        to.write_all(&buffer[..read]).await.map_err(broken)?;
        to.flush().await.map_err(broken)?;
    }
}

/// Where in a frame a stream is.
struct Frames {
    side: Side,
    header: Vec<u8>,
    mask: [u8; 4],
    at: usize,
    left: u64,
}

impl Frames {
    fn new(side: Side) -> Self {
        Self { side, header: Vec::new(), mask: [0; 4], at: 0, left: 0 }
    }

    fn take(
        &mut self,
        mut bytes: &[u8],
        see: &mut impl FnMut(&[u8]) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        while !bytes.is_empty() {
            if self.left == 0 {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                self.open()?;
                continue;
            }
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let mut text = bytes[..length].to_vec();
            for (byte, mask) in text.iter_mut().zip(self.mask.iter().cycle().skip(self.at)) {
                *byte ^= mask;
            }
            see(&text)?;
            self.at = (self.at + length) % 4;
            self.left -= length as u64;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Looks at the header, and goes on to the payload where it is whole.
    fn open(&mut self) -> Result<(), Stop> {
        let [first, second, rest @ ..] = self.header.as_slice() else { return Ok(()) };
        if first & 0x70 != 0 {
            return Err(Stop::malformed("a WebSocket frame is of an extension that nobody agreed to"));
        }
        let masked = second & 0x80 != 0;
        if masked != (self.side == Side::Guest) {
            return Err(Stop::malformed("a WebSocket frame is masked by the wrong side"));
        }
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
        Ok(())
    }
}
