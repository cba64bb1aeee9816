//! Owns threads that are made before there is anything for them to do: while the kernel builds the walls the
//! launcher has time for it, and afterwards the command would wait.

use std::io;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};

/// A thread that waits for its work. Dropped without any, it ends.
#[derive(Debug)]
pub(crate) struct Standby<T> {
    work: Sender<Work<T>>,
    thread: JoinHandle<T>,
}

type Work<T> = Box<dyn FnOnce() -> T + Send>;

impl<T: Default + Send + 'static> Standby<T> {
    /// Makes it, under a name that debuggers show.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let (work, inbox) = bounded::<Work<T>>(1);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || inbox.recv().map_or_else(|_| T::default(), |work| work()))?;
        Ok(Self { work, thread })
    }

    /// Gives it its work.
    pub(crate) fn begin(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        // It waits, so there is room; and it only ends by this.
        let _ = self.work.send(Box::new(work));
        self.thread
    }
}
