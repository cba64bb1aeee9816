//! From a tree that waits to one that is watched: the terminal, the threads, then `GO`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rustix::fs::OFlags;

use super::feed::Feed;
use super::job::Job;
use super::latch::{Latch, mailbox};
use super::pump::{Gates, Inside, Pump};
use super::watch::{Init, Watch};
use super::{Inspection, Limits, Observer, Outcome, Running, SuperviseError};
use crate::stdio::{InputKind, Stream};
use crate::sys::control::tag;

/// Runs the command to its end.
///
/// # Errors
/// When the launcher itself cannot go on. `init`, and all inside with it, is killed then.
pub(crate) fn supervise(
    running: Running,
    limits: Limits,
    inspection: Inspection<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome, SuperviseError> {
    let Running { control, init, go, stdio, pty, spent, signals } = running;
    // First of all, so that every way out ends the tree.
    let init = Init { pidfd: init, is_gone: false };
    let (sender, mailbox) = mailbox().map_err(SuperviseError::Prepare)?;
    let gates = Gates {
        sealed: Arc::new(AtomicBool::new(false)),
        gone: Latch::new().map_err(SuperviseError::Prepare)?,
    };
    let ended = Latch::new().map_err(SuperviseError::Prepare)?;
    stdio.release_standard_descriptors().map_err(SuperviseError::Prepare)?;

    let master = match pty {
        Some(master) => {
            rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)
                .map_err(SuperviseError::Prepare)?;
            Some(Arc::new(master))
        }
        None => None,
    };
    let (tty, screen) = match stdio.tty {
        Some(tty) => (Some((tty.terminal, tty.claim)), Some(tty.screen)),
        None => (None, None),
    };
    let mut job = Job::new(tty, master.clone(), inspection.tee.clone());
    let go = go | job.start();

    let mut open = Vec::with_capacity(4);
    let mut flows = Vec::with_capacity(3);
    let mut outputs: Vec<_> = stdio
        .outputs
        .into_iter()
        .map(|output| (output.stream, Inside::Pipe(Arc::new(output.from)), output.to))
        .collect();
    if let (Some(master), Some(screen)) = (&master, screen) {
        outputs.push((Stream::Terminal, Inside::Pty(Arc::clone(master)), screen));
    }
    drop(master);
    for (stream, from, to) in outputs {
        let scan = inspection.scanner.map(|scanner| scanner(stream));
        let pump = Pump {
            stream,
            from,
            to,
            scan,
            tee: inspection.tee.clone(),
            gates: gates.clone(),
            notes: sender.clone(),
            idle: Arc::new(AtomicBool::new(false)),
        };
        flows.push(pump.flow());
        spawn(stream, move || pump.run())?;
        open.push(stream);
    }
    if let Some(input) = stdio.input {
        // A read that cannot be looked at first may hang; it must not keep us.
        if input.kind != InputKind::Stream {
            open.push(Stream::Stdin);
        }
        let feed = Feed { input, tee: inspection.tee.clone(), ended: ended.clone(), notes: sender.clone() };
        spawn(Stream::Stdin, move || feed.run())?;
    }

    let now = Instant::now();
    let interval = observer.interval();
    let (copy, tee) = (stdio.copy, inspection.tee.clone());
    let watch = Watch {
        control: Some(control),
        init,
        signals,
        mailbox,
        _sender: sender,
        gates,
        ended,
        job,
        flows,
        open,
        limit: limits.timeout,
        observer,
        interval,
        begun: now,
        deadline: limits.timeout.and_then(|limit| now.checked_add(limit)),
        tick: interval.map(|interval| now + interval),
        kill: None,
        give_up: None,
        exit: None,
        interrupted: None,
        leak: None,
        timed_out: false,
        lost_output: None,
    };
    watch.say(tag::GO, go);
    drop(spent);
    let outcome = watch.run();
    if let Some(copy) = copy {
        if let Some(tee) = tee {
            tee.bytes(Stream::Stdin, &copy.read());
        }
        // A file that cannot be moved is no worse than a pipe.
        let _ = copy.give_back();
    }
    outcome
}

fn spawn(stream: Stream, body: impl FnOnce() + Send + 'static) -> Result<(), SuperviseError> {
    std::thread::Builder::new()
        .name(stream.to_string())
        .spawn(body)
        .map(drop)
        .map_err(|error| SuperviseError::Thread(stream, error))
}
