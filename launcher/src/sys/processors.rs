//! Owns how many processors this process may run on.

/// At least one. The standard library's answer reads a dozen files of control groups at every start, for
/// quotas that do not matter to what is asked here.
pub(crate) fn count() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize).max(1)
}
