//! Owns how the heap of a run grows: in one piece, for all threads, and never back.
//!
//! A run is set up in milliseconds, and each page of memory that is asked of the kernel by touching it costs
//! some two microseconds of them; an arena for each thread costs a dozen calls.

/// How much the heap is given at once: about what a run needs before its command starts.
#[cfg(target_env = "gnu")]
const ROOM: i32 = 768 * 1024;

/// More than a heap of ours ever has to spare.
#[cfg(target_env = "gnu")]
const NEVER: i32 = 64 << 20;

/// Makes the heap grow at once. Only sound advice: what the C library or the kernel does not know is left as it
/// is.
#[cfg(target_env = "gnu")]
pub(crate) fn make_room() {
    const POPULATE: usize = ROOM as usize;
    for (setting, value) in [(libc::M_ARENA_MAX, 1), (libc::M_TOP_PAD, ROOM), (libc::M_TRIM_THRESHOLD, NEVER)]
    {
        // SAFETY: it sets a number of the allocator's, and nobody else runs yet.
        unsafe { libc::mallopt(setting, value) };
    }
    // Larger than what is left of the first heap, so that it grows.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(120 * 1024)));
    // SAFETY: asked for its end, the heap is not changed.
    let end = unsafe { libc::sbrk(0) };
    let start = end.wrapping_byte_sub(POPULATE);
    // SAFETY: the pages are the heap's own, as it grew by more than this, and keep what they hold.
    let _ = unsafe { libc::madvise(start, POPULATE, libc::MADV_POPULATE_WRITE) };
}

/// Elsewhere the allocator knows best.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn make_room() {}
