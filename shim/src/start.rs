//! The constructor: sets the shim up while the process has one thread, and introduces the process.

use core::sync::atomic::Ordering;

use shieldrun_abi::record::{Kind, Record, TRUNCATED};
use shieldrun_abi::ring::Shared;

use crate::kernel::Descriptor;
use crate::real::{self, List};
use crate::{kernel, say, state};

/// glibc passes what `main` gets; linked with `-z initfirst`, we run before the other libraries.
type Constructor = unsafe extern "C" fn(i32, List, List);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: Constructor = begin;

unsafe extern "C" fn begin(_count: i32, _arguments: List, environment: List) {
    real::keeping_errno(|| {
        real::find_all();
        // SAFETY: glibc's own list.
        let Some(ring) = (unsafe { state::set_up(environment) }).and_then(|state| state.ring) else { return };
        let pid = kernel::pid();
        introduce(ring, pid);
        say::is_known(ring, pid);
    });
}

/// Says who this process is, and wakes the launcher: it can learn the host's pid only while the process lives.
#[cold]
pub(crate) fn introduce(ring: &Shared, pid: u32) {
    let mut record = Record::new(Kind::Started, pid, kernel::now(), 0);
    record.aux = kernel::parent_pid();
    // SAFETY: a C string.
    let length = unsafe { kernel::read_link(c"/proc/self/exe".as_ptr().cast(), record.room()) };
    record.advance(length.unwrap_or(0));
    record.push(&[0]);
    // The kernel has the arguments as we want them, and still has them in a forked child.
    // SAFETY: a C string.
    let arguments = unsafe { Descriptor::open(libc::AT_FDCWD, c"/proc/self/cmdline".as_ptr().cast(), 0) };
    if let Ok(arguments) = arguments {
        let length = arguments.read(record.room()).unwrap_or(0);
        record.advance(length);
        if record.room().is_empty() {
            record.flags |= TRUNCATED;
        }
    }
    ring.publish(&record);
    ring.header.wake.0.fetch_add(1, Ordering::Release);
    kernel::wake(&ring.header.wake.0);
}
