//! Points at which a promotion can be cut off: for tests, which stop it at each of them as a kill does.

/// Passes, but for a test that counts.
#[cfg(not(test))]
pub(super) fn point() {}

#[cfg(test)]
pub(super) use counted::point;
#[cfg(test)]
pub(super) use counted::{Halted, after};

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// What a promotion that was cut off unwinds with: nothing of it cleans up, as nothing does after a kill.
    pub(crate) struct Halted;

    /// The promotion of this thread is cut off at the point after so many; none lets it run.
    pub(crate) fn after(points: Option<usize>) {
        LEFT.set(points);
    }

    pub(crate) fn point() {
        match LEFT.get() {
            Some(0) => {
                LEFT.set(None);
                std::panic::resume_unwind(Box::new(Halted));
            }
            Some(left) => LEFT.set(Some(left - 1)),
            None => {}
        }
    }
}
