//! Puts claims into the ring: once, or folded.

use core::sync::atomic::{AtomicU32, Ordering};

use shieldrun_abi::record::{Kind, Record};
use shieldrun_abi::ring::{Key, Shared, Touch};

use crate::{kernel, start, state};

/// The process that has introduced itself. A forked child inherits it and differs; one after vfork writes the
/// parent's, so the exec hooks do not look at it.
static KNOWN: AtomicU32 = AtomicU32::new(0);

/// Something that is said each time.
pub(crate) fn once(kind: Kind, bytes: &[u8]) {
    let Some(ring) = ring() else { return };
    let pid = kernel::pid();
    introduce(ring, pid, kind);
    publish(ring, pid, kind, 0, 0, bytes);
}

/// Something that is said the first time, and then counted by process, kind and index.
pub(crate) fn folded(kind: Kind, index: u32, flags: u16, bytes: &[u8]) {
    let Some(ring) = ring() else { return };
    let pid = kernel::pid();
    if ring.touch(Key { pid, kind, index }) == Touch::Counted {
        return;
    }
    introduce(ring, pid, kind);
    publish(ring, pid, kind, index, flags, bytes);
}

/// For the constructor, which has introduced the process itself.
pub(crate) fn is_known(ring: &Shared, pid: u32) {
    let _ = ring.touch(Key { pid, kind: Kind::Started, index: 0 });
    KNOWN.store(pid, Ordering::Relaxed);
}

fn ring() -> Option<&'static Shared> {
    state::get()?.ring
}

/// A forked child says who it is before it says anything else.
fn introduce(ring: &Shared, pid: u32, kind: Kind) {
    if kind == Kind::Exec || KNOWN.load(Ordering::Relaxed) == pid {
        return;
    }
    if ring.touch(Key { pid, kind: Kind::Started, index: 0 }) == Touch::Say {
        start::introduce(ring, pid, None);
    }
    KNOWN.store(pid, Ordering::Relaxed);
}

fn publish(ring: &Shared, pid: u32, kind: Kind, index: u32, flags: u16, bytes: &[u8]) {
    let mut record = Record::new(kind, pid, kernel::now(), index);
    record.flags = flags;
    record.push(bytes);
    ring.publish(&record);
}
