//! Moves bytes between the guest and where it is allowed to go, until both sides have said all.
//!
//! One buffer for the whole thread: a connection that waits costs no memory but its sockets. What the other
//! side does not take at once is copied and kept, at most one buffer's worth, and until it is gone nothing
//! more is read: so a slow side slows only its own.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::doors::Counts;
use crate::watch::{Seen, Watch};

/// A large one, so that few calls move much.
const BUFFER: usize = 256 << 10;
/// A connection on which nothing moves is closed after this time.
pub(crate) const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long the beginning of what may be a secret waits for the rest.
pub(crate) const MOMENT: Duration = Duration::from_millis(20);

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// What goes to the network.
pub(crate) struct Sent {
    /// Read from the guest already.
    pub(crate) first: Vec<u8>,
    /// How much more of the guest's is sent; none is no limit.
    pub(crate) more: Option<u64>,
}

/// How it ended.
pub(crate) enum End {
    /// Both sides said that they are done.
    Closed,
    /// One side broke off, or nothing moved for too long.
    Broken,
    /// What must not leave was about to.
    Seen(Seen),
}

enum Stop {
    Broken,
    Seen(Seen),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Carries one connection to its end.
pub(crate) async fn run(
    guest: &TcpStream,
    network: &TcpStream,
    sent: Sent,
    watch: Watch<'_>,
    counts: &Counts,
) -> End {
    // Small answers must not wait for each other.
    let _ = guest.set_nodelay(true);
    let _ = network.set_nodelay(true);
    let both = async {
        tokio::try_join!(
            out(guest, network, sent, watch, &counts.sent),
            back(network, guest, &counts.received)
        )
    };
    tokio::select! {
        ended = both => match ended {
            Ok(_) => End::Closed,
            Err(Stop::Broken) => End::Broken,
            Err(Stop::Seen(seen)) => End::Seen(seen),
        },
        () = idle(counts) => End::Broken,
    }
}

/// From the guest to the network: looked at.
async fn out(
    from: &TcpStream,
    to: &TcpStream,
    sent: Sent,
    mut watch: Watch<'_>,
    count: &AtomicU64,
) -> Result<(), Stop> {
    let Sent { first, mut more } = sent;
    // The last bytes that were read, where they may be the beginning of what must not leave.
    let mut held = Vec::new();
    if !first.is_empty() {
        pass(&mut watch, &first, &mut held, to, count).await?;
    }
    while more != Some(0) {
        if held.is_empty() {
            from.readable().await?;
        } else if timeout(MOMENT, from.readable()).await.is_err() {
            write(to, &std::mem::take(&mut held), count).await?;
            continue;
        }
        let read: io::Result<_> = SHARED.with_borrow_mut(|buffer| {
            let limit = more
                .map_or(buffer.len(), |more| usize::try_from(more).unwrap_or(usize::MAX).min(buffer.len()));
            let got = from.try_read(buffer.get_mut(..limit).unwrap_or_default())?;
            let chunk = buffer.get(..got).unwrap_or_default();
            if held.is_empty() && watch.is_clean(chunk) {
                return Ok((got, begin(to, chunk)?));
            }
            Ok((got, Begun { left: chunk.to_vec(), sent: 0, clean: false }))
        });
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
            Ok((0, _)) => break,
            Ok((got, begun)) => {
                more = more.map(|more| more.saturating_sub(got as u64));
                count.fetch_add(begun.sent as u64, Ordering::Relaxed);
                if begun.clean {
                    write(to, &begun.left, count).await?;
                } else {
                    pass(&mut watch, &begun.left, &mut held, to, count).await?;
                }
            }
        }
    }
    write(to, &held, count).await?;
    if more.is_none() {
        shut(to)?;
    }
    Ok(())
}

/// What was read and is to be looked at: sent but for its end, which may be a beginning.
async fn pass(
    watch: &mut Watch<'_>,
    chunk: &[u8],
    held: &mut Vec<u8>,
    to: &TcpStream,
    count: &AtomicU64,
) -> Result<(), Stop> {
    watch.look(chunk).map_err(Stop::Seen)?;
    held.extend_from_slice(chunk);
    let keep = watch.pending().min(held.len());
    let rest = held.split_off(held.len() - keep);
    write(to, &std::mem::replace(held, rest), count).await?;
    Ok(())
}

/// From the network to the guest.
async fn back(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> Result<(), Stop> {
    loop {
        from.readable().await?;
        let read: io::Result<_> = SHARED.with_borrow_mut(|buffer| {
            let got = from.try_read(buffer)?;
            Ok((got, begin(to, buffer.get(..got).unwrap_or_default())?))
        });
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
            Ok((0, _)) => break,
            Ok((_, begun)) => {
                count.fetch_add(begun.sent as u64, Ordering::Relaxed);
                write(to, &begun.left, count).await?;
            }
        }
    }
    shut(to)?;
    Ok(())
}

/// What one call sent, and what is left.
struct Begun {
    left: Vec<u8>,
    sent: usize,
    clean: bool,
}

fn begin(to: &TcpStream, chunk: &[u8]) -> io::Result<Begun> {
    let sent = match to.try_write(chunk) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        other => other?,
    };
    Ok(Begun { left: chunk.get(sent..).unwrap_or_default().to_vec(), sent, clean: true })
}

async fn write(to: &TcpStream, mut bytes: &[u8], count: &AtomicU64) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(sent) => {
                count.fetch_add(sent as u64, Ordering::Relaxed);
                bytes = bytes.get(sent..).unwrap_or_default();
            }
        }
    }
    Ok(())
}

/// Says that nothing more comes, and goes on listening.
fn shut(to: &TcpStream) -> io::Result<()> {
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        // It left already.
        Err(rustix::io::Errno::NOTCONN) => Ok(()),
        other => Ok(other?),
    }
}

/// Ends when nothing has moved for too long.
async fn idle(counts: &Counts) {
    let moved = || counts.sent.load(Ordering::Relaxed) + counts.received.load(Ordering::Relaxed);
    let mut before = moved();
    loop {
        sleep_until(Instant::now() + IDLE).await;
        let now = moved();
        if now == before {
            return;
        }
        before = now;
    }
}
