//! Owns doing the same on every processor. The threads are gone when it returns: none may live when the guest is
//! cloned.

use std::thread;

use crate::sys::processors;

/// More threads than this only wait for memory.
const MOST: usize = 8;

/// What `work` gives on each of the processors, or on this one alone where more are not worth it.
pub(crate) fn on_all<T: Send>(worth_it: bool, work: impl Fn() -> T + Sync) -> Vec<T> {
    let threads = processors::count().min(MOST);
    if !worth_it || threads == 1 {
        return vec![work()];
    }
    thread::scope(|scope| {
        // Where no more threads are to be had this one does it all.
        let others: Vec<_> =
            (1..threads).map_while(|_| thread::Builder::new().spawn_scoped(scope, &work).ok()).collect();
        let mut done = vec![work()];
        for other in others {
            done.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}
