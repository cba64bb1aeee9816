//! The constructor: sets the shim up while the process has one thread, and introduces the process.

use core::sync::atomic::Ordering;

use shieldrun_abi::record::{Kind, Record, TRUNCATED};
use shieldrun_abi::ring::Shared;

use crate::real::{self, List};
use crate::{kernel, say, state, text};

/// glibc passes what `main` gets; linked with `-z initfirst`, we run before the other libraries.
type Constructor = unsafe extern "C" fn(i32, List, List);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: Constructor = begin;

unsafe extern "C" fn begin(count: i32, arguments: List, environment: List) {
    real::keeping_errno(|| {
        real::find_all();
        // SAFETY: glibc's own list.
        let Some(ring) = (unsafe { state::set_up(environment) }).and_then(|state| state.ring) else { return };
        let count = usize::try_from(count).unwrap_or(0);
        let arguments = if arguments.is_null() {
            &[]
        } else {
            // SAFETY: glibc's own list, which has that many.
            unsafe { core::slice::from_raw_parts(arguments, count) }
        };
        let pid = kernel::pid();
        introduce(ring, pid, arguments);
        say::is_known(ring, pid);
    });
}

/// Says who this process is, and wakes the launcher: it can learn the host's pid only while the process lives.
#[cold]
pub(crate) fn introduce(ring: &Shared, pid: u32, arguments: &[*const libc::c_char]) {
    let mut record = Record::new(Kind::Started, pid, kernel::now(), 0);
    record.aux = kernel::parent_pid();
    // SAFETY: a C string.
    let length = unsafe { kernel::read_link(c"/proc/self/exe".as_ptr().cast(), record.room()) };
    record.advance(length.unwrap_or(0));
    record.push(&[0]);
    for argument in arguments {
        let room = record.room().len();
        // SAFETY: an argument is a C string. One byte more than fits, to see that it does not.
        let Some(bytes) = (unsafe { text::bytes(*argument, room.saturating_add(1)) }) else { break };
        record.push(bytes);
        record.push(&[0]);
        if record.flags & TRUNCATED != 0 {
            break;
        }
    }
    ring.publish(&record);
    ring.header.wake.0.fetch_add(1, Ordering::Release);
    kernel::wake(&ring.header.wake.0);
}
