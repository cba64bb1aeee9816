//! What follows a login: bytes both ways, those of the guest scanned as in any connection that can be read.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;

use super::{Broken, Line};
use crate::relay::MOMENT;
use crate::watch::Watch;

/// One read.
const BUFFER: usize = 16 << 10;

/// Until both have said all.
pub(super) async fn run(guest: Line, server: Line, watch: Watch<'_>) -> Result<(), Broken> {
    let (from_guest, to_guest) = split(guest);
    let (from_server, to_server) = split(server);
    let back = async { back(from_server, to_guest).await.map_err(Broken::Io) };
    tokio::try_join!(forth(from_guest, to_server, watch), back)?;
    Ok(())
}

async fn forth(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut watch: Watch<'_>,
) -> Result<(), Broken> {
    let mut buffer = vec![0; BUFFER];
    // The last bytes that were read, where they may be the beginning of what must not leave.
    let mut held = Vec::new();
    loop {
        let read = from.read(&mut buffer);
        let got = if held.is_empty() {
            read.await?
        } else {
            match timeout(MOMENT, read).await {
                Ok(got) => got?,
                Err(_) => {
                    to.write_all(&std::mem::take(&mut held)).await?;
                    to.flush().await?;
                    continue;
                }
            }
        };
        let chunk = buffer.get(..got).unwrap_or_default();
        if chunk.is_empty() {
            to.write_all(&held).await?;
            return Ok(to.shutdown().await?);
        }
        watch.look(chunk).map_err(Broken::Seen)?;
        held.extend_from_slice(chunk);
        let keep = watch.pending().min(held.len());
        let rest = held.split_off(held.len() - keep);
        to.write_all(&std::mem::replace(&mut held, rest)).await?;
        to.flush().await?;
    }
}

async fn back(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let got = from.read(&mut buffer).await?;
        if got == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..got).unwrap_or_default()).await?;
        to.flush().await?;
    }
}
