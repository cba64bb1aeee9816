//! The constructor: sets the shim up while the process has one thread, and introduces the process.

use core::sync::atomic::Ordering;

use shieldrun_abi::record::{Kind, Record, TRUNCATED};
use shieldrun_abi::ring::Shared;

use crate::kernel::Descriptor;
use crate::real::{self, List, Text};
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
        introduce(ring, pid, Some(arguments));
        say::is_known(ring, pid);
    });
}

/// Says who this process is, and wakes the launcher: it can learn the host's pid only while the process lives.
///
/// Where the kernel tells of programs, one that was just started says only that the shim is in it, and wakes nobody:
/// a wake-up costs more than all else here. A forked child has no arguments at hand and asks the kernel for them,
/// which takes 25 us more.
#[cold]
pub(crate) fn introduce(ring: &Shared, pid: u32, arguments: Option<&[Text]>) {
    let mut record = Record::new(Kind::Started, pid, kernel::now(), 0);
    record.aux = kernel::parent_pid();
    if arguments.is_some() && ring.header.starts_are_told.load(Ordering::Relaxed) != 0 {
        return ring.publish(&record);
    }
    // SAFETY: a C string.
    let length = unsafe { kernel::read_link(c"/proc/self/exe".as_ptr().cast(), record.room()) };
    record.advance(length.unwrap_or(0));
    record.push(&[0]);
    match arguments {
        Some(arguments) => push_arguments(&mut record, arguments),
        None => push_command_line(&mut record),
    }
    ring.publish(&record);
    ring.header.wake.0.fetch_add(1, Ordering::Release);
    kernel::wake(&ring.header.wake.0);
}

fn push_arguments(record: &mut Record, arguments: &[Text]) {
    for argument in arguments {
        // One byte more than fits, to see that it does not.
        let limit = record.room().len().saturating_add(1);
        // SAFETY: an argument is a C string.
        let Some(bytes) = (unsafe { text::bytes(*argument, limit) }) else { return };
        record.push(bytes);
        record.push(&[0]);
        if record.flags & TRUNCATED != 0 {
            return;
        }
    }
}

fn push_command_line(record: &mut Record) {
    // SAFETY: a C string.
    let file = unsafe { Descriptor::open(libc::AT_FDCWD, c"/proc/self/cmdline".as_ptr().cast(), 0) };
    let Ok(file) = file else { return };
    let length = file.read(record.room()).unwrap_or(0);
    record.advance(length);
    if record.room().is_empty() {
        record.flags |= TRUNCATED;
    }
}
