//! A connection of the guest's as the broker is given it: from its first byte on, even if that was read before,
//! no further than it may be read, and counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Counts;

/// The guest's side.
pub(super) struct Guest {
    stream: TcpStream,
    first: io::Cursor<Vec<u8>>,
    /// How much more may be read; none is no limit.
    more: Option<u64>,
    counts: Arc<Counts>,
}

impl Guest {
    pub(super) fn new(stream: TcpStream, first: Vec<u8>, more: Option<u64>, counts: Arc<Counts>) -> Self {
        // Small answers must not wait for each other.
        let _ = stream.set_nodelay(true);
        Self { stream, first: io::Cursor::new(first), more, counts }
    }
}

impl AsyncRead for Guest {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let counted = |into: &ReadBuf<'_>| (into.filled().len() - before) as u64;
        ready!(Pin::new(&mut this.first).poll_read(cx, into))?;
        if counted(into) == 0 {
            match &mut this.more {
                None => ready!(Pin::new(&mut this.stream).poll_read(cx, into))?,
                Some(more) => {
                    let most = usize::try_from(*more).unwrap_or(usize::MAX).min(into.remaining());
                    let got = {
                        let mut part = ReadBuf::new(into.initialize_unfilled_to(most));
                        if most > 0 {
                            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
                        }
                        part.filled().len()
                    };
                    into.advance(got);
                    *more -= got as u64;
                }
            }
        }
        add(&this.counts.sent, counted(into));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        add(&self.counts.received, written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts))?;
        add(&self.counts.received, written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn add(count: &AtomicU64, bytes: u64) {
    count.fetch_add(bytes, Ordering::Relaxed);
}
